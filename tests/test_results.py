"""Numbers that a notebook's run records."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from g3an import runs
from g3an.errors import G3ANError
from g3an.results import record, recorded


def test_numbers_travel_from_a_cell_to_the_record(project, make_notebook):
    cells = [
        "from g3an.results import record; record(distance=0.123456789, count=3);",
        "record(distance=0.5, broken=float('nan'));",
    ]
    make_notebook("01_numbers", cells, "a: int = 1", project / "notebooks")
    folder = runs.run_notebook("01")
    assert json.loads((folder / "run.json").read_text())["results"] == {"distance": 0.5, "count": 3, "broken": None}
    assert recorded(project / "notebooks" / "01_numbers.ipynb") == {}
    page = (folder / "01_numbers.html").read_text()
    assert "distance: 0.123457" in page and "broken: not finite" in page


def test_what_was_recorded_before_a_failure_is_kept(project, make_notebook):
    make_notebook("02_fails", ["from g3an.results import record; record(a=1);", "1/0"], folder=project / "notebooks")
    with pytest.raises(G3ANError, match="ZeroDivisionError"):
        runs.run_notebook("02", out_dir=project / "run")
    assert json.loads((project / "run" / "run.json").read_text())["results"] == {"a": 1}


def test_numbers_of_all_kinds_and_nothing_else(capsys):
    kept = record(a=1, b=True, c=torch.tensor(2.5), d=np.float32(0.1), e=np.int64(4), f=float("inf"))
    assert kept == {"a": 1, "b": True, "c": 2.5, "d": 0.1, "e": 4, "f": None}
    assert "c: 2.5" in capsys.readouterr().out
    with pytest.raises(G3ANError, match=r"'a' is 'text'; only numbers"):
        record(a="text")
    for several in (torch.zeros(2), np.zeros(2)):
        with pytest.raises(G3ANError, match="'a' holds several numbers"):
            record(a=several)
    with pytest.raises(G3ANError, match="needs numbers"):
        record()
