"""A sliced Wasserstein distance between two sets of clips: cheap enough to watch a training run."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool3d

from g3an.errors import G3ANError


def sliced_wasserstein(first: Tensor, second: Tensor, projections: int = 512, seed: int = 0) -> float:
    """Mean 1-Wasserstein distance over random directions, of looks and of motion.

    Clips are averaged over 4×4 pixels and pairs of frames, and their differences from one pair of frames to
    the next are appended, so that a frozen clip is far from a moving one. With P random unit vectors θ::

        SW = 1/P Σ_θ mean |sort(⟨x, θ⟩) - sort(⟨y, θ⟩)|

    It needs no trained features, and it is a guide for keeping checkpoints, not a published metric.

    Parameters
    ----------
    first, second
        The same number of clips, ``(n, 3, T, H, W)`` in [-1, 1].

    Raises
    ------
    G3ANError
        The sets differ in size or shape.
    """
    if first.shape != second.shape:
        raise G3ANError(f"Two sets of one shape are compared, not {tuple(first.shape)} and {tuple(second.shape)}.")
    generator = torch.Generator().manual_seed(seed)
    total = 0.0
    for x, y in zip(_looks_and_motion(first), _looks_and_motion(second), strict=True):
        directions = torch.randn(x.shape[1], projections, generator=generator)
        directions /= directions.norm(dim=0)
        total += ((x @ directions).sort(dim=0).values - (y @ directions).sort(dim=0).values).abs().mean().item()
    return total


def _looks_and_motion(clips: Tensor) -> tuple[Tensor, Tensor]:
    pooled = avg_pool3d(clips.float().cpu(), (2, 4, 4))
    moving = pooled[:, :, 1:] - pooled[:, :, :-1]
    # Differences are smaller than values by an order; the weight lets motion count.
    return pooled.flatten(1), 4.0 * moving.flatten(1)
