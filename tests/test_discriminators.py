"""D_V and D_I: shapes of the released code, other clip lengths, and the use of the category."""

from __future__ import annotations

import pytest
import torch

from g3an.discriminators import BatchSpread, ImageDiscriminator, VideoDiscriminator
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


def test_orthogonal_weights_let_the_input_through() -> None:
    """Under spectral norm, what reaches the logit depends on how far apart the singular values are."""
    clips = torch.randn(8, 3, 16, 64, 64, generator=torch.Generator().manual_seed(0))
    spread = {}
    for initial in ("normal", "orthogonal"):
        torch.manual_seed(0)
        judge = VideoDiscriminator(width=16, initial=initial)
        spread[initial] = judge(clips).std().item()
        for layer in (judge.features[0], judge.features[2], judge.logit):
            values = torch.linalg.svdvals(layer.weight.detach().flatten(1))
            assert values[0].item() == pytest.approx(1, abs=0.1)
            if initial == "orthogonal":
                assert torch.allclose(values, torch.ones_like(values), atol=0.01)
    assert spread["orthogonal"] > 3 * spread["normal"] > 0


def test_spread_of_a_batch_against_its_formula() -> None:
    spread = BatchSpread(3)
    spread.weight.data = torch.tensor([1.0, -2.0, 0.5])
    features = torch.randn(8, 3, 4, 1, 1)
    halves = [half.std(0, unbiased=False).mean((1, 2, 3)) @ spread.weight for half in features.split(4)]
    assert torch.allclose(spread(features, 2), torch.stack(halves).repeat_interleave(4), atol=1e-6)
    assert torch.allclose(spread(features[:1].expand(4, 3, 4, 1, 1)), torch.zeros(4), atol=1e-3)


@pytest.mark.parametrize(
    "judge", [VideoDiscriminator(2, 4, batch_spread=True), ImageDiscriminator(4, batch_spread=True)]
)
def test_with_spread_the_others_in_the_group_count(judge) -> None:
    """Begins as the judge without it; once its weight is learned, only those of the same group play a part."""
    judge.eval()
    shape = (4, 3, 16, 64, 64) if isinstance(judge, VideoDiscriminator) else (4, 3, 64, 64)
    batch = torch.randn(shape)
    c = (torch.eye(2)[[0, 1, 0, 1]],) if isinstance(judge, VideoDiscriminator) else ()
    changed = batch.clone()
    changed[3] *= 0.2
    assert torch.allclose(judge(batch, *c)[:3], judge(changed, *c)[:3], atol=1e-5)
    judge.spread.weight.data.fill_(1.0)
    one, other = judge(batch, *c, groups=2), judge(changed, *c, groups=2)
    assert torch.allclose(one[:2], other[:2], atol=1e-5) and not torch.allclose(one[2], other[2], atol=1e-5)
