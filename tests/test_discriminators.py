"""D_V and D_I: shapes of the released code, other clip lengths, and the use of the category."""

from __future__ import annotations

import pytest
import torch

from g3an.discriminators import ImageDiscriminator, VideoDiscriminator
from g3an.errors import G3ANError


def test_video_discriminator_layers() -> None:
    judge = VideoDiscriminator(width=64)
    shapes = [tuple(layer.weight.shape) for layer in judge.features if hasattr(layer, "weight")]
    assert shapes[:4] == [(64, 3, 1, 4, 4), (64, 64, 4, 1, 1), (128, 64, 1, 4, 4), (128, 128, 4, 1, 1)]
    assert shapes[-1] == (512, 512, 1, 4, 4) and tuple(judge.logit.weight.shape) == (1, 512, 4, 1, 1)
    frames = []
    x = torch.randn(1, 3, 16, 64, 64)
    for layer in judge.features:
        x = layer(x)
        frames.append(x.shape[2])
    assert sorted(set(frames), reverse=True) == [16, 13, 10, 7, 4]


@pytest.mark.parametrize("frames", [16, 17, 24, 48])
def test_other_lengths(frames: int) -> None:
    assert VideoDiscriminator(width=4)(torch.randn(2, 3, frames, 64, 64)).shape == (2,)


def test_a_longer_clip_is_judged_by_its_windows() -> None:
    judge = VideoDiscriminator(width=4).eval()
    video = torch.randn(1, 3, 18, 64, 64)
    windows = torch.stack([judge(video[:, :, start : start + 16]) for start in range(3)]).mean(0)
    assert torch.allclose(judge(video), windows, atol=1e-6)


def test_category_changes_the_verdict() -> None:
    judge = VideoDiscriminator(classes=3, width=4).eval()
    video = torch.randn(1, 3, 16, 64, 64)
    verdicts = [judge(video, category[None]).item() for category in torch.eye(3)]
    assert len(set(verdicts)) == 3


def test_wrong_input() -> None:
    with pytest.raises(G3ANError, match="at least 16"):
        VideoDiscriminator(width=4)(torch.randn(1, 3, 15, 64, 64))
    with pytest.raises(G3ANError, match="3 categories"):
        VideoDiscriminator(classes=3, width=4)(torch.randn(1, 3, 16, 64, 64))


def test_image_discriminator() -> None:
    assert ImageDiscriminator(width=4)(torch.randn(5, 3, 64, 64)).shape == (5,)
