"""Numbers that a notebook's run records, and that sweeps tabulate and plot.

A notebook says ``record(distance=0.31, parameters=1_200_000)``. The numbers become an output of the executed notebook,
under a MIME type of their own, so they travel with the code that made them; ``run_notebook`` copies them into its
``run.json``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from g3an.errors import G3ANError
from g3an.parameters import read_notebook

MIME = "application/vnd.g3an.results+json"
DIGITS = 6
"""Significant digits that are kept: the last ones of a float change with the number of threads."""


def record(**numbers: Any) -> dict[str, float | int | bool | None]:
    """Record numbers of this run, and show them; a name recorded again replaces the earlier number.

    Parameters
    ----------
    numbers
        Integers, floats, truth values, or tensors and arrays that hold one number. What is not finite is kept as None.

    Returns
    -------
    dict
        The numbers as they are kept, floats with :data:`DIGITS` significant digits.

    Raises
    ------
    G3ANError
        Nothing was given, or a value is no single number.
    """
    if not numbers:
        raise G3ANError("record() needs numbers, such as record(distance=0.31).")
    kept = {name: _number(name, value) for name, value in numbers.items()}
    text = "\n".join(f"{name}: {'not finite' if value is None else value}" for name, value in kept.items())
    from IPython import get_ipython

    if get_ipython() is None:  # in a script
        print(text)
    else:
        from IPython.display import display

        display({MIME: kept, "text/plain": text}, raw=True)
    return kept


def _number(name: str, value: Any) -> float | int | bool | None:
    if hasattr(value, "item"):
        try:
            value = value.item()  # torch, NumPy
        except (RuntimeError, ValueError):
            raise G3ANError(f"The result '{name}' holds several numbers; record one.") from None
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    raise G3ANError(f"The result '{name}' is {value!r}; only numbers can be recorded.")


def recorded(notebook: str | Path) -> dict[str, Any]:
    """What the cells of an executed notebook recorded, by name; empty where they recorded nothing.

    Raises
    ------
    G3ANError
        The file is no notebook.
    """
    found: dict[str, Any] = {}
    for cell in read_notebook(notebook).cells:
        for output in cell.get("outputs", []):
            content = output.get("data", {}).get(MIME)
            if isinstance(content, Mapping):
                found.update(content)
    return found
