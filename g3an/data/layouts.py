"""Where videos lie in a folder: which are there, of which category, of which person, and on which side of a split."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from g3an.data.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES, image_size, natural_key
from g3an.errors import G3ANError

WEIZMANN_ACTIONS = ("wave1", "wave2", "jack", "bend")
"""The four actions of the release that the paper used, in the order in which they number the categories."""

EXPRESSIONS = ("sad", "anger", "surprise", "disgust", "happy", "fear")
"""The categories of MUG, in the order of the appendix (Figures 4 and 5)."""

Split = str | Sequence[str]
TEST_SHARE = 0.2

# Files that systems leave in folders; nobody takes them for videos.
_CLUTTER = frozenset({"thumbs.db", "desktop.ini"})

# How published data sets name a person. Each pattern's first group is the subject.
_SUBJECT_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(\w+?)_(?:bend|jack|jump|pjump|run|side|skip|walk|wave)\d*",  # Weizmann: daria_wave1
        r"(\d+)_(?:deliberate|spontaneous)_smile_\d+",  # UvA-NEMO: 001_deliberate_smile_1
        r"(v_\w+_g\d+)_c\d+",  # UCF101: v_Archery_g01_c02, cut from one recording
    )
)
_MARK = r"(?:mirror(?:ed)?|h?flip(?:ped)?)"
_MIRROR_MARK = re.compile(rf"[ _.-]+{_MARK}$|^{_MARK}[ _.-]+", re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """A video somewhere under a root.

    ``kind`` is ``video``, ``frames`` or ``strip`` (see ``READERS``); ``relative`` is the path below the root in
    POSIX form, the name under which an index knows it.
    """

    path: Path
    relative: str
    kind: str
    category: str
    subject: str


@dataclass(frozen=True)
class Refused:
    """A file or folder that is not used, and why."""

    source: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


@dataclass(frozen=True)
class Published:
    """How a data set lies in its owners' release.

    ``pattern`` is for what :func:`scan` found, relative to the root, which may hold further folders above it; its
    groups are ``subject`` and, where there is more than one, ``category``.
    """

    title: str
    form: str
    kind: str
    pattern: re.Pattern[str]
    category: str = ""
    spelled: tuple[tuple[str, str], ...] = ()
    known: tuple[str, ...] = ()


PUBLISHED = {
    "mug": Published(
        "MUG", "<subject>/<expression>/takeNNN/img_NNNN.jpg", "frames",
        re.compile(r"(?:.+/)?(?P<subject>[^/]+)/(?P<category>[^/]+)/take\d+", re.IGNORECASE),
        spelled=(("sadness", "sad"), ("happiness", "happy")), known=EXPRESSIONS,
    ),
    "uva-nemo": Published(
        "UvA-NEMO", "NNN_deliberate_smile_N.mp4 and NNN_spontaneous_smile_N.mp4", "video",
        re.compile(r"(?:.+/)?(?P<subject>\d+)_(?:deliberate|spontaneous)_smile_\d+\.\w+", re.IGNORECASE),
        category="smile",
    ),
    "ucf101": Published(
        "UCF101", "v_<Class>_gNN_cNN.avi", "video",
        re.compile(r"(?:.+/)?(?P<subject>v_(?P<category>\w+?)_g\d+)_c\d+\.avi", re.IGNORECASE),
    ),
}  # fmt: skip
"""The licensed data sets of the paper, by the name that :func:`g3an.data.open_dataset` takes."""


def scan_published(name: str, root: str | Path, skip: Path | None = None) -> tuple[list[Found], list[Refused]]:
    """As :func:`scan`, for a data set in its published layout; what does not belong to it is refused.

    Raises
    ------
    G3ANError
        An unknown name, or a folder that holds nothing in that layout: what was expected, and what was found.
    """
    if name not in PUBLISHED:
        raise G3ANError(f"There is no published layout {name!r}; there are {', '.join(PUBLISHED)}.")
    layout = PUBLISHED[name]
    every, refused = scan(root, skip)
    found: list[Found] = []
    for video in every:
        match = layout.pattern.fullmatch(video.relative) if video.kind == layout.kind else None
        if match is None:
            refused.append(Refused(video.relative, f"not of {layout.title}'s form {layout.form}"))
            continue
        label = layout.category or match["category"]
        label = dict(layout.spelled).get(label.lower(), label)
        if layout.known and label.lower() not in layout.known:
            refused.append(Refused(video.relative, f"{label!r} is none of {', '.join(layout.known)}"))
            continue
        label = label.lower() if layout.known else label
        found.append(Found(video.path, video.relative, video.kind, label, match["subject"]))
    if not found:
        held = [video.relative for video in every] or [str(entry) for entry in refused] or ["nothing"]
        raise G3ANError(
            f"{root} does not hold {layout.title} as it is published, {layout.form}; it holds {_named(held[:3])}. "
            "Give the folder above those, or use the layout 'folder' for videos in folders by category."
        )
    return found, refused


def scan(root: str | Path, skip: Path | None = None) -> tuple[list[Found], list[Refused]]:
    """Find the videos under ``root``, sorted by path.

    The first folder below the root is the category; what lies in the root itself has the root's name as category.
    With one folder more, that folder is the subject (``smile/anna/take1.mp4``), else the file's name tells it
    (:func:`subject_of`). Images of a folder are strips when one of them is at least three times as wide as high,
    and the frames of one video otherwise. Hidden files are passed over.

    Parameters
    ----------
    skip
        A folder that is not entered (where prepared clips go, should that be below the root).

    Raises
    ------
    G3ANError
        ``root`` is no folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise G3ANError(f"{root} is not a folder; give the folder that holds the videos.")
    found: list[Found] = []
    refused: list[Refused] = []
    _walk(root, root, skip.resolve() if skip else None, {}, found, refused)
    return found, refused


def _walk(
    root: Path, folder: Path, skip: Path | None, seen: dict[str, str], found: list[Found], refused: list[Refused]
) -> None:
    """Add what lies in ``folder`` and below. ``seen`` maps the real path of each folder to the name it came under."""
    relative = folder.relative_to(root).as_posix()
    try:
        seen[os.path.realpath(folder, strict=True)] = relative
        entries = sorted(folder.iterdir(), key=natural_key)
    except OSError as error:
        refused.append(Refused(relative, f"unreadable folder ({error.strerror})"))
        return
    images: list[Path] = []
    for entry in entries:
        name = entry.relative_to(root).as_posix()
        if entry.name.startswith(".") or entry.name.lower() in _CLUTTER:
            continue
        try:
            name.encode()
            mode = entry.stat().st_mode
            real = os.path.realpath(entry, strict=True)
        except UnicodeEncodeError:
            printable = name.encode(errors="surrogateescape").decode(errors="replace")
            refused.append(Refused(printable, "its name is not valid UTF-8; rename it"))
            continue
        except OSError as error:
            what = "a link that leads nowhere or round in a circle" if entry.is_symlink() else "unreadable"
            refused.append(Refused(name, f"{what} ({error.strerror})"))
            continue
        if stat.S_ISDIR(mode):
            if real == str(skip):
                continue
            if real in seen:
                again = "a folder loop: it leads back to" if _contains(real, folder) else "the same folder as"
                refused.append(Refused(name, f"{again} {seen[real]!r}"))
            else:
                _walk(root, entry, skip, seen, found, refused)
        elif not stat.S_ISREG(mode):
            # Opening a pipe or a device would wait for ever.
            refused.append(Refused(name, "not a regular file"))
        elif entry.suffix.lower() in IMAGE_SUFFIXES:
            images.append(entry)
        elif entry.suffix.lower() in VIDEO_SUFFIXES:
            found.append(_found(root, entry, "video"))
        else:
            refused.append(Refused(name, f"not a video (suffix {entry.suffix or 'missing'})"))
    if images and _are_strips(images):
        found += [_found(root, image, "strip") for image in images]
    elif images:
        found.append(_found(root, folder, "frames"))


def _contains(outer: str, folder: Path) -> bool:
    return Path(os.path.realpath(folder)).is_relative_to(outer)


def _are_strips(images: list[Path]) -> bool:
    """Whether one of some images (spread over the folder, for a folder may hold thousands) is as wide as a strip."""
    for path in images[:: max(1, len(images) // 16)]:
        try:
            width, height = image_size(path)
        except G3ANError:
            continue
        if width >= 3 * height:
            return True
    return False


def _found(root: Path, path: Path, kind: str) -> Found:
    relative = path.relative_to(root)
    folders = relative.parts[:-1]
    category = folders[0] if folders else root.resolve().name
    subject = folders[1] if len(folders) > 1 else subject_of(path.name if kind == "frames" else path.stem)
    return Found(path, relative.as_posix(), kind, category, subject)


def subject_of(stem: str) -> str:
    """Who a file shows, by its name: ``daria_wave1`` and ``daria_bend_mirrored`` are both ``daria``.

    A name in none of the published forms is its own subject, so that nothing is taken for the same person by guess.
    """
    bare = _MIRROR_MARK.sub("", stem) or stem
    for pattern in _SUBJECT_PATTERNS:
        if match := pattern.fullmatch(bare):
            return match[1]
    return bare


def ordered_classes(name: str, labels: Sequence[str]) -> tuple[str, ...]:
    """The categories of a data set: sorted, but those of Weizmann and MUG in the paper's order, before any others."""
    first = {"weizmann": WEIZMANN_ACTIONS, "mug": EXPRESSIONS}.get(name, ())
    return tuple(sorted(set(labels), key=lambda label: (first.index(label) if label in first else len(first), label)))


def chosen_subjects(subjects: Sequence[str], split: Split) -> set[str]:
    """The subjects on one side of a split; a person is never on both.

    Parameters
    ----------
    split
        ``"all"``, ``"train"``, ``"test"`` (a fifth of the subjects, at least one, chosen by a hash of their names:
        the same in each run, whatever the seed), ``("leave_out", subject)`` for all others, ``("only", subject)``.

    Raises
    ------
    G3ANError
        An unknown split or subject, or a split that leaves one side empty.
    """
    everyone = sorted(set(subjects))
    if split == "all":
        return set(everyone)
    if not isinstance(split, str) and len(split) == 2 and split[0] in ("leave_out", "only"):
        kind, who = split
        if who not in everyone:
            raise G3ANError(f"No subject is called {who!r}; there are {_named(everyone)}.")
        chosen = {who} if kind == "only" else set(everyone) - {who}
        if not chosen:
            raise G3ANError(f"{who!r} is the only subject, so nothing is left without it.")
        return chosen
    if split not in ("train", "test"):
        raise G3ANError(f"Unknown split {split!r}; use all, train, test, or ('leave_out', subject).")
    if len(everyone) < 2:
        raise G3ANError(f"A split needs two subjects or more, and there is only {_named(everyone)}.")
    shuffled = sorted(everyone, key=lambda name: hashlib.sha256(name.encode()).digest())
    held = max(1, round(TEST_SHARE * len(shuffled)))
    return set(shuffled[:held] if split == "test" else shuffled[held:])


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
