"""Differentiable augmentation of what the discriminators see, for data sets of few clips.

The discriminators of a set like Weizmann, with 36 videos, learn them by heart. Transforming real and generated clips
alike before they are judged (Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", NeurIPS 2020)
hinders that, and the generator does not learn to imitate the transformations as it would if only real clips had them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from g3an.config import AUGMENTATIONS
from g3an.errors import G3ANError


def augment(clips: Tensor, names: tuple[str, ...], random: torch.Generator) -> Tensor:
    """Transform every clip in its own way, and all frames of a clip alike.

    Parameters
    ----------
    clips
        ``(batch, 3, frames, height, width)`` or, for single frames, ``(batch, 3, height, width)``; in [-1, 1].
    names
        Which of ``colour`` (brightness by up to ±0.25, saturation by 0.5 to 1.5, contrast by 0.75 to 1.25),
        ``translation`` (by up to an eighth of the frame, grey beyond it) and ``cutout`` (a grey square of a third of
        the side) to apply, in this order.
    random
        On the CPU, so that a seed gives the same draws on every device.

    Returns
    -------
    Tensor
        As ``clips``; colours may leave [-1, 1]. Gradients flow through to ``clips``.

    Raises
    ------
    G3ANError
        A name that is not in :data:`g3an.config.AUGMENTATIONS`.
    """
    unknown = [name for name in names if name not in AUGMENTATIONS]
    if unknown:
        raise G3ANError(f"There is no augmentation {unknown[0]!r}; choose from {', '.join(AUGMENTATIONS)}.")
    single = clips.dim() == 4
    x = clips.unsqueeze(2) if single else clips
    for name in AUGMENTATIONS:
        if name in names:
            x = _TRANSFORMS[name](x, random)
    return x.squeeze(2) if single else x


def _uniform(x: Tensor, low: float, high: float, random: torch.Generator) -> Tensor:
    """One number a clip, shaped to multiply it."""
    return (torch.rand(len(x), 1, 1, 1, 1, generator=random) * (high - low) + low).to(x)


def _colour(x: Tensor, random: torch.Generator) -> Tensor:
    x = x + _uniform(x, -0.25, 0.25, random)
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * _uniform(x, 0.5, 1.5, random)
    # The mean is over all frames: one over each would take out the flicker that D_V has to see.
    middle = x.mean((1, 2, 3, 4), keepdim=True)
    return middle + (x - middle) * _uniform(x, 0.75, 1.25, random)


def _translation(x: Tensor, random: torch.Generator) -> Tensor:
    height, width = x.shape[-2:]
    farthest = max(height, width) // 8
    down, right = torch.randint(0, 2 * farthest + 1, (2, len(x)), generator=random).tolist()
    padded = F.pad(x, (farthest,) * 4)
    return torch.stack(
        [
            clip[..., top : top + height, left : left + width]
            for clip, top, left in zip(padded, down, right, strict=True)
        ]
    )


def _cutout(x: Tensor, random: torch.Generator) -> Tensor:
    height, width = x.shape[-2:]
    side = max(height, width) // 3
    kept = torch.ones(len(x), 1, 1, height, width)
    tops = torch.randint(0, height - side + 1, (len(x),), generator=random).tolist()
    lefts = torch.randint(0, width - side + 1, (len(x),), generator=random).tolist()
    for mask, top, left in zip(kept, tops, lefts, strict=True):
        mask[..., top : top + side, left : left + side] = 0
    return x * kept.to(x)


_TRANSFORMS = {"colour": _colour, "translation": _translation, "cutout": _cutout}
