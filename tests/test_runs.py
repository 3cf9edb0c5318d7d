"""Notebook runs, their records, and which figures are redrawn."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_markdown_cell

from g3an import runs
from g3an.errors import G3ANError
from g3an.files import read_json


def record(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


# --- One run ---


def test_a_run_keeps_the_notebook_its_page_and_a_record(project, make_notebook):
    cells = ["# Sum of $a^2$", "print(seed + 1)"]
    source = make_notebook("01_sum", cells, "seed: int = 1  # of everything", project / "notebooks")
    before = source.read_bytes()
    told = []
    folder = runs.run_notebook("01", {"seed": 41}, progress=lambda done, total: told.append((done, total)))

    assert folder.parent == project / "reports" / "runs"
    outputs = [cell.outputs for cell in nbformat.read(folder / "01_sum.ipynb", 4).cells if cell.get("outputs")]
    assert outputs[0][0].text == "42\n"
    assert "42" in (folder / "01_sum.html").read_text()
    kept = record(folder)
    assert (kept["status"], kept["parameters"], kept["given"], kept["seed"]) == ("finished", {"seed": 41}, ["seed"], 41)
    assert kept["error"] is None and kept["weights_sha256"] is None and kept["seconds"] > 0
    assert kept["versions"]["python"] and kept["versions"]["torch"]
    assert told == [(1, 2), (2, 2)]
    assert source.read_bytes() == before


def test_a_failed_run_is_recorded_and_told_in_one_sentence(project, make_notebook):
    cells = ["print('first')", "raise ValueError('too small')", "print('never')"]
    make_notebook("02_fails", cells, folder=project / "notebooks")
    with pytest.raises(G3ANError, match=r"02_fails\.ipynb failed in its code cell 2 with ValueError: too small"):
        runs.run_notebook("02_fails", out_dir=project / "run")
    kept = record(project / "run")
    assert (kept["status"], kept["error"]) == ("failed", "ValueError: too small")
    assert "too small" in (project / "run" / "02_fails.html").read_text()


def test_a_refused_parameter_starts_nothing(project, make_notebook):
    path = make_notebook("03_typed", ["open('ran', 'w')"], "seed: int = 1", project / "notebooks")
    for wrong in ({"sed": 2}, {"seed": "2"}):
        with pytest.raises(G3ANError):
            runs.run_notebook(path, wrong)
    assert not (project / "reports").exists() and not (project / "ran").exists()


def test_unknown_weights_are_refused_before_the_start(project, make_notebook):
    path = make_notebook("04_weights", ["1"], 'weights: str = "no such weights"', project / "notebooks")
    with pytest.raises(G3ANError, match="no such weights"):
        runs.run_notebook(path)
    assert not (project / "reports").exists()


def test_an_interrupted_run_is_recorded(project, make_notebook):
    # In one cell: between two of them there is nothing that an interruption could end.
    cells = ["open('begun', 'w').close(); import time; time.sleep(120)"]
    path = make_notebook("05_long", cells, folder=project / "notebooks")
    # A file: a pipe would be held open by a kernel that takes longer to end.
    with open(project / "said", "w") as said:
        child = subprocess.Popen([sys.executable, "-m", "g3an", "run", str(path), "--out", "run"], stderr=said)
    try:
        deadline = time.monotonic() + 60
        while not (project / "begun").exists():
            assert time.monotonic() < deadline and child.poll() is None
            time.sleep(0.1)
        time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        child.wait(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 130 and "Interrupted" in (project / "said").read_text()
    assert record(project / "run")["status"] == "interrupted"
    assert (project / "run" / "05_long.html").is_file()


def test_runs_of_one_second_get_folders_of_their_own(project):
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    assert len({runs._new_run("a", now) for _ in range(3)}) == 3


def test_notebooks_are_found_by_path_and_by_beginning(project, make_notebook):
    for name in ("01_one", "10_ten", "10_tens"):
        make_notebook(name, ["1"], folder=project / "notebooks")
    assert runs.find_notebook("01").name == "01_one.ipynb"
    assert runs.find_notebook("notebooks/10_ten.ipynb").name == "10_ten.ipynb"
    wrong = {"10": "fits several", "01_on2": "no notebook", "notebooks/01_oen.ipynb": "Did you mean '01_one'"}
    for name, message in wrong.items():
        with pytest.raises(G3ANError, match=message):
            runs.find_notebook(name)
    with pytest.raises(G3ANError, match="is not a notebook"):
        runs.find_notebook("pyproject.toml")


def test_a_damaged_notebook_is_refused(project):
    (project / "notebooks" / "06_bad.ipynb").write_text("{not json")
    with pytest.raises(G3ANError, match="not a Jupyter notebook"):
        runs.run_notebook("06_bad")


# --- Figures ---


class Figure(SimpleNamespace):
    """Stands in for one of the catalogue."""

    def told(self, *_, **__):
        return self


DRAW = """\
import json, pathlib
folder = pathlib.Path(save_to)
folder.mkdir(exist_ok=True)
for suffix in (".png", ".pdf", ".gif"):
    (folder / f"figA{suffix}").write_text(suffix)
(folder / "manifest.json").write_text(json.dumps({"figA": {"drawn": True}}))
"""


@pytest.fixture
def catalogue(project, make_notebook, monkeypatch):
    """One animated figure, drawn by a notebook in the stand-in project; counts the runs."""
    make_notebook("07_draw", [DRAW], 'save_to: str = ""', project / "notebooks")
    figure = Figure(
        id="figA",
        name="figA",
        title="Figure A",
        caption="A *caption*",
        alt="words",
        notebook="07_draw",
        weights="",
        animated=True,
    )
    monkeypatch.setattr("g3an.catalogue.CATALOGUE", {"figA": figure})
    started = []
    original = runs.run_notebook

    def counted(*args, **kwargs):
        started.append(args[0])
        return original(*args, **kwargs)

    monkeypatch.setattr(runs, "run_notebook", counted)
    built = []

    def build(site, **folders):
        built.append(site)
        site.mkdir(parents=True, exist_ok=True)
        (site / "index.html").touch()

    monkeypatch.setattr("g3an.report.build", build)
    return SimpleNamespace(root=project, started=started, figure=figure, built=built)


def drawn(catalogue, **options) -> tuple[int, list[str]]:
    """Runs of ``figures()`` since the last call, and the lines it said."""
    lines: list[str] = []
    before = len(catalogue.started)
    runs.figures(say=lines.append, **options)
    return len(catalogue.started) - before, lines


def test_only_what_changed_is_drawn_again(catalogue, monkeypatch):
    root = catalogue.root
    # What happens to be there, as in a fresh clone, does not count.
    (root / "figures").mkdir()
    for suffix in (".png", ".pdf", ".gif"):
        (root / "figures" / f"figA{suffix}").write_text(suffix)
    count, lines = drawn(catalogue)
    assert count == 1 and "07_draw (figA): drawn" in lines[0]
    count, lines = drawn(catalogue)
    assert count == 0 and "unchanged" in lines[0]
    assert len(catalogue.built) == 1
    os.utime(root / "notebooks" / "07_draw.ipynb", (4e9, 4e9))  # its prose may be another
    assert drawn(catalogue)[0] == 0 and len(catalogue.built) == 2
    os.utime(root / "notebooks" / "07_draw.ipynb", (1e9, 1e9))
    assert drawn(catalogue, force=True)[0] == 1

    (root / "figures" / "figA.gif").write_text("edited")
    assert drawn(catalogue)[0] == 1
    (root / "figures" / "figA.pdf").unlink()
    assert drawn(catalogue)[0] == 1
    (root / "figures" / "manifest.json").write_text("{}")
    assert drawn(catalogue)[0] == 1
    (root / "figures" / "other.png").write_text("not ours")
    assert drawn(catalogue)[0] == 0

    notebook = nbformat.read(root / "notebooks" / "07_draw.ipynb", 4)
    notebook.cells[1].source += "\n# changed"
    nbformat.write(notebook, root / "notebooks" / "07_draw.ipynb")
    assert drawn(catalogue)[0] == 1
    notebook.cells.insert(0, new_markdown_cell("Other prose, which the report shows."))
    nbformat.write(notebook, root / "notebooks" / "07_draw.ipynb")
    assert drawn(catalogue)[0] == 1
    monkeypatch.setattr(runs, "versions", lambda: {"torch": "another"})
    assert drawn(catalogue)[0] == 1
    assert drawn(catalogue)[0] == 0


def test_the_key_covers_sources_and_weights(project, make_notebook, monkeypatch, tmp_path):
    make_notebook("07_draw", [DRAW], 'save_to: str = ""', project / "notebooks")
    package = tmp_path / "package"
    (package / "weights").mkdir(parents=True)
    (package / "runs.py").write_text("a")
    (package / "weights" / "w.safetensors").write_text("b")
    monkeypatch.setattr(runs, "__file__", str(package / "runs.py"))
    keys = [runs._figure_key(project, "07_draw", project)]
    for change in (package / "runs.py", package / "weights" / "w.safetensors"):
        change.write_text("changed")
        keys.append(runs._figure_key(project, "07_draw", project))
    monkeypatch.setenv("OMP_NUM_THREADS", "17")
    keys.append(runs._figure_key(project, "07_draw", project))
    assert len(set(keys)) == 4


def test_another_folder_is_drawn_and_kept_apart(catalogue, tmp_path):
    drawn(catalogue)
    elsewhere = tmp_path / "else where"
    assert drawn(catalogue, out=elsewhere)[0] == 1
    assert (elsewhere / "figA.png").is_file()
    assert catalogue.built[0] == catalogue.root / "reports" / "site" != catalogue.built[1]
    assert drawn(catalogue, out=elsewhere)[0] == 0
    assert drawn(catalogue)[0] == 0


PART = """\
import json, pathlib
folder = pathlib.Path(save_to)
folder.mkdir(exist_ok=True)
for name in only or ["figA", "figB"]:
    for suffix in (".png", ".pdf", ".gif"):
        (folder / f"{name}{suffix}").write_text(suffix)
file = folder / "manifest.json"
old = json.loads(file.read_text()) if file.exists() else {}
file.write_text(json.dumps(old | {name: {"drawn": True} for name in only or ["figA", "figB"]}))
"""


def test_a_notebook_that_can_draws_just_the_figures_asked_for(catalogue, make_notebook, monkeypatch):
    folder = catalogue.root / "notebooks"
    make_notebook("07_draw", [PART], 'save_to: str = ""\nonly: list[str] = []', folder)
    other = Figure(**{**vars(catalogue.figure), "id": "figB", "name": "figB"})
    monkeypatch.setattr("g3an.catalogue.CATALOGUE", {"figA": catalogue.figure, "figB": other})
    count, lines = drawn(catalogue, ids=["figB"])
    assert count == 1 and "07_draw (figB): drawn" in lines[0]
    figures = catalogue.root / "figures"
    assert (figures / "figB.png").is_file() and not (figures / "figA.png").exists()
    # What is shown of the notebook in the report is never a run of a part of it.
    kept = catalogue.root / "reports" / "runs" / "figures"
    assert not (kept / "07_draw").exists() and (kept / "07_draw-part" / "run.json").is_file()
    assert drawn(catalogue, ids=["figB"])[0] == 0
    assert drawn(catalogue)[0] == 1 and (figures / "figA.png").is_file()
    assert drawn(catalogue)[0] == 0
    (figures / "figB.gif").write_text("edited")
    assert drawn(catalogue, ids=["figA"])[0] == 0 and drawn(catalogue)[0] == 1


def test_own_weights_never_replace_the_project_s_figures(project):
    with pytest.raises(G3ANError, match="figures/ holds the project's own figures"):
        runs.figures(dataset="weizmann", weights="weizmann", out=project / "figures")
    with pytest.raises(G3ANError, match="1 cannot be drawn: only figures of weizmann were asked for"):
        runs.figures(["1", "6"], dataset="weizmann")


def test_a_folder_that_cannot_be_written_and_weights_that_are_not_there_are_refused_before_anything_runs(
    catalogue, tmp_path
):
    (tmp_path / "file").touch()
    with pytest.raises(G3ANError, match=r"Cannot write to .*file"):
        runs.figures(out=tmp_path / "file")
    with pytest.raises(G3ANError, match=r"none\.safetensors does not exist"):
        runs.figures(weights=str(tmp_path / "none.safetensors"))
    assert not catalogue.started


def test_a_figure_that_was_not_written_is_a_failure(catalogue):
    catalogue.figure.name = "figB"
    lines: list[str] = []
    with pytest.raises(G3ANError, match=r"Not drawn: 07_draw; the lines above say why\.$"):
        runs.figures(say=lines.append)
    assert "without writing figB.png" in lines[0]
    with pytest.raises(G3ANError, match="Not drawn"):  # and it is no success the next time
        runs.figures(say=lines.append)


def test_a_notebook_that_is_missing_does_not_stop_the_others(catalogue, monkeypatch):
    other = Figure(**{**vars(catalogue.figure), "notebook": "06_missing"})
    monkeypatch.setattr("g3an.catalogue.CATALOGUE", {"figZ": other, "figA": catalogue.figure})
    lines: list[str] = []
    with pytest.raises(G3ANError, match="Not drawn: 06_missing"):
        runs.figures(say=lines.append)
    assert "FAILED" in lines[0] and "drawn in" in lines[1]


def test_a_state_says_when_its_figure_was_drawn(catalogue):
    drawn(catalogue)
    kept = catalogue.root / "reports" / "runs" / "figures"
    state, record = (read_json(kept / name) for name in ("figA.json", "07_draw/run.json"))
    assert (state["drawn"], state["commit"]) == (record["started"], record["commit"])


TWO_AT_ONCE = """
import g3an.catalogue, g3an.runs

if __name__ == "__main__":
    g3an.catalogue.CATALOGUE = {
        f"fig{name}": g3an.catalogue.Figure(
            f"fig{name}", "Figure", f"fig{name}", "", "", "", f"0{name}_draw", lambda figure, generator: None
        )
        for name in (7, 8)
    }
    g3an.runs.project_root = lambda: __import__("pathlib").Path.cwd()
    try:
        g3an.runs.figures(jobs=2, say=lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        print("stopped", flush=True)
"""


def test_notebooks_that_run_at_once_fail_and_succeed_apart(catalogue, make_notebook):
    make_notebook("08_fails", ["raise ValueError('broken')"], 'save_to: str = ""', catalogue.root / "notebooks")
    second = Figure(**{**vars(catalogue.figure), "id": "figB", "name": "figB", "notebook": "08_fails"})
    from g3an.catalogue import CATALOGUE

    CATALOGUE["figB"] = second  # the stand-in of the fixture
    lines: list[str] = []
    told = []
    with pytest.raises(G3ANError, match=r"Not drawn: 08_fails"):
        runs.figures(jobs=2, say=lines.append, progress=lambda *what: told.append(what))
    assert any("07_draw (figA): drawn" in line for line in lines)
    assert any("08_fails (figB): FAILED" in line and "ValueError: broken" in line for line in lines)
    assert ("07_draw", 2, 2) in told
    assert (catalogue.root / "figures" / "figA.gif").is_file()


def test_notebooks_that_run_at_once_end_with_the_one_who_asked(project, make_notebook):
    for name in (7, 8):
        cells = [f"open('begun{name}', 'w').close(); import time; time.sleep(120)"]
        make_notebook(f"0{name}_draw", cells, 'save_to: str = ""', project / "notebooks")
    (project / "draw.py").write_text(TWO_AT_ONCE)
    with open(project / "said", "w") as said:
        child = subprocess.Popen(
            [sys.executable, "draw.py"], stdout=said, stderr=subprocess.DEVNULL, start_new_session=True
        )  # kernels that are stopped may say so on stderr
    try:
        deadline = time.monotonic() + 120
        while not all((project / f"begun{name}").exists() for name in (7, 8)):
            assert time.monotonic() < deadline and child.poll() is None
            time.sleep(0.1)
        time.sleep(0.5)
        os.killpg(child.pid, signal.SIGINT)  # as a terminal does: to everybody
        child.wait(timeout=60)
    finally:
        child.kill()
    assert (project / "said").read_text().strip() == "stopped"
    for name in (7, 8):
        assert record(project / "reports" / "runs" / "figures" / f"0{name}_draw")["status"] == "interrupted"


def test_an_unknown_figure_is_refused_with_the_nearest_known_one(catalogue):
    with pytest.raises(G3ANError, match=r"no figure 'figAA'\. Did you mean 'figA'"):
        runs.figures(["figAA"])


# --- Committed notebooks ---


def test_two_refreshes_give_the_same_bytes_as_nbval_wants_them(project, make_notebook):
    bar = "from tqdm.notebook import tqdm; list(tqdm([]));"
    cells = ["# Prose", "print(1, flush=True); print(2)", bar]
    path = make_notebook("08_plain", cells, "a: int = 1", project / "notebooks")
    runs.refresh(say=lambda line: None)
    first = path.read_bytes()
    runs.refresh(["08"], say=lambda line: None)
    assert path.read_bytes() == first
    content = nbformat.read(path, 4)
    assert [cell.execution_count for cell in content.cells if cell.cell_type == "code"] == [1, 2, 3]
    assert content.cells[0].metadata.tags == ["parameters"]
    assert len(content.cells[2].outputs) == 1
    assert str(os.getcwd()) not in first.decode()


def test_a_notebook_that_fails_keeps_its_old_content(project, make_notebook):
    path = make_notebook("09_fails", ["1/0"], folder=project / "notebooks")
    before = path.read_bytes()
    with pytest.raises(G3ANError, match="ZeroDivisionError"):
        runs.refresh(say=lambda line: None)
    assert path.read_bytes() == before
