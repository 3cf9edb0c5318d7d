"""The files around the code: pins, the Makefile, continuous integration, and what the README promises."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from g3an.checkpoints import shipped

ROOT = Path(__file__).parents[1]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line) for line in lines)
    return {normal(name): version for name, _, version in (line.partition("==") for line in lines)}


def test_every_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = [line for group in (project["dependencies"], *extras.values()) for line in group]
    wanted = {normal(re.split(r"[\s;\[<>=]", line)[0]) for line in lines} - {"g3an"}  # dev includes another extra
    assert wanted <= pins().keys() and set(extras) == {"dev", "cluster", "crop", "evaluation"}
    assert pins()["torch"] == "2.13.0"


def test_the_environment_has_the_pinned_versions():
    """Figures and notebooks are compared with those of exactly these versions."""
    installed = {normal(found.metadata["Name"]): found.version for found in metadata.distributions()}
    common = (pins().keys() & installed.keys()) - {"setuptools", "torch"}
    assert {name: installed[name] for name in common} == {name: pins()[name] for name in common}
    assert installed["torch"].partition("+")[0] == pins()["torch"]


def test_conda_installs_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    [pip] = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip == ["--constraint constraints.txt", "--editable .[dev]"]


def test_the_image_holds_what_exists_and_leaves_binder_alone():
    lines = (ROOT / "docker" / "Dockerfile").read_text().splitlines()
    copied = [name for line in lines if line.startswith("COPY") for name in line.split()[2:-1]]
    assert copied[-1] == "." and all((ROOT / name).exists() for name in copied)
    # The package is installed from what is copied before.
    assert {"Makefile", "pyproject.toml", "constraints.txt", "g3an"} <= set(copied[:-1])
    [command] = [line for line in lines if line.startswith("RUN make")]
    assert re.search(rf"^{command.split()[2]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert not (ROOT / "Dockerfile").exists(), "Binder would take it instead of environment.yml"


def test_the_workflow_runs_the_two_commands_on_linux_and_macos_with_a_cache():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    [job] = workflow["jobs"].values()
    assert {"ubuntu-latest", "macos-latest"} <= set(job["strategy"]["matrix"]["os"])
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert {"make figures", "make test", "make lint"} <= set(commands)
    [python] = [step["with"] for step in job["steps"] if "setup-python" in step.get("uses", "")]
    assert python["cache"] == "pip" and "constraints.txt" in python["cache-dependency-path"]


def test_continuous_integration_runs_the_tests_and_nothing_else():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    commands = [line for line in lines if line and not line.startswith(("#", "set ", "cd "))]
    assert commands == ["make test"] and os.access(ROOT / ".ci" / "run", os.X_OK)


def run_make(folder: Path, *words: str) -> subprocess.CompletedProcess:
    """A make of its own, even where the tests were started by make."""
    ours = ("MAKE", "MFLAGS", "FORCE", "PIP_ARGS")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(["make", *words], cwd=folder, env=variables, capture_output=True, text=True, check=False)


def make(folder: Path, *words: str) -> str:
    """The commands that make would run."""
    done = run_make(folder, "-n", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A bare checkout in a path with spaces and a quotation mark."""
    folder = tmp_path / "it's a checkout"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
class TestMake:
    @pytest.mark.parametrize("target", ["setup", "figures", "test", "notebooks", "report", "lint", "validate"])
    def test_each_target_installs_first_and_only_once(self, checkout, target):
        first = make(checkout, target, "PIP_ARGS=--some-index here")
        assert first.index("-m venv") < first.index("pip install") and "--some-index here" in first
        (checkout / ".venv").mkdir()
        (checkout / ".venv" / "installed").write_text(f"{checkout}\n")
        assert "pip install" not in make(checkout, target)
        os.utime(checkout / "constraints.txt", (4e9, 4e9))
        assert "pip install" in make(checkout, target)

    def test_an_environment_from_elsewhere_is_made_anew(self, checkout):
        (checkout / ".venv").mkdir()
        (checkout / ".venv" / "installed").write_text("/another place\n")
        assert "-m venv --clear .venv" in make(checkout, "figures")

    def test_force_redraws(self, checkout):
        assert "g3an figures --force" in make(checkout, "figures", "FORCE=1")
        assert "--force" not in make(checkout, "figures")

    def test_an_unfit_interpreter_is_told_in_one_sentence(self, checkout):
        done = run_make(checkout, "setup", "PYTHON=false")
        assert done.returncode and "Python 3.11, 3.12 or 3.13" in done.stderr


def test_the_readme_shows_the_two_commands_and_every_notebook():
    text = (ROOT / "README.md").read_text()
    assert "\nmake figures " in text and "\nmake test " in text
    assert text.index("](figures/") < text.index("## Two commands"), "a figure that moves stands on top"
    listed = re.findall(r"^\| `(\d\d_\w+)` \|", text, re.MULTILINE)
    assert listed == sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


def test_the_readme_takes_its_results_from_the_cards():
    text = (ROOT / "README.md").read_text()
    section = text[text.index("## Results") : text.index("## Reproducibility")]
    rows = re.findall(r"^\| `([\w-]+)` \| ([\d,]+) \| (\d+) minutes \| ([\d.]+) \|", section, re.MULTILINE)
    assert {name for name, *_ in rows} == set(shipped())
    for name, clips, minutes, distance in rows:
        card = json.loads((ROOT / "g3an" / "weights" / f"{name}.json").read_text())
        runs = [card, *card.get("origins", [])]  # with those whose weights it began with
        assert int(clips.replace(",", "")) == sum(run["clips_seen"] for run in runs)
        assert int(minutes) == round(sum(run["training_seconds"] for run in runs) / 60)
        assert float(distance) == card["sliced_wasserstein"]


@pytest.mark.parametrize("name", ["README.md", "GUIDE.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(name):
    for target, _, heading in re.findall(r"\]\(([^)#:]+)(#([^)]+))?\)", (ROOT / name).read_text()):
        assert (ROOT / target).is_file(), f"{name} shows {target}"
        if heading:
            headings = re.findall(r"^#+ (.*)$", (ROOT / target).read_text(), re.MULTILINE)
            assert heading in [each.lower().replace(" ", "-") for each in headings], f"{target} has no {heading}"


def test_no_committed_text_names_a_machine_or_a_package_host():
    try:
        words = ["git", "ls-files", "-z"]
        listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    # With brackets, or this file would find itself.
    unwanted = re.compile("|".join(["/roo[t]/", "/wor[k]/", r"pyp[i]\.org", r"download\.pytorc[h]"]))
    kinds = {".py", ".md", ".toml", ".yml", ".yaml", ".txt", ".cfg", ".cff", ".ipynb", ".json", ""}
    for name in filter(None, listed):
        path = ROOT / name
        if path.suffix in kinds and path.is_file():
            found = unwanted.search(path.read_text(encoding="utf-8", errors="ignore"))
            assert not found, f"{name} holds {found[0]}"
