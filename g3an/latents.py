"""Codes (z_a, z_m, c): drawing them, changing them, and turning them into videos.

Section C of the appendix is built from four moves on codes: combine one z_a with several (z_m, c) (Figs. 3 to 7), vary
one dimension of z_a or of z_m (Figs. 8 to 15), and let two videos swap their motion (Fig. 16).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from g3an.config import ModelConfig
from g3an.errors import G3ANError

PARTS = ("appearance", "motion")


@dataclass(frozen=True)
class Codes:
    """A batch of inputs to the generator.

    Attributes
    ----------
    z_a
        Appearance, (B, z_a_dim), drawn from N(0, 1).
    z_m
        Motion, (B, z_m_dim), or (B, z_m_dim, n) with n temporal positions for longer videos, drawn from N(0, 1).
    c
        Category as one-hot rows (B, classes), or None for an unconditional network.

    Raises
    ------
    G3ANError
        The parts do not have these dimensions or not the same B.
    """

    z_a: Tensor
    z_m: Tensor
    c: Tensor | None = None

    def __post_init__(self) -> None:
        if self.z_a.ndim != 2 or self.z_m.ndim not in (2, 3) or (self.c is not None and self.c.ndim != 2):
            shapes = ", ".join(f"{name} {tuple(part.shape)}" for name, part in self._parts())
            raise G3ANError(f"Codes need z_a (B, 128), z_m (B, 10) or (B, 10, n) and c (B, classes), not {shapes}.")
        if len({len(part) for _, part in self._parts()}) > 1:
            counts = ", ".join(f"{len(part)} {name}" for name, part in self._parts())
            raise G3ANError(f"Codes need as many z_m and c as z_a, not {counts}.")

    def _parts(self) -> Iterator[tuple[str, Tensor]]:
        yield "z_a", self.z_a
        yield "z_m", self.z_m
        if self.c is not None:
            yield "c", self.c

    def __len__(self) -> int:
        return len(self.z_a)

    def __getitem__(self, index: int | slice | Sequence[int]) -> Codes:
        """Some of the codes, always as a batch: ``codes[2]`` has length 1."""
        if isinstance(index, int):
            if not -len(self) <= index < len(self):
                # IndexError, not G3ANError: this is what ends a for loop over the codes.
                raise IndexError(f"There are {len(self)} codes; {index} is not one of them.")
            index = [index % len(self)]
        chosen = slice(None) if isinstance(index, slice) and index == slice(None) else index
        return Codes(self.z_a[chosen], self.z_m[chosen], None if self.c is None else self.c[chosen])

    @staticmethod
    def cat(codes: Iterable[Codes]) -> Codes:
        """One batch from several, in order.

        Raises
        ------
        G3ANError
            Nothing to join, or some with a category and some without, or other widths.
        """
        batches = list(codes)
        if len({(b.z_a.shape[1:], b.z_m.shape[1:], b.c is None or b.c.shape[1:]) for b in batches}) != 1:
            raise G3ANError("Only codes of one network and one length can be joined, at least one of them.")
        categories = [b.c for b in batches if b.c is not None]
        return Codes(
            torch.cat([b.z_a for b in batches]),
            torch.cat([b.z_m for b in batches]),
            torch.cat(categories) if categories else None,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain lists of numbers, for ``json.dump``; float32 survives the way there and back unchanged."""
        return {"z_a": self.z_a.tolist(), "z_m": self.z_m.tolist(), "c": None if self.c is None else self.c.tolist()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Codes:
        """The inverse of :meth:`to_json`.

        Raises
        ------
        G3ANError
            A part is missing, is ragged, or holds something that is not a finite number.
        """
        try:
            z_a, z_m = (torch.tensor(content[name], dtype=torch.float32) for name in ("z_a", "z_m"))
            c = None if content.get("c") is None else torch.tensor(content["c"], dtype=torch.float32)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise G3ANError(f"These are no codes ({error}); give them as Codes.to_json writes them.") from None
        if not all(bool(part.isfinite().all()) for part in (z_a, z_m, c) if part is not None):
            raise G3ANError("Codes hold a number that is not finite; write them again with Codes.to_json.")
        return cls(z_a, z_m, c)


def normal(seed: int, stream: int, *shape: int) -> Tensor:
    """Standard normal numbers that depend on (seed, stream) alone, float32.

    numpy's RandomState is frozen for good, while torch promises no fixed stream between versions and draws other
    numbers with and without AVX2: subject 3 shall be the same person on every machine.
    """
    if not (isinstance(seed, int) and 0 <= seed < 2**32):
        raise G3ANError(f"The seed is {seed!r}; it must be a whole number from 0 to 4294967295.")
    return torch.from_numpy(np.random.RandomState([seed, stream]).standard_normal(shape).astype(np.float32))


def sample_appearance(config: ModelConfig, seed: int) -> Tensor:
    """The z_a of subject number ``seed``: (1, z_a_dim)."""
    return normal(seed, 0, 1, config.z_a_dim)


def sample_motion(config: ModelConfig, seed: int, positions: int = 1) -> Tensor:
    """The z_m of motion number ``seed``: (1, z_m_dim), or (1, z_m_dim, positions) for a longer video."""
    if positions < 1:
        raise G3ANError(f"A motion has at least 1 temporal position, not {positions}.")
    z_m = normal(seed, 1, 1, positions, config.z_m_dim).transpose(1, 2)
    return z_m[..., 0] if positions == 1 else z_m.contiguous()


def one_hot(config: ModelConfig, category: str) -> Tensor:
    """The category called ``category`` as one-hot (1, classes).

    Raises
    ------
    G3ANError
        The network is unconditional or has no such category.
    """
    if not config.conditional:
        raise G3ANError(f"This network is unconditional: it cannot be asked for {category!r}.")
    if category not in config.classes:
        raise G3ANError(f"There is no category {category!r}; this network knows {', '.join(config.classes)}.")
    return torch.eye(len(config.classes))[config.classes.index(category)][None]


def combine(config: ModelConfig, subject: int, motion: int, category: str | None = None, positions: int = 1) -> Codes:
    """One code from a subject's seed, a motion's seed and a category's name (None when unconditional)."""
    if category is None and config.conditional:
        raise G3ANError(f"This network wants a category; choose one of {', '.join(config.classes)}.")
    c = None if category is None else one_hot(config, category)
    return Codes(sample_appearance(config, subject), sample_motion(config, motion, positions), c)


def sample_codes(
    config: ModelConfig, n: int, seed: int = 0, categories: Sequence[str] | None = None, positions: int = 1
) -> Codes:
    """Draw ``n`` codes, the first n - 1 of which do not depend on n.

    Parameters
    ----------
    config
        Of the network the codes are for.
    categories
        Names to take in turn; default all of the network's, none for an unconditional one.
    positions
        Temporal positions of z_m; more give a longer video.

    Raises
    ------
    G3ANError
        n below 1, an unknown category, or categories for an unconditional network.
    """
    if n < 1:
        raise G3ANError(f"{n} codes were asked for; ask for at least 1.")
    names = list(config.classes) if categories is None else list(categories)
    z_a = normal(seed, 0, n, config.z_a_dim)
    z_m = normal(seed, 1, n, positions, config.z_m_dim).transpose(1, 2)
    c = torch.cat([one_hot(config, names[i % len(names)]) for i in range(n)]) if names else None
    return Codes(z_a, z_m[..., 0] if positions == 1 else z_m.contiguous(), c)


def switch_motion(a: Codes, b: Codes) -> tuple[Codes, Codes]:
    """Section C.4: from (z_a0, z_m0, c_0) and (z_a1, z_m1, c_1) to (z_a0, z_m1, c_1) and (z_a1, z_m0, c_0)."""
    if len(a) != len(b):
        raise G3ANError(f"Motion is switched between equal numbers of videos, not {len(a)} and {len(b)}.")
    return Codes(a.z_a, b.z_m, b.c), Codes(b.z_a, a.z_m, a.c)


def interpolate(a: Codes, b: Codes, amount: float, parts: Sequence[str] = PARTS) -> Codes:
    """Go from ``a`` towards ``b`` in appearance, in motion or in both.

    z_a and each temporal position of z_m turn along the arc between the two vectors (slerp), so that codes from N(0, 1)
    keep about the length that the network knows; a straight line would pass closer to 0. c goes with motion, as in
    :func:`switch_motion`, and in a straight line: between two categories it is one-hot no more.

    Parameters
    ----------
    amount
        0 gives the parts of ``a``, 1 those of ``b``, exactly.
    parts
        Of ``appearance`` and ``motion``; what is not listed stays that of ``a``.

    Raises
    ------
    G3ANError
        An amount outside 0 to 1, an unknown part, or codes of other shapes.
    """
    if not 0 <= amount <= 1:
        raise G3ANError(f"The amount is {amount!r}; it must be from 0 (the first codes) to 1 (the second).")
    for part in parts:
        _width(a, part)
    if [part.shape for _, part in a._parts()] != [part.shape for _, part in b._parts()]:
        raise G3ANError("Only codes of one network, number and length can be interpolated.")
    result = a
    if "appearance" in parts:
        result = replace(result, z_a=_turn(a.z_a, b.z_a, amount))
    if "motion" in parts:
        c = None if a.c is None or b.c is None else torch.lerp(a.c, b.c, amount)
        result = replace(result, z_m=_turn(a.z_m, b.z_m, amount), c=c)
    return result


def _turn(x: Tensor, y: Tensor, amount: float) -> Tensor:
    """Along the arc from x to y, both (B, D) or (B, D, n); the length changes evenly."""
    if amount in (0, 1):
        return y if amount else x
    from_length, to_length = (v.norm(dim=1, keepdim=True).clamp_min(1e-12) for v in (x, y))
    x, y = x / from_length, y / to_length
    angle = (x * y).sum(dim=1, keepdim=True).clamp(-1, 1).acos()
    sine = angle.sin()
    # Where the arc is not defined, or so short that the division says nothing, the line does as well.
    straight = sine < 1e-4
    sine = sine.masked_fill(straight, 1)
    there = torch.where(straight, torch.as_tensor(amount), (amount * angle).sin() / sine)
    here = torch.where(straight, torch.as_tensor(1 - amount), ((1 - amount) * angle).sin() / sine)
    return torch.lerp(from_length, to_length, amount) * (here * x + there * y)


def traverse(codes: Codes, part: str, dimension: int, values: Sequence[float]) -> Codes:
    """Section C.3: set one dimension of z_a or z_m to each of ``values`` and leave all else as it is.

    Parameters
    ----------
    part
        ``appearance`` for z_a (Figs. 8 to 13) or ``motion`` for z_m (Figs. 14 and 15).
    dimension
        Counted from 0; the appendix's "first dimension" is 0.

    Returns
    -------
    Codes
        ``len(codes) * len(values)`` of them: all values of the first code, then of the second. With several temporal
        positions the dimension is set at each.

    Raises
    ------
    G3ANError
        Another part, a dimension the code does not have, or no values.
    """
    width = _width(codes, part)
    if not 0 <= dimension < width:
        raise G3ANError(f"There is no {part} dimension {dimension}; they are numbered 0 to {width - 1}.")
    if len(values) == 0 or not all(math.isfinite(value) for value in values):
        raise G3ANError(f"A traversal needs at least one finite value, not {list(values)}.")
    rows = codes[[i for i in range(len(codes)) for _ in values]]
    name = "z_a" if part == "appearance" else "z_m"
    changed = getattr(rows, name).clone()
    column = torch.tensor(list(values), dtype=changed.dtype, device=changed.device).repeat(len(codes))
    changed[:, dimension] = column if changed.ndim == 2 else column[:, None]
    return replace(rows, **{name: changed})


def _width(codes: Codes, part: str) -> int:
    if part not in PARTS:
        raise G3ANError(f"The part is {part!r}; it must be 'appearance' or 'motion'.")
    return codes.z_a.shape[1] if part == "appearance" else codes.z_m.shape[1]


def generate(generator: Any, codes: Codes, batch: int = 8) -> Tensor:
    """Videos of ``codes`` from a generator in eval mode: float32 (B, 3, T, 64, 64) in [-1, 1], on the CPU.

    The network computes in the precision of its own parameters.

    Raises
    ------
    G3ANError
        The codes do not fit the network.
    """
    config = generator.config
    if codes.z_a.shape[1] != config.z_a_dim or codes.z_m.shape[1] != config.z_m_dim:
        raise G3ANError(
            f"This network wants z_a of {config.z_a_dim} and z_m of {config.z_m_dim} numbers, "
            f"not {codes.z_a.shape[1]} and {codes.z_m.shape[1]}."
        )
    given = 0 if codes.c is None else codes.c.shape[1]
    if given != len(config.classes):
        raise G3ANError(f"This network has {len(config.classes)} categories, the codes have {given}.")
    if batch < 1:
        raise G3ANError(f"The batch is {batch}; it must be at least 1.")
    if generator.training:
        # In training mode batch norm would make each video depend on its neighbours, and change the network.
        raise G3ANError("The generator is in training mode; call generator.eval() before it generates.")
    like = next(generator.parameters())
    videos = []
    with torch.inference_mode():
        for start in range(0, len(codes), batch):
            part = codes[start : start + batch]
            c = None if part.c is None else part.c.to(like)
            videos.append(generator(part.z_a.to(like), part.z_m.to(like), c).float().cpu())
    return torch.cat(videos)


def to_uint8(video: Tensor) -> np.ndarray:
    """(B, 3, T, H, W) in [-1, 1] to frames (B, T, H, W, 3) uint8 by (x + 1)/2, so that 0 is mid-grey.

    Each video is converted by itself (the released code stretches over the whole batch, so that brightness depends on
    the neighbours).
    """
    if video.ndim != 5 or video.shape[1] != 3:
        raise G3ANError(f"A video batch is (B, 3, T, H, W), not {tuple(video.shape)}.")
    if not bool(torch.isfinite(video).all()):
        raise G3ANError("The video holds values that are not finite; the network that made it is broken.")
    levels = ((video.float() + 1) / 2 * 255).round().clamp(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 4, 1).contiguous().numpy()


@dataclass(frozen=True)
class Effects:
    """How much each dimension of z_a or z_m changes the video.

    Attributes
    ----------
    part
        ``appearance`` or ``motion``.
    extent
        The dimension was moved from -extent to +extent.
    change
        Mean absolute change of a pixel for each dimension, in 8-bit levels (0 to 255), averaged over the codes.
    codes
        Number of codes averaged over.
    """

    part: str
    extent: float
    change: tuple[float, ...]
    codes: int

    @property
    def order(self) -> list[int]:
        """Dimensions from the strongest to the weakest; ties in order of number."""
        return sorted(range(len(self.change)), key=lambda k: (-self.change[k], k))

    def rank(self, dimension: int) -> int:
        """1 for the dimension that changes most."""
        if not 0 <= dimension < len(self.change):
            raise G3ANError(
                f"There is no {self.part} dimension {dimension}; they are numbered 0 to {len(self.change) - 1}."
            )
        return self.order.index(dimension) + 1


def rank_dimensions(
    generator: Any,
    part: str,
    codes: Codes | None = None,
    *,
    extent: float = 3.0,
    seed: int = 0,
    batch: int = 8,
    progress: bool = False,
) -> Effects:
    """Measure the effect of every dimension of z_a or z_m instead of picking one that looks good.

    Each dimension in turn goes to -extent and to +extent with all else fixed; its effect is the mean absolute
    difference of the two videos over all pixels and frames, averaged over ``codes``.

    Parameters
    ----------
    codes
        Where to measure; default two drawn codes for appearance, one of each category (at least eight) for motion.
    progress
        Show a tqdm bar.
    """
    from tqdm.auto import tqdm

    if codes is None:
        n = 2 if part == "appearance" else max(8, len(generator.config.classes))
        codes = sample_codes(generator.config, n, seed)
    changes = []
    for dimension in tqdm(range(_width(codes, part)), desc=f"{part} dimensions", disable=not progress):
        videos = generate(generator, traverse(codes, part, dimension, (-extent, extent)), batch)
        changes.append(float((videos[1::2] - videos[::2]).abs().mean(dtype=torch.float64)) * 255 / 2)
    return Effects(part, extent, tuple(changes), len(codes))
