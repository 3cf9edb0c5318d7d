"""How a generator of people in action does (Weizmann): actions and people, read by probes of real clips.

Nine people are too few to train a network on, and plain pictures of a clip are enough: where it moves, when it moves,
and what stays. A logistic regression on the first tells the four actions of a person it never saw; distances between
the last, in which what one person's clips differ by counts little, tell people apart whom that never saw. None of them
ever sees a generated clip before it reads one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn import functional as F

from g3an.data import ClipDataset
from g3an.errors import G3ANError
from g3an.evaluation.codes import CATEGORY_WEIGHT, Factors, Reader
from g3an.evaluation.extractors import check_clips
from g3an.evaluation.faces import FALSE_ACCEPTS, Report, energy, noise_energy, require_pairs
from g3an.latents import Codes, generate, normal

SIDE = 16
"""Of the two pictures, in cells."""

REAL_CLIPS = 720
"""That the probes learn from and generated clips are set against: 20 of each person and action of Weizmann."""

DAMPED = 1.0
"""Variance that :func:`person_probe` adds to all directions, in mean variances. Of pairs of real clips of one held-out
person, at steps 1 to 3, 99.6 % pass; 99.97 % with a hundredth of it, 99.0 and 97.2 % with five and thirty times as
much. By plain distances of :func:`what_stays` 93.0 % pass, and of clips in which somebody bends 81 %."""
HELD_OUT = 3
"""Parts of the people, each of which is held out in turn."""

IN_ACTION = ("weizmann",)
"""Sets of whole people before a camera that stands still."""


def where_it_moves(videos: Tensor) -> np.ndarray:
    """Two maps of 16×16 cells, ``(B, 512)``: mean change from frame to frame, and mean distance from the average frame.

    Square roots of both, in grey, so that a contrasty shirt does not count for more than an arm.

    Parameters
    ----------
    videos
        ``(B, 3, T, H, W)`` in [-1, 1].

    Raises
    ------
    G3ANError
        Clips of another shape, outside [-1, 1], or with values that are not finite.
    """
    grey = check_clips(videos).mean(1)
    change = grey.diff(dim=1).abs().mean(1)
    sweep = (grey - grey.mean(1, keepdim=True)).abs().mean(1)
    maps = F.adaptive_avg_pool2d(torch.stack([change, sweep], 1), SIDE)
    return maps.flatten(1).sqrt().double().numpy()


def what_stays(videos: Tensor) -> np.ndarray:
    """The median over time of every pixel, in 16×8 cells of three colours: ``(B, 384)``. Arms that move vanish.

    Each cell is the mean of one on the left and its mirror image on the right: a mirrored copy shows the same person.

    Raises
    ------
    G3ANError
        As :func:`where_it_moves`.
    """
    cells = F.adaptive_avg_pool2d(check_clips(videos).median(2).values, SIDE)
    left, right = cells.chunk(2, 3)
    return ((left + right.flip(3)) / 2).flatten(1).double().numpy()


def when_it_moves(videos: Tensor) -> np.ndarray:
    """The course of the motion, ``(B, 2 (T - 1))``: how high and how far to the right the change from each frame to the
    next has its centre, in heights and widths of the frame, less the mean over the clip.

    Two people who do the same at the same time have the same course, however tall they are and whatever they wear; two
    clips of one person that begin at different times have different ones.

    Raises
    ------
    G3ANError
        As :func:`where_it_moves`.
    """
    course = _centres(videos)[0]
    return (course - course.mean(1, keepdim=True)).transpose(1, 2).flatten(1).double().numpy()


def _centres(videos: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Centre (up, right) and spread (up, right) of each change, ``(B, T - 1, 2)`` in [0, 1]; mean ``(B, T - 1)``."""
    change = check_clips(videos).mean(1).diff(dim=1).abs().flatten(0, 1)[:, None]
    change = F.adaptive_avg_pool2d(change, SIDE)[:, 0].unflatten(0, (len(videos), -1))
    total = change.sum((2, 3)).clamp(min=1e-6)
    place = (torch.arange(SIDE) + 0.5) / SIDE
    centre, spread = [], []
    for axis, along in ((3, 1 - place), (2, place)):  # rows run downwards
        shares = change.sum(axis) / total[..., None]
        centre.append((shares * along).sum(2))
        spread.append((shares * (along - centre[-1][..., None]).square()).sum(2).sqrt())
    return torch.stack(centre, 2), torch.stack(spread, 2), total / SIDE**2


LOOKS = ("wall_light", "wall_warmth", "clothes_light", "clothes_warmth", "size")
COLOURS = 4
MOVES = ("energy", "height", "side", "reach_up", "reach_aside", "rise", "turn")
"""What :class:`ActionReader` reads: nobody knows factors of real clips, these are plain measures of them.

Colours are those of the median frame: of its upper fifth, which the people leave free, and of what stands out from that
below it, each pixel by how much it does. Lightness is the mean of the channels, warmth red less blue, size the share of
what stands out. Energy is the mean change from frame to frame; height, side and reach are its centre and spread; rise
and turn how far the centre goes from the first to the last quarter of the clip.
"""

WALL_ROWS = 12
STANDS_OUT = 0.3
"""Difference from the wall, of 2, from which a pixel certainly is the person's: joints of the stones are fainter."""


class ActionReader(Reader):
    """Reads people in action before a wall; see :data:`LOOKS` and :data:`MOVES`.

    Parameters
    ----------
    data
        Real clips, from whose actions a probe learns.
    classes
        Of the network that is read, whose order counts.

    Raises
    ------
    G3ANError
        The classes are not those of the data.
    """

    names, motions, category = (*LOOKS, *MOVES), MOVES, "action"

    def __init__(self, data: ClipDataset, classes: Sequence[str]) -> None:
        if set(classes) != set(data.classes):
            raise G3ANError(f"The network makes {', '.join(classes) or 'no categories'}; {data.name} has "
                            f"{', '.join(data.classes)}.")  # fmt: skip
        epoch = data.epoch(2**28, REAL_CLIPS)
        real = [epoch[k] for k in range(REAL_CLIPS)]
        videos = torch.stack([clip["video"] for clip in real])
        self.order = [data.classes.index(name) for name in classes]
        self.probe = action_probe(where_it_moves(videos), np.array([clip["category"] for clip in real]))
        self.scale, self.spread = when_it_moves(videos).std(), np.maximum(_looks(videos).std(0), 1e-6)

    def __call__(self, videos: Tensor) -> Factors:
        category = self.probe.predict_proba(where_it_moves(videos))[:, self.order]
        motion = np.concatenate([when_it_moves(videos) / self.scale, CATEGORY_WEIGHT * category], 1)
        looks = _looks(videos)
        # Who it is, whatever they do: a silhouette (what_stays) changes with the action, colours do not.
        colours = (looks / self.spread)[:, :COLOURS]
        return Factors(np.concatenate([looks, _moves(videos)], 1), colours, category, motion)


def _looks(videos: Tensor) -> np.ndarray:
    still = check_clips(videos).median(2).values
    wall = still[:, :, :WALL_ROWS].mean((2, 3), keepdim=True)
    below = still[:, :, WALL_ROWS:]
    weight = ((below - wall).mean(1).abs() - STANDS_OUT).clamp(min=0)
    clothes = (below * weight[:, None]).sum((2, 3)) / weight.sum((1, 2)).clamp(min=1e-6)[:, None]
    size = (weight > 0).float().mean((1, 2))
    colours = [x for colour in (wall[:, :, 0, 0], clothes) for x in (colour.mean(1), colour[:, 0] - colour[:, 2])]
    return torch.stack([*colours, size], 1).double().numpy()


def _moves(videos: Tensor) -> np.ndarray:
    centre, spread, energy = _centres(videos)
    quarter = max(1, centre.shape[1] // 4)
    gone = centre[:, -quarter:].mean(1) - centre[:, :quarter].mean(1)
    return torch.cat([energy.mean(1, keepdim=True), centre.mean(1), spread.mean(1), gone], 1).double().numpy()


def action_probe(moves: np.ndarray, actions: np.ndarray) -> Pipeline:
    """A fitted classifier of :func:`where_it_moves` ``(B, 512)`` into ``actions`` ``(B,)``, whole numbers."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    return probe.fit(moves, actions)


def person_probe(stays: np.ndarray, actions: np.ndarray, who: np.ndarray) -> np.ndarray:
    """A linear map of :func:`what_stays`, ``(384, 384)``: behind it, clips of one person in one action lie together.

    Directions in which such clips differ among themselves (somebody who bends is upright in one and bent in the next)
    are divided by the root of that variance, of which :data:`DAMPED` shares of the mean are added to all: within-class
    covariance normalisation (Hatch et al., "Within-class covariance normalization for SVM-based speaker recognition",
    2006).

    Parameters
    ----------
    stays
        ``(B, 384)``.
    actions, who
        Of each clip.

    Raises
    ------
    G3ANError
        No two clips of one person and action differ.
    """
    kinds, people = sorted(set(actions)), sorted(set(who))
    groups = [stays[(actions == kind) & (who == person)] for kind in kinds for person in people]
    apart = np.concatenate([rows - rows.mean(0) for rows in groups if len(rows)])
    variances, directions = np.linalg.eigh(apart.T @ apart / len(apart))
    added = DAMPED * variances.mean()
    if not added > 0:
        raise G3ANError("No two clips of one person in one action differ: how far they may cannot be learned.")
    return directions / np.sqrt(variances.clip(min=0) + added)


def held_out_probes(stays: np.ndarray, actions: np.ndarray, who: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """:data:`HELD_OUT` parts of the people, each with a :func:`person_probe` that learned from all others.

    Parameters
    ----------
    stays, actions, who
        As for :func:`person_probe`.

    Returns
    -------
    list of tuple
        For each part, which clips are of its people ``(B,)``, and the probe ``(384, 384)``.

    Raises
    ------
    G3ANError
        There are fewer than four people: a pair of two, and two to learn from.
    """
    people = sorted(set(who))
    parts = min(HELD_OUT, len(people) // 2)
    if parts < 2:
        raise G3ANError(f"Telling people apart whom a probe never saw needs four people or more, not {len(people)}.")
    outs = [np.isin(who, people[part::parts]) for part in range(parts)]
    return [(out, person_probe(stays[~out], actions[~out], who[~out])) for out in outs]


def held_out_pairs(
    probes: Sequence[tuple[np.ndarray, np.ndarray]], stays: np.ndarray, actions: np.ndarray, who: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distances of pairs of clips of one action, of one person and of two, each by the probe that saw neither.

    ``probes`` are those of :func:`held_out_probes` for the same clips.
    """
    same, different = zip(*(_pairs(stays[out] @ probe, actions[out], who[out]) for out, probe in probes), strict=True)
    return np.concatenate(same), np.concatenate(different)


def _pairs(features: np.ndarray, actions: np.ndarray, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances between clips of one action: of one person, and of two."""
    same, different = [], []
    for kind in sorted(set(actions)):
        own = actions == kind
        apart, alike = distances(features[own]), who[own][:, None] == who[own]
        upper = np.triu(np.ones_like(alike), 1)
        same.append(apart[alike & upper])
        different.append(apart[~alike & upper])
    return np.concatenate(same), np.concatenate(different)


def leave_one_person_out(moves: np.ndarray, actions: np.ndarray, who: np.ndarray) -> np.ndarray:
    """For every clip the action that is read by a probe fitted to the clips of all other people.

    Raises
    ------
    G3ANError
        There are fewer than two people, or one of them alone does some action.
    """
    people = np.asarray(who)
    if len(set(people)) < 2:
        raise G3ANError("Leaving one person out needs clips of two people or more.")
    read = np.empty(len(actions), int)
    for person in sorted(set(people)):
        out = people == person
        if alone := set(actions[out]) - set(actions[~out]):
            raise G3ANError(f"Only {person} does action {min(alone)}, so no probe can learn it from other people.")
        read[out] = action_probe(moves[~out], actions[~out]).predict(moves[out])
    return read


def measure_actions(
    generator: Any, data: ClipDataset, *, people: int = 48, motions: int = 4, seed: int = 0
) -> Report:  # fmt: skip
    """Measure a generator against the real clips it was trained on.

    Parameters
    ----------
    generator
        Conditional, in evaluation mode, its categories those of ``data``.
    data
        With the frame steps of training, mirrored at random if that was, and every person.
    people, motions
        Numbers of z_a, and of z_m for each z_a and category, two of each or more.
    seed
        Of the codes and of the choice of real clips.

    Returns
    -------
    Report
        ``category_accuracy_data`` is that of :func:`leave_one_person_out`. The identity threshold is minus a distance
        behind :func:`held_out_probes`, fixed on :func:`held_out_pairs`, and each of these probes judges the generated
        clips; pairs are of one action. Diversity is that of :func:`what_stays` itself, ``diversity_probe`` that behind
        the probes, over that of pairs of held-out people. ``motion_variance`` is that of :func:`where_it_moves` and of
        :func:`when_it_moves`, all numbers together, and of each of :data:`MOVES`. Where and how much a person moves is
        mostly who it is: how tall, how far from the camera, in what clothes; ``motion_variance_person``, the variance
        over real clips of one person, says how much.

    Raises
    ------
    G3ANError
        Too few codes, the network's categories are not those of the data, the data lack people (see
        :func:`leave_one_person_out` and :func:`held_out_probes`) or stand still, or the network makes what is no clip.
    """
    require_pairs(people, motions)
    classes = generator.config.classes
    if set(classes) != set(data.classes):
        raise G3ANError(f"The network makes {', '.join(classes) or 'no categories'}; {data.name} has "
                        f"{', '.join(data.classes)}.")  # fmt: skip
    epoch = data.epoch(2**28 + seed, REAL_CLIPS)
    chosen = [epoch[k] for k in range(REAL_CLIPS)]
    real = torch.stack([clip["video"] for clip in chosen])
    actions = np.array([clip["category"] for clip in chosen])
    who = np.array([data.subjects[clip["index"]] for clip in chosen])
    moves, stays = where_it_moves(real), what_stays(real)

    if not float(real.diff(dim=2).abs().mean()):
        raise G3ANError(f"The clips of {data.name} stand still: there are no actions to measure.")

    kinds = len(classes)
    z_a = normal(seed, 0, people, generator.config.z_a_dim)
    z_m = normal(seed, 1, people * kinds * motions, generator.config.z_m_dim)
    codes = Codes(
        z_a.repeat_interleave(kinds * motions, 0),
        z_m,
        torch.eye(kinds).repeat_interleave(motions, 0).repeat(people, 1),
    )
    made = generate(generator, codes)
    wanted = np.tile(np.repeat([data.classes.index(name) for name in classes], motions), people)
    made_moves, made_stays = where_it_moves(made), what_stays(made)

    probes = held_out_probes(stays, actions, who)
    same, different = held_out_pairs(probes, stays, actions, who)
    threshold = float(np.quantile(different, FALSE_ACCEPTS))
    # Each of the probes that the threshold comes from judges all generated clips; shares are means over them.
    seen = [made_stays @ probe for _, probe in probes]
    groups = np.stack([behind.reshape(people, kinds, motions, -1) for behind in seen])
    first, second = np.triu_indices(motions, 1)
    within = np.sqrt(np.square(groups[:, :, :, first] - groups[:, :, :, second]).mean(4))
    between = np.triu_indices(people, 1)
    strangers = np.stack([distances(one[:, kind, 0])[between] for one in groups for kind in range(kinds)])
    # How unlike people look is told by plain pictures, too, in which nothing is learned.
    by_kind = made_stays.reshape(people, kinds, motions, -1)[:, :, 0].swapaxes(0, 1)
    spread = np.mean([distances(group)[between].mean() for group in by_kind])
    real_spread = _pairs(stays, actions, who)[1].mean()

    over_codes, one_person = {}, {}
    individuals = sorted(set(who))  # strings: a set of them has another order, and a sum other last bits, in each run
    real_read, made_read = _moves(real), _moves(made)
    for name, mine, its in (
        ("where_it_moves", moves, made_moves),
        ("when_it_moves", when_it_moves(real), when_it_moves(made)),
        *((name, real_read[:, [k]], made_read[:, [k]]) for k, name in enumerate(MOVES)),
    ):
        within_class = max(_variance([mine[actions == kind] for kind in set(actions)]), 1e-12)
        own = [mine[(actions == kind) & (who == person)] for kind in set(actions) for person in individuals]
        over_codes[name] = _variance(its.reshape(-1, motions, its.shape[1])) / within_class
        one_person[name] = _variance([some for some in own if len(some) > 1]) / within_class
    noise, made_noise = noise_energy(real), noise_energy(made)
    motion_energy = energy(made) / energy(real)
    return Report(
        category_accuracy=float((action_probe(moves, actions).predict(made_moves) == wanted).mean()),
        category_accuracy_data=float((leave_one_person_out(moves, actions, who) == actions).mean()),
        identity_threshold=-threshold,
        same_person_data=float((same < threshold).mean()),
        same_person=float((within < threshold).mean()),
        told_apart=float((strangers >= threshold).mean()),
        diversity=float(spread / real_spread),
        diversity_probe=float(strangers.mean() / different.mean()),
        motion_energy=motion_energy,
        noise_energy=noise,
        movement_energy=motion_energy * (1 - made_noise) / max(1 - noise, 1e-12),
        motion_variance=over_codes,
        motion_variance_person=one_person,
        clips=len(made),
    )


def _variance(groups: Sequence[np.ndarray] | np.ndarray) -> float:
    """Of each number within each group ``(n, numbers)``, added up, a mean over the groups."""
    return float(np.mean([rows.var(0, ddof=1).sum() for rows in groups]))


def distances(features: np.ndarray) -> np.ndarray:
    """Root mean square difference of all pairs of ``(n, numbers)``: ``(n, n)``."""
    squares = np.square(features).sum(1)
    products = squares[:, None] + squares - 2 * features @ features.T
    return np.sqrt(np.maximum(products, 0) / features.shape[1])
