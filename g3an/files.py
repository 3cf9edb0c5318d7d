"""Writing files so that a reader, or a run that died, never sees half of one."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from g3an.errors import G3ANError


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` that replaces it when the block ends well.

    If the block raises, the temporary file is removed and ``path`` keeps its old content.

    Raises
    ------
    G3ANError
        The folder cannot be written or the disk is full, or the block failed over another file, which is then named;
        ``path`` is untouched.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix is kept because encoders choose the format by it.
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb+") as stream:
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        problem = error.strerror or error
        named = {str(name) for name in (error.filename, error.filename2) if name is not None}
        if temporary is not None and named and not named & {str(temporary), str(path)}:  # what the block reads, say
            raise G3ANError(f"Cannot write {path}, for {sorted(named)[0]} failed: {problem}.") from error
        raise G3ANError(f"Cannot write {path}: {problem}. Free space or choose another folder.") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def make_folder(path: str | Path) -> None:
    """Create a folder, and its parents, where there is none.

    Raises
    ------
    G3ANError
        It cannot be created or written.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise G3ANError(f"Cannot write to {path}: {error.strerror or error}. Choose another folder.") from error


def _umask() -> int:
    """The process's umask, which mkstemp ignores."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: str | Path, content: Any) -> None:
    """Write ``content`` as indented JSON with a final newline, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def rounded(value: Any, digits: int = 3) -> Any:
    """A number, or all of a dictionary's or list's, rounded for JSON; beyond that machines differ. No number: null."""
    if isinstance(value, dict):
        return {name: rounded(part, digits) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part, digits) for part in value]
    if isinstance(value, float):
        return round(value, digits) if math.isfinite(value) else None
    return value


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    G3ANError
        The file is missing or is not JSON.
    """
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise G3ANError(f"{path} does not exist.") from None
    except (ValueError, OSError) as error:
        raise G3ANError(f"{path} cannot be read as JSON ({error}).") from error


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
