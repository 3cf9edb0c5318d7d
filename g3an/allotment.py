"""Allotment: every code that can be drawn belongs to a clip, which the generator gives back.

Codes that are read from the clips of nine people (:mod:`g3an.reconstruction`) leave nearly all of the room that
N(0, 1) fills empty: a draw lies between people, and what the generator makes there is a mixture of them that hardly
moves. So here it is the other way round. z_a and z_m are drawn from N(0, 1), as they will be after training, and fall
to the person and the window of their video whose codes are nearest. It is the principle of implicit maximum likelihood
estimation (Li and Malik, 2018), with codes that stay where they are: principal components of what people look like,
and of how they move.

The codes of n people in n - 1 whitened dimensions are the corners of a regular simplex. Each therefore owns an equal
share of the room, and a reflection that exchanges two corners exchanges their shares.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from g3an.data import ClipDataset
from g3an.errors import G3ANError
from g3an.reconstruction import LOOKS, Encoder, whitening

MOST_PULLED, PULLED_STEPS = 0.9, 4000
"""Share of the way to its code by which a draw is moved in the first step, and the step from which on none is."""


class Allotment:
    """Which codes belong to which window of which video.

    Parameters
    ----------
    encoder
        Fitted to ``data``: it knows what people look like on average.
    data
        With one frame step, and not mirrored.
    seed
        Of the principal components.

    Raises
    ------
    G3ANError
        There are more people than their codes have room for, or several frame steps.
    """

    def __init__(self, encoder: Encoder, data: ClipDataset, seed: int = 0) -> None:
        people = len(encoder.subjects)
        if people > min(LOOKS, encoder.z_a_dim) + 1:
            raise G3ANError(
                f"allotted shares z_a out among {min(LOOKS, encoder.z_a_dim) + 1} people at the most; "
                f"{data.name} has {people}. Train without it: then each has a code that is learned."
            )
        if len(data.steps) > 1:
            raise G3ANError(f"allotted gives back clips of one frame step; clip_steps names {list(data.steps)}.")
        self.data, self.z_a_dim = data, encoder.z_a_dim
        self.who = encoder.who.cpu()
        self.people = F.normalize(encoder.codes_of_people().detach().cpu(), dim=1)
        width = encoder.z_m_dim
        self.codes: list[Tensor] = [torch.empty(0)] * len(data)  # of each video, (windows, z_m_dim)
        self.weights: list[Tensor] = [torch.empty(0)] * len(data)  # of its category, (z_m_dim,)
        for kind in range(len(data.classes)):
            own = [i for i in range(len(data)) if data.categories[i] == kind]
            rows = [self._moves(encoder, i) for i in own]
            axes = whitening(torch.cat(rows), width, seed)
            for i, moves in zip(own, rows, strict=True):
                codes = moves @ axes
                # Somebody who moves little has windows for large z_m, too.
                self.codes[i] = codes / codes.std(0, correction=0).clamp(min=1e-3)
                self.weights[i] = axes.norm(dim=0).pow(-4)  # squared variances: what moves most decides

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
            Of the training. In the first :data:`PULLED_STEPS` draws are pulled towards the codes that they fall to,
            less and less: windows side by side blur together for a network that has yet to learn where one's room ends.

        Returns
        -------
        tuple of Tensor
            z_a ``(batch, 128)`` and z_m ``(batch, 10)``, in the end N(0, 1) over many draws of every person, and clips
            ``(batch, 3, T, 64, 64)`` in [-1, 1].
        """
        place, processes = share

        def normal(width: int) -> Tensor:
            return torch.randn((processes, len(index), width), generator=random)[place]

        z_a, z_m = normal(self.z_a_dim), normal(self.codes[0].shape[1])
        looks = z_a[:, : self.people.shape[1]]
        drawn, wanted = self.people[(looks @ self.people.T).argmax(1)], self.people[self.who[index.cpu()]]
        mirror = F.normalize(drawn - wanted, dim=1)  # 0 where the draw is the wanted person's already
        z_a[:, : looks.shape[1]] -= 2 * (looks * mirror).sum(1, keepdim=True) * mirror
        chosen = [(i, self.window(i, z)) for i, z in zip(index.tolist(), z_m, strict=True)]
        pull = MOST_PULLED * max(0.0, 1 - step / PULLED_STEPS)
        z_a[:, : looks.shape[1]].lerp_(wanted * looks.shape[1] ** 0.5, pull)
        z_m.lerp_(torch.stack([self.codes[i][start] for i, start in chosen]), pull)
        return z_a, z_m, torch.stack([self.data.clip(i, start, self.data.steps[0])["video"] for i, start in chosen])

    def window(self, i: int, z_m: Tensor) -> int:
        """First frame of the window of video ``i`` that moves most as ``z_m`` ``(10,)`` says."""
        return int(((self.codes[i] - z_m).square() * self.weights[i]).sum(1).argmin())

    @torch.no_grad()
    def _moves(self, encoder: Encoder, i: int) -> Tensor:
        """How each window of a video differs from the mean one: ``(windows, 8192)``."""
        data, step = self.data, self.data.steps[0]
        starts = range(data.count(i) - (data.length - 1) * step)
        who = encoder.who[[i]]
        moves = torch.cat(
            [encoder.move(data.clip(i, start, step)["video"][None].to(who.device), who) for start in starts]
        )
        return (moves - moves.mean(0)).cpu()
