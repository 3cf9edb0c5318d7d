"""What z_a, z_m and c of a network change: Figures 3 to 16 of the appendix as numbers.

Probes read every generated clip. Of simulated faces (:class:`FaceReader`) these are expression, course and person by
:class:`FaceProbes`, skin, hair, light and head by :class:`Looks`; all of them learned from train people of the
simulated sets, never from generated clips. Of people in action nobody knows the factors; what can be measured of
their clips reads :class:`g3an.evaluation.actions.ActionReader`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor
from tqdm.auto import tqdm

from g3an.errors import G3ANError
from g3an.evaluation.disentanglement import DCI, Shares, dci, mig, sap, variance_shares, varying
from g3an.evaluation.faces import MOVES, FaceProbes, moves
from g3an.evaluation.looks import Looks, load_looks
from g3an.files import rounded
from g3an.latents import Codes, generate, normal, sample_codes, switch_motion, traverse

STEPS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
"""Values that a dimension takes in turn, as in Figures 8 to 15."""

CATEGORY_WEIGHT = 4.0
"""Of probabilities beside the courses of a clip, where motions are compared."""


@dataclass(frozen=True)
class Factors:
    """What probes read of some clips.

    Attributes
    ----------
    values
        ``(B, factors)``, in the units of the factors.
    identity
        Vectors that are near each other for clips of one person, ``(B, n)``.
    category
        Probabilities, ``(B, classes)``.
    motion
        All that tells motions apart, category included, in numbers of one scale: ``(B, n)``.
    """

    values: np.ndarray
    identity: np.ndarray
    category: np.ndarray
    motion: np.ndarray


class Reader(ABC):
    """Probes together.

    Attributes
    ----------
    names
        Of the factors: first those of appearance, then those of motion.
    motions
        The latter.
    category
        What a value of c is called: ``expression`` or ``action``.
    """

    names: tuple[str, ...]
    motions: tuple[str, ...]
    category: str

    @abstractmethod
    def __call__(self, videos: Tensor) -> Factors:
        """Read clips ``(B, 3, T, 64, 64)`` in [-1, 1]."""

    def made(self, generator: Any, codes: Codes, label: str = "", progress: bool = False) -> Factors:
        """Read what a generator makes of codes, 32 clips at a time, so that any number fits into memory."""
        parts = []
        for start in tqdm(range(0, len(codes), 32), desc=label, disable=not progress):
            parts.append(self(generate(generator, codes[slice(start, start + 32)])))
        return Factors(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Factors)))


class FaceReader(Reader):
    """Of simulated faces.

    Parameters
    ----------
    probes, looks
        By default the shipped ones.
    """

    def __init__(self, probes: FaceProbes | None = None, looks: Looks | None = None) -> None:
        self.probes, self.looks = probes or FaceProbes(), looks or load_looks()
        self.places = self.looks.readable()
        self.names = (*(self.looks.names[place] for place in self.places), *MOVES)
        self.motions, self.category = MOVES, "expression"

    def __call__(self, videos: Tensor) -> Factors:
        read = self.probes.read(videos)
        looks = self.looks.read(videos, read)[:, self.places]
        expression = read.expression.softmax(1).double()
        # How it moves is the course of strength, head and lids, and which expression it is.
        course = (read.course / self.probes.factors.course_scale[:, None]).flatten(1).double()
        return Factors(
            np.concatenate([looks, moves(read).double().numpy()], 1),
            read.identity.double().numpy(),
            expression.numpy(),
            torch.cat([course, CATEGORY_WEIGHT * expression], 1).numpy(),
        )


@dataclass(frozen=True)
class Moved:
    """What one dimension of z_a or z_m moves, from ``STEPS[0]`` to ``STEPS[-1]``.

    Attributes
    ----------
    part, dimension
        ``appearance`` or ``motion``, and its number from 0.
    factor
        The one that moves most.
    extent
        By how much, in standard deviations of that factor over random codes, rising or (below 0) falling.
    monotone
        Mean size of the rank correlation of the factor with the dimension's value, from 0 to 1.
    others
        Mean extent of the factors of the other part, without sign: how much is moved that should not be.
    """

    part: str
    dimension: int
    factor: str
    extent: float
    monotone: float
    others: float


@dataclass(frozen=True)
class Switched:
    """Figure 16 as numbers: shares of videos after a switch of motions.

    Attributes
    ----------
    identity
        Whose person is nearer to the one who kept z_a than to the other.
    motion
        Whose course is nearer to that of the video its motion came from than to the one it replaced.
    both
        Of both at once.
    pairs
        Pairs of videos that switched; each gives two.
    """

    identity: float
    motion: float
    both: float
    pairs: int


@dataclass(frozen=True)
class Codebook:
    """What :func:`measure_codes` found.

    Attributes
    ----------
    factors
        Names; the last two, ``identity`` and (of conditional networks) the category's, are vectors, whose variances
        are added up.
    shares
        Of each factor's variance over crossed codes.
    groups, dimensions
        DCI with z_a, z_m and c as three codes, and with every number a code. Of the three, completeness is what to look
        at: each factor should have one code; that each code has many factors, which disentanglement counts against it,
        is as it should be.
    mig, sap
        With every number a code: near 0 wherever several dimensions share a factor, as those of a Gaussian z_a do.
    moved
        Dimensions by their measured effect, strongest first.
    switched
        Of pairs with other people and motions.
    constant
        Factors that never varied over the random clips, and so are left out of DCI, MIG and SAP.
    """

    factors: tuple[str, ...]
    shares: Shares
    groups: DCI
    dimensions: DCI
    mig: float
    sap: float
    moved: tuple[Moved, ...]
    switched: Switched
    clips: int
    constant: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain types, rounded to three digits after the point."""
        shares = {
            factor: {
                term: [float(x[row, column]) for x in (self.shares.value, self.shares.low, self.shares.high)]
                for row, term in enumerate(self.shares.names)
            }
            for column, factor in enumerate(self.factors)
        }
        return rounded(asdict(self) | {"factors": list(self.factors), "shares": shares})


def measure_codes(
    generator: Any, *, people: int = 24, motions: int = 8, random: int = 1024, ranked: Mapping[str, Sequence[int]],
    bases: int = 8, pairs: int = 100, seed: int = 0, draws: int = 200, reader: Reader | None = None,
    progress: bool = True,
) -> Codebook:  # fmt: skip
    """Hold the codes of a generator against what probes read of its clips.

    Parameters
    ----------
    generator
        In evaluation mode.
    people, motions
        z_a and z_m that are crossed, with every category.
    random
        Clips of independent codes, for DCI, MIG and SAP.
    ranked
        ``appearance`` and ``motion``: the dimensions to be moved, strongest first
        (:func:`g3an.ranking.measure`).
    bases
        Codes on which each of them is moved.
    pairs
        Pairs that switch motions.
    reader
        Fit for what the generator was trained on; by default :class:`FaceReader`.

    Raises
    ------
    G3ANError
        Too few codes to compare, or clips over which no factor varies.
    """
    if min(people, motions, bases, pairs) < 2 or random < 50:
        raise G3ANError("Codes are measured on 2 or more people, motions, bases and pairs, and 50 random clips.")
    reader = reader or FaceReader()
    classes = generator.config.classes
    drawn = sample_codes(generator.config, random, seed + 1)
    seen = reader.made(generator, drawn, "random codes", progress)

    shares, names, crossed_clips = _crossed(generator, reader, people, motions, seed, draws, progress)
    codes = [drawn.z_a.numpy(), drawn.z_m.flatten(1).numpy()] + ([] if drawn.c is None else [drawn.c.numpy()])
    groups = [place for place, part in enumerate(codes) for _ in range(part.shape[1])]
    joined, values = np.concatenate(codes, 1), seen.values
    if classes:
        values = np.concatenate([values, seen.category], 1)
    every = [(part, dimension) for part, dimensions in ranked.items() for dimension in dimensions]
    moved = [
        _moved(generator, reader, part, dimension, seen.values.std(0), bases, seed + 2)
        for part, dimension in tqdm(every, desc="dimensions", disable=not progress)
    ]
    switched = _switched(generator, reader, pairs, seed + 3)
    clips = random + crossed_clips + len(moved) * bases * len(STEPS) + 4 * pairs
    columns = (*reader.names, *classes)
    still = tuple(name for name, varies in zip(columns, varying(values), strict=True) if not varies)
    return Codebook(
        names, shares, dci(joined, values, groups), dci(joined, values), mig(joined, values), sap(joined, values),
        tuple(moved), switched, clips, still,
    )  # fmt: skip


def _crossed(
    generator: Any, reader: Reader, people: int, motions: int, seed: int, draws: int, progress: bool
) -> tuple[Shares, tuple[str, ...], int]:
    """Shares of variance over every z_a with every z_m with every c."""
    config = generator.config
    kinds = len(config.classes)
    each = max(1, kinds)
    z_a, z_m = normal(seed, 0, people, config.z_a_dim), normal(seed, 1, motions, config.z_m_dim)
    codes = Codes(
        z_a.repeat_interleave(motions * each, 0),
        z_m.repeat_interleave(each, 0).repeat(people, 1),
        torch.eye(kinds).repeat(people * motions, 1) if kinds else None,
    )
    seen = reader.made(generator, codes, "crossed codes", progress)
    columns = [seen.values, seen.identity]
    vectors = [*range(len(reader.names)), *[len(reader.names)] * columns[1].shape[1]]
    names = (*reader.names, "identity")
    if kinds:
        columns.append(seen.category)
        vectors += [len(names)] * columns[2].shape[1]
        names += (reader.category,)
    axes = ("z_a", "z_m", "c") if kinds else ("z_a", "z_m")
    shape = (people, motions, kinds) if kinds else (people, motions)
    values = np.concatenate(columns, 1).reshape(*shape, -1)
    return variance_shares(values, axes, draws, seed, vectors), names, len(codes)


def _moved(
    generator: Any, reader: Reader, part: str, dimension: int, spread: np.ndarray, bases: int, seed: int
) -> Moved:  # fmt: skip
    codes = traverse(sample_codes(generator.config, bases, seed), part, dimension, STEPS)
    seen = reader.made(generator, codes)
    values = seen.values.reshape(bases, len(STEPS), -1)
    extent = (values[:, -1] - values[:, 0]).mean(0) / np.maximum(spread, 1e-9)
    own = np.array([(name in reader.motions) == (part == "motion") for name in reader.names])
    best = int(np.where(own, np.abs(extent), -1).argmax())
    ranks = rankdata(values[..., best], axis=1)
    order = np.arange(len(STEPS))
    correlation = [0.0 if np.ptp(row) == 0 else abs(float(np.corrcoef(row, order)[0, 1])) for row in ranks]
    return Moved(
        part, dimension, reader.names[best], float(extent[best]), float(np.mean(correlation)),
        float(np.abs(extent[~own]).mean()),
    )  # fmt: skip


def _switched(generator: Any, reader: Reader, pairs: int, seed: int) -> Switched:
    first, second = (sample_codes(generator.config, pairs, number) for number in (2 * seed, 2 * seed + 1))
    if second.c is not None:  # another category, so that there is something to follow
        second = Codes(second.z_a, second.z_m, second.c.roll(1, 1))
    after = switch_motion(first, second)
    a, b, a_after, b_after = (reader.made(generator, codes) for codes in (first, second, *after))

    def nearer(x: np.ndarray, wanted: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.linalg.norm(x - wanted, axis=1) < np.linalg.norm(x - other, axis=1)

    who, what = [], []
    for mine, other, now in ((a, b, a_after), (b, a, b_after)):
        who.append(nearer(now.identity, mine.identity, other.identity))
        what.append(nearer(now.motion, other.motion, mine.motion))
    identity, motion = np.concatenate(who), np.concatenate(what)
    same, followed, both = (float(x.mean()) for x in (identity, motion, identity & motion))
    return Switched(same, followed, both, pairs)
