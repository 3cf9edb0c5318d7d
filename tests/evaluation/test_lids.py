"""The network of the lids: that it learns, what it is trained against, and what the shipped one sees."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from g3an.data.faces.dataset import FaceDataset
from g3an.data.faces.sets import videos
from g3an.data.layouts import chosen_subjects
from g3an.errors import G3ANError
from g3an.evaluation.lids import BLINK, MEAN, SHIPPED, Lids, fit_lids, load_lids, save_lids


def some_faces(people: list[int], name: str = "mug-sim") -> FaceDataset:
    made = [video for video in videos(name) if video.person in people]
    return FaceDataset(name, made, length=16, steps=(1,)).keep()


def test_it_learns_is_the_same_again_and_leaves_the_random_numbers():
    data = some_faces([0])
    before = torch.random.get_rng_state()
    how = {"epochs": 3, "clips": 16, "batch": 8, "seed": 2, "progress": False}
    one, two = fit_lids([data], **how), fit_lids([data], **how)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(value, two.state_dict()[name]) for name, value in one.state_dict().items())
    assert not one.training
    torch.manual_seed(2)
    fresh = Lids().eval()
    clips = [data.clip(k) for k in range(len(data))]
    video, closed = torch.stack([c["video"] for c in clips]), torch.stack([data.courses(c)[BLINK] for c in clips])
    assert one.astray(video, closed) < fresh.astray(video, closed)


def test_astray_is_about_one_where_nobody_blinks_and_has_gradients(monkeypatch):
    closed = torch.full((4, 8), MEAN)
    network = Lids().eval()
    monkeypatch.setattr(Lids, "forward", lambda self, made: torch.logit(closed) + 0 * made.mean((1, 3, 4)))
    video = torch.rand(4, 3, 8, 64, 64)
    assert network.astray(video, closed).item() == pytest.approx(1, rel=1e-5)
    monkeypatch.undo()
    video.requires_grad_()
    network.astray(video, closed).backward()
    assert video.grad is not None and video.grad.abs().sum() > 0
    rows, columns = video.grad.abs().sum((0, 1, 2)).nonzero().T
    assert rows.min() >= 12 and rows.max() < 44 and columns.min() >= 10, "it looks around the eyes only"


def test_saved_and_loaded_it_reads_the_same(tmp_path):
    torch.manual_seed(0)
    network = Lids().eval()
    save_lids(network, tmp_path / "lids.safetensors")
    clips = torch.rand(3, 3, 16, 64, 64) * 2 - 1
    one, two = network.read(clips, batch=2), load_lids(tmp_path / "lids.safetensors").read(clips)
    assert one.shape == (3, 16) and torch.allclose(one, two, atol=0.02) and 0 <= one.min() and one.max() <= 1
    assert torch.allclose(network.read(clips.flip(4)), one, atol=1e-5), "a blink has no side"
    assert network.read(clips[:, :, :8]).shape == (3, 8)


def test_what_cannot_be_used_is_refused(tmp_path):
    with pytest.raises(G3ANError, match="There is no network of the lids"):
        load_lids(tmp_path / "none.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(SHIPPED.read_bytes()[:5000])
    with pytest.raises(G3ANError, match="is damaged"):
        load_lids(tmp_path / "cut.safetensors")
    with pytest.raises(G3ANError, match="holds another network"):
        load_lids(SHIPPED.with_name("factors.safetensors"))
    with pytest.raises(G3ANError, match="training mode"):
        Lids().read(torch.zeros(1, 3, 16, 64, 64))


@pytest.mark.parametrize("name", ["mug-sim", "uva-nemo-sim"])
def test_the_shipped_network_is_small_and_sees_test_people_blink(name):
    """All test people are read by ``make validate``; here are some, drawn on the spot."""
    assert SHIPPED.stat().st_size < 5e6
    everyone = sorted({video.subject for video in videos(name)})
    held = sorted(set(everyone) - set(chosen_subjects(everyone, "train")))[:4]
    made = [video for video in videos(name) if video.subject in held]
    data = FaceDataset(name, made, length=16, steps=(1,)).keep()
    clips = [data.clip(i) for i in range(len(data))]
    video, closed = torch.stack([c["video"] for c in clips]), torch.stack([data.courses(c)[BLINK] for c in clips])
    seen = load_lids().read(video)
    assert (seen - closed).square().mean() < 0.4 * closed.var()
    soft = F.avg_pool3d(video, (1, 3, 3), 1, (0, 1, 1))  # as generated clips are softer
    assert (load_lids().read(soft) - closed).square().mean() < 0.6 * closed.var()
