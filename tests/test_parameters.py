"""Strict parameters: names, types, words of a command line, YAML files."""

from __future__ import annotations

from pathlib import Path

import pytest

from g3an.errors import G3ANError
from g3an.parameters import check_parameters, notebook_parameters, read_parameters

CELL = """\
weights: str = "weizmann"  # shipped name or a path
seed: int = 3
scale: float = 1.0
smooth: bool = False
values: list[float] = [
    -1.0,
    1.0,
]  # of the rows
size: tuple[int, int] = (64, 64)
best: int | None = None
names: dict[str, int] = {"a": 1}
plain = 5
"""


@pytest.fixture
def notebook(make_notebook) -> Path:
    return make_notebook("typed", ["print(seed)"], CELL)


def test_declarations_are_read_with_type_default_and_comment(notebook):
    found = notebook_parameters(notebook)
    assert list(found) == ["weights", "seed", "scale", "smooth", "values", "size", "best", "names", "plain"]
    assert (found["weights"].annotation, found["weights"].help) == ("str", "shipped name or a path")
    assert (found["values"].default, found["values"].help) == ([-1.0, 1.0], "of the rows")
    assert (found["plain"].annotation, found["plain"].default) == ("int", 5)


@pytest.mark.parametrize("line", ["import os", "seed: int = random()", "print(1)", "a, b = 1, 2", "seed = (", "x: int"])
def test_a_parameters_cell_holds_assignments_of_literals_only(make_notebook, line):
    with pytest.raises(G3ANError, match="parameters cell"):
        notebook_parameters(make_notebook("bad", [], line))


def test_two_parameters_cells_are_refused(make_notebook):
    import nbformat

    path = make_notebook("two", [], "a: int = 1")
    content = nbformat.read(path, 4)
    content.cells.append(content.cells[0].copy())
    nbformat.write(content, path)
    with pytest.raises(G3ANError, match="2 cells tagged"):
        notebook_parameters(path)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("seed", 4, 4),
        ("scale", 2, 2.0),
        ("values", [1, 2], [1.0, 2.0]),
        ("values", [], []),
        ("size", [8, 9], (8, 9)),
        ("best", None, None),
        ("best", 2, 2),
        ("names", {"b": 2}, {"b": 2}),
        ("smooth", True, True),
    ],
)
def test_values_of_the_declared_type_pass(notebook, name, value, expected):
    passed = check_parameters(notebook, {name: value})[name]
    assert passed == expected and type(passed) is type(expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", "4"),
        ("seed", 4.0),
        ("seed", True),
        ("seed", None),
        ("scale", "1.0"),
        ("scale", False),
        ("smooth", 1),
        ("smooth", "yes"),
        ("weights", 3),
        ("values", 1.0),
        ("values", ["a"]),
        ("values", "12"),
        ("size", [1, 2, 3]),
        ("size", [1.5, 2]),
        ("best", "x"),
        ("names", {"a": "x"}),
        ("plain", "x"),
    ],
)
def test_values_of_another_type_are_refused(notebook, name, value):
    with pytest.raises(G3ANError, match=f"'{name}' of typed.ipynb must be"):
        check_parameters(notebook, {name: value})


def test_an_unknown_name_is_refused_with_the_nearest_known_one(notebook):
    with pytest.raises(G3ANError, match=r"no parameter 'sede'\. Did you mean 'seed'"):
        check_parameters(notebook, {"sede": 1})


def test_a_notebook_without_parameters_takes_none(make_notebook):
    path = make_notebook("none", ["1"])
    assert check_parameters(path, {}) == {}
    with pytest.raises(G3ANError, match="has no parameters"):
        check_parameters(path, {"seed": 1})


@pytest.mark.parametrize(
    ("name", "word", "expected"),
    [
        ("seed", "-4", -4),
        ("scale", "1e-3", 0.001),
        ("scale", "2", 2.0),
        ("weights", "7", "7"),
        ("weights", "no", "no"),
        ("weights", "", ""),
        ("smooth", "true", True),
        ("values", "[1, -2.5]", [1.0, -2.5]),
        ("size", "[1, 2]", (1, 2)),
        ("best", "null", None),
        ("best", "3", 3),
    ],
)
def test_words_of_a_command_line_become_the_declared_type(notebook, name, word, expected):
    passed = check_parameters(notebook, {name: word}, text=True)[name]
    assert passed == expected and type(passed) is type(expected)


@pytest.mark.parametrize(
    ("name", "word"), [("seed", "many"), ("seed", "1.5"), ("seed", ""), ("smooth", "1"), ("values", "3"), ("best", "x")]
)
def test_words_that_fit_no_type_are_refused(notebook, name, word):
    with pytest.raises(G3ANError, match=f"'{name}' of"):
        check_parameters(notebook, {name: word}, text=True)


def test_the_command_line_wins_over_the_file(notebook, tmp_path):
    file = tmp_path / "set.yaml"
    file.write_text("seed: 9\nscale: 0.5\n")
    assert read_parameters(notebook, [("seed", "1")], file) == {"seed": 1, "scale": 0.5}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- 1\n", "must hold lines"),
        ("seed: [", "is not YAML"),
        ("seed: 2024-13-45", "is not YAML"),
        ("seed: '3'\n", "must be int"),
        ("seeds: 3\n", "Did you mean 'seed'"),
        ("3: 4\n", "no parameter '3'"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(notebook, tmp_path, content, message):
    file = tmp_path / "set.yaml"
    file.write_text(content)
    with pytest.raises(G3ANError, match=message):
        read_parameters(notebook, [], file)


def test_a_missing_file_and_a_repeated_name_are_refused(notebook, tmp_path):
    with pytest.raises(G3ANError, match="cannot be read"):
        read_parameters(notebook, [], tmp_path / "none.yaml")
    with pytest.raises(G3ANError, match="given twice"):
        read_parameters(notebook, [("seed", "1"), ("seed", "2")], None)
