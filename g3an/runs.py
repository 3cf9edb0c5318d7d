"""Notebook runs with a record each, and figures that are redrawn only when something changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import multiprocessing
import os
import platform
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from g3an.errors import G3ANError
from g3an.files import atomic_write, make_folder, read_json, sha256, write_json
from g3an.parameters import check_parameters, did_you_mean, notebook_parameters, read_notebook
from g3an.results import recorded

if TYPE_CHECKING:
    from g3an.catalogue import Figure
    from g3an.gallery import Gallery

Progress = Callable[[int, int], None]
"""Called with (cells done, cells in all)."""
KERNEL_WORDS = ["--IPKernelApp.log_level=50"]
"""Nothing short of a crash: a kernel that talks to this machine alone warns of unencrypted connections each time it
starts, and calls it an error that it is interrupted at its end, as jupyter_client does. What fails in a cell comes by
other ways."""


# --- Where things are ------------------------------------------------------------------------------------------------


def project_root() -> Path:
    """The checkout: the folder that holds ``notebooks/`` and ``figures/``.

    Raises
    ------
    G3ANError
        The package was installed without its checkout and the current folder is not one.
    """
    for candidate in (Path(__file__).resolve().parents[1], Path.cwd()):
        if (candidate / "notebooks").is_dir() and (candidate / "pyproject.toml").is_file():
            return candidate
    raise G3ANError("The folder notebooks/ is not here; run this from a checkout of the project.")


def _home() -> Path:
    """Where runs are kept: the checkout, or the current folder where the package is installed without one."""
    try:
        return project_root()
    except G3ANError:
        return Path.cwd()


def find_notebook(name: str | Path) -> Path:
    """A notebook by its path, or by the beginning of its name in ``notebooks/`` ("07" or "07_conditional_generation").

    Raises
    ------
    G3ANError
        There is no such notebook, or the beginning fits several.
    """
    path = Path(name)
    if path.is_file():
        if path.suffix != ".ipynb":
            raise G3ANError(f"{path} is not a notebook (.ipynb).")
        return path.resolve()
    if path.suffix == ".ipynb" or len(path.parts) > 1:
        raise G3ANError(f"The notebook {path} does not exist.{did_you_mean(path.stem, _stems())}")
    fitting = [stem for stem in _stems() if stem.startswith(str(name))]
    if len(fitting) == 1:
        return project_root() / "notebooks" / f"{fitting[0]}.ipynb"
    if fitting:
        raise G3ANError(f"'{name}' fits several notebooks: {', '.join(fitting)}.")
    raise G3ANError(f"There is no notebook '{name}'.{did_you_mean(str(name), _stems())}")


def _stems() -> list[str]:
    return sorted(path.stem for path in (project_root() / "notebooks").glob("*.ipynb"))


# --- One run ---------------------------------------------------------------------------------------------------------


def run_notebook(
    notebook: str | Path,
    parameters: Mapping[str, Any] | None = None,
    out_dir: str | Path | None = None,
    *,
    progress: Progress | None = None,
    echo: TextIO | None = None,
) -> Path:
    """Run a notebook with papermill and keep everything about the run.

    The kernel works in the caller's current folder, so relative paths among the parameters mean what they mean in the
    shell. ``out_dir`` (by default ``reports/runs/<notebook>-<time>``) receives ``<notebook>.ipynb``,
    ``<notebook>.html`` and ``run.json``: parameters, seed, weights hash, versions, commit, time, status (running,
    finished, failed, interrupted) and what the notebook recorded (:func:`g3an.results.record`). All three are written
    whatever happens to the run.

    Parameters
    ----------
    parameters
        Values for names that the notebook declares; see :func:`check_parameters`.
    progress
        Called after each code cell.
    echo
        Receives what the cells print, as they print it.

    Returns
    -------
    Path
        The run's folder.

    Raises
    ------
    G3ANError
        A parameter or the weights are refused (nothing was started), or a cell failed.
    KeyboardInterrupt
        The user stopped the run, after the record was written.
    """
    import papermill

    from g3an import report

    notebook = find_notebook(notebook)
    given = check_parameters(notebook, parameters or {})
    values = {name: parameter.default for name, parameter in notebook_parameters(notebook).items()} | given
    weights = check_weights(values.get("weights"))
    started = datetime.now(UTC)
    out_dir = Path(out_dir) if out_dir else _new_run(notebook.stem, started)
    executed = (out_dir / notebook.name).resolve()
    if executed == notebook:
        raise G3ANError(f"A run must not overwrite its own notebook; choose another folder than {out_dir}.")

    record: dict[str, Any] = {
        "notebook": notebook.name,
        "status": "running",
        "parameters": values,
        "given": sorted(given),
        "seed": values.get("seed"),
        "weights_sha256": weights,
        "commit": _commit(),
        "started": started.isoformat(timespec="seconds"),
        "seconds": None,
        "versions": versions(),
        "machine": {"host": platform.node(), "system": platform.platform(), "cores": os.cpu_count()},
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "results": {},
        "error": None,
    }
    write_json(out_dir / "run.json", record)
    executed.unlink(missing_ok=True)
    done = _Counter(notebook, progress)
    clock = time.monotonic()
    status, message = "failed", "the run stopped unexpectedly"
    try:
        with _quiet_kernel():
            papermill.execute_notebook(
                notebook,
                executed,
                parameters=given,
                kernel_name="python3",
                progress_bar=False,
                on_cell_executed=done,
                stdout_file=echo,
                stderr_file=echo,
                extra_arguments=KERNEL_WORDS,
            )
        status, message = "finished", ""
    except KeyboardInterrupt:
        status, message = "interrupted", "interrupted by the user"
        raise
    except papermill.PapermillExecutionError as error:
        message = f"{error.ename}: {error.evalue}"
        raise G3ANError(
            f"{notebook.name} failed in its code cell {done.cells} with {message.strip().rstrip('.')}; "
            f"the executed copy is {_shown(executed)}."
        ) from error
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        raise G3ANError(f"{notebook.name} could not be run to its end: {message}") from error
    finally:
        record |= {"status": status, "error": message or None, "seconds": round(time.monotonic() - clock, 1)}
        record["results"] = recorded(executed) if executed.is_file() else {}
        write_json(out_dir / "run.json", record)
        if executed.is_file():
            with atomic_write(executed.with_suffix(".html")) as temporary:
                temporary.write_text(report.notebook_page(executed, record=record), encoding="utf-8")
    return out_dir


class _Counter:
    """nbclient's hook after each cell; counts code cells, the failing one included."""

    def __init__(self, notebook: Path, progress: Progress | None) -> None:
        self.total = sum(cell.cell_type == "code" for cell in read_notebook(notebook).cells)
        self.progress = progress
        self.cells = 0

    def __call__(self, cell: Any, **_: Any) -> None:
        # The cell that papermill injects is no cell of the notebook.
        if cell.cell_type != "code" or "injected-parameters" in cell.metadata.get("tags", []):
            return
        self.cells += 1
        if self.progress:
            self.progress(self.cells, self.total)


@contextlib.contextmanager
def _quiet_kernel() -> Iterator[None]:
    """The environment's own python3 kernel, and no log lines between ours."""
    loggers = [logging.getLogger(name) for name in ("papermill", "papermill.translators", "traitlets")]
    levels = [logger.level for logger in loggers]
    before = os.environ.get("JUPYTER_PREFER_ENV_PATH")
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if before is None:
            del os.environ["JUPYTER_PREFER_ENV_PATH"]
        else:
            os.environ["JUPYTER_PREFER_ENV_PATH"] = before


def _new_run(stem: str, started: datetime) -> Path:
    """A folder under ``reports/runs/`` that no other run has; two runs may begin within one second."""
    base = _home() / "reports" / "runs" / f"{stem}-{started:%Y%m%d-%H%M%S}"
    for number in range(1, 1000):
        folder = base if number == 1 else base.with_name(f"{base.name}-{number}")
        with contextlib.suppress(FileExistsError):
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                raise
            except OSError as error:
                raise G3ANError(f"Cannot make the folder {folder}: {error.strerror}.") from error
            return folder
    raise G3ANError(f"Cannot find a free name for a run beside {base}.")


def check_weights(weights: Any) -> str | None:
    """The SHA-256 that identifies the weights a notebook names, loaded once so that a wrong name is refused early.

    None where a notebook names none.

    Raises
    ------
    G3ANError
        There are no such weights, or they are damaged.
    """
    if not isinstance(weights, str) or not weights:
        return None
    from g3an import checkpoints

    return str(checkpoints.load_generator(weights).weights_hash)


def versions() -> dict[str, str]:
    """Python's version and that of every package that this one asks for and that is installed."""
    found = {"python": platform.python_version()}
    try:
        wanted = ["g3an", *(metadata.requires("g3an") or [])]
    except metadata.PackageNotFoundError:
        wanted = ["torch", "numpy", "matplotlib", "Pillow", "imageio", "scipy"]
    for requirement in wanted:
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name.lower()] = metadata.version(name)
    return dict(sorted(found.items()))


def _commit() -> str | None:
    """The checkout's commit, with "+changes" where files differ from it; None outside git."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=_home(), capture_output=True, text=True, check=True, timeout=20
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _shown(path: Path) -> str:
    """A path as a person wants to read it: from the current folder where that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


# --- All figures -----------------------------------------------------------------------------------------------------


def figures(
    ids: Sequence[str] = (),
    *,
    dataset: str = "",
    weights: str = "",
    force: bool = False,
    out: str | Path | None = None,
    jobs: int = 1,
    say: Callable[[str], None] = print,
    progress: Callable[[str, int, int], None] | None = None,
) -> Path:
    """Draw the catalogue's figures by running each figure notebook once, then build the report.

    A figure is skipped when nothing that it depends on has changed: its notebook, the library's sources, the
    weights, package versions, the thread count, and the files drawn last time. What they were is kept under
    ``reports/runs/``, which git ignores, so a fresh clone always draws.

    Parameters
    ----------
    ids
        Figures as :func:`g3an.catalogue.select` takes them, "4" or "fig04"; none means all.
    dataset
        Only the figures of this data set, a key of :data:`g3an.catalogue.CASTS`.
    weights
        A network of the user's own that draws them instead of the shipped one; see :class:`g3an.gallery.Gallery`.
    out
        Folder for PNG, PDF, GIF and ``manifest.json``; by default that of :func:`figures_folder`: own weights
        never replace the project's figures.
    jobs
        Notebooks that run at the same time, each in a process of its own; 1: here, one after the other.
    say
        Receives one line for each notebook.
    progress
        Called with (notebook, cells done, cells in all).

    Returns
    -------
    Path
        The report's first page.

    Raises
    ------
    G3ANError
        An unknown figure, data set or network, a figure of another data set, a folder that cannot be written, or
        notebooks that failed (the others are drawn all the same).
    """
    from g3an import report
    from g3an.gallery import Gallery

    gallery = Gallery(dataset, weights, ids)  # refuses what it does not know
    chosen = _chosen(gallery, ids, weights)
    root = project_root()
    own = str(Path(weights).resolve()) if Path(weights).suffix else weights
    out = figures_folder(weights, out).resolve()
    if own and out == root / "figures":
        raise G3ANError("figures/ holds the project's own figures; choose another folder for those of your network.")
    make_folder(out)
    # The number of threads decides the last bits; any fixed number will do. Most of the work knows one thread only.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # more threads than processors would keep each other waiting
    wanted = dict.fromkeys(gallery.figures[name].notebook for name in chosen)
    plans: list[_Plan] = []
    failed = []
    for number, stem in enumerate(wanted, 1):
        here = [name for name, figure in gallery.figures.items() if figure.notebook == stem and name in chosen]
        label = f"[{number}/{len(wanted)}] {stem} ({', '.join(here)})"
        try:
            if plan := _planned(stem, label, here, gallery, own, force, out):
                plans.append(plan)
            else:
                say(f"{label}: unchanged")
        except G3ANError as error:
            say(f"{label}: FAILED. {error}")
            failed.append(stem)
    plans.sort(key=lambda plan: -len(plan.changed))  # the longest first, so that none is left over at the end
    for plan, seconds, problem in _run_all(plans, jobs, progress):
        try:
            if problem:
                raise problem
            _record_drawn(plan, gallery, out)
        except G3ANError as error:
            say(f"{plan.label}: FAILED. {error}")
            failed.append(plan.stem)
            continue
        say(f"{plan.label}: drawn in {seconds:.0f} s")
    # Figures drawn elsewhere leave the project's own report alone.
    runs = _figure_runs(root, out)
    page = (root / "reports" if out == root / "figures" else runs) / "site" / "index.html"
    if plans or not page.is_file() or _newest_notebook(root) > page.stat().st_mtime:
        elsewhere = gallery.figures if out != root / "figures" else None
        card: dict[str, Any] = getattr(gallery.networks.get(gallery.dataset), "card", {})
        cards = {Path(weights).stem: card} if own else None
        report.build(page.parent, figures_dir=out, runs_dir=runs, figures=elsewhere, cards=cards)
    if failed:
        rest = f" The others are in {_shown(out)}." if len(failed) < len(wanted) else ""
        raise G3ANError(f"Not drawn: {', '.join(failed)}; the lines above say why.{rest}")
    return page


def figures_folder(weights: str = "", out: str | Path | None = None) -> Path:
    """Where :func:`figures` draws: ``out``, else ``figures-NAME/`` here for own weights, else the project's folder.

    NAME is that of the weights or, where these have the name that every run gives them, of the run's folder.
    """
    if out or not weights:
        return Path(out) if out else project_root() / "figures"
    path = Path(weights)
    name = path.absolute().parent.name if path.stem in ("generator", "best") else path.stem
    return Path(f"figures-{name or path.stem}")


@dataclass(frozen=True)
class _Plan:
    """One notebook that has to run, and the figures that it draws."""

    stem: str
    label: str
    changed: list[str]
    key: str
    notebook: Path
    values: dict[str, Any]
    folder: Path


def _chosen(gallery: Gallery, ids: Sequence[str], weights: str) -> list[str]:
    """The keys of the figures to be drawn, all of which the gallery's networks can draw."""
    from g3an.catalogue import OWN, cast_of, select

    known = gallery.figures
    chosen = gallery.only or list(known)
    if gallery.dataset not in ("", OWN):
        chosen = [name for name in chosen if cast_of(name) == gallery.dataset]
        for word in ids:
            if not set(select([word])) & set(chosen):
                raise G3ANError(f"{word} cannot be drawn: only figures of {gallery.dataset} were asked for.")
    elif missing := [name for name in chosen if name not in known]:
        raise G3ANError(f"{weights} draws figures of its own: {', '.join(known)}, not {', '.join(missing)}.")
    return chosen


def _planned(
    stem: str, label: str, here: list[str], gallery: Gallery, own: str, force: bool, out: Path
) -> _Plan | None:
    """The run that draws what has changed of a notebook's figures ``here``, or None; their last state is forgotten."""
    from g3an.catalogue import OWN

    root = project_root()
    runs, notebook = _figure_runs(root, out), root / "notebooks" / f"{stem}.ipynb"
    key = _figure_key(root, stem, out, own)
    changed = [name for name in here if force or not _unchanged(runs / f"{name}.json", key, out)]
    if not changed:
        return None
    everyone = [name for name, figure in gallery.figures.items() if figure.notebook == stem]
    if "only" not in notebook_parameters(notebook):
        changed = everyone  # it cannot draw a part
    for name in changed:
        (runs / f"{name}.json").unlink(missing_ok=True)
    values: dict[str, Any] = {"save_to": _from_here(out)}
    # The project's own report shows whole notebooks: a run that draws a part is kept apart.
    folder = runs / (f"{stem}-part" if changed != everyone and out == root / "figures" else stem)
    if changed != everyone:
        values["only"] = changed
    if gallery.dataset:
        values |= {"dataset": "" if gallery.dataset == OWN else gallery.dataset, "weights": own}
    return _Plan(stem, label, changed, key, notebook, values, folder)


def _record_drawn(plan: _Plan, gallery: Gallery, out: Path) -> None:
    """Keep what the figures of a notebook that has run depend on, so that they are not drawn again without need."""
    runs, about = _figure_runs(project_root(), out), read_json(plan.folder / "run.json")
    for name in plan.changed:
        outputs, manifest = _outputs(out, gallery.figures[name]), _manifest(out, [name])
        record = {"key": plan.key, "outputs": outputs, "manifest": manifest}
        write_json(runs / f"{name}.json", record | {"drawn": about["started"], "commit": about["commit"]})


def _run_all(
    plans: Sequence[_Plan], jobs: int, progress: Callable[[str, int, int], None] | None
) -> Iterator[tuple[_Plan, float, G3ANError | None]]:
    """Yield each plan when its notebook has ended, with the seconds it took and what went wrong."""
    if min(jobs, len(plans)) < 2:
        for plan in plans:
            tell = partial(progress, plan.stem) if progress else None
            yield plan, *_run_one(plan, tell)
        return
    # Spawned: a fork would share locks of this process's threads. The processes tell of their cells by the queue.
    context = multiprocessing.get_context("spawn")
    told = context.SimpleQueue()
    listener = threading.Thread(target=_listen, args=(told, progress), daemon=True)
    listener.start()
    with ProcessPoolExecutor(min(jobs, len(plans)), context, _begin_worker, (told,)) as pool:
        left, running = list(plans), dict[Future[tuple[float, G3ANError | None]], _Plan]()
        try:
            while left or running:
                # No more than can run at once: the pool would begin what it holds after an interruption, too.
                while left and len(running) < jobs:
                    plan = left.pop(0)
                    running[pool.submit(_run_in_worker, plan)] = plan
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    plan = running.pop(future)
                    try:
                        yield plan, *future.result()
                    except BrokenProcessPool:
                        raise G3ANError(
                            f"The process that drew {plan.stem} was killed, perhaps for want of memory; "
                            "what was drawn before is kept. Draw again with --jobs 1."
                        ) from None
        finally:
            pool.shutdown(cancel_futures=True)
            told.put(None)
            listener.join()


def _run_one(plan: _Plan, progress: Progress | None) -> tuple[float, G3ANError | None]:
    clock, problem = time.monotonic(), None
    try:
        run_notebook(plan.notebook, plan.values, plan.folder, progress=progress)
    except G3ANError as error:
        problem = error
    return time.monotonic() - clock, problem


_told: Any = None
"""In a worker: the queue to the process that asked for the figures."""


def _begin_worker(told: Any) -> None:
    global _told
    _told = told
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # between notebooks there is nothing to interrupt


def _run_in_worker(plan: _Plan) -> tuple[float, G3ANError | None]:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return _run_one(plan, lambda done, total: _told.put((plan.stem, done, total)))
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _listen(told: Any, progress: Callable[[str, int, int], None] | None) -> None:
    while (said := told.get()) is not None:
        if progress:
            progress(*said)


def _newest_notebook(root: Path) -> float:
    return max((path.stat().st_mtime for path in (root / "notebooks").glob("*.ipynb")), default=0.0)


def _figure_runs(root: Path, out: Path) -> Path:
    """Where the executed copies and states of figure runs into ``out`` live."""
    if out == root / "figures":
        return root / "reports" / "runs" / "figures"
    return root / "reports" / "runs" / f"figures-{hashlib.sha256(str(out).encode()).hexdigest()[:8]}"


def _from_here(path: Path) -> str:
    """Relative to the current folder where possible, so that no machine's path stands in an executed notebook."""
    try:
        return os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)


def _figure_key(root: Path, stem: str, out: Path, own: str = "") -> str:
    """One hash over all that a notebook and its figures depend on, the user's ``own`` weights among it."""
    notebook = read_notebook(root / "notebooks" / f"{stem}.ipynb")
    package = Path(__file__).parent
    sources = sorted(path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    parts = {
        "cells": ["".join(cell.source) for cell in notebook.cells],  # prose, too: the report shows it
        "files": {path.relative_to(package).as_posix(): sha256(path) for path in sources},
        "versions": versions(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "out": str(out),
        "weights": check_weights(own),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _outputs(out: Path, figure: Figure) -> dict[str, str]:
    """The files of a figure, with their hashes.

    Raises
    ------
    G3ANError
        Its notebook ran to its end but did not write one of them.
    """
    name, found = figure.told().name, {}
    for suffix in (".png", ".pdf", *((".gif",) if figure.animated else ())):
        path = out / f"{name}{suffix}"
        if not path.is_file():
            raise G3ANError(f"{figure.notebook} ended without writing {path.name} of {figure.id}.")
        found[path.name] = sha256(path)
    return found


def _manifest(out: Path, keys: Sequence[str]) -> dict[str, Any]:
    """What ``manifest.json`` says about some figures."""
    path = out / "manifest.json"
    content = read_json(path) if path.is_file() else {}
    return {key: content.get(key) for key in keys}


def _unchanged(state: Path, key: str, out: Path) -> bool:
    """Whether the last run had the same key, and the files it wrote are there as it wrote them."""
    try:
        last = read_json(state)
        return (
            last["key"] == key
            and all(sha256(out / name) == value for name, value in last["outputs"].items())
            and _manifest(out, list(last["manifest"])) == last["manifest"]
        )
    except (G3ANError, OSError, KeyError, TypeError, AttributeError):
        return False


# --- Committed notebooks ---------------------------------------------------------------------------------------------


def refresh(notebooks: Sequence[str | Path] = (), *, say: Callable[[str], None] = print) -> None:
    """Execute committed notebooks in place at their defaults, leaving nothing in them that changes from run to run.

    The kernel works in the notebook's folder, as in JupyterLab and nbval.

    Raises
    ------
    G3ANError
        A cell failed; that notebook keeps its old content.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for path in [find_notebook(name) for name in notebooks or _stems()]:
        notebook = read_notebook(path)
        clock = time.monotonic()
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            resources={"metadata": {"path": str(path.parent)}},
            coalesce_streams=True,
            record_timing=False,
            extra_arguments=KERNEL_WORDS,
            store_widget_state=False,
        )
        try:
            with _quiet_kernel():
                client.execute()
        except CellExecutionError as error:
            raise G3ANError(f"{path.name} failed and is left as it was: {error.ename}: {error.evalue}") from error
        settle(notebook)
        with atomic_write(path) as temporary:
            nbformat.write(notebook, temporary)
        say(f"{path.name}: executed in {time.monotonic() - clock:.0f} s")


def settle(notebook: Any) -> None:
    """Remove what differs between two runs of the same notebook: times, widget states, the interpreter's version."""
    notebook.metadata = type(notebook.metadata)(
        kernelspec={"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        language_info={"name": "python"},
    )
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
        kept = {key: cell.metadata[key] for key in ("tags", "jupyter", "alt") if key in cell.metadata}
        cell.metadata = type(cell.metadata)(kept)
        if "outputs" in cell:
            cell.outputs = without_bars(cell.outputs)
        for output in cell.get("outputs", []):
            if len(output.get("data", {})) > 1:  # the other form is the text that pages without widgets show
                output.data.pop("application/vnd.jupyter.widget-view+json", None)


_BAR = re.compile(r"[^\n]*\d+%\|[^\n]*\Z")


def without_bars(outputs: Sequence[Any]) -> list[Any]:
    """Outputs but for progress bars, of which a page without a kernel shows the text that they began with: 0 %."""
    return [output for output in outputs if not _BAR.match(output.get("data", {}).get("text/plain", ""))]


if __name__ == "__main__":
    import sys

    try:
        refresh(sys.argv[1:])
    except G3ANError as problem:
        sys.exit(str(problem))
