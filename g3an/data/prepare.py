"""``g3an prepare``: check every video once, and store it ready for fast reading beside a checksummed index.

Below the destination lie ``index.json`` and ``clips/``, one ``.npy`` (uint8 ``(T, size, size, 3)``) a video. The index
names for each source its category, subject, SHA-256 and that of its clip, and for each refused source the reason.
``open_dataset("prepared", root=destination)`` reads it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from g3an.data.checks import Unusable, load
from g3an.data.crop import require_detector
from g3an.data.layouts import Found, Refused, ordered_classes, scan, scan_published
from g3an.data.pool import Lost, run_all
from g3an.data.video import FrameFolder, PreparedClip, first_line
from g3an.errors import G3ANError
from g3an.files import atomic_write, read_json, sha256, write_json

FORMAT = "g3an prepared clips, version 1"
INDEX = "index.json"
JOURNAL = "unfinished.jsonl"

Record = dict[str, Any]


@dataclass(frozen=True)
class PrepareReport:
    """What became of the sources.

    Attributes
    ----------
    accepted
        Number of videos that can be used, those from earlier runs included.
    refused
        What cannot, with the reasons.
    unchanged
        How many of all sources were known from an earlier run and not read again.
    changed
        Sources whose content is not what it was in an earlier run. Each was checked anew.
    """

    dest: Path
    accepted: int
    refused: list[Refused]
    unchanged: int
    changed: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 when all was accepted, 3 when something was refused."""
        return 3 if self.refused else 0


@dataclass(frozen=True)
class IndexedClip:
    """A video in the index of a prepared data set."""

    reader: PreparedClip
    source: str
    category: str
    subject: str


@dataclass(frozen=True)
class Index:
    """What :func:`read_index` found, all of it verified."""

    clips: list[IndexedClip]
    classes: tuple[str, ...]
    refused: list[Refused]


def prepare(
    source: str | Path, dest: str | Path, *, length: int = 16, workers: int | None = None, progress: bool = True,
    size: int = 64, timeout: float = 300.0, layout: str = "folder", crop: str = "centre",
) -> PrepareReport:  # fmt: skip
    """Check the videos below ``source`` and store those that can be used in ``dest``.

    A second run reads only what is new or has changed, and goes on where a killed one stopped. Files are written
    atomically; ``dest`` holds either the old index or the new one.

    Parameters
    ----------
    source
        Folder of videos, frame folders and strips, by category (:func:`g3an.data.layouts.scan`).
    dest
        Folder for the result; it may lie below ``source``.
    length
        Frames that a video needs to give a clip.
    workers
        Processes that decode (None: one a core).
    progress
        Whether to show a bar.
    size
        Width and height of the stored frames.
    timeout
        Seconds after which a file is given up.
    layout
        ``folder`` or, for a data set as its owners publish it, one of :data:`g3an.data.layouts.PUBLISHED`.
    crop
        What of the frames is kept: ``centre``, the largest square, or ``face``, the square around the face (see
        :mod:`g3an.data.crop`); videos without a face are then refused.

    Raises
    ------
    G3ANError
        ``source`` is no folder or holds nothing usable; ``dest`` cannot be written.
    """
    source, dest = Path(source), Path(dest)
    if length < 1 or size < 1 or timeout <= 0 or (workers is not None and workers < 1):
        raise G3ANError("length, size, workers and timeout of g3an prepare are larger than 0.")
    if crop not in ("centre", "face"):
        raise G3ANError(f"crop is {crop!r}; it must be 'centre' or 'face'.")
    if crop == "face":
        require_detector()
    found, refused = scan(source, skip=dest) if layout == "folder" else scan_published(layout, source, skip=dest)
    if source.resolve() == dest.resolve():
        raise G3ANError(f"{dest} is the source itself; choose another folder for the prepared clips.")
    if not found and not refused:
        raise G3ANError(f"{source} holds no videos.")
    settings = {"format": FORMAT, "size": size, "length": length, "crop": crop}
    known = _known(dest, settings)
    try:
        (dest / "clips").mkdir(parents=True, exist_ok=True)
        journal = open(dest / JOURNAL, "a", encoding="utf-8")
    except OSError as error:
        raise G3ANError(f"Cannot write {dest}: {error.strerror or error}. Choose another folder.") from error
    records: dict[str, Record] = {}
    unchanged, changed = 0, []
    tasks = [
        {
            "path": str(video.path.absolute()), "source": video.relative, "kind": video.kind,
            "dest": str(dest.absolute()), "size": size, "length": length, "timeout": timeout, "crop": crop,
            "known": known.get(video.relative),
        }
        for video in found
    ]  # fmt: skip
    from tqdm.auto import tqdm

    bar = tqdm(total=len(tasks), desc="prepare", unit="file", disable=not progress)
    # ffmpeg has its own clock, which comes first; the pool's is for a decoder that hangs.
    answers = run_all("g3an.data.prepare:prepare_one", tasks, workers or os.cpu_count() or 1, 2 * timeout)
    with journal, bar:
        try:
            journal.write("\n")  # a run that was killed may have left half a line
            _note(journal, settings)
            for number, answer in answers:
                name = found[number].relative
                if isinstance(answer, Lost):
                    # Not for good: the next run tries such a file again.
                    answer = {"source": name, "reason": str(answer), "transient": True}
                if "fatal" in answer:
                    raise G3ANError(answer["fatal"])
                earlier = known.get(name, {}).get("source_sha256")
                unchanged += bool(answer.pop("unchanged", False))
                if earlier and answer.get("source_sha256") not in (None, earlier):
                    changed.append(name)
                records[name] = answer
                _note(journal, answer)
                bar.update()
                bar.set_postfix(refused=sum("reason" in record for record in records.values()))
        except OSError as error:
            raise G3ANError(
                f"Cannot write {dest}: {error.strerror or error}. Free space, then run it again."
            ) from error
        finally:
            answers.close()  # type: ignore[attr-defined]

    clips = [_with_labels(video, records[video.relative]) for video in found if "clip" in records[video.relative]]
    # Sources that could not even be read as files come first, then damaged ones, all by name.
    bad = [{"source": entry.source, "reason": entry.reason} for entry in refused]
    bad += [record for name, record in sorted(records.items()) if "reason" in record]
    classes = ordered_classes(layout, [clip["category"] for clip in clips])
    content = {**settings, "classes": list(classes), "clips": clips, "refused": bad}
    write_json(dest / INDEX, {**content, "sha256": _checksum(content)})
    (dest / JOURNAL).unlink(missing_ok=True)
    _remove_stale(dest, known, {clip["clip"] for clip in clips})
    report = PrepareReport(
        dest, len(clips), [Refused(entry["source"], entry["reason"]) for entry in bad], unchanged, sorted(changed)
    )
    if not clips:
        raise G3ANError(
            f"Nothing in {source} can be used: {len(bad)} refused, among them {bad[0]['source']} "
            f"({bad[0]['reason']}); {dest / INDEX} lists all."
        )
    return report


def prepare_one(task: dict[str, Any]) -> Record:
    """Check and store one source; runs in a worker process and answers in JSON's types."""
    path, known = Path(task["path"]), task["known"] or {}
    record: Record = {"source": task["source"]}
    try:
        before = _stamp(path)
        record["source_sha256"] = content_hash(task["kind"], path)
        if known.get("source_sha256") == record["source_sha256"] and _still_good(known, task):
            return {**known, "unchanged": True}
        frames = load(task["kind"], path, task["size"], task["length"], task["timeout"], task["crop"])
        if _stamp(path) != before:
            raise Unusable("it changed while it was read")
    except Unusable as error:
        return {**record, "reason": str(error)}
    except G3ANError as error:
        return {"fatal": str(error)}
    except MemoryError:
        return {**record, "reason": "it takes too much memory", "transient": True}
    except OSError as error:
        return {**record, "reason": f"unreadable ({error.strerror or error})", "transient": True}
    except Exception as error:  # whatever a damaged file makes a library raise, the others go on
        return {**record, "reason": f"damaged ({first_line(error)})"}
    name = f"clips/{task['source']}.npy"
    clip = Path(task["dest"]) / name
    try:
        with atomic_write(clip) as temporary:
            np.save(temporary, frames)
        return {**record, "frames": len(frames), "clip": name, "clip_sha256": sha256(clip)}
    except (G3ANError, OSError) as error:
        # A full disk is no fault of this file.
        return {"fatal": str(error)}


def content_hash(kind: str, path: Path) -> str:
    """SHA-256 of a source: of the file, or for a frame folder of its images' names and contents in order."""
    if kind != "frames":
        return sha256(path)
    digest = hashlib.sha256()
    for image in FrameFolder(path).files():
        digest.update(f"{image.name}\0{sha256(image)}\n".encode())
    return digest.hexdigest()


def read_index(root: str | Path) -> Index:
    """Read and verify the index of a prepared data set and the checksum of each clip it names.

    Raises
    ------
    G3ANError
        There is no index, or it, or a clip, is not as it was written.
    """
    root = Path(root)
    if not (root / INDEX).is_file():
        raise G3ANError(f"{root} holds no prepared clips ({INDEX} is missing); run `g3an prepare SOURCE {root}`.")
    content = read_json(root / INDEX)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise G3ANError(f"{root / INDEX} is not an index of {FORMAT}; run `g3an prepare` again.")
    stated = content.pop("sha256", None)
    if stated != _checksum(content):
        raise G3ANError(f"{root / INDEX} was changed after it was written; run `g3an prepare` again.")
    clips: Sequence[Record] = content["clips"]

    def problem(clip: Record) -> str | None:
        try:
            return None if sha256(root / clip["clip"]) == clip["clip_sha256"] else "was changed after it was written"
        except FileNotFoundError:
            return "is missing"
        except OSError as error:
            return f"cannot be read ({error.strerror})"

    with ThreadPoolExecutor() as threads:
        for clip, wrong in zip(clips, threads.map(problem, clips), strict=True):
            if wrong:
                raise G3ANError(f"The prepared clip {root / clip['clip']} {wrong}; run `g3an prepare` again.")
    return Index(
        [IndexedClip(PreparedClip(root / c["clip"]), c["source"], c["category"], c["subject"]) for c in clips],
        tuple(content["classes"]),
        [Refused(entry["source"], entry["reason"]) for entry in content["refused"]],
    )


def _known(dest: Path, settings: Record) -> dict[str, Record]:
    """Records of earlier runs with the same settings, by source: of the last index, and of a run that was killed."""
    known: dict[str, Record] = {}
    with suppress(G3ANError, KeyError, TypeError, AttributeError):
        content = read_json(dest / INDEX)
        stated = content.pop("sha256")
        if stated == _checksum(content) and all(content[key] == value for key, value in settings.items()):
            known = {record["source"]: record for record in [*content["clips"], *content["refused"]]}
    same = False
    with suppress(OSError, UnicodeDecodeError):
        for line in (dest / JOURNAL).read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue  # the line that the run died over
            if "format" in record:
                same = record == settings
            elif same:
                known[record["source"]] = record
    return known


def _still_good(known: Record, task: dict[str, Any]) -> bool:
    """Whether what an earlier run found out about an unchanged source still holds."""
    if "reason" in known:
        return not known.get("transient")
    clip = Path(task["dest"]) / known["clip"]
    return clip.is_file() and sha256(clip) == known["clip_sha256"]


def _with_labels(video: Found, record: Record) -> Record:
    return {**record, "kind": video.kind, "category": video.category, "subject": video.subject}


def _note(journal: Any, record: Record) -> None:
    journal.write(json.dumps(record) + "\n")
    journal.flush()


def _checksum(content: Record) -> str:
    """SHA-256 of the index's content in a fixed spelling."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _remove_stale(dest: Path, known: dict[str, Record], used: set[str]) -> None:
    """Remove clips that earlier runs wrote and that the index no longer names."""
    for record in known.values():
        if "clip" in record and record["clip"] not in used:
            (dest / record["clip"]).unlink(missing_ok=True)
