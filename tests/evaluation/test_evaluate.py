"""``g3an evaluate``: what is counted and stored, what the cache saves, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from g3an.config import ModelConfig
from g3an.data import open_dataset
from g3an.data.shapes import MOTIONS
from g3an.errors import G3ANError
from g3an.evaluation import evaluate as module
from g3an.evaluation.evaluate import evaluate, real_features
from g3an.evaluation.extractors import CHUNK, Extractor, extractors_of, open_extractor
from g3an.evaluation.metrics import fid
from g3an.evaluation.protocol import Measurement, table
from g3an.generator import Generator

CLIPS = 80


def look(clips: Tensor) -> tuple[Tensor, Tensor | None]:
    """The mean colours of quarters of the picture: 12 numbers, the first 4 as logits."""
    features = torch.nn.functional.adaptive_avg_pool3d(clips, (1, 2, 2)).flatten(1)
    return features, features[:, :4]


STUB = Extractor("stub", "f" * 64, 12, "none", look)


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    config = ModelConfig.from_preset("small", widths=(8, 8, 8, 8, 8), attention_after=(1,), classes=MOTIONS)
    made = Generator(config, spectral_norm=False).eval()
    made.card, made.weights_hash = {"name": "tiny"}, "0123456789abcdef"  # type: ignore[assignment]
    return made


def run(generator: Generator, cache: Path, extractor: Extractor = STUB, **how: object) -> list[Measurement]:
    return evaluate(generator, "shapes", extractor, cache=cache, progress=False, draws=5, **{"clips": CLIPS, **how})  # type: ignore[arg-type]


def test_numbers_come_with_counts_scale_interval_and_protocol(generator, tmp_path):
    found = run(generator, tmp_path)
    assert [number.metric for number in found] == ["FID", "KID", "IS"]
    for number in found:
        assert number.low <= number.value <= number.high and number.subject == "tiny 0123456789ab"
        assert number.counts["real"] == number.counts["generated"] == CLIPS and 20 < number.counts["floor"] <= 40
        assert number.protocol.extractor_hash == STUB.hash and number.protocol.clips == CLIPS
        assert not number.simulated and number.protocol.split == "all"
    assert found[0].floor is not None and found[0].floor < found[0].value, "real people are nearer than noise"
    assert found[2].floor is None and any("random windows of 48 videos" in warning for warning in found[0].warnings)
    assert "| tiny 0123456789ab | FID |" in table(found)
    assert not any("distance" in warning or "floor" in warning for number in found for warning in number.warnings)
    again = [Measurement.from_dict(json.loads(json.dumps(number.to_dict()))) for number in found]
    assert again[0].protocol == found[0].protocol


def test_real_clips_have_the_pace_of_the_training(generator, tmp_path, monkeypatch):
    assert {number.protocol.step for number in run(generator, tmp_path, clips=16)} == {1}, "no card says"
    monkeypatch.setattr(generator, "card", {"name": "tiny", "training": {"clip_steps": [1, 2]}})
    found = run(generator, tmp_path, clips=16)
    assert {number.protocol.step for number in found} == {(1, 2)} and "16 frames at steps 1, 2" in table(found)
    data = open_dataset("shapes", length=16, steps=(1, 2))
    real = torch.stack([data.epoch(0, 16)[k]["video"] for k in range(16)])
    made = module.generate(generator, module.sample_codes(generator.config, 16, 0))
    assert found[0].value == pytest.approx(fid(look(real)[0], look(made)[0]), rel=1e-5)
    assert run(generator, tmp_path, clips=16, step=1)[0].protocol.step == 1


def test_real_clips_are_mirrored_if_those_of_the_training_were(generator, tmp_path, monkeypatch):
    assert not run(generator, tmp_path, clips=16)[0].protocol.mirrored, "no card says"
    monkeypatch.setattr(generator, "card", {"name": "tiny", "training": {"mirror": True}})
    found = run(generator, tmp_path, clips=16)
    assert found[0].protocol.mirrored
    data = open_dataset("shapes", length=16, mirror=True)
    real = torch.stack([data.epoch(0, 16)[k]["video"] for k in range(16)])
    made = module.generate(generator, module.sample_codes(generator.config, 16, 0))
    assert found[0].value == pytest.approx(fid(look(real)[0], look(made)[0]), rel=1e-5)
    assert not run(generator, tmp_path, clips=16, mirror=False)[0].protocol.mirrored


def test_what_a_reader_has_to_know_is_said(generator, tmp_path):
    found = run(generator, tmp_path, replace(STUB, name="factors"), clips=16)
    assert "factors learned to read simulated faces only; its features say little of shapes." in found[0].warnings
    assert not any("IS is a mean" in warning for warning in found[0].warnings)
    assert found[2].metric == "IS" and any("here of 1 clips for 4 classes" in warning for warning in found[2].warnings)


def test_the_extractor_is_by_default_one_that_knows_the_clips(generator, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(module, "open_extractor", lambda name: opened.append(name) or replace(STUB, name=name))
    assert run(generator, tmp_path, "", clips=16)[0].protocol.extractor == "transnetv2" == opened[0]
    assert extractors_of("mug-sim")[0] == "factors"


def test_a_cache_that_cannot_be_written_is_named(generator, tmp_path):
    (tmp_path / "cache").touch()
    with pytest.raises(G3ANError, match=r"Cannot write .*\.npz: .*the cache, which the variable G3AN_CACHE names\.$"):
        run(generator, tmp_path / "cache", clips=16)


def test_the_number_is_that_of_the_features(generator, tmp_path):
    found = run(generator, tmp_path, seed=3)
    data = open_dataset("shapes", length=16, steps=(1,), seed=3)
    real = torch.stack([data.epoch(0, CLIPS)[k]["video"] for k in range(CLIPS)])
    from g3an.latents import generate, sample_codes

    made = generate(generator, sample_codes(generator.config, CLIPS, 3))
    assert found[0].value == pytest.approx(fid(look(real)[0], look(made)[0]), rel=1e-5)
    assert run(generator, tmp_path, seed=4)[0].value != found[0].value


def test_a_second_run_generates_nothing_and_a_damaged_chunk_is_made_anew(generator, tmp_path, monkeypatch):
    first = run(generator, tmp_path)
    made = []
    original = module.generate

    def counted(*args, **kwargs):
        made.append(len(args[1]))
        return original(*args, **kwargs)

    monkeypatch.setattr(module, "generate", counted)
    assert run(generator, tmp_path) == first and not made
    for file in (tmp_path / "features").iterdir():
        file.write_bytes(file.read_bytes()[:100])
    assert run(generator, tmp_path) == first and sum(made) == CLIPS


def test_a_run_that_was_stopped_goes_on_after_its_last_chunk(generator, tmp_path, monkeypatch):
    original, made = module.generate, []

    def dies(*args, **kwargs):
        made.append(len(args[1]))
        if len(made) == 2:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    monkeypatch.setattr(module, "generate", dies)
    with pytest.raises(KeyboardInterrupt):
        run(generator, tmp_path)
    run(generator, tmp_path)
    assert made == [CHUNK, CLIPS - CHUNK, CLIPS - CHUNK]


def test_another_extractor_shares_no_features(generator, tmp_path):
    run(generator, tmp_path)

    def other(clips: Tensor) -> tuple[Tensor, Tensor | None]:
        return 2 * look(clips)[0], None

    found = run(generator, tmp_path, Extractor("stub", "e" * 64, 12, "none", other))
    assert [number.metric for number in found] == ["FID", "KID"], "no logits, no IS"
    assert found[0].value == pytest.approx(4 * run(generator, tmp_path)[0].value, rel=1e-3)


def test_only_i3d_gives_what_is_called_fvd(generator, tmp_path):
    found = run(generator, tmp_path, Extractor("i3d", "c" * 64, 12, "none", look), clips=16)
    assert [number.metric for number in found] == ["FVD", "KID", "IS"] and "not that of the paper" not in table(found)
    plain = run(generator, tmp_path, clips=16)
    assert "FID is not that of the paper" in table(plain)
    papers = run(generator, tmp_path, Extractor("resnext101-kinetics", "c" * 64, 12, "none", look), clips=16)
    assert papers[0].metric == "FID" and "FID is by the extractor that the paper used" in table(papers)
    with pytest.raises(G3ANError, match="With the extractor stub this is no FVD; call it FID"):
        replace(plain[0], metric="FVD")


def test_features_are_kept_for_one_preprocessing_only(generator, tmp_path):
    run(generator, tmp_path, clips=16)
    count = len(list((tmp_path / "features").iterdir()))
    run(generator, tmp_path, replace(STUB, normalisation="another"), clips=16)
    assert len(list((tmp_path / "features").iterdir())) == 2 * count


def test_what_cannot_be_measured_is_refused(generator, tmp_path):
    with pytest.raises(G3ANError, match="2 clips or more"):
        run(generator, tmp_path, clips=1)
    with pytest.raises(G3ANError, match="2 clips are too few to compare real ones with each other"):
        run(generator, tmp_path, clips=2)
    with pytest.raises(G3ANError, match=r"no extractor 'factor'\. Did you mean 'factors'"):
        open_extractor("factor")

    def wrong(clips: Tensor) -> tuple[Tensor, Tensor | None]:
        return torch.ones(len(clips), 12), None

    with pytest.raises(G3ANError, match="All real clips have the same features"):
        run(generator, tmp_path, Extractor("stub", "d" * 64, 12, "none", wrong))
    broken = Generator(generator.config, spectral_norm=False).eval()
    with torch.no_grad():
        broken.to_rgb.weight.fill_(float("nan"))
    with pytest.raises(G3ANError, match="not finite"):
        run(broken, tmp_path)
    assert not list(tmp_path.rglob("*.tmp"))


def test_real_clips_know_who_is_in_them():
    data = open_dataset("shapes", length=16)
    seen, people = real_features(STUB, data, 10, None, progress=False)
    assert seen.features.shape == (10, 12)
    assert people == [data.subjects[data.epoch(0, 10)[k]["index"]] for k in range(10)]
