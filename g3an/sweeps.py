"""Sweeps: many runs of one notebook, in parallel on dask.distributed, each apart from the others.

A file in ``notebooks/params/sweeps/`` says what is varied::

    title: What F-SA is for
    notebook: 12_ablation
    parameters: {dataset: shapes, steps: 100}      # of all runs
    runs:                                          # named runs: what each has of its own
      full: {}
      without F-SA: {attention_after: []}
    grid:                                          # every combination; with runs, of each
      seed: [0, 1, 2]

``runs`` or ``grid`` may be left out. All is checked before anything starts. Each run has a folder with its record, its
executed notebook and its ``log.txt``, so a sweep that was killed goes on with the runs that are not finished.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from g3an import runs as notebook_runs
from g3an.errors import G3ANError
from g3an.files import read_json, write_json
from g3an.parameters import check_pairs, check_parameters, did_you_mean, notebook_parameters, read_notebook

KEYS = ("title", "notebook", "parameters", "runs", "grid")
POLL = 0.2  # seconds between two looks at a running child
PATIENCE = 30.0  # seconds for a scheduler to answer and have a worker
LONGEST_NAME = 80  # characters of a run's folder


@dataclass(frozen=True)
class Run:
    """One run of a sweep.

    Attributes
    ----------
    name
        Unique in the sweep, made of the setting and the grid's values: "full, seed=0".
    folder
        Name of its folder below the sweep's.
    setting
        Its name under ``runs``, empty where the file has none.
    point
        Its values of the grid.
    parameters
        All that the notebook is given, checked.
    """

    name: str
    folder: str
    setting: str
    point: dict[str, Any]
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Sweep:
    """A sweep file, read and checked."""

    name: str
    title: str
    notebook: Path
    runs: list[Run] = field(repr=False)


# --- The file --------------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key given twice, of which the plain loader drops the first without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        own = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        keys = [self.construct_object(key, deep=True) for key in own]
        for key in keys:
            if keys.count(key) > 1:
                raise G3ANError(f"'{key}' is given twice (line {node.start_mark.line + 1} and after).")
        return super().construct_mapping(node, deep)


def find_sweep(name: str | Path) -> Path:
    """A sweep file by its path, from here or from ``notebooks/``, or by its name in ``notebooks/params/sweeps/``.

    Raises
    ------
    G3ANError
        There is none.
    """
    if Path(name).is_file():
        return Path(name)
    sweeps = notebook_runs.project_root() / "notebooks" / "params" / "sweeps"
    for candidate in (notebook_runs.project_root() / "notebooks" / name, sweeps / f"{name}.yaml"):
        if candidate.is_file():
            return candidate
    known = sorted(path.stem for path in sweeps.glob("*.yaml"))
    raise G3ANError(f"There is no sweep file {name}.{did_you_mean(Path(name).stem, known)}")


def read_sweep(file: str | Path, pairs: Sequence[tuple[str, str]] = ()) -> Sweep:
    """Read a sweep file and check everything in it.

    Parameters
    ----------
    file
        As :func:`find_sweep` takes it.
    pairs
        Names and words of a command line, for parameters of all runs; they win over the file's, and a parameter of the
        grid keeps this one value.

    Raises
    ------
    G3ANError
        The file is missing, is no YAML, has an unknown key, no run, or two runs of one name; the notebook is unknown;
        a parameter is unknown, has another type or is given twice; weights cannot be loaded.
    """
    path = find_sweep(file)
    try:
        return _checked(path.stem, yaml.load(path.read_text(encoding="utf-8"), _Loader), pairs)
    except G3ANError as error:
        raise G3ANError(f"{path.name}: {error}") from None
    except OSError as error:
        raise G3ANError(f"The sweep file {path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, ValueError) as error:  # no text, or no such date
        raise G3ANError(f"The sweep file {path} is not YAML ({' '.join(str(error).split())}).") from None


def _checked(name: str, content: Any, pairs: Sequence[tuple[str, str]]) -> Sweep:
    if not isinstance(content, Mapping) or not isinstance(content.get("notebook"), str):
        raise G3ANError("a sweep file holds at least lines such as 'notebook: 12_ablation' and 'grid: {seed: [0, 1]}'.")
    for key in content:
        if key not in KEYS:
            raise G3ANError(f"a sweep has no '{key}'.{did_you_mean(str(key), KEYS)}")
    notebook = notebook_runs.find_notebook(content["notebook"])
    common, settings, grid = (_mapping(content, key) for key in ("parameters", "runs", "grid"))
    given = check_pairs(notebook, pairs)
    for key, empty in (("runs", not settings), ("grid", not grid)):
        if key in content and empty:
            raise G3ANError(f"'{key}' is empty; fill it or leave it out.")
    if not settings and not grid:
        raise G3ANError("there is nothing to run; add 'runs' or 'grid'.")

    grid = {name: [given[name]] if name in given else _axis(notebook, name, values) for name, values in grid.items()}
    own = {setting: check_parameters(notebook, _mapping(settings, setting)) for setting in settings} or {"": {}}
    common = check_parameters(notebook, common)
    for parameter in grid:
        if parameter in common:
            raise G3ANError(f"the parameter '{parameter}' stands under 'parameters' and under 'grid'; keep one.")
    for setting, values in own.items():
        if not isinstance(setting, str):
            raise G3ANError(f"the run name {setting!r} is no text; put it in quotation marks.")
        for parameter in values:
            if parameter in grid:
                raise G3ANError(f"the parameter '{parameter}' stands in run '{setting}' and under 'grid'; keep one.")
            if parameter in given:
                raise G3ANError(f"the parameter '{parameter}' is what run '{setting}' is about, so -p cannot set it.")

    runs: list[Run] = []
    for setting, values in own.items():
        for combination in itertools.product(*grid.values()):
            point = dict(zip(grid, combination, strict=True))
            words = [setting] if setting else []
            title = ", ".join([*words, *(f"{name}={_word(value)}" for name, value in point.items())])
            runs.append(Run(title, _folder_name(title), setting, point, {**common, **given, **values, **point}))
    for number, run in enumerate(runs):
        for other in runs[:number]:
            if run.name == other.name:
                raise G3ANError(f"two runs are named '{run.name}'; give each value once.")
            if run.folder.casefold() == other.folder.casefold():
                raise G3ANError(f"the runs '{other.name}' and '{run.name}' would share a folder; rename one.")
    # A network's file is read once, not for every run that names it.
    default = notebook_parameters(notebook).get("weights")
    for weights in {run.parameters.get("weights", default.default if default else "") for run in runs}:
        notebook_runs.check_weights(weights)
    return Sweep(name, str(content.get("title") or name), notebook, runs)


def _mapping(content: Mapping[Any, Any], key: str) -> dict[Any, Any]:
    value = content.get(key)
    if value is not None and not isinstance(value, Mapping):
        raise G3ANError(f"'{key}' must hold names and values, such as '{key}: {{seed: 0}}', and not {value!r}.")
    return dict(value or {})


def _axis(notebook: Path, name: str, values: Any) -> list[Any]:
    """The values of one parameter of the grid, each in its declared type."""
    if not isinstance(values, list):
        raise G3ANError(f"the grid's '{name}' must be a list of values, such as [{values!r}].")
    if not values:
        raise G3ANError(f"the grid's '{name}' is an empty list, so there is nothing to run.")
    return [check_parameters(notebook, {name: value})[name] for value in values]


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _folder_name(title: str) -> str:
    """A name that every file system takes; what is too long ends in a few digits of its hash."""
    plain = re.sub(r"[^A-Za-z0-9.=-]+", "_", title).strip("_.") or "run"
    if len(plain) <= LONGEST_NAME:
        return plain
    return f"{plain[: LONGEST_NAME - 9]}-{hashlib.sha256(title.encode()).hexdigest()[:8]}"


# --- The runs --------------------------------------------------------------------------------------------------------


def run_sweep(
    sweep: Sweep,
    out_dir: str | Path | None = None,
    *,
    scheduler: str = "",
    workers: int | None = None,
    force: bool = False,
    say: Callable[[str], None] = print,
    progress: Callable[[str, int, int], None] | None = None,
) -> Path:
    """Run what of a sweep is not finished, then write the table and the plot of all of it.

    A run counts as finished if its record says so and neither its parameters nor its notebook's code have changed.
    Others start anew, among them those that failed. What fails is recorded; the other runs go on.

    Parameters
    ----------
    out_dir
        Receives a folder for each run, and ``results.json``, ``results.csv`` and ``results.png``; by default
        ``reports/runs/sweeps/<name>``.
    scheduler
        Address of a dask scheduler, such as ``tcp://host:8786``, whose workers have this package and see the checkout
        and ``out_dir`` under the same paths. Empty: processes on this machine.
    workers
        Runs at a time on this machine, by default one a processor; each has its share of the processors.
    force
        Run what is finished, too.
    say
        Receives one line for each run.
    progress
        Called with (the sweep's name, runs done, runs in all).

    Returns
    -------
    Path
        ``results.json``; see :mod:`g3an.sweep_results`.

    Raises
    ------
    G3ANError
        dask.distributed is missing, the scheduler does not answer, or the folder cannot be written.
    KeyboardInterrupt
        The user stopped the sweep, after that was recorded.
    """
    from g3an import sweep_results

    _require_dask()
    if workers is not None and workers < 1:
        raise G3ANError(f"workers is {workers}; it must be at least 1.")
    out = Path(out_dir or notebook_runs.project_root() / "reports" / "runs" / "sweeps" / sweep.name).resolve()
    code = ["".join(cell.source) for cell in read_notebook(sweep.notebook).cells if cell.cell_type == "code"]
    keys = {run.name: _key(code, run.parameters) for run in sweep.runs}
    waiting = [run for run in sweep.runs if force or not _finished(out / run.folder, keys[run.name])]
    done = len(sweep.runs) - len(waiting)
    if done:
        say(f"{done} of {len(sweep.runs)} runs are finished already.")
    # Whoever holds the newest token owns the folder: an older sweep's run that is still alive somewhere gives up.
    token = uuid.uuid4().hex
    for run in waiting:
        with contextlib.suppress(OSError):  # a folder that cannot be written shows in the next line
            (out / run.folder / "run.json").unlink(missing_ok=True)
        task = {"notebook": str(sweep.notebook), "parameters": run.parameters, "key": keys[run.name], "token": token}
        write_json(out / run.folder / "task.json", task)
    tell = progress or (lambda name, done, total: None)
    tell(sweep.name, done, len(sweep.runs))
    try:
        if waiting:
            with _client(scheduler, workers, len(waiting)) as (client, threads):
                for number, run in enumerate(_executed(client, out, waiting, token, threads), start=done + 1):
                    say(f"[{number}/{len(sweep.runs)}] {run.name}: {_told(out / run.folder)}")
                    tell(sweep.name, number, len(sweep.runs))
    finally:
        for run in waiting:
            record = sweep_results.read_record(out / run.folder)
            if record and record.get("status") == "running":
                write_json(out / run.folder / "run.json", record | {"status": "interrupted", "error": "interrupted"})
        results = sweep_results.write(sweep, out)
    return results


def _require_dask() -> None:
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise G3ANError(
            "Sweeps need dask.distributed: run `pip install 'g3an[cluster]'`, or in the checkout "
            "`pip install -e '.[cluster]' -c constraints.txt`."
        ) from None


def _key(code: Sequence[str], parameters: Mapping[str, Any]) -> str:
    """What a finished run is known again by."""
    return hashlib.sha256(json.dumps([list(code), dict(parameters)], sort_keys=True).encode()).hexdigest()


def _finished(folder: Path, key: str) -> bool:
    try:
        record, task = read_json(folder / "run.json"), read_json(folder / "task.json")
        return bool(record["status"] == "finished" and task["key"] == key)
    except (G3ANError, KeyError, TypeError):
        return False


def _told(folder: Path) -> str:
    """The end of a run in a few words."""
    from g3an.sweep_results import read_record

    record = read_record(folder) or {}
    if record.get("status") == "finished":
        return f"finished in {record['seconds']:.0f} s"
    return f"FAILED. {record.get('error') or 'it left no record'}; see {folder / 'log.txt'}."


@contextlib.contextmanager
def _client(scheduler: str, workers: int | None, runs: int) -> Iterator[tuple[Any, int | None]]:
    """A dask client, with the threads that a run on this machine has; None: as many as its worker."""
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # a run's failure is told by us, in one line
    cores = os.cpu_count() or 1
    processes = min(workers or cores, runs)
    with contextlib.ExitStack() as stack:
        if not scheduler:
            # The runs are children of the workers, so a limit on a worker's memory would not see them.
            local = LocalCluster(
                n_workers=processes, threads_per_worker=1, processes=True, memory_limit=0, dashboard_address=None,
                silence_logs=logging.CRITICAL,
            )  # fmt: skip
            client = stack.enter_context(Client(stack.enter_context(local), timeout=PATIENCE))
        else:
            try:
                client = stack.enter_context(Client(scheduler, timeout=PATIENCE))
                client.wait_for_workers(1, timeout=PATIENCE)
            except TimeoutError:
                raise G3ANError(f"The scheduler {scheduler} has no worker; start one with `dask worker`.") from None
            except (OSError, ValueError) as error:
                problem = " ".join(str(error).split()).rstrip(".")
                raise G3ANError(f"The scheduler {scheduler} does not answer ({problem}).") from None
        threads = None if scheduler else max(1, cores // processes)
        given = os.environ.get("OMP_NUM_THREADS", "")
        yield client, int(given) if given.isdigit() else threads


def _executed(client: Any, out: Path, runs: Sequence[Run], token: str, threads: int | None) -> Iterator[Run]:
    """Yield each run when it has ended, well or not."""
    from distributed import as_completed

    where = os.getcwd()
    # One key a run and sweep, so that a worker's death starts it elsewhere, and no result of before is taken for it.
    futures = {
        client.submit(execute, str(out / run.folder), token, where, threads, key=f"{run.folder}-{token}"): run
        for run in runs
    }
    for future in as_completed(futures):
        run = futures[future]
        if future.status != "finished":
            error = future.exception() if future.status == "error" else None
            _note_failure(out / run.folder, run, _reason(error))
        elif not (out / run.folder / "run.json").is_file():
            _note_failure(out / run.folder, run, future.result() or "its worker does not share this folder")
        yield run


def _reason(error: BaseException | None) -> str:
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        return "each worker that ran it was killed, perhaps for want of memory"
    return f"{type(error).__name__}: {error}" if error else "cancelled"


def _note_failure(folder: Path, run: Run, message: str) -> None:
    """The record of a run that could not leave one itself."""
    write_json(
        folder / "run.json",
        {"status": "failed", "parameters": run.parameters, "seconds": None, "results": {}, "error": message},
    )


def execute(folder: str, token: str, where: str, threads: int | None) -> str:
    """On a worker: run what ``task.json`` in ``folder`` says in a process of its own, as long as it is ours.

    The process has its own kernel, threads, memory and ``log.txt``. It ends with this one (see :func:`main`).

    Returns
    -------
    str
        Why there is no record, where there is none; else empty.
    """
    place = Path(folder)
    try:
        task = read_json(place / "task.json")
    except G3ANError:
        return f"its worker does not see {folder}"
    if (place / "run.json").is_file():
        time.sleep(5 * POLL)  # the process of a worker that was killed, or of an older sweep, is just ending
    variables = dict(os.environ)
    if threads:
        variables["OMP_NUM_THREADS"] = str(threads)
    with open(place / "log.txt", "w", encoding="utf-8") as log:
        child = subprocess.Popen(
            [sys.executable, "-u", "-m", "g3an.sweeps", folder], cwd=where, env=variables, stdin=subprocess.PIPE,
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            while child.poll() is None:
                time.sleep(POLL)
                with contextlib.suppress(G3ANError):
                    if read_json(place / "task.json")["token"] != token:
                        return "another sweep took it over"
        finally:
            child.kill()
            child.wait()
    if not task or (place / "run.json").is_file():
        return ""
    return f"its process ended with code {child.returncode} before it began"


def main(folder: str) -> None:
    """The process of one run: what it prints goes to the log that the worker gave it as its output."""
    task = read_json(Path(folder) / "task.json")
    threading.Thread(target=_end_with_parent, daemon=True).start()
    notebook_runs.run_notebook(
        task["notebook"], task["parameters"], folder, echo=sys.stdout,
        progress=lambda done, total: print(f"-- cell {done} of {total} done", flush=True),
    )  # fmt: skip


def _end_with_parent() -> None:
    """The worker holds the other end of our input: when it dies, however, the input ends, and so do we.

    The kernel watches us in the same way.
    """
    # os.read holds no lock that would keep the interpreter from ending.
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except G3ANError as problem:
        sys.exit(f"Error: {problem}")
