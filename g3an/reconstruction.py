"""Reconstruction: each person and each clip gets codes, and the generator has to give the clips back.

Judges tell a generator what real clips look like, but not which person or which smile it has yet to learn, and with
little computing they never get round to it. Giving clips back from codes that are learned with the generator does both
at a fraction of the cost (Bojanowski et al., "Optimizing the Latent Space of Generative Networks", ICML 2018); judges
after it or beside it add what it blurs. The paper trains with judges alone.

What makes the codes separate is whose they are, as in Gabbay and Hoshen, "Demystifying Inter-Class Disentanglement",
ICLR 2020. All clips of a person share one z_a, which can therefore know nothing of the motion; it is learned as a free
parameter, from the principal components of the person's average frame on. z_m is read from how a clip differs from that
average, by a small network. Both are whitened, z_a over the people and z_m over the clips of each category, so that a
draw from N(0, 1) is like them, and so that z_m tells by its mean or covariance nothing that c tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from g3an.config import ModelConfig
from g3an.data import ClipDataset
from g3an.data.faces.dataset import FaceDataset
from g3an.data.faces.factors import APPEARANCE
from g3an.data.faces.motion import COURSES
from g3an.errors import G3ANError
from g3an.generator import Generator

SEEN_FRAMES = 8
TOLD_FRAMES = 16
"""Frames of a clip, evenly apart, of which components of motion are read; and of which courses are told."""
MOTIONS = 128
"""Components of motion that z_m is read from."""
LEAST_GAIN, LEAST_LOOK_GAIN = 0.05, 0.4
LEAST_VARIANCE = 1e-3
"""Added before whitening, as a share of the mean variance: no number is blown up from nothing."""
FITTED_CLIPS = 3000
NEAR = 32
"""Side of the window that is looked at twice as large."""
LARGEST_WEIGHT, NEAR_WEIGHT = 10.0, 3.0
PLACE = (3, 4, 4)
"""Frames, rows and columns of pixels over which :func:`movement` takes the mean of what changes."""
STEADY_CHANGE = 0.02
"""Mean change of pixels in [-1, 1] up to which a place is steady; of Weizmann's walls it is .011."""
RIDGE = 1.0
"""Added to the squared factors of people when what they change is estimated: there are few people for each factor."""
PEOPLE_RATE, MOTION_RATE = 5e-3, 1e-3
"""Learning rates of the codes of people, each of which is met once in many steps, and of the network that reads z_m."""


class Encoder(nn.Module):
    """The codes of a data set's people and clips.

    Parameters
    ----------
    config
        Of the generator whose codes these are.
    subjects
        The person of every video of the data set.
    width
        Of the network that reads z_m.
    looks
        Numbers of z_a that tell of the person, where there are more people than that.
    courses
        Of simulated faces, whose courses are known: z_m is then read from these along with the components of motion,
        in which a blink, two frames of a few pixels, does not stand out.
    known
        Of simulated faces, whose appearance factors are known: z_a is then not learned but is those, see
        :func:`known_looks`, and ``looks`` counts for nothing.

    Raises
    ------
    G3ANError
        There is only one person: nothing tells appearance from motion. Or z_a has fewer numbers than are known.
    """

    def __init__(
        self, config: ModelConfig, subjects: Sequence[str], width: int = 256, looks: int = 64, courses: bool = False,
        known: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.subjects = sorted(set(subjects))
        if len(self.subjects) < 2:
            raise G3ANError("Reconstruction tells appearance from motion by people; the clips show one person only.")
        if known and config.z_a_dim < len(APPEARANCE):
            raise G3ANError(f"z_a has {config.z_a_dim} numbers; known looks take the first {len(APPEARANCE)} of it.")
        self.z_a_dim, self.z_m_dim, self.kinds = config.z_a_dim, config.z_m_dim, max(1, len(config.classes))
        self.classes = config.classes
        people, looks = len(self.subjects), min(looks, config.z_a_dim, len(self.subjects) - 1)
        self.people = nn.Parameter(torch.zeros(people, len(APPEARANCE) if known else looks), requires_grad=not known)
        self.told, self.known = courses, known
        told = MOTIONS + (TOLD_FRAMES * len(COURSES) if courses else 0)
        self.motion = nn.Sequential(
            nn.Linear(told + len(config.classes), width), nn.LeakyReLU(0.2),
            nn.Linear(width, width), nn.LeakyReLU(0.2), nn.Linear(width, config.z_m_dim),
        )  # fmt: skip
        size = SEEN_FRAMES * 32 * 32
        for name, *shape in (
            ("who", len(subjects)), ("average", people, 32 * 32), ("portrait", people, 3, 64, 64),
            ("gains", config.z_a_dim), ("move_mean", size), ("move_axes", size, MOTIONS),
            ("moves", FITTED_CLIPS, told), ("shares", FITTED_CLIPS, self.kinds), ("window", 2),
            ("begun", told, config.z_m_dim), ("course_middle", len(COURSES)), ("course_scale", len(COURSES)),
        ):  # fmt: skip
            self.register_buffer(name, torch.zeros(*shape))
        self.who = torch.tensor([self.subjects.index(subject) for subject in subjects])
        self.axes: Tensor  # of known looks, once they were fitted: see known_looks
        self.average: Tensor  # frame of each person, in grey, at half the resolution
        self.portrait: Tensor  # the same in colour, whole
        self.window: Tensor  # top and left of where people change most
        self.gains: Tensor  # how much each number of z_a may say: see Quiet
        self.move_mean: Tensor
        self.move_axes: Tensor
        self.moves: Tensor  # what z_m is read from, of the clips that it is whitened over
        self.shares: Tensor  # of each of them in its category's mean
        self.begun: Tensor  # weights of what z_m begins with
        self.course_middle: Tensor
        self.course_scale: Tensor  # mean and standard deviation over frames of clips, in each course's unit

    @torch.no_grad()
    def fit(self, data: ClipDataset, seed: int = 0, count: int = FITTED_CLIPS) -> Encoder:
        """Begin with principal components: of the people, and of ``count`` random clips; gives itself back.

        A number of z_a begins with a gain in proportion to what its component says, noise with :data:`LEAST_GAIN`.

        Parameters
        ----------
        data
            The videos of ``subjects``, in their order.
        seed
            Of the search for the components.
        count
            At least :data:`MOTIONS`, 128: fewer clips have fewer components than z_m is read from.

        Raises
        ------
        G3ANError
            ``count`` is smaller.
        """
        if count < MOTIONS:
            raise G3ANError(f"An encoder is fitted to {count} clips; its {MOTIONS} components of motion need as many.")
        self.portrait.copy_(_portraits(data))
        looks = _looks(self.portrait)
        self.average.copy_(looks.unflatten(1, (3, -1)).mean(1))
        if self.known:
            people, sizes, self.axes = known_looks(_factors(data), looks, seed)
        else:
            axes = whitening(looks - looks.mean(0), self.people.shape[1], seed)
            people, sizes = (looks - looks.mean(0)) @ axes, 1 / axes.norm(dim=0).clamp(min=1e-12)
        self.people.copy_(people)
        self.gains.fill_(LEAST_GAIN)[: len(sizes)] = (sizes / sizes[0]).clamp(LEAST_LOOK_GAIN, 1)

        epoch = data.epoch(2**29, count)
        rows, told, kinds, change = [], [], [], torch.zeros(64, 64)
        for k in range(count):
            clip = epoch[k]
            rows.append(self.move(clip["video"][None], self.who[[clip["index"]]]))
            if self.told and isinstance(data, FaceDataset):
                told.append(data.courses(clip))
            change += (clip["video"] - self.portrait[self.who[clip["index"]]][:, None]).abs().mean((0, 1))
            kinds.append(self.classes.index(data.classes[clip["category"]]) if self.classes else 0)
        found = F.avg_pool2d(change[None], NEAR, 1)[0]
        self.window.copy_(torch.stack([found.argmax() // found.shape[1], found.argmax() % found.shape[1]]))
        moves = torch.cat(rows)
        self.move_mean.copy_(moves.mean(0))
        self.move_axes.copy_(whitening(moves - moves.mean(0), MOTIONS, seed))
        again = torch.arange(FITTED_CLIPS) % count  # every buffer keeps its size
        moves = (moves - self.move_mean) @ self.move_axes
        if self.told:
            every = torch.stack(told)
            flat = every.transpose(0, 1).flatten(1)
            self.course_middle.copy_(flat.mean(1))
            self.course_scale.copy_(flat.std(1).clamp(min=1e-3))
            moves = torch.cat([moves, self._scaled(every)], 1)
        self.moves.copy_(moves[again])
        begun = self._beginning()
        self.begun.copy_(begun / (self.moves @ begun).std(0).clamp(min=1e-3))
        shares = F.one_hot(torch.tensor(kinds)[again], self.kinds).float()
        self.shares.copy_(shares / shares.sum(0).clamp(min=1))
        return self

    def unlike_normal(self) -> Tensor:
        """How far z_m of the clips that it is whitened over is from N(0, 1): near 0 where it is that, in each category.

        A draw is like the clips only as far as their codes are spread as draws are, and whitening sees to mean and
        covariance alone: a number that says whether the eyes close has two values, and a draw's is between them. This
        is the sliced Wasserstein distance, the mean squared difference of sorted projections and of the quantiles that
        they should have (Kolouri et al., "Sliced Wasserstein Auto-Encoders", ICLR 2019); but projections are the
        numbers themselves, and sums and differences of two: of ten numbers together almost any sum looks normal.
        """
        with torch.autocast(self.moves.device.type, enabled=False):
            read = self._read(self.moves, (self.shares > 0).float())
            _, centres, roots = _white(read, self.shares)
            own = self.shares.argmax(1)
            away = torch.linalg.solve_triangular(roots[own], (read - centres[own])[:, :, None], upper=False)[:, :, 0]
            one, other = torch.triu_indices(self.z_m_dim, self.z_m_dim, 1, device=away.device)
            pairs = torch.cat([away[:, one] + away[:, other], away[:, one] - away[:, other]], 1) / 2**0.5
            unlike = away.new_zeros(())
            for seen in (away, pairs):
                for kind in range(self.kinds):
                    some = seen[own == kind].sort(0).values
                    places = (torch.arange(len(some), device=seen.device) + 0.5) / max(1, len(some))
                    squares = (some - torch.special.ndtri(places)[:, None]).square()
                    unlike = unlike + squares.sum() / squares.shape[1] / len(seen)
            return unlike / 2

    def forward(
        self, video: Tensor, index: Tensor, c: Tensor | None = None, courses: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Codes without noise.

        Parameters
        ----------
        video
            ``(batch, 3, T, 64, 64)`` in [-1, 1], T at least 8.
        index
            Numbers of the videos that the clips are from, ``(batch,)``.
        c
            One-hot categories ``(batch, classes)``; None if unconditional.
        courses
            Of an encoder with courses: those of the clips, as :meth:`g3an.data.faces.dataset.FaceDataset.courses`
            gives them, ``(batch, 5, 16)``.

        Returns
        -------
        tuple of Tensor
            z_a, ``(batch, looks)``, fewer where there are few people: the rest of it is noise. z_m, ``(batch, 10)``.
        """
        # In full precision: the components are small differences of large sums.
        with torch.autocast(video.device.type, enabled=False):
            who = self.who[index]
            z_a = self.codes_of_people()[who]
            moves = (self.move(video, who) - self.move_mean) @ self.move_axes
            if courses is not None:
                moves = torch.cat([moves, self._scaled(courses)], 1)
            own = torch.zeros_like(who) if c is None else c.argmax(1)
            _, centres, roots = _white(self._read(self.moves, (self.shares > 0).float()), self.shares)
            away = self._read(moves, c) - centres[own]
            z_m = torch.linalg.solve_triangular(roots[own], away[:, :, None], upper=False)[:, :, 0]
        return z_a, z_m

    def codes_of_people(self) -> Tensor:
        """Whitened, in the order of ``subjects``: ``(people, looks)``, fewer numbers where there are few people.

        Known ones are as they are: they were drawn from N(0, 1).
        """
        if self.known:
            return self.people
        return _white(self.people, torch.ones_like(self.people[:, :1]) / len(self.people))[0]

    def lost(self, real: Tensor, made: Tensor, index: Tensor) -> Tensor:
        """Mean absolute difference of clips, weighed by how far a pixel is from its average in the person's clips.

        A mouth is a hundredth of the frame; by itself the mean over pixels does not see it move. A pixel's weight is 1
        and, in units of the clip's mean, that distance (at most :data:`LARGEST_WEIGHT`), which counts four times within
        the window. The sum is divided by 6: the mean weight is 5/6 where all change lies in the window, else less.

        Parameters
        ----------
        real, made
            ``(batch, 3, T, 64, 64)`` in [-1, 1].
        index
            Numbers of the videos that the clips are from, ``(batch,)``.
        """
        change = (real - self.portrait[self.who[index]][:, :, None]).abs().mean(1, keepdim=True)
        change = (change / change.mean((2, 3, 4), keepdim=True).clamp(min=1e-4)).clamp(max=LARGEST_WEIGHT)
        near = torch.ones_like(change[:1, :, :1])
        self._near(near).add_(NEAR_WEIGHT)
        return ((real - made).abs() * (1 + change * near)).mean() / 6

    def near(self, frames: Tensor) -> Tensor:
        """The window of frames ``(n, 3, 64, 64)``, at twice its size: ``(n, 3, 64, 64)``."""
        return F.interpolate(self._near(frames), scale_factor=2, mode="bilinear", align_corners=False)

    def _near(self, frames: Tensor) -> Tensor:
        top, left = (int(place) for place in self.window)
        return frames[..., top : top + NEAR, left : left + NEAR]

    def _read(self, moves: Tensor, c: Tensor | None) -> Tensor:
        read: Tensor = self.motion(torch.cat([moves, c.to(moves)], 1) if self.classes and c is not None else moves)
        return read + moves @ self.begun

    def _beginning(self) -> Tensor:
        """Weights ``(told, z_m_dim)``: the strongest components of motion; with courses first what these are.

        A blink is no strong component of anything, and a generator that is told nothing of blinks never makes one from
        which the code could learn: so two numbers begin as how far the lids close early and late in the clip.
        """
        rows = len(self.moves[0])
        columns = list(torch.eye(rows, MOTIONS).T)
        if self.told:
            late = torch.arange(TOLD_FRAMES) >= TOLD_FRAMES // 2
            level, late_less_early = torch.ones(TOLD_FRAMES), 2.0 * late - 1
            told = []
            for name, weights in (
                ("strength", level), ("strength", late_less_early), ("yaw", level), ("pitch", level), ("roll", level),
                ("blink", 1.0 * ~late), ("blink", 1.0 * late), ("yaw", late_less_early), ("pitch", late_less_early),
                ("roll", late_less_early),
            ):  # fmt: skip
                column = torch.zeros(rows)
                column[MOTIONS:].unflatten(0, (len(COURSES), TOLD_FRAMES))[list(COURSES).index(name)] = weights
                told.append(column)
            columns = told + columns
        return torch.stack(columns[: self.z_m_dim], 1)

    def _scaled(self, courses: Tensor) -> Tensor:
        return ((courses - self.course_middle[:, None]) / self.course_scale[:, None]).flatten(1)

    def move(self, video: Tensor, who: Tensor) -> Tensor:
        """How eight frames, evenly apart, differ from the person's average, in grey: ``(batch, 8192)``."""
        shown = torch.linspace(0, video.shape[2] - 1, SEEN_FRAMES).round().long()
        frames = F.interpolate(video[:, :, shown].float().mean(1), (32, 32), mode="area")
        return (frames.flatten(2) - self.average[who][:, None]).flatten(1)


def noisy(
    z_a: Tensor, z_m: Tensor, z_a_dim: int, random: torch.Generator, share: tuple[int, int] = (0, 1),
    look_noise: float = 0.1, motion_noise: float = 0.1,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Codes with noise, so that the generator learns the room between them too; ``random`` is on the CPU.

    z_a is filled up to ``(batch, z_a_dim)``.

    ``share`` (k, n) says that this is the batch of the k-th of n processes: they take their parts of one draw.
    """
    place, processes = share

    def noise(width: int) -> Tensor:
        return torch.randn((processes, len(z_a), width), generator=random)[place].to(z_a)

    rest = noise(z_a_dim - z_a.shape[1])
    return torch.cat([z_a + look_noise * noise(z_a.shape[1]), rest], 1), z_m + motion_noise * noise(z_m.shape[1])


def _white(rows: Tensor, shares: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Whiten ``rows`` ``(n, d)`` of several groups, through which gradients flow.

    Parameters
    ----------
    shares
        Of each row in each group's mean, ``(n, groups)``.

    Returns
    -------
    tuple of Tensor
        Rows whitened as those of the first group, ``(n, d)``; the groups' means ``(groups, d)``; lower triangular roots
        of their covariances ``(groups, d, d)``.
    """
    centres = shares.T @ rows
    away = rows[:, None] - centres
    spreads = torch.einsum("ng,ngi,ngj->gij", shares, away, away)
    least = LEAST_VARIANCE * spreads.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-6)
    roots = torch.linalg.cholesky(spreads + least[:, None, None] * torch.eye(rows.shape[1]).to(rows))
    return torch.linalg.solve_triangular(roots[0], away[:, 0].T, upper=False).T, centres, roots


class Quiet:
    """Keeps the numbers of z_a that say little from drowning those that say much.

    A hundred numbers of noise explain any sixteen clips better than five numbers that mean something do, and a
    generator that sees sixteen clips a step learns the noise. So its first weights of each number of z_a begin, and
    change at each step, in proportion to that number's gain.

    ``begin`` are the numbers of z_a whose first weights do not yet do so, and are multiplied by their gains: all of a
    new generator; of one that told people by more numbers, those that it no longer does.

    Use it around the generator's optimiser step::

        with quiet:
            optimiser.step()
    """

    def __init__(self, generator: Generator, gains: Tensor, begin: slice) -> None:
        self.weights = _weights_of_z_a(generator)
        self.gains = gains[:, None, None, None, None]
        with torch.no_grad():
            for weight in self.weights:
                weight[: len(gains)][begin] *= self.gains[begin]

    def __enter__(self) -> None:
        self.before = [weight[: len(self.gains)].detach().clone() for weight in self.weights]

    @torch.no_grad()
    def __exit__(self, *exception: object) -> None:
        for weight, before in zip(self.weights, self.before, strict=True):
            # The generator may have moved to a GPU since.
            weight[: len(before)] = before + self.gains.to(weight.device) * (weight[: len(before)] - before)


@torch.no_grad()
def turn_looks(generator: Generator, data: ClipDataset, seed: int, axes: Tensor) -> None:
    """Let a generator that learned by the known looks of one data set take those of another, in place.

    Both are the same factors as numbers from N(0, 1), each turned by what its own people showed: the generator's first
    weights of them are turned from the one to the other.

    Parameters
    ----------
    generator
        Whose first weights they are, with a spectral norm or not.
    data, seed
        What it learned from: simulated faces, and the seed of that run.
    axes
        Of the looks that it is to take: the third that :func:`known_looks` returns.
    """
    _, _, before = known_looks(_factors(data), _looks(_portraits(data)), seed)
    turn_first_weights(generator, (axes.T @ before).float())


@torch.no_grad()
def turn_first_weights(generator: Generator, turn: Tensor) -> None:
    """Let a generator make of z_a, in place, what it made of ``z_a @ turn``.

    Parameters
    ----------
    generator
        With a spectral norm or not.
    turn
        A rotation of z_a's first n numbers, ``(n, n)``.
    """
    for weight in _weights_of_z_a(generator):
        weight[: len(turn)] = torch.einsum("ij,j...->i...", turn.to(weight), weight[: len(turn)])


def _weights_of_z_a(generator: Generator) -> list[Tensor]:
    """Those that meet it first, z_a's numbers along their first dimension."""
    first = generator.modules_g3[0]
    beside = [first.conv_s] if "S" in generator.config.streams else []
    return [first_weight(part) for part in (*beside, first.conv_v)]


def first_weight(part: Any) -> Tensor:
    """Of the first convolution in ``part``, under a spectral norm or not: ``(inputs, outputs, ...)``."""
    while isinstance(part, nn.Sequential):
        part = part[0]
    weights: dict[str, Tensor] = dict(part.named_parameters())
    return weights["parametrizations.weight.original" if "weight" not in weights else "weight"]


def known_looks(factors: Tensor, looks: Tensor, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Codes of simulated people whose factors are known, so that a draw from N(0, 1) is somebody of the same kind.

    Hundreds of people are far apart in any space that tells them from each other, and a code that is learned for each
    says nothing of the room between them, where almost all draws lie. The factors fill that room: each was drawn by
    itself, from a known distribution, and becomes a number from N(0, 1) by its quantile, a hair style by a place within
    its share that is each person's own. The numbers are then turned, which leaves N(0, 1) what it is, so that the first
    ones change most: by the principal components of what the factors change in a person's average frame, as a linear
    regression sees it.

    Parameters
    ----------
    factors
        Values of :data:`g3an.data.faces.factors.APPEARANCE`, ``(people, 46)``.
    looks
        The people's average frames ``(people, n)``.
    seed
        Of the places within a style's share.

    Returns
    -------
    tuple of Tensor
        Codes ``(people, 46)``; how much each number of them changes, the largest first, ``(46,)``; and the axes that
        they were turned to, ``(46, 46)``, double.
    """
    random = torch.Generator().manual_seed(seed)
    within = torch.rand(factors.shape, generator=random)
    columns = []
    for value, place, factor in zip(factors.T, within.T, APPEARANCE, strict=True):
        if factor.spread:
            columns.append(value / factor.spread)
            continue
        width = factor.high - factor.low
        share = (value - factor.low + place) / (width + 1) if factor.whole else (value - factor.low) / width
        columns.append(torch.special.ndtri(share.clamp(0.002, 0.998)))
    normal = torch.stack(columns, 1).double()
    away = (looks - looks.mean(0)).double()
    ridge = RIDGE * torch.eye(normal.shape[1], dtype=torch.float64)
    effects = torch.linalg.solve(normal.T @ normal + ridge, normal.T @ away)
    axes, sizes, _ = torch.linalg.svd(effects, full_matrices=False)
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    return (normal @ axes).float(), sizes.float(), axes


def _portraits(data: ClipDataset) -> Tensor:
    """The average frame of each person, over clips from the beginning, middle and end of all videos, by name."""
    names = sorted(set(data.subjects))
    sums, met = torch.zeros(len(names), 3, 64, 64), torch.zeros(len(names), 1, 1, 1)
    for i, name in enumerate(data.subjects):
        last = data.count(i) - data.length
        for start in sorted({0, last // 2, last}):
            sums[names.index(name)] += data.clip(i, start)["video"].mean(1)
            met[names.index(name)] += 1
    return sums / met


def _looks(portraits: Tensor) -> Tensor:
    """Those at half the resolution: ``(people, 3072)``."""
    return F.interpolate(portraits, (32, 32), mode="area").flatten(1)


def _factors(data: ClipDataset) -> Tensor:
    """What simulated people look like, by name: ``(people, 46)``."""
    assert isinstance(data, FaceDataset)
    known = dict(zip(data.subjects, data.readers, strict=True))
    return torch.stack([torch.from_numpy(known[name].appearance()) for name in sorted(known)])


def whitening(rows: Tensor, count: int, seed: int) -> Tensor:
    """Axes of the largest ``count`` principal components, scaled so that each has unit variance: ``(size, count)``.

    A component's sign means nothing; it is chosen so that the largest weight is positive, for every machine alike.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _, sizes, axes = torch.svd_lowrank(rows.double(), q=min(count + 16, *rows.shape), niter=4)
    sizes, axes = sizes[:count], axes[:, :count]
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    return (axes / sizes.clamp(min=1e-6) * len(rows) ** 0.5).float()


def likeness(real: list[Tensor], made: list[Tensor]) -> Tensor:
    """Mean absolute difference of maps of :class:`g3an.perception.Perception`, a mean over the maps."""
    return torch.stack([F.l1_loss(x.float(), y.float()) for x, y in zip(made, real, strict=True)]).mean()


def flicker(real: Tensor, made: Tensor) -> Tensor:
    """Mean absolute difference of how clips ``(batch, 3, T, H, W)`` change from each frame to the next.

    What trembles by a grey level or two where nothing moves hardly counts in a mean over pixels, but is seen; and where
    something moves, this is wrong by as much as the pixels are.
    """
    return (made.float().diff(dim=2) - real.diff(dim=2)).abs().mean()


def movement(real: Tensor, made: Tensor) -> Tensor:
    """Mean absolute difference of how much moves, place by place, in clips ``(batch, 3, T, H, W)``.

    Where an arm may be in one of several places, the mean difference of pixels is least without any arm, so what moves
    fast fades. Here only the amount counts, the mean change from frame to frame within :data:`PLACE`: an arm a pixel
    aside costs little, one that faded as much as it lacks. Places where neither clip changes by more than
    :data:`STEADY_CHANGE` do not count, for nobody should learn the noise of a camera.
    """
    moves, moved = (F.avg_pool3d(clips.float().diff(dim=2).abs().mean(1), PLACE) for clips in (real, made))
    return ((moved - moves).abs() * (torch.maximum(moves, moved) > STEADY_CHANGE)).mean()
