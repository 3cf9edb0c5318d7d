"""``FactorNetwork``: what a clip of a simulated face shows, read from its pixels.

The simulated sets say for each clip who it shows and what the face does. A small network that learned to tell this
from the clips of train people can then say it of generated clips, whose factors nobody knows. It never sees a
generated clip.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from g3an.data import open_dataset
from g3an.data.faces.dataset import FaceDataset
from g3an.data.faces.motion import COURSES
from g3an.data.layouts import EXPRESSIONS
from g3an.errors import G3ANError
from g3an.evaluation.probes import load_probe, save_probe

SHIPPED = Path(__file__).with_name("factors.safetensors")

_IDENTITY = 64
_SCALE, _MARGIN = 16.0, 0.2


@dataclass(frozen=True)
class Reading:
    """What the network sees in ``B`` clips of ``T`` frames.

    Attributes
    ----------
    expression
        Logits of EXPRESSIONS, ``(B, 6)``.
    course
        For each of COURSES its value in each frame, in its unit, ``(B, 5, T)``.
    identity
        Unit vectors that are near each other for clips of one person, ``(B, 64)``. A person's clothes, hair, light and
        background are part of it.
    features
        What all of this is read from, ``(B, 384)``: looks, and mean and spread over the frames of what moves.
    """

    expression: Tensor
    course: Tensor
    identity: Tensor
    features: Tensor

    @classmethod
    def cat(cls, parts: list[Reading]) -> Reading:
        """One reading of all the clips, in order."""
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))


@dataclass(frozen=True)
class Seen:
    """What the network sees of what a face does in ``B`` clips of ``T`` frames, by which clips are compared.

    Attributes
    ----------
    maps
        Its last three maps and its features of all frames, ``(B * T, ...)`` each.
    course
        As of :class:`Reading`, ``(B, 5, T)``.
    """

    maps: tuple[Tensor, ...]
    course: Tensor

    def unlike(self, made: Seen) -> Tensor:
        """How differently faces move in other clips, frame by frame; gradients flow to ``made``.

        The mean absolute difference of the maps, each over that of these clips' frames from their mean: 0 for the same
        clips.
        """
        pairs = zip(self.maps, made.maps, strict=True)
        return torch.stack([(x - y).abs().mean() / (x - x.mean(0)).abs().mean() for x, y in pairs]).mean()

    def astray(self, made: Seen, spread: Tensor, within: Tensor) -> Tensor:
        """How far the courses of other clips are from these; gradients flow to ``made``.

        The mean squared difference of the courses as the network reads them, over their variance, so that each counts
        as much as any other; and that of the courses less their means over the clip, over the variance of these, so
        that what changes in a clip counts as much as where it stands. 0 for the same clips, about 1 where nothing of
        the courses is given back.

        Parameters
        ----------
        spread, within
            Standard deviation of each course over many frames, and over those of one clip, in its unit, ``(5,)``.
        """
        apart = made.course - self.course
        changed = apart - apart.mean(2, keepdim=True)
        return ((apart / spread[:, None]).square().mean() + (changed / within[:, None]).square().mean()) / 2


class _Frames(nn.Module):
    """A frame ``(n, inputs, 64, 64)`` to ``(n, width)``."""

    def __init__(self, inputs: int, channels: Sequence[int], width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for outputs, kernel in zip(channels, (5, 3, 3, 3), strict=True):  # 64 pixels to 4
            layers += [
                nn.Conv2d(inputs, outputs, kernel, 2, kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.SiLU(),
                nn.Conv2d(outputs, outputs, 3, 1, 1, groups=outputs, bias=False), nn.BatchNorm2d(outputs), nn.SiLU(),
            ]  # fmt: skip
            inputs = outputs
        self.layers = nn.Sequential(*layers)
        self.last = nn.Sequential(nn.Dropout(0.2), nn.Linear(16 * inputs, width), nn.SiLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layers(x.contiguous(memory_format=torch.channels_last)).flatten(1))


def _grey(videos: Tensor) -> Tensor:
    """Colours tell who it is and where the light stands, never what the face does."""
    grey = videos.mean(1, keepdim=True)
    spread, mean = torch.std_mean(grey, (2, 3, 4), keepdim=True)
    return (grey - mean) / (spread + 0.05)


class FactorNetwork(nn.Module):
    """Two networks that share nothing: one for what the face does, one for who it is.

    Each has 2D convolutions for the frames; the first sees all of them in grey, and follows their course by 1D
    convolutions; the second looks at four in colour and averages. (In one network, what it learned of the few train
    people stood in the way of reading expressions of others.) Clips are float ``(B, 3, T, 64, 64)`` in [-1, 1] with
    any T from 8 up, at the rate of the simulated sets.
    """

    width = 128
    looked_at = 4
    course_middle: Tensor
    course_scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.moved = _Frames(1, (24, 48, 96, 128), self.width)
        self.time = nn.Sequential(*(
            nn.Sequential(nn.Conv1d(self.width, self.width, 3, padding=1), nn.SiLU()) for _ in range(2)
        ))  # fmt: skip
        self.course = nn.Conv1d(self.width, len(COURSES), 1)
        self.expression = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * self.width, len(EXPRESSIONS)))
        self.look = _Frames(3, (24, 48, 96, 128), self.width)
        self.identity = nn.Linear(self.width, _IDENTITY)
        # Courses in numbers around 0 and of order 1, which is what layers deal in.
        units = [(0.0, 5.0) if unit == "degrees" else (0.3, 0.4) for unit in COURSES.values()]
        self.register_buffer("course_middle", torch.tensor(units)[:, 0])
        self.register_buffer("course_scale", torch.tensor(units)[:, 1])

    def forward(self, videos: Tensor) -> Reading:
        """Read factors; see :class:`Reading`."""
        count, _, frames = videos.shape[:3]

        def seen_by(network: nn.Module, some: Tensor) -> Tensor:
            return network(some.transpose(1, 2).flatten(0, 1)).unflatten(0, (count, -1)).transpose(1, 2)

        seen = seen_by(self.moved, _grey(videos))
        moving = self._moving(seen)
        # What the face does at its strongest, and how far that is from its mean.
        clip = torch.cat([moving.amax(2), moving.amax(2) - moving.mean(2)], 1)
        chosen = torch.linspace(0, frames - 1, self.looked_at).round().long()
        look = seen_by(self.look, videos[:, :, chosen]).mean(2)
        return Reading(
            expression=self.expression(clip),
            course=self._course(moving),
            identity=F.normalize(self.identity(look), dim=1),
            features=torch.cat([look, moving.mean(2), moving.std(2)], 1),
        )

    def seen(self, videos: Tensor) -> Seen:
        """What it sees of what a face does; see :class:`Seen`.

        Parameters
        ----------
        videos
            ``(B, 3, T, 64, 64)`` in [-1, 1]. For courses the frames are in order and as far apart as those that it
            learned from; without, they may be any of a clip's, in any order.
        """
        count, maps = len(videos), []
        x = _grey(videos).transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        for number, layer in enumerate(self.moved.layers):
            x = layer(x)
            if number in (11, 17, 23):  # at the end of a resolution
                maps.append(x.float())
        last = self.moved.last(x.flatten(1))
        moving = self._moving(last.unflatten(0, (count, -1)).transpose(1, 2))
        return Seen((*maps, last.float()), self._course(moving).float())

    def _moving(self, seen: Tensor) -> Tensor:
        moving: Tensor = self.time(seen) + seen
        return moving

    def _course(self, moving: Tensor) -> Tensor:
        course: Tensor = self.course(moving) * self.course_scale[:, None] + self.course_middle[:, None]
        return course

    @torch.inference_mode()
    def read(self, videos: Tensor, batch: int = 32) -> Reading:
        """What it sees in any number of clips, in evaluation mode.

        An expression has no side, so its logits are those of the mean probability of a clip and its mirror image.

        Parameters
        ----------
        videos
            ``(B, 3, T, 64, 64)`` in [-1, 1], T from 8 up.

        Raises
        ------
        G3ANError
            The network is in training mode.
        """
        if self.training:
            raise G3ANError("The factor network is in training mode; call eval() before it reads.")
        parts = []
        for start in range(0, len(videos), batch):
            some = videos[start : start + batch]
            seen, turned = self(some), self(some.flip(4))
            both = torch.stack([seen.expression, turned.expression]).log_softmax(2).logsumexp(0) - math.log(2)
            parts.append(replace(seen, expression=both))
        return Reading.cat(parts)


class FactorClips(Dataset[dict[str, Any]]):
    """Clips of simulated sets with what the network is to read from them.

    Parameters
    ----------
    sets
        Data sets, all with 16 frames at step 1.
    count
        Random clips an epoch.
    """

    def __init__(self, sets: list[FaceDataset], count: int, epoch: int) -> None:
        self.sets, self.count = sets, count
        self.clips = [data.epoch(epoch, count) for data in sets]
        people = sorted({subject for data in sets for subject in data.subjects})
        self.person = {name: number for number, name in enumerate(people)}

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, k: int) -> dict[str, Any]:
        data = self.sets[k % len(self.sets)]
        return described(data, self.clips[k % len(self.sets)][k], self.person)


def described(data: FaceDataset, clip: Any, person: dict[str, int]) -> dict[str, Any]:
    """A clip with the truth about it, in the form of :class:`Reading`; person -1 is someone ``person`` lacks.

    ``amplitude`` ``(T,)`` is that of :meth:`g3an.data.faces.dataset.FaceDataset.amplitude`.
    """
    moves = {factor.name: float(x) for factor, x in zip(data.motion_factors, clip["motion"], strict=True)}
    return {
        "video": clip["video"],
        "expression": int(moves.get("expression", EXPRESSIONS.index("happy"))),
        "course": data.courses(clip),
        "amplitude": data.amplitude(clip),
        "person": person.get(data.subjects[clip["index"]], -1),
    }


def fit(
    names: tuple[str, ...] = ("mug-sim",), epochs: int = 16, clips: int = 2016, batch: int = 32,
    learning_rate: float = 2e-3, root: str | Path | None = None, seed: int = 0, progress: bool = True,
    each: Callable[[int, dict[str, float]], None] | None = None,
) -> FactorNetwork:  # fmt: skip
    """Train a factor network on the train people of simulated sets.

    The loss is the sum of the cross entropies of expression and person (cosines with a margin, Wang et al., "CosFace",
    CVPR 2018) and of the mean squared error of the courses, each in its own scale.

    Parameters
    ----------
    names
        Of the sets; their clips take turns.
    epochs, clips, batch, learning_rate
        Adam with one cycle of the learning rate; ``clips`` random ones an epoch.
    root
        Cache of the simulated sets.
    each
        Called after each epoch with its number and mean losses.
    """
    sets = [_faces(name, root, "train", mirror=True, seed=seed) for name in names]
    torch.manual_seed(seed)
    network = FactorNetwork().train()
    people = len(FactorClips(sets, 1, 0).person)
    directions = nn.Parameter(torch.randn(people, _IDENTITY))
    steps = epochs * -(-clips // batch)
    optimiser = torch.optim.AdamW([*network.parameters(), directions], learning_rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=steps, pct_start=0.1)
    for epoch in range(epochs):
        data = FactorClips(sets, clips, epoch)
        sums: dict[str, float] = {}
        for truth in tqdm(DataLoader(data, batch), desc=f"factors {epoch + 1}/{epochs}", disable=not progress):
            losses = _losses(network, network(shaken(truth["video"])), truth, directions)
            optimiser.zero_grad()
            torch.stack(list(losses.values())).sum().backward()
            optimiser.step()
            schedule.step()
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + loss.item() * batch / clips
        if each:
            each(epoch, sums)
    return network.eval()


def fit_moves(
    names: tuple[str, ...], epochs: int = 10, clips: int = 2016, batch: int = 32, learning_rate: float = 2e-3,
    root: str | Path | None = None, seed: int = 0, progress: bool = True,
) -> FactorNetwork:  # fmt: skip
    """Train only what reads motion, on every second frame: a judge for training generators, in minutes.

    What reads identity is left as it began. Parameters are those of :func:`fit`.
    """
    sets = [_faces(name, root, "train", mirror=True, seed=seed) for name in names]
    with torch.random.fork_rng(devices=[]):  # a run that finds its judge trained goes on from the same numbers
        torch.manual_seed(seed)
        network = FactorNetwork().train()
        parts = (network.moved, network.time, network.course, network.expression)
        weights = [weight for part in parts for weight in part.parameters()]
        optimiser = torch.optim.AdamW(weights, learning_rate, weight_decay=0.02)
        steps = epochs * -(-clips // batch)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=steps, pct_start=0.1)
        for epoch in range(epochs):
            loader = DataLoader(FactorClips(sets, clips, epoch), batch)
            for number, truth in enumerate(tqdm(loader, desc=f"reader {epoch + 1}/{epochs}", disable=not progress)):
                some = {name: truth[name][:, :, number % 2 :: 2] for name in ("video", "course")}
                seen = network(shaken(some["video"]))
                missed = (seen.course - some["course"]) / network.course_scale[:, None]
                optimiser.zero_grad()
                (F.cross_entropy(seen.expression, truth["expression"]) + missed.square().mean()).backward()
                optimiser.step()
                schedule.step()
    return network.eval()


def shaken(videos: Tensor) -> Tensor:
    """Clips moved by up to four pixels, a little larger or smaller, darker or lighter, with grain, each as a whole.

    There are few train people; what changes no factor must not be learned by heart.
    """
    count = len(videos)
    size = 1 + 0.08 * (2 * torch.rand(count) - 1)
    shift = (2 * torch.rand(count, 2) - 1) * 4 / 32
    grid = torch.zeros(count, 2, 3)
    grid[:, 0, 0] = grid[:, 1, 1] = size
    grid[:, :, 2] = shift
    places = F.affine_grid(grid, [count, 3, 64, 64], align_corners=False)
    flat = videos.transpose(1, 2).flatten(1, 2)  # (count, T * 3, 64, 64)
    moved = F.grid_sample(flat, places, padding_mode="reflection", align_corners=False)
    moved = moved.unflatten(1, (-1, 3)).transpose(1, 2)
    gain = 1 + 0.15 * (2 * torch.rand(count, 1, 1, 1, 1) - 1)
    return moved * gain + 0.1 * (2 * torch.rand(count, 1, 1, 1, 1) - 1) + 0.03 * torch.randn_like(moved)


def _losses(network: FactorNetwork, seen: Reading, truth: dict[str, Any], directions: Tensor) -> dict[str, Tensor]:
    cosines = seen.identity @ F.normalize(directions, dim=1).T
    margin = _MARGIN * F.one_hot(truth["person"], len(directions))
    missed = (seen.course - truth["course"]) / network.course_scale[:, None]
    return {
        "expression": F.cross_entropy(seen.expression, truth["expression"]),
        "person": 0.25 * F.cross_entropy(_SCALE * (cosines - margin), truth["person"]),
        "course": missed.square().mean(),
    }


def _faces(name: str, root: str | Path | None, split: Any, **how: Any) -> FaceDataset:
    data = open_dataset(name, root, split=split, **how)
    if not isinstance(data, FaceDataset):
        raise G3ANError(f"{name} has no known factors; the factor network learns from mug-sim and uva-nemo-sim.")
    return data


def save_factors(network: FactorNetwork, path: Path = SHIPPED) -> None:
    """Write the weights in half precision, atomically."""
    save_probe(network, path)


def load_factors(path: str | Path = SHIPPED) -> FactorNetwork:
    """The shipped network, or one that was saved by :func:`save_factors`.

    Raises
    ------
    G3ANError
        The file is missing, damaged or of another network.
    """
    network = FactorNetwork()
    load_probe(network, path, "factor network")
    return network
