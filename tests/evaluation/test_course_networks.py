"""The networks of lids and of strength: that they learn, what is trained against them, what the shipped ones see."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from g3an.data.faces.dataset import FaceDataset
from g3an.data.faces.sets import videos
from g3an.data.layouts import chosen_subjects
from g3an.errors import G3ANError
from g3an.evaluation import lids, strength
from g3an.evaluation.course import softened
from g3an.evaluation.faces import MOVES, moves
from g3an.evaluation.factors import Reading
from g3an.evaluation.lids import BLINK, MEAN, Lids, fit_lids, load_lids, save_lids
from g3an.evaluation.strength import STRENGTH, Strength, fit_strength, load_strength, save_strength

NETWORKS = {
    "lids": (Lids, fit_lids, save_lids, load_lids, lids.SHIPPED),
    "strength": (Strength, fit_strength, save_strength, load_strength, strength.SHIPPED),
}
both = pytest.mark.parametrize("kind", NETWORKS)


def some_faces(people: list[int], name: str = "mug-sim") -> FaceDataset:
    made = [video for video in videos(name) if video.person in people]
    return FaceDataset(name, made, length=16, steps=(1,)).keep()


def all_clips(data: FaceDataset, kind: str) -> tuple[Tensor, Tensor]:
    """Every clip's middle, and what the network is to read from it."""
    clips = [data.clip(k) for k in range(len(data))]
    truth = [data.courses(c)[BLINK] if kind == "lids" else data.amplitude(c) for c in clips]
    return torch.stack([c["video"] for c in clips]), torch.stack(truth)


@both
def test_it_learns_is_the_same_again_and_leaves_the_random_numbers(kind):
    network, fit, *_ = NETWORKS[kind]
    data = some_faces([0])
    before = torch.random.get_rng_state()
    how = {"epochs": 3, "clips": 48, "batch": 8, "seed": 2, "progress": False}
    one, two = fit([data], **how), fit([data], **how)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(value, two.state_dict()[name]) for name, value in one.state_dict().items())
    assert not one.training
    torch.manual_seed(2)
    fresh = network().eval()
    video, truth = all_clips(data, kind)
    missed, at_first = ((x.read(video) - truth).square().mean() for x in (one, fresh))
    assert missed < 0.9 * at_first


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


def test_half_of_the_batches_are_softened():
    torch.manual_seed(0)
    clips = torch.rand(2, 3, 4, 64, 64)
    made = [softened(clips) for _ in range(40)]
    blurred = [x for x in made if not torch.equal(x, clips)]
    assert 10 <= len(blurred) <= 30
    assert all(x.std() < clips.std() and x.mean() == pytest.approx(float(clips.mean()), abs=1e-3) for x in blurred)


@both
def test_saved_and_loaded_it_reads_the_same(kind, tmp_path):
    torch.manual_seed(0)
    make, _, save, load, _ = NETWORKS[kind]
    network = make().eval()
    save(network, tmp_path / "saved.safetensors")
    clips = torch.rand(3, 3, 16, 64, 64) * 2 - 1
    one, two = network.read(clips, batch=2), load(tmp_path / "saved.safetensors").read(clips)
    assert one.shape == (3, 16) and torch.allclose(one, two, atol=0.02)
    assert torch.allclose(network.read(clips.flip(4)), one, atol=1e-5), "neither a blink nor a strength has a side"
    assert network.read(clips[:, :, :8]).shape == (3, 8)


@both
def test_what_cannot_be_used_is_refused(kind, tmp_path):
    network, _, _, load, shipped = NETWORKS[kind]
    with pytest.raises(G3ANError, match=f"There is no network of (the )?{kind}"):
        load(tmp_path / "none.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(shipped.read_bytes()[:5000])
    with pytest.raises(G3ANError, match="is damaged"):
        load(tmp_path / "cut.safetensors")
    with pytest.raises(G3ANError, match="holds another network"):
        load(shipped.with_name("factors.safetensors"))
    other = {"lids": strength.SHIPPED, "strength": lids.SHIPPED}[kind]  # the same layers in other sizes
    with pytest.raises(G3ANError, match="holds another network"):
        load(other)
    with pytest.raises(G3ANError, match="training mode"):
        network().read(torch.zeros(1, 3, 16, 64, 64))


@pytest.mark.parametrize("name", ["mug-sim", "uva-nemo-sim"])
def test_the_shipped_networks_are_small_and_see_test_people_blink_and_begin(name):
    """All test people are read by ``make validate``; here are some, drawn on the spot."""
    assert lids.SHIPPED.stat().st_size < 1e6 and strength.SHIPPED.stat().st_size < 2e6
    everyone = sorted({video.subject for video in videos(name)})
    held = sorted(set(everyone) - set(chosen_subjects(everyone, "train")))[:4]
    made = [video for video in videos(name) if video.subject in held]
    data = FaceDataset(name, made, length=16, steps=(1,)).keep()
    video, closed = all_clips(data, "lids")
    soft = F.avg_pool3d(video, (1, 3, 3), 1, (0, 1, 1))  # as generated clips are softer
    assert 0 <= load_lids().read(video).min() and load_lids().read(video).max() <= 1
    for seen, share in ((video, 0.4), (soft, 0.6)):
        assert (load_lids().read(seen) - closed).square().mean() < share * closed.var()
    shown = all_clips(data, "strength")[1]
    for seen in (video, soft):
        read = load_strength().read(seen)
        assert (read - shown).square().mean() < 0.25 * shown.var()
        begun = [onset(course) for course in (read, shown)]
        assert torch.corrcoef(torch.stack(begun))[0, 1] > 0.75


def onset(strength: Tensor) -> Tensor:
    course = torch.zeros(len(strength), 5, strength.shape[1])
    course[:, STRENGTH] = strength
    none = torch.zeros(0)
    return moves(Reading(none, course, none, none))[:, MOVES.index("onset")]
