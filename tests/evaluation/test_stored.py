"""Stored results: measured once, resumably, never torn from weights or protocol; the page and plots made of them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from g3an.checkpoints import load_generator, shipped
from g3an.config import ModelConfig
from g3an.data import open_dataset
from g3an.data.layouts import EXPRESSIONS
from g3an.errors import G3ANError
from g3an.evaluation import page, plots, stored
from g3an.evaluation.extractors import Extractor
from g3an.latents import Codes

ROOT = Path(__file__).parents[2]
CONTENT = stored.read_stored()


# --- What is committed ---


def test_the_committed_results_are_those_of_the_shipped_weights():
    assert CONTENT == stored.read_stored(ROOT / "reports" / "results.json")
    assert (ROOT / "reports" / "results.md").read_text(encoding="utf-8") == page.page(CONTENT)
    assert CONTENT["networks"].keys() == shipped().keys()
    for name, entry in CONTENT["networks"].items():
        assert entry["card"] == shipped()[name]["measured"], "run g3an results"
        generator = load_generator(name)
        sections = stored._sections(generator, shipped()[name], None, progress=False)
        assert {section: entry[section]["key"] for section in sections} == {
            section: stored._key(generator, section) for section in sections
        }, f"{name}: measure again by g3an results"
        for number in entry["metrics"]["found"]:
            clips = stored.CLIPS[number["protocol"]["extractor"]]
            assert number["counts"]["real"] == number["counts"]["generated"] == clips
            assert number["subject"].endswith(generator.weights_hash[:12])


def test_the_page_says_what_the_real_real_distance_is_and_how_dimensions_are_counted():
    text = page.page(CONTENT)
    assert "a scale to read a value by and no floor" in text and "real/real floor" not in text
    assert "Dimensions are counted from 1, as in the figures; `-p dimensions` of a notebook counts them from 0." in text
    assert "](results.json)" in text and "](mine.json)" in page.page(CONTENT, "mine.json")


def test_published_values_stay_apart_from_ours():
    paper, ours = page.page(CONTENT).split("## What was measured here")
    for row in stored.PUBLISHED:
        assert str(row["value"]) in paper and str(row["value"]) not in ours
    assert "simulated" in ours and "simulated" not in paper
    assert ours.count("Protocol ") == sum(len(stored.extractors_of(e["dataset"])) for e in CONTENT["networks"].values())


@pytest.mark.parametrize("name", list(shipped()))
def test_every_dimension_of_the_figures_has_its_numbers(name):
    from g3an.catalogue import CATALOGUE

    measured = {(row["part"], row["dimension"]) for row in CONTENT["networks"][name]["codes"]["found"]["moved"]}
    for figure in CATALOGUE.values():
        if figure.weights == name and "manipulation" in figure.notebook and "longer" not in figure.id:
            part = "motion" if "motion" in figure.notebook else "appearance"
            wanted = figure.defaults.get("dimensions") or [figure.defaults["dimension"]]
            assert {(part, dimension) for dimension in wanted} <= measured


# --- Measuring ---


@pytest.fixture
def sections(monkeypatch):
    """Two sections for every network that count how often they are measured; ``fails`` makes the second die."""
    done = SimpleNamespace(counts=[], fails=False)

    def second():
        if done.fails:
            raise KeyboardInterrupt
        done.counts.append("second")
        return 2

    def first():
        done.counts.append("first")
        return 1

    monkeypatch.setattr(stored, "_sections", lambda *_: {"first": first, "second": second})
    return done


def test_a_run_that_dies_goes_on(sections, tmp_path):
    path = tmp_path / "results.json"
    sections.fails = True
    with pytest.raises(KeyboardInterrupt):
        stored.measure_shipped(path, only=["mug-sim"], say=lambda _: None)
    assert json.loads(path.read_text())["networks"]["mug-sim"]["first"]["found"] == 1
    sections.fails = False
    stored.measure_shipped(path, only=["mug-sim"], say=lambda _: None)
    stored.measure_shipped(path, only=["mug-sim"], say=lambda _: None)
    assert sections.counts == ["first", "second"]
    stored.measure_shipped(path, only=["mug-sim"], force=True, say=lambda _: None)
    assert sections.counts == ["first", "second"] * 2


def test_other_weights_are_measured_again(sections, tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    stored.measure_shipped(path, only=["mug-sim"], say=lambda _: None)
    monkeypatch.setattr(stored, "_key", lambda *_: "another")
    stored.measure_shipped(path, only=["mug-sim"], say=lambda _: None)
    assert sections.counts == ["first", "second"] * 2


def test_without_its_clips_weizmann_is_kept_as_it_is(sections, tmp_path):
    path, told = tmp_path / "results.json", []
    before = copy.deepcopy(CONTENT)
    path.write_text(json.dumps(before))
    after = stored.measure_shipped(path, only=["weizmann"], say=told.append)
    assert after["networks"]["weizmann"]["metrics"] == before["networks"]["weizmann"]["metrics"]
    assert sections.counts == []
    assert told == ["weizmann: needs the real clips of weizmann (--weizmann PATH); what is stored of it is kept."]


def test_without_its_clips_a_new_file_says_nothing_of_weizmann(sections, tmp_path):
    path, told = tmp_path / "new.json", []
    with pytest.raises(G3ANError, match=r"Nothing is stored of weizmann in .*new\.json.* g3an results --weizmann PATH"):
        stored.measure_shipped(path, only=["mug-sim", "weizmann"], say=told.append)
    assert not path.exists() and sections.counts == [] and not told
    content = stored.measure_shipped(path, say=told.append)
    assert "weizmann: needs the real clips of weizmann (--weizmann PATH); nothing is stored of it." in told
    assert "weizmann" not in page.page(content), "a heading with nothing below it"


def test_what_cannot_be_measured_is_said_in_a_sentence(tmp_path):
    with pytest.raises(G3ANError, match="no shipped network 'mug'; there are mug-sim"):
        stored.measure_shipped(tmp_path / "results.json", only=["mug"])
    with pytest.raises(G3ANError, match="does not exist"):
        stored.read_stored(tmp_path / "results.json")
    for text, message in (("[]", "no measured results"), ('{"networks": {}, "version": 0}', "version 0, not 1")):
        (tmp_path / "results.json").write_text(text)
        with pytest.raises(G3ANError, match=message):
            stored.read_stored(tmp_path / "results.json")
    with pytest.raises(G3ANError, match="'weizmann' needs the folder"):
        stored.reader_of(load_generator("weizmann"))
    for other in (SimpleNamespace(card={"dataset": "ucf101"}), SimpleNamespace()):
        with pytest.raises(G3ANError, match="read of networks of mug-sim, uva-nemo-sim, weizmann only"):
            stored.reader_of(other)


def test_confusion_counts_as_what_clips_are_read(monkeypatch):
    """A network whose happy clips look angry, and whose categories come in another order than the expressions."""
    classes = tuple(reversed(EXPRESSIONS))
    network = SimpleNamespace(config=ModelConfig.from_preset("small", classes=classes))

    def generate(_, codes: Codes) -> torch.Tensor:
        videos = torch.zeros(len(codes), 3, 16, 64, 64)
        for clip, asked in enumerate(codes.c.argmax(1)):
            shown = "anger" if classes[asked] == "happy" else classes[asked]
            videos[clip, 0, 0, 0, EXPRESSIONS.index(shown)] = 1
        return videos

    monkeypatch.setattr(stored, "generate", generate)
    reader = SimpleNamespace(read=lambda videos: SimpleNamespace(expression=videos[:, 0, 0, 0, : len(EXPRESSIONS)]))
    monkeypatch.setattr(stored, "load_factors", lambda: reader)
    found = stored.confusion(network, clips=120)
    share = np.array(found["share"])
    happy, anger = classes.index("happy"), classes.index("anger")
    assert share.sum(1).tolist() == [1] * 6 and share[happy, anger] == 1 and share[happy, happy] == 0
    assert all(share[k, k] == 1 for k in range(6) if k != happy)
    with pytest.raises(G3ANError, match="no categories"):
        stored.confusion(SimpleNamespace(config=ModelConfig.from_preset("small")))
    network.config = ModelConfig.from_preset("small", classes=("a", "b"))
    with pytest.raises(G3ANError, match="what reads it knows sad"):
        stored.confusion(network)


def test_a_network_that_repeats_its_clips_is_seen(monkeypatch):
    data = open_dataset("shapes", length=16)
    train = torch.stack([data.clip(k % len(data), 0)["video"] for k in range(24)])
    network = SimpleNamespace(config=ModelConfig.from_preset("small", classes=()))
    extractor = Extractor("means", "hash", 127, "none", lambda clips: (clips.mean(2).flatten(1)[:, ::97], None))
    monkeypatch.setattr(stored, "generate", lambda _, codes: train[: len(codes)])
    repeats = stored.measure_memory(network, data, None, extractor, samples=24, windows=1, progress=False)
    random = torch.Generator().manual_seed(0)
    monkeypatch.setattr(stored, "generate", lambda _, codes: torch.rand(len(codes), 3, 16, 64, 64, generator=random))
    invents = stored.measure_memory(network, data, None, extractor, samples=24, windows=1, progress=False)
    assert repeats["pixels"]["generated"][2] == 0 and repeats["features"]["nearer"] == 1
    assert invents["pixels"]["nearer"] == 0 and repeats["training_windows"] == len(data)
    paced = open_dataset("shapes", length=16, steps=(1, 2, 3))  # of 32 frames: too short for the last
    both = stored.measure_memory(network, paced, None, extractor, samples=24, windows=1, progress=False)
    assert both["training_windows"] == 2 * len(paced)
    turned = torch.stack([data.clip(k, 0, flip=True)["video"] for k in range(24)])
    monkeypatch.setattr(stored, "generate", lambda _, codes: turned[: len(codes)])
    for mirror in (False, True):
        known = open_dataset("shapes", length=16, mirror=mirror)
        found = stored.measure_memory(network, known, None, extractor, samples=24, windows=1, progress=False)
        assert (found["pixels"]["generated"][2] == 0) == mirror
        assert found["training_windows"] == (1 + mirror) * len(data)
    assert "clips of people" not in page.memory(repeats)[0] and "24 samples" in page.memory(repeats)[0]


def test_a_sweep_is_told_by_its_mean_and_spread():
    def run(setting: str, value: float | None, status: str = "finished") -> dict:
        return {"setting": setting, "status": status, "results": {} if value is None else {"FID": value}}

    sweep = {"title": "Parts", "runs": [run("full", 1), run("full", 3), run("none", 5), run("none", 9, "failed")]}
    found = stored.summary(sweep)
    assert found["settings"] == [
        {"setting": "full", "runs": 2, "numbers": {"FID": [2, 1.414]}},
        {"setting": "none", "runs": 1, "numbers": {"FID": [5, 0]}},
    ]
    with_it = CONTENT | {"ablation": found}
    assert "| full | 2 | 2 ± 1.4 |" in page.page(with_it)
    assert len(plots.plot_ablation(with_it, ["FID"]).axes) == 1
    with pytest.raises(G3ANError, match="did not record KID; it has FID"):
        plots.plot_ablation(with_it, ["KID"])
    found["settings"][1]["numbers"].pop("FID")  # as where it was finite in none of a setting's runs
    (axes,) = plots.plot_ablation(with_it, ["FID"]).axes
    assert len(axes.containers) == 1 and len(axes.get_yticks()) == 2


@pytest.mark.parametrize(
    ("dataset", "split", "learned", "fresh"),
    [("mug-sim", "auto", "train", "test"), ("mug-sim", "all", "all", None), ("prepared", "auto", "all", None),
     ("prepared", "train", "train", "test")],
)  # fmt: skip
def test_memory_compares_with_whom_a_network_met(dataset, split, learned, fresh, monkeypatch):
    opened, mirrored = [], []
    monkeypatch.setattr(
        stored, "open_dataset",
        lambda *names, split, mirror, **_: (opened.append((*names, split)), mirrored.append(mirror)),
    )  # fmt: skip
    network = SimpleNamespace(card={"training": {"split": split}}, frame_count=lambda: 16)
    stored.training_clips(network, dataset, "where")
    stored.fresh_clips(network, dataset, "where")
    assert opened == [(dataset, "where", part) for part in (learned, fresh) if part] and not any(mirrored)
    network.card["training"]["mirror"] = True
    stored.training_clips(network, dataset, "where")
    stored.fresh_clips(network, dataset, "where")
    assert mirrored[len(opened) // 2 :] == [True] * (len(opened) // 2)


def test_a_factor_that_never_varies_has_an_empty_row():
    name = next(name for name, entry in CONTENT["networks"].items() if "codes" in entry)
    content = {"networks": {name: copy.deepcopy(CONTENT["networks"][name])}}
    shares = content["networks"][name]["codes"]["found"]["shares"]
    factor, of = next(iter(shares.items()))
    of |= {term: [None, None, None] for term in of}
    (axes,) = plots.plot_shares(content).axes
    drawn = axes.collections[0].get_array().reshape(len(shares), -1)
    assert np.ma.getmaskarray(drawn)[0].all() and not np.ma.getmaskarray(drawn)[1:].any(), factor


# --- Plots ---


def test_every_section_has_its_plot():
    read = [name for name, entry in CONTENT["networks"].items() if "codes" in entry]
    conditional = [name for name, entry in CONTENT["networks"].items() if "confusion" in entry]
    assert len(plots.plot_metrics(CONTENT).axes) == 2
    assert [a.get_title() for a in plots.plot_shares(CONTENT).axes] == [plots.title_of(CONTENT, name) for name in read]
    assert len(plots.plot_confusion(CONTENT).axes) == len(conditional)
    assert len(plots.plot_curves(CONTENT).axes[0].get_legend().get_texts()) == len(CONTENT["networks"])
    for part in ("appearance", "motion"):
        assert len(plots.plot_moved(CONTENT, part).axes) == len(read)
    assert len(plots.plot_memory(CONTENT).axes) == 2
    assert len(plots.plot_ladder(CONTENT).axes) == 2


def test_what_is_not_stored_is_not_plotted():
    empty = {"networks": {}}
    for plot in (plots.plot_metrics, plots.plot_shares, plots.plot_confusion, plots.plot_memory):
        with pytest.raises(G3ANError, match="Nothing is stored"):
            plot(empty)
    with pytest.raises(G3ANError, match="Nothing is stored of FVD"):
        plots.plot_metrics(CONTENT, "FVD")
    with pytest.raises(G3ANError, match="No ablation is stored"):
        plots.plot_ablation({"networks": {}}, ["FID"])
