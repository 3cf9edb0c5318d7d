"""Samples beside the training clips nearest to them."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from few_shapes import few
from PIL import Image
from torch import Tensor, nn

from g3an import neighbours
from g3an.config import ModelConfig
from g3an.evaluation.extractors import Extractor
from g3an.neighbours import nearest_clips

COLOURS = Extractor("colours", "0" * 64, 1536, "none", lambda x: (x[:, :, ::8, 1::4, 1::4].flatten(1), None))
"""Some pixels of two frames."""


class Repeating(nn.Module):
    """A network that does nothing but repeat clips, a little brighter."""

    def __init__(self, clips: list[Tensor], brighter: float = 0.0) -> None:
        super().__init__()
        self.config = ModelConfig.from_preset("small")
        self.clips, self.brighter, self.made = clips, brighter, 0
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, z_a, z_m, c):
        chosen = [self.clips[(self.made + k) % len(self.clips)] for k in range(len(z_a))]
        self.made += len(z_a)
        return torch.stack(chosen) + self.brighter


def test_a_network_that_repeats_its_training_clips_is_found_out():
    data = few(2)
    clips = [data.clip(i, start, 1, flip)["video"] for i, start, flip in ((0, 0, False), (3, 4, True), (6, 16, False))]
    found = nearest_clips(Repeating(clips).eval(), data, [1], COLOURS)
    summary = found.pixels
    assert summary["samples"] == 64
    assert summary["sample_to_nearest_training_clip"] == pytest.approx(
        {"lower quartile": 0, "median": 0, "upper quartile": 0}, abs=1e-3
    )
    assert summary["person_to_nearest_other_person"]["median"] > 0.05
    assert found.features["generated"] == pytest.approx([0, 0, 0], abs=1e-3) and found.features["nearer"] == 1
    assert found.features["extractor"] == "colours" and found.features["fresh"][1] > 0.05


def test_distances_are_root_mean_squares_of_pixels_from_0_to_1():
    """0.1 brighter in [-1, 1] is 0.05 in [0, 1], whatever the resolution."""
    data = few(2)
    clip = data.clip(1, 2, 1)["video"] * 0.5  # so that no other clip is nearer and nothing leaves the range
    data._kept = {i: (frames * 0.5 + 63.75).round().astype(np.uint8) for i, frames in data._kept.items()}
    summary = nearest_clips(Repeating([clip, clip + 1e-4], 0.1).eval(), data, [1], COLOURS).pixels
    assert summary["sample_to_nearest_training_clip"]["median"] == pytest.approx(0.05, abs=2e-3)


def test_the_summary_agrees_with_a_plain_search():
    """All windows at steps 1 and 2, mirrored or not, compared one by one."""
    data = few(3)
    rows = []
    for step in (1, 2):
        for i, start in data.windows(2, step):
            for flip in (False, True):
                video = (data.clip(i, start, step, flip)["video"].double().numpy() + 1) / 2
                small = video.reshape(3, 8, 2, 16, 4, 16, 4).mean(axis=(2, 4, 6)).ravel()
                rows.append((data.subjects[i], data.categories[i], small))
    others: list[float] = []
    for who, what, small in rows[::8]:
        theirs = np.stack([other for person, kind, other in rows if person != who and kind == what])
        others.append(float(np.sqrt(((theirs - small) ** 2).mean(1)).min()))
    grey = torch.zeros(3, 16, 64, 64)
    summary = nearest_clips(Repeating([grey, grey + 1e-4]).eval(), data, [1, 2], COLOURS).pixels
    nearest = min(float(np.sqrt(((small - 0.5) ** 2).mean())) for _, _, small in rows)
    assert summary["sample_to_nearest_training_clip"]["median"] == pytest.approx(nearest, abs=1e-3)
    low, middle, high = np.quantile(others, [0.25, 0.5, 0.75])
    assert summary["person_to_nearest_other_person"] == pytest.approx(
        {"lower quartile": low, "median": middle, "upper quartile": high}, abs=1e-3
    )


def pictured(monkeypatch: pytest.MonkeyPatch, *given) -> tuple[np.ndarray, neighbours.Neighbours]:
    """The videos of the picture, ``(4, 3, T, H, W, 3)``: samples, nearest in pixels, nearest in features."""
    drawn = []
    real = neighbours.draw_panels
    monkeypatch.setattr(
        neighbours, "draw_panels", lambda panels, *rest, **more: drawn.extend(panels) or real(panels, *rest, **more)
    )
    found = nearest_clips(*given)
    assert len(drawn) == 4
    assert {panel.rows for panel in drawn} == {("generated", "nearest in pixels", "nearest in features")}
    return np.stack([panel.videos for panel in drawn]), found


def shown(video: Tensor) -> np.ndarray:
    return ((video + 1) * 127.5).round().permute(1, 2, 3, 0).numpy()


def test_the_picture_shows_samples_above_the_clips_they_resemble(monkeypatch):
    data = few(2)
    clips = [data.clip(i, 4, 1, True)["video"] for i in range(8)]
    videos, found = pictured(monkeypatch, Repeating(clips).eval(), data, [1], COLOURS)
    assert (videos[:, 0] == videos[:, 1]).all() and (videos[:, 0] == videos[:, 2]).all()
    # Samples 0, 21, 42 and 63 of 64, which repeat eight clips in turn.
    assert (videos[:, 0] == np.stack([shown(clips[k % 8]) for k in (0, 21, 42, 63)])).all()
    with Image.open(io.BytesIO(found.picture)) as image:
        assert image.format == "PNG" and image.width > 16 * 128 and image.height > 12 * 128


def test_nearest_in_features_is_another_clip_than_nearest_in_pixels(monkeypatch):
    """What the extractor does not see does not count for it: here all but the lower third."""
    data = few(2)
    lower = Extractor("lower third", "0" * 64, 96, "none", lambda x: (x.mean(2)[..., 42::6, 4::8].flatten(1), None))
    one, other = data.clip(0, 0, 1)["video"], data.clip(6, 0, 1)["video"]
    sample = one.clone()
    sample[..., 42:, :] = other[..., 42:, :]
    videos, _ = pictured(monkeypatch, Repeating([sample, one]).eval(), data, [1], lower)
    assert (videos[0, 1] == shown(one)).all() and (videos[0, 2] == shown(other)).all()
    assert (videos[1] == shown(one)).all()


def test_mirrored_windows_are_compared_only_if_the_network_saw_such():
    data = few(2)
    network = Repeating([data.clip(i, 4, 1, True)["video"] for i in (2, 6)]).eval()
    both = nearest_clips(network, data, [1], COLOURS)
    network.card = {"training": {"mirror": False}}
    plain = nearest_clips(network, data, [1], COLOURS)
    assert both.pixels["sample_to_nearest_training_clip"]["median"] == pytest.approx(0, abs=1e-3)
    assert plain.pixels["sample_to_nearest_training_clip"]["median"] > 0.01
    assert both.features["windows"] == 2 * plain.features["windows"]


def test_features_of_many_windows_are_compared_evenly(monkeypatch):
    monkeypatch.setattr(neighbours, "FEATURE_WINDOWS", 70)
    data = few(2)
    looked_at = []

    def look(clips: Tensor) -> tuple[Tensor, None]:
        looked_at.append(len(clips))
        return COLOURS.look(clips)

    clips = [data.clip(i, 0, 1)["video"] for i in (0, 1)]
    found = nearest_clips(Repeating(clips).eval(), data, [1], Extractor("colours", "0" * 64, 1536, "none", look))
    assert found.features["windows"] == 70 and looked_at == [64, 6, 64]


def test_where_there_are_more_videos_than_windows_to_compare_each_has_one(monkeypatch):
    monkeypatch.setattr(neighbours, "FEATURE_WINDOWS", 7)
    data = few(3)
    read: list[int] = []
    monkeypatch.setattr(data, "clip", lambda i, *how: read.append(i) or type(data).clip(data, i, *how))
    clips = [data.clip(i, 0, 1)["video"] for i in (0, 1)]
    found = nearest_clips(Repeating(clips).eval(), data, [1], COLOURS, 0)
    assert len(data) > 7
    counts = (found.features["windows"], found.features["videos"], found.features["people"])
    assert counts == (len(data), len(data), len(set(data.subjects)))


def test_the_picture_says_what_it_shows(monkeypatch):
    told: list[str] = []
    draw = neighbours.draw_panels
    monkeypatch.setattr(neighbours, "draw_panels", lambda p, *say, **how: told.extend(say) or draw(p, *say, **how))
    data = few(2)
    network = Repeating([data.clip(i, 0, 1)["video"] for i in (0, 1)]).eval()
    network.card = {"dataset": "mug-sim"}
    nearest_clips(network, data, [1], COLOURS)
    assert "MUG (simulated)" in told[0] and told[1].startswith("Network: preset")
