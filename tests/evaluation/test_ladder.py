"""The sanity ladder: each way of spoiling does what it says, and FID by the shipped network climbs every rung."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from g3an.data.faces.sets import CLIPS_PER_PERSON, videos
from g3an.data.layouts import chosen_subjects
from g3an.errors import G3ANError
from g3an.evaluation import ladder as module
from g3an.evaluation.extractors import Extractor, open_extractor
from g3an.evaluation.ladder import SPOILT, Ladder, backwards, ladder, ladders, plot_ladders, two_windows
from g3an.evaluation.reencoding import reencoded, reencoding_effect

STRENGTHS = (1, 2, 3)


@pytest.fixture
def clips() -> torch.Tensor:
    """Four clips of 16 frames, each frame of one grey that tells clip and frame, with an edge in it."""
    video = torch.zeros(4, 3, 16, 32, 32)
    video += 0.1 * torch.arange(4.0)[:, None, None, None, None] + 0.02 * torch.arange(16.0)[:, None, None]
    video[..., 16:] -= 0.5
    return video


def spoil(name: str, clips: torch.Tensor, strength: int) -> torch.Tensor:
    return SPOILT[name](clips, strength, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", SPOILT)
def test_every_way_keeps_shape_and_range_and_spoils_more_with_strength(name, clips):
    damage = []
    for strength in STRENGTHS:
        before = clips.clone()
        out = spoil(name, clips, strength)
        assert out.shape == clips.shape and out.abs().max() <= 1 and torch.equal(clips, before)
        damage.append(float((out - clips).abs().mean()))
        assert torch.equal(out, spoil(name, clips, strength)), "the same seed spoils in the same way"
    assert 0 < damage[0] < damage[1] < damage[2]


def test_what_each_of_them_does(clips):
    assert torch.equal(spoil("frozen", clips, 2)[:, :, 8:], clips[:, :, 7:8].expand(-1, -1, 8, -1, -1))
    assert float(spoil("frozen", clips, 3).diff(dim=2).abs().max()) == 0
    mixed = spoil("shuffled", clips, 3)
    assert torch.equal(mixed[..., 0, 0].sort(2).values, clips[..., 0, 0].sort(2).values), "no frame is lost"
    moved = [spoil("shuffled", clips, strength)[:, 0, :, 0, 0] != clips[:, 0, :, 0, 0] for strength in STRENGTHS]
    assert [m.sum(1).tolist() for m in moved] == [[4] * 4, [8] * 4, [16] * 4] and bool((moved[1] | ~moved[0]).all())
    soft = spoil("blurred", clips, 1)
    assert soft.mean() == pytest.approx(float(clips.mean()), abs=1e-3)
    assert soft.diff(dim=4).abs().max() < 0.5 * clips.diff(dim=4).abs().max()
    other = spoil("swapped", clips, 3)
    assert torch.equal(other[1, :, :8], clips[1, :, :8]) and torch.equal(other[1, :, 8:], clips[0, :, 8:])
    light = (spoil("flickering", clips, 3) + 1) / (clips + 1)
    assert float(light.std((3, 4)).max()) < 1e-5 and 0.8 <= light.min() < 0.9 and 1.1 < light.max() <= 1.2
    assert torch.equal(backwards(clips, 1, torch.Generator())[:, :, 0], clips[:, :, 15])


@pytest.fixture(scope="module")
def sides() -> tuple[torch.Tensor, torch.Tensor]:
    """Two windows each of three clips of six test people, neighbours of different people."""
    everyone = sorted({video.subject for video in videos("mug-sim")})
    held = sorted(int(name[-3:]) for name in chosen_subjects(everyone, "test"))[:6]
    made = [video for kind in (0, 2, 4) for video in videos("mug-sim")[kind::CLIPS_PER_PERSON] if video.person in held]
    read = np.stack([video.read(range(3, 21)) for video in made])
    return two_windows(torch.from_numpy(read).permute(0, 4, 1, 2, 3) / 127.5 - 1)


@pytest.fixture(scope="module")
def climbed(sides) -> Ladder:
    return ladder(open_extractor("factors"), *sides)


def test_fid_by_the_shipped_network_climbs_every_rung(climbed):
    assert climbed.failed == [] and climbed.floor > 0
    for name, (weak, middle, strong) in climbed.steps.items():
        assert climbed.floor < weak < middle < strong, (name, climbed)


def test_a_metric_that_fails_is_named_and_a_blind_one_too(climbed):
    weak, middle, strong = climbed.steps["frozen"]
    worse = replace(climbed, steps=climbed.steps | {"frozen": (middle, weak, strong)}, backwards=climbed.floor)
    assert worse.failed == ["frozen"] and worse.blind

    def averages(clips: torch.Tensor) -> tuple[torch.Tensor, None]:
        return clips.mean(2).flatten(1)[:, ::97], None

    still = torch.rand(6, 3, 16, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = ladder(Extractor("mean", "0" * 64, 32, "none", averages), still, still.flip(0) * 0.9)
    assert found.blind and found.backwards == pytest.approx(found.floor, rel=1e-6)
    assert "shuffled" in found.failed, "the mean over frames does not see their order"


def test_rows_and_plot(climbed):
    rows = climbed.rows()
    assert len(rows) == 4 * len(SPOILT) + 1 and {row["metric"] for row in rows} == {"FID"}
    assert [row["times"] for row in rows if row["strength"] == 0] == [1.0] * len(SPOILT)
    canvas = plot_ladders([climbed, replace(climbed, extractor="i3d")])
    left, right = canvas.axes
    assert left.get_yscale() == "log" and left.get_title() == "factors"
    assert left.get_ylabel().startswith("FID") and right.get_ylabel().startswith("FVD")
    words = [text.get_text() for text in right.get_legend().get_texts()]
    assert set(SPOILT) | {"backwards"} <= set(words)
    with pytest.raises(G3ANError, match="no ladder to plot"):
        plot_ladders([])


def test_every_extractor_that_is_there_climbs(monkeypatch):
    opened = []

    def opens(name: str, weights: object = None, sha256: object = None) -> Extractor:
        opened.append((name, weights, sha256))
        return Extractor(name, "0" * 64, 12, "none", lambda x: (x[..., ::16, ::16].mean(2).flatten(1), None))

    monkeypatch.setattr(module, "open_extractor", opens)
    monkeypatch.setattr(module.transnet, "installed", lambda: False)
    some = torch.rand(2, 4, 3, 16, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert [found.extractor for found in ladders(*some)] == ["factors"]
    monkeypatch.setattr(module.transnet, "installed", lambda: True)
    found = ladders(*some, {"i3d": ("i3d.pt", None)})
    assert [climbed.extractor for climbed in found] == ["factors", "transnetv2", "i3d"]
    assert opened[-1] == ("i3d", "i3d.pt", None) and found[-1].rows()[0]["metric"] == "FVD"
    with pytest.raises(G3ANError, match="factors takes no weight file; resnext101-kinetics and i3d do"):
        ladders(*some, {"factors": ("a", None)})


def test_windows_take_turns():
    count = torch.arange(20.0).view(1, 1, 20, 1, 1).expand(3, 3, 20, 8, 8)
    one, two = two_windows(count)
    assert one[:, 0, 0, 0, 0].tolist() == [1, 3, 1] and two[:, 0, 0, 0, 0].tolist() == [3, 1, 3]
    assert one.shape == (3, 3, 16, 8, 8) and one[0, 0, -1, 0, 0] == 16
    with pytest.raises(G3ANError, match="Two windows of 16 frames, 2 apart, do not fit"):
        two_windows(count[:, :, :17])


def test_sides_of_other_shapes_are_refused(clips):
    with pytest.raises(G3ANError, match="Clips of both sides need one shape"):
        ladder(open_extractor("factors"), clips, clips[:, :, :8])


def test_reencoding_makes_fid_worse_and_more_so_at_low_quality(sides):
    one, two = (side[:6] for side in sides)
    extractor = open_extractor("factors")
    good, bad = (reencoding_effect(extractor, one, two, crf=crf) for crf in (23, 40))
    assert good.floor == bad.floor and good.clips == 6
    assert 0 < good.same < bad.same and good.floor < good.other < bad.other
    assert 28 < good.psnr < 50 and bad.psnr < good.psnr - 5


def test_a_stored_clip_is_the_same_clip(sides):
    clips = sides[0][:2]
    stored = reencoded(clips, crf=4)
    assert stored.shape == clips.shape and stored.abs().max() <= 1
    # Frame by frame, for one that is lost or doubled would move all that come after it.
    error = (stored - clips).square().mean((1, 3, 4))
    moved = (stored[:, :, 1:] - clips[:, :, :-1]).square().mean((1, 3, 4))
    assert error.max() < 1e-3 and torch.all(error[:, 1:].mean(1) < moved.mean(1))
    assert torch.equal(stored, reencoded(clips, crf=4))
    with pytest.raises(G3ANError, match="H and W even"):
        reencoded(clips[..., :63])
    with pytest.raises(G3ANError, match="crf is 60"):
        reencoded(clips, crf=60)
