"""``mug-sim`` and ``uva-nemo-sim``: the simulated data sets, drawn on the fly or kept in a cache folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from g3an.data.faces.factors import APPEARANCE, EXPRESSIONS, FRAMES, MOTION, draw_factors
from g3an.data.faces.head import ASSET
from g3an.errors import G3ANError
from g3an.files import atomic_write

SETS = ("mug-sim", "uva-nemo-sim")
PEOPLE = 440
CLIPS_PER_PERSON = 6
"""``mug-sim``: one of each expression. ``uva-nemo-sim``: three spontaneous smiles, three posed ones."""

CLASSES = {"mug-sim": EXPRESSIONS, "uva-nemo-sim": ("smile",)}

SHARD = 60
"""Clips in one file of the cache: what is lost when rendering is interrupted."""

SOURCES = ("factors.py", "head.py", "motion.py", "people.py", "render.py", "sets.py")


@dataclass(frozen=True)
class FaceVideo:
    """One simulated video of ``FRAMES`` frames; its name and number fix every pixel.

    Reading is from the cache file where there is one, and drawing otherwise; both give the same frames.
    """

    dataset: str
    index: int
    size: int = 64
    cache: Path | None = None

    @property
    def person(self) -> int:
        """Number of the person, from 0."""
        return self.index // CLIPS_PER_PERSON

    @property
    def subject(self) -> str:
        """Name of the person; no two sets share one."""
        return f"{self.dataset}/person{self.person:03d}"

    @property
    def category(self) -> str:
        """Name of the class."""
        if self.dataset == "mug-sim":
            return EXPRESSIONS[self.index % CLIPS_PER_PERSON]
        return "smile"

    def appearance(self) -> np.ndarray:
        """The person's factors, float32 ``(len(APPEARANCE),)``; light and background are part of them."""
        return draw_factors(APPEARANCE, np.random.default_rng([SETS.index(self.dataset), 0, self.person]))

    def motion(self) -> np.ndarray:
        """What the face does, float32 ``(len(MOTION[dataset]),)``; first the expression, or whether posed."""
        values = draw_factors(MOTION[self.dataset], np.random.default_rng([SETS.index(self.dataset), 1, self.index]))
        number = self.index % CLIPS_PER_PERSON
        values[0] = number if self.dataset == "mug-sim" else number % 2
        return values

    def count(self) -> int:
        return FRAMES

    def read(self, frames: Sequence[int]) -> np.ndarray:
        if self.cache is not None and self.size == 64:
            path = shard_path(self.cache, self.dataset, self.index // SHARD)
            if path.exists():
                return np.array(np.load(path, mmap_mode="r")[self.index % SHARD][list(frames)])
        return draw_video(self.dataset, self.appearance(), self.motion(), frames, self.size)


def videos(dataset: str, size: int = 64, cache: Path | None = None) -> list[FaceVideo]:
    """All videos of a set, person after person."""
    return [FaceVideo(dataset, index, size, cache) for index in range(PEOPLE * CLIPS_PER_PERSON)]


def draw_video(
    dataset: str, appearance: np.ndarray, motion: np.ndarray, frames: Sequence[int] | None = None, size: int = 64
) -> np.ndarray:
    """Draw any person doing anything: uint8 ``(len(frames), size, size, 3)``.

    With the appearance of one clip and the motion of another it is the ground truth of a motion switch (Figure 16).
    """
    from g3an.data.faces.motion import poses
    from g3an.data.faces.people import person
    from g3an.data.faces.render import draw

    steps = poses(dataset, motion)
    who = person(appearance)
    return np.stack([draw(who, steps[t], size) for t in (range(FRAMES) if frames is None else frames)])


# ------------------------------------------------------------------------------------------------
# The cache
# ------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def version() -> str:
    """A hash of the asset and the code that draws: clips drawn by another version are not used."""
    digest = hashlib.sha256(ASSET.read_bytes())
    for name in SOURCES:
        digest.update(Path(__file__).with_name(name).read_bytes())
    return digest.hexdigest()[:12]


def default_cache() -> Path:
    """``G3AN_CACHE``, or the user's cache folder."""
    if "G3AN_CACHE" in os.environ:
        return Path(os.environ["G3AN_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "g3an"


def shard_path(cache: Path, dataset: str, number: int) -> Path:
    """Where a file of ``SHARD`` clips lies."""
    return cache / f"{dataset}-{version()}" / f"{number:04d}.npy"


def _draw_shard(path: Path, dataset: str, number: int) -> int:
    last = min((number + 1) * SHARD, PEOPLE * CLIPS_PER_PERSON)
    clips = [FaceVideo(dataset, index).read(range(FRAMES)) for index in range(number * SHARD, last)]
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.save(file, np.stack(clips))
    return len(clips)


def render(dataset: str, cache: Path | None = None, workers: int | None = None, progress: bool = True) -> Path:
    """Draw whatever of a set is not in the cache yet, in parallel; a run that is stopped goes on where it was.

    Parameters
    ----------
    dataset
        ``mug-sim`` or ``uva-nemo-sim``.
    cache
        Folder, by default :func:`default_cache`; a set takes 780 MB.
    workers
        Processes, by default as many as processors.

    Raises
    ------
    G3ANError
        Unknown set, or a folder that cannot be written.
    """
    if dataset not in SETS:
        raise G3ANError(f"There is no simulated data set {dataset!r}; there are {' and '.join(SETS)}.")
    cache = cache or default_cache()
    total = PEOPLE * CLIPS_PER_PERSON
    missing = [n for n in range(-(-total // SHARD)) if not shard_path(cache, dataset, n).exists()]
    if not missing:
        return cache
    workers = min(workers or os.cpu_count() or 1, len(missing))
    bar = tqdm(total=total, initial=total - len(missing) * SHARD, unit="clip", desc=dataset, disable=not progress)
    with bar, ProcessPoolExecutor(workers) as pool:
        jobs = [pool.submit(_draw_shard, shard_path(cache, dataset, n), dataset, n) for n in missing]
        for job in as_completed(jobs):
            bar.update(job.result())
    return cache
