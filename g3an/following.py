"""Following: the courses of a clip that is given back have to be those of the real one.

How strong an expression is, how the head turns and whether the lids close decide few pixels of a frame, a blink hardly
any, and a loss over pixels is slow to see them. Two readers of courses see nothing else, and what they see has
gradients. They learn from the simulated clips that the generator is trained on, never from generated ones, and are
others than the networks of the same kind that measure what comes out (:mod:`g3an.evaluation`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from g3an.data.faces.dataset import FaceDataset
from g3an.evaluation.factors import FactorNetwork, Seen
from g3an.evaluation.lids import BLINK, Lids

READ_FRAMES = 8
"""Frames that the readers see of a clip, evenly apart: half of its sixteen."""
SPREAD_CLIPS = 128


class Follower:
    """Says how far a clip is from the courses that it should have.

    Parameters
    ----------
    reader, lids
        Trained, in evaluation mode.
    data
        The clips, whose courses are known.
    """

    def __init__(self, reader: FactorNetwork, lids: Lids, data: FaceDataset) -> None:
        self.reader, self.lids = reader, lids
        clips, every = data.epoch(2**28, SPREAD_CLIPS), data.length // READ_FRAMES
        seen = reader.read(torch.stack([clips[k]["video"][:, ::every] for k in range(SPREAD_CLIPS)])).course
        # Of each course over frames, as the reader sees it; plain tensors, through which gradients may flow.
        self.spread = seen.transpose(0, 1).flatten(1).std(1).clone()
        self.within = seen.var(2).mean(0).sqrt().clone()
        self.spread[BLINK] = self.within[BLINK] = torch.inf  # it hardly sees blinks: those are the other's

    def to(self, device: torch.device | str) -> Follower:
        """Move to a device, in place."""
        self.reader.to(device)
        self.lids.to(device)
        self.spread, self.within = self.spread.to(device), self.within.to(device)
        return self

    def lost(self, real: Seen, made: Seen, video: Tensor, courses: Tensor) -> Tensor:
        """Near 1 where courses and blinks are not given back at all, near 0 where they are; gradients flow to the made.

        The mean of :meth:`Seen.astray` without blinks and of :meth:`Lids.astray`: blinks, which take longest to learn,
        have half of the weight.

        Parameters
        ----------
        real, made
            What the reader sees in :data:`READ_FRAMES` frames of each clip, evenly apart and in order.
        video
            These frames of the made clips, ``(B, 3, 8, 64, 64)`` in [-1, 1].
        courses
            Known ones of the same frames, ``(B, 5, 8)``.
        """
        return (real.astray(made, self.spread, self.within) + self.lids.astray(video, courses[:, BLINK])) / 2
