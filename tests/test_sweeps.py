"""Sweep files, their runs on two worker processes, and what is left when a worker or the whole sweep is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from g3an import sweep_results, sweeps
from g3an.errors import G3ANError
from g3an.sweeps import read_sweep, run_sweep

CELLS = [
    "# A run that tells where it is, and fails or lasts as it is asked to",
    "import os, pathlib, time; from g3an.results import record",
    "print('in', os.getpid(), flush=True); pathlib.Path(marks, f'{x}-{seed}-{os.getpid()}').touch(); time.sleep(wait)",
    "if x == bad: raise ValueError('asked to')",
    "record(square=x * x + seed / 10, threads=int(os.environ['OMP_NUM_THREADS']));",
]
PARAMETERS = 'x: int = 0\nseed: int = 0\nbad: int = -1\nwait: float = 0.0\nmarks: str = "."\nkinds: list[str] = []'


@pytest.fixture
def notebook(project, make_notebook) -> Path:
    return make_notebook("01_square", CELLS, PARAMETERS, project / "notebooks")


@pytest.fixture
def write(project):
    """A function that writes a sweep file where sweep files live."""

    def written(content: object, name: str = "try") -> Path:
        path = project / "notebooks" / "params" / "sweeps" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
        return path

    return written


# --- The file ---


def test_a_grid_a_list_and_both(notebook, write):
    write({"notebook": "01", "parameters": {"wait": 1}, "grid": {"x": [1, 2], "seed": [0, 1]}})
    runs = read_sweep("try").runs
    assert [run.name for run in runs] == ["x=1, seed=0", "x=1, seed=1", "x=2, seed=0", "x=2, seed=1"]
    assert runs[3].parameters == {"wait": 1.0, "x": 2, "seed": 1} and runs[3].folder == "x=2_seed=1"
    write({"title": "T", "notebook": "01", "runs": {"one kind": {"kinds": ["a"]}, "none": None}})
    sweep = read_sweep("params/sweeps/try.yaml")
    assert [(run.name, run.parameters) for run in sweep.runs] == [("one kind", {"kinds": ["a"]}), ("none", {})]
    assert (sweep.title, sweep.notebook) == ("T", notebook)
    write({"notebook": "01", "runs": {"a": {"x": 1}, "b": {"x": 2}}, "grid": {"seed": [0, 1]}})
    assert [run.name for run in read_sweep("try").runs] == ["a, seed=0", "a, seed=1", "b, seed=0", "b, seed=1"]


def test_words_of_the_command_line_win(notebook, write):
    write({"notebook": "01", "parameters": {"wait": 1.0}, "runs": {"a": {"x": 1}}, "grid": {"seed": [0, 1, 2]}})
    [run] = read_sweep("try", [("wait", "0.5"), ("seed", "7")]).runs
    assert run.parameters == {"wait": 0.5, "x": 1, "seed": 7} and run.name == "a, seed=7"
    with pytest.raises(G3ANError, match="'x' is what run 'a' is about, so -p cannot set it"):
        read_sweep("try", [("x", "3")])
    with pytest.raises(G3ANError, match="'seed' is given twice on the command line"):
        read_sweep("try", [("seed", "3"), ("seed", "4")])


def test_a_mapping_may_be_merged_into_others(notebook, write):
    write("notebook: '01'\nruns:\n  a: &a {x: 1, wait: 0.5}\n  b: {<<: *a, x: 2}\n")
    assert [run.parameters | {"seed": 0} for run in read_sweep("try").runs] == [
        {"x": 1, "wait": 0.5, "seed": 0}, {"x": 2, "wait": 0.5, "seed": 0},
    ]  # fmt: skip


BAD = {
    "unknown notebook": ({"notebook": "99", "grid": {"x": [1]}}, r"There is no notebook '99'\..*01_square"),
    "unknown parameter": ({"notebook": "01", "grid": {"seeed": [1]}}, r"no parameter 'seeed'\. Did you mean 'seed'"),
    "of all runs": ({"notebook": "01", "parameters": {"y": 1}, "grid": {"x": [1]}}, "no parameter 'y'"),
    "of a run": ({"notebook": "01", "runs": {"a": {"y": 1}}}, "no parameter 'y'"),
    "wrong type": ({"notebook": "01", "grid": {"x": [1, 1.5]}}, "'x' of 01_square.ipynb must be int.* not 1.5"),
    "wrong type in a run": ({"notebook": "01", "runs": {"a": {"kinds": "b"}}}, r"must be list\[str\].* not 'b'"),
    "the same value twice": ({"notebook": "01", "grid": {"x": [1, 1]}}, "two runs are named 'x=1'"),
    "the same name twice": ("notebook: '01'\nruns:\n  a: {x: 1}\n  a: {x: 2}\n", r"'a' is given twice \(line 3"),
    "one folder": ({"notebook": "01", "runs": {"a b": {"x": 1}, "A:b": {"x": 2}}}, "'a b' and 'A:b' would share"),
    "empty axis": ({"notebook": "01", "grid": {"x": []}}, "grid's 'x' is an empty list"),
    "empty grid": ({"notebook": "01", "grid": {}}, "'grid' is empty"),
    "empty runs": ({"notebook": "01", "runs": {}, "grid": {"x": [1]}}, "'runs' is empty"),
    "no runs": ({"notebook": "01"}, "nothing to run"),
    "no list": ({"notebook": "01", "grid": {"x": 1}}, "'x' must be a list"),
    "in two places": ({"notebook": "01", "parameters": {"x": 1}, "grid": {"x": [1]}}, "'parameters' and under 'grid'"),
    "in a run and the grid": ({"notebook": "01", "runs": {"a": {"x": 1}}, "grid": {"x": [1]}}, "in run 'a'"),
    "unknown key": ({"notebook": "01", "gird": {"x": [1]}}, r"no 'gird'\. Did you mean 'grid'"),
    "no notebook": ({"grid": {"x": [1]}}, "at least lines such as"),
    "a list": ([1], "at least lines such as"),
    "a name that is no text": ("notebook: '01'\nruns:\n  1: {x: 1}\n", "run name 1 is no text"),
    "no YAML": ("notebook: [", "is not YAML"),
    "no date": ("notebook: '01'\ntitle: 2024-13-45\n", r"is not YAML \(month must be in"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_one_sentence_before_anything_starts(case, notebook, write, project):
    content, message = BAD[case]
    write(content)
    with pytest.raises(G3ANError, match=message) as error:
        read_sweep("try")
    assert "\n" not in str(error.value) and "try.yaml" in str(error.value)
    assert not (project / "reports").exists()


def test_unknown_files_and_weights(notebook, write, project, make_notebook):
    write({"notebook": "01", "grid": {"x": [1]}})
    with pytest.raises(G3ANError, match=r"no sweep file trey\. Did you mean 'try'"):
        read_sweep("trey")
    make_notebook("02_weights", ["1"], 'weights: str = ""', project / "notebooks")
    write({"notebook": "02", "grid": {"weights": ["no such weights"]}}, "other")
    with pytest.raises(G3ANError, match="no such weights"):
        read_sweep("other")


def test_the_command_tells_bad_files_and_a_missing_extra_in_one_sentence(notebook, write, project, monkeypatch, capsys):
    from g3an import cli

    def told(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["g3an", "sweep", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == 2
        return capsys.readouterr().err

    write({"notebook": "01", "grid": {"x": ["one"]}})
    assert told("try").startswith("Error: try.yaml: Parameter 'x'")
    write({"notebook": "01", "grid": {"x": [1]}})
    assert "must be at least 1" in told("try", "--workers", "0")
    monkeypatch.setattr(sweeps, "PATIENCE", 1.0)
    assert "does not answer" in told("try", "--scheduler", "nonsense://here")
    monkeypatch.setitem(sys.modules, "distributed", None)
    message = told("try")
    assert message.startswith("Error: Sweeps need dask.distributed: run `pip install 'g3an[cluster]'`")
    assert message.count("\n") == 1


# --- The runs ---


def statuses(out: Path) -> dict[str, str]:
    return {row["name"]: row["status"] for row in sweep_results.read(out / "results.json")["runs"]}


def test_failures_are_recorded_and_the_rest_goes_on_and_resumes(notebook, write, project, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    marks = project / "marks"
    marks.mkdir()
    fixed = {"marks": str(marks), "bad": 2}
    write({"title": "Squares", "notebook": "01", "parameters": fixed, "grid": {"x": [1, 2], "seed": [0, 1]}})
    lines: list[str] = []
    told: list[tuple[int, int]] = []
    path = run_sweep(
        read_sweep("try"), workers=2, say=lines.append, progress=lambda name, done, total: told.append((done, total))
    )
    out = project / "reports" / "runs" / "sweeps" / "try"
    assert path == out / "results.json"
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert sum("FAILED. ValueError: asked to; see " in line for line in lines) == 2
    names = ["x=1, seed=0", "x=1, seed=1", "x=2, seed=0", "x=2, seed=1"]
    assert statuses(out) == dict(zip(names, ["finished"] * 2 + ["failed"] * 2, strict=True))
    # Apart from each other: a process, a log and a page each.
    processes = {mark.name.rpartition("-")[2] for mark in marks.iterdir()}
    logs = [(out / folder / "log.txt").read_text() for folder in ("x=1_seed=0", "x=1_seed=1", "x=2_seed=0")]
    assert len(processes) == 4 and all(any(f"in {number}\n" in log for number in processes) for log in logs)
    assert "-- cell 5 of 5 done" in logs[0] and "ValueError: asked to" in logs[2]
    assert (out / "x=1_seed=0" / "01_square.html").is_file()

    rows = sweep_results.read(path)["runs"]
    threads = max(1, (os.cpu_count() or 1) // 2)
    numbers = [{"square": square, "threads": threads} for square in (1, 1.1)]
    assert [row["results"] for row in rows] == [*numbers, {}, {}]
    assert "2 of 4 runs failed: x=2, seed=0; x=2, seed=1." in sweep_results.remarks(rows)
    first = sweep_results.table(rows).splitlines()
    assert first[0].split() == ["runs", "square", "threads"]
    assert first[1].split() == ["x=1", "2/2", "1.05", "±", "0.071", str(threads), "±", "0"]
    assert first[2].split() == ["x=2", "0/2", "-", "-"]
    assert (out / "results.csv").read_text().startswith("name,setting,status,seconds,error,p.x,p.seed,square,threads\n")
    assert (out / "results.png").read_bytes()[:4] == b"\x89PNG"

    # What is finished stays; what failed, or changed, runs again.
    before = {path: path.stat().st_mtime_ns for path in out.glob("x=1*/run.json")}
    lines.clear()
    run_sweep(read_sweep("try", [("bad", "-1")]), workers=1, say=lines.append)
    assert len(lines) == 4 and set(statuses(out).values()) == {"finished"}, "another parameter is another run"
    assert all(path.stat().st_mtime_ns > before[path] for path in before)
    run_sweep(read_sweep("try", [("bad", "-1")]), say=lines.append)
    assert lines[4:] == ["4 of 4 runs are finished already."]


def test_one_of_two_workers_is_killed(notebook, write, project):
    marks = project / "marks"
    marks.mkdir()
    write({"notebook": "01", "parameters": {"marks": str(marks), "wait": 2.0}, "grid": {"x": [1, 2, 3]}})
    script = (
        "import sys; from g3an import runs; from pathlib import Path; from g3an.sweeps import *\n"
        "if __name__ == '__main__':\n    run_sweep(read_sweep(sys.argv[1]), sys.argv[2], workers=2)\n"
    )
    (project / "go.py").write_text(script)
    words = [sys.executable, "go.py", "notebooks/params/sweeps/try.yaml", "out"]
    # The file names its notebook by path: the child knows nothing of the stand-in project.
    text = (project / "notebooks" / "params" / "sweeps" / "try.yaml").read_text()
    (project / "notebooks" / "params" / "sweeps" / "try.yaml").write_text(text.replace("'01'", repr(str(notebook))))
    sweep = subprocess.Popen(words, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        wait_for(lambda: len(list(marks.iterdir())) == 2, sweep)
        kernels = {int(mark.name.rpartition("-")[2]) for mark in marks.iterdir()}
        one = psutil.Process(min(kernels))
        worker = one.parent().parent()  # kernel <- process of the run <- worker
        worker.kill()
        told, _ = sweep.communicate(timeout=120)
    finally:
        sweep.kill()
    assert sweep.returncode == 0, told
    assert statuses(project / "out") == dict.fromkeys(["x=1", "x=2", "x=3"], "finished"), told
    tries = sorted(mark.name.split("-")[0] for mark in marks.iterdir())
    assert len(tries) == 4 and set(tries) == {"1", "2", "3"}, "the run of the worker that was killed began anew, once"
    assert not one.is_running() or one.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_sweep_leaves_nothing_running_and_resumes(notebook, write, project, how):
    marks = project / "marks"
    marks.mkdir()

    def plan(wait: int) -> Path:
        runs = {"quick": {"x": 1}, "long": {"x": 2, "wait": wait}}
        return write({"notebook": str(notebook), "parameters": {"marks": str(marks)}, "runs": runs})

    command = [sys.executable, "-m", "g3an", "sweep", str(plan(60)), "--workers", "2", "--out", "out"]
    sweep = subprocess.Popen(command, cwd=project, stderr=subprocess.PIPE, text=True)
    quick = project / "out" / "quick" / "run.json"
    wait_for(lambda: (sweep_results.read_record(quick.parent) or {}).get("status") == "finished", sweep)
    wait_for(lambda: list(marks.glob("2-*")), sweep)
    children = psutil.Process(sweep.pid).children(recursive=True)
    assert len(children) > 3
    sweep.send_signal(how)
    _, told = sweep.communicate(timeout=60)
    if how == signal.SIGINT:
        assert sweep.returncode == 130 and "the same command goes on" in told
        assert statuses(project / "out") == {"quick": "finished", "long": "interrupted"}
    assert not psutil.wait_procs(children, timeout=20)[1]
    before = quick.stat().st_mtime_ns
    plan(0)
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 of 2 runs are finished already." in done.stdout and "[2/2] long: finished in" in done.stdout
    assert quick.stat().st_mtime_ns == before
    assert statuses(project / "out") == {"quick": "finished", "long": "finished"}


def wait_for(condition, process: subprocess.Popen, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.05)


def test_a_real_scheduler(notebook, write, project):
    """A scheduler and a worker of their own, as on a cluster; they live on when the sweep is done."""
    from distributed import LocalCluster

    write({"notebook": "01", "parameters": {"marks": str(project)}, "grid": {"x": [3]}})
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, memory_limit=0) as cluster:
        path = run_sweep(read_sweep("try"), project / "out", scheduler=cluster.scheduler_address, say=lambda line: None)
    assert [row["results"]["square"] for row in sweep_results.read(path)["runs"]] == [9]


def test_a_run_that_another_sweep_took_over_gives_up(notebook, project):
    folder = project / "run"
    folder.mkdir()
    task = {"notebook": str(notebook), "parameters": {"wait": 60.0}, "token": "newer"}
    (folder / "task.json").write_text(json.dumps(task))
    began = time.monotonic()
    assert sweeps.execute(str(folder), "older", str(project), 1) == "another sweep took it over"
    assert time.monotonic() - began < 20
    assert sweeps.execute(str(project / "elsewhere"), "any", str(project), 1).startswith("its worker does not see")


# --- Table and plot ---


def rows(points: list[dict], **results: list) -> list[dict]:
    made = []
    for number, point in enumerate(points):
        found = {name: values[number] for name, values in results.items()}
        base = {"name": str(point), "setting": "", "status": "finished", "seconds": 1.0, "error": None, "commit": "a"}
        made.append({**base, "point": point, "parameters": {}, "results": found})
    return made


def test_plots_of_numbers_of_names_and_of_nothing():
    assert sweep_results.plot(rows([{"x": 1}]), "nothing recorded") is None
    points = [{"rate": r, "loss": k, "seed": s} for r in (1, 2) for k in "ab" for s in (0, 1)]
    lines = sweep_results.plot(rows(points, d=list(range(8))), "lines")
    [panel] = lines.axes
    assert panel.get_xlabel() == "rate"
    assert [text.get_text() for text in panel.get_legend().texts] == ["loss=a", "loss=b"]
    kinds = [{"kind": k, "seed": s} for k in "ab" for s in (0, 1)]
    points = sweep_results.plot(rows(kinds, d=[1, 2, 3, 4], e=[0] * 4), "points")
    assert len(points.axes) == 2
    assert [label.get_text() for label in points.axes[0].get_yticklabels()] == ["kind=a", "kind=b"]
    assert list(points.axes[0].lines[-1].get_xdata()) == [1.5, 3.5]
    gap = sweep_results.plot(rows([{"kind": "a"}, {"kind": "b"}], d=[None, 1.0]), "a number that is not finite")
    assert gap is not None


def test_numbers_that_are_not_finite_and_other_commits_are_told():
    some = rows([{"kind": "a"}, {"kind": "b"}], d=[None, 1.0])
    assert sweep_results.table(some).splitlines()[1].split() == ["kind=a", "1/1", "-"]
    assert sweep_results.remarks(some) == []
    some[0]["commit"] = "b"
    assert "several commits" in sweep_results.remarks(some)[0]
