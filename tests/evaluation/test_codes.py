"""Codes held against factors, on a network that draws its codes and probes that read them: every answer is known."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from g3an.config import ModelConfig
from g3an.data.faces.motion import COURSES
from g3an.errors import G3ANError
from g3an.evaluation import codes as measured
from g3an.evaluation import page
from g3an.evaluation.codes import FaceReader, measure_codes
from g3an.evaluation.faces import MOVES, FaceProbes
from g3an.evaluation.factors import Reading
from g3an.evaluation.looks import Looks, load_looks, looks_of, save_looks
from g3an.generator import Generator
from g3an.latents import Codes

CLASSES = ("sad", "anger", "surprise", "disgust", "happy", "fear")


class Network:
    """Writes z_a, z_m and c into the first column of its clips; ``leak`` lets z_m into what z_a should tell."""

    def __init__(self, classes: tuple[str, ...], leak: float = 0.0) -> None:
        self.config = ModelConfig.from_preset("small", classes=classes)
        self.leak = leak

    def write(self, codes: Codes) -> Tensor:
        videos = torch.zeros(len(codes), 3, 16, 64, 64)
        # A tenth, so that codes stay within a video's range.
        videos[:, 0, :, 0, :2] = (codes.z_a[:, None, :2] + self.leak * codes.z_m.flatten(1)[:, None, :2]) / 10
        videos[:, 0, :, 0, 2:4] = codes.z_m.flatten(1)[:, None, :2] / 10
        if codes.c is not None:
            videos[:, 0, :, 0, 4:10] = codes.c[:, None]
        return videos


class Probe:
    """Reads them: two looks from z_a, yaw and pitch from z_m, the expression from c, who it is from z_a."""

    course_scale = torch.ones(len(COURSES))

    def read(self, videos: Tensor, read: Reading | None = None) -> Reading | np.ndarray:
        cell = videos[:, 0, :, 0]
        if read is not None:
            return np.stack([10 * cell[:, 0, 0], np.zeros(len(cell)), 10 * cell[:, 0, 1]], 1)
        course = torch.zeros(len(videos), len(COURSES), 16)
        names = list(COURSES)
        for place, name in ((2, "yaw"), (3, "pitch")):
            course[:, names.index(name)] = 10 * cell[:, :, place]
        return Reading(20 * cell[:, 0, 4:10], course, 10 * cell[:, 0, :2], torch.zeros(len(videos), 384))

    quality, names = (0.9, 0.1, 0.8), ("skin_tone", "eye_slant", "age")

    def readable(self) -> list[int]:
        return [0, 2]


class Still:
    """Sees all lids open, and no expression."""

    def read(self, videos: Tensor) -> Tensor:
        return torch.zeros(len(videos), videos.shape[2])


@pytest.fixture
def reader(monkeypatch) -> FaceReader:
    monkeypatch.setattr(measured, "generate", lambda network, codes, *_: network.write(codes))
    return FaceReader(FaceProbes(Probe(), Still(), Still()), Probe())  # type: ignore[arg-type]


def run(reader: FaceReader, classes: tuple[str, ...] = CLASSES, leak: float = 0.0, **how):
    ranked = {"appearance": [0, 5], "motion": [1]}
    settings = {"people": 6, "motions": 5, "random": 300, "bases": 3, "pairs": 20, "draws": 20} | how
    return measure_codes(Network(classes, leak), ranked=ranked, reader=reader, progress=False, **settings)


def share(found, factor: str, term: str) -> float:
    return found.to_dict()["shares"][factor][term][0]


def test_a_network_that_separates_is_told_so(reader):
    found = run(reader)
    assert found.factors == ("skin_tone", "age", *MOVES, "identity", "expression")
    told = {"skin_tone": "z_a", "age": "z_a", "yaw": "z_m", "identity": "z_a", "expression": "c"}
    for factor, term in told.items():
        assert share(found, factor, term) == pytest.approx(1, abs=1e-3), factor
    assert found.switched.identity == found.switched.motion == found.switched.both == 1
    assert found.groups.completeness > 0.95 and found.groups.informativeness > 0.9
    assert found.clips == 300 + 6 * 5 * 6 + 3 * 3 * 7 + 4 * 20


def test_a_leak_shows_as_much_as_it_is(reader):
    found = run(reader, leak=1.0, people=20, motions=20)
    assert 0.25 < share(found, "skin_tone", "z_m") < 0.75
    assert share(found, "skin_tone", "z_a") + share(found, "skin_tone", "z_m") == pytest.approx(1, abs=1e-2)
    assert found.switched.identity < 1 and found.switched.motion == 1


def test_dimensions_are_named_by_what_they_move(reader):
    first, idle, motion = run(reader).moved
    assert (first.part, first.dimension, first.factor) == ("appearance", 0, "skin_tone")
    assert first.extent == pytest.approx(6, rel=0.2) and first.monotone == pytest.approx(1) and first.others == 0
    assert idle.extent == 0 and idle.monotone == 0
    assert (motion.factor, motion.part) == ("pitch", "motion") and motion.extent == pytest.approx(6, rel=0.2)


def test_without_categories_there_are_two_axes_and_no_expression(reader):
    found = run(reader, classes=())
    assert found.shares.names == ("z_a", "z_m", "z_a × z_m") and found.factors[-1] == "identity"
    json.dumps(found.to_dict(), allow_nan=False)


def test_factors_that_never_vary_are_named(reader):
    found = run(reader)
    assert found.constant == ("peak", "onset", "roll", "yaw_drift", "blink"), "the probe reads none of them"
    told = "\n".join(page.codes(found.to_dict()))
    assert "never varied, and were left out of all four: peak, onset, roll, yaw_drift, blink." in told
    (row,) = [line for line in told.splitlines() if line.startswith("| blink")]
    assert set(row.replace("blink", "").split()) == {"|", "-"}, "no share, of what only codes together explain either"


def test_too_few_codes_are_a_clear_sentence(reader):
    with pytest.raises(G3ANError, match="2 or more people"):
        run(reader, people=1)


def test_a_real_network_is_read_by_the_shipped_probes():
    small = ModelConfig.from_preset("small", classes=CLASSES, widths=(8, 8, 8, 8, 8), attention_after=(1,))
    found = measure_codes(
        Generator(small).eval(), people=2, motions=2, random=50, ranked={"motion": [0]}, bases=2, pairs=2, draws=5,
        progress=False,
    )  # fmt: skip
    assert "skin_tone" in found.factors and np.isfinite(found.shares.value[:, 0]).all()


class TestLooks:
    def test_the_shipped_probe_reads_what_shows_and_says_what_does_not(self):
        looks = load_looks()
        quality = dict(zip(looks.names, looks.quality, strict=True))
        assert {looks.names[place] for place in looks.readable()} >= {"skin_tone", "background_light", "hair_tone"}
        assert quality["eye_slant"] < 0.5 and "hair_style" not in quality

    def test_hues_are_places_on_a_circle_and_choices_are_left_out(self):
        names = ("shirt_hue", "hair_style", "age")
        factors = [SimpleNamespace(name=name, whole=name == "hair_style") for name in names]
        found = looks_of(SimpleNamespace(appearance_factors=factors), np.array([0.25, 3, 40]))
        assert found == pytest.approx({"shirt_hue_cos": 0, "shirt_hue_sin": 1, "age": 40}, abs=1e-9)

    def test_it_is_the_same_after_a_round_trip(self, tmp_path):
        random = np.random.default_rng(0)
        looks = Looks(("a", "b"), (0.7, -0.1), random.random(320), random.random(320) + 1, random.random((320, 2)),
                      random.random(2))  # fmt: skip
        save_looks(looks, tmp_path / "looks.safetensors")
        again = load_looks(tmp_path / "looks.safetensors")
        assert (again.names, again.quality, again.readable()) == (looks.names, looks.quality, [0])
        videos = torch.rand(3, 3, 8, 64, 64) * 2 - 1
        read = Reading(torch.zeros(3, 6), torch.zeros(3, 5, 8), torch.zeros(3, 64), torch.rand(3, 384))
        assert again.read(videos, read) == pytest.approx(looks.read(videos, read), rel=1e-4)

    def test_a_missing_or_damaged_file_is_a_clear_sentence(self, tmp_path):
        with pytest.raises(G3ANError, match="no probe of looks"):
            load_looks(tmp_path / "none.safetensors")
        (tmp_path / "bad.safetensors").write_bytes(b"nothing")
        with pytest.raises(G3ANError, match="damaged"):
            load_looks(tmp_path / "bad.safetensors")
