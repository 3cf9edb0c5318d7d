"""The readers give the frames that were written, in order, and open nothing before they are asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_videos import encode, noisy, write_frames, write_strip

import g3an
from g3an.data.video import FrameFolder, PreparedClip, Strip, VideoFile, fit
from g3an.errors import G3ANError


def test_every_reader_gives_back_what_was_written(tmp_path: Path) -> None:
    frames = noisy(frames=20)
    np.save(tmp_path / "clip.npy", frames)
    readers = [
        VideoFile(encode(tmp_path / "video.mkv", frames)),
        FrameFolder(write_frames(tmp_path / "frames", frames)),
        Strip(write_strip(tmp_path / "strip.png", frames)),
        PreparedClip(tmp_path / "clip.npy"),
    ]
    for reader in readers:
        assert reader.count() == 20, reader
        for chosen in ([0], [3, 11, 2], range(20), range(1, 20, 3)):
            read = reader.read(chosen)
            assert read.dtype == np.uint8
            # RGB to the codec's planes and back is exact for bgr0; swscale may round by one.
            assert np.abs(read.astype(int) - frames[list(chosen)]).max() <= 1, reader


def test_jpeg_frames_are_read(tmp_path: Path) -> None:
    frames = noisy(frames=12)
    folder = FrameFolder(write_frames(tmp_path / "take", frames, ".jpg"))
    assert np.abs(folder.read(range(12)).astype(int) - frames).mean() < 8
    assert [path.name for path in folder.files()][9:] == ["img_9.jpg", "img_10.jpg", "img_11.jpg"]


def test_fit_cuts_the_centre_square() -> None:
    frames = np.zeros((2, 60, 100, 3), np.uint8)
    frames[:, :, 20:80] = 200  # exactly the square that stays
    assert np.array_equal(fit(frames, 30), np.full((2, 30, 30, 3), 200, np.uint8))
    tall = frames.transpose(0, 2, 1, 3)
    assert np.array_equal(fit(tall, 60), np.full((2, 60, 60, 3), 200, np.uint8))
    square = noisy(frames=2)
    assert fit(square, 64) is square


@pytest.mark.parametrize("content", [b"", b"no video at all", b"\0" * 5000])
def test_a_file_that_is_no_video_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    for name, reader in (("a.mp4", VideoFile), ("a.png", Strip)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(G3ANError, match=name) as error:
            reader(tmp_path / name).count()
        assert "\n" not in str(error.value)


def test_wrong_strips_and_folders_are_clear_errors(tmp_path: Path) -> None:
    Image.new("RGB", (200, 64)).save(tmp_path / "strip.png")
    with pytest.raises(G3ANError, match="multiple of its height"):
        Strip(tmp_path / "strip.png").count()
    write_frames(tmp_path / "take", noisy(frames=3))
    Image.new("RGB", (32, 32)).save(tmp_path / "take" / "img_2.png")
    with pytest.raises(G3ANError, match="differ in size"):
        FrameFolder(tmp_path / "take").read([1, 2])


def test_importing_opens_nothing_and_workers_need_no_torch() -> None:
    check = (
        "import sys, g3an.data.prepare; assert not {'torch', 'decord'} & set(sys.modules);"
        "import g3an.data.clips; assert 'decord' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(g3an.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", check], check=True, env=environment)
