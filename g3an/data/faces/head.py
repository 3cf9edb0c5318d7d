"""The parametric head: a neutral mesh, targets that shape a person, and units that move a face.

``head.npz`` is built by ``tools/build_head.py`` from MakeHuman's base mesh, which is under CC0. Lengths are in
decimetres; x points to the head's left, y up, z to the camera.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

ASSET = Path(__file__).with_name("head.npz")

BODY, LEFT_EYE, RIGHT_EYE, UPPER_TEETH, LOWER_TEETH, TONGUE, LONG_HAIR = range(7)
"""Numbers of the parts of the mesh."""


class Head:
    """The asset, unpacked.

    Attributes
    ----------
    template
        Vertices of the neutral, average head, float32 ``(V, 3)``. Every pixel is textured by its place on it, so that
        brows and lips follow whatever shapes and moves the face.
    triangles, part
        ``(F, 3)`` into the vertices, and the part each belongs to.
    vertex_part
        The part of each vertex.
    coarse
        Fewer triangles of the skin and of the tongue, on some of the same vertices, by part: what rays are sent
        against.
    masks
        How far a vertex belongs to the lips, the lids, the inside of the mouth and the ears: float32 ``(V, 4)``.
    units
        Names of the 52 face units.
    """

    def __init__(self) -> None:
        with np.load(ASSET) as data:
            arrays = {name: data[name] for name in data.files}
        self.template = arrays["vertices"]
        quads = arrays["faces"].astype(np.int32)
        self.triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
        self.part = np.concatenate([arrays["part"]] * 2)
        self.vertex_part = np.zeros(len(self.template), np.uint8)
        self.vertex_part[self.triangles] = self.part[:, None]
        self.coarse = {
            part: arrays[f"coarse_{name}"].astype(np.int32) for part, name in ((BODY, "skin"), (TONGUE, "tongue"))
        }
        self.masks = arrays["masks"].astype(np.float32) / 255
        self._arrays = arrays
        self._place = {str(name): number for number, name in enumerate(arrays["target_names"])}
        self.units = tuple(name.removeprefix("unit/") for name in self._place if name.startswith("unit/"))
        # All units as one matrix: a frame is a product and a sum.
        self._moves = np.stack([self.target(f"unit/{name}").ravel() for name in self.units])

    def target(self, name: str) -> np.ndarray:
        """Offsets of one target at full strength, float32 ``(V, 3)``."""
        number = self._place[name]
        begin, end = self._arrays["target_starts"][number : number + 2]
        offsets = np.zeros_like(self.template)
        rows = self._arrays["target_offsets"][begin:end].astype(np.float32)
        offsets[self._arrays["target_indices"][begin:end]] = rows * self._arrays["target_units"][number]
        return offsets

    def shape(self, weights: Mapping[str, float]) -> np.ndarray:
        """The template with targets added, float32 ``(V, 3)``."""
        vertices = self.template.copy()
        for name, weight in weights.items():
            if weight:
                vertices += np.float32(weight) * self.target(name)
        return vertices

    def moved(self, neutral: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """A shaped head with its units at ``weights``, float32 ``(len(units),)`` in [0, 1]."""
        return neutral + (weights.astype(np.float32) @ self._moves).reshape(neutral.shape)


@lru_cache(maxsize=1)
def head() -> Head:
    """The asset, read once a process."""
    return Head()


def smooth(x: np.ndarray, low: float | np.ndarray, high: float | np.ndarray) -> np.ndarray:
    """A step from 0 at ``low`` to 1 at ``high`` without corners; ``high`` may be the smaller."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
