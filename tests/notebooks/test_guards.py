"""nbval passes a notebook that holds no outputs without checking anything; these guards make sure that it must work."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_output

from g3an import runs
from g3an.parameters import notebook_parameters

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SANITIZE = ROOT / "tests" / "notebooks" / "sanitize.cfg"

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list:
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def test_the_figure_notebooks_are_there():
    from g3an.catalogue import CATALOGUE

    assert {figure.notebook for figure in CATALOGUE.values()} <= {path.stem for path in NOTEBOOKS}


def test_make_test_compares_strictly():
    recipe = re.search(r"^test:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe
    words = recipe[1].split()
    assert words[words.index("pytest") + 1 :][:2] == ["tests", "notebooks"] and "--nbval" in words
    assert words[words.index("--nbval-sanitize-with") + 1] == "tests/notebooks/sanitize.cfg"
    assert words[words.index("--dist") + 1] == "loadfile"  # a notebook's cells stay in one process, in order
    assert "--nbval-lax" not in words


@each_notebook
def test_every_code_cell_was_executed_in_order_and_without_error(path):
    cells = code_cells(path)
    assert cells and all(cell.source.strip() for cell in cells)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]


@each_notebook
def test_the_kernel_is_the_environment_s_own(path):
    assert nbformat.read(path, 4).metadata.kernelspec.name == "python3"


@each_notebook
def test_parameters_are_declared_with_types_and_comments(path):
    parameters = notebook_parameters(path)
    assert parameters, f"{path.name} has no cell tagged 'parameters'"
    for parameter in parameters.values():
        assert parameter.help, f"{path.name}: '{parameter.name}' has no comment"


@each_notebook
def test_no_committed_notebook_writes_by_default(path):
    parameters = notebook_parameters(path)
    assert "save_to" not in parameters or parameters["save_to"].default == ""


@each_notebook
def test_few_cells_escape_the_comparison(path):
    """No cell is skipped; one whose output is ignored has output; and text is compared somewhere."""
    compared = 0
    for cell in code_cells(path):
        tags = set(cell.metadata.get("tags", []))
        assert not tags & {"nbval-skip", "nbval-raises-exception", "skip"}
        assert not re.search(r"#\s*(NBVAL_|PYTEST_VALIDATE)", cell.source)
        if tags & {"nbval-ignore-output", "nbval-check-output"}:
            assert cell.outputs, f"{path.name}: a cell's output is ignored and it has none"
        else:
            kinds = [set(output.get("data", {"text/plain": 0})) for output in cell.outputs]
            compared += any(kind - {"image/png", "image/jpeg", "image/gif"} for kind in kinds)
    assert compared, f"{path.name}: nbval has no text to compare"


@each_notebook
def test_outputs_hold_no_path_of_a_machine_and_no_times(path):
    # Pictures are left out: among millions of letters of base64 any short word comes up.
    text = re.sub(r'"image/\w+": "[^"]*"', "", path.read_text(encoding="utf-8"))
    assert len(text) > 1000 and not re.search(r"/(home|root|Users|tmp|work)/[^\s\"']", text)
    assert "iopub.execute_input" not in text and '"papermill"' not in text


# --- nbval itself ---


def nbval(path: Path) -> subprocess.CompletedProcess:
    """nbval as ``make test`` calls it, on one notebook."""
    words = ["-q", "--nbval", "--nbval-sanitize-with", str(SANITIZE), "-p", "no:cacheprovider", str(path)]
    return subprocess.run([sys.executable, "-m", "pytest", *words], capture_output=True, text=True, check=False)


@pytest.fixture
def executed(tmp_path, make_notebook) -> Path:
    """A notebook in a path with a space, executed as committed ones are, with something that changes at each run."""
    words = ["print('loss 0.25')", "print(object())", "[1, 2]"]
    path = make_notebook("tiny", words, "seed: int = 1  # of nothing", tmp_path / "with space")
    runs.refresh([path], say=lambda line: None)
    return path


def test_nbval_passes_an_unchanged_notebook(executed):
    done = nbval(executed)
    assert done.returncode == 0 and "4 passed" in done.stdout, done.stdout


def test_nbval_fails_on_each_kind_of_change(executed):
    content = nbformat.read(executed, 4)
    content.cells[0].outputs = [new_output("stream", name="stdout", text="an output that is not there\n")]
    content.cells[1].outputs[0].text = "loss 0.26\n"
    content.cells[2].outputs[0].text = "no object\n"
    content.cells[3].outputs[0].data["text/plain"] = "[1, 3]"
    nbformat.write(content, executed)
    done = nbval(executed)
    assert done.returncode == 1 and "4 failed" in done.stdout, done.stdout


def test_the_guards_see_what_nbval_does_not(executed):
    """A stripped notebook passes nbval: the reason for the first guard."""
    content = nbformat.read(executed, 4)
    for cell in content.cells:
        cell.outputs, cell.execution_count = [], None
    nbformat.write(content, executed)
    with pytest.raises(AssertionError):
        test_every_code_cell_was_executed_in_order_and_without_error(executed)
