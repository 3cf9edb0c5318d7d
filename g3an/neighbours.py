"""Samples beside the training clips nearest to them, in pixels and in features: is a network repeating what it saw?

Pixels find a clip that was copied; features one that was copied in another light or a few frames later. Distances over
many samples, in both spaces and against people who were not trained on, are the work of
:mod:`g3an.evaluation.memory`; here they can be looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool3d

from g3an.catalogue import data_set, provenance
from g3an.data import ClipDataset
from g3an.evaluation.extractors import Extractor
from g3an.evaluation.ladder import features
from g3an.evaluation.memory import memory
from g3an.latents import generate, sample_codes, to_uint8
from g3an.plotting import Panel, draw_panels, png_bytes

COMPARED = 64
"""Samples whose nearest training clips are looked for."""
SHOWN = 4
FEATURE_WINDOWS = 2048
"""Training windows whose features are compared, evenly from all, for an extractor takes its time for each; but where
there are more videos, one of each."""
MOST_WINDOWS = 32768
"""Training windows at the most that samples are compared with in pixels, evenly from all: 800 MB."""
PIXEL_WINDOWS = 2048
"""Training windows at the most, evenly from every eighth, whose nearest of another person is looked for in pixels."""
ROWS = ("generated", "nearest in pixels", "nearest in features")


@dataclass(frozen=True)
class Neighbours:
    """What :func:`nearest_clips` found.

    Attributes
    ----------
    pixels
        Quartiles of the distance from samples to their nearest training clips, and from training clips to the nearest
        of another person in the same action.
    features
        The extractor, how many windows it compared, and :meth:`g3an.evaluation.memory.Memory.to_dict`.
    picture
        PNG: four samples, each above its nearest training clip in pixels and its nearest in features.
    """

    pixels: dict[str, Any]
    features: dict[str, Any]
    picture: bytes


def nearest_clips(
    generator: Any, data: ClipDataset, steps: Sequence[int], extractor: Extractor, seed: int = 0
) -> Neighbours:
    """Look for each sample's nearest training clips.

    In pixels, over :data:`MOST_WINDOWS` windows at the most, mirrored ones too unless the network's card says that it
    saw none: distances are root mean squares of differences in [0, 1], at a quarter of the resolution in space and half
    in time. They are compared with the distance from training windows to the nearest clip of *another* person doing the
    same: a generator that only repeats its training clips would come much nearer to them than people come to each
    other. In features, over :data:`FEATURE_WINDOWS` windows, or the middle one of each video where there are more
    videos: distances are those of :func:`g3an.evaluation.memory.memory`.

    Parameters
    ----------
    generator
        In evaluation mode.
    data
        What it was trained on.
    steps
        Frame steps of the training, each of which windows have.
    extractor
        Of the features.

    Raises
    ------
    G3ANError
        All training clips show one person.
    """
    card = getattr(generator, "card", {})
    flips = (False, True) if card.get("training", {}).get("mirror", True) else (False,)
    codes = sample_codes(generator.config, COMPARED, seed)
    videos = generate(generator, codes)
    places = [(i, start, step) for step in sorted(set(steps)) for i, start in data.windows(2, step)]
    windows = [(*place, flip) for place in places for flip in flips]
    windows = [windows[k] for k in _evenly(np.arange(len(windows)), MOST_WINDOWS)]

    def clip(window: tuple[int, int, int, bool]) -> Tensor:
        i, start, step, flip = window
        video: Tensor = data.clip(i, start, step, flip)["video"]
        return video

    bank = torch.stack([_small(clip(window)) for window in windows])
    people = np.array([data.subjects[i] for i, *_ in windows])
    kinds = np.array([data.categories[i] for i, *_ in windows])
    in_pixels, distance = _nearest(torch.stack([_small(video) for video in videos]), bank)
    between = []
    asked = _evenly(np.arange(0, len(windows), 8), PIXEL_WINDOWS)
    for rows in np.split(asked, range(64, len(asked), 64)):
        unfit = (people[rows, None] == people) | (kinds[rows, None] != kinds)
        apart = torch.cdist(bank[rows], bank).masked_fill(torch.from_numpy(unfit), torch.inf).min(dim=1).values
        between.append(apart[apart.isfinite()] / bank.shape[1] ** 0.5)

    if len(data) > FEATURE_WINDOWS:
        by_video = np.argsort([i for i, *_ in windows], kind="stable")
        first, count = np.unique([windows[k][0] for k in by_video], return_index=True, return_counts=True)[1:]
        some = by_video[first + count // 2]
    else:
        some = _evenly(np.arange(len(windows)), FEATURE_WINDOWS)
    parts = np.split(some, range(64, len(some), 64))
    known = torch.cat([features(extractor, torch.stack([clip(windows[k]) for k in part])) for part in parts])
    seen = memory(features(extractor, videos), known, [str(person) for person in people[some]])

    panels = []
    for number, sample in enumerate(torch.linspace(0, COMPARED - 1, SHOWN).round().int().tolist(), 1):
        pair = windows[in_pixels[sample]], windows[some[seen.nearest[sample]]]
        shown = to_uint8(torch.stack([videos[sample], *(clip(window) for window in pair)]))
        panels.append(Panel(f"sample {number}", np.asarray(shown), ROWS))
    told = (
        f"Samples of a network trained on {data_set(generator)}, each above the training clips nearest to it, in "
        "pixels and in features."
    )
    drawn = draw_panels(panels, told, provenance(generator), scale=2)
    return Neighbours(
        {
            "measure": "root mean square pixel difference in [0, 1], at 1/4 of the resolution and 1/2 of the frames",
            "samples": COMPARED,
            "sample_to_nearest_training_clip": _quartiles(distance),
            "person_to_nearest_other_person": _quartiles(torch.cat(between)),
        },
        {
            "extractor": extractor.name, "samples": COMPARED, "windows": len(some),
            "videos": len({windows[k][0] for k in some}), "people": len(set(people[some])), **seen.to_dict(),
        },
        png_bytes(drawn.still),
    )


def _evenly(numbers: np.ndarray, most: int) -> np.ndarray:
    """So many of them at the most, at even distances."""
    return numbers[np.unique(np.linspace(0, len(numbers) - 1, most).round().astype(int))]


def _small(video: Tensor) -> Tensor:
    return avg_pool3d((video[None] + 1) / 2, (2, 4, 4)).flatten()


def _nearest(samples: Tensor, bank: Tensor) -> tuple[list[int], Tensor]:
    distances = torch.cdist(samples, bank) / samples.shape[1] ** 0.5
    smallest = distances.min(dim=1)
    return smallest.indices.tolist(), smallest.values


def _quartiles(values: Tensor) -> dict[str, float]:
    low, middle, high = torch.quantile(values, torch.tensor([0.25, 0.5, 0.75])).tolist()
    return {"lower quartile": round(low, 4), "median": round(middle, 4), "upper quartile": round(high, 4)}
