"""What several tests share: small notebooks, and a project folder that stands in for the checkout."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

MakeNotebook = Callable[..., Path]

# A shell has what it runs in the background ignore Ctrl-C, and so do the children that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def make_notebook(tmp_path: Path) -> MakeNotebook:
    """A function that writes a notebook that was not executed; cells that begin "# " are prose."""

    def make(name: str, cells: Sequence[str], parameters: str = "", folder: Path = tmp_path) -> Path:
        made = [new_code_cell(parameters, metadata={"tags": ["parameters"]})] if parameters else []
        made += [new_markdown_cell(cell) if cell.startswith("# ") else new_code_cell(cell) for cell in cells]
        spec = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
        path = folder / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(new_notebook(cells=made, metadata={"kernelspec": spec}), path)
        return path

    return make


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, in a path with a space, that runs and the report take for the checkout."""
    from g3an import runs

    root = tmp_path / "a project"
    (root / "notebooks").mkdir(parents=True)
    (root / "pyproject.toml").touch()
    monkeypatch.setattr(runs, "project_root", lambda: root)
    monkeypatch.chdir(root)
    return root
