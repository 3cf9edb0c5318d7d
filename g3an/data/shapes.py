"""``shapes``: a data set drawn in code, so that smoke runs, notebooks and tests need no data at all.

A video shows one coloured shape on a plain background. Its appearance (shape, colour, size, background) is the
"subject", how it moves is the category, and each video has its own phase and speed: the same three sources of
variation as z_a, c and z_m.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOTIONS = ("slide", "bounce", "orbit", "pulse")
"""The categories: side to side, hopping, round in a circle, growing and shrinking on the spot."""

FORMS = ("disc", "square", "triangle", "ring")
APPEARANCES = 12
FRAMES = 32


@dataclass(frozen=True)
class Drawing:
    """One drawn video; ``index`` runs over appearances, then motions.

    ``(seed, index)`` fixes every pixel. Appearance depends on ``seed`` and the appearance number alone, so the four
    videos of a subject look alike.
    """

    seed: int
    index: int
    size: int = 64

    @property
    def appearance(self) -> int:
        """Number of the subject, from 0."""
        return self.index // len(MOTIONS)

    @property
    def motion(self) -> str:
        """Name of the category."""
        return MOTIONS[self.index % len(MOTIONS)]

    def count(self) -> int:
        """Number of frames."""
        return FRAMES

    def read(self, frames: Sequence[int]) -> np.ndarray:
        """Draw the given frames: uint8 ``(len(frames), size, size, 3)``."""
        look = np.random.default_rng([self.seed, 0, self.appearance])
        act = np.random.default_rng([self.seed, 1, self.index])
        form = FORMS[self.appearance % len(FORMS)]
        # Hues are spread evenly, so that no two subjects of the same form share a colour.
        hue = (self.appearance / APPEARANCES + look.uniform(0, 0.5 / APPEARANCES)) % 1
        colour = np.array(colorsys.hsv_to_rgb(hue, look.uniform(0.75, 1), look.uniform(0.8, 1)))
        ground = np.full(3, look.uniform(0.05, 0.35))
        radius = look.uniform(0.13, 0.2)
        phase, speed = act.uniform(0, 2 * np.pi), 2 * np.pi / act.uniform(12, 20)

        x, y, scale = _path(self.motion, phase + speed * np.asarray(frames, dtype=np.float64))
        # Pixel centres in units of the frame, relative to the shape's centre: (T, size, size).
        axis = (np.arange(self.size) + 0.5) / self.size
        dx = axis[None, None, :] - x[:, None, None]
        dy = axis[None, :, None] - y[:, None, None]
        distance = _outline(form, dx, dy, (radius * scale)[:, None, None])
        # Coverage falls from 1 to 0 within one pixel of the outline: anti-aliasing.
        cover = np.clip(0.5 - distance * self.size, 0, 1)[..., None]
        return np.rint(255 * (cover * colour + (1 - cover) * ground)).astype(np.uint8)


def drawings(seed: int, size: int = 64) -> list[Drawing]:
    """All videos of the set, each appearance with each motion."""
    return [Drawing(seed, index, size) for index in range(APPEARANCES * len(MOTIONS))]


def _path(motion: str, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre (x, y) in [0, 1] and relative size of the shape at each angle of its cycle, three arrays ``(T,)``."""
    still = np.full_like(angle, 0.5)
    if motion == "slide":
        return 0.5 + 0.25 * np.sin(angle), still, np.ones_like(angle)
    if motion == "bounce":
        return still, 0.75 - 0.5 * np.abs(np.sin(angle / 2)), np.ones_like(angle)
    if motion == "orbit":
        return 0.5 + 0.25 * np.cos(angle), 0.5 + 0.25 * np.sin(angle), np.ones_like(angle)
    return still, still, 1.1 + 0.6 * np.sin(angle)


def _outline(form: str, dx: np.ndarray, dy: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Signed distance to the shape's outline, negative inside, in units of the frame."""
    if form == "disc":
        return np.hypot(dx, dy) - radius
    if form == "ring":
        return np.abs(np.hypot(dx, dy) - 0.8 * radius) - 0.35 * radius
    if form == "square":
        return np.maximum(np.abs(dx), np.abs(dy)) - 0.85 * radius
    # A triangle is where three half planes meet; their normals point down and to the upper left and right.
    side = np.sqrt(3) / 2
    return np.maximum(np.maximum(side * dx - 0.5 * dy, -side * dx - 0.5 * dy), dy) - 0.55 * radius
