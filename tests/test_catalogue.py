"""Which videos every figure shows, in which order, and what is written beside them.

Small untrained networks draw here; that the committed figures come out of the shipped weights is in test_figures.py.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from g3an import catalogue
from g3an.catalogue import (
    CASTS,
    CATALOGUE,
    Figure,
    cast_of,
    data_set,
    draw,
    find,
    ordinal,
    own_cast,
    own_figures,
    provenance,
    select,
    spelled,
    stamp,
)
from g3an.config import ModelConfig
from g3an.errors import G3ANError
from g3an.generator import Generator
from g3an.latents import Codes, Effects, combine, generate, to_uint8
from g3an.plotting import Drawn, Panel
from g3an.training import recompute_statistics

ACTIONS = ("wave1", "wave2", "jack", "bend")
SMALL = ModelConfig.from_preset("small", widths=(8, 8, 8, 8, 8), attention_after=(1,), classes=ACTIONS)
EXPRESSIONS = ("sad", "anger", "surprise", "disgust", "happy", "fear")
# Of each set: seeds of subject 1 and subject 2 and of the two motions, categories of manipulations and switches.
PEOPLE, MOTIONS = ({name: getattr(cast, what) for name, cast in CASTS.items()} for what in ("subjects", "motions"))
VARIED = {"weizmann": "wave2", "mug": "happy", "uva-nemo": None}
SWITCHED = {"weizmann": (("wave1", "wave2"), ("jack", "bend")), "mug": (("happy", "surprise"), ("anger", "fear"))}
VALUES = (-3.0, -1.5, 0.0, 1.5, 3.0)
NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def network(config: ModelConfig = SMALL, **card: object) -> Generator:
    """Untrained, but with batch-norm statistics of its own, without which all its videos would be nearly grey."""
    torch.manual_seed(0)
    made = Generator(config, spectral_norm=False)
    recompute_statistics(made, seed=0, passes=1, batch=8)
    made.card, made.weights_hash = {"dataset": "weizmann", **card}, "0123456789abcdef"  # type: ignore[assignment]
    return made.eval()


@pytest.fixture(scope="module")
def generators() -> dict[str, Generator]:
    faces = ModelConfig.from_preset("small", widths=(8, 8, 8, 8, 8), attention_after=(1,), classes=EXPRESSIONS)
    smiles = ModelConfig.from_preset("small", widths=(8, 8, 8, 8, 8), attention_after=(1,))
    return {
        "weizmann": network(name="weizmann"), "mug": network(faces, dataset="mug-sim", name="mug-sim"),
        "uva-nemo": network(smiles, dataset="uva-nemo-sim", name="uva-nemo-sim"),
    }  # fmt: skip


@pytest.fixture
def generator(generators) -> Generator:
    return generators["weizmann"]


class Page:
    """What a figure passes to :func:`g3an.plotting.draw_panels`."""

    def __init__(
        self, panels: list[Panel], caption: str, provenance: str, stamp: str, title: str, **layout: int
    ) -> None:
        self.panels, self.caption, self.provenance, self.stamp = panels, caption, provenance, stamp
        self.title, self.layout = title, layout


@pytest.fixture
def compose(monkeypatch: pytest.MonkeyPatch, generators: dict[str, Generator]):
    """Draw up to the page, which takes the time."""
    monkeypatch.setattr(catalogue, "draw_panels", Page)

    def page(name: str | Figure, made: Generator | None = None, **overrides: object):
        known = isinstance(name, str) and name in CATALOGUE and cast_of(name)
        return draw(name, made or generators[known or "weizmann"], **overrides)

    return page


def shown(generator: Generator, *codes: Codes) -> np.ndarray:
    return to_uint8(generate(generator, Codes.cat(codes)))


def agree(videos: np.ndarray, expected: np.ndarray) -> bool:
    """Within one level, which rounding from float32 or float64 may decide."""
    return videos.shape == expected.shape and np.abs(videos.astype(int) - expected).max() <= 1


def changed(code: Codes, part: str, dimension: int, value: float) -> Codes:
    z_a, z_m = code.z_a.clone(), code.z_m.clone()
    (z_a if part == "appearance" else z_m)[:, dimension] = value
    return Codes(z_a, z_m, code.c)


# --- The list ---------------------------------------------------------------------------------------------------------


def test_the_catalogue_has_every_figure_of_the_appendix():
    assert {"table1", *(f"fig{number:02d}" for number in range(1, 16))} <= CATALOGUE.keys()
    assert {"fig16_mug", "fig16_weizmann", "fig16_uva_nemo"} <= CATALOGUE.keys()
    extra = {"extra_weizmann_jack_bend", "extra_mug_motion", "extra_weizmann_longer", "extra_weizmann_tempo",
             "extra_weizmann_side"}  # fmt: skip
    assert extra <= CATALOGUE.keys()
    assert all(name == figure.id for name, figure in CATALOGUE.items())
    stems = [figure.told().name for figure in CATALOGUE.values()]
    assert len(set(stems)) == len(stems)


@pytest.mark.parametrize("figure", CATALOGUE.values(), ids=CATALOGUE.keys())
def test_every_entry_is_complete(figure):
    figure = figure.told()
    assert figure.name.startswith(figure.id)
    kind, _, number = figure.number.partition(" ")
    if figure.id.startswith("fig"):
        assert (kind, int(number)) == ("Figure", int(figure.id[3:5]))
    assert figure.title and len(figure.alt) > 60 and figure.alt.endswith(".")
    words = figure.name + figure.title + figure.alt + figure.playing
    assert not any(sign in words for sign in ("{", "}", "None"))
    assert bool(figure.playing) == figure.animated
    if figure.animated:
        assert len(figure.playing) > 60 and figure.playing.endswith(".")
        assert not re.search(r"\b(row|rows|down)\b", figure.playing), "an animation has no rows of frames"
    drawn_by_hand = figure.id in {"table1", "fig01", "fig02"}
    assert bool(figure.weights) == figure.animated == bool(figure.seeds) == (not drawn_by_hand)
    assert json.loads(json.dumps(figure.defaults)).keys() == figure.defaults.keys()
    cells = json.loads((NOTEBOOKS / f"{figure.notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    assert any(f'"{figure.id}"' in "".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


CHOSEN = "chosen among the first twenty-four"
PAGES = [figure for figure in CATALOGUE.values() if figure.weights and "longer" not in figure.id]


@pytest.mark.parametrize("figure", PAGES, ids=lambda figure: figure.id)
def test_every_page_is_captioned_and_says_where_it_comes_from(figure, compose):
    page = compose(figure.id)
    data = {"weizmann": "Weizmann", "mug": "MUG (simulated)", "uva-nemo": "UvA-NEMO (simulated)"}[cast_of(figure.id)]
    assert page.caption.startswith(f"{figure.number}: ") and data in page.caption and data in figure.told().title
    assert not re.search(r"\{(?![am]_\d)", page.caption), "a brace is not filled in"
    assert page.caption.count("*") % 2 == 0 and page.caption.count("$") % 2 == 0
    assert data in page.provenance and "0123456789ab." in page.provenance
    assert page.provenance.endswith(f"Seeds: {figure.told().seeds}.") and CHOSEN in page.provenance
    assert page.stamp == "" and page.title == f"{figure.number}: {figure.told().title}"
    assert ("in each sub-figure" in page.caption.lower()) <= (len(page.panels) > 1)
    manipulated = figure.notebook.startswith(("08", "09"))
    assert ("Each value takes the place of the code" in page.provenance) == manipulated
    category = figure.defaults.get("category")
    assert page.provenance.startswith("Category: ") == bool(category)
    if category:
        assert f"Category: *{spelled(category)}*. " in page.provenance
        assert all(f"asked for {spelled(category)}" in words for words in (figure.told().alt, figure.told().playing))
    letters = [f"{letter}: " for letter in "abcdef"[: len(page.panels)]]
    assert [panel.label[:3] for panel in page.panels] == letters or len(page.panels) == 1
    assert ": " not in page.panels[0].label or len(page.panels) > 1, "a panel that is alone needs no letter"
    assert all(panel.videos.shape[1:] == (16, 64, 64, 3) for panel in page.panels)


# --- The videos -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "people", "actions"),
    [
        ("fig04", [1], EXPRESSIONS),
        ("fig05", [2], EXPRESSIONS),
        ("fig06", [1], ["wave1", "wave2"]),
        ("fig07", [2], ["wave1", "wave2"]),
        ("extra_weizmann_jack_bend", [1, 2], ["jack", "bend"]),
    ],
)
def test_generation_has_a_panel_a_person_and_action_and_a_row_a_motion(name, people, actions, compose, generators):
    page, data = compose(name), cast_of(name)
    generator = generators[data]
    pairs = [(person, action) for person in people for action in actions]
    for panel, (person, action) in zip(page.panels, pairs, strict=True):
        assert panel.label[3:] == f"subject {person}, *{spelled(action)}*"
        assert panel.rows == ("$z_{m_0}$", "$z_{m_1}$")
        codes = (combine(generator.config, PEOPLE[data][person - 1], motion, action) for motion in MOTIONS[data])
        assert agree(panel.videos, shown(generator, *codes))
    assert not agree(page.panels[0].videos, page.panels[1].videos)


@pytest.mark.parametrize(
    ("name", "dimension", "word"),
    [(f"fig{number + k:02d}", k, word) for number in (8, 10, 12) for k, word in enumerate(("first", "second"))],
)
def test_appearance_rises_from_row_to_row_for_two_people(name, dimension, word, compose, generators):
    page, data = compose(name), cast_of(name)
    generator = generators[data]
    assert word in page.caption and len(page.panels) == 2
    for panel, person in zip(page.panels, (1, 2), strict=True):
        base = combine(generator.config, PEOPLE[data][person - 1], MOTIONS[data][0], VARIED[data])
        rows = [changed(base, "appearance", dimension, value) for value in VALUES]
        assert agree(panel.videos, shown(generator, *rows))
        assert panel.rows == ("−3", "−1.5", "0", "+1.5", "+3")
        assert panel.label[3:] == f"subject {person}"
        assert np.ptp(panel.videos.astype(int), axis=0).max() > 0, "the dimension changes nothing"


def test_one_person_and_three_motions_without_a_category(compose, generators):
    page, cast = compose("fig03"), CASTS["uva-nemo"]
    people = [*cast.subjects, *cast.others]
    assert len(people) > 2
    for number, (panel, person) in enumerate(zip(page.panels, people, strict=True), 1):
        motions = (*cast.motions, cast.motions[1] + 1)
        codes = (combine(generators["uva-nemo"].config, person, motion) for motion in motions)
        assert agree(panel.videos, shown(generators["uva-nemo"], *codes))
        assert panel.label[3:] == f"subject {number}" and panel.rows == ("$z_{m_0}$", "$z_{m_1}$", "$z_{m_2}$")


def test_the_motion_figure_of_smiles_has_every_dimension_that_a_caption_names(compose, generators):
    page = compose("fig14")
    assert [panel.label[3:] for panel in page.panels] == [f"{word} dimension" for word in ("first", "second", "sixth")]
    base = combine(generators["uva-nemo"].config, PEOPLE["uva-nemo"][0], MOTIONS["uva-nemo"][0])
    rows = [changed(base, "motion", 5, value) for value in VALUES]
    assert agree(page.panels[2].videos, shown(generators["uva-nemo"], *rows))
    assert "*a*, *b* and *c* are results of manipulating *first*, *second* and *sixth*" in page.caption


@pytest.mark.parametrize("name", ["fig15", "extra_mug_motion"])
def test_motion_rises_from_row_to_row_for_two_dimensions(name, compose, generators):
    page, data = compose(name), cast_of(name)
    generator = generators[data]
    assert "*a* and *b* are results of manipulating *first* and *second*" in page.caption
    for panel, (dimension, word) in zip(page.panels, enumerate(("first", "second")), strict=True):
        base = combine(generator.config, PEOPLE[data][0], MOTIONS[data][0], VARIED[data])
        rows = [changed(base, "motion", dimension, value) for value in VALUES]
        assert agree(panel.videos, shown(generator, *rows))
        assert panel.label[3:] == f"{word} dimension" and panel.rows[0] == "−3"


def test_tempo_rises_from_row_to_row(compose, generators):
    page, base = compose("extra_weizmann_tempo"), (PEOPLE["weizmann"][0], MOTIONS["weizmann"][0], VARIED["weizmann"])
    code = combine(generators["weizmann"].config, *base)
    rows = [changed(code, "motion", 2, value) for value in (-0.4, -0.2, 0.0, 0.2, 0.4)]
    assert agree(page.panels[0].videos, shown(generators["weizmann"], *rows))
    assert "This is the result of manipulating *third* dimension" in page.caption and page.panels[0].rows[0] == "−0.4"


def test_sides_change_between_rows(compose, generators):
    page = compose("extra_weizmann_side")
    code = combine(generators["weizmann"].config, PEOPLE["weizmann"][0], MOTIONS["weizmann"][0], "wave1")
    rows = [changed(code, "motion", 3, value) for value in (-1.0, -0.5, 0.5, 1.0)]
    assert agree(page.panels[0].videos, shown(generators["weizmann"], *rows))
    assert "This is the result of manipulating *fourth* dimension" in page.caption


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"allotted": True, "clip_steps": [1, 2], "mirror": True}, True),
        ({"allotted": True, "clip_steps": [1], "mirror": True}, False),  # there it is the third
        ({"allotted": False, "clip_steps": [1, 2], "mirror": True}, False),
        ({"allotted": True, "clip_steps": [1, 2], "mirror": False}, False),
    ],
)
def test_only_of_a_network_that_learned_sides_it_is_said(training, said):
    told = CATALOGUE["extra_weizmann_side"].told(network(training=training))
    assert ("on which side somebody moves" in told.caption) == said


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"allotted": True, "clip_steps": [1, 2, 3]}, True),
        ({"allotted": True, "clip_steps": [2]}, False),
        ({"allotted": False, "clip_steps": [1, 2]}, False),
        ({}, False),
    ],
)
def test_only_of_a_network_that_learned_tempo_it_is_said(training, said):
    told = CATALOGUE["extra_weizmann_tempo"].told(network(training=training))
    assert ("how fast somebody moves" in told.caption) == said


def test_longer_videos_are_compared_with_the_length_of_the_training():
    assert "trained on 16 frames" in CATALOGUE["extra_weizmann_longer"].told(network()).caption
    longer = network(training={"clip_length": 24})
    assert "trained on 24 frames" in CATALOGUE["extra_weizmann_longer"].told(longer).caption


def test_the_rank_of_what_is_drawn_stands_on_the_page(compose, monkeypatch):
    assert "Ranked" not in compose("fig15").provenance, "nothing is stored of this network"
    changes = {"appearance": (1.0, 3.0, 2.0), "motion": (5.0, 1.0, 9.0)}
    effects = {part: Effects(part, 3.0, change, 2) for part, change in changes.items()}
    monkeypatch.setattr(catalogue.ranking, "stored", lambda _: effects)
    assert "Ranked by effect: second and third of 3. " in compose("fig15").provenance
    assert "Ranked by effect: first of 3. " in compose("fig11").provenance
    assert CATALOGUE["fig10"].told(network()).effect == "third of 3"
    assert "Ranked" not in compose("fig06").provenance and CATALOGUE["fig15"].told().effect == ""


@pytest.mark.parametrize("name", ["fig16_weizmann", "fig16_mug"])
def test_motion_and_category_are_switched_between_two_people(name, compose, generators):
    page, data = compose(name), cast_of(name)
    generator, (s, t), (m, n) = generators[data], PEOPLE[data], MOTIONS[data]
    for panel, (here, there) in zip(page.panels, SWITCHED[data], strict=True):
        both = [(s, m, here), (t, n, there), (s, n, there), (t, m, here)]
        assert agree(panel.videos, shown(generator, *(combine(generator.config, *code) for code in both)))
        assert panel.rows == tuple(f"$z_{{a_{a}}},z_{{m_{m}}},c_{m}$" for a, m in ((0, 0), (1, 1), (0, 1), (1, 0)))
        assert panel.label[3:] == f"*{spelled(here)}* ($c_0$) and *{spelled(there)}* ($c_1$)"
        assert panel.split == 2


def test_without_a_category_the_motion_alone_is_switched(compose, generators):
    page = compose("fig16_uva_nemo")
    generator, (s, t), (m, n) = generators["uva-nemo"], PEOPLE["uva-nemo"], MOTIONS["uva-nemo"]
    [panel] = page.panels
    both = [(s, m), (t, n), (s, n), (t, m)]
    assert agree(panel.videos, shown(generator, *(combine(generator.config, *code) for code in both)))
    assert panel.rows[2] == "$z_{a_0},z_{m_1}$" and "c_" not in page.caption and "there is no $c$" in page.caption


def test_longer_videos_fill_rows_of_sixteen_and_play_to_the_end(generator, monkeypatch):
    pages: list[list[Panel]] = []
    monkeypatch.setattr(catalogue, "draw_panels", lambda panels, *_, **__: pages.append(panels) or Drawn(None))  # type: ignore[arg-type,func-returns-value]
    draw("extra_weizmann_longer", generator)
    still, [tiles] = pages
    for panel, (positions, length, rows) in zip(still, ((1, 16, 1), (2, 24, 2), (3, 32, 2), (5, 48, 3)), strict=True):
        video = shown(generator, combine(SMALL, PEOPLE["weizmann"][0], 8, "wave2", positions))[0]
        assert len(video) == length and f"{length} frames" in panel.label
        assert panel.videos.shape == (rows, 16, 64, 64, 3)
        frames = panel.videos.reshape(-1, 64, 64, 3)
        assert agree(frames[:length], video) and np.all(frames[length:] == 255)
    assert still[1].rows == ("1–16", "17–24") and tiles.videos.shape[:2] == (4, 48)
    assert (tiles.videos[0, 16:] == tiles.videos[0, 15]).all(), "a shorter video stands still at its end"
    assert not (tiles.videos[3, 16:] == tiles.videos[3, 15]).all() and tiles.rows[0] == "a: 16 frames"
    with pytest.raises(G3ANError, match=r"makes videos of 16, 24, 32, 40, 48, 56, … frames, not \[20\]"):
        draw("extra_weizmann_longer", generator, lengths=[16, 20])


def test_parameters_reach_the_page(compose, generator):
    page = compose("fig10", dimension=2, values=[0.25], subjects=[7], motion=5, category="bend")
    [panel] = page.panels
    code = changed(combine(SMALL, 7, 5, "bend"), "appearance", 2, 0.25)
    assert agree(panel.videos, shown(generator, code)) and panel.rows == ("+0.25",)
    assert "third" in page.caption and panel.label == "subject 1"
    assert "This is from one randomly sampled $z_a$" in page.caption and "*bending*" in page.provenance
    assert page.provenance.endswith("Seeds: $z_a$ 7, $z_m$ 5.")
    page = compose("fig16_weizmann", subjects=[4, 5], motions=[6, 3], first_actions=["jack"], second_actions=["jack"])
    expected = [(4, 6), (5, 3), (4, 3), (5, 6)]
    assert agree(page.panels[0].videos, shown(generator, *(combine(SMALL, *code, "jack") for code in expected)))


def test_an_unconditional_network_draws_what_needs_no_category(compose):
    plain = network(ModelConfig.from_preset("small", widths=(8, 8, 8, 8, 8), attention_after=(1,)))
    page = compose("fig15", plain, category=None, dimensions=[3], values=[1.0])
    code = changed(combine(plain.config, PEOPLE["weizmann"][0], MOTIONS["weizmann"][0]), "motion", 3, 1.0)
    assert agree(page.panels[0].videos, shown(plain, code))


def test_drawing_leaves_the_network_as_it_was(generator, compose):
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    compose("fig15")
    after = generator.state_dict()
    assert all(torch.equal(after[name], value) and after[name].dtype == value.dtype for name, value in before.items())


def test_a_whole_page_is_drawn_with_its_animation(generator):
    drawn = draw("fig06", generator)
    assert isinstance(drawn, Drawn) and drawn.animation.shape[0] == 16
    words = {text.get_text() for text in drawn.still.texts}
    assert {"waving", "Weizmann", "dataset."} <= words


@pytest.mark.parametrize("name", ["table1", "fig01", "fig02"])
def test_diagrams_need_no_network_and_do_not_move(name):
    drawn = draw(name)
    assert drawn.animation is None
    words = [text.get_text() for text in drawn.still.findobj(lambda artist: hasattr(artist, "get_text"))]
    assert any(CATALOGUE[name].number in text for text in words), "the page lacks its caption"


# --- Words ------------------------------------------------------------------------------------------------------------


def test_simulated_data_and_smoke_runs_are_called_that(compose):
    smoke = network(dataset="mug-sim", smoke=True, clips_seen=12345)
    assert data_set(smoke) == "MUG (simulated)" and "smoke run" in stamp(smoke)
    page = compose("fig06", smoke)
    assert page.stamp == stamp(smoke) and "MUG (simulated)" in page.caption
    assert "MUG (simulated), 12,345 clips seen." in page.provenance
    earlier = [{"clips_seen": 100}, {"dataset": "mug-sim", "clips_seen": 2000}]
    line = provenance(network(dataset="uva-nemo-sim", clips_seen=30, origins=earlier))
    assert "trained on UvA-NEMO (simulated), 130 clips seen after 2,000 of MUG (simulated)." in line
    earlier.append({"dataset": "shapes", "clips_seen": 5})
    line = provenance(network(dataset="uva-nemo-sim", clips_seen=30, origins=earlier))
    assert "after 2,000 of MUG (simulated) and 5 of shapes." in line
    assert data_set(network(dataset="holiday")) == "holiday data"
    assert data_set(network(dataset="uva-nemo")) == "UvA-NEMO"
    bare = Generator(SMALL, spectral_norm=False)
    assert data_set(bare) == "unknown data" and stamp(bare) == "" and "Weights" not in provenance(bare)


def test_a_figure_in_words_follows_its_parameters():
    told = CATALOGUE["fig08"].told(dimension=20, values=[-2.0, 2.0], subjects=[5])
    assert told.name == "fig08_mug_appearance_21st" and told.title.endswith("21st dimension")
    assert told.alt.startswith("One panel of generated (simulated) video frames for one person, asked for ")
    assert told.playing.startswith("One panel of generated (simulated) videos for one person, asked for happy; in ")
    assert "the 21st dimension of the appearance code takes the values −2 and +2" in told.alt
    assert told.seeds == "$z_a$ 5, $z_m$ 3" and CATALOGUE["fig08"].told().seeds.endswith(f"$z_m$ 3, {CHOSEN}")
    assert CATALOGUE["fig08"].told(network()).seeds == "$z_a$ 15 and 3, $z_m$ 3", "chosen for another network"
    others = CATALOGUE["fig04"].told(motions=[1, 2, 3], categories=["happy"])
    assert "One panel" in others.alt and "each: happy; each panel" in others.alt and "three rows" in others.alt


def test_a_network_of_other_categories_has_figures_of_its_own(compose):
    for classes in (("cats", "dogs", "cows"), ("cats",), ()):
        made = network(ModelConfig.from_preset("small", widths=(8,) * 5, attention_after=(1,), classes=classes))
        made.card = {"dataset": "prepared"}  # type: ignore[assignment]
        figures = own_figures(own_cast(made, "mine.safetensors"))
        assert len(figures) == (7 if classes else 6)
        for name, figure in figures.items():
            told = figure.told(made)
            assert figure.id == name == told.name and "prepared data" in told.title + told.caption
            assert "dataset" not in told.caption and "chosen" not in told.seeds
            if name != "own_longer":
                page = compose(figure, made)
                assert all(panel.videos.shape[1:] == (16, 64, 64, 3) for panel in page.panels)


def test_figures_are_asked_for_by_number_or_name():
    assert select(["4", "05", "fig06", "table1"]) == ["table1", "fig04", "fig05", "fig06"]
    assert select(["16"]) == ["fig16_mug", "fig16_weizmann", "fig16_uva_nemo"] == select(["fig16"])
    assert select(["1", "1"]) == ["fig01"] and select([]) == []
    assert select(["4,5", "Figure 6", "Fig07", "figure8"]) == ["fig04", "fig05", "fig06", "fig07", "fig08"]
    with pytest.raises(G3ANError, match="no figure '99'"):
        select(["4", "99"])
    with pytest.raises(G3ANError, match=r"no figure 'tabel1'\. Did you mean 'table1'"):
        select(["tabel1"])
    for nothing in ([","], [""], ["", ","]):
        with pytest.raises(G3ANError, match=r"^No figure is named by '.*'; try 4"):
            select(nothing)


def test_dimensions_and_actions_in_words():
    words = ["first", "tenth", "11th", "13th", "21st", "22nd", "103rd", "111th", "128th"]
    assert [ordinal(k) for k in (0, 9, 10, 12, 20, 21, 102, 110, 127)] == words
    assert spelled("wave1") == "one-hand waving" and spelled("smile") == "smile"


def test_names_of_the_user_s_are_no_formulas():
    made = network(ModelConfig.from_preset("small", widths=(8,) * 5, attention_after=(), classes=("a$b", "*c*")))
    made.card = {"dataset": "my $ set"}  # type: ignore[assignment]
    figures = own_figures(own_cast(made, "mine.safetensors"))
    for name in ("own_generation1", "own_switch"):
        drawn = draw(figures[name], made)
        words = " ".join(text.get_text() for text in drawn.still.texts)
        assert "aSb" in words and "\N{ASTERISK OPERATOR}c\N{ASTERISK OPERATOR}" in words and "my S set data" in words


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "overrides", "said"),
    [
        ("fig99", {}, "no figure 'fig99'; the catalogue has table1"),
        ("fig06", {"subject": 1}, "fig06 has no parameter subject; it takes subjects, names, categories, motions"),
        ("fig01", {"preset": "small"}, "fig01 has no parameter preset; it takes no parameters"),
        ("fig06", {"categories": ["run"]}, "no category 'run'"),
        ("fig06", {"subjects": [1, 2]}, "same length.*2 subjects and 1 names"),
        ("fig06", {"subjects": [], "names": []}, "0 subjects and 0 names"),
        ("fig06", {"subjects": [1] * 14, "names": ["x"] * 14}, "at most 26 panels, not 28"),
        ("fig10", {"dimension": 128}, "no appearance dimension 128"),
        ("fig15", {"dimensions": [10]}, "no motion dimension 10"),
        ("fig15", {"values": []}, "at least one finite value"),
        ("fig16_weizmann", {"first_actions": ["jack"]}, "1 first_actions and 2 second_actions"),
        ("fig16_weizmann", {"subjects": [5]}, "two subjects and two motions, not 1 and 2"),
        ("fig10", {"category": None}, "wants a category"),
        ("fig04", {"categories": ["wave1"]}, "no category 'wave1'; this network knows sad"),
    ],
)
def test_what_cannot_be_drawn_is_refused(name, overrides, said, compose):
    with pytest.raises(G3ANError, match=said):
        compose(name, **overrides)


def test_a_figure_of_trained_weights_wants_a_network():
    with pytest.raises(G3ANError, match=r"fig06 is drawn from trained weights; give load_generator\('weizmann'\)"):
        draw("fig06")
    with pytest.raises(G3ANError, match="no figure 'fig6'"):
        find("fig6")
