"""Longer checks, run by ``make validate``, that the project works outside the folder and environment it is made in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SANITIZE = ROOT / "tests" / "notebooks" / "sanitize.cfg"


def run(*words: object, cwd: Path = ROOT, **variables: str) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, env=os.environ | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    """What an installation reads, in a folder of its own: a build must leave nothing in the checkout."""
    folder = tmp_path_factory.mktemp("sources")
    for name in ("pyproject.toml", "constraints.txt", "environment.yml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "g3an", folder / "g3an", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def installed(sources, tmp_path_factory) -> Path:
    """A folder that holds the installed wheel and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", sources / "dist", ".", cwd=sources)
    [wheel] = (sources / "dist").glob("*.whl")
    run(*pip, "install", "--no-deps", "--target", folder, wheel)
    return folder


def test_the_pip_section_of_environment_yml_resolves_in_an_empty_environment(sources, tmp_path):
    content = yaml.safe_load((sources / "environment.yml").read_text())
    [lines] = [entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict)]
    (sources / "requirements.txt").write_text("\n".join(lines) + "\n")  # beside it, as conda does
    run(sys.executable, "-m", "venv", tmp_path / "empty")
    python = tmp_path / "empty" / ("Scripts" if os.name == "nt" else "bin") / "python"
    told = run(python, "-m", "pip", "install", "--dry-run", "--requirement", "requirements.txt", cwd=sources)
    [line] = [line for line in told.splitlines() if line.startswith("Would install")]
    names = {word.rpartition("-")[0] for word in line.split()[2:]}
    assert {"g3an", "torch", "jupyterlab", "pytest"} <= names and "torch-2.13.0" in line


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_give_the_same_from_an_installed_wheel_outside_the_checkout(installed, notebook, tmp_path):
    copy = shutil.copy(notebook, tmp_path)
    python = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path)
    where = run(sys.executable, "-c", "import g3an; print(g3an.__file__)", cwd=tmp_path, PYTHONPATH=str(installed))
    assert where.startswith(str(installed))
    nbval = ("--nbval", "--nbval-sanitize-with", SANITIZE, "--nbval-cell-timeout", "300", copy)
    run(*python, *nbval, cwd=tmp_path, PYTHONPATH=str(installed))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run_from_the_root(notebook, tmp_path):
    """``make test`` runs them from their own folder."""
    run(sys.executable, "-m", "g3an", "run", notebook.stem, "--out", tmp_path / "run")
    assert '"status": "finished"' in (tmp_path / "run" / "run.json").read_text()
