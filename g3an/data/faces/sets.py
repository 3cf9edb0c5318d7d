"""``mug-sim`` and ``uva-nemo-sim``: the simulated data sets, drawn on the fly or kept in a cache folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from g3an.data.faces.factors import APPEARANCE, FRAMES, MOTION, draw_factors
from g3an.data.faces.head import ASSET
from g3an.data.faces.rays import installed
from g3an.data.layouts import EXPRESSIONS
from g3an.errors import G3ANError
from g3an.files import atomic_write

SETS = ("mug-sim", "uva-nemo-sim")
PEOPLE = 420
"""Of each set; a fifth are test people."""

CLIPS_PER_PERSON = 6
"""``mug-sim``: one of each expression. ``uva-nemo-sim``: three spontaneous smiles, three posed ones.

Who is drawn beyond the set, to learn from, has one clip: so there are more people in the same time.
"""

CLASSES = {"mug-sim": EXPRESSIONS, "uva-nemo-sim": ("smile",)}

SOURCES = ("factors.py", "head.py", "motion.py", "people.py", "rays.py", "render.py", "sets.py")


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
        beyond = self.index - PEOPLE * CLIPS_PER_PERSON
        return PEOPLE + beyond if beyond >= 0 else self.index // CLIPS_PER_PERSON

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
            path = cached_file(self.cache, self.dataset, self.person)
            if path.exists():
                return np.array(np.load(path, mmap_mode="r")[self.index - clips_of(self.person)[0]][list(frames)])
        return draw_video(self.dataset, self.appearance(), self.motion(), frames, self.size)


def clips_of(person: int) -> range:
    """Numbers of a person's clips."""
    if person < PEOPLE:
        return range(person * CLIPS_PER_PERSON, (person + 1) * CLIPS_PER_PERSON)
    number = PEOPLE * CLIPS_PER_PERSON + person - PEOPLE
    return range(number, number + 1)


def videos(dataset: str, size: int = 64, cache: Path | None = None, extra_people: int = 0) -> list[FaceVideo]:
    """All videos of a set, person after person; then those of so many people beyond it, one of each."""
    return [FaceVideo(dataset, index, size, cache) for index in range(PEOPLE * CLIPS_PER_PERSON + extra_people)]


def draw_video(
    dataset: str, appearance: np.ndarray, motion: np.ndarray, frames: Sequence[int] | None = None, size: int = 64
) -> np.ndarray:
    """Draw any person doing anything: uint8 ``(len(frames), size, size, 3)``.

    Parameters
    ----------
    dataset
        Whose motion factors they are.
    appearance, motion
        Values of ``APPEARANCE`` and of ``MOTION[dataset]``, in their order; any, drawn or chosen. With the appearance
        of one clip and the motion of another it is the ground truth of a motion switch (Figure 16).
    frames
        Numbers from 0 to ``FRAMES`` - 1; None: all.

    Raises
    ------
    G3ANError
        A vector of another length, or no ray caster is installed.
    """
    for name, values, factors in (("appearance", appearance, APPEARANCE), ("motion", motion, MOTION[dataset])):
        if np.shape(values) != (len(factors),):
            raise G3ANError(f"{dataset} has {len(factors)} {name} factors; these are of shape {np.shape(values)}.")
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


def cached_file(cache: Path, dataset: str, person: int) -> Path:
    """Where the clips of one person lie: uint8 ``(len(clips_of(person)), FRAMES, 64, 64, 3)``."""
    return cache / f"{dataset}-{version()}" / f"person{person:03d}.npy"


def _draw_person(path: Path, dataset: str, person: int) -> int:
    clips = [FaceVideo(dataset, index).read(range(FRAMES)) for index in clips_of(person)]
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.save(file, np.stack(clips))
    return len(clips)


def render(
    dataset: str, cache: str | Path | None = None, people: Sequence[int] | None = None, workers: int | None = None,
    progress: bool = True,
) -> Path:  # fmt: skip
    """Draw what of a set is not in the cache yet, in parallel; a run that is stopped goes on where it was.

    Parameters
    ----------
    dataset
        ``mug-sim`` or ``uva-nemo-sim``.
    cache
        Folder, by default :func:`default_cache`; a whole set takes 750 MB.
    people
        Numbers of those who are wanted, also beyond the set's; None: all of the set.
    workers
        Processes, by default as many as processors.

    Returns
    -------
    Path
        The cache.

    Raises
    ------
    G3ANError
        Unknown set, no ray caster, a folder that cannot be written, or a process that was killed; what was drawn
        until then is kept.
    """
    if dataset not in SETS:
        raise G3ANError(f"There is no simulated data set {dataset!r}; there are {' and '.join(SETS)}.")
    installed()
    cache = Path(cache) if cache else default_cache()
    everyone = range(PEOPLE) if people is None else people
    missing = [person for person in everyone if not cached_file(cache, dataset, person).exists()]
    if not missing:
        return cache
    workers = min(workers or os.cpu_count() or 1, len(missing))

    def count(people: Sequence[int]) -> int:
        return sum(len(clips_of(person)) for person in people)

    bar = tqdm(
        total=count(everyone), initial=count(everyone) - count(missing), unit="clip", desc=f"drawing {dataset}",
        disable=not progress,
    )  # fmt: skip
    # A process a core: NumPy's own threads would only get in each other's way (2.5 times slower).
    with bar, ProcessPoolExecutor(workers, initializer=threadpool_limits, initargs=(1,)) as pool:
        jobs = [pool.submit(_draw_person, cached_file(cache, dataset, n), dataset, n) for n in missing]
        try:
            for job in as_completed(jobs):
                bar.update(job.result())
        except BrokenProcessPool:
            raise G3ANError(
                f"A process that drew {dataset} was killed, perhaps for want of memory. What was drawn is kept in "
                f"{cache}; run it again, with fewer workers."
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)
    return cache
