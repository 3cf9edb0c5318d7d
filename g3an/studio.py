"""From a view of the explorer to pictures that play, and to files.

While someone drags a slider, one forward pass and one encoding of a small picture are all that stands between two
pictures: videos that did not change are kept, and enlarging is left to the browser.
"""

from __future__ import annotations

import io
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from g3an.catalogue import data_set, provenance, stamp
from g3an.errors import G3ANError
from g3an.files import atomic_write
from g3an.latents import Codes, generate, to_uint8
from g3an.plotting import FRAME_MS, Drawn, Panel, draw_panels, gif_bytes, png_bytes
from g3an.views import View, save_view

GAP = 2  # white pixels between videos that are seen together, before enlarging
KEPT = 96  # videos; one of 48 frames takes 0.6 MB
KINDS = {"gif": "GIF", "mp4": "MP4", "png": "PNG strip", "json": "Codes (JSON)"}
"""What can be exported, by suffix."""


class Studio:
    """Makes the videos of a view with one network.

    Parameters
    ----------
    generator
        From :func:`g3an.checkpoints.load_generator`.
    """

    def __init__(self, generator: Any) -> None:
        self.generator = generator
        self._kept: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def videos(self, view: View) -> np.ndarray:
        """The videos that are seen, (n, T, 64, 64, 3) uint8; those that were made before are not made again.

        Raises
        ------
        G3ANError
            The view does not fit the network.
        """
        codes = view.codes(self.generator)
        keys = [_key(code) for code in codes]
        with self._lock:
            missing = {key: code for key, code in zip(keys, codes, strict=True) if key not in self._kept}
            # Each on a core of its own: threads that share one video wait for each other, for long on a busy machine.
            for key, video in zip(missing, drawing_threads().map(self._video, missing.values()), strict=True):
                self._kept[key] = video
            for key in keys:
                self._kept.move_to_end(key)
            found = np.stack([self._kept[key] for key in keys])
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found

    def _video(self, code: Codes) -> np.ndarray:
        return to_uint8(generate(self.generator, code))[0]

    def frames(self, view: View) -> np.ndarray:
        """All that is seen in one picture, (T, H, W, 3) uint8: side by side or as the grid, white lines between."""
        videos = self.videos(view)
        columns = view.grid if view.show == "grid" else len(videos)
        rows = len(videos) // columns
        time, side = videos.shape[1:3]
        step = side + GAP
        page = np.full((time, rows * step - GAP, columns * step - GAP, 3), 255, np.uint8)
        for number, video in enumerate(videos):
            y, x = (place * step for place in divmod(number, columns))
            page[:, y : y + side, x : x + side] = video
        return page

    def alt(self, view: View) -> str:
        """The picture for those who cannot see it."""
        many = {"A and B": "Two generated videos side by side", "grid": f"{view.grid} by {view.grid} generated videos"}
        what = many.get(view.show, "A generated video")
        return f"{what}, {view.frames} frames, network trained on {data_set(self.generator)}. {view.words()}"

    def drawn(self, view: View, scale: int = 2) -> Drawn:
        """The view as a labelled figure, still and playing, that says which network drew it."""
        videos = self.videos(view)
        columns = view.grid if view.show == "grid" else len(videos)
        panel = Panel("", videos, tuple(view.labels()), columns)
        about = (provenance(self.generator), stamp(self.generator))
        return draw_panels([panel], f"Latent explorer: {view.words()}", *about, scale=scale)

    def export(self, path: str | Path, view: View, weights: str = "") -> Path:
        """Write what is seen; the suffix says as what, see :data:`KINDS`.

        GIF and MP4 play at about 8 frames a second, PNG holds all frames side by side, JSON the codes of A and B
        together with how they are looked at.

        Raises
        ------
        G3ANError
            Another suffix, a view that does not fit the network, or a file that cannot be written; an older file of
            that name survives.
        """
        path = Path(path)
        kind = path.suffix.lower().removeprefix(".")
        if kind not in KINDS:
            raise G3ANError(f"{path.name} cannot be exported; its name must end in .{', .'.join(KINDS)}.")
        if kind == "json":
            save_view(path, view, self.generator, weights)
            return path
        drawn = self.drawn(view)
        assert drawn.animation is not None
        with atomic_write(path) as temporary:
            if kind == "mp4":
                write_mp4(temporary, drawn.animation)
            else:
                still = png_bytes(drawn.still, "Latent explorer", self.alt(view)) if kind == "png" else b""
                temporary.write_bytes(still or gif_bytes(drawn.animation))
        return path


def _key(code: Codes) -> bytes:
    parts = [code.z_a, code.z_m, *([] if code.c is None else [code.c])]
    return b"".join(part.contiguous().numpy().tobytes() for part in parts)


@cache
def drawing_threads() -> ThreadPoolExecutor:
    """Threads that compute one video each, two at the most: the browser wants to draw, too."""
    count = max(1, min(2, os.cpu_count() or 1))
    return ThreadPoolExecutor(count, "g3an-video", initializer=torch.set_num_threads, initargs=(1,))


# --- Pictures that play -----------------------------------------------------------------------------------------------


def moving_bytes(frames: np.ndarray) -> bytes:
    """Frames (T, H, W, 3) uint8 as an endless lossless WebP, packed fast rather than small.

    Of what browsers play, this takes the least time: an animated PNG of a grid takes twice as long, and a GIF first has
    to choose 256 colours. `g3an bench explorer` has the numbers.
    """
    first, *rest = (Image.fromarray(frame) for frame in frames)
    stream = io.BytesIO()
    first.save(
        stream, "WEBP", save_all=True, append_images=rest, duration=FRAME_MS, loop=0,
        lossless=True, method=0, quality=0,
    )  # fmt: skip
    return stream.getvalue()


def still_bytes(frame: np.ndarray) -> bytes:
    """One frame (H, W, 3) uint8 as PNG."""
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def write_mp4(path: Path, frames: np.ndarray) -> None:
    """Frames (T, H, W, 3) uint8 as H.264, with a white line below or right where a side is odd.

    Raises
    ------
    G3ANError
        ffmpeg is missing or failed.
    """
    import imageio_ffmpeg

    height, width = frames.shape[1:3]
    even = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), constant_values=255)
    try:
        writer = imageio_ffmpeg.write_frames(
            str(path), (even.shape[2], even.shape[1]), fps=1000 / FRAME_MS, codec="libx264", macro_block_size=2,
            quality=None, output_params=["-crf", "12", "-movflags", "+faststart"], ffmpeg_log_level="error",
        )  # fmt: skip
        writer.send(None)
        for frame in even:
            writer.send(np.ascontiguousarray(frame))
        writer.close()
    except (OSError, RuntimeError) as error:
        raise G3ANError(f"ffmpeg could not write the MP4 ({str(error).strip().splitlines()[0]}).") from error
    if not path.stat().st_size:
        raise G3ANError("ffmpeg wrote no MP4; install the package's version of imageio-ffmpeg.")


# --- Only the newest request counts -----------------------------------------------------------------------------------


class Latest:
    """Does the newest request on a thread of its own; a request that a newer one overtakes is dropped.

    Parameters
    ----------
    work
        Called with the request.
    failed
        Called with one sentence when ``work`` raised.
    pause
        Seconds to wait for a newer request before work begins.
    """

    def __init__(self, work: Callable[[Any], None], failed: Callable[[str], None], pause: float = 0.015) -> None:
        self._work, self._failed, self._pause = work, failed, pause
        self._waiting: list[Any] = []
        self._busy = self._closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def submit(self, request: Any) -> None:
        """Do this instead of what still waits."""
        with self._changed:
            if self._closed:
                return
            self._waiting = [request]
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="g3an-explorer", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def wait(self, seconds: float = 60.0) -> bool:
        """Wait until nothing is to be done; False if it took longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, seconds)

    def close(self) -> None:
        """Drop what waits and end the thread."""
        with self._changed:
            self._closed, self._waiting = True, []
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                self._busy = True
                self._changed.wait_for(lambda: self._closed, self._pause)  # newer ones replace the request meanwhile
                if self._closed:
                    self._busy = False
                    self._changed.notify_all()
                    return
                request = self._waiting.pop()
            try:
                self._work(request)
            except Exception as error:  # whatever it is, the user hears of it and the explorer goes on
                self._failed(sentence(error))
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()


def sentence(error: BaseException) -> str:
    """What went wrong in one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, G3ANError) else f"{type(error).__name__}: {text or 'no further word'}."
