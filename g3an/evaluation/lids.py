"""How far the lids are closed, frame by frame, in clips of simulated faces.

A blink lasts three frames of a few pixels each. The network that reads all factors at once
(:class:`g3an.evaluation.factors.FactorNetwork`) explains a sixth of its variance; this one looks at nothing else, at
full resolution, around the eyes. It learned from clips of train people and never saw a generated one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from g3an.data.faces.dataset import FaceDataset
from g3an.data.faces.motion import COURSES
from g3an.errors import G3ANError
from g3an.evaluation.course import fit_course
from g3an.evaluation.probes import load_probe, save_probe

SHIPPED = Path(__file__).with_name("lids.safetensors")

ROWS, COLUMNS = slice(12, 44), slice(10, 54)
"""Where eyes can be, however the head is turned."""

BLINK = list(COURSES).index("blink")
MEAN = 0.05
"""Closure of the lids over all frames of the simulated sets."""


class Lids(nn.Module):
    """Closure of the lids, of a frame and what differs in it from the median frame of its clip."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 2
        for outputs, stride in ((24, 1), (32, 2), (48, 2), (64, 2)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.SiLU()]
            inputs = outputs
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2), nn.Linear(4 * 6 * 64, 64), nn.SiLU())
        self.last = nn.Linear(64, 1)

    def forward(self, videos: Tensor) -> Tensor:
        """Logits of the closure of ``(B, 3, T, 64, 64)`` in [-1, 1]: ``(B, T)``."""
        grey = videos.mean(1)[..., ROWS, COLUMNS]
        spread, mean = torch.std_mean(grey, (1, 2, 3), keepdim=True)
        grey = (grey - mean) / (spread + 0.05)
        away = grey - grey.median(1, keepdim=True).values
        seen = torch.stack([grey, 2 * away], 2).flatten(0, 1)
        closed: Tensor = self.last(self.layers(seen.contiguous(memory_format=torch.channels_last)))
        return closed.unflatten(0, grey.shape[:2])[..., 0]

    def astray(self, made: Tensor, closed: Tensor) -> Tensor:
        """How far the lids of clips are from where they should be; gradients flow to ``made``.

        The cross entropy of ``closed`` ``(B, T)``, over that of its mean, :data:`MEAN`: about 1 where nobody blinks, at
        the least some tenths, since closures are not all 0 or 1.
        """
        plain = F.binary_cross_entropy(torch.tensor(MEAN), torch.tensor(MEAN))
        return F.binary_cross_entropy_with_logits(self(made).float(), closed) / plain

    @torch.inference_mode()
    def read(self, videos: Tensor, batch: int = 32) -> Tensor:
        """Closure in every frame of any number of clips, from 0, open, to 1, shut: ``(B, T)``.

        A mean of the clips and their mirror images, in evaluation mode.

        Parameters
        ----------
        videos
            ``(B, 3, T, 64, 64)`` in [-1, 1].

        Raises
        ------
        G3ANError
            The network is in training mode.
        """
        if self.training:
            raise G3ANError("The network of the lids is in training mode; call eval() before it reads.")
        parts = [(self(x).sigmoid() + self(x.flip(4)).sigmoid()) / 2 for x in videos.split(batch)]
        return torch.cat(parts)


def fit_lids(
    sets: Sequence[FaceDataset], epochs: int = 3, clips: int = 2016, batch: int = 16, learning_rate: float = 2e-3,
    seed: int = 0, progress: bool = True,
) -> Lids:  # fmt: skip
    """Train on clips of simulated sets, which take turns: cross entropy of the closure that they were drawn with.

    Parameters
    ----------
    sets
        Train people, 16 frames at step 1.
    epochs, clips, batch, learning_rate
        Adam with one cycle of the learning rate; ``clips`` random ones of each set an epoch.
    """
    return fit_course(
        Lids, sets, lambda seen, truth: F.binary_cross_entropy_with_logits(seen, truth["course"][:, BLINK]), "lids",
        epochs=epochs, clips=clips, batch=batch, learning_rate=learning_rate, seed=seed, progress=progress,
    )  # fmt: skip


def save_lids(network: Lids, path: Path = SHIPPED) -> None:
    """Write the weights in half precision, atomically."""
    save_probe(network, path)


def load_lids(path: str | Path = SHIPPED) -> Lids:
    """The shipped network, or one that was saved by :func:`save_lids`.

    Raises
    ------
    G3ANError
        The file is missing, damaged or of another network.
    """
    network = Lids()
    load_probe(network, path, "network of the lids")
    return network
