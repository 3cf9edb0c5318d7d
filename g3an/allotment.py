"""Allotment: every code that can be drawn belongs to a clip, which the generator gives back.

Codes that are read from the clips of nine people (:mod:`g3an.reconstruction`) leave nearly all of the room that
N(0, 1) fills empty: a draw lies between people, and what the generator makes there is a mixture of them that hardly
moves. So here it is the other way round. z_a and z_m are drawn from N(0, 1), as they will be after training, and each
draw falls to a person and to a window of their video. It is the principle of implicit maximum likelihood estimation (Li
and Malik, 2018), with codes that stay where they are.

z_a falls to the person whose code is nearest. The codes of n people in n - 1 whitened dimensions are the corners of a
regular simplex. Each therefore owns an equal share of the room, and a reflection that exchanges two corners exchanges
their shares.

z_m falls to a window by its first two numbers. Clips of people who do one thing again and again differ in when they
begin: the angle of the two says at which point of the movement. Of a movement that does not come again the first number
says when. Where clips have several frame steps the third number says how fast: slowly from far below 0, fast from far
above. Where they are mirrored at random the number after these says which it is: below 0 the clip as it was filmed,
above 0 its mirror image. So the side on which somebody waves or bends is motion, and a mirrored person is the same one.
Nothing heeds the others. (The nearest components of motion say the same less clearly: ``reports/training.md`` has how
well either can be learned.) Of the turns that a video shows only the middle one is given back. No two turns are alike:
arms that swing a frame earlier or later in the next are several pixels away, and a network that is to give both gives a
blur. For the same reason the angle is then moved to that of the window. Where a video ends before a fast clip does, the
clip goes on a turn earlier.

What moves fast is what stays blurred longest, and every window is to be learned. So videos come up in training in
proportion to how much moves in all that is given back of them (:attr:`Allotment.often`). That changes nothing about
which codes belong to which clip.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from g3an.config import number_of_side
from g3an.data import ClipDataset
from g3an.errors import G3ANError
from g3an.reconstruction import Encoder

MOST_PULLED, PULLED_STEPS = 0.9, 4000
"""Share of the way to its code by which a draw is moved in the first step, and the step from which on none is."""
SHORTEST_TURN, LIKE = 10, 0.66
"""Of a movement that comes again: windows that it takes at least; how far windows a turn apart may differ, as a share
of what the least alike differ."""
SEEN_BEYOND = 5
"""Windows that must be seen beyond a turn for it to be found."""
PHASES, AGAIN = 32, 3
"""Of a turn, at which people's movements are compared to find how far one is ahead of the other; and how often each
person's is."""

STEADY = 0.5
"""Of the share of draws that fall to a frame step, this part in the middle has exactly that; from one step to the next
it changes evenly, for a leap would leave a mixture of both in between. The slowest and the fastest hold to the end."""

STILL = 0.25
"""Share of a video's pixels that are taken to be still."""


class Allotment:
    """Which codes belong to which window of which video.

    Parameters
    ----------
    encoder
        Fitted to ``data``: it knows what people look like on average.
    data
        With several frame steps the one halfway between the least and the greatest tells turns and windows, or the
        greatest below it at which the shortest video shows windows enough for a turn.

    Raises
    ------
    G3ANError
        There are more people than their codes have room for, z_m has fewer numbers than say something, or a video is
        too short for a clip at the least step.
    """

    def __init__(self, encoder: Encoder, data: ClipDataset) -> None:
        people = len(encoder.subjects)
        if people > encoder.people.shape[1] + 1:
            raise G3ANError(
                f"allotted shares z_a out among {encoder.people.shape[1] + 1} people at the most; "
                f"{data.name} has {people}. Train without it: then each has a code that is learned."
            )
        self.side = number_of_side(data.steps)
        """The number of z_m that says, where clips are mirrored, whether one is."""
        heeded = self.side + data.mirror
        if encoder.z_m_dim < heeded:
            raise G3ANError(f"allotted needs {heeded} numbers of z_m to say when, how fast and which side; the network "
                            f"has {encoder.z_m_dim}.")  # fmt: skip
        data.require_lengths()
        counts = [data.count(i) for i in range(len(data))]
        most = (min(counts) - SHORTEST_TURN - SEEN_BEYOND) // (data.length - 1)
        self.step = max(data.steps[0], min((data.steps[0] + data.steps[-1]) // 2, most))
        """At which turns and windows are told."""
        self.windows = [count - (data.length - 1) * self.step for count in counts]
        self.data, self.z_a_dim, self.z_m_dim = data, encoder.z_a_dim, encoder.z_m_dim
        self.who = encoder.who.cpu()
        self.people = F.normalize(encoder.codes_of_people().detach().cpu(), dim=1)
        self.turns = [float(count) for count in self.windows]
        """Of each video: windows from one turn of the movement to the next; all of them if it does not come again."""
        self.starts = [0.0] * len(data)
        """Of each video: the window from which the turn is counted."""
        self.again = [False] * len(data)
        """Of each video: whether its movement comes again."""
        for kind in range(len(data.classes)):
            own = [i for i in range(len(data)) if data.categories[i] == kind]
            moves = [self._moves(encoder, i) for i in own]
            found = [turn(rows) for rows in moves]
            known = torch.tensor([length for length in found if length])
            if len(known):
                lengths = [length or float(known.median()) for length in found]
                ahead = leads(moves, lengths)
                for i, length, lead in zip(own, lengths, ahead, strict=True):
                    self.turns[i], self.starts[i], self.again[i] = length, lead * length, True
        given = [min(count, length) for count, length in zip(self.windows, self.turns, strict=True)]
        self.often = [self._change(i) * count for i, count in enumerate(given)]
        """Of each video: mean absolute change of a pixel from one of a clip's frames to the next, but for noise, times
        the windows that are given back."""

    def draw(
        self, index: Tensor, random: torch.Generator, share: tuple[int, int] = (0, 1), step: int = PULLED_STEPS
    ) -> tuple[Tensor, ...]:
        """Codes that belong to people, and the clips that fall to them.

        Parameters
        ----------
        index
            Numbers of videos, ``(batch,)``.
        random
            On the CPU.
        share
            (k, n): this is the batch of the k-th of n processes; they take their parts of one draw.
        step
            Of the training. In the first :data:`PULLED_STEPS` z_a is pulled towards the code that it falls to, less and
            less: people side by side blur together for a network that has yet to learn where one's room ends. The two
            numbers of z_m that are an angle are pulled towards a circle, on which what they say is nearly linear, and
            those that nothing heeds towards 0.

        Returns
        -------
        tuple of Tensor
            z_a ``(batch, 128)`` and z_m ``(batch, 10)``, in the end N(0, 1) over many draws of every person but for the
            angle, which takes as many values as there are windows, clips ``(batch, 3, T, 64, 64)`` in [-1, 1], and
            which of them are mirrored, ``(batch,)``.
        """
        place, processes = share

        def normal(width: int) -> Tensor:
            return torch.randn((processes, len(index), width), generator=random)[place]

        z_a, z_m = normal(self.z_a_dim), normal(self.z_m_dim)
        looks = z_a[:, : self.people.shape[1]]
        drawn, wanted = self.people[(looks @ self.people.T).argmax(1)], self.people[self.who[index.cpu()]]
        mirror = F.normalize(drawn - wanted, dim=1)  # 0 where the draw is the wanted person's already
        z_a[:, : looks.shape[1]] -= 2 * (looks * mirror).sum(1, keepdim=True) * mirror
        shown = [self.frames(i, z) for i, z in zip(index.tolist(), z_m, strict=True)]
        for i, z, (place, *_) in zip(index.tolist(), z_m, shown, strict=True):
            if self.again[i] and 0 < place < self.windows[i] - 1:  # the first and the last may stand for some time
                angle = middle(place, self.windows[i], self.turns[i], self.starts[i])
                z[:2] = z[:2].norm() * torch.tensor([math.cos(angle), math.sin(angle)])
        pull = MOST_PULLED * max(0.0, 1 - step / PULLED_STEPS)
        z_a[:, : looks.shape[1]].lerp_(wanted * looks.shape[1] ** 0.5, pull)
        again = torch.tensor([self.again[i] for i in index.tolist()])[:, None]
        z_m[:, :2].lerp_(torch.where(again, 2**0.5 * F.normalize(z_m[:, :2], dim=1), z_m[:, :2]), pull)
        z_m[:, self.side + self.data.mirror :] *= 1 - pull
        mirrored = z_m[:, self.side] > 0 if self.data.mirror else torch.zeros(len(z_m), dtype=torch.bool)
        clips = [
            self.data.clip_of(i, numbers, flip)["video"]
            for i, numbers, flip in zip(index.tolist(), shown, mirrored.tolist(), strict=True)
        ]
        return z_a, z_m, torch.stack(clips), mirrored

    def window(self, i: int, z_m: Tensor) -> int:
        """First frame of the window of video ``i`` that falls to ``z_m`` ``(10,)``, at :attr:`step`."""
        return window(z_m, self.windows[i], self.turns[i], self.starts[i], self.again[i])

    def frames(self, i: int, z_m: Tensor) -> list[int]:
        """Numbers of the frames of video ``i`` that fall to ``z_m`` ``(10,)``, as many as a clip has.

        A movement that comes again begins as at :attr:`step`, whatever its own; one that does not is seen
        from any place on from which the video has frames enough.
        """
        last, moments = self.data.count(i) - 1, range(self.data.length)
        if self.again[i]:
            step, start = pace(z_m, self.data.steps), self.window(i, z_m)
            numbers = [start + step * moment for moment in moments]
            earlier = [self.turns[i] * max(0, math.ceil((n - last) / self.turns[i])) for n in numbers]
            # A turn that is known from other videos may be longer than this one.
            return [max(0, math.floor(n - turns + 0.5)) for n, turns in zip(numbers, earlier, strict=True)]
        steps = self.data.length - 1
        span = min(math.floor(steps * pace(z_m, self.data.steps) + 0.5), last)
        start = window(z_m, last + 1 - span, last + 1 - span, 0.0, False)
        return [start + math.floor(span * moment / steps + 0.5) for moment in moments]

    def _change(self, i: int) -> float:
        """Mean absolute change of a pixel of a video over :attr:`step` frames, above that of still ones, in [0, 2].

        A wall changes, too, by the camera's noise: half of all change where somebody waves with one hand.
        """
        frames = torch.from_numpy(self.data.frames(i)).float()
        step = self.step
        change = (frames[step:] - frames[:-step]).abs().mean((0, 3)).flatten() / 127.5
        return float((change - change.quantile(STILL)).clamp(min=0).mean())

    @torch.no_grad()
    def _moves(self, encoder: Encoder, i: int) -> Tensor:
        """How each window of a video differs from the mean one: ``(windows, 8192)``."""
        data, step = self.data, self.step
        who, starts = encoder.who[[i]], range(self.windows[i])
        moves = torch.cat(
            [encoder.move(data.clip(i, start, step)["video"][None].to(who.device), who) for start in starts]
        )
        return (moves - moves.mean(0)).cpu()


def window(z_m: Tensor, count: int, length: float, start: float, again: bool) -> int:
    """The window that falls to a code: a number from 0 to ``count - 1``.

    Parameters
    ----------
    z_m
        ``(10,)``, of which the first two numbers are heeded.
    count
        Of the video's windows.
    length, start
        Windows that a turn of the movement takes; the one from which it is counted.
    again
        Whether the movement comes again: its points are then those of a circle, else of a line.
    """
    z = z_m[:2].tolist()
    when = math.atan2(z[1], z[0]) / math.tau % 1 if again else _share(z[0])
    begin = _begin(count, length)
    place = begin + (when * length + start - begin) % length
    if place >= count:  # the video ends before the turn does
        return count - 1 if place - count < length - place else 0
    return int(place)


def pace(z_m: Tensor, steps: Sequence[int]) -> float:
    """The frame step that falls to a code, between the least and the greatest.

    Parameters
    ----------
    z_m
        ``(10,)``, of which the third number is heeded.
    steps
        Of the data's clips, in order, equally often.
    """
    edges = [(k + side) / len(steps) for k in range(len(steps)) for side in ((1 - STEADY) / 2, (1 + STEADY) / 2)]
    return float(np.interp(_share(float(z_m[2])), edges, np.repeat(steps, 2)))


def middle(place: int, count: int, length: float, start: float) -> float:
    """The angle, in radians, in the middle of those that fall to a window of a movement that comes again.

    Parameters
    ----------
    place
        A window of the turn that is given back.
    count, length, start
        As for :func:`window`.
    """
    wide = min(1.0, _begin(count, length) + length - place)
    return math.tau * (place + wide / 2 - start) / length


def _begin(count: int, length: float) -> int:
    """First window of the turn in the middle."""
    return max(0, int((count - length) / 2))


def _share(z: float) -> float:
    """Of N(0, 1) below ``z``: less than 1, for that would be the start again."""
    return min((1 + math.erf(z / 2**0.5)) / 2, 1 - 1e-12)


def turn(moves: Tensor) -> float | None:
    """Windows after which a movement comes again; None if it does not, or not within the video.

    Parameters
    ----------
    moves
        What each window shows, in order: ``(windows, n)``.
    """
    distances = torch.cdist(moves, moves).square()
    apart = torch.tensor([distances.diagonal(lag).mean() for lag in range(len(moves) - 3)])
    for lag in range(SHORTEST_TURN, len(apart) - 1):
        before, here, after = apart[lag - 1 : lag + 2].tolist()
        if here < before and here <= after and here < LIKE * apart[:lag].max():
            return lag + (before - after) / (2 * (before - 2 * here + after))  # the vertex of the parabola
    return None


def leads(moves: list[Tensor], lengths: list[float]) -> list[float]:
    """How far each person's movement is ahead, as a share of a turn in [0, 1): the same motion for all is then one z_m.

    Parameters
    ----------
    moves
        Of each person, what each window shows: ``(windows, n)``.
    lengths
        Of their turns, in windows.
    """
    phases = torch.arange(PHASES) / PHASES
    shown, known = [], []
    for rows, length in zip(moves, lengths, strict=True):
        at = (phases * length).long()
        known.append((at < len(rows)).float())
        rows = rows[at.clamp(max=len(rows) - 1)] * known[-1][:, None]
        shown.append(F.normalize(rows, dim=1))  # somebody large moves more pixels
    ahead = [0] * len(moves)
    order = sorted(range(len(moves)), key=lambda k: -len(moves[k]))
    turned = order[:1]  # who is seen longest leads nobody
    for k in order[1:] * AGAIN:
        others = [m for m in turned if m != k]
        middle = torch.stack([shown[m].roll(-ahead[m], 0) for m in others]).sum(0)
        middle /= torch.stack([known[m].roll(-ahead[m]) for m in others]).sum(0).clamp(min=1)[:, None]
        like = [(shown[k].roll(-lead, 0) * middle).sum() for lead in range(PHASES)]
        ahead[k] = int(torch.stack(like).argmax())
        turned = sorted({*turned, k})
    return [lead / PHASES for lead in ahead]
