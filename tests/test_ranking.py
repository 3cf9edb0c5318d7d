"""Rankings of dimensions are stored for shipped networks, and measured once for others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from g3an import ranking
from g3an.checkpoints import load_generator, shipped
from g3an.config import ModelConfig
from g3an.files import read_json
from g3an.generator import Generator
from g3an.latents import PARTS, generate, rank_dimensions, sample_codes, traverse


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator:
    monkeypatch.setenv("G3AN_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    config = ModelConfig.from_preset("small", widths=(8,) * 5, attention_after=(), z_a_dim=6, z_m_dim=3)
    generator = Generator(config, spectral_norm=False).eval()
    generator.weights_hash = "f" * 64
    return generator


@pytest.mark.parametrize("name", shipped())
def test_shipped_networks_are_ranked(name):
    generator = load_generator(name)
    stored = ranking.known(generator)
    assert generator.weights_hash in read_json(ranking.STORED), "run python -m g3an.ranking"
    assert stored is not None
    # Measuring all again takes a minute; the strongest and the weakest must be as far apart as they say.
    for part in PARTS:
        codes = sample_codes(generator.config, stored[part].codes, 0)
        for dimension in (stored[part].order[0], stored[part].order[-1]):
            videos = generate(generator, traverse(codes, part, dimension, (-3.0, 3.0)))
            change = float((videos[1::2] - videos[::2]).abs().mean()) * 255 / 2
            assert change == pytest.approx(stored[part].change[dimension], abs=0.05)


def test_a_network_is_measured_once(own, tmp_path):
    assert ranking.known(own) is None
    measured = ranking.measure(own)
    assert measured["motion"].order == rank_dimensions(own, "motion").order
    again = ranking.known(own)
    assert again is not None
    for part in PARTS:
        assert again[part].change == pytest.approx(measured[part].change, abs=0.005)
    own.weights_hash = "e" * 64
    assert ranking.known(own) is None, "other weights have another ranking"


def test_effects_are_those_known_unless_wanted_again(own, monkeypatch):
    measured = ranking.effects(own, "motion")
    assert len(measured.change) == 3
    asked = []
    monkeypatch.setattr(ranking, "rank_dimensions", lambda generator, part: asked.append(part) or measured)
    assert ranking.effects(own, "motion").change == pytest.approx(measured.change, abs=0.005)
    assert len(ranking.effects(own, "appearance").change) == 6
    assert not asked
    assert ranking.effects(own, "motion", again=True) is measured and asked == ["motion"]


def test_a_damaged_or_foreign_ranking_is_measured_anew(own, tmp_path):
    ranking.measure(own)
    [path] = (tmp_path / "cache" / "rankings").iterdir()
    text = path.read_text()
    for content in ("{", "[]", "{}", text.replace('"codes"', '"kodes"')):
        path.write_text(content)
        assert ranking.known(own) is None
    path.write_text(text)
    own.config = ModelConfig.from_preset("small", z_a_dim=7, z_m_dim=3)
    assert ranking.known(own) is None


def test_a_cache_that_cannot_be_written_is_no_failure(own, tmp_path):
    (tmp_path / "cache").write_text("a file in the way")
    assert len(ranking.measure(own)["appearance"].change) == 6
    assert ranking.known(own) is None


def test_without_a_ranking_dimensions_come_by_number(own):
    found = ranking.unranked(own)
    assert found["appearance"].order == list(range(6)) and found["motion"].order == list(range(3))


def test_storing_keeps_what_is_known_and_drops_the_rest(tmp_path, monkeypatch):
    stored = read_json(ranking.STORED)
    path = tmp_path / "r.json"
    path.write_text('{"gone": {}}')
    monkeypatch.setattr(ranking, "rank_dimensions", lambda generator, part, **_: ranking.unranked(generator)[part])
    ranking.store_shipped(path)
    assert read_json(path).keys() == stored.keys()
    assert {entry["name"] for entry in read_json(path).values()} == set(shipped())
