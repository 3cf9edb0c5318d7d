"""Damage that decoders read around is found in what the container says about itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_videos import encode, noisy

from g3an.data.containers import container_fault

H264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.avi", ("-c:v", "mpeg4")),
        ("b.avi", ("-c:v", "rawvideo", "-pix_fmt", "bgr24")),
        ("c.mkv", H264),
        ("live.mkv", (*H264, "-f", "matroska", "-live", "1")),
        ("d.webm", ("-c:v", "libvpx", "-deadline", "realtime")),
        ("e.mp4", H264),
    ],
)
def test_whole_files_pass(tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    path = encode(tmp_path / name, noisy(frames=18), *options)
    assert container_fault(path) is None
    if name.endswith(".avi"):
        path.write_bytes(path.read_bytes() + b"appended by some program")
        assert container_fault(path) is None


def test_an_avi_that_lost_frames(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.avi", noisy(frames=18), "-c:v", "mpeg4")
    good = path.read_bytes()
    first = good.index(b"00dc", good.index(b"movi"))
    path.write_bytes(good[:first] + b"00xx" + good[first + 4 :])
    assert container_fault(path) == "damaged (17 frames stored, 18 in its header)"
    for length in (len(good) - 1, len(good) // 2, 100):
        path.write_bytes(good[:length])
        assert "truncated" in str(container_fault(path))
    path.write_bytes(b"")
    assert container_fault(path) == "empty file"


def test_any_change_behind_the_header_of_a_matroska_file_is_found(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", noisy(frames=18), *H264)
    good = path.read_bytes()
    cluster = good.index(b"\x1f\x43\xb6\x75")
    for place in np.random.default_rng(0).integers(cluster + 12, len(good) - 200, 50):
        bad = bytearray(good)
        bad[place] ^= 1
        path.write_bytes(bad)
        assert container_fault(path), place
