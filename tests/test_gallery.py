"""The figure notebooks' helper: which figures it draws, from which network, and what it writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from g3an import gallery as module
from g3an.catalogue import CASTS, CATALOGUE, cast_of
from g3an.checkpoints import save_generator
from g3an.config import ModelConfig
from g3an.errors import G3ANError
from g3an.files import read_json
from g3an.gallery import Gallery
from g3an.generator import Generator
from g3an.plotting import Drawn


@pytest.fixture
def own(tmp_path: Path) -> str:
    """Weights of the user's, trained on prepared clips of the real MUG."""
    torch.manual_seed(0)
    config = ModelConfig.from_preset("small", widths=(8, 8, 8, 8, 8), attention_after=(1,), classes=CASTS["mug"].panels)
    save_generator(tmp_path / "mine", Generator(config), {"dataset": "prepared", "smoke": False})
    return str(tmp_path / "mine.safetensors")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What was shown: (drawing, alt, moving)."""
    seen: list[tuple] = []
    monkeypatch.setattr(module, "show", lambda *what: seen.append(what))
    return seen


def test_every_figure_of_trained_weights_belongs_to_a_cast():
    for name, figure in CATALOGUE.items():
        assert bool(cast_of(name)) == bool(figure.weights)


def test_own_weights_draw_the_figures_of_the_data_set_under_its_own_name(own, shown, tmp_path):
    gallery = Gallery("mug", own, save_to=str(tmp_path / "out"))
    assert gallery.datasets == ["mug"]
    gallery.show("fig08", values=[0.0], subjects=[])
    [(drawn, _, moving, _)] = shown
    assert isinstance(drawn, Drawn) and not moving
    words = " ".join(text.get_text() for text in drawn.still.texts)
    assert "MUG dataset." in words and "simulated" not in words
    entry = read_json(tmp_path / "out" / "manifest.json")["fig08"]
    assert "simulated" not in entry["title"] and entry["parameters"]["values"] == [0.0]
    assert entry["parameters"]["subjects"] == [*CASTS["mug"].subjects], "an empty choice means the catalogue's"
    assert entry["weights_sha256"] == gallery.network("mug").weights_hash


def test_simulated_data_stays_simulated_whoever_trained_on_it(own, shown):
    card = Path(own).with_suffix(".json")
    card.write_text(card.read_text().replace('"prepared"', '"mug-sim"'))
    gallery = Gallery("mug", own)
    gallery.show("fig08", values=[0.0])
    assert "(simulated)" in " ".join(text.get_text() for text in shown[0][0].still.texts)


@pytest.fixture
def pets(tmp_path: Path) -> str:
    """Weights of the user's whose categories no figure of the appendix has."""
    torch.manual_seed(0)
    config = ModelConfig.from_preset("small", widths=(8,) * 5, attention_after=(1,), classes=("cats", "dogs"))
    save_generator(tmp_path / "pets", Generator(config), {"dataset": "prepared", "smoke": False})
    return str(tmp_path / "pets.safetensors")


def test_a_network_of_other_data_draws_figures_of_its_own(pets, shown, tmp_path, capsys):
    gallery = Gallery("", pets, save_to=str(tmp_path / "out"), notebook="08_appearance_manipulation")
    assert gallery.datasets == ["own"] and gallery.label("own") == "prepared data"
    gallery.show("fig08")
    assert not shown and "not asked for" in capsys.readouterr().out
    gallery.show_own(dimension=([4], [5]), values=[0.0], subjects=[], motions=[7])
    manifest = read_json(tmp_path / "out" / "manifest.json")
    assert [entry["parameters"]["dimension"] for entry in manifest.values()] == [4, 5]
    assert manifest["own_appearance1"]["title"] == "Appearance manipulation on prepared data, fifth dimension"
    assert Gallery("", pets, ["own_switch"]).only == ["own_switch"]
    with pytest.raises(G3ANError, match=r"has categories, so 06_unconditional_generation has no figure of it; 07_"):
        Gallery("", pets, notebook="06_unconditional_generation")
    with pytest.raises(G3ANError, match="lacks categories that the figures of mug ask for: sad, anger"):
        Gallery("mug", pets)


def test_of_the_shipped_networks_there_are_no_figures_of_their_own(shown, capsys):
    Gallery(notebook="10_motion_switch").show_own()
    assert not shown and "above" in capsys.readouterr().out


def test_a_network_draws_the_data_set_that_its_card_names(own):
    card = Path(own).with_suffix(".json")
    card.write_text(card.read_text().replace('"prepared"', '"mug-sim"'))
    assert Gallery("", own).datasets == ["mug"] == Gallery("mug-sim", own).datasets


def test_no_figure_says_that_a_network_learned_from_other_data_than_it_did(own):
    card = Path(own).with_suffix(".json")
    card.write_text(card.read_text().replace('"prepared"', '"ucf101"'))
    with pytest.raises(G3ANError, match="was trained on UCF101, so it draws no figures of mug"):
        Gallery("mug", own)


def test_a_notebook_s_pair_is_two_values_or_none():
    assert Gallery.pair([3, 4], "subjects") == ([3], [4]) and Gallery.pair([], "subjects") == ([], [])
    with pytest.raises(G3ANError, match=r"dimensions wants two values or none, not \[5\]"):
        Gallery.pair([5], "dimensions")


def test_what_was_not_asked_for_is_left_out_with_a_word(own, shown, capsys):
    gallery = Gallery("mug", own, only=["8"])
    gallery.show("fig10")
    gallery.show("fig09")
    assert not shown and capsys.readouterr().out.count("was not asked for") == 2


def test_wrong_choices_are_refused(own):
    with pytest.raises(G3ANError, match=r"no figures of 'mugs'\. Did you mean 'mug'"):
        Gallery("mugs")
    with pytest.raises(G3ANError, match=r"no figures of 'mug' in 06_unconditional_generation\. Known: uva-nemo"):
        Gallery("mug", notebook="06_unconditional_generation")
    assert Gallery(notebook="07_conditional_generation").datasets == ["mug", "weizmann"]
    with pytest.raises(G3ANError, match=r"no figures of '' here\. Known: mug"):
        Gallery().network("")
    with pytest.raises(G3ANError, match="no figure '99'"):
        Gallery(only=["99"])
    with pytest.raises(G3ANError, match="no category 'wave1'"):
        Gallery("mug", own).show("fig04", categories=["wave1"])
