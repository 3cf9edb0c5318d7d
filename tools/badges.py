"""Put the repository's address where readers need it: ``python tools/badges.py``, after it is set or changed.

The address is one line of ``pyproject.toml``, absent until it is known::

    [project.urls]
    Repository = "https://github.com/OWNER/NAME"

From it come the Colab and Binder badges at the top of the README and of each notebook, and what the first cell of each
notebook installs where the package is missing. Without it there are no badges, and that cell says what to do instead.
No notebook is run: the first cell is silent wherever g3an is installed.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import nbformat

from g3an.errors import G3ANError
from g3an.files import atomic_write
from g3an.parameters import read_notebook

BADGES, SETUP = "badges", "setup"
"""Tags of the cells that this tool owns."""
BRANCH = "main"
FIRST = "notebooks/11_latent_explorer.ipynb"  # what the README's badges open
BEGIN, END = "<!-- badges -->", "<!-- /badges -->"

_CELL = """\
# {} where it is missing; elsewhere this does nothing.
import importlib.util

if importlib.util.find_spec("g3an") is None:
    {}"""
_MISSING = "g3an is not installed here: run `pip install .` in its checkout, then start this notebook again."


def repository(root: Path) -> str:
    """The address in ``pyproject.toml``; empty while there is none.

    Raises
    ------
    G3ANError
        It is no repository on GitHub, where Colab and Binder look for notebooks.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address = str(project.get("urls", {}).get("Repository", "")).rstrip("/").removesuffix(".git")
    if address and not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", address):
        raise G3ANError(f"Repository in pyproject.toml is {address!r}; it must be like https://github.com/OWNER/NAME.")
    return address


def badges(address: str, path: str) -> str:
    """Markdown that opens the notebook ``path``, from the root, on Colab and Binder."""
    name = address.removeprefix("https://github.com/")
    colab = f"https://colab.research.google.com/github/{name}/blob/{BRANCH}/{path}"
    binder = f"https://mybinder.org/v2/gh/{name}/{BRANCH}?urlpath=lab/tree/{path}"
    return (
        f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab}) "
        f"[![Open on Binder](https://mybinder.org/badge_logo.svg)]({binder})"
    )


def setup_cell(address: str) -> str:
    """The code of a notebook's first cell."""
    if address:
        return _CELL.format("Installs g3an, on Colab say,", f"%pip install --quiet git+{address}")
    return _CELL.format("Says how to install g3an", f"raise ImportError({_MISSING!r})")


def with_badges(notebook: nbformat.NotebookNode, address: str, path: str) -> None:
    """Give a notebook its badges and its first cell in place; the numbers of the other cells move along."""
    kept = [cell for cell in notebook.cells if not {BADGES, SETUP} & set(cell.metadata.get("tags", []))]
    ran = any(cell.get("execution_count") for cell in kept if cell.cell_type == "code")
    top = [nbformat.v4.new_markdown_cell(badges(address, path), metadata={"tags": [BADGES]})] if address else []
    hidden = {"tags": [SETUP], "jupyter": {"source_hidden": True}}
    setup = nbformat.v4.new_code_cell(setup_cell(address), metadata=hidden, execution_count=1 if ran else None)
    title = next(number for number, cell in enumerate(kept) if cell.cell_type == "code")
    notebook.cells = [*top, *kept[:title], setup, *kept[title:]]
    count = 0
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
        if cell.cell_type == "code" and ran:
            count += 1
            cell.execution_count = count
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = count


def update(root: Path) -> list[Path]:
    """Bring the README and the notebooks up to date; the files that changed."""
    address, changed = repository(root), []
    readme = root / "README.md"
    links = badges(address, FIRST) if address else ""
    texts = {readme: _below_title(readme.read_text(encoding="utf-8"), links)}
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        notebook = read_notebook(path)
        with_badges(notebook, address, f"notebooks/{path.name}")
        texts[path] = nbformat.writes(notebook) + "\n"
    for path, text in texts.items():
        if path.read_text(encoding="utf-8") != text:
            changed.append(path)
            with atomic_write(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
    return changed


def _below_title(text: str, links: str) -> str:
    """The README with these badges below its title; without any, nothing marks their place."""
    text = re.sub(rf"\n{BEGIN}.*?{END}\n", "", text, flags=re.DOTALL)
    if not links:
        return text
    title, _, rest = text.partition("\n")
    return f"{title}\n\n{BEGIN}\n{links}\n{END}\n{rest}"


if __name__ == "__main__":
    try:
        for file in update(Path(__file__).parents[1]):
            print(f"{file.name} changed")
    except G3ANError as problem:
        sys.exit(f"Error: {problem}")
