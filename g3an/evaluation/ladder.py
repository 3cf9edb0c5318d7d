"""The sanity ladder: real clips spoilt in known ways, each at three strengths, which a metric has to notice.

A metric that does not get worse with each of them, step by step, measures something else. What an extractor cannot see
at all belongs beside its numbers: time reversal, for one that averages over frames.

Both sides of the comparison show the same videos, in windows that lie two frames apart, taken in turn as the earlier
and the later one. So floor and rungs differ by nothing but the damage. (With other people on each side, the difference
between some forty people is larger than much of the damage.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from g3an.errors import G3ANError
from g3an.evaluation import transnet
from g3an.evaluation.extractors import EXTRACTORS, FILES, Extractor, open_extractor
from g3an.evaluation.metrics import fid
from g3an.evaluation.protocol import frechet_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLIND = 1.05
"""Up to so many times the floor, an extractor is called blind to what was done."""

Spoil = Callable[[Tensor, int, torch.Generator], Tensor]
"""Clips ``(n, 3, T, H, W)`` in [-1, 1] and a strength of 1, 2 or 3 to clips of the same shape."""


def frozen(clips: Tensor, strength: int, random: torch.Generator) -> Tensor:
    """The last quarter, half or all but the first of the frames repeat the one before them."""
    moving = (3 * clips.shape[2] // 4, clips.shape[2] // 2, 1)[strength - 1]
    return torch.cat([clips[:, :, :moving], clips[:, :, moving - 1 : moving].expand_as(clips[:, :, moving:])], 2)


def shuffled(clips: Tensor, strength: int, random: torch.Generator) -> Tensor:
    """A quarter, half or all of the frames change places at random; a stronger shuffle moves the same ones and more."""
    count = clips.shape[2]
    out = clips.clone()
    for clip in range(len(clips)):
        places = torch.randperm(count, generator=random)[: (count // 4, count // 2, count)[strength - 1]]
        out[clip, :, places] = clips[clip, :, places.roll(1)]
    return out


def blurred(clips: Tensor, strength: int, random: torch.Generator) -> Tensor:
    """A Gaussian of 1, 2 or 4 pixels over every frame."""
    sigma = (1.0, 2.0, 4.0)[strength - 1]
    at = torch.arange(-int(3 * sigma), int(3 * sigma) + 1)
    kernel = torch.exp(-0.5 * (at / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(clips)
    frames = clips.transpose(1, 2).flatten(0, 2)[:, None]
    around = len(at) // 2
    frames = F.conv2d(F.pad(frames, (around, around, 0, 0), mode="replicate"), kernel[None, None, None])
    frames = F.conv2d(F.pad(frames, (0, 0, around, around), mode="replicate"), kernel[None, None, :, None])
    return frames.view_as(clips.transpose(1, 2)).transpose(1, 2)


def noised(clips: Tensor, strength: int, random: torch.Generator) -> Tensor:
    """Grain of deviation 0.05, 0.1 or 0.2, new in each frame."""
    grain = torch.randn(clips.shape, generator=random)
    return (clips + (0.05, 0.1, 0.2)[strength - 1] * grain).clamp(-1, 1)


def swapped(clips: Tensor, strength: int, random: torch.Generator) -> Tensor:
    """The last eighth, quarter or half of the frames are those of the clip before: someone else does something else."""
    count = clips.shape[2]
    kept = count - (count // 8, count // 4, count // 2)[strength - 1]
    return torch.cat([clips[:, :, :kept], clips.roll(1, 0)[:, :, kept:]], 2)


def flickering(clips: Tensor, strength: int, random: torch.Generator) -> Tensor:
    """Each frame by itself up to 5, 10 or 20 % lighter or darker."""
    gain = 2 * torch.rand(len(clips), 1, clips.shape[2], 1, 1, generator=random) - 1
    return ((clips + 1) * (1 + (0.05, 0.1, 0.2)[strength - 1] * gain) - 1).clamp(-1, 1)


def backwards(clips: Tensor, strength: int, random: torch.Generator) -> Tensor:
    """Time reversed, the same at every strength; no rung, for an extractor may be blind to it."""
    return clips.flip(2)


SPOILT: dict[str, Spoil] = {spoil.__name__: spoil for spoil in (frozen, shuffled, blurred, noised, swapped, flickering)}


@dataclass(frozen=True)
class Ladder:
    """What :func:`ladder` found, all in the unit of squared features of one extractor.

    Attributes
    ----------
    extractor
        Its name.
    floor
        The Fréchet distance of real clips to other windows of the same videos.
    steps
        By the name of the damage, the distances when the second windows are spoilt with strength 1, 2 and 3.
    backwards
        When they run backwards.
    """

    extractor: str
    floor: float
    steps: dict[str, tuple[float, float, float]]
    backwards: float

    @property
    def failed(self) -> list[str]:
        """Kinds of damage that do not get worse from the floor up, step by step."""
        return [name for name, steps in self.steps.items() if not self.floor < steps[0] < steps[1] < steps[2]]

    @property
    def blind(self) -> bool:
        """Whether the extractor does not see that time runs backwards."""
        return self.backwards <= BLIND * self.floor

    def rows(self) -> list[dict[str, Any]]:
        """A row for each rung, for tables and plots; strength 0 is the floor. ``times`` is the value over the floor."""
        metric = frechet_name(self.extractor)
        found = [(name, strength, value) for name, steps in self.steps.items()
                 for strength, value in enumerate((self.floor, *steps))]  # fmt: skip
        found.append(("backwards", 1, self.backwards))
        return [
            {"extractor": self.extractor, "metric": metric, "damage": name, "strength": strength, "value": value,
             "times": value / self.floor} for name, strength, value in found
        ]  # fmt: skip


def two_windows(videos: Tensor, length: int = 16, apart: int = 2) -> tuple[Tensor, Tensor]:
    """Two windows of each video, ``(n, 3, length, H, W)`` each, ``apart`` frames from one another, about its middle.

    The first holds the earlier windows of even videos and the later ones of odd ones, so neither side is further on.

    Parameters
    ----------
    videos
        ``(n, 3, T, H, W)``.

    Raises
    ------
    G3ANError
        They are too short.
    """
    spare = videos.shape[2] - length - apart
    if videos.ndim != 5 or spare < 0 or apart < 1:
        shape = tuple(videos.shape)
        raise G3ANError(f"Two windows of {length} frames, {apart} apart, do not fit into videos of shape {shape}.")
    early = videos[:, :, spare // 2 : spare // 2 + length]
    late = videos[:, :, spare // 2 + apart : spare // 2 + apart + length]
    even = (torch.arange(len(videos)) % 2 == 0).view(-1, 1, 1, 1, 1)
    return torch.where(even, early, late), torch.where(even, late, early)


def ladder(extractor: Extractor, one: Tensor, two: Tensor, seed: int = 0, batch: int = 64) -> Ladder:
    """Climb the ladder.

    Parameters
    ----------
    one, two
        Real clips, ``(n, 3, T, H, W)`` in [-1, 1], as from :func:`two_windows`; the second side is spoilt. Neighbours
        in it should be of different people, for ``swapped`` takes frames from the clip before.
    seed
        Of the damage.
    batch
        Clips looked at together.

    Raises
    ------
    G3ANError
        The sides do not have the same shape of clips, or have fewer than two.
    """
    if one.shape[1:] != two.shape[1:]:
        raise G3ANError(f"Clips of both sides need one shape, not {tuple(one.shape[1:])} and {tuple(two.shape[1:])}.")

    known = features(extractor, one, batch)

    def score(spoil: Spoil, strength: int) -> float:
        return fid(known, features(extractor, spoil(two, strength, torch.Generator().manual_seed(seed)), batch))

    return Ladder(
        extractor=extractor.name,
        floor=fid(known, features(extractor, two, batch)),
        steps={name: (score(spoil, 1), score(spoil, 2), score(spoil, 3)) for name, spoil in SPOILT.items()},
        backwards=score(backwards, 1),
    )


def features(extractor: Extractor, clips: Tensor, batch: int = 64) -> Tensor:
    """Features of clips that lie in memory, ``(n, width)``."""
    with torch.inference_mode():
        found = torch.cat([extractor.look(part)[0] for part in clips.split(batch)])
    return found.clone()


def ladders(
    one: Tensor, two: Tensor, weights: Mapping[str, tuple[str | Path, str | None]] | None = None, seed: int = 0
) -> list[Ladder]:
    """The ladder of every extractor that can be opened here; ``rows`` of all of them make the table of a plot.

    Parameters
    ----------
    one, two
        As for :func:`ladder`.
    weights
        For ``resnext101-kinetics`` and ``i3d`` the weight file and its SHA-256 (or None), as for
        :func:`g3an.evaluation.extractors.open_extractor`. Without, they are left out, as is ``transnetv2`` where its
        package is not installed.

    Raises
    ------
    G3ANError
        A weight file cannot be used.
    """
    given = weights or {}
    if unknown := sorted(given.keys() - FILES.keys()):
        raise G3ANError(f"{unknown[0]} takes no weight file; {' and '.join(FILES)} do.")
    found = []
    for name in EXTRACTORS:
        if name in FILES:
            if name not in given:
                continue
            extractor = open_extractor(name, *given[name])
        elif name == "transnetv2" and not transnet.installed():
            continue
        else:
            extractor = open_extractor(name)
        found.append(ladder(extractor, one, two, seed))
    return found


def plot_ladders(found: Sequence[Ladder]) -> Figure:
    """The ladders side by side: distance over the floor against strength, and a dotted line for time reversal.

    Raises
    ------
    G3ANError
        There are none.
    """
    if not found:
        raise G3ANError("There is no ladder to plot.")
    import matplotlib
    import seaborn
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style: Any = seaborn.axes_style("whitegrid") | seaborn.plotting_context("notebook")
    style["font.family"] = ["DejaVu Sans"]
    with matplotlib.rc_context(style):
        canvas = Figure(figsize=(1.5 + 4 * len(found), 4), dpi=120, layout="constrained")
        FigureCanvasAgg(canvas)
        for axes, climbed in zip(canvas.subplots(1, len(found), squeeze=False)[0], found, strict=True):
            rows = [row for row in climbed.rows() if row["damage"] != "backwards"]
            table = {column: [row[column] for row in rows] for column in rows[0]}
            seaborn.lineplot(
                table, x="strength", y="times", hue="damage", style="damage", markers=True, dashes=False,
                palette="colorblind", legend="full" if climbed is found[-1] else False, ax=axes,
            )  # fmt: skip
            axes.axhline(climbed.backwards / climbed.floor, color="0.4", linestyle=":", label="backwards")
            axes.set(
                title=climbed.extractor, yscale="log", xticks=range(4), xlabel="strength (0: as it is)",
                ylabel=f"{frechet_name(climbed.extractor)} over that of real clips",
            )  # fmt: skip
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
        seaborn.despine(canvas)
    return canvas
