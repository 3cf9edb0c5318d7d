"""The explorer's controls, without a browser: what each does to the view, the picture and the files."""

from __future__ import annotations

import html
import json
import re
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import ipywidgets as widgets
import pytest
import torch

from g3an import explorer as module
from g3an import ranking
from g3an.checkpoints import save_generator, shipped
from g3an.config import ModelConfig
from g3an.errors import G3ANError
from g3an.explorer import Explorer, explore
from g3an.files import read_json
from g3an.generator import Generator
from g3an.latents import Effects
from g3an.training import recompute_statistics
from g3an.views import Slot

ACTIONS = ("wave1", "wave2", "jack", "bend")


def weights(path: Path, classes: tuple[str, ...], seed: int = 0, **card) -> str:
    torch.manual_seed(seed)
    config = ModelConfig.from_preset("small", widths=(8,) * 5, attention_after=(), classes=classes)
    generator = Generator(config)
    recompute_statistics(generator, seed=0, passes=1, batch=4)
    save_generator(path, generator, {"dataset": "weizmann", "smoke": False, **card})
    return path.with_suffix(".safetensors").as_posix()


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> str:
    return weights(tmp_path_factory.mktemp("weights") / "mine", ACTIONS)


@pytest.fixture
def own(mine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Weights of the user's, whose dimensions 5 and 4 matter most."""
    monkeypatch.setenv("G3AN_CACHE", str(tmp_path / "cache"))

    def effects(generator, part):
        width = generator.config.z_a_dim if part == "appearance" else generator.config.z_m_dim
        return Effects(part, 3.0, tuple(9.0 if k == 5 else 8.0 if k == 4 else 1.0 for k in range(width)), 1)

    monkeypatch.setattr(
        ranking, "measure", lambda generator: {part: effects(generator, part) for part in ("appearance", "motion")}
    )
    return weights(tmp_path / "mine", ACTIONS)


def ranked(panel: Explorer) -> Explorer:
    for _ in range(500):
        if "matter most" in panel.status.value:
            return panel
        time.sleep(0.02)
    raise AssertionError(panel.status.value)


@pytest.fixture
def panel(own, tmp_path):
    made = ranked(explore(own, save_to=tmp_path / "out"))
    yield made
    made.close()


def alt(panel: Explorer) -> str:
    return html.unescape(re.findall(r'<img [^>]*alt="([^"]*)"', panel.picture.value)[0])


def seen(panel: Explorer) -> str:
    panel.settle()
    return panel.picture.value


def test_a_slider_changes_its_dimension_the_picture_and_the_code(panel):
    before = seen(panel)
    slider = panel.sliders["appearance"][0]
    assert slider.description == "z_a[5]" and "rank 1 of 128" in slider.tooltip and "9 of 255" in slider.tooltip
    slider.value = 2.5
    assert seen(panel) != before and "z_a[5] = 2.5" in alt(panel)
    assert panel.view.a.z_a_set == {5: 2.5} and not panel.view.b.z_a_set
    assert "{5: 2.5}" in panel.code and "{5: 2.5}" in html.unescape(panel.cell.value)
    panel.editing.value = "b"
    assert slider.value != 2.5, "the sliders show B"
    panel.sliders["motion"][1].value = -1.0
    assert panel.view.b.z_m_set == {4: -1.0} and panel.view.a.z_a_set == {5: 2.5}
    panel.reset.click()
    assert panel.view.b.z_m_set == {} and panel.reset.disabled


def test_the_browser_s_echo_changes_nothing(panel):
    view = panel.view
    for slider in (*panel.sliders["appearance"], *panel.sliders["motion"], panel.other_slider, panel.amount):
        slider.value += 3e-16 if slider.value < 0.1 else 1e-15
        slider.value -= 1e-9
    assert panel.view is view


def test_any_other_dimension_has_a_slider(panel):
    dimensions = {value for _, value in panel.other.options}
    sliders = {(part, panel._dimension(part, k)) for part in panel.sliders for k in range(module.STRONGEST)}
    assert len(dimensions) == 128 + 10 - len(sliders) and not dimensions & sliders
    panel.other.value = ("motion", 9)
    value = float(panel.view.a.codes(panel.studio.generator.config).z_m[0, 9])
    assert panel.other_slider.value == pytest.approx(value, abs=0.051)
    panel.other_slider.value = 1.5
    assert panel.view.a.z_m_set == {9: 1.5}


def test_codes_are_drawn_by_seed_and_by_button(panel):
    panel.subject.value, panel.motion.value = 33, 44
    assert panel.view.a == Slot(33, 44, "wave1")
    panel.seed.value = 12
    panel.draw.click()
    assert (panel.view.a.z_a, panel.view.a.z_m) == (12, 12) and panel.view.a.c in ACTIONS
    first = panel.view.a
    panel.draw.click()
    assert panel.view.a == first, "a seed draws the same again"
    for button, name in ((panel.new_subject, "z_a"), (panel.new_motion, "z_m"), (panel.new_category, "c")):
        before = panel.view.a
        button.click()
        changed = {key for key in ("z_a", "z_m", "c") if getattr(before, key) != getattr(panel.view.a, key)}
        assert changed <= {name} and (name != "c" or changed)
    panel.category.value = "bend"
    assert panel.view.a.c == "bend" and "bending" in (seen(panel), alt(panel))[1]


def test_switch_shows_a_and_b_with_their_motion_exchanged(panel):
    panel.shown.value = "A"
    a, b = panel.view.a, panel.view.b
    panel.switch.click()
    assert (panel.view.a.z_a, panel.view.a.z_m, panel.view.a.c) == (a.z_a, b.z_m, b.c)
    assert panel.view.show == "A and B" and panel.shown.value == "A and B" and "Switched" in panel.status.value
    panel.shown.value = "grid"
    panel.switch.click()
    assert panel.view.show == "grid" and panel.view.a == a


def test_the_mixture_is_shown_when_it_is_changed(panel):
    panel.amount.value = 0.25
    assert panel.view.show == "between" and panel.view.amount == 0.25
    assert "25% of the way" in (seen(panel), alt(panel))[1]
    panel.shown.value = "A"
    panel.between.value = "motion"
    assert panel.view.show == "between" and panel.view.between == "motion"


def test_what_is_edited_is_seen(panel):
    panel.shown.value = "A"
    panel.editing.value = "b"
    panel.motion.value = 55
    assert panel.view.show == "B"


@pytest.mark.parametrize("frames", [16, 48])
def test_lengths_and_grids(panel, frames):
    assert [value for _, value in panel.frames.options] == [16, 24, 32, 40, 48]
    panel.frames.value = frames
    panel.size.value = 2
    picture = seen(panel)
    assert panel.view.show == "grid" and f"{frames} frames" in alt(panel) and panel.frame.max == frames
    assert picture.count("z_m") > 1 and picture.count("z_a <span") == 2


def test_pause_shows_one_frame_and_play_goes_on(panel):
    assert "image/webp" in seen(panel) and "prefers-reduced-motion" in panel.picture.value
    panel.play.click()
    first = seen(panel)
    assert "image/png" in first and "image/webp" not in first and panel.play.description == "Play"
    panel.frame.value = 9
    assert seen(panel) != first
    panel.play.click()
    # Someone who presses Play wants to see it play, whatever the system prefers.
    assert "image/webp" in seen(panel) and "prefers-reduced-motion" not in panel.picture.value


def test_a_new_picture_goes_on_in_the_loop(panel, monkeypatch):
    frames = []
    monkeypatch.setattr(module, "moving_bytes", lambda pages: frames.append(pages) or b"RIFF")
    for seconds in (0.0, 0.361):
        panel._paint(panel.view, panel._began + seconds)
    assert (frames[1][0] == frames[0][3]).all() and (frames[1][13] == frames[0][0]).all()


def test_the_code_gives_the_same_picture(panel, own):
    panel.sliders["appearance"][0].value = 2.5
    panel.frames.value, panel.shown.value, panel.amount.value = 24, "grid", 0.75
    panel.settle()
    names: dict = {}
    exec(panel.code.replace("\nexplore(", "\nmade = explore("), names)
    made = names["made"]
    assert made.view == panel.view and made.weights == own
    assert (made.studio.frames(made.view) == panel.studio.frames(panel.view)).all()
    made.close()


# --- Files ---


def upload(name: str, content: bytes) -> dict:
    """What the browser sends for a chosen file."""
    when = datetime.now(UTC)
    return {"name": name, "type": "", "size": len(content), "content": memoryview(content), "last_modified": when}


def test_buttons_export_and_json_loads_again(panel, tmp_path):
    panel.sliders["appearance"][0].value = 2.5
    view = panel.view
    assert not (tmp_path / "out").exists(), "nothing is written unasked"
    panel.name.value = " a person "
    for kind, button in panel.exports.items():
        button.click()
        assert f"out/a person.{kind} (" in panel.status.value
    content = (tmp_path / "out" / "a person.json").read_bytes()
    panel.draw.click()
    assert panel.view != view
    panel.upload.value = (upload("a.json", content),)
    assert panel.view == view and "Loaded a.json" in panel.status.value and panel.upload.value == ()
    panel.upload.value = (upload("b.json", content[:-40]),)
    assert panel.view == view and "Error: The file cannot be read as JSON" in html.unescape(panel.status.value)


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden"])
def test_exports_stay_in_their_folder(panel, name):
    panel.name.value = name
    panel.exports["gif"].click()
    assert "without folders" in html.unescape(panel.status.value)


def test_codes_can_be_given_to_begin_with(panel, own, tmp_path):
    panel.draw.click()
    path = panel.export("json", "begin")
    made = explore(own, codes=path, frames=24)
    assert made.view.a == panel.view.a and made.view.frames == 24
    made.close()


def test_codes_bring_their_network_along(panel, tmp_path):
    other = weights(tmp_path / "other", (), seed=1, dataset="shapes")
    made = Explorer(other, save_to=tmp_path / "out")
    path = made.export("json", "other")
    made.close()
    panel.load(path)
    assert panel.weights == other and panel.view.a.c is None
    content = read_json(path)
    content["weights"] = "no such weights"
    (tmp_path / "lost.json").write_text(json.dumps(content))
    panel.studio.generator.weights_hash = "changed"
    with pytest.raises(G3ANError, match="no shipped weights"):
        panel.load(tmp_path / "lost.json")


# --- Networks ---


def test_an_unconditional_network_of_faces(own, tmp_path):
    panel = explore(weights(tmp_path / "faces", (), dataset="mug-sim"), show="grid")
    assert panel._category_row.layout.display == "none" and "MUG (simulated)" in seen(panel)
    panel.draw.click()
    panel.new_category.click()
    panel.switch.click()
    assert panel.view.a.c is None and "Error" not in panel.status.value
    panel.close()


def test_a_smoke_run_says_so(own, tmp_path):
    panel = explore(weights(tmp_path / "smoke", ACTIONS, smoke=True))
    assert "smoke run" in panel.picture.value
    panel.close()


def test_networks_are_chosen_from_menus_or_by_path(panel, tmp_path, monkeypatch):
    assert panel.dataset.value == module.OWN and panel.own.layout.display == ""
    before = panel.weights
    panel.own.value = "nowhere.json"
    assert "nowhere.json does not exist" in html.unescape(panel.status.value) and panel.weights == before
    panel.dataset.value = "weizmann"
    assert panel.weights == "weizmann" and panel.own.layout.display == "none" and "Weizmann" in seen(panel)
    assert "weizmann" in panel.network.options
    panel.dataset.value = module.OWN
    assert "path of your weights" in panel.status.value
    panel.own.value = before
    assert panel.weights == before


def test_a_network_that_nobody_ranked_is_usable_while_it_is_measured(own, monkeypatch):
    go = threading.Event()
    measured = ranking.measure
    monkeypatch.setattr(ranking, "measure", lambda generator: (go.wait(20), measured(generator))[1])
    panel = explore(own)
    assert [slider.description for slider in panel.sliders["appearance"]] == [f"z_a[{k}]" for k in range(4)]
    assert "not ranked yet" in panel._explain.value
    panel.sliders["appearance"][1].value = 2.0
    assert panel.view.a.z_a_set == {1: 2.0}
    go.set()
    assert ranked(panel).sliders["appearance"][0].description == "z_a[5]" and panel.view.a.z_a_set == {1: 2.0}
    panel.close()


def test_failures_while_drawing_become_a_line_of_text(panel, monkeypatch):
    def broken(_):
        raise RuntimeError("out of\nmemory")

    monkeypatch.setattr(panel.studio, "frames", broken)
    panel.draw.click()
    panel.settle()
    assert "Error: RuntimeError: out of memory" in panel.status.value and "g3an-failed" in panel.status.value


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"weights": "no such"}, "no shipped weights"),
        ({"show": "C"}, "show is 'C'"),
        ({"colour": 1}, "has no colour"),
        ({"a": {"z_a": 1, "c": "smile"}}, "no category 'smile'"),
        ({"frames": 17}, "not of 17"),
        ({"codes": "nowhere.json"}, "nowhere.json does not exist"),
    ],
)
def test_wrong_calls_are_refused_in_a_sentence(own, given, said):
    with pytest.raises(G3ANError, match=said):
        explore(**{"weights": own, **given})


# --- For everyone ---


def inside(widget: widgets.Widget) -> list[widgets.Widget]:
    return [widget, *(found for child in getattr(widget, "children", ()) for found in inside(child))]


def test_every_control_has_a_name_and_a_tooltip(panel):
    kinds = (widgets.Button, widgets.FloatSlider, widgets.IntSlider, widgets.Dropdown, widgets.Text,
             widgets.BoundedIntText, widgets.FileUpload)  # fmt: skip
    controls = [widget for widget in inside(panel.panel) if isinstance(widget, kinds)]
    assert len(controls) > 30
    for control in controls:
        assert control.description and control.tooltip, control
    for group in (widget for widget in inside(panel.panel) if isinstance(widget, widgets.ToggleButtons)):
        assert group.description and len(group.tooltips) == len(group.options)


def test_text_takes_the_page_s_place(panel):
    bundle = panel._repr_mimebundle_()
    assert "JupyterLab" in bundle["text/plain"] and "application/vnd.jupyter.widget-view+json" in bundle


def test_shipped_networks_open_with_their_ranking():
    for name in shipped():
        panel = Explorer(name)
        assert "change the video most" in panel._explain.value and panel.weights == name
        panel.close()
