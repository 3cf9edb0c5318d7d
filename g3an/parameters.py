"""The parameters that a notebook declares, and the strict check that papermill does not make.

papermill accepts unknown names silently and any value for a known one, so all is checked here before a run starts.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import io
import tokenize
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from g3an.errors import G3ANError


@dataclass(frozen=True)
class Parameter:
    """One line ``name: type = default  # help`` of a notebook's parameters cell."""

    name: str
    annotation: str
    default: Any
    help: str = ""


def notebook_parameters(notebook: str | Path) -> dict[str, Parameter]:
    """The parameters that a notebook declares in its cell tagged ``parameters``, by name.

    The cell is read, not run: every statement assigns a literal to a name, with a type annotation or none (then the
    default's own type counts). A notebook without such a cell has no parameters.

    Raises
    ------
    G3ANError
        The file is no notebook, or the cell holds anything but such assignments.
    """
    notebook = Path(notebook)
    cells = [cell for cell in read_notebook(notebook).cells if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) > 1:
        raise G3ANError(f"{notebook.name} has {len(cells)} cells tagged 'parameters'; keep one.")
    if not cells:
        return {}
    source = "".join(cells[0].source)
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise G3ANError(f"The parameters cell of {notebook.name} is not Python: {error.msg}.") from error
    comments = _comments(source)
    found: dict[str, Parameter] = {}
    for statement in statements:
        try:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
                name, annotation = statement.target.id, ast.unparse(statement.annotation)
                default = ast.literal_eval(statement.value)
            elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                name, default = statement.targets[0].id, ast.literal_eval(statement.value)
                annotation = "None" if default is None else type(default).__name__
            else:
                raise ValueError
        except ValueError:
            raise G3ANError(
                f"The parameters cell of {notebook.name} may hold only lines such as 'seed: int = 0  # help', "
                f"not '{ast.unparse(statement)}'."
            ) from None
        found[name] = Parameter(name, annotation, default, comments.get(statement.end_lineno or 0, ""))
    return found


def _comments(source: str) -> dict[int, str]:
    """Line number -> comment at its end."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("# ").strip() for token in tokens if token.type == tokenize.COMMENT}


def check_parameters(notebook: str | Path, given: Mapping[str, Any], *, text: bool = False) -> dict[str, Any]:
    """Hold ``given`` against what the notebook declares, and return it with every value in its declared type.

    Parameters
    ----------
    text
        The values are words from a command line: "3" is then fit for an ``int`` and "[1, 2]" for a list. Otherwise
        they come from YAML or Python and must have the type already (an integer is fit for a float).

    Raises
    ------
    G3ANError
        A name that the notebook does not declare, or a value that does not have the declared type.
    """
    notebook = Path(notebook)
    declared = notebook_parameters(notebook)
    result = {}
    for name, value in given.items():
        if name not in declared:
            raise G3ANError(
                f"{notebook.name} has no parameter '{name}'.{did_you_mean(str(name), declared)}"
                if declared
                else f"{notebook.name} has no parameters, so '{name}' cannot be set."
            )
        parameter = declared[name]
        try:
            result[name] = _convert(value, ast.parse(parameter.annotation, mode="eval").body, text)
        except (TypeError, ValueError):
            raise G3ANError(
                f"Parameter '{name}' of {notebook.name} must be {parameter.annotation}, such as "
                f"{parameter.default!r}, and not {value!r}."
            ) from None
    return result


def from_word(word: str, annotation: str) -> Any:
    """A word of a command line in the type that an annotation names; ValueError where it fits none."""
    return _convert_text(word, ast.parse(annotation, mode="eval").body)


def _convert(value: Any, kind: ast.expr, text: bool) -> Any:
    """``value`` in the type that the annotation ``kind`` names; ValueError where it has another."""
    if text and isinstance(value, str):
        return _convert_text(value, kind)
    match kind:
        case ast.Constant(value=None):
            if value is None:
                return None
        case ast.BinOp(op=ast.BitOr()):
            for side in (kind.left, kind.right):
                with contextlib.suppress(ValueError):
                    return _convert(value, side, text)
        case ast.Name(id="bool"):
            if isinstance(value, bool):
                return value
        case ast.Name(id="int"):
            if isinstance(value, int) and not isinstance(value, bool):
                return value
        case ast.Name(id="float"):
            if isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
        case ast.Name(id="str"):
            if isinstance(value, str):
                return value
        case ast.Name(id="list" | "tuple"):
            if isinstance(value, list | tuple):
                return list(value) if kind.id == "list" else tuple(value)
        case ast.Name(id="dict"):
            if isinstance(value, dict):
                return dict(value)
        case ast.Subscript(value=ast.Name(id="list"), slice=inner):
            if isinstance(value, list | tuple):
                return [_convert(item, inner, False) for item in value]
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=inner)):
            if isinstance(value, list | tuple):
                if len(inner) == 2 and isinstance(inner[1], ast.Constant) and inner[1].value is Ellipsis:
                    return tuple(_convert(item, inner[0], False) for item in value)
                return tuple(_convert(item, each, False) for item, each in zip(value, inner, strict=True))
        case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[key, inner])):
            if isinstance(value, dict):
                return {_convert(k, key, False): _convert(v, inner, False) for k, v in value.items()}
        case _:
            raise G3ANError(f"The parameter type '{ast.unparse(kind)}' is not one that a run can check.")
    raise ValueError


def _convert_text(word: str, kind: ast.expr) -> Any:
    """One word of a command line. Where text is allowed it is taken as it stands, unless another type fits."""
    import yaml

    try:
        parsed = yaml.safe_load(word)
    except yaml.YAMLError:
        parsed = word
    if isinstance(parsed, str):
        # YAML 1.1 takes 1e-3, which people write, for text.
        with contextlib.suppress(ValueError):
            parsed = float(parsed)
    takes_text = False
    for option in _options(kind):
        if isinstance(option, ast.Name) and option.id == "str":
            takes_text = True
            continue
        with contextlib.suppress(ValueError):
            return _convert(parsed, option, False)
    if takes_text:
        return word
    raise ValueError


def _options(kind: ast.expr) -> Iterator[ast.expr]:
    """The members of a union such as ``int | None``."""
    if isinstance(kind, ast.BinOp):
        yield from _options(kind.left)
        yield from _options(kind.right)
    else:
        yield kind


def read_parameters(notebook: str | Path, pairs: Sequence[tuple[str, str]], file: str | Path | None) -> dict[str, Any]:
    """The parameters of a command line: a YAML file first, then ``-p name value`` pairs, which win.

    Raises
    ------
    G3ANError
        The file is missing or is no YAML mapping; a name is given twice, is unknown, or has a value of another type.
    """
    import yaml

    parameters: dict[str, Any] = {}
    if file is not None:
        try:
            content = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
        except OSError as error:
            raise G3ANError(f"The parameter file {file} cannot be read: {error.strerror}.") from None
        except (yaml.YAMLError, ValueError) as error:  # no text, or no such date
            raise G3ANError(f"The parameter file {file} is not YAML ({' '.join(str(error).split())}).") from None
        if content is not None and not isinstance(content, dict):
            kind = type(content).__name__
            raise G3ANError(f"The parameter file {file} must hold lines such as 'seed: 0', not a {kind}.")
        parameters.update(check_parameters(notebook, content or {}))
    parameters.update(check_pairs(notebook, pairs))
    return parameters


def check_pairs(notebook: str | Path, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The ``-p name value`` pairs of a command line, as :func:`check_parameters` gives them.

    Raises
    ------
    G3ANError
        A name is given twice, is unknown, or has a value of another type.
    """
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise G3ANError(f"Parameter '{name}' is given twice on the command line.")
    return check_parameters(notebook, dict(pairs), text=True)


def read_notebook(path: str | Path) -> Any:
    """A notebook as an ``nbformat`` node, format 4.

    Raises
    ------
    G3ANError
        The file is missing or no notebook.
    """
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except OSError as error:
        raise G3ANError(f"The notebook {path} cannot be read: {error.strerror}.") from None
    except Exception as error:  # nbformat raises a dozen types for damaged files
        raise G3ANError(f"{path} is not a Jupyter notebook ({type(error).__name__}).") from error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Close names first, else all of them, as the end of a message."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f" Did you mean {' or '.join(repr(match) for match in close)}?"
    return f" Known: {', '.join(known)}." if known else ""
