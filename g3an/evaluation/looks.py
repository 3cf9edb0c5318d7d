"""Appearance factors read from clips of simulated faces: skin, hair, light, background and the shape of the head.

A ridge regression on what :class:`FactorNetwork` sees of a person and on a small still picture. It was fitted to clips
of train people (``tools/fit_looks.py``) and says how well it reads those of test people, factor by factor: some, such
as the slant of the eyes, hardly show at 64×64, and are left out where codes are held against factors.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from sklearn.linear_model import RidgeCV
from torch import Tensor
from torch.nn import functional as F

from g3an.data.faces.dataset import FaceDataset
from g3an.errors import G3ANError
from g3an.evaluation.factors import FactorNetwork, Reading
from g3an.files import atomic_write

SHIPPED = Path(__file__).with_name("looks.safetensors")

READABLE = 0.5
"""Share of a factor's variance over test people that a probe has to explain to count as reading it."""

_CELLS = 8
_PERSON = 128  # of Reading.features, what comes before all that moves


def seen_of(videos: Tensor, read: Reading) -> np.ndarray:
    """What looks are read from, ``(B, 320)``: features of the person, and the median frame in 8×8 cells of colour."""
    still = F.adaptive_avg_pool2d(videos.median(2).values, _CELLS).flatten(1)
    return torch.cat([read.features[:, :_PERSON], still], 1).double().numpy()


def looks_of(data: FaceDataset, appearance: np.ndarray) -> dict[str, float]:
    """The true looks of a clip as numbers that a straight line can be fitted to.

    Hues, which are places on a circle, are given as two; the style of the hair, which is a choice, not at all.
    """
    found = {}
    for factor, value in zip(data.appearance_factors, appearance, strict=True):
        if factor.name.endswith("_hue"):
            found[f"{factor.name}_cos"] = math.cos(2 * math.pi * float(value))
            found[f"{factor.name}_sin"] = math.sin(2 * math.pi * float(value))
        elif not factor.whole:
            found[factor.name] = float(value)
    return found


@dataclass(frozen=True)
class Looks:
    """The probe.

    Attributes
    ----------
    names
        Of the factors, as :func:`looks_of` has them.
    quality
        Share of each one's variance over test people that is explained; below 0 is worse than the mean.
    middle, scale, weights, offset
        Of the regression: ``(320,)``, ``(320,)``, ``(320, factors)``, ``(factors,)``.
    """

    names: tuple[str, ...]
    quality: tuple[float, ...]
    middle: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    offset: np.ndarray

    def read(self, videos: Tensor, read: Reading) -> np.ndarray:
        """Looks in clips ``(B, 3, T, 64, 64)`` in [-1, 1] that the factor network has read: ``(B, factors)``."""
        return (seen_of(videos, read) - self.middle) / self.scale @ self.weights + self.offset

    def readable(self) -> list[int]:
        """Places of the factors that are read well enough."""
        return [place for place, quality in enumerate(self.quality) if quality >= READABLE]


def fit_looks(train: Sequence[FaceDataset], test: Sequence[FaceDataset], network: FactorNetwork) -> Looks:
    """Fit the probe to two clips of every train person, and judge it on one of every test person."""
    seen, truth = _clips(train, network, 2)
    held, wanted = _clips(test, network, 1)
    names = tuple(truth)
    y = np.stack([truth[name] for name in names], 1)
    middle, scale = seen.mean(0), seen.std(0) + 1e-6
    x, other = (seen - middle) / scale, (held - middle) / scale
    weights, offset, quality = [], [], []
    for column, name in zip(y.T, names, strict=True):
        line = RidgeCV(np.logspace(0, 4, 13)).fit(x, column)
        missed = np.square(line.predict(other) - wanted[name]).mean()
        weights.append(line.coef_)
        offset.append(line.intercept_)
        quality.append(round(float(1 - missed / wanted[name].var()), 3))
    return Looks(names, tuple(quality), middle, scale, np.stack(weights, 1), np.array(offset))


def _clips(sets: Sequence[FaceDataset], network: FactorNetwork, each: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    seen: list[np.ndarray] = []
    truth: list[dict[str, float]] = []
    for data in sets:
        by_person: dict[str, list[int]] = {}
        for number, who in enumerate(data.subjects):
            by_person.setdefault(who, []).append(number)
        chosen = [data.clip(i, 0) for group in by_person.values() for i in group[:each]]
        videos = torch.stack([clip["video"] for clip in chosen])
        seen.append(seen_of(videos, network.read(videos)))
        truth += [looks_of(data, clip["appearance"].numpy()) for clip in chosen]
    return np.concatenate(seen), {name: np.array([one[name] for one in truth]) for name in truth[0]}


def save_looks(looks: Looks, path: Path = SHIPPED) -> None:
    """Write the probe atomically, in single precision."""
    content = {name: getattr(looks, name).astype(np.float32) for name in ("middle", "scale", "weights", "offset")}
    words = {"names": json.dumps(looks.names), "quality": json.dumps(looks.quality)}
    with atomic_write(path) as temporary:
        save_file(content, temporary, words)


def load_looks(path: str | Path = SHIPPED) -> Looks:
    """The shipped probe, or one that was saved by :func:`save_looks`.

    Raises
    ------
    G3ANError
        The file is missing or damaged.
    """
    if not Path(path).is_file():
        raise G3ANError(f"There is no probe of looks {os.fspath(path)}.")
    try:
        with safe_open(path, "numpy") as file:
            content: dict[str, Any] = {name: file.get_tensor(name).astype(np.float64) for name in file.keys()}
            words: dict[str, Any] = {name: tuple(json.loads(text)) for name, text in file.metadata().items()}
        return Looks(**words, **content)
    except (SafetensorError, TypeError, ValueError, AttributeError) as error:
        raise G3ANError(f"{path} is damaged ({error}); install the package again.") from None
