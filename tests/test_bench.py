"""The measurements report what they say they measure; how fast a machine is, no test can say."""

import json

import pytest
import torch

from g3an import bench, ranking
from g3an.attention import FactorizedSelfAttention
from g3an.config import ModelConfig
from g3an.errors import G3ANError


def test_fsa_puts_both_forms_side_by_side():
    threads = torch.get_num_threads()
    result = bench.fsa(repeats=2, threads=1, channels=(8, 16), side=16)
    assert torch.get_num_threads() == threads
    assert result == json.loads(json.dumps(result))
    assert [row["channels"] for row in result["rows"]] == [8, 16]
    for row in result["rows"]:
        assert row["plain_ms"] > 0 and row["fused_ms"] > 0 and row["times_as_fast"] > 0
        assert row["plain_mib"] > 16 * 256 * 256 * 4 / 2**20  # the plain form holds the maps of S-SA
        assert row["times_less_memory"] == pytest.approx(row["plain_mib"] / row["fused_mib"], rel=0.01)
    text = bench.table(result)
    assert "times_as_fast" in text and "16×16×16" in text
    assert len(text.splitlines()) == len(result) - 1 + 3


def test_faces_are_timed_by_ray_caster():
    pytest.importorskip("embreex", reason="embreex has no wheel for this platform")
    result = bench.faces(repeats=1, people=1)
    assert result == json.loads(json.dumps(result)) and result["threads"] == 1
    assert result["rows"][0]["ray_caster"] == "embreex" and result["rows"][0]["times_as_long"] == 1
    assert result["rows"][0]["frame_ms"] > 0
    with pytest.raises(G3ANError, match="at least 1 person"):
        bench.faces(people=0)


def test_features_are_timed_by_extractor():
    result = bench.features(threads=1, clips=16)
    assert result == json.loads(json.dumps(result)) and result["threads"] == 1
    assert result["rows"][0]["extractor"] == "factors" and result["rows"][0]["clips"] == 16
    assert all(row["seconds"] > 0 for row in result["rows"])
    with pytest.raises(G3ANError, match="at least 8 clips"):
        bench.features(clips=7)


def test_both_forms_compute_the_same():
    module = FactorizedSelfAttention(16).eval()
    for part in (module.t, module.s):
        torch.nn.init.ones_(part.gamma)
    x = torch.randn(2, 16, 4, 6, 5)
    with torch.no_grad():
        assert (module(x) - x).abs().max() > 0.1
        assert torch.allclose(module(x), bench.plain_fsa(module, x), rtol=0, atol=1e-5)


def test_peak_memory_counts_what_is_held_at_one_time():
    def step():
        first = torch.ones(1 << 18)  # 1 MiB
        del first
        second = torch.ones(1 << 18)
        return second, torch.ones(1 << 17)

    assert bench.peak_memory(step) == pytest.approx(1.5 * 2**20, rel=0.01)


def test_map_entries_count_the_maps():
    maps = FactorizedSelfAttention(8).maps(torch.randn(1, 8, 4, 2, 3))
    entries = bench.map_entries(4, 2, 3)
    assert entries["T-SA"] == maps["T"].numel() and entries["S-SA"] == maps["S"].numel()
    assert entries["F-SA"] == maps["T"].numel() + maps["S"].numel()
    assert entries["full"] == (4 * 2 * 3) ** 2


def test_full_attention_takes_more_memory_than_factorized():
    memory = bench.against_full_attention(channels=8, side=8)
    assert memory["full, plain"] * 2**20 > 1024**2 * 4  # one map of all to all
    assert memory["full, plain"] > 4 * memory["F-SA, plain"]
    assert memory["full, fused"] < memory["full, plain"]


def test_train_step_compares_with_and_without_attention():
    result = bench.train_step(repeats=1, threads=1, batch=2, preset="small", classes=2)
    assert result == json.loads(json.dumps(result))
    assert [row["network"] for row in result["rows"]] == ["with F-SA", "without F-SA"]
    assert all(row["step_s"] > 0 and row["cpu_s"] > 0 for row in result["rows"])
    assert "preset small" in bench.table(result)


def test_the_measured_networks_differ_by_attention_only(monkeypatch):
    seen = {}
    monkeypatch.setattr(bench, "_training_step", lambda config, batch: seen.setdefault(config, lambda: None))
    bench.train_step(repeats=1, threads=1, preset="official")
    with_attention, without = seen
    assert with_attention.attention_after == (3,) and without.attention_after == ()
    assert with_attention.widths == without.widths


def test_figures_are_drawn_written_and_timed():
    result = bench.figures(ids=["table1", "1"], threads=1)
    assert [row["figure"] for row in result["rows"]] == ["table1", "fig01"]
    assert all(row["draw_s"] > 0 and row["files_mb"] > 0.01 for row in result["rows"])
    assert result == json.loads(json.dumps(result)) and "table1" in bench.table(result)


def test_the_explorer_is_timed_from_slider_to_picture(tmp_path, monkeypatch):
    from g3an.checkpoints import save_generator
    from g3an.generator import Generator

    monkeypatch.setenv("G3AN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("g3an.ranking.measure", ranking.unranked)
    config = ModelConfig.from_preset("small", widths=(8,) * 5, attention_after=())
    save_generator(tmp_path / "tiny", Generator(config), {"dataset": "shapes"})
    result = bench.explorer(repeats=2, weights=str(tmp_path / "tiny.json"))
    assert result == json.loads(json.dumps(result)) and result["videos_at_a_time"] in (1, 2)
    assert {row["shown"] for row in result["rows"]} >= {"A and B, 16 frames", "A and B, 48 frames", "grid, 16 frames"}
    assert all(0 < row["picture_ms"] <= row["longest_ms"] and row["kb"] > 1 for row in result["rows"])
    assert "picture_ms" in bench.table(result)


@pytest.mark.parametrize(
    "call",
    [
        lambda: bench.fsa(repeats=0),
        lambda: bench.fsa(threads=0),
        lambda: bench.train_step(batch=1),
        lambda: bench.train_step(preset="huge"),
    ],
)
def test_impossible_measurements_are_refused(call):
    with pytest.raises(G3ANError):
        call()
