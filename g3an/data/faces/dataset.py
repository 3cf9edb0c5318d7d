"""``FaceDataset``: clips of simulated faces with the factors they were drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from g3an.data.clips import Clip, ClipDataset
from g3an.data.faces.amplitude import amplitude
from g3an.data.faces.factors import APPEARANCE, MOTION, Factor
from g3an.data.faces.motion import COURSES, courses
from g3an.data.faces.sets import CLASSES, FaceVideo, cached_file, default_cache, draw_video, render, videos
from g3an.data.layouts import Split, chosen_subjects
from g3an.errors import G3ANError
from g3an.files import make_folder


class FaceClip(Clip):
    """``appearance`` and ``motion``: the factors, float32 ``(n,)``; ``start`` and ``step``: the frames of the video.

    Times among the motion factors count from the video's first frame. A mirrored clip has the factors of its mirror
    image, so that its person looks to the other side.
    """

    appearance: Tensor
    motion: Tensor
    start: int
    step: int


class FaceDataset(ClipDataset):
    """``mug-sim`` or ``uva-nemo-sim``, which are simulated: no clip shows a real person.

    Attributes
    ----------
    appearance_factors, motion_factors
        Name, range and unit of each number in a clip's ``appearance`` and ``motion``.
    """

    readers: list[Any]

    def __init__(self, name: str, made: Sequence[FaceVideo], **how: Any) -> None:
        super().__init__(
            name, made, [f"{name}/{video.index:04d}" for video in made], CLASSES[name],
            [CLASSES[name].index(video.category) for video in made], [video.subject for video in made], **how,
        )  # fmt: skip
        self.appearance_factors: tuple[Factor, ...] = APPEARANCE
        self.motion_factors: tuple[Factor, ...] = MOTION[name]

    def clip(self, i: int, start: int | None = None, step: int = 1, flip: bool = False) -> FaceClip:
        """As :meth:`ClipDataset.clip`, with the factors."""
        start = (self.count(i) - (self.length - 1) * step - 1) // 2 if start is None else start
        plain = super().clip(i, start, step, flip)
        return self._with_factors(plain, i, i, start, step, flip)

    def courses(self, clip: Mapping[str, Any]) -> Tensor:
        """What runs through a clip of this set: ``(len(COURSES), T)``, in the order and units of ``COURSES``."""
        course = courses(self.name, np.asarray(clip["motion"]))
        return torch.tensor(np.stack([course[name][self._frames(clip)] for name in COURSES]), dtype=torch.float32)

    def amplitude(self, clip: Mapping[str, Any]) -> Tensor:
        """How much of its full expression each frame of a clip of this set shows, ``(T,)``, about 0 to 1."""
        shown = amplitude(self.name, np.asarray(clip["motion"]))
        return torch.tensor(shown[self._frames(clip)], dtype=torch.float32)

    def _frames(self, clip: Mapping[str, Any]) -> slice:
        first, step = int(clip["start"]), int(clip["step"])
        return slice(first, first + self.length * step, step)

    def counterfactual(self, person: int, motion: int, start: int | None = None, step: int = 1) -> FaceClip:
        """The person of clip ``person`` with the motion of clip ``motion``: ground truth of Figure 16 and for probes.

        ``index`` is that of the person's clip, ``category`` that of the motion's. It is drawn anew each time.

        Raises
        ------
        G3ANError
            A number that the set does not have, or a clip that does not fit in the video.
        """
        for number in (person, motion):
            if not 0 <= number < len(self):
                raise G3ANError(f"{self.name} has no clip {number}; there are 0 to {len(self) - 1}.")
        count, span = self.count(motion), (self.length - 1) * step + 1
        start = (count - span) // 2 if start is None else start
        if not 0 <= start <= count - span:
            raise G3ANError(f"{self.length} frames at step {step} from frame {start} on do not fit in {count} frames.")
        frames = draw_video(
            self.name, self.readers[person].appearance(), self.readers[motion].motion(),
            range(start, start + span, step), self.size,
        )  # fmt: skip
        video = torch.from_numpy(frames.transpose(3, 0, 1, 2).astype(np.float32)).div_(127.5).sub_(1)
        plain: Clip = {"video": video, "category": self.categories[motion], "index": person}
        return self._with_factors(plain, person, motion, start, step, False)

    def vary(self, i: int, factor: str, places: Sequence[float] | np.ndarray, frame: int = 11) -> np.ndarray:
        """One frame of video ``i`` with one factor moved over its range and all others as they are.

        Parameters
        ----------
        factor
            Name of an appearance or motion factor.
        places
            In [0, 1], from the factor's ``low`` to its ``high``; whole factors take the nearest number.
        frame
            Number in the video, by default about the apex.

        Returns
        -------
        np.ndarray
            uint8 ``(len(places), size, size, 3)``.

        Raises
        ------
        G3ANError
            No factor has that name.
        """
        names = {f.name: (vector, f) for vector in (self.motion_factors, self.appearance_factors) for f in vector}
        if factor not in names:
            raise G3ANError(f"{self.name} has no factor {factor!r}; there are {', '.join(names)}.")
        vector, described = names[factor]
        drawn = []
        for place in places:
            appearance, motion = self.readers[i].appearance(), self.readers[i].motion()
            value = described.low + place * (described.high - described.low)
            moved = appearance if vector is self.appearance_factors else motion
            moved[vector.index(described)] = round(value) if described.whole else value
            drawn.append(draw_video(self.name, appearance, motion, [frame], self.size)[0])
        return np.stack(drawn)

    def _with_factors(self, clip: Clip, person: int, motion: int, start: int, step: int, flip: bool) -> FaceClip:
        appearance = _turned(self.readers[person].appearance(), self.appearance_factors, flip)
        moves = _turned(self.readers[motion].motion(), self.motion_factors, flip)
        return {**clip, "appearance": appearance, "motion": moves, "start": start, "step": step}


def _turned(values: np.ndarray, factors: tuple[Factor, ...], flip: bool) -> Tensor:
    signs = [-1.0 if flip and factor.odd else 1.0 for factor in factors]
    return torch.from_numpy(values) * torch.tensor(signs)


def _check_cache(name: str, cache: Path, people: Sequence[int]) -> None:
    """Refuse a folder that cannot be written before the first clip is drawn for it."""
    if all(cached_file(cache, name, person).exists() for person in people):
        return
    try:
        make_folder(cache)
    except G3ANError as error:  # whoever opens a data set chose no such folder, and could not know what does
        raise G3ANError(f"{error} Simulated faces are kept there; the variable G3AN_CACHE names it.") from error


def open_faces(
    name: str, root: str | Path | None = None, *, split: Split = "all", cached: bool = True, size: int = 64,
    extra_people: int = 0, **how: Any,
) -> FaceDataset:  # fmt: skip
    """See :func:`g3an.data.open_dataset`; ``root`` is the folder of the cache."""
    if extra_people < 0 or (extra_people and split not in ("train", "all")):
        raise G3ANError(f"extra_people is {extra_people}; it must be 0 or more, and 0 for another split than train.")
    of_set = videos(name, size)
    chosen = chosen_subjects([video.subject for video in of_set], split)
    every = videos(name, size, extra_people=extra_people)
    made = [video for k, video in enumerate(every) if video.subject in chosen or k >= len(of_set)]
    if cached and size == 64:
        people = sorted({video.person for video in made})
        _check_cache(name, Path(root) if root else default_cache(), people)
        cache = render(name, root, people)
        made = [replace(video, cache=cache) for video in made]
    data = FaceDataset(name, made, size=size, **how)
    data.split = split
    return data
