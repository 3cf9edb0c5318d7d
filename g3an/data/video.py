"""Readers for the forms in which videos come: files, folders of frames, horizontal strips, prepared clips.

Each reader is a small frozen record with ``count()`` and ``read(frames)``. None keeps anything open: a decord reader
that a forked process inherits aborts that process, so readers are opened, used and dropped within one call, in
whichever process makes it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from g3an.errors import G3ANError

VIDEO_SUFFIXES = frozenset(".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg .wmv .flv .ogv".split())
IMAGE_SUFFIXES = frozenset(".png .jpg .jpeg".split())

# What Pillow raises for a file that is no image, or a damaged one (struct.error is for some broken headers).
_NOT_AN_IMAGE = (OSError, ValueError, SyntaxError, EOFError, OverflowError, Image.DecompressionBombError)


class Reader(Protocol):
    """What a data set needs of a video."""

    def count(self) -> int:
        """Number of frames."""

    def read(self, frames: Sequence[int]) -> np.ndarray:
        """The given frames, uint8 ``(len(frames), H, W, 3)``."""


@dataclass(frozen=True)
class VideoFile:
    """A video file, decoded by decord (or decord2, which has the same import name)."""

    path: Path

    def open(self) -> Any:
        """A fresh decord reader; the caller drops it before it returns.

        Raises
        ------
        G3ANError
            decord cannot open the file.
        """
        import decord

        decord.logging.set_level(decord.logging.FATAL)
        try:
            # One thread: clips are read by several processes already.
            return decord.VideoReader(str(self.path), ctx=decord.cpu(0), num_threads=1)
        except (decord.DECORDError, RuntimeError, OSError) as error:
            raise G3ANError(f"{self.path} cannot be decoded ({first_line(error)}); try `g3an prepare`.") from error

    def count(self) -> int:
        return len(self.open())

    def read(self, frames: Sequence[int]) -> np.ndarray:
        import decord

        reader = self.open()
        if frames and max(frames) >= len(reader):
            raise G3ANError(f"{self.path} has {len(reader)} frames, but frame {max(frames)} is asked for.")
        try:
            return reader.get_batch(list(frames)).asnumpy()
        except (decord.DECORDError, RuntimeError) as error:
            raise G3ANError(f"{self.path} is damaged ({first_line(error)}); try `g3an prepare`.") from error


@dataclass(frozen=True)
class FrameFolder:
    """A folder of images, one a frame, in the natural order of their names (``img_2`` before ``img_10``)."""

    path: Path

    def files(self) -> list[Path]:
        """The images in order."""
        return sorted(images_in(self.path), key=natural_key)

    def count(self) -> int:
        return len(self.files())

    def read(self, frames: Sequence[int]) -> np.ndarray:
        files = self.files()
        read = [open_image(files[number]) for number in frames]
        if len({frame.shape for frame in read}) > 1:
            raise G3ANError(f"The frames in {self.path} differ in size; `g3an prepare` leaves such folders out.")
        return np.stack(read)


@dataclass(frozen=True)
class Strip:
    """One image that holds square frames side by side (the format of MoCoGAN's release of Weizmann)."""

    path: Path

    def count(self) -> int:
        width, height = image_size(self.path)
        if width % height:
            raise G3ANError(
                f"{self.path} is {width}×{height} pixels; the width of a strip is a multiple of its height."
            )
        return width // height

    def read(self, frames: Sequence[int]) -> np.ndarray:
        count = self.count()
        strip = open_image(self.path)
        return strip.reshape(strip.shape[0], count, -1, 3).transpose(1, 0, 2, 3)[list(frames)]


@dataclass(frozen=True)
class PreparedClip:
    """All frames of a video at their final size, as ``g3an prepare`` stored them; only what is read is loaded."""

    path: Path

    def count(self) -> int:
        return len(self._mapped())

    def read(self, frames: Sequence[int]) -> np.ndarray:
        return self._mapped()[list(frames)]

    def _mapped(self) -> np.ndarray:
        try:
            return np.load(self.path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise G3ANError(f"The prepared clip {self.path} cannot be read ({error}); run `g3an prepare`.") from error


READERS: dict[str, type[VideoFile] | type[FrameFolder] | type[Strip]] = {
    "video": VideoFile,
    "frames": FrameFolder,
    "strip": Strip,
}


def fit(frames: np.ndarray, size: int) -> np.ndarray:
    """Cut the centre square and resize it.

    Parameters
    ----------
    frames
        uint8 ``(T, H, W, 3)``.

    Returns
    -------
    uint8 ``(T, size, size, 3)``; the input itself where it fits already.
    """
    height, width = frames.shape[1:3]
    if height == width == size:
        return frames
    # Cutting first and resizing the square is the same picture for less work.
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    fitted = np.empty((len(frames), size, size, 3), np.uint8)
    for number, frame in enumerate(frames):
        square = Image.fromarray(np.ascontiguousarray(frame[top : top + side, left : left + side]))
        # Pillow filters over the whole source area when it shrinks, so thin structures do not flicker.
        fitted[number] = np.asarray(square.resize((size, size), Image.Resampling.BICUBIC))
    return fitted


def images_in(folder: Path) -> list[Path]:
    """Image files directly in a folder, in no particular order."""
    visible = (path for path in folder.iterdir() if not path.name.startswith("."))
    return [path for path in visible if path.suffix.lower() in IMAGE_SUFFIXES]


def image_size(path: Path) -> tuple[int, int]:
    """Width and height from an image's header.

    Raises
    ------
    G3ANError
        The file is no image.
    """
    try:
        with Image.open(path) as image:
            return image.size
    except _NOT_AN_IMAGE as error:
        raise G3ANError(f"{path} cannot be read as an image ({first_line(error)}).") from error


def open_image(path: Path) -> np.ndarray:
    """Decode an image to RGB, uint8 ``(H, W, 3)``.

    Raises
    ------
    G3ANError
        The file is no image, or is truncated or damaged.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except _NOT_AN_IMAGE as error:
        raise G3ANError(f"{path} cannot be read as an image ({first_line(error)}).") from error


def natural_key(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """A sort key that compares runs of digits as numbers; equal numbers fall back on the name."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.lower()) for part in parts], path.name


def first_line(error: BaseException) -> str:
    """What an exception says, in one line and without the source line in decord's C++ trace."""
    text = str(error).strip().splitlines()
    return re.sub(r"^\[[\d:]+\]\s*\S+:\d+:\s*", "", text[0])[:160] if text else type(error).__name__
