"""A worker that crashes or hangs costs its own task only."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from g3an.data.pool import Lost, run_all
from g3an.errors import G3ANError

TARGET = "pool_targets:act"


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


@pytest.mark.parametrize("workers", [1, 3])
def test_crashes_and_hangs_are_contained(workers: int) -> None:
    orders = ["", "crash", "print", "hang", "", "crash", "", ""]
    tasks = [{"do": order, "number": number} for number, order in enumerate(orders)]
    answers = dict(run_all(TARGET, tasks, workers, timeout=2.0))
    assert sorted(answers) == list(range(len(orders)))
    for number, order in enumerate(orders):
        if order == "crash":
            assert isinstance(answers[number], Lost) and "crashed (SIGABRT)" in str(answers[number])
        elif order == "hang":
            assert isinstance(answers[number], Lost) and "hung for 2 seconds" in str(answers[number])
        else:
            assert answers[number]["number"] == number


def test_a_caller_that_stops_early_leaves_no_process() -> None:
    tasks = [{"do": "", "number": 0}, {"do": "hang", "number": 1}]
    answers = run_all(TARGET, tasks, 1, timeout=60.0)
    _, first = next(answers)
    begun = time.monotonic()
    answers.close()  # type: ignore[attr-defined]
    assert time.monotonic() - begun < 10
    with pytest.raises(ProcessLookupError):
        os.kill(first["pid"], 0)


def test_workers_that_cannot_start_are_an_error() -> None:
    with pytest.raises(G3ANError, match=r"does not start.*no_such_module"):
        list(run_all("no_such_module:f", [{}], 1, timeout=5.0))
