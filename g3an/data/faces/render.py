"""From a person and a pose to a picture: rays by :mod:`g3an.data.faces.rays`, shading in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import sparse

from g3an.data.faces.head import (
    BODY,
    LEFT_EYE,
    LONG_HAIR,
    LOWER_TEETH,
    RIGHT_EYE,
    TONGUE,
    UPPER_TEETH,
    Head,
    head,
    smooth,
)
from g3an.data.faces.rays import Triangles

PIVOT = np.array([0.0, 6.2, 0.35], np.float32)
"""What the head turns about: the top of the spine."""

FACE = 1.3
DISTANCE = 11.0
HALF_WIDTH = 1.36
CENTRE = 7.17
"""The camera: depth of the face, its distance from there, half of what it sees there, and the height it looks at."""


@dataclass(frozen=True)
class Person:
    """What a picture needs to know of a person, all of it constant over a clip.

    Colours are linear RGB in [0, 1].
    """

    neutral: np.ndarray
    skin: np.ndarray
    lips: np.ndarray
    iris: np.ndarray
    hair: np.ndarray
    brow: np.ndarray
    hairline: np.ndarray
    volume: tuple[float, float, float]
    long: bool
    strands: float
    beard: float
    brow_width: float
    shirt: np.ndarray
    background: np.ndarray
    key: np.ndarray
    key_colour: np.ndarray
    fill: float


@dataclass(frozen=True)
class Pose:
    """What changes from frame to frame: unit weights, the head's turn (radians), and where the eyes look."""

    units: np.ndarray
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    gaze: tuple[float, float] = (0.0, 0.0)


HAIRLINE_Z = np.array([-0.7, -0.1, 0.2, 0.34, 0.5, 0.62, 0.82, 1.02, 1.2, 1.42], np.float32)
"""Depths at which a hair style gives the height of its lower edge, from the nape to the forehead."""


class _Rig:
    """What depends on the asset alone."""

    def __init__(self, asset: Head) -> None:
        self.asset = asset
        t, part = asset.template, asset.vertex_part
        self.centre = {side: t[part == side].mean(0) for side in (LEFT_EYE, RIGHT_EYE)}
        self.eye_vertices = {side: np.flatnonzero(part == side) for side in (LEFT_EYE, RIGHT_EYE)}
        # Lids are what lies close to an eyeball and before its middle.
        self.lids = {}
        for side, vertices in self.eye_vertices.items():
            radius = np.linalg.norm(t[vertices] - self.centre[side], axis=1).max()
            away = np.linalg.norm(t - self.centre[side], axis=1)
            self.lids[side] = np.flatnonzero((part == BODY) & (away < 1.6 * radius) & (t[:, 2] > self.centre[side][2]))
        self.turns = smooth(t[:, 1] - 0.25 * t[:, 2], 5.35, 6.0)[:, None].astype(np.float32)
        self.turns[np.isin(part, (LEFT_EYE, RIGHT_EYE, UPPER_TEETH, LOWER_TEETH, TONGUE))] = 1
        # Rays meet a coarser skin, with the normals of the fine one: a triangle costs when it is handed over.
        others = ~np.isin(asset.part, list(asset.coarse))
        triangles = np.concatenate([*asset.coarse.values(), asset.triangles[others]])
        parts = np.concatenate(
            [*(np.full(len(some), part, np.uint8) for part, some in asset.coarse.items()), asset.part[others]]
        )
        # The hull of long hair closes before the face: open it there, as a parting to both sides.
        middle = t[triangles].mean(1)
        before = (parts == LONG_HAIR) & (middle[:, 2] > 0.62 - 0.5 * smooth(middle[:, 1], 6.4, 5.6))
        # The back of the head is never seen, nor that of an eyeball.
        back = np.where(parts == LONG_HAIR, -0.45, -0.12)
        for side, centre in self.centre.items():
            back[parts == side] = centre[2] - 0.02
        seen = (middle[:, 2] > back) & ~before & (middle[:, 1] > 5.4)
        number = {False: np.flatnonzero(seen & (parts != LONG_HAIR)), True: np.flatnonzero(seen)}
        self.triangles = {long: np.ascontiguousarray(triangles[some]) for long, some in number.items()}
        self.triangle_part = {long: parts[some] for long, some in number.items()}
        # A corner costs, too, so only those that are used are handed over.
        self.corners = {long: np.unique(some) for long, some in self.triangles.items()}
        self.handed = {
            long: np.searchsorted(self.corners[long], some).astype(np.int32) for long, some in self.triangles.items()
        }
        # Normals come from all triangles around the vertices that are used.
        self.around, self.gather = {}, {}
        for long, used in self.corners.items():
            place = np.full(len(t), -1)
            place[used] = np.arange(len(used))
            near = np.isin(asset.triangles, used).any(1)
            self.around[long] = asset.triangles[near]
            rows = place[self.around[long]].ravel()
            columns = np.repeat(np.arange(len(self.around[long])), 3)[rows >= 0]
            ones = np.ones(len(columns), np.float32)
            shape = (len(used), len(self.around[long]))
            self.gather[long] = sparse.csr_matrix((ones, (rows[rows >= 0], columns)), shape)
        # What a hit takes from the three corners of its triangle besides the normal.
        every = np.concatenate([t, asset.masks], 1).astype(np.float32)
        self.attributes = {long: every[used] for long, used in self.corners.items()}
        # Of all vertices, for hair that lifts the scalp.
        corners = asset.triangles
        ones = np.ones(corners.size, np.float32)
        where = (corners.ravel(), np.repeat(np.arange(len(corners)), 3))
        self.gather_all = sparse.csr_matrix((ones, where), (len(t), len(corners)))


@lru_cache(maxsize=1)
def rig() -> _Rig:
    """The head with what is derived from it, made once a process."""
    return _Rig(head())


def hair_field(place: np.ndarray, line: np.ndarray, ears: np.ndarray | float = 0.0) -> np.ndarray:
    """How far above its hair's lower edge a place on the template lies, in decimetres; below 0 there is skin."""
    edge = np.interp(place[:, 2], HAIRLINE_Z, line).astype(np.float32)
    return place[:, 1] - edge - 0.9 * np.asarray(ears)


def geometry(person: Person, pose: Pose) -> tuple[np.ndarray, np.ndarray, dict[int, np.ndarray]]:
    """Vertices, the turn of the head as a matrix, and the two eyeballs' centres, all in the camera's frame."""
    r = rig()
    v = r.asset.moved(person.neutral, pose.units)
    centres = {}
    for side in (LEFT_EYE, RIGHT_EYE):
        eye = person.neutral[r.eye_vertices[side]]
        centre = (eye.max(0) + eye.min(0)) / 2
        radius = np.linalg.norm(eye - centre, axis=1).max()
        lids = r.lids[side]
        away = v[lids] - centre
        length = np.linalg.norm(away, axis=1, keepdims=True)
        # Half-closed lids move on a straight line, through the eyeball: keep them on it.
        v[lids] = centre + away * np.maximum(1, 1.035 * radius / length)
        centres[side] = centre
    cos, sin = np.cos, np.sin
    y, p, o = pose.yaw, pose.pitch, pose.roll
    turn = (
        np.array([[cos(o), -sin(o), 0], [sin(o), cos(o), 0], [0, 0, 1]])
        @ np.array([[cos(y), 0, sin(y)], [0, 1, 0], [-sin(y), 0, cos(y)]])
        @ np.array([[1, 0, 0], [0, cos(p), sin(p)], [0, -sin(p), cos(p)]])
    ).astype(np.float32)
    turned = (v - PIVOT) @ turn.T + PIVOT
    v = v + (turned - v) * r.turns
    centres = {side: turn @ (c - PIVOT) + PIVOT for side, c in centres.items()}
    return v, turn, centres


def normals(v: np.ndarray, triangles: np.ndarray, gather: sparse.csr_matrix) -> np.ndarray:
    """Unit normals of vertices, the mean of their triangles' by area."""
    a, b, c = (v[triangles[:, k]] for k in range(3))
    ab, ac = b - a, c - a
    n = np.empty_like(ab)
    for k in range(3):  # np.cross spends most of its time on moving axes
        i, j = (k + 1) % 3, (k + 2) % 3
        n[:, k] = ab[:, i] * ac[:, j] - ab[:, j] * ac[:, i]
    return unit(gather @ n)


def unit(x: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return x / np.sqrt(np.maximum(np.einsum("ij,ij->i", x, x), 1e-18))[:, None]


def draw(person: Person, pose: Pose, size: int = 64, samples: int = 2, backend: str | None = None) -> np.ndarray:
    """One frame: uint8 ``(size, size, 3)``, of ``samples`` by ``samples`` rays a pixel."""
    r = rig()
    v, turn, centres = geometry(person, pose)
    triangles, parts = r.handed[person.long], r.triangle_part[person.long]
    n = normals(v, r.around[person.long], r.gather[person.long])
    eye, rays = camera(size * samples)
    scene = Triangles(v[r.corners[person.long]].astype(np.float32), triangles, backend)
    ends = scene.first(eye, rays)
    hit, b1, b2 = ends.ray, ends.u[:, None], ends.v[:, None]
    i, j, k = triangles[ends.triangle].T
    every = np.concatenate([n, r.attributes[person.long]], 1)
    at = every[i] * (1 - b1 - b2) + every[j] * b1 + every[k] * b2
    normal, place, mask = unit(at[:, :3]), at[:, 3:6], at[:, 6:]
    view = -rays[hit]
    point = eye[hit] - view * ends.distance[:, None]

    surface = _surface(person, pose, _Hits(parts[ends.triangle], place, mask, point), turn, centres)

    # Shadows of the key light.
    facing = normal @ person.key
    front = np.flatnonzero(facing > 0)
    lit = np.zeros(len(hit), np.float32)
    towards = np.broadcast_to(person.key, (len(front), 3)).copy()
    lit[front] = ~scene.blocked((point[front] + 0.02 * normal[front]).astype(np.float32), towards)
    wrap = np.clip((facing + 0.25) / 1.25, 0, 1)
    key = np.where(lit > 0, wrap, np.minimum(wrap, 0.2))
    shine = np.clip((normal * unit(person.key + view)).sum(1), 0, 1)
    other = np.array([-0.6 * np.sign(person.key[0]), 0.15, 0.75], np.float32)
    other /= np.linalg.norm(other)
    rim = (1 - np.clip((normal * view).sum(1), 0, 1)) ** 3
    soft = np.clip(normal @ other, 0, 1) * person.fill + (0.55 + 0.45 * normal[:, 1]) * 0.22 + 0.12 * rim
    colour = surface.albedo * ((key[:, None] * person.key_colour + soft[:, None]) * surface.open[:, None])
    colour += (surface.shine * shine**surface.sharp * lit)[:, None] * person.key_colour

    m = size * samples
    picture = _background(person, m)
    picture.reshape(-1, 3)[hit] = colour
    return _encode(_shrunk(picture, samples))


@lru_cache(maxsize=4)
def camera(m: int) -> tuple[np.ndarray, np.ndarray]:
    """Origin and direction of the rays through ``m`` by ``m`` points, row by row: two arrays ``(m * m, 3)``."""
    axis = ((np.arange(m, dtype=np.float32) + 0.5) / m * 2 - 1) * HALF_WIDTH
    x, y = np.meshgrid(axis, CENTRE - axis)
    origin = np.array([0, CENTRE, FACE + DISTANCE], np.float32)
    rays = unit(np.stack([x, y, np.full_like(x, FACE)], -1).reshape(-1, 3) - origin).astype(np.float32)
    return np.broadcast_to(origin, rays.shape).copy(), rays


def with_hair(neutral: np.ndarray, line: np.ndarray, volume: tuple[float, float, float]) -> np.ndarray:
    """The head with its scalp lifted along the normals by the thickness of the hair."""
    r = rig()
    place, ears = r.asset.template, r.asset.masks[:, 3]
    top, side, front = volume
    up = smooth(place[:, 1], 7.4, 8.3)
    forward = smooth(place[:, 2], 0.6, 1.3)
    thickness = (side + (top - side) * up + front * forward * up) * smooth(hair_field(place, line, ears), -0.02, 0.25)
    thickness[r.asset.vertex_part != BODY] = 0
    return neutral + normals(neutral, r.asset.triangles, r.gather_all) * thickness[:, None].astype(np.float32)


def _noise(x: np.ndarray, seed: float) -> np.ndarray:
    """Smooth, repeatable noise of one variable in [-1, 1]."""
    return (np.sin(x + seed) + np.sin(2.3 * x + 1.7 * seed) + np.sin(5.1 * x + 2.9 * seed)) / 3


# ------------------------------------------------------------------------------------------------
# What the surfaces are made of. Places are on the template, so that paint follows the face.
# ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Hits:
    """Where the rays ended, ``n`` of them: part, place on the template, masks, and point in the camera's frame."""

    part: np.ndarray
    place: np.ndarray
    mask: np.ndarray
    point: np.ndarray

    def at(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distance from the middle of the face, height and depth on the template."""
        return np.abs(self.place[:, 0]), self.place[:, 1], self.place[:, 2]


@dataclass(frozen=True)
class _Surface:
    """Albedo ``(n, 3)``, strength and exponent of the shine, and the share of all light that arrives, ``(n,)`` each."""

    albedo: np.ndarray
    shine: np.ndarray
    sharp: np.ndarray
    open: np.ndarray

    def paint(self, colour: np.ndarray | float, cover: np.ndarray) -> None:
        """Lay a colour over the albedo, ``cover`` in [0, 1]."""
        self.albedo[:] += (np.asarray(colour, np.float32) - self.albedo) * cover[:, None].astype(np.float32)


def _surface(person: Person, pose: Pose, hits: _Hits, turn: np.ndarray, eyes: dict[int, np.ndarray]) -> _Surface:
    count = len(hits.part)
    surface = _Surface(
        np.tile(person.skin.astype(np.float32), (count, 1)),
        np.full(count, 0.05, np.float32), np.full(count, 20, np.float32), np.ones(count, np.float32),
    )  # fmt: skip
    _paint_skin(person, hits, surface)
    _paint_features(person, hits, surface)
    _paint_shirt(person, hits, surface)
    _paint_hair(person, hits, surface)
    _paint_mouth(hits, surface)
    for side, centre in eyes.items():
        _paint_eye(person, pose, hits, surface, side, (hits.point - centre) @ turn)
    return surface


def _paint_skin(person: Person, hits: _Hits, surface: _Surface) -> None:
    side, y, z = hits.at()
    # Blood: cheeks, tip of the nose and ears are redder.
    cheek = np.exp(-((side - 0.45) ** 2 + (y - 6.95) ** 2) / 0.05)
    nose = np.exp(-(side**2 + (y - 6.95) ** 2) / 0.015)
    blush = 0.5 * (cheek + nose + hits.mask[:, 3])
    surface.albedo[:] *= 1 - blush[:, None] * np.array([0.02, 0.16, 0.14])
    below_eye = np.exp(-((side - 0.3) ** 2 / 0.03 + (y - 7.14) ** 2 / 0.004))
    surface.albedo[:] *= (1 - 0.10 * below_eye)[:, None]
    # What is shaved shows on chin, jaw and upper lip.
    upper_edge = 0.55 * np.clip(side - 0.3, 0, 1) + 0.10 * smooth(side, 0.1, 0.3)
    bearded = smooth(y - upper_edge, 6.90, 6.64) * smooth(y, 5.95, 6.3) * smooth(z, 0.25, 0.75)
    bearded *= 1 - smooth(hits.mask[:, 0], 0.2, 0.6)
    surface.paint(0.6 * person.hair + np.array([0.01, 0.01, 0.012]), 0.55 * person.beard * bearded)
    # Shade below the chin and in the nostrils, which the lights would not know of.
    throat = smooth(y, 6.35, 6.05) * smooth(z, 1.3, 0.6) * smooth(y, 5.3, 5.8)
    nostril = np.exp(-((side - 0.085) ** 2 / 0.0018 + (y - 6.875) ** 2 / 0.0015)) * smooth(z, 1.40, 1.45)
    surface.open[:] *= (1 - 0.35 * throat) * (1 - 0.7 * nostril)


def _paint_features(person: Person, hits: _Hits, surface: _Surface) -> None:
    """Lips, brows, lashes and the inside of the mouth."""
    side, y, z = hits.at()
    lips = smooth(hits.mask[:, 0], 0.35, 0.75)
    surface.paint(person.lips, lips)
    surface.shine[:] += 0.06 * lips
    along = (side - 0.12) / 0.42  # from the inner to the outer end of the brow
    line = 7.415 + 0.085 * np.sin(np.clip(along, 0, 1.15) * 2.2) - 0.03 * np.clip(along, 0, 1)
    width = person.brow_width * (0.62 + 0.5 * np.clip(along, 0, 0.3) - 0.62 * np.clip(along - 0.3, 0, 1))
    ends = smooth(along, -0.12, 0.06) * smooth(along, 1.08, 0.9) * (z > 0.6)
    brow = smooth(np.abs(y - line), width, 0.45 * width) * ends
    surface.paint(person.brow, 0.92 * brow)
    lids = smooth(hits.mask[:, 1], 0.5, 0.9)
    lash = lids * smooth(y, 7.27, 7.30)
    surface.albedo[:] *= ((1 - 0.75 * lash) * (1 - 0.25 * lids))[:, None]
    surface.shine[:] *= (1 - brow) * (1 - lash)
    inside = smooth(hits.mask[:, 2], 0.25, 0.7)
    surface.paint(np.array([0.20, 0.035, 0.03]), inside)
    surface.open[:] *= 1 - 0.75 * inside


def _paint_shirt(person: Person, hits: _Hits, surface: _Surface) -> None:
    side, y, z = hits.at()
    collar = 5.86 + 0.16 * smooth(side, 0.0, 0.9) - 0.14 * smooth(z, 0.2, 1.0)
    cloth = ((hits.part == BODY) & (y < collar)).astype(np.float32)
    hem = 1 - 0.25 * smooth(y, collar - 0.05, collar)
    surface.paint(person.shirt * hem[:, None], cloth)
    surface.shine[:] *= 1 - cloth


def _paint_hair(person: Person, hits: _Hits, surface: _Surface) -> None:
    angle = np.arctan2(hits.place[:, 0], hits.place[:, 2] - 0.45)
    field = hair_field(hits.place, person.hairline, hits.mask[:, 3])
    line = np.flatnonzero(np.abs(field) < 0.1)  # elsewhere a ragged edge changes nothing
    field[line] += 0.025 * _noise(angle[line] * 23, person.strands)
    hair = np.where(hits.part == BODY, smooth(field, -0.03, 0.06), hits.part == LONG_HAIR).astype(np.float32)
    strands = np.zeros_like(angle)
    on = np.flatnonzero(hair)
    strands[on] = 0.22 * _noise(angle[on] * 31 + 3 * hits.place[on, 1], person.strands)
    strands[on] += 0.12 * _noise(angle[on] * 83, 2 * person.strands)
    stubble = not any(person.volume)
    surface.paint(person.hair * (1 + strands)[:, None], hair * (0.62 if stubble else 1.0))
    surface.shine[:] += (0.10 * person.hair.mean() + 0.025 - surface.shine) * hair
    surface.sharp[:] += (14 - surface.sharp) * hair


def _paint_mouth(hits: _Hits, surface: _Surface) -> None:
    teeth = (hits.part == UPPER_TEETH) | (hits.part == LOWER_TEETH)
    surface.albedo[teeth] = np.array([0.72, 0.68, 0.58])
    surface.open[teeth] = 0.75 * smooth(hits.place[teeth, 2], 1.0, 1.35)  # the back ones lie in the dark
    tongue = hits.part == TONGUE
    surface.albedo[tongue] = np.array([0.42, 0.12, 0.11])
    surface.open[tongue] = 0.6


def _paint_eye(person: Person, pose: Pose, hits: _Hits, surface: _Surface, side: int, out: np.ndarray) -> None:
    """Iris and pupil, by the angle between a point of the eyeball, ``out`` from its centre, and where the eye looks."""
    at = np.flatnonzero(hits.part == side)
    out = unit(out[at])
    across, up = pose.gaze
    look = np.array([np.sin(across) * np.cos(up), np.sin(up), np.cos(across) * np.cos(up)])
    angle = np.arccos(np.clip(out @ look, -1, 1))
    colour = np.tile(np.array([0.70, 0.67, 0.64]), (len(at), 1))
    ring = 1 - 0.55 * smooth(angle, 0.36, 0.50)  # the iris is darker at its rim
    colour += (person.iris * ring[:, None] - colour) * smooth(angle, 0.52, 0.46)[:, None]
    colour += (0.008 - colour) * smooth(angle, 0.23, 0.18)[:, None]
    surface.albedo[at] = colour
    surface.shine[at], surface.sharp[at] = 0.7, 120
    # The upper lid and its lashes shade the eyeball, and so do the corners.
    surface.open[at] = 0.95 - 0.55 * smooth(out[:, 1], 0.05, 0.42) - 0.25 * smooth(np.abs(out[:, 0]), 0.45, 0.8)


def _background(person: Person, m: int) -> np.ndarray:
    axis = (np.arange(m, dtype=np.float32) + 0.5) / m
    down = axis[:, None, None]
    across = (axis[None, :, None] - 0.5) * 2
    shade = 1.12 - 0.30 * down - 0.12 * across**2 + 0.10 * across * np.sign(person.key[0])
    return (person.background * shade).astype(np.float32)


def _shrunk(picture: np.ndarray, samples: int) -> np.ndarray:
    """The mean of each ``samples`` by ``samples`` points; slices add up several times as fast as a mean over axes."""
    rows = picture[::samples].copy()
    for k in range(1, samples):
        rows += picture[k::samples]
    pixels = rows[:, ::samples].copy()
    for k in range(1, samples):
        pixels += rows[:, k::samples]
    return pixels / samples**2


def _encode(linear: np.ndarray) -> np.ndarray:
    """Linear light to sRGB bytes."""
    linear = np.clip(linear, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255 * srgb).astype(np.uint8)
