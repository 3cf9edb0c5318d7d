"""How much of an expression is shown, frame by frame, in clips of simulated faces.

The network that reads all factors at once (:class:`g3an.evaluation.factors.FactorNetwork`) knows which expression it
is; when it begins, and how strong it gets, it tells loosely in people it has not met. This one looks at nothing else,
at the face in full resolution, and holds each frame against the others of its clip. It learned from clips of train
people and of more who are in no set, and never saw a generated one.
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

SHIPPED = Path(__file__).with_name("strength.safetensors")

SPREAD = 0.35
"""Standard deviation of the amplitude over all frames of the simulated sets."""

ROWS, COLUMNS = slice(12, 60), slice(10, 54)
"""Where brows, eyes and mouth can be, however the head is turned."""

STRENGTH = list(COURSES).index("strength")


class Strength(nn.Module):
    """How much of its expression a face shows, as :func:`g3an.data.faces.amplitude.amplitude` counts it."""

    width = 96

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 2
        for outputs, stride in ((24, 1), (48, 2), (64, 2), (96, 2)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.SiLU()]
            inputs = outputs
        layers += [nn.Flatten(), nn.Dropout(0.2), nn.Linear(6 * 6 * inputs, self.width), nn.SiLU()]
        self.layers = nn.Sequential(*layers)
        self.time = nn.ModuleList(
            nn.Conv1d(3 * self.width if first else self.width, self.width, 5, padding=2, padding_mode="replicate")
            for first in (True, False)
        )
        self.last = nn.Conv1d(self.width, 1, 1)

    def forward(self, videos: Tensor) -> Tensor:
        """Amplitude of ``(B, 3, T, 64, 64)`` in [-1, 1]: ``(B, T)``, about 0 to 1."""
        grey = videos.mean(1)[..., ROWS, COLUMNS]
        spread, mean = torch.std_mean(grey, (1, 2, 3), keepdim=True)
        grey = (grey - mean) / (spread + 0.05)
        seen = torch.stack([grey, 2 * (grey - grey.mean(1, keepdim=True))], 2).flatten(0, 1)
        each = self.layers(seen.contiguous(memory_format=torch.channels_last)).unflatten(0, grey.shape[:2])
        each = each.transpose(1, 2)
        # A frame is judged beside the clip's least and most, whichever they are: no one knows a stranger's rest.
        least, most = (x[:, :, None].expand_as(each) for x in (each.amin(2), each.amax(2)))
        for number, layer in enumerate(self.time):
            each = F.silu(layer(torch.cat([each, least, most], 1))) if number == 0 else each + F.silu(layer(each))
        shown: Tensor = self.last(each)[:, 0]
        return 0.4 * shown + 0.4

    @torch.inference_mode()
    def read(self, videos: Tensor, batch: int = 32) -> Tensor:
        """Amplitude in every frame of any number of clips, ``(B, T)``: 0 at rest, about 1 at the fullest.

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
            raise G3ANError("The network of strength is in training mode; call eval() before it reads.")
        return torch.cat([(self(x) + self(x.flip(4))) / 2 for x in videos.split(batch)])


def fit_strength(
    sets: Sequence[FaceDataset], epochs: int = 3, clips: int = 2016, batch: int = 16, learning_rate: float = 2e-3,
    seed: int = 0, progress: bool = True,
) -> Strength:  # fmt: skip
    """Train on clips of simulated sets, which take turns: mean squared error of the amplitude that they show.

    Parameters
    ----------
    sets
        Train people, 16 frames at step 1.
    epochs, clips, batch, learning_rate
        As for :func:`g3an.evaluation.course.fit_course`.
    """
    return fit_course(
        Strength, sets, lambda seen, truth: F.mse_loss(seen, truth["amplitude"]) / SPREAD**2, "strength",
        epochs=epochs, clips=clips, batch=batch, learning_rate=learning_rate, seed=seed, progress=progress,
    )  # fmt: skip


def save_strength(network: Strength, path: Path = SHIPPED) -> None:
    """Write the weights in half precision, atomically."""
    save_probe(network, path)


def load_strength(path: str | Path = SHIPPED) -> Strength:
    """The shipped network, or one that was saved by :func:`save_strength`.

    Raises
    ------
    G3ANError
        The file is missing, damaged or of another network.
    """
    network = Strength()
    load_probe(network, path, "network of strength")
    return network
