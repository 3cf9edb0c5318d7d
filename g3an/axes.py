"""Axes: turn the dimensions of z_a so that the first ones say most.

z_a ~ N(0, 1) looks the same from every side: with a rotation R, ``G(R u, z_m, c)`` of u ~ N(0, 1) makes the same videos
as ``G(z_a, z_m, c)``, with the same probability. So what single dimensions do (Figures 8 to 13) is an accident of
the first weights of training, and may be nothing. :func:`turn_axes` multiplies R into the weights that meet z_a first,
so that its dimensions come in the order in which they change what people look like.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from g3an.generator import Generator
from g3an.latents import Codes, generate, normal
from g3an.reconstruction import turn_first_weights

CLIPS = 1024
RIDGE = 0.1
"""Of the regression, as a share of the codes' own variance: few clips explain chance, too."""


@torch.no_grad()
def look_axes(generator: Any, clips: int = CLIPS, seed: int = 0) -> Tensor:
    """Directions of z_a by how much they change what people look like: a rotation ``(z_a_dim, z_a_dim)``.

    The mean frames of random clips, at a quarter of the resolution and less the mean of their category, are regressed
    on z_a; the columns are the left singular vectors of the coefficients, strongest first, with the sign by which the
    frame becomes lighter.

    Parameters
    ----------
    generator
        In evaluation mode.
    clips
        Random ones; several times as many as z_a has numbers.
    seed
        Of their codes.
    """
    config = generator.config
    kinds = len(config.classes)
    codes = Codes(
        normal(seed, 0, clips, config.z_a_dim),
        normal(seed, 1, clips, config.z_m_dim),
        torch.eye(kinds)[torch.arange(clips) % kinds] if kinds else None,
    )
    parts = []
    for start in range(0, clips, 32):
        videos = generate(generator, codes[slice(start, start + 32)])
        parts.append(avg_pool2d(videos.mean(2), 4).flatten(1))
    looks, z_a = torch.cat(parts).double(), codes.z_a.double()
    for kind in range(max(1, kinds)):
        own = slice(kind, None, max(1, kinds))
        looks[own] -= looks[own].mean(0)
        z_a[own] -= z_a[own].mean(0)
    square = z_a.T @ z_a / clips + RIDGE * torch.eye(config.z_a_dim)
    effects = torch.linalg.solve(square, z_a.T @ looks / clips)
    axes = torch.linalg.svd(effects, full_matrices=True).U
    lighter = (axes.T @ effects).sum(1)
    return (axes * torch.where(lighter < 0, -1.0, 1.0)).float()


def turn_axes(generator: Generator, axes: Tensor) -> Generator:
    """A copy that makes of a code u what ``generator`` makes of ``axes @ u``.

    Parameters
    ----------
    generator
        With its spectral norm folded in, as :func:`g3an.checkpoints.load_generator` gives it.
    axes
        A rotation, ``(z_a_dim, z_a_dim)``.
    """
    turned = deepcopy(generator)
    turn_first_weights(turned, axes.T)
    return turned
