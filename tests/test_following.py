"""What follows the courses of clips that are given back."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from g3an import following
from g3an.config import ModelConfig, TrainConfig
from g3an.data.faces.dataset import FaceDataset
from g3an.data.faces.motion import COURSES
from g3an.data.faces.sets import videos
from g3an.evaluation.factors import FactorNetwork, Seen
from g3an.evaluation.lids import BLINK, Lids
from g3an.following import Follower
from g3an.perception import Perception
from g3an.training import _lost, _Told, train


@pytest.fixture(scope="module")
def faces() -> FaceDataset:
    """The clips of two simulated people."""
    made = [video for video in videos("mug-sim") if video.person in (0, 1)]
    return FaceDataset("mug-sim", made, length=16, steps=(1,)).keep()


@pytest.fixture
def follower(faces, monkeypatch) -> Follower:
    monkeypatch.setattr(following, "SPREAD_CLIPS", 24)
    torch.manual_seed(0)
    return Follower(FactorNetwork().eval(), Lids().eval(), faces)


def test_spreads_are_those_of_what_the_reader_sees(faces, follower):
    epoch = faces.epoch(2**28, 24)
    seen = follower.reader.read(torch.stack([epoch[k]["video"][:, ::2] for k in range(24)])).course
    for k in range(len(COURSES)):
        wanted = (torch.inf, torch.inf) if k == BLINK else (seen[:, k].std(), seen[:, k].var(1).mean().sqrt())
        assert (follower.spread[k], follower.within[k]) == pytest.approx(tuple(map(float, wanted)), rel=1e-4)


def test_the_courses_of_a_batch_are_those_of_its_clips(faces):
    epoch = faces.epoch(0, 8)
    batch = next(iter(DataLoader(_Told(faces, epoch), 4, sampler=range(4))))
    assert torch.equal(batch["courses"], torch.stack([faces.courses(epoch[k]) for k in range(4)]))
    assert torch.equal(batch["video"], torch.stack([epoch[k]["video"] for k in range(4)]))


def test_what_is_lost_has_gradients_and_is_of_courses_and_blinks(faces, follower):
    epoch = faces.epoch(0, 2)
    real = torch.stack([epoch[k]["video"][:, ::2] for k in range(2)])
    courses = torch.stack([faces.courses(epoch[k])[:, ::2] for k in range(2)])
    made, seen = real.flip(2).clone().requires_grad_(), follower.reader.seen(real)
    lost = follower.lost(seen, follower.reader.seen(made), made, courses)
    lost.backward()
    assert made.grad is not None and made.grad.abs().sum((1, 3, 4)).min() > 0
    same, blinks = follower.lost(seen, seen, real, courses), follower.lids.astray(real, courses[:, BLINK])
    assert same.item() == pytest.approx(blinks.item() / 2, rel=1e-4) and same < lost


def test_of_whole_clips_a_reader_sees_every_second_frame(faces, follower):
    epoch = faces.epoch(0, 2)
    real = torch.stack([epoch[k]["video"] for k in range(2)])
    courses = torch.stack([faces.courses(epoch[k]) for k in range(2)])
    encoder = SimpleNamespace(lost=lambda real, made, index: torch.zeros(()), near=lambda frames: frames)
    config = TrainConfig.from_profile("faces", reading=1.0, following=1.0)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for every in (1, 2):
        made = real.flip(2)[:, :, ::every].clone().requires_grad_()
        losses: dict[str, Tensor] = {}
        _lost(
            encoder, torch.zeros(2, dtype=torch.long), torch.zeros(2, 2, dtype=torch.long), Perception(),  # type: ignore[arg-type]
            follower.reader, follower, config, losses, real[:, :, ::every], made, courses[:, :, ::every],
        )  # fmt: skip
        (losses["reading"] + losses["courses"]).backward()
        assert made.grad is not None
        found.append((losses["reading"], losses["courses"], made.grad[:, :, :: 2 // every]))
        assert not made.grad[:, :, 1::2].any() or every == 2
    assert all(torch.allclose(one, other, rtol=1e-4, atol=1e-7) for one, other in zip(*found, strict=True))


def test_each_course_counts_by_its_variance_and_what_changes_by_its_own():
    """A network that gives back nothing but the means is astray by 1, however small the courses are."""
    within = torch.tensor([0.3, 0.05, 0.8, 0.4, 0.2])
    level = torch.tensor([0.1, 0.1, 8.0, 4.0, 2.0])
    torch.manual_seed(0)
    real = torch.randn(256, 5, 1) * level[:, None] + torch.randn(256, 5, 50) * within[:, None]
    made, spread = torch.zeros(256, 5, 50), (level**2 + within**2).sqrt()

    def astray() -> float:
        return Seen((), real).astray(Seen((), made), spread, within).item()

    assert astray() == pytest.approx(1, abs=0.05)
    made[:, 1] = real[:, 1]
    assert astray() == pytest.approx(0.8, abs=0.05)
    spread[3] = within[3] = torch.inf
    assert astray() == pytest.approx(0.6, abs=0.05), "it does not count"
    made[:, 2] = real[:, 2].mean(1, keepdim=True)
    assert astray() == pytest.approx(0.5, abs=0.05), "the change is missing"


@pytest.mark.parametrize("alone", [2, 0])
def test_a_run_that_follows_goes_on_as_if_never_stopped(faces, monkeypatch, tmp_path, alone):
    from g3an import training

    monkeypatch.setattr(following, "SPREAD_CLIPS", 24)
    monkeypatch.setattr(training, "open_dataset", lambda *_, **__: faces)
    monkeypatch.setattr("g3an.reconstruction.FITTED_CLIPS", 160)
    fit = training.Encoder.fit
    monkeypatch.setattr(training.Encoder, "fit", lambda self, data, seed: fit(self, data, seed, 160))
    torch.manual_seed(0)
    network, lids = FactorNetwork().eval(), Lids().eval()
    monkeypatch.setattr(training, "fit_moves", lambda *_, **__: network)
    monkeypatch.setattr(training, "fit_lids", lambda *_, **__: lids)
    model = ModelConfig.from_preset("small", widths=(8, 8, 8, 8, 8), attention_after=())

    def config(steps: int) -> TrainConfig:
        return TrainConfig.from_profile(
            "smoke", steps=steps, batch=8, together=4, perception=1.0, reconstruction=1.0, reconstruction_alone=alone,
            reading=0.2, following=0.3, mirror=False, clip_steps=(1,), checkpoint_every=1, sample_every=2,
        )  # fmt: skip

    for run, steps in (("whole", (2,)), ("parts", (1, 2))):
        for last in steps:
            train(tmp_path / run, "mug-sim", None, model, config(last), resume=last > steps[0], progress=False,
                  device="cpu")  # fmt: skip
        assert (tmp_path / run / "lids.safetensors").is_file()
    assert '"loss_courses"' in (tmp_path / "whole" / "log.jsonl").read_text()
    whole, parts = ((tmp_path / run / "generator.safetensors").read_bytes() for run in ("whole", "parts"))
    assert whole == parts
