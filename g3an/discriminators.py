"""The two discriminators: D_V judges clips, D_I single frames."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from g3an.errors import G3ANError


def _normalised(layer: nn.Conv2d | nn.Conv3d) -> nn.Module:
    """Spectral norm and N(0, 0.02), as for every layer of both discriminators."""
    nn.init.normal_(layer.weight, 0.0, 0.02)
    return spectral_norm(layer)


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
    """

    shortest = 16

    def __init__(self, classes: int = 0, width: int = 64) -> None:
        super().__init__()
        self.classes = classes
        layers: list[nn.Module] = []
        inputs = 3
        for outputs in (width, 2 * width, 4 * width, 8 * width):
            layers += [
                _normalised(nn.Conv3d(inputs, outputs, (1, 4, 4), (1, 2, 2), (0, 1, 1))),
                nn.LeakyReLU(0.2),
                _normalised(nn.Conv3d(outputs, outputs, (4, 1, 1))),
                nn.LeakyReLU(0.2),
            ]
            inputs = outputs
        layers += [_normalised(nn.Conv3d(inputs, inputs, (1, 4, 4))), nn.LeakyReLU(0.2)]
        self.features = nn.Sequential(*layers)
        self.logit = _normalised(nn.Conv3d(inputs, 1, (4, 1, 1)))
        # One temporal filter a category, so that the order of the frames counts for the action as well.
        self.projection = _normalised(nn.Conv3d(inputs, classes, (4, 1, 1), bias=False)) if classes else None

    def forward(self, video: Tensor, c: Tensor | None = None) -> Tensor:
        """Judge clips.

        Parameters
        ----------
        video
            ``(batch, 3, T, 64, 64)`` in [-1, 1], T at least 16. Longer clips are judged by every window of
            16 frames and the logits averaged.
        c
            One-hot categories ``(batch, classes)``; None if unconditional.

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
        return logits.mean(1)


class ImageDiscriminator(nn.Module):
    """D_I: the discriminator of DCGAN with spectral norm, on one frame; it never sees the category.

    Parameters
    ----------
    width
        Channels after the first convolution; the released code has 64.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for outputs in (width, 2 * width, 4 * width, 8 * width):
            layers += [_normalised(nn.Conv2d(inputs, outputs, 4, 2, 1)), nn.LeakyReLU(0.2)]
            inputs = outputs
        self.net = nn.Sequential(*layers, _normalised(nn.Conv2d(inputs, 1, 4)))

    def forward(self, frame: Tensor) -> Tensor:
        """Judge frames ``(batch, 3, 64, 64)`` in [-1, 1]; returns logits ``(batch,)``."""
        return self.net(frame).flatten()
