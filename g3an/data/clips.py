"""``ClipDataset``: random training clips and fixed evaluation clips from any of the readers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from g3an.data.layouts import PUBLISHED, Refused, Split, chosen_subjects, ordered_classes, scan, scan_published
from g3an.data.shapes import MOTIONS, drawings
from g3an.data.video import READERS, Reader, Strip, fit
from g3an.errors import G3ANError

NAMES = ("shapes", "mug-sim", "uva-nemo-sim", "weizmann", *PUBLISHED, "folder", "prepared")
"""What :func:`open_dataset` knows."""

KEPT_BYTES = 256 * 2**20
"""Strips and drawings are decoded once and kept when all of them together take no more than this."""


class Clip(TypedDict):
    """``video`` float32 ``(3, T, size, size)`` in [-1, 1]; number of the category; number of the source."""

    video: Tensor
    category: int
    index: int


class ClipDataset:
    """Videos of several people in several categories, cut into clips.

    It holds paths and, for small sets, decoded frames, but never an open reader: it can be pickled, and used in
    forked loader processes.

    Attributes
    ----------
    name
        Of the data set.
    classes
        Names of the categories, sorted (``shapes``: in the order of its definition).
    categories, subjects
        Of each source video: the number of its class and who is in it.
    sources
        Name of each source video.
    root
        The folder in which the sources are paths; None where they are mere names.
    refused
        What lies among the videos without being one.
    often
        How often each source comes up among random clips that do not belong together, in any unit; None, or where all
        are 0: equally.
    """

    def __init__(
        self, name: str, readers: Sequence[Reader], sources: Sequence[str], classes: Sequence[str],
        categories: Sequence[int], subjects: Sequence[str], *, split: Split = "all", length: int = 16,
        steps: Sequence[int] = (1,), size: int = 64, mirror: bool = False, seed: int = 0,
        refused: Sequence[Refused] = (),
    ) -> None:  # fmt: skip
        if length < 1 or size < 1 or not steps or min(steps) < 1:
            raise G3ANError(
                f"A clip needs length, size and steps of 1 or more, not {length}, {size} and {tuple(steps)}."
            )
        chosen = chosen_subjects(subjects, split)
        kept = [i for i, subject in enumerate(subjects) if subject in chosen]
        if not kept:
            raise G3ANError(f"The data set {name!r} holds no videos.")
        self.name = name
        self.classes = tuple(classes)
        self.readers = [readers[i] for i in kept]
        self.sources = [sources[i] for i in kept]
        self.categories = [categories[i] for i in kept]
        self.subjects = [subjects[i] for i in kept]
        self.split, self.length, self.steps, self.size = split, length, tuple(sorted(set(steps))), size
        self.mirror, self.seed = mirror, seed
        self.refused = list(refused)
        self.root: Path | None = None
        self.often: Sequence[float] | None = None
        self._kept: dict[int, np.ndarray] = {}
        self._counts: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.readers)

    def __repr__(self) -> str:
        return f"ClipDataset({self.name!r}, {len(self)} videos, classes={self.classes})"

    def keep(self) -> ClipDataset:
        """Decode all videos now and keep the frames, should they fit in ``KEPT_BYTES``; gives itself back."""
        if sum(self.count(i) for i in range(len(self))) * self.size**2 * 3 <= KEPT_BYTES:
            self._kept = {i: self.frames(i) for i in range(len(self))}
        return self

    def count(self, i: int) -> int:
        """Number of frames of source ``i``."""
        if i not in self._counts:
            self._counts[i] = self.readers[i].count()
        return self._counts[i]

    def require_lengths(self) -> None:
        """See that every video is long enough for a clip at one of the steps.

        Raises
        ------
        G3ANError
            Some are not: how many, one of them, and what to do.
        """
        needed = (self.length - 1) * self.steps[0] + 1
        short = [i for i in range(len(self)) if self.count(i) < needed]
        if not short:
            return
        shortest = min(short, key=self.count)
        most = self.count(shortest)
        # A smaller step helps only where the shortest video has as many frames as a clip.
        smaller = f"train with -p clip_steps [{(most - 1) // (self.length - 1)}], or " if most >= self.length else ""
        raise G3ANError(
            f"{len(short)} of {len(self)} videos, such as {self.sources[shortest]} with {most} frames, are too short "
            f"for {self.length} frames at step {self.steps[0]}, which need {needed}: {smaller}leave them out with "
            f"`g3an prepare --length {needed}`."
        )

    def fingerprint(self) -> str:
        """A hash of what the data are, 64 hexadecimal digits: the sources by name, their categories and people.

        Where the sources lie does not count, so that the folder may be moved.
        """
        rows = []
        for source, category, subject in zip(self.sources, self.categories, self.subjects, strict=True):
            name = source if self.root is None else Path(source).relative_to(self.root).as_posix()
            rows.append([name, self.classes[category], subject])
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def frames(self, i: int) -> np.ndarray:
        """All frames of source ``i``: uint8 ``(T, size, size, 3)``."""
        if i in self._kept:
            return self._kept[i]
        return fit(self.readers[i].read(range(self.count(i))), self.size)

    def clip(self, i: int, start: int | None = None, step: int = 1, flip: bool = False) -> Clip:
        """The clip of source ``i`` that begins at ``start`` (None: so that the clip is in the middle of the video).

        Raises
        ------
        G3ANError
            The video is too short for it.
        """
        count, span = self.count(i), (self.length - 1) * step + 1
        start = (count - span) // 2 if start is None else start
        if not 0 <= start <= count - span:
            raise G3ANError(
                f"{self.sources[i]} has {count} frames, too few for {self.length} frames at step {step}"
                + (f" from frame {start} on." if start > 0 else f"; `g3an prepare --length {span}` leaves such out.")
            )
        return self.clip_of(i, range(start, start + span, step), flip)

    def clip_of(self, i: int, numbers: Sequence[int], flip: bool = False) -> Clip:
        """The clip of source ``i`` that shows the frames of these numbers, in any order."""
        frames = self._kept[i][np.asarray(numbers)] if i in self._kept else self._read(i, numbers)
        if flip:
            frames = frames[:, :, ::-1]
        video = torch.from_numpy(np.ascontiguousarray(frames.transpose(3, 0, 1, 2), dtype=np.float32))
        return {"video": video.div_(127.5).sub_(1), "category": self.categories[i], "index": i}

    def _read(self, i: int, numbers: Sequence[int]) -> np.ndarray:
        return fit(self.readers[i].read(numbers), self.size)

    def windows(self, stride: int | None = None, step: int = 1) -> list[tuple[int, int]]:
        """All evaluation clips as (source, start), ``stride`` frames apart (None: one clip after the other)."""
        stride, span = stride or self.length, (self.length - 1) * step + 1
        return [(i, start) for i in range(len(self)) for start in range(0, self.count(i) - span + 1, stride)]

    def epoch(self, epoch: int, length: int, together: int = 1) -> Epoch:
        """``length`` random clips; clip k depends on (seed, epoch, k) only, not on who loads it or what was before.

        With ``together`` 2, clips 2j and 2j + 1 show one person and one category, from one video or two; with 4 two
        such pairs after each other have one category. Categories then come in turn, in random order.
        """
        return Epoch(self, epoch, length, together)


class Epoch(Dataset[Clip]):
    """Random clips of one epoch: source, step, start and flip of clip k come from (seed, epoch, k)."""

    def __init__(self, data: ClipDataset, epoch: int, length: int, together: int = 1) -> None:
        self.data, self.number, self.length, self.together = data, epoch, length, together

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, k: int) -> Clip:
        if not 0 <= k < self.length:
            raise IndexError(k)
        data = self.data
        # All four are drawn at once, so that a video's length changes none of the others.
        source, pace, place, side = np.random.default_rng([data.seed, self.number, k]).random(4)
        if self.together > 1:
            i, side = self._related(k, source)
        elif data.often is None or not any(data.often):
            i = int(source * len(data))
        else:
            upto = np.cumsum(data.often)
            i = int(np.searchsorted(upto[:-1], source * upto[-1], side="right"))
        count = data.count(i)
        steps = [step for step in data.steps if (data.length - 1) * step < count]
        if not steps:
            return data.clip(i, step=data.steps[0])  # raises, naming the video and its length
        step = steps[int(pace * len(steps))]
        start = int(place * (count - (data.length - 1) * step))
        return data.clip(i, start, step, flip=data.mirror and side < 0.5)

    def _related(self, k: int, source: float) -> tuple[int, float]:
        """Source of clip k among those of its group's category and its pair's person, and the pair's mirroring."""
        data = self.data
        present = sorted(set(data.categories))
        turn, place = divmod(k // self.together, len(present))
        category = present[np.random.default_rng([data.seed, self.number, turn, 1]).permutation(len(present))[place]]
        person, side = np.random.default_rng([data.seed, self.number, k // 2, 2]).random(2)
        possible = [i for i, other in enumerate(data.categories) if other == category]
        people = sorted({data.subjects[i] for i in possible})
        subject = people[int(person * len(people))]
        alike = [i for i in possible if data.subjects[i] == subject]
        return alike[int(source * len(alike))], side


def open_dataset(
    name: str, root: str | Path | None = None, *, split: Split = "all", length: int = 16, steps: Sequence[int] = (1,),
    size: int = 64, mirror: bool = False, seed: int = 0, cached: bool = True, extra_people: int = 0,
) -> ClipDataset:  # fmt: skip
    """Open a data set by name.

    Parameters
    ----------
    name
        ``shapes`` (drawn in code), ``mug-sim`` and ``uva-nemo-sim`` (simulated faces with known factors),
        ``weizmann`` (strips ``<action>/<subject>.png``), ``mug``, ``uva-nemo`` and ``ucf101`` (as published, see
        :data:`g3an.data.layouts.PUBLISHED`), ``folder`` (videos, frame folders and strips, in folders by category),
        ``prepared`` (what ``g3an prepare`` wrote).
    root
        Where it lies; ``shapes`` needs none. Of simulated faces, the cache (None: ``G3AN_CACHE`` or the user's).
    split
        ``all``, ``train``, ``test``, ``("leave_out", subject)`` or ``("only", subject)``: see :func:`chosen_subjects`.
    length, steps
        Frames of a clip, and the distances between them to choose from.
    size
        Width and height; frames are resized and their centre is cut out.
    mirror
        Whether every second random clip, by chance, is mirrored.
    seed
        Of the random clips, and of what ``shapes`` draws.
    cached
        Simulated faces are drawn once, on first use, in parallel and with a progress bar, and then read from the
        cache; False draws each clip when it is read. Other sizes than 64 are always drawn.
    extra_people
        Of a simulated set: so many more people than it has, drawn likewise, with one clip each. None of them is a test
        person: with split ``train`` they come to the train people.

    Returns
    -------
    ClipDataset
        For simulated faces a :class:`g3an.data.faces.dataset.FaceDataset`, whose clips hold their factors.

    Raises
    ------
    G3ANError
        An unknown name, a missing folder, a folder without videos, an empty split; more people of a set that is not
        simulated, or of another split; for ``prepared`` also a clip or an index that changed since it was written.
    """
    if name not in NAMES:
        raise G3ANError(f"Unknown data set {name!r}; there are {', '.join(NAMES[:-1])} and {NAMES[-1]}.")
    if name in ("mug-sim", "uva-nemo-sim"):
        from g3an.data.faces.dataset import open_faces

        return open_faces(
            name, root, split=split, cached=cached, size=size, extra_people=extra_people, length=length, steps=steps,
            mirror=mirror, seed=seed,
        )  # fmt: skip
    if extra_people:
        raise G3ANError(f"extra_people is {extra_people}; only simulated sets can have more people, and not {name}.")

    def build(
        readers: Sequence[Reader], sources: Sequence[str], labels: Sequence[str], subjects: Sequence[str],
        classes: Sequence[str] | None = None, refused: Sequence[Refused] = (),
    ) -> ClipDataset:  # fmt: skip
        classes = ordered_classes(name, labels) if classes is None else classes
        numbers = [classes.index(label) for label in labels]
        return ClipDataset(
            name, readers, sources, classes, numbers, subjects, split=split, length=length, steps=steps, size=size,
            mirror=mirror, seed=seed, refused=refused,
        )  # fmt: skip

    if name == "shapes":
        made = drawings(seed, size)
        subjects = [f"shape{drawing.appearance:02d}" for drawing in made]
        sources = [f"shapes/{drawing.motion}/{who}" for drawing, who in zip(made, subjects, strict=True)]
        return build(made, sources, [drawing.motion for drawing in made], subjects, MOTIONS).keep()
    if root is None:
        raise G3ANError(f"The data set {name!r} needs the folder where it lies (root).")
    if name == "prepared":
        from g3an.data.prepare import read_index

        index = read_index(root)
        return build(
            [clip.reader for clip in index.clips], [clip.source for clip in index.clips],
            [clip.category for clip in index.clips], [clip.subject for clip in index.clips],
            index.classes, index.refused,
        )  # fmt: skip
    found, refused = scan_published(name, root) if name in PUBLISHED else scan(root)
    if name == "weizmann":
        found = [video for video in found if video.kind == "strip"]
    if not found:
        wanted = "strips <action>/<subject>.png" if name == "weizmann" else "videos, frame folders or strips"
        raise G3ANError(f"{root} holds no {wanted}.")
    data = build(
        [READERS[video.kind](video.path) for video in found], [str(video.path) for video in found],
        [video.category for video in found], [video.subject for video in found], refused=refused,
    )  # fmt: skip
    data.root = Path(root)
    return data.keep() if all(isinstance(reader, Strip) for reader in data.readers) else data
