"""What the latent explorer shows, as plain values: two slots of codes, A and B, and how they are looked at.

A view is kept as its recipe (seeds, categories, dimensions set by hand), so that a line of code or a JSON file brings
it back; where codes came from elsewhere, their numbers stand in place of a seed. Nothing here knows of widgets.
"""

from __future__ import annotations

import json
import math
import pprint
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from g3an.catalogue import CASTS, cast_named, spelled
from g3an.config import ModelConfig
from g3an.errors import G3ANError
from g3an.files import read_json, write_json
from g3an.latents import (
    PARTS,
    Codes,
    combine,
    interpolate,
    one_hot,
    sample_appearance,
    sample_motion,
    traverse,
)

SHOWS = ("A", "B", "A and B", "between", "grid")
BETWEEN = {"appearance": ("appearance",), "motion": ("motion",), "both": PARTS}
GRIDS = (2, 3, 4)
SHORTEST, LONGEST = 16, 48  # frames
_SYMBOLS = {"appearance": "z_a", "motion": "z_m"}


@dataclass(frozen=True)
class Slot:
    """One of the two sets of codes, A or B.

    Attributes
    ----------
    z_a, z_m
        A seed, as for :func:`g3an.latents.combine`, or the numbers themselves: z_a_dim of them, and z_m_dim of them or
        z_m_dim rows of n. A motion given in numbers begins anew where a video is longer.
    c
        Name of the category; None for an unconditional network.
    z_a_set, z_m_set
        Dimensions set by hand, number (from 0) to value; those of z_m at all temporal positions.
    """

    z_a: int | tuple[Any, ...] = 1
    z_m: int | tuple[Any, ...] = 1
    c: str | None = None
    z_a_set: Mapping[int, float] = field(default_factory=dict)
    z_m_set: Mapping[int, float] = field(default_factory=dict)

    def codes(self, config: ModelConfig, positions: int = 1) -> Codes:
        """The codes, a batch of one, with this many temporal positions.

        Raises
        ------
        G3ANError
            They do not fit the network.
        """
        c = None if self.c is None else one_hot(config, self.c)
        if c is None and config.conditional:
            raise G3ANError(f"This network wants a category; choose one of {', '.join(config.classes)}.")
        codes = Codes(self._appearance(config), self._motion(config, positions), c)
        for part, values in zip(PARTS, (self.z_a_set, self.z_m_set), strict=True):
            for dimension, value in values.items():
                codes = traverse(codes, part, dimension, (value,))
        return codes

    def _appearance(self, config: ModelConfig) -> Tensor:
        if isinstance(self.z_a, int):
            return sample_appearance(config, self.z_a)
        numbers = _numbers(self.z_a, "z_a")
        if numbers.shape != (config.z_a_dim,):
            raise G3ANError(f"These codes have a z_a of {_size(numbers)}; this network wants {config.z_a_dim} numbers.")
        return numbers[None]

    def _motion(self, config: ModelConfig, positions: int) -> Tensor:
        if isinstance(self.z_m, int):
            return sample_motion(config, self.z_m, positions)
        numbers = _numbers(self.z_m, "z_m")
        if numbers.ndim not in (1, 2) or len(numbers) != config.z_m_dim or numbers.shape[-1] == 0:
            raise G3ANError(f"These codes have a z_m of {_size(numbers)}; this network wants {config.z_m_dim} rows.")
        rows = numbers.reshape(config.z_m_dim, -1)
        rows = rows[:, torch.arange(positions) % rows.shape[1]][None]
        return rows[..., 0] if positions == 1 else rows

    def with_dimension(self, part: str, dimension: int, value: float) -> Slot:
        """The same with one dimension of ``appearance`` or ``motion`` set."""
        name = f"{_SYMBOLS[part]}_set"
        changed: dict[str, Any] = {name: {**getattr(self, name), dimension: value}}
        return replace(self, **changed)

    def words(self) -> str:
        """In words: ``subject 1, motion 9, one-hand waving, z_a[110] = 2``."""
        words = [
            f"{name} {value}" if isinstance(value, int) else f"{symbol} as loaded"
            for name, symbol, value in (("subject", "z_a", self.z_a), ("motion", "z_m", self.z_m))
        ]
        words += [spelled(self.c)] if self.c else []
        for symbol, values in (("z_a", self.z_a_set), ("z_m", self.z_m_set)):
            words += [f"{symbol}[{dimension}] = {value:g}" for dimension, value in values.items()]
        return ", ".join(words)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON and for code; what is not set is left out."""
        chosen = {"z_a": _shortest(self.z_a), "z_m": _shortest(self.z_m), "c": self.c}
        chosen |= {"z_a_set": dict(self.z_a_set), "z_m_set": dict(self.z_m_set)}
        return {name: value for name, value in chosen.items() if value not in (None, {})}

    @classmethod
    def from_dict(cls, content: Any, name: str = "a slot") -> Slot:
        """The inverse of :meth:`to_dict`; JSON's text keys count as numbers.

        Raises
        ------
        G3ANError
            An unknown name, or a value of the wrong kind.
        """
        _known(content, cls, name)
        given: dict[str, Any] = {k: _frozen(content[k], f"{k} of {name}") for k in ("z_a", "z_m") if k in content}
        c = content.get("c")
        if c is not None and not isinstance(c, str):
            raise G3ANError(f"c of {name} is {c!r}; it must be the name of a category.")
        given |= {k: _dimensions(content[k], f"{k} of {name}") for k in ("z_a_set", "z_m_set") if k in content}
        return cls(c=c, **given)


@dataclass(frozen=True)
class View:
    """What is seen.

    Attributes
    ----------
    a, b
        The slots.
    show
        One of :data:`SHOWS`.
    between, amount
        For ``between``: what goes from A (0) to B (1), a key of :data:`BETWEEN`.
    frames
        Length of the videos; a network makes only some lengths, see :func:`lengths`.
    grid
        For ``grid``: z_a down and z_m across, so many of each, A and B first.
    """

    a: Slot = field(default_factory=Slot)
    b: Slot = field(default_factory=Slot)
    show: str = "A and B"
    between: str = "both"
    amount: float = 0.5
    frames: int = SHORTEST
    grid: int = 3

    def __post_init__(self) -> None:
        for name, known in (("show", SHOWS), ("between", tuple(BETWEEN)), ("grid", GRIDS)):
            if getattr(self, name) not in known:
                raise G3ANError(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(map(str, known))}.")
        if isinstance(self.amount, bool) or not isinstance(self.amount, int | float) or not 0 <= self.amount <= 1:
            raise G3ANError(f"amount is {self.amount!r}; it must be a number from 0 (A) to 1 (B).")
        if isinstance(self.frames, bool) or not isinstance(self.frames, int):
            raise G3ANError(f"frames is {self.frames!r}; it must be a whole number.")

    def switched(self) -> View:
        """Figure 16: A and B exchange their motion, and with it the category (section C.4)."""
        moved = ("z_m", "z_m_set", "c")
        a = replace(self.a, **{name: getattr(self.b, name) for name in moved})
        return replace(self, a=a, b=replace(self.b, **{name: getattr(self.a, name) for name in moved}))

    def codes(self, generator: Any) -> list[Codes]:
        """The codes of every video that is seen: one, A and B, or the grid row by row.

        Raises
        ------
        G3ANError
            The codes or the length do not fit the network.
        """
        config, positions = generator.config, positions_of(generator, self.frames)
        slots = {"A": self.a, "B": self.b}
        if self.show != "grid":
            if self.show == "between":
                a, b = (slot.codes(config, positions) for slot in slots.values())
                return [interpolate(a, b, self.amount, BETWEEN[self.between])]
            return [slots[name].codes(config, positions) for name in self.show.split(" and ")]
        a, b = (slot.codes(config, positions) for slot in slots.values())
        # Those after A and B: other seeds, with A's category.
        down = [a.z_a, b.z_a, *(sample_appearance(config, seed) for seed in self.more_seeds("z_a"))]
        more = [combine(config, 0, seed, self.a.c, positions) for seed in self.more_seeds("z_m")]
        return [Codes(z_a, across.z_m, across.c) for z_a in down for across in (a, b, *more)]

    def more_seeds(self, part: str) -> list[int]:
        """Seeds of the grid's rows (``z_a``) or columns (``z_m``) after A and B: the first that these do not have."""
        used = (getattr(self.a, part), getattr(self.b, part))
        return list(islice((seed for seed in count(1) if seed not in used), self.grid - 2))

    def labels(self) -> list[str]:
        """A short name for every video, in the order of :meth:`codes`."""
        if self.show == "grid":
            rows, columns = self.axis("z_a"), self.axis("z_m")
            return [f"$z_a$ {row}, $z_m$ {column}" for row in rows for column in columns]
        return [f"{self.amount:.0%}"] if self.show == "between" else self.show.split(" and ")

    def axis(self, part: str) -> list[str]:
        """Names of the grid's rows (``z_a``) or columns (``z_m``): A, B, then seeds."""
        return ["A", "B", *map(str, self.more_seeds(part))]

    def words(self) -> str:
        """One sentence that says what is seen."""
        a, b = f"A ({self.a.words()})", f"B ({self.b.words()})"
        if self.show == "between":
            what = "in appearance and motion" if self.between == "both" else f"in {self.between}"
            return f"{self.amount:.0%} of the way from {a} to {b} {what}."
        if self.show == "grid":
            down, across = (", ".join(self.axis(part)) for part in ("z_a", "z_m"))
            return f"Down: z_a of {down}; across: z_m of {across}. {a}; {b}."
        return "; ".join({"A": a, "B": b}[name] for name in self.show.split(" and ")) + "."

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON and for code."""
        return {**{f.name: getattr(self, f.name) for f in fields(self)}, "a": self.a.to_dict(), "b": self.b.to_dict()}

    @classmethod
    def from_dict(cls, content: Any) -> View:
        """The inverse of :meth:`to_dict`; what is missing has its default.

        Raises
        ------
        G3ANError
            An unknown name, or a value of the wrong kind.
        """
        _known(content, cls, "the view")
        slots = {name: Slot.from_dict(content[name], f"slot {name.upper()}") for name in ("a", "b") if name in content}
        return cls(**{**content, **slots})


def default_view(generator: Any) -> View:
    """Two people and two motions: those of the data set's figures, where it has any."""
    config = generator.config
    cast = CASTS.get(cast_named(str(getattr(generator, "card", {}).get("dataset"))))
    subjects, motions = (cast.subjects, cast.motions) if cast else ((1, 2), (1, 2))
    pair = [name for name in (cast.switched[0] if cast and cast.switched else ()) if name in config.classes]
    here, there = pair if len(pair) == 2 else (config.classes * 2)[:2] if config.conditional else (None, None)
    a, b = Slot(subjects[0], motions[0], here), Slot(subjects[1], motions[1], there)
    return View(a, b, frames=lengths(generator)[0])


def draw_category(config: ModelConfig, seed: int) -> str | None:
    """The category that ``seed`` draws, each as likely; None for an unconditional network."""
    if not config.conditional:
        return None
    return config.classes[int(np.random.RandomState([seed, 2]).randint(len(config.classes)))]


def lengths(generator: Any) -> list[int]:
    """Lengths, in frames, that the explorer offers: those from 16 to 48 that the network can make."""
    possible = [generator.frame_count(n) for n in range(1, 65)]
    return [frames for frames in possible if SHORTEST <= frames <= LONGEST] or possible[:1]


def positions_of(generator: Any, frames: int) -> int:
    """Temporal positions of z_m that give a video of ``frames`` frames.

    Raises
    ------
    G3ANError
        The explorer does not offer this length for this network.
    """
    if frames not in lengths(generator):
        offered = ", ".join(map(str, lengths(generator)))
        raise G3ANError(f"This network makes videos of {offered} frames here, not of {frames}.")
    return next(n for n in range(1, 65) if generator.frame_count(n) == frames)


# --- As code, and as a file -------------------------------------------------------------------------------------------


def as_code(view: View, weights: str) -> str:
    """Lines for a notebook's cell that bring the view back."""
    default = View()
    words = [repr(weights)]
    for name, value in view.to_dict().items():
        if name in ("a", "b") or value != getattr(default, name):
            shown = pprint.pformat(value, width=108, compact=True, sort_dicts=False)
            words.append(f"{name}={shown.replace(chr(10), chr(10) + '      ')}")
    lines = "".join(f"    {word},\n" for word in words)
    return f"from g3an.explorer import explore\n\nexplore(\n{lines})"


def save_view(path: str | Path, view: View, generator: Any, weights: str) -> None:
    """Write the recipe and the numbers of A and B, as JSON, atomically.

    Raises
    ------
    G3ANError
        The file cannot be written, or the codes do not fit the network.
    """
    positions = positions_of(generator, view.frames)
    numbers = {name: slot.codes(generator.config, positions).to_json() for name, slot in (("a", view.a), ("b", view.b))}
    about = {"weights": weights, "weights_sha256": getattr(generator, "weights_hash", None)}
    write_json(path, {"kind": "g3an explorer", **about, "view": view.to_dict(), "codes": numbers})


def weights_in(content: Any) -> tuple[str, str]:
    """Name and hash of the weights that a saved view was made with; empty where it names none."""
    about = content if isinstance(content, dict) else {}
    return str(about.get("weights") or ""), str(about.get("weights_sha256") or "")


def read_content(source: str | Path | bytes) -> Any:
    """What a JSON file holds, given its path or its bytes.

    Raises
    ------
    G3ANError
        It is missing, or is no JSON.
    """
    if not isinstance(source, bytes):
        return read_json(source)
    try:
        return json.loads(source)
    except ValueError as error:
        raise G3ANError(f"The file cannot be read as JSON ({error}).") from None


def load_view(content: Any, generator: Any, now: View | None = None, slot: str = "a") -> View:
    """The view that :func:`save_view` wrote, or codes as :meth:`g3an.latents.Codes.to_json` writes them.

    The numbers count: where they are not those of the recipe, because someone changed them, they replace it.

    Parameters
    ----------
    content
        From :func:`read_content`.
    now, slot
        For bare codes: the view that stays, and the slot (``a`` or ``b``) that one code goes to; of several, the first
        goes to A and the second to B.

    Raises
    ------
    G3ANError
        The content is damaged or does not fit the network.
    """
    now = now or default_view(generator)
    if isinstance(content, dict) and "z_a" in content:
        codes = Codes.from_json(content)
        _fits(codes, generator.config)
        if not len(codes):
            raise G3ANError("The file holds no code; give at least one.")
        names = [slot] if len(codes) == 1 else ["a", "b"]
        slots: dict[str, Any] = {name: _as_slot(codes[k], generator.config) for k, name in enumerate(names)}
        return replace(now, **slots)
    if not isinstance(content, dict) or not isinstance(content.get("view"), dict):
        raise G3ANError("The file holds neither a view of the explorer nor codes (z_a, z_m, c); save it again.")
    view = View.from_dict(content["view"])
    numbers = content.get("codes", {})
    if not isinstance(numbers, dict):
        raise G3ANError("The codes of the file are damaged; save it again.")
    positions_of(generator, view.frames)
    for name in ("a", "b"):
        recipe: Slot = getattr(view, name)
        if name in numbers:
            codes = Codes.from_json(numbers[name])
            _fits(codes, generator.config)
            if len(codes) != 1:
                raise G3ANError(f"Slot {name.upper()} of the file holds {len(codes)} codes; it must hold one.")
            positions = codes.z_m.shape[2] if codes.z_m.ndim == 3 else 1
            if recipe.codes(generator.config, positions).to_json() != codes.to_json():
                changed: dict[str, Any] = {name: _as_slot(codes, generator.config)}
                view = replace(view, **changed)
        else:
            recipe.codes(generator.config)  # refuses what does not fit
    return view


def _fits(codes: Codes, config: ModelConfig) -> None:
    wanted = (config.z_a_dim, config.z_m_dim, len(config.classes))
    given = (codes.z_a.shape[1], codes.z_m.shape[1], 0 if codes.c is None else codes.c.shape[1])
    if wanted != given:
        raise G3ANError(
            f"These codes have {given[0]} numbers in z_a, {given[1]} in z_m and {given[2]} categories; "
            f"this network wants {wanted[0]}, {wanted[1]} and {wanted[2]}."
        )


def _as_slot(codes: Codes, config: ModelConfig) -> Slot:
    """A slot that holds the numbers of one code."""
    c = None
    if codes.c is not None:
        if sorted(codes.c[0].tolist()) != [0.0] * (len(config.classes) - 1) + [1.0]:
            raise G3ANError("The category of these codes is a mixture; A and B take one category each (one-hot).")
        c = config.classes[int(codes.c[0].argmax())]
    return Slot(_frozen(codes.z_a[0].tolist(), "z_a"), _frozen(codes.z_m[0].tolist(), "z_m"), c)


# --- Plain values -----------------------------------------------------------------------------------------------------


def _known(content: Any, kind: type, name: str) -> None:
    if not isinstance(content, Mapping):
        raise G3ANError(f"{name.capitalize()} is {type(content).__name__}; it must be names with values.")
    unknown = sorted(map(str, set(content) - {f.name for f in fields(kind)}))
    if unknown:
        raise G3ANError(f"{name.capitalize()} has no {', '.join(unknown)}.")


def _frozen(value: Any, name: str) -> int | tuple[Any, ...]:
    """A seed, or numbers as tuples."""
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < 2**32:
            raise G3ANError(f"{name} is the seed {value}; it must be from 0 to 4294967295.")
        return value
    if not isinstance(value, list | tuple):
        raise G3ANError(f"{name} is {value!r}; it must be a seed or a list of numbers.")
    return tuple(_shortest(tuple(row)) if isinstance(row, list | tuple) else _shortest(row) for row in value)


def _shortest(value: Any) -> Any:
    """Numbers as the shortest decimals that are the same in float32; tuples become tuples of those."""
    if isinstance(value, tuple):
        return tuple(_shortest(entry) for entry in value)
    return float(str(np.float32(value))) if isinstance(value, float) and math.isfinite(value) else value


def _numbers(value: tuple[Any, ...], name: str) -> Tensor:
    try:
        numbers = torch.tensor(value, dtype=torch.float32)
    except (TypeError, ValueError) as error:
        raise G3ANError(f"{name} must be numbers, all rows of one length ({error}).") from None
    if not bool(numbers.isfinite().all()):
        raise G3ANError(f"{name} holds a number that is not finite.")
    return numbers


def _size(numbers: Tensor) -> str:
    return "×".join(map(str, numbers.shape)) + " numbers"


def _dimensions(content: Any, name: str) -> dict[int, float]:
    """Dimension to value, with numbers from JSON's text keys."""
    if not isinstance(content, Mapping):
        raise G3ANError(f"{name} is {content!r}; it must give a value for each dimension's number.")
    found = {}
    for key, value in content.items():
        if not str(key).isdecimal() or isinstance(value, bool) or not isinstance(value, int | float):
            raise G3ANError(f"{name} holds {key!r}: {value!r}; it must give a number for a dimension's number.")
        if not math.isfinite(value):
            raise G3ANError(f"{name} sets dimension {key} to {value}; it must be finite.")
        found[int(key)] = float(value)
    return found
