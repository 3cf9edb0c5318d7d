"""Hundreds of randomly damaged files: no crash, no hang, and no changed file that passes for a good one in silence."""

from __future__ import annotations

import collections
from pathlib import Path

import numpy as np
import pytest
from small_videos import encode, noisy, write_strip

from g3an.data import open_dataset
from g3an.data.prepare import prepare

FORMATS = {
    "h264.mp4": ("-c:v", "libx264", "-pix_fmt", "yuv420p"),
    "h264fast.mp4": ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-movflags", "+faststart"),
    "h264.mkv": ("-c:v", "libx264", "-pix_fmt", "yuv420p"),
    "mpeg4.avi": ("-c:v", "mpeg4", "-q:v", "4"),
    "mjpeg.avi": ("-c:v", "mjpeg", "-q:v", "4"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-cpu-used", "8"),
}
# Streams with so little redundancy that a flipped bit mostly gives other pictures that are just as valid.
UNGUARDED = ("mpeg4.avi", "mjpeg.avi", "vp9.webm")
EACH = 60


def damaged(good: bytes, kind: str, random: np.random.Generator) -> bytes:
    """One of three accidents at a random place."""
    bad = bytearray(good)
    place = int(random.integers(1, len(good)))
    if kind == "cut":
        return bytes(bad[:place])
    if kind == "inserted":
        bad[place:place] = random.bytes(int(random.integers(1, 200)))
    else:
        for place in random.integers(0, len(good), int(random.integers(1, 4))):
            bad[place] ^= 1 << int(random.integers(8))
    return bytes(bad)


@pytest.mark.slow
def test_damaged_videos(tmp_path: Path) -> None:
    """Every file gets an entry; a cut one, or one with bytes put in, is never taken with other frames than it had."""
    source, dest = tmp_path / "source", tmp_path / "dest"
    random = np.random.default_rng(20)
    for name, options in FORMATS.items():
        good = encode(source / name / f"whole{Path(name).suffix}", noisy(frames=20), *options).read_bytes()
        for number in range(EACH):
            kind = ("cut", "inserted", "flipped")[number % 3]
            (source / name / f"{kind}{number}{Path(name).suffix}").write_bytes(damaged(good, kind, random))
    report = prepare(source, dest, workers=2, progress=False, timeout=20)
    assert report.accepted + len(report.refused) == len(FORMATS) * (EACH + 1) > 300
    assert not [entry for entry in report.refused if "hung" in entry.reason], "ffmpeg's own clock comes first"

    data = open_dataset("prepared", dest)
    whole = {name: data.frames(data.sources.index(f"{name}/whole{Path(name).suffix}")) for name in FORMATS}
    wrong = collections.Counter[tuple[str, str]]()
    for i, path in enumerate(data.sources):
        name, file = path.split("/")
        if not np.array_equal(data.frames(i), whole[name]):
            wrong[name, file.rstrip("0123456789." + Path(name).suffix)] += 1
    guarded = sum(count for (name, _), count in wrong.items() if name not in UNGUARDED)
    cut = sum(count for (_, file), count in wrong.items() if file.startswith("cut"))
    inserted = sum(count for (_, file), count in wrong.items() if file.startswith("inser"))
    assert cut == 0, wrong
    assert inserted == 0, wrong
    assert guarded <= 3, wrong  # of 60 flipped ones: what leaves a valid stream cannot be told from a video like that


def test_changed_after_prepare(tmp_path: Path) -> None:
    """Each source that is no longer what it was is named as changed, and refused if it is damaged."""
    source, dest = tmp_path / "source", tmp_path / "dest"
    random = np.random.default_rng(21)
    for number in range(200):
        write_strip(source / "a" / f"s{number}.png", noisy(number % 9, 16, 24))
    first = prepare(source, dest, workers=1, progress=False)
    assert first.accepted == 200
    before = open_dataset("prepared", dest)
    frames = {path: before.frames(i) for i, path in enumerate(before.sources)}
    touched = []
    for number in range(0, 200, 2):
        path = source / "a" / f"s{number}.png"
        path.write_bytes(damaged(path.read_bytes(), ("cut", "inserted", "flipped")[number // 2 % 3], random))
        touched.append(f"a/s{number}.png")
    second = prepare(source, dest, workers=1, progress=False)
    assert second.changed == sorted(touched) and second.unchanged == 100
    after = open_dataset("prepared", dest)
    assert all(np.array_equal(after.frames(i), frames[path]) for i, path in enumerate(after.sources))
    assert len(second.refused) > 90 and {entry.source for entry in second.refused} <= set(touched)
