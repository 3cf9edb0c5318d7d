"""The two discriminators: D_V judges clips, D_I single frames."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from g3an.errors import G3ANError


def normalised(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, initial: str) -> nn.Module:
    """Spectral norm, on weights drawn from N(0, 0.02) or orthogonal.

    The norm divides by the largest singular value. Those of a normal matrix are far apart, so eleven layers let
    almost nothing through, and D_V tells nothing apart for hundreds of steps; those of an orthogonal one are equal.
    """
    if initial == "orthogonal":
        nn.init.orthogonal_(layer.weight)
    else:
        nn.init.normal_(layer.weight, 0.0, 0.02)
    return spectral_norm(layer)


class BatchSpread(nn.Module):
    """How far the samples of a batch lie apart, as a part of the verdict, against making one sample only.

    The standard deviation over the batch of every feature (after Karras et al., "Progressive Growing of GANs", ICLR
    2018, who append its mean as one feature more) is weighed by a learned vector, which begins at 0.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor, groups: int = 1) -> Tensor:
        """Features ``(batch, channels, ...)`` of ``groups`` equal groups after each other; returns ``(batch,)``."""
        parts = []
        for part in features.float().chunk(groups):
            spread = (part.var(0, unbiased=False) + 1e-8).sqrt()
            parts.append((spread.flatten(1).mean(1) @ self.weight).expand(len(part)))
        return torch.cat(parts)


class VideoDiscriminator(nn.Module):
    """D_V: (2+1)D convolutions, spectral norm, LeakyReLU(0.2), no normalisation of activations.

    Four pairs of a spatial (1, 4, 4) convolution of stride 2 and an unpadded temporal (4, 1, 1) one
    take 16 frames to 13, 10, 7 and 4; a last pair gives one logit.

    With categories it is a projection discriminator (Miyato and Koyama, 2018): with φ(x) the features before
    the last convolution, the logit is ``ψ(φ(x)) + ⟨V c, φ(x)⟩``, so that the loss can ask for the right
    action and not only for a plausible one. The appendix does not say how D_V sees c.

    Parameters
    ----------
    classes
        Number of categories; 0 makes it unconditional.
    width
        Channels after the first convolution; the released code has 64.
    initial
        ``normal`` (as the released code) or ``orthogonal``.
    batch_spread
        Whether :class:`BatchSpread` takes part; the released code has nothing like it.
    """

    shortest = 16

    def __init__(self, classes: int = 0, width: int = 64, initial: str = "normal", batch_spread: bool = False) -> None:
        super().__init__()
        self.classes = classes
        layers: list[nn.Module] = []
        inputs = 3
        for outputs in (width, 2 * width, 4 * width, 8 * width):
            layers += [
                normalised(nn.Conv3d(inputs, outputs, (1, 4, 4), (1, 2, 2), (0, 1, 1)), initial),
                nn.LeakyReLU(0.2),
                normalised(nn.Conv3d(outputs, outputs, (4, 1, 1)), initial),
                nn.LeakyReLU(0.2),
            ]
            inputs = outputs
        layers += [normalised(nn.Conv3d(inputs, inputs, (1, 4, 4)), initial), nn.LeakyReLU(0.2)]
        self.features = nn.Sequential(*layers)
        self.logit = normalised(nn.Conv3d(inputs, 1, (4, 1, 1)), initial)
        # One temporal filter a category, so that the order of the frames counts for the action as well.
        projection = nn.Conv3d(inputs, classes, (4, 1, 1), bias=False) if classes else None
        self.projection = normalised(projection, initial) if projection is not None else None
        self.spread = BatchSpread(inputs) if batch_spread else None

    def forward(self, video: Tensor, c: Tensor | None = None, groups: int = 1) -> Tensor:
        """Judge clips.

        Parameters
        ----------
        video
            ``(batch, 3, T, 64, 64)`` in [-1, 1], T at least 16. Longer clips are judged by every window of
            16 frames and the logits averaged.
        c
            One-hot categories ``(batch, classes)``; None if unconditional.
        groups
            Equal groups that the batch consists of, real clips and generated ones, say: each is a batch of its own
            for :class:`BatchSpread`.

        Returns
        -------
        Tensor
            Logits ``(batch,)``, high for real.

        Raises
        ------
        G3ANError
            The clip is too short, or c is missing or not expected.
        """
        if video.shape[2] < self.shortest:
            raise G3ANError(f"The clip has {video.shape[2]} frames; D_V needs at least {self.shortest}.")
        if (c is not None) != bool(self.classes):
            raise G3ANError(f"D_V was built for {self.classes} categories: give c exactly if there are any.")
        features = self.features(video)
        logits = self.logit(features).flatten(1)
        if self.projection is not None and c is not None:
            by_class = self.projection(features).flatten(2)
            logits = logits + torch.einsum("bkt,bk->bt", by_class, c.to(by_class))
        verdict = logits.mean(1)
        return verdict if self.spread is None else verdict + self.spread(features, groups)


class ImageDiscriminator(nn.Module):
    """D_I: the discriminator of DCGAN with spectral norm, on one frame; it never sees the category.

    Parameters
    ----------
    width
        Channels after the first convolution; the released code has 64.
    initial
        ``normal`` (as the released code) or ``orthogonal``.
    batch_spread
        Whether :class:`BatchSpread` takes part; the released code has nothing like it.
    """

    def __init__(self, width: int = 64, initial: str = "normal", batch_spread: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for outputs in (width, 2 * width, 4 * width, 8 * width):
            layers += [normalised(nn.Conv2d(inputs, outputs, 4, 2, 1), initial), nn.LeakyReLU(0.2)]
            inputs = outputs
        self.net = nn.Sequential(*layers, normalised(nn.Conv2d(inputs, 1, 4), initial))
        self.spread = BatchSpread(inputs) if batch_spread else None

    def forward(self, frame: Tensor, groups: int = 1) -> Tensor:
        """Judge frames ``(batch, 3, 64, 64)`` in [-1, 1], in ``groups`` as for D_V; returns logits ``(batch,)``."""
        features = self.net[:-1](frame)
        verdict = self.net[-1](features).flatten()
        return verdict if self.spread is None else verdict + self.spread(features, groups)
