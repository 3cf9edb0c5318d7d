"""The repository's address: badges and the notebooks' first cell, with and without it."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

from g3an import report
from g3an.errors import G3ANError

ROOT = Path(__file__).parents[1]
ADDRESS = "https://github.com/someone/some-name"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def tool():
    spec = importlib.util.spec_from_file_location("badges", ROOT / "tools" / "badges.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


badges = tool()


@pytest.fixture
def checkout(tmp_path) -> Path:
    (tmp_path / "notebooks").mkdir()
    for name in ("README.md", "pyproject.toml", "notebooks/10_motion_switch.ipynb"):
        shutil.copy(ROOT / name, tmp_path / name)
    text = "".join(f"{part}\n" for part in (tmp_path / "pyproject.toml").read_text().split("\n[project.urls]\n")[:1])
    (tmp_path / "pyproject.toml").write_text(text)
    badges.update(tmp_path)  # whatever the project's own address, here there is none
    return tmp_path


def name_it(checkout: Path, address: str) -> None:
    with open(checkout / "pyproject.toml", "a") as stream:
        stream.write(f'\n[project.urls]\nRepository = "{address}"\n')


def contents(checkout: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in [checkout / "README.md", *(checkout / "notebooks").iterdir()]}


def run(source: str, monkeypatch, installed: bool) -> list[tuple[str, str]]:
    """Run a first cell as a notebook would; what it asked of pip."""
    asked: list[tuple[str, str]] = []
    shell = SimpleNamespace(run_line_magic=lambda *words: asked.append(words))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if installed else None)
    exec(TransformerManager().transform_cell(source), {"get_ipython": lambda: shell})
    return asked


def test_committed_files_follow_the_address_in_pyproject(tmp_path):
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    assert badges.update(tmp_path) == [], "run `python tools/badges.py`"


def test_without_an_address_there_are_no_badges(checkout, monkeypatch):
    assert not any("badge" in text.replace('"badges"', "") for text in contents(checkout).values())
    assert run(badges.setup_cell(""), monkeypatch, installed=True) == []
    with pytest.raises(ImportError, match="pip install"):
        run(badges.setup_cell(""), monkeypatch, installed=False)


def test_with_an_address_they_come_and_go(checkout, monkeypatch):
    before = contents(checkout)
    bare = (checkout / "pyproject.toml").read_text()
    name_it(checkout, f"{ADDRESS}.git")
    assert [path.name for path in badges.update(checkout)] == ["README.md", "10_motion_switch.ipynb"]
    readme, path = (checkout / "README.md").read_text(), checkout / "notebooks" / "10_motion_switch.ipynb"
    assert "/someone/some-name/blob/main/notebooks/11_latent_explorer.ipynb" in readme.split("\n![")[0]
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    for place in (
        "colab.research.google.com/github/someone/some-name/blob/main/notebooks/10_motion_switch.ipynb)",
        "mybinder.org/v2/gh/someone/some-name/main?urlpath=lab/tree/notebooks/10_motion_switch.ipynb)",
    ):
        assert place in notebook.cells[0].source
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert run(code[0].source, monkeypatch, installed=True) == []
    assert run(code[0].source, monkeypatch, installed=False) == [("pip", f"install --quiet git+{ADDRESS}")]
    page = report.notebook_page(path)
    assert "badge" not in page and "find_spec" not in page, "pages are read offline"

    assert badges.update(checkout) == []
    (checkout / "pyproject.toml").write_text(bare)
    badges.update(checkout)
    assert contents(checkout) == before


def test_an_address_elsewhere_is_one_sentence(checkout):
    name_it(checkout, "https://example.org/some-name")
    with pytest.raises(G3ANError, match=r"'https://example.org/some-name'; it must be like https://github.com/"):
        badges.update(checkout)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_first_cell_is_the_setup_and_silent(path):
    first = next(cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code")
    assert first.metadata.tags == ["setup"] and first.outputs == [] and first.execution_count == 1
