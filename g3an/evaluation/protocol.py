"""The written protocol of an evaluation, and measurements that cannot be torn from it.

Numbers of video GANs differ more by how they were measured than by the networks: how clips are cut, resized and
normalised, how many there are, which network looks at them. So every number here carries a :class:`Protocol`, and
numbers of different protocols are never put into one table.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from g3an.errors import G3ANError

VERSION = 1
"""Goes up when the same fields come to mean something else."""

PAPERS = "resnext101-kinetics"
"""The extractor of the paper's FID."""


def frechet_name(extractor: str) -> str:
    """What the Fréchet distance between the features of an extractor is called: ``FVD`` with ``i3d``, else ``FID``."""
    return "FVD" if extractor == "i3d" else "FID"


@dataclass(frozen=True)
class Protocol:
    """How a number was measured.

    Attributes
    ----------
    dataset, split
        Real clips: the data set's name, and whose (``all``, ``train`` or ``test``).
    extractor, extractor_hash
        The network that looks at clips, and the SHA-256 of its weights.
    clips
        Generated clips, and as many real ones.
    length, step
        Frames of a clip, and from one to the next in the video: several where real clips come at one of these each.
    mirrored
        Whether every second real clip, by chance, is a mirror image.
    window
        ``random``: a real clip begins anywhere in its video; ``centre``: in its middle.
    resolution, resize
        Of the clips when they are compared, and by which filter real frames came to it.
    value_range, normalisation
        What the numbers of a clip mean when it is handed to the extractor, and what that does to them first.
    seed
        Of the real windows and of the codes.
    subset_seed
        Of the random subsets of KID and IS.
    version
        Of this list.
    """

    dataset: str
    split: str
    extractor: str
    extractor_hash: str
    clips: int = 2048
    length: int = 16
    step: int | tuple[int, ...] = 1
    window: str = "random"
    resolution: int = 64
    resize: str = "bicubic over the whole source area (Pillow), centre square"
    value_range: str = "float32 in [-1, 1] before the extractor, never re-encoded as video"
    normalisation: str = ""
    seed: int = 0
    subset_seed: int = 0
    version: int = VERSION
    mirrored: bool = False

    def __post_init__(self) -> None:
        steps = (self.step,) if isinstance(self.step, int) else self.step
        if self.clips < 2 or self.length < 1 or min(steps, default=0) < 1 or self.resolution < 1:
            raise G3ANError(
                f"A protocol needs 2 clips or more and a length, step and resolution of 1 or more, not {self.clips}, "
                f"{self.length}, {self.step} and {self.resolution}."
            )
        if self.window not in ("random", "centre"):
            raise G3ANError(f"window is {self.window!r}; it must be 'random' or 'centre'.")

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that two protocols share only when they are the same."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:12]

    def differences(self, other: Protocol) -> dict[str, tuple[Any, Any]]:
        """Fields in which two protocols differ, with both values."""
        mine, theirs = asdict(self), asdict(other)
        return {name: (value, theirs[name]) for name, value in mine.items() if theirs[name] != value}

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON; ``mirrored`` only where it is so: a protocol without it keeps its key."""
        return {name: value for name, value in asdict(self).items() if name != "mirrored" or value}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Protocol:
        """The inverse of :meth:`to_dict`.

        Raises
        ------
        G3ANError
            Unknown or missing fields, or another version.
        """
        if content.get("version") != VERSION:
            raise G3ANError(f"This protocol is of version {content.get('version')}, not {VERSION}; measure again.")
        try:
            step = content["step"]
            return cls(**content | {"step": tuple(step) if isinstance(step, list) else step})
        except (TypeError, KeyError) as error:
            raise G3ANError(f"This is no protocol ({error}); measure again.") from None


@dataclass(frozen=True)
class Measurement:
    """A number with all that it takes to understand it.

    Attributes
    ----------
    metric
        ``FID``, ``KID``, ``IS``, …; with the extractor ``i3d`` FID is called ``FVD``, and with no other.
    value, low, high
        The number and the ends of its 95 % bootstrap interval over clips.
    floor
        The real/real distance: the same metric between two halves of the real clips, cut by person. It is a scale to
        read the value by and no floor, whatever its name in stored files: the halves show different people, which makes
        it larger, and hold half as many clips, which makes FID larger, so generated clips, which are compared with all
        real ones, can be nearer. None where it makes no sense (IS).
    subject
        What was measured: the name and hash of weights, or a word such as ``real``.
    simulated
        Whether the real clips are simulated.
    counts
        Numbers of clips, under ``real`` and ``generated``, and that of the smaller half of the real ones under
        ``floor``.
    warnings
        What a reader has to know, such as a covariance of less than full rank.
    """

    metric: str
    value: float
    low: float
    high: float
    floor: float | None
    subject: str
    simulated: bool
    counts: dict[str, int]
    warnings: tuple[str, ...]
    protocol: Protocol

    def __post_init__(self) -> None:
        right = frechet_name(self.protocol.extractor)
        if self.metric in ("FID", "FVD") and self.metric != right:
            raise G3ANError(f"With the extractor {self.protocol.extractor} this is no {self.metric}; call it {right}.")

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON; numbers rounded to six digits, beyond which machines differ."""
        content = asdict(self) | {
            "warnings": list(self.warnings), "protocol": self.protocol.to_dict(), "protocol_key": self.protocol.key,
        }  # fmt: skip
        return {name: float(f"{x:.6g}") if isinstance(x, float) else x for name, x in content.items()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Measurement:
        """The inverse of :meth:`to_dict`; refuses a number whose protocol was changed after it was measured."""
        content = dict(content)
        stated = content.pop("protocol_key", None)
        protocol = Protocol.from_dict(content.pop("protocol"))
        if stated != protocol.key:
            raise G3ANError(f"The protocol beside a {content.get('metric')} was changed after it was measured.")
        return cls(**{**content, "warnings": tuple(content["warnings"])}, protocol=protocol)


def table(measurements: Sequence[Measurement]) -> str:
    """A Markdown table of numbers that can be compared, the protocol below it.

    Raises
    ------
    G3ANError
        There are none, or two of them were measured under different protocols.
    """
    if not measurements:
        raise G3ANError("There is nothing to put into the table.")
    first = measurements[0]
    for other in measurements[1:]:
        if different := first.protocol.differences(other.protocol):
            name, (here, there) = next(iter(different.items()))
            raise G3ANError(
                f"{first.metric} of {first.subject} and {other.metric} of {other.subject} were measured under "
                f"different protocols ({name}: {here} and {there}) and cannot be compared; measure both under one."
            )
    lines = ["| network | metric | value | 95 % interval | real/real distance | clips |", "|---|---|---|---|---|---|"]
    for entry in measurements:
        apart = "" if entry.floor is None else f"{entry.floor:.4g}"
        counts = f"{entry.counts['generated']:,} / {entry.counts['real']:,}"
        interval = f"{entry.low:.4g} to {entry.high:.4g}"
        lines.append(f"| {entry.subject} | {entry.metric} | {entry.value:.4g} | {interval} | {apart} | {counts} |")
    data = f"{first.protocol.dataset}{' (simulated)' if first.simulated else ''}, {first.protocol.split} people"
    steps = first.protocol.step
    at = f"step {steps}" if isinstance(steps, int) else f"steps {', '.join(map(str, steps))}"
    pace = f"{first.protocol.length} frames at {at}{', mirrored at random' if first.protocol.mirrored else ''}"
    lines += ["", f"Protocol {first.protocol.key}: {data}, clips of {pace}, extractor {first.protocol.extractor}."]
    if any(entry.metric == "FID" for entry in measurements):
        lines.append(f"- {_whose_fid(first.protocol.extractor)}")
    if compared := [entry.counts for entry in measurements if entry.floor is not None]:
        few = compared[0]["floor"]
        lines.append(
            f"- The real/real distance is between {few:,} real clips and the other {compared[0]['real'] - few:,}, of "
            "different people: a scale to read the values by, no floor."
        )
    warnings = dict.fromkeys(warning for entry in measurements for warning in entry.warnings)
    # Numbers stored by an earlier version carry the sentence above as a warning, in other words.
    lines += [f"- {warning}" for warning in warnings if not warning.startswith("The real/real floor ")]
    return "\n".join(lines)


def _whose_fid(extractor: str) -> str:
    if extractor == PAPERS:
        return "FID is by the extractor that the paper used; its published numbers had another preprocessing."
    return f"FID is not that of the paper, whose extractor is {PAPERS}."
