"""The 3D ResNeXt-101 whose features the paper's FID compares."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from g3an.errors import G3ANError

FRAMES, SIDE = 16, 112
"""Of the clips that it learned from."""

MEAN = (114.7748, 107.7354, 99.4750)
"""Of red, green and blue in Kinetics, in levels of 255; there is no division by a deviation."""

STAGES = ((128, 3, 1), (256, 4, 2), (512, 23, 2), (1024, 3, 2))
"""Width, blocks and stride of each stage."""

_GROUPS = 32


class _Block(nn.Module):
    """Narrow 1³, 3³ in 32 groups, wide 1³, added to the input; attributes are named as in the published weights."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 2 * width
        self.conv1, self.bn1 = nn.Conv3d(inputs, width, 1, bias=False), nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(width, width, 3, stride, 1, groups=_GROUPS, bias=False)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3, self.bn3 = nn.Conv3d(width, outputs, 1, bias=False), nn.BatchNorm3d(outputs)
        # Shortcut "B": a projection where the shape changes, the input itself elsewhere.
        self.downsample = None
        if stride != 1 or inputs != outputs:
            projection = nn.Conv3d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm3d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + (x if self.downsample is None else self.downsample(x)))


class ResNeXt101(nn.Module):
    """Clips to pool features and logits of the 400 classes of Kinetics.

    Hara, Kataoka and Satoh, "Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?", CVPR 2018;
    101 layers, cardinality 32, shortcut B.
    """

    width = 2 * STAGES[-1][0]

    def __init__(self, classes: int = 400) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, 64, 7, (1, 2, 2), 3, bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        inputs = 64
        for number, (width, blocks, stride) in enumerate(STAGES, 1):
            first = _Block(inputs, width, stride)
            inputs = 2 * width
            rest = (_Block(inputs, width, 1) for _ in range(blocks - 1))
            self.add_module(f"layer{number}", nn.Sequential(first, *rest))
        self.fc = nn.Linear(self.width, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Clips as :func:`prepared` gives them to features ``(B, 2048)`` and logits ``(B, classes)``."""
        x = F.max_pool3d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for number in range(1, len(STAGES) + 1):
            x = self.get_submodule(f"layer{number}")(x)
        pooled = x.mean((2, 3, 4))
        return pooled, self.fc(pooled)


def prepared(clips: Tensor) -> Tensor:
    """Clips ``(B, 3, 16, H, W)`` in [-1, 1] as the network wants them: ``(B, 3, 16, 112, 112)``, 0 to 255 less MEAN.

    Raises
    ------
    G3ANError
        They do not have 16 frames.
    """
    if clips.shape[2] != FRAMES:
        raise G3ANError(f"The ResNeXt-101 looks at clips of {FRAMES} frames; these have {clips.shape[2]}.")
    frames = clips.transpose(1, 2).flatten(0, 1)
    frames = F.interpolate(frames, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
    levels = (frames + 1) * 127.5 - torch.tensor(MEAN).view(3, 1, 1)
    return levels.unflatten(0, (len(clips), FRAMES)).transpose(1, 2)


def load_resnext(path: str | Path) -> ResNeXt101:
    """The network with weights of 3D-ResNets-PyTorch, such as ``resnext-101-kinetics.pth``, in evaluation mode.

    The file is read as data: no code in it runs.

    Raises
    ------
    G3ANError
        The file is damaged, no file of weights, or of another network.
    """
    path = Path(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, KeyError, OSError):
        raise G3ANError(f"{os.fspath(path)} cannot be read as weights: damaged, or another kind of file.") from None
    weights = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise G3ANError(f"{os.fspath(path)} holds no weights under 'state_dict'.")
    # They were saved from several GPUs, which puts a word before every name.
    weights = {name.removeprefix("module."): value for name, value in weights.items()}
    # Empty tensors cost no time and draw no random numbers.
    with torch.device("meta"):
        network = ResNeXt101()
    for name, wanted in network.state_dict().items():
        if name.endswith("num_batches_tracked"):  # younger than the published weights, and of no use here
            weights.setdefault(name, torch.zeros((), dtype=torch.long))
        elif name not in weights or weights[name].shape != wanted.shape:
            found = tuple(weights[name].shape) if name in weights else "missing"
            raise G3ANError(
                f"{os.fspath(path)} holds another network than the ResNeXt-101 of Kinetics: {name} is {found}, not "
                f"{tuple(wanted.shape)}."
            )
    if unknown := sorted(weights.keys() - network.state_dict().keys()):
        raise G3ANError(f"{os.fspath(path)} holds another network than the ResNeXt-101: it has {unknown[0]}.")
    network.load_state_dict({name: value.float() if value.is_floating_point() else value
                             for name, value in weights.items()}, assign=True)  # fmt: skip
    return network.eval().requires_grad_(False)
