"""What the explorer shows, without widgets: recipes, codes, code cells and files."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from g3an.catalogue import CASTS
from g3an.config import ModelConfig
from g3an.errors import G3ANError
from g3an.generator import Generator
from g3an.latents import combine, interpolate, switch_motion
from g3an.views import (
    SHOWS,
    Slot,
    View,
    as_code,
    default_view,
    draw_category,
    lengths,
    load_view,
    positions_of,
    read_content,
    save_view,
    weights_in,
)

ACTIONS = ("wave1", "wave2", "jack", "bend")


def network(classes: tuple[str, ...] = ACTIONS, preset: str = "small") -> Generator:
    config = ModelConfig.from_preset(preset, widths=(8,) * 5, attention_after=(), classes=classes)
    generator = Generator(config, spectral_norm=False).eval()
    generator.card, generator.weights_hash = {"dataset": "weizmann"}, "abc"
    return generator


@pytest.fixture(scope="module")
def generator() -> Generator:
    return network()


A = Slot(1, 9, "wave1", {3: 2.0, 7: -1.5}, {2: 0.5})
B = Slot(7, 2, "bend")


def same(one, other) -> bool:
    return one.to_json() == other.to_json()


@pytest.mark.parametrize("positions", [1, 3])
def test_a_slot_is_its_seeds_with_some_dimensions_set(generator, positions):
    plain = combine(generator.config, 1, 9, "wave1", positions)
    codes = A.codes(generator.config, positions)
    changed = (codes.z_a != plain.z_a).nonzero()[:, 1].tolist()
    assert changed == [3, 7] and codes.z_a[0, [3, 7]].tolist() == [2.0, -1.5]
    assert (codes.z_m[:, 2] == 0.5).all() and torch.equal(codes.c, plain.c)
    assert same(Slot(1, 9, "wave1").codes(generator.config, positions), plain)


def test_a_slot_of_numbers_gives_them_back_and_begins_anew_when_they_end(generator):
    codes = combine(generator.config, 1, 9, "jack", 2)
    slot = Slot(tuple(codes.z_a[0].tolist()), tuple(map(tuple, codes.z_m[0].tolist())), "jack")
    assert same(slot.codes(generator.config, 2), codes)
    longer = slot.codes(generator.config, 5).z_m
    assert torch.equal(longer[..., :2], codes.z_m) and torch.equal(longer[..., 2:4], codes.z_m)
    assert torch.equal(slot.codes(generator.config).z_m, codes.z_m[..., 0])


@pytest.mark.parametrize("show", SHOWS)
@pytest.mark.parametrize("frames", [16, 48])
def test_every_view_has_codes_labels_and_words(generator, show, frames):
    view = View(A, B, show=show, frames=frames)
    codes = view.codes(generator)
    count = {"A and B": 2, "grid": 9}.get(show, 1)
    assert len(codes) == len(view.labels()) == count and view.words().endswith(".")
    assert all(len(code) == 1 and generator.frame_count(code.z_m[0, 0].numel()) == frames for code in codes)


def test_switching_is_that_of_figure_16(generator):
    view = View(A, B)
    a, b = view.codes(generator)
    assert all(map(same, view.switched().codes(generator), switch_motion(a, b)))
    assert view.switched().switched() == view


def test_the_grid_has_every_appearance_with_every_motion(generator):
    view = View(A, B, show="grid", grid=4)
    assert view.axis("z_a") == ["A", "B", "2", "3"] and view.axis("z_m") == ["A", "B", "1", "3"]
    codes = view.codes(generator)
    a, b = (slot.codes(generator.config) for slot in (A, B))
    assert same(codes[0], a) and same(codes[5], b) and same(codes[1], switch_motion(a, b)[0])
    for row in range(4):
        assert all(torch.equal(codes[4 * row + column].z_a, codes[4 * row].z_a) for column in range(4))
        assert all(torch.equal(codes[4 * k + row].z_m, codes[row].z_m) for k in range(4))


@pytest.mark.parametrize("between", ["appearance", "motion", "both"])
def test_between_goes_from_a_to_b(generator, between):
    view = View(A, B, show="between", between=between, amount=0.0)
    a, b = (slot.codes(generator.config) for slot in (A, B))
    assert same(view.codes(generator)[0], a)
    parts = ("appearance", "motion") if between == "both" else (between,)
    assert same(replace(view, amount=0.3).codes(generator)[0], interpolate(a, b, 0.3, parts))
    [end] = replace(view, amount=1.0).codes(generator)
    assert torch.equal(end.z_a, a.z_a if between == "motion" else b.z_a)
    assert torch.equal(end.c, a.c if between == "appearance" else b.c)


def test_lengths_are_those_of_the_network(generator):
    assert lengths(generator) == [16, 24, 32, 40, 48]
    assert [positions_of(generator, frames) for frames in lengths(generator)] == [1, 2, 3, 4, 5]
    assert lengths(network(preset="official")) == list(range(16, 49, 4))
    with pytest.raises(G3ANError, match="16, 24, 32, 40, 48 frames here, not of 20"):
        positions_of(generator, 20)


def test_the_first_view_shows_the_people_of_the_figures(generator):
    view = default_view(generator)
    assert (view.a.z_a, view.b.z_a, view.a.c, view.b.c) == (*CASTS["weizmann"].subjects, "wave1", "wave2")
    plain = network(())
    plain.card = {"dataset": "something"}
    assert default_view(plain).a == Slot(1, 1, None) and len(default_view(plain).codes(plain)) == 2


def test_categories_are_drawn_by_seed(generator):
    drawn = [draw_category(generator.config, seed) for seed in range(40)]
    assert set(drawn) == set(ACTIONS) and drawn == [draw_category(generator.config, seed) for seed in range(40)]
    assert draw_category(network(()).config, 1) is None


# --- As code, and as a file ---


def test_a_view_survives_plain_types():
    view = View(A, B, show="grid", between="motion", amount=0.25, frames=24, grid=2)
    assert View.from_dict(view.to_dict()) == view
    assert View.from_dict(json.loads(json.dumps(view.to_dict()))) == view
    assert View.from_dict({}) == View()


def test_the_code_brings_the_view_back():
    numbers = tuple(round(0.1 * k, 1) for k in range(128))
    view = View(replace(A, z_a=numbers), B, show="between", amount=0.25, frames=48)
    code = as_code(view, "weizmann")
    assert max(map(len, code.splitlines())) <= 120
    given: dict = {}
    call = code.replace("from g3an.explorer import explore", "")
    exec(call, {"explore": lambda *weights, **view: given.update(view, weights=weights)})
    assert given.pop("weights") == ("weizmann",)
    assert View.from_dict(given) == view


@pytest.mark.parametrize("frames", [16, 32])
def test_a_saved_view_loads_again(generator, tmp_path, frames):
    view = View(A, B, show="grid", frames=frames)
    save_view(tmp_path / "v.json", view, generator, "weizmann")
    content = read_content(tmp_path / "v.json")
    assert weights_in(content) == ("weizmann", "abc")
    assert load_view(content, generator) == view
    assert load_view(read_content((tmp_path / "v.json").read_bytes()), generator) == view
    assert [path.name for path in tmp_path.iterdir()] == ["v.json"]


def test_changed_numbers_count_more_than_the_recipe(generator, tmp_path):
    save_view(tmp_path / "v.json", View(A, B), generator, "weizmann")
    content = read_content(tmp_path / "v.json")
    content["codes"]["a"]["z_a"][0][5] = 0.125
    view = load_view(content, generator)
    assert view.b == B and isinstance(view.a.z_a, tuple) and not view.a.z_a_set
    codes = view.a.codes(generator.config)
    assert codes.z_a[0, 5] == 0.125 and codes.z_a[0, 3] == 2.0
    save_view(tmp_path / "w.json", view, generator, "weizmann")
    assert load_view(read_content(tmp_path / "w.json"), generator) == view


def test_bare_codes_go_to_a_slot_or_to_both(generator):
    now = View(A, B)
    one = combine(generator.config, 3, 4, "jack")
    view = load_view(one.to_json(), generator, now, "b")
    assert view.a == A and same(view.b.codes(generator.config), one)
    both = load_view(type(one).cat([one, B.codes(generator.config)]).to_json(), generator, now)
    assert same(both.a.codes(generator.config), one) and same(both.b.codes(generator.config), B.codes(generator.config))


def damaged(change) -> object:
    """A saved view after ``change``."""
    generator = network()
    numbers = {name: slot.codes(generator.config).to_json() for name, slot in (("a", A), ("b", B))}
    content = json.loads(json.dumps({"view": View(A, B).to_dict(), "codes": numbers}))
    change(content)
    return content


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "neither a view"),
        ({"view": 3}, "neither a view"),
        (damaged(lambda c: c.update(codes=[])), "codes of the file are damaged"),
        (damaged(lambda c: c["view"].update(shows="A")), "has no shows"),
        (damaged(lambda c: c["view"].update(show="C")), "show is 'C'"),
        (damaged(lambda c: c["view"].update(amount=2)), "from 0 .A. to 1"),
        (damaged(lambda c: c["view"].update(amount="x")), "from 0 .A. to 1"),
        (damaged(lambda c: c["view"].update(frames=17)), "not of 17"),
        (damaged(lambda c: c["view"].update(frames="16")), "whole number"),
        (damaged(lambda c: c["view"].update(grid=9)), "grid is 9"),
        (damaged(lambda c: c["view"].update(a=5)), "Slot a is int"),
        (damaged(lambda c: c["view"]["a"].update(z=1)), "has no z"),
        (damaged(lambda c: c["view"]["a"].update(z_a=-1)), "seed -1"),
        (damaged(lambda c: c["view"]["a"].update(z_a="1")), "seed or a list"),
        (damaged(lambda c: c["view"]["a"].update(c=1)), "name of a category"),
        (damaged(lambda c: c["view"]["a"].update(c="smile")), "no category 'smile'"),
        (damaged(lambda c: c["view"]["a"].pop("c")), "wants a category"),
        (damaged(lambda c: c["view"]["a"].update(z_a_set=[1])), "value for each"),
        (damaged(lambda c: c["view"]["a"].update(z_a_set={"x": 1})), "holds 'x'"),
        (damaged(lambda c: c["view"]["a"].update(z_a_set={"1": None})), "holds '1'"),
        (damaged(lambda c: c["view"]["a"].update(z_a_set={"1": float("nan")})), "finite"),
        (damaged(lambda c: c["view"]["a"].update(z_a_set={"200": 1.0})), "no appearance dimension 200"),
        (damaged(lambda c: c["codes"]["a"].pop("z_m")), "no codes"),
        (damaged(lambda c: c["codes"]["a"].update(z_a=[[1.0]])), "1 numbers in z_a"),
        (damaged(lambda c: c["codes"]["a"].update(z_a=c["codes"]["a"]["z_a"] * 2)), "as many z_m"),
        (damaged(lambda c: c["codes"]["a"].update(c=None)), "0 categories"),
        (damaged(lambda c: c["codes"]["a"].update(c=[[0.5, 0.5, 0, 0]])), "mixture"),
        (damaged(lambda c: (c.pop("codes"), c["view"]["a"].update(z_a=[1.0]))), "z_a of 1 numbers"),
        (damaged(lambda c: (c.pop("codes"), c["view"]["a"].update(z_a=["x"] * 128))), "must be numbers"),
        (damaged(lambda c: (c.pop("codes"), c["view"]["a"].update(z_m=[[1.0, 2.0]]))), "z_m of 1×2"),
        ({"z_a": [], "z_m": [], "c": None}, "Codes need"),
    ],
)
def test_damaged_content_is_refused_in_a_sentence(generator, content, said):
    with pytest.raises(G3ANError, match=said) as caught:
        load_view(content, generator)
    assert "\n" not in str(caught.value)


def test_what_is_no_json_is_refused(tmp_path):
    for source in (b"{", b"\xff\xfe", tmp_path / "missing.json"):
        with pytest.raises(G3ANError):
            read_content(source)
