"""Decode a whole video strictly, or say why it cannot be trusted.

A damaged file often decodes to wrong frames without an error, so a video file is decoded twice: by ffmpeg, told to
stop at the first error and to say how many packets and frames there were, and by decord, whose frames are then compared
with ffmpeg's. Damage that leaves a valid stream (a flipped bit in Motion JPEG or VP9, say, which carry no checksums)
cannot be told from a video that looks like that; nothing here claims to.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from g3an.data.containers import container_fault
from g3an.data.crop import NoFace, Read, cut, face_squares
from g3an.data.video import FrameFolder, Strip, VideoFile, first_line, fit, image_size
from g3an.errors import G3ANError

SMALLEST = 16
"""A frame needs this many pixels on its shorter side to be of any use."""

MOST_PIXELS = 40_000_000
"""More than 8K: only a damaged header asks for larger frames, and they would fill the memory."""

# Two decoders may differ by a few levels in how they scale colour, at most this much on average over a frame.
_COLOUR_SLACK = 4.0
# By so much may a frame be nearer to ffmpeg's previous or next frame than to ffmpeg's frame of the same number.
_ORDER_SLACK = 0.25

# Frames decoded together: whole videos of large frames would not fit into memory.
_AT_ONCE = 8

# Names of ffmpeg's readers for real containers. Without the list it would also follow playlists to other files.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,mpeg,mpegts,mpegvideo,asf,flv,ogg"
# ffmpeg logs these as mere warnings, though part of the picture is missing.
_BAD_WARNING = re.compile(r"EOI missing|truncat|corrupt|invalid|conceal", re.IGNORECASE)


class Unusable(Exception):
    """Why a source is refused, in a few words."""


def load(kind: str, path: Path, size: int, length: int, timeout: float, crop: str = "centre") -> np.ndarray:
    """All frames of a source after every check: uint8 ``(T, size, size, 3)``, T at least ``length``.

    Parameters
    ----------
    kind
        ``video``, ``frames`` or ``strip``.
    timeout
        Seconds that ffmpeg may take.
    crop
        What is cut out: ``centre``, the largest square, or ``face``, see :func:`g3an.data.crop.face_squares`.

    Raises
    ------
    Unusable
        The source is damaged, too short or of a wrong size, or has no face to cut out.
    G3ANError
        The checks cannot be made at all.
    """
    if kind == "video":
        return _load_video(path, size, length, timeout, crop)
    try:
        frames = _load_strip(path, length) if kind == "strip" else _load_folder(path, length)
        squares = _squares(crop, lambda numbers: frames[list(numbers)], len(frames))
        return fit(frames, size) if squares is None else cut(frames, squares, size)
    except G3ANError as error:
        # What is in the brackets is Pillow's word on it; the path is named beside the reason already.
        raise Unusable(str(error)) from error


def _squares(crop: str, read: Read, count: int) -> np.ndarray | None:
    if crop == "centre":
        return None
    try:
        return face_squares(read, count)
    except NoFace as error:
        raise Unusable(str(error)) from error


def _load_strip(path: Path, length: int) -> np.ndarray:
    _check_image(path)
    width, height = image_size(path)
    if width % height:
        raise Unusable(f"wrong size: {width}×{height}, but the width of a strip is a multiple of its height")
    _check_shape(width // height, height, height, length)
    return Strip(path).read(range(width // height))


def _load_folder(path: Path, length: int) -> np.ndarray:
    folder = FrameFolder(path)
    files = folder.files()
    sizes: dict[tuple[int, int], str] = {}
    for file in files:
        _check_image(file)
        sizes.setdefault(image_size(file), file.name)
    if len(sizes) > 1:
        (first, one), (second, other) = list(sizes.items())[:2]
        raise Unusable(f"wrong size: {one} is {first[0]}×{first[1]}, but {other} is {second[0]}×{second[1]}")
    width, height = next(iter(sizes))
    _check_shape(len(files), width, height, length)
    return folder.read(range(len(files)))


def _check_image(path: Path) -> None:
    """Refuse an image that is empty, truncated or (PNG has checksums) changed."""
    if path.stat().st_size == 0:
        raise Unusable(f"empty file ({path.name})")
    try:
        # Loading a PNG skips its checksums; verify() does not, but leaves an image that cannot be loaded any more.
        with Image.open(path) as image:
            image.verify()
        with Image.open(path) as image:
            image.load()
    except Exception as error:  # a damaged header makes Pillow raise almost anything
        reason = first_line(error).replace(f"{str(path)!r}", path.name)
        raise Unusable(f"damaged or not an image ({path.name}: {reason})") from error


def _check_shape(count: int, width: int, height: int, length: int) -> None:
    if count == 0:
        raise Unusable("zero frames")
    if min(width, height) < SMALLEST:
        raise Unusable(f"wrong size: {width}×{height}, less than {SMALLEST} pixels")
    if count < length:
        raise Unusable(f"shorter than a clip: {count} frames of {length}")


def _load_video(path: Path, size: int, length: int, timeout: float, crop: str) -> np.ndarray:
    if path.stat().st_size == 0:
        raise Unusable("empty file")
    # ffmpeg goes first: it is the one that notices damage, and decord may crash over what it noticed.
    expected, shape = _strict_frames(path, timeout)
    if fault := container_fault(path):
        raise Unusable(fault)
    _check_shape(len(expected), shape[1], shape[0], length)
    try:
        reader = VideoFile(path).open()
        if len(reader) != len(expected):
            raise Unusable(
                f"decord finds {len(reader)} frames, ffmpeg {len(expected)} (damaged, or cut by an edit list)"
            )
        squares = _squares(crop, lambda numbers: reader.get_batch(list(numbers)).asnumpy(), len(expected))
        fitted = np.empty((len(expected), size, size, 3), np.uint8)
        seen = np.empty_like(expected)
        for start in range(0, len(expected), _AT_ONCE):
            frames = reader.get_batch(range(start, min(start + _AT_ONCE, len(expected)))).asnumpy()
            if frames.shape[1:3] != shape:
                raise Unusable(f"decord gives frames of {frames.shape[2]}×{frames.shape[1]}, not {shape[1]}×{shape[0]}")
            some = slice(start, start + len(frames))
            fitted[some] = fit(frames, size) if squares is None else cut(frames, squares[some], size)
            seen[some] = [_outline(frame) for frame in frames]
    except G3ANError as error:
        raise Unusable(str(error).replace(f"{path} ", "").replace("; try `g3an prepare`.", "")) from error
    except Unusable:
        raise
    except Exception as error:  # decord raises several kinds
        raise Unusable(f"cannot be decoded ({first_line(error)})") from error
    _compare(seen, expected)
    return fitted


def _compare(seen: np.ndarray, expected: np.ndarray) -> None:
    """Refuse a video when decord's frames are not ffmpeg's, in the same order.

    Parameters
    ----------
    seen, expected
        Outlines of decord's and of ffmpeg's frames, float32 ``(T, h, w, 3)``.
    """

    def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.abs(a - b).mean((1, 2, 3))

    own = distance(seen, expected)
    before = distance(seen[1:], expected[:-1])  # of frame t+1 to ffmpeg's t
    after = distance(seen[:-1], expected[1:])  # of frame t to ffmpeg's t+1
    wrong = own > _COLOUR_SLACK
    wrong[1:] |= own[1:] > before + _ORDER_SLACK
    wrong[:-1] |= own[:-1] > after + _ORDER_SLACK
    if wrong.any():
        raise Unusable(f"decord decodes other frames than ffmpeg, first at frame {int(wrong.argmax())}")


def _outline(frame: np.ndarray) -> np.ndarray:
    """A frame ``(H, W, 3)`` as mean colours of blocks, about 32 on the shorter side: float32 ``(h, w, 3)``."""
    block = max(1, min(frame.shape[:2]) // 32)
    return np.asarray(Image.fromarray(frame).reduce(block), dtype=np.float32)


def _strict_frames(path: Path, timeout: float) -> tuple[np.ndarray, tuple[int, int]]:
    """Outlines of ffmpeg's frames ``(T, h, w, 3)`` and (height, width), from a decoding that allows no error."""
    import imageio_ffmpeg

    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-loglevel", "level+verbose", "-xerror",
        "-threads", "1", "-err_detect", "explode+crccheck+bitstream+buffer+careful",
        "-max_pixels", str(MOST_PIXELS), "-format_whitelist", _CONTAINERS, "-protocol_whitelist", "file",
        "-i", f"file:{path}", "-map", "0:v:0", "-fps_mode", "passthrough", "-noautoscale",
        "-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-",
    ]  # fmt: skip
    outlines: list[np.ndarray] = []
    shapes: set[tuple[int, int]] = set()
    with tempfile.TemporaryFile() as messages:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=messages) as process:
            late = threading.Event()

            def expire() -> None:
                late.set()
                process.kill()

            clock = threading.Timer(timeout, expire)
            clock.start()
            try:
                assert process.stdout is not None
                for frame in _ppm_frames(process.stdout):
                    shapes.add(frame.shape[:2])
                    if len(shapes) > 1:
                        raise Unusable("wrong size: its frames change size on the way")
                    outlines.append(_outline(frame))
            finally:
                clock.cancel()
                if len(shapes) > 1:
                    process.kill()
        messages.seek(0)
        log = messages.read().decode(errors="replace").splitlines()
    if late.is_set():
        raise Unusable(f"decoding took longer than {timeout:g} seconds")
    _check_log(log, process.returncode, len(outlines))
    if not outlines:
        raise Unusable("zero frames")
    return np.stack(outlines), shapes.pop()


def _check_log(log: list[str], status: int, count: int) -> None:
    """Refuse what ffmpeg complained about, and a video with more packets than frames or the other way round."""
    complaints = []
    for line in log:
        if match := re.match(r"(?:\[[^\]]* @ 0x[0-9a-f]+\] )*\[(\w+)\] (.*)", line):
            level, text = match.groups()
            if level in ("error", "fatal", "panic") or (level == "warning" and _BAD_WARNING.search(text)):
                complaints.append(text.strip())
    if complaints or status:
        said = "; ".join(complaints)
        first = _short(complaints[0]) if complaints else f"ffmpeg ended with status {status}"
        if re.search(r"Unrecognized option|Error splitting the argument list|Unknown encoder", said):
            raise G3ANError(
                f"This ffmpeg cannot check videos ({first}); install the package's version of imageio-ffmpeg."
            )
        if "matches no streams" in said:
            raise Unusable("no video in it")
        if "Format not on whitelist" in said:
            raise Unusable("not a video, though its name says so")
        if "moov atom not found" in said:
            raise Unusable(f"truncated, or not a video ({first})")
        if re.search(r"partial file|truncat|End of file", said):
            raise Unusable(f"truncated ({first})")
        if count == 0 and "Invalid data found when processing input" in said:
            raise Unusable(f"not a video, or damaged at its start ({first})")
        raise Unusable(f"damaged ({first})")
    packets = re.search(r"Input stream #0:\d+ \(video\): (\d+) packets read", "\n".join(log))
    if packets is None:
        raise Unusable("ffmpeg did not report how many packets it read")
    if int(packets[1]) != count:
        raise Unusable(f"{packets[1]} packets give {count} frames (damaged, or cut by an edit list)")


def _short(text: str) -> str:
    """A complaint of ffmpeg's without paths and addresses, at most 120 characters."""
    return re.sub(r"file:\S+|\[[^\]]* @ 0x[0-9a-f]+\] ?|0x[0-9a-f]{6,}", "", text).strip(" ;:.")[:120]


def _ppm_frames(stream: IO[bytes]) -> Iterator[np.ndarray]:
    """Frames ``(H, W, 3)`` of a stream of PPM pictures, which state their sizes; a last, partial one is dropped."""
    while True:
        header = [stream.readline() for _ in range(3)]  # P6, "width height", 255
        if header[0] != b"P6\n" or not header[2].endswith(b"\n"):
            return
        width, height = (int(number) for number in header[1].split())
        content = stream.read(3 * width * height)
        if len(content) < 3 * width * height:
            return
        yield np.frombuffer(content, np.uint8).reshape(height, width, 3)
