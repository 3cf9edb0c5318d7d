"""What a sweep found: ``results.json`` and ``results.csv`` with a row for each run, a table on screen, and a plot.

Runs that differ in ``seed`` only are repetitions of one another: the table gives their mean and standard deviation, the
plot shows each and their mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from g3an.errors import G3ANError
from g3an.files import atomic_write, read_json, write_json

if TYPE_CHECKING:
    import pandas as pd

    from g3an.sweeps import Sweep

FIXED = ("name", "setting", "status", "seconds", "error")
"""Columns that every row has; further ones are ``p.<parameter>`` of the grid and the recorded numbers."""


def read_record(folder: Path) -> dict[str, Any] | None:
    """The ``run.json`` of a run's folder; None where there is none that can be read."""
    try:
        record = read_json(folder / "run.json")
    except G3ANError:
        return None
    return record if isinstance(record, dict) else None


def write(sweep: Sweep, out: Path) -> Path:
    """Write ``results.json``, ``results.csv`` and, once there are numbers, ``results.png`` for a sweep's folder.

    Returns
    -------
    Path
        ``results.json``: title, notebook, and ``runs``, a row each with name, setting, the grid's values (``point``),
        parameters, status (finished, failed, interrupted, waiting), seconds, error, commit and recorded numbers.

    Raises
    ------
    G3ANError
        A file cannot be written.
    """
    rows = []
    for run in sweep.runs:
        record = read_record(out / run.folder) or {"status": "waiting"}
        rows.append(
            {
                "name": run.name,
                "folder": run.folder,
                "setting": run.setting,
                "point": run.point,
                "parameters": run.parameters,
                **{key: record.get(key) for key in ("status", "seconds", "error", "commit")},
                "results": record.get("results") or {},
            }
        )
    path = out / "results.json"
    write_json(path, {"title": sweep.title, "notebook": sweep.notebook.name, "runs": rows})
    with atomic_write(out / "results.csv") as temporary:
        frame(rows).to_csv(temporary, index=False)
    figure = plot(rows, sweep.title)
    if figure is not None:
        with atomic_write(out / "results.png") as temporary:
            figure.savefig(temporary, dpi=150)
    return path


def read(path: str | Path) -> dict[str, Any]:
    """A sweep's ``results.json``.

    Raises
    ------
    G3ANError
        The file is missing or holds something else.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("runs"), list):
        raise G3ANError(f"{path} holds no results of a sweep.")
    return content


def frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of ``results.json`` as a table: :data:`FIXED` columns, ``p.<parameter>`` and each recorded number."""
    import pandas as pd

    flat = [
        {key: row[key] for key in FIXED}
        | {f"p.{name}": _text(value) for name, value in row["point"].items()}
        | row["results"]
        for row in rows
    ]
    return pd.DataFrame(flat)


def _text(value: Any) -> Any:
    """A value of the grid as a table can hold and group it."""
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)


def _numbers(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the recorded numbers, in the order in which they were first seen."""
    return list(dict.fromkeys(name for row in rows for name in row["results"]))


def _label(row: Mapping[str, Any]) -> str:
    """What repetitions share: the setting and the grid's values but the seed."""
    words = [row["setting"]] if row["setting"] else []
    words += [f"{name}={_text(value)}" for name, value in row["point"].items() if name != "seed"]
    return ", ".join(words) or "all runs"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A line for each setting: finished runs of all, and mean ± standard deviation of each recorded number.

    The deviation is that of the sample (n - 1), and is left out where there is one run.
    """
    import pandas as pd

    numbers = _numbers(rows)
    lines = [["", "runs", *numbers]]
    labels = dict.fromkeys(_label(row) for row in rows)
    for label in labels:
        same = [row for row in rows if _label(row) == label]
        finished = [row for row in same if row["status"] == "finished"]
        cells = [label, f"{len(finished)}/{len(same)}"]
        for name in numbers:
            values = pd.to_numeric(pd.Series([row["results"].get(name) for row in finished], dtype=object)).dropna()
            spread = f" ± {values.std():.2g}" if len(values) > 1 else ""
            cells.append(f"{values.mean():.4g}{spread}" if len(values) else "-")
        lines.append(cells)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([cells[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))])
        for cells in lines
    )


def remarks(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a reader of the table must know: runs that did not finish, and code that changed between runs."""
    found = []
    for status in ("failed", "interrupted", "waiting"):
        names = [row["name"] for row in rows if row["status"] == status]
        if names:
            found.append(f"{len(names)} of {len(rows)} runs {status}: {'; '.join(names)}.")
    commits = {row["commit"] for row in rows if row["status"] == "finished"}
    if len(commits) > 1:
        found.append("The finished runs are of several commits; run the sweep with --force to compare one.")
    return found


def plot(rows: Sequence[Mapping[str, Any]], title: str) -> Any:
    """A panel for each recorded number: lines over a numeric parameter of the grid, else a line of points each setting.

    Returns
    -------
    matplotlib.figure.Figure or None
        None while no run has recorded a number.
    """
    import seaborn as sns
    from matplotlib.figure import Figure

    finished = [row for row in rows if row["status"] == "finished"]
    numbers = _numbers(finished)
    if not numbers:
        return None
    data = frame(finished)
    axis = _numeric_axis(finished)
    data["group"] = [_group(row, axis) for row in finished]
    groups = list(dict.fromkeys(data["group"]))
    height = 3.2 if axis else 0.8 + 0.34 * len(groups)
    with sns.axes_style("whitegrid"):
        # No pyplot: nothing to close, and no window's backend is asked for.
        figure = Figure(figsize=(3.4 * len(numbers) + 1.6, height + 0.5), layout="constrained")
        panels = figure.subplots(1, len(numbers), squeeze=False)[0]
        for number, panel in zip(numbers, panels, strict=True):
            data[number] = data[number].astype(float)
            if axis:
                sns.lineplot(
                    data, x=f"p.{axis}", y=number, hue="group", hue_order=groups, style="group", markers=True,
                    dashes=False, errorbar="sd", ax=panel, legend=len(groups) > 1 and panel is panels[-1],
                )  # fmt: skip
                panel.set(xlabel=axis, ylabel="", title=number.replace("_", " "))
                if panel.get_legend():
                    sns.move_legend(panel, "upper left", bbox_to_anchor=(1, 1), title=None)
                continue
            sns.stripplot(data, x=number, y="group", order=groups, color="0.6", size=4, jitter=False, ax=panel)
            means = data.groupby("group")[number].mean().reindex(groups)
            panel.plot(means, range(len(groups)), "D", color="C0", markersize=5)
            panel.set(xlabel=number.replace("_", " "), ylabel="")
            panel.grid(axis="x")
            if panel is not panels[0]:
                panel.set_yticklabels([])
        seeds = {row["point"].get("seed") for row in finished}
        grey = " (grey: each run; blue: mean)" if not axis and len(seeds) > 1 else ""
        figure.suptitle(f"{title}{grey}", fontsize="medium")
    return figure


def _numeric_axis(rows: Sequence[Mapping[str, Any]]) -> str:
    """The first parameter of the grid, other than the seed, that took several values, all of them numbers."""
    for name in rows[0]["point"]:
        values = {_text(row["point"][name]) for row in rows}
        numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        if name != "seed" and numeric and len(values) > 1:
            return str(name)
    return ""


def _group(row: Mapping[str, Any], axis: str) -> str:
    """What makes a line of the plot: all but the seed and the axis."""
    point = {name: value for name, value in row["point"].items() if name != axis}
    return _label({"setting": row["setting"], "point": point})
