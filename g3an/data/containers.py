"""What a container says about itself, checked without decoding: the frame count of AVI, the checksums of Matroska.

Decoders read around damage in a container and lose frames without a word.
"""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Iterator
from pathlib import Path

Bytes = bytes | mmap.mmap

_MATROSKA_START = b"\x1a\x45\xdf\xa3"
_SEGMENT, _CRC = 0x18538067, 0xBF


def container_fault(path: Path) -> str | None:
    """What is wrong with an AVI or Matroska file, in a few words; None when nothing is, and for other containers."""
    with open(path, "rb") as stream:
        if not stream.seek(0, 2):
            return "empty file"
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if content[:4] == b"RIFF" and content[8:12] == b"AVI ":
                return _avi_fault(content)
            if content[:4] == _MATROSKA_START:
                return _matroska_fault(content, 0, len(content))
    return None


def _avi_fault(content: Bytes) -> str | None:
    """Whether the stream header of the first video states as many frames as there are chunks of it."""
    stated, kind, track, tracks = 0, b"", -1, -1
    chunks = 0
    if content[4:8] == bytes(4):
        return None  # a recorder that was interrupted: no sizes are written down
    for name, start, size in _riff_chunks(content, 0, len(content)):
        if start + size > len(content):
            return "truncated (its header says it is longer)"
        if name == b"strh":
            tracks += 1
            kind = content[start : start + 4]
            if kind == b"vids" and track < 0:
                track = tracks
                stated = int.from_bytes(content[start + 32 : start + 36], "little")
        elif track >= 0 and name in (b"%02ddc" % track, b"%02ddb" % track):
            chunks += 1
    # Recorders that were interrupted leave 0.
    if stated and stated != chunks:
        return f"damaged ({chunks} frames stored, {stated} in its header)"
    return None


def _riff_chunks(content: Bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and size of each chunk between two places, those in lists included."""
    outermost = start == 0
    while start + 8 <= end:
        name, size = content[start : start + 4], int.from_bytes(content[start + 4 : start + 8], "little")
        if outermost and name != b"RIFF":
            return  # what some programs append behind the video
        if name in (b"RIFF", b"LIST"):
            yield name, start + 8, size
            yield from _riff_chunks(content, start + 12, min(start + 8 + size, end))
        else:
            yield name, start + 8, size
        start += 8 + size + size % 2


def _matroska_fault(content: Bytes, start: int, end: int) -> str | None:
    """Whether an element, down to the children of the segment, differs from the CRC-32 that it begins with, if any."""
    while start < end:
        try:
            name, start = _number(content, start, keep_mark=True)
            size, start = _number(content, start, keep_mark=False)
        except ValueError:
            return "damaged (no element where one must begin)"
        stop = end if size is None else start + size
        if stop > end:
            return "truncated (an element is longer than the file)"
        if name == _SEGMENT:
            if fault := _matroska_fault(content, start, stop):
                return fault
        # An element's checksum is its first child: one byte of name, one of size, four of value (little-endian).
        elif content[start : start + 2] == bytes((_CRC, 0x84)) and size is not None:
            value = int.from_bytes(content[start + 2 : start + 6], "little")
            if zlib.crc32(content[start + 6 : stop]) != value:
                return "damaged (a checksum is wrong)"
        elif size is None:
            return None  # a live recording: where its parts end is not written down
        start = stop
    return None


def _number(content: Bytes, start: int, keep_mark: bool) -> tuple[int | None, int]:
    """An EBML number and the place behind it; None for a size that is unknown (all bits set).

    Raises
    ------
    ValueError
        There is none.
    """
    if start >= len(content) or not content[start]:
        raise ValueError
    first = content[start]
    length = 9 - first.bit_length()
    if start + length > len(content):
        raise ValueError
    value = int.from_bytes(content[start : start + length], "big")
    if keep_mark:
        return value, start + length
    value -= 1 << (7 * length)
    return (None if value == (1 << (7 * length)) - 1 else value), start + length
