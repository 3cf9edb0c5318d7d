"""How a generator of simulated faces does: expressions, people, motion, all read by :class:`FaceProbes`.

Every z_a meets every c and, in each, several z_m of its own, so that what changes with one of them is seen apart from
what changes with the others. All is set against the clips of test people, read by the same networks, which learned from
train people and never saw a generated clip.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from g3an.data import open_dataset
from g3an.data.faces.motion import COURSES
from g3an.data.layouts import EXPRESSIONS
from g3an.errors import G3ANError
from g3an.evaluation.factors import FactorNetwork, Reading, load_factors
from g3an.evaluation.lids import BLINK, Lids, load_lids
from g3an.evaluation.strength import STRENGTH, Strength, load_strength
from g3an.files import rounded
from g3an.latents import Codes, generate, normal

FALSE_ACCEPTS = 0.01
"""Share of pairs of different test people that may pass as one."""

STILL = 0.25
"""Share of a clip's pixels, those that change least, that are taken for still: of Weizmann's frames most are wall."""

MOTIONS = 24
"""Clips of each z_a, all categories together. Four in all are too few: of one network of smiles, the variance of when a
smile begins came out as .40, .42 and .76 of the data's for three seeds."""

MOVES = ("peak", "onset", "yaw", "pitch", "roll", "yaw_drift", "blink")
"""What is read of a clip's motion: see :func:`moves`."""


@dataclass(frozen=True)
class Report:
    """What :func:`measure` found.

    Attributes
    ----------
    category_accuracy, category_accuracy_data
        Share of clips whose expression is read as the category asked for; of test clips, as they are labelled. None for
        an unconditional network.
    identity_threshold, same_person_data
        Cosine above which two clips show one person, at ``FALSE_ACCEPTS`` of test people's pairs, and the share of
        pairs of clips of one test person that lie above it.
    same_person
        The share of pairs of generated clips with one z_a and c and two z_m that lie above it.
    told_apart
        The share of pairs of generated clips with one c and two z_a that do not lie above it.
    diversity, diversity_probe
        Mean distance (1 - cosine) between people, generated over data. Of people in action, where it is one of plain
        pictures, there is another, as the identity probe sees them; else None.
    motion_energy
        Mean absolute change from frame to frame, generated over data.
    noise_energy
        The share of the data's that pixels have where nothing moves (:func:`noise_energy`); None: not measured.
    movement_energy
        Motion energy without that share of the data's and of the generated clips' own, generated over data; None: not
        measured.
    motion_variance
        For each of MOVES the variance over z_m with z_a and c fixed, over that of the data within a class.
    motion_agreement
        How well each of MOVES, as it is read from test clips, agrees with what these were drawn with: Pearson's r
        within classes. A variance says no more than its r lets it. Empty where nobody knows the truth.
    motion_variance_person
        ``motion_variance`` of real clips of one person, where the data hold several of them within a class; else empty.
    clips
        Generated ones, all measured.
    """

    category_accuracy: float | None
    category_accuracy_data: float | None
    identity_threshold: float
    same_person_data: float
    same_person: float
    told_apart: float
    diversity: float
    motion_energy: float
    motion_variance: dict[str, float]
    clips: int
    motion_agreement: dict[str, float] = field(default_factory=dict)
    motion_variance_person: dict[str, float] = field(default_factory=dict)
    diversity_probe: float | None = None
    noise_energy: float | None = None
    movement_energy: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain types, rounded to what 1,000 clips can tell."""
        return rounded(asdict(self))


@dataclass(frozen=True)
class FaceProbes:
    """All that read clips of faces; none of them learned from a generated clip."""

    factors: FactorNetwork = field(default_factory=load_factors)
    lids: Lids = field(default_factory=load_lids)
    strength: Strength = field(default_factory=load_strength)

    def read(self, videos: Tensor) -> Reading:
        """What ``factors`` sees in clips, but the closure of the lids as ``lids`` does, the strength as ``strength``.

        Parameters
        ----------
        videos
            ``(B, 3, T, 64, 64)`` in [-1, 1].

        Raises
        ------
        G3ANError
            One of the networks is in training mode.
        """
        seen = self.factors.read(videos)
        course = seen.course.clone()
        course[:, BLINK], course[:, STRENGTH] = self.lids.read(videos), self.strength.read(videos)
        return replace(seen, course=course)


def moves(seen: Reading) -> Tensor:
    """A clip's motion in numbers, ``(B, len(MOVES))``.

    The strength at its peak, as far as it is seen (:func:`g3an.data.faces.amplitude.amplitude`); the frame in which it
    first passes half of that (seen as fractions of a frame); mean yaw, pitch and roll and the change of yaw from the
    first to the last quarter, in degrees; the strongest closure of the lids.
    """
    course = {name: seen.course[:, k] for k, name in enumerate(COURSES)}
    strength = course["strength"]
    peak = strength.amax(1)
    half = peak[:, None] / 2
    above = strength >= half
    first = above.float().argmax(1)
    before = (first - 1).clamp(min=0)
    low, high = (strength.gather(1, at[:, None])[:, 0] for at in (before, first))
    step = ((half[:, 0] - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
    onset = torch.where(first > 0, before + step, torch.zeros_like(step))
    quarter = max(1, strength.shape[1] // 4)
    drift = course["yaw"][:, -quarter:].mean(1) - course["yaw"][:, :quarter].mean(1)
    angles = [course[name].mean(1) for name in ("yaw", "pitch", "roll")]
    return torch.stack([peak, onset, *angles, drift, course["blink"].amax(1)], 1)


def agreement(dataset: str, root: str | Path | None = None, *, probes: FaceProbes | None = None) -> dict[str, float]:
    """:attr:`Report.motion_agreement` of a simulated set, without a generator.

    Parameters
    ----------
    dataset, root, probes
        As for :func:`measure`.

    Raises
    ------
    G3ANError
        A data set without test people, or probes in training mode.
    """
    data, chosen = _test_clips(dataset, root)
    return _agreement(data, chosen, (probes or FaceProbes()).read(torch.stack([clip["video"] for clip in chosen])))


def _agreement(data: Any, chosen: list[Any], seen: Reading) -> dict[str, float]:
    courses = torch.stack([data.courses(clip) for clip in chosen])
    courses[:, STRENGTH] = torch.stack([data.amplitude(clip) for clip in chosen])
    kinds = torch.tensor([clip["category"] for clip in chosen])
    pairs = torch.stack([moves(seen), moves(replace(seen, course=courses))]).double()
    for kind in kinds.unique():
        pairs[:, kinds == kind] -= pairs[:, kinds == kind].mean(1, keepdim=True)
    return {name: float(torch.corrcoef(pairs[:, :, k])[0, 1]) for k, name in enumerate(MOVES)}


def _test_clips(dataset: str, root: str | Path | None) -> tuple[Any, list[Any]]:
    """A clip of each video of test people, from random frames on, so that times vary as they do in training."""
    data = open_dataset(dataset, root, split="test")
    starts = [int(place * (data.count(i) - data.length + 1)) for i, place in enumerate(_places(len(data)))]
    return data, [data.clip(i, start) for i, start in enumerate(starts)]


def require_pairs(people: int, motions: int) -> None:
    """Refuse, with a :class:`G3ANError`, fewer than two z_a or two z_m: nothing is measured that one alone shows."""
    if people < 2 or motions < 2:
        raise G3ANError(f"People and motions are measured by pairs: give two or more, not {people} and {motions}.")


def measure(
    generator: Any, dataset: str, root: str | Path | None = None, *, people: int = 48, motions: int | None = None,
    seed: int = 0, probes: FaceProbes | None = None,
) -> Report:  # fmt: skip
    """Measure a generator that was trained on a simulated set.

    Parameters
    ----------
    generator
        In evaluation mode, for clips of 16 frames.
    dataset
        ``mug-sim`` or ``uva-nemo-sim``, whose test people are drawn on first use.
    root
        Cache of the simulated sets.
    people, motions
        Numbers of z_a, and of z_m for each z_a and category, two of each or more; by default each z_a has
        :data:`MOTIONS` clips in all.
    probes
        By default the shipped ones.

    Raises
    ------
    G3ANError
        Too few codes, a data set without test people, a network that makes what is no clip, or probes in training
        mode.
    """
    classes = generator.config.classes
    kinds = len(classes) or 1
    motions = max(2, MOTIONS // kinds) if motions is None else motions
    require_pairs(people, motions)
    probes = probes or FaceProbes()
    data, chosen = _test_clips(dataset, root)
    real = torch.stack([clip["video"] for clip in chosen])
    seen = probes.read(real)
    categories = torch.tensor([clip["category"] for clip in chosen])
    who = np.array([data.subjects[clip["index"]] for clip in chosen])

    c = torch.eye(len(classes)) if classes else None
    z_a = normal(seed, 0, people, generator.config.z_a_dim)
    # Every clip has a motion of its own: a variance over the same few would be that of a lucky or unlucky few.
    z_m = normal(seed, 1, people * kinds * motions, generator.config.z_m_dim)
    # Order: people, classes, motions.
    codes = Codes(
        z_a.repeat_interleave(kinds * motions, 0),
        z_m,
        None if c is None else c.repeat_interleave(motions, 0).repeat(people, 1),
    )
    made = generate(generator, codes)
    read = probes.read(made)

    accuracy = real_accuracy = None
    if classes:
        # The network may list its categories in another order than the expressions.
        wanted = torch.tensor([EXPRESSIONS.index(name) for name in classes]).repeat_interleave(motions).repeat(people)
        accuracy = float((read.expression.argmax(1) == wanted).double().mean())
        real_accuracy = float((seen.expression.argmax(1) == categories).double().mean())

    same, different = _pairs(seen.identity, who)
    threshold = float(np.quantile(different, 1 - FALSE_ACCEPTS))
    groups = read.identity.unflatten(0, (people * kinds, motions))
    first, second = torch.triu_indices(motions, motions, 1)
    within = (groups[:, first] * groups[:, second]).sum(2)
    # Distances between people are taken within a class, on both sides.
    one_each = read.identity.unflatten(0, (people, kinds, motions))[:, :, 0].transpose(0, 1)
    spread = _distance(one_each)
    mine, others = torch.triu_indices(people, people, 1)
    strangers = (one_each[:, mine] * one_each[:, others]).sum(2)
    real_spread = float(np.mean([
        _distance(seen.identity[categories == k][None]) for k in range(len(data.classes))
    ]))  # fmt: skip

    over_codes = moves(read).unflatten(0, (people * kinds, motions)).var(1).mean(0)
    over_data = torch.stack([moves(seen)[categories == k].var(0) for k in range(len(data.classes))]).mean(0)
    return Report(
        category_accuracy=accuracy,
        category_accuracy_data=real_accuracy,
        identity_threshold=threshold,
        same_person_data=float((same > threshold).mean()),
        same_person=float((within > threshold).double().mean()),
        told_apart=float((strangers <= threshold).double().mean()),
        diversity=spread / real_spread,
        motion_energy=energy(made) / energy(real),
        noise_energy=noise_energy(real),
        motion_variance=dict(zip(MOVES, (over_codes / over_data).tolist(), strict=True)),
        clips=len(made),
        motion_agreement=_agreement(data, chosen, seen),
    )


def verification(seen: Reading, who: np.ndarray) -> float:
    """Accuracy at telling pairs of one person from pairs of two, as many of each, at the threshold that is best.

    Parameters
    ----------
    seen
        Readings of clips.
    who
        The person in each of them.
    """
    same, different = _pairs(seen.identity, who)
    thresholds = np.quantile(np.concatenate([same, different]), np.linspace(0, 1, 1001))
    return max(float(((same > t).mean() + (different <= t).mean()) / 2) for t in thresholds)


def _pairs(identity: Tensor, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of all pairs of clips of one person, and of two."""
    cosines = (identity @ identity.T).numpy()
    i, j = np.triu_indices(len(who), 1)
    alike = who[i] == who[j]
    return cosines[i, j][alike], cosines[i, j][~alike]


def _distance(identity: Tensor) -> float:
    """Mean of 1 - cosine over all pairs within each group: ``(groups, n, 64)``."""
    count = identity.shape[1]
    cosines = identity @ identity.transpose(1, 2)
    off = cosines.sum((1, 2)) - cosines.diagonal(dim1=1, dim2=2).sum(1)
    return float(1 - (off / (count * (count - 1))).mean())


def energy(videos: Tensor) -> float:
    """Mean absolute change of ``(B, 3, T, H, W)`` from frame to frame."""
    return float(videos.diff(dim=2).abs().mean(dtype=torch.float64))


def noise_energy(videos: Tensor) -> float:
    """The share of :func:`energy` that is noise of the camera, which a wall has, too.

    It is what all pixels would have if each changed as much as the quantile :data:`STILL` of its clip's pixels does.
    """
    change = videos.diff(dim=2).abs().mean((1, 2)).flatten(1)
    return float(change.quantile(STILL, dim=1).mean(dtype=torch.float64)) / max(energy(videos), 1e-12)


def _places(count: int) -> np.ndarray:
    return np.random.default_rng(0).random(count)
