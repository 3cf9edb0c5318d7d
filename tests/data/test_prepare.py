"""``g3an prepare``: what it refuses and why, that it resumes, and that nothing changed gets past it unnoticed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_videos import encode, noisy, write_frames, write_strip

import g3an
from g3an.data import open_dataset
from g3an.data import prepare as module
from g3an.data.checks import Unusable, load
from g3an.data.prepare import PrepareReport, prepare
from g3an.errors import G3ANError

H264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p")


def run(source: Path, dest: Path, **options: object) -> PrepareReport:
    return prepare(source, dest, workers=1, progress=False, **options)  # type: ignore[arg-type]


@pytest.fixture
def strips(tmp_path: Path) -> Path:
    """Six strips in two classes: prepared in a moment, for no decoder needs to start."""
    for number in range(6):
        write_strip(tmp_path / "source" / "ab"[number % 2] / f"subject{number}.png", noisy(number, 18))
    return tmp_path / "source"


def reason(path: Path, kind: str = "video", **options: object) -> str:
    with pytest.raises(Unusable) as refusal:
        load(kind, path, **{"size": 64, "length": 16, "timeout": 60.0, **options})  # type: ignore[arg-type]
    assert str(path.parent) not in str(refusal.value), "the index names sources by where they are below the root"
    return str(refusal.value)


def test_all_kinds_are_prepared_and_read_back(tmp_path: Path) -> None:
    source, dest = tmp_path / "source", tmp_path / "a folder" / "prepared"
    wide = np.concatenate([noisy(4, 20), noisy(5, 20)], axis=2)
    encode(source / "x" / "anna.mp4", wide, *H264)
    write_frames(source / "x" / "bob", noisy(2, 17))
    write_frames(source / "y" / "cleo", noisy(6, 16), ".jpg")
    write_strip(source / "z" / "subject1.png", noisy(3, 30))
    report = run(source, dest)
    assert (report.accepted, report.refused, report.exit_code) == (4, [], 0)
    data, raw = open_dataset("prepared", dest), open_dataset("folder", source)
    assert data.classes == raw.classes == ("x", "y", "z")
    assert (data.categories, data.subjects) == (raw.categories, raw.subjects)
    for i in range(4):
        assert np.array_equal(data.frames(i), raw.frames(i)) and data.frames(i).shape[1:] == (64, 64, 3)
    assert not list(dest.rglob(".*")) and not (dest / module.JOURNAL).exists()


def test_reasons_of_videos(tmp_path: Path) -> None:
    good = encode(tmp_path / "good.mp4", noisy(), *H264, "-movflags", "+faststart").read_bytes()
    bad = tmp_path / "bad.mp4"

    def of(content: bytes) -> str:
        bad.write_bytes(content)
        return reason(bad)

    assert of(b"") == "empty file"
    assert "not a video" in of(b"text " * 100)
    assert "truncated" in of(good[: len(good) * 2 // 3])
    assert "damaged" in of(good[:400])
    index_last = encode(tmp_path / "index last.mp4", noisy(), *H264).read_bytes()
    assert "truncated, or not a video" in of(index_last[: len(index_last) // 2])
    assert "damaged" in of(good[:-600] + bytes(200) + good[-400:])
    assert load("video", tmp_path / "good.mp4", 64, 16, 60.0).shape == (24, 64, 64, 3)
    assert reason(tmp_path / "good.mp4", length=25) == "shorter than a clip: 24 frames of 25"
    assert "wrong size: 12×12" in reason(encode(tmp_path / "tiny.avi", noisy(size=12), "-c:v", "mpeg4"))
    assert "longer than 0.001 seconds" in reason(tmp_path / "good.mp4", timeout=0.001)


def test_a_video_without_frames_or_without_pictures(tmp_path: Path) -> None:
    empty = encode(tmp_path / "none.avi", noisy(frames=1)[:0], "-c:v", "mpeg4")
    assert any(word in reason(empty) for word in ("zero frames", "not a video", "no video"))
    sound = tmp_path / "sound.avi"
    from imageio_ffmpeg import get_ffmpeg_exe

    command = [get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "sine=d=1", "-c:a", "pcm_s16le", str(sound)]
    subprocess.run(command, check=True)
    assert reason(sound) == "no video in it"


def test_a_playlist_named_as_a_video_is_not_followed(tmp_path: Path) -> None:
    encode(tmp_path / "real.mp4", noisy(), *H264)
    playlist = tmp_path / "list.mp4"
    playlist.write_text("ffconcat version 1.0\nfile real.mp4\n")
    assert "not a video" in reason(playlist)


def test_lost_frames_are_noticed(tmp_path: Path) -> None:
    # A cut by an edit list: more packets than frames, and decord would show the hidden ones.
    from imageio_ffmpeg import get_ffmpeg_exe

    whole = encode(tmp_path / "whole.mp4", noisy(frames=30), *H264)
    cut = tmp_path / "cut.mp4"
    command = [get_ffmpeg_exe(), "-v", "error", "-ss", "0.3", "-i", str(whole), "-c", "copy", str(cut)]
    subprocess.run(command, check=True)
    assert "30 packets give" in reason(cut)


def test_decoders_that_disagree_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from g3an.data import checks

    video = encode(tmp_path / "video.mkv", noisy(frames=24))
    strict = checks._strict_frames

    def with_order(order: list[int]) -> None:
        def changed(path: Path, timeout: float) -> tuple[np.ndarray, tuple[int, int]]:
            outlines, shape = strict(path, timeout)
            return outlines[order], shape

        monkeypatch.setattr(checks, "_strict_frames", changed)

    with_order(list(range(24)))
    assert len(load("video", video, 64, 16, 60.0)) == 24
    with_order([*range(10), 9, *range(11, 24)])  # one frame repeated in place of another
    assert "other frames than ffmpeg, first at frame 10" in reason(video)
    with_order(list(range(23)))
    assert "decord finds 24 frames, ffmpeg 23" in reason(video)


def test_reasons_of_images(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "take", noisy(frames=15))
    assert reason(folder, "frames") == "shorter than a clip: 15 frames of 16"
    Image.new("RGB", (80, 64)).save(folder / "img_15.png")
    assert "wrong size: img_0.png is 64×64, but img_15.png is 80×64" in reason(folder, "frames")
    content = (folder / "img_0.png").read_bytes()
    (folder / "img_15.png").write_bytes(content[:-100])
    assert "damaged or not an image (img_15.png" in reason(folder, "frames")
    (folder / "img_15.png").write_bytes(b"")
    assert "empty file (img_15.png)" in reason(folder, "frames")
    Image.new("RGB", (640, 63)).save(tmp_path / "strip.png")
    assert "wrong size: 640×63" in reason(tmp_path / "strip.png", "strip")
    Image.new("RGB", (160, 8)).save(tmp_path / "strip.png")
    assert "less than 16 pixels" in reason(tmp_path / "strip.png", "strip")


def test_a_cut_jpeg_is_noticed(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "take", noisy(frames=16), ".jpg")
    image = folder / "img_7.jpg"
    content = image.read_bytes()
    for share in (0.3, 0.7, 0.98):
        image.write_bytes(content[: int(share * len(content))])
        assert "img_7.jpg" in reason(folder, "frames")


def test_the_rest_is_used_and_the_index_lists_what_is_not(strips: Path, tmp_path: Path) -> None:
    (strips / "a" / "notes.txt").write_text("not a video")
    write_strip(strips / "a" / "short.png", noisy(1, 5))
    (strips / "a" / "loop").symlink_to(strips, target_is_directory=True)
    report = run(strips, tmp_path / "dest")
    assert report.accepted == 6 and report.exit_code == 3
    index = json.loads((tmp_path / "dest" / "index.json").read_text())
    listed = {entry["source"]: entry["reason"] for entry in index["refused"]}
    assert listed == {entry.source: entry.reason for entry in report.refused}
    assert set(listed) == {"a/notes.txt", "a/short.png", "a/loop"}
    assert len(open_dataset("prepared", tmp_path / "dest").refused) == 3


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with pytest.raises(G3ANError, match="holds no videos"):
        run(source, tmp_path / "dest")
    write_strip(source / "short.png", noisy(1, 5))
    with pytest.raises(G3ANError, match=r"Nothing in .* can be used: 1 refused.*shorter than a clip"):
        run(source, tmp_path / "dest")
    assert json.loads((tmp_path / "dest" / "index.json").read_text())["refused"]


def test_impossible_destinations(strips: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(G3ANError, match="Cannot write"):
        run(strips, tmp_path / "file")
    with pytest.raises(G3ANError, match="is the source itself"):
        run(strips, strips)
    with pytest.raises(G3ANError, match="larger than 0"):
        run(strips, tmp_path / "dest", length=0)


def test_a_destination_below_the_source_is_not_read_as_one(strips: Path) -> None:
    assert run(strips, strips / "prepared").accepted == 6
    again = run(strips, strips / "prepared")
    assert (again.accepted, again.refused, again.unchanged) == (6, [], 6)


def test_a_second_run_reads_only_what_changed(strips: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    write_strip(strips / "a" / "short.png", noisy(1, 5))
    first = run(strips, dest)
    assert (first.accepted, len(first.refused), first.unchanged, first.changed) == (6, 1, 0, [])
    index = (dest / "index.json").read_bytes()
    times = {path: path.stat().st_mtime_ns for path in dest.rglob("*.npy")}
    second = run(strips, dest)
    assert (second.accepted, len(second.refused), second.unchanged, second.changed) == (6, 1, 7, [])
    assert (dest / "index.json").read_bytes() == index
    assert {path: path.stat().st_mtime_ns for path in dest.rglob("*.npy")} == times

    write_strip(strips / "a" / "subject0.png", noisy(40, 18))  # other content
    (strips / "b" / "subject1.png").unlink()
    (dest / "clips" / "a" / "subject2.png.npy").write_bytes(b"changed")
    write_strip(strips / "b" / "new.png", noisy(41, 18))
    third = run(strips, dest)
    assert (third.accepted, third.changed, third.unchanged) == (6, ["a/subject0.png"], 4)
    data = open_dataset("prepared", dest)
    assert "b/subject1.png" not in data.sources and "b/new.png" in data.sources
    assert np.array_equal(data.frames(data.sources.index("a/subject0.png")), noisy(40, 18))
    assert not (dest / "clips" / "b" / "subject1.png.npy").exists()


def test_other_settings_prepare_anew(strips: Path, tmp_path: Path) -> None:
    run(strips, tmp_path / "dest")
    report = run(strips, tmp_path / "dest", size=32)
    assert report.unchanged == 0
    assert open_dataset("prepared", tmp_path / "dest", size=32).frames(0).shape == (18, 32, 32, 3)


def test_a_killed_run_is_taken_up_where_it_stopped(tmp_path: Path) -> None:
    source, dest = tmp_path / "source", tmp_path / "dest"
    for number in range(200):
        write_strip(source / "a" / f"s{number}.png", noisy(number % 7, 16, 16))
    call = f"from g3an.data.prepare import prepare; prepare({str(source)!r}, {str(dest)!r}, workers=1, progress=False)"
    environment = {**os.environ, "PYTHONPATH": str(Path(g3an.__file__).parents[1])}
    process = subprocess.Popen([sys.executable, "-c", call], env=environment)
    journal = dest / module.JOURNAL
    deadline = time.monotonic() + 60
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= 20):
        assert time.monotonic() < deadline and process.poll() is None, "prepare ended before it could be killed"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (dest / "index.json").exists()
    with open(journal, "a") as stream:
        stream.write('{"source": "a/s199.pn')  # as if it had died in the middle of a line
    report = run(source, dest)
    assert report.accepted == 200 and 10 <= report.unchanged < 200 and not report.changed
    clean = run(source, tmp_path / "clean")
    assert clean.unchanged == 0
    assert (dest / "index.json").read_bytes() == (tmp_path / "clean" / "index.json").read_bytes()


def test_a_full_disk_stops_the_run_and_blames_no_file(strips: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    (dest / "clips").mkdir(parents=True)
    (dest / "clips" / "a").touch()  # a file where a folder must go: writing fails as on a full disk
    with pytest.raises(G3ANError, match="Cannot write"):
        run(strips, dest)
    assert not (dest / "index.json").exists()


def test_a_changed_result_is_refused(strips: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    run(strips, dest)
    clips = sorted(dest.rglob("*.npy"))
    random = np.random.default_rng(0)
    for path in [*clips, dest / "index.json"]:
        good = path.read_bytes()
        for _ in range(30):
            bad = bytearray(good)
            bad[random.integers(len(bad))] ^= 1 << int(random.integers(8))
            path.write_bytes(bad)
            with pytest.raises(G3ANError) as error:
                open_dataset("prepared", dest)
            assert path.name in str(error.value) and "\n" not in str(error.value)
        path.write_bytes(good)
    assert len(open_dataset("prepared", dest)) == 6
    clips[0].unlink()
    with pytest.raises(G3ANError, match="is missing"):
        open_dataset("prepared", dest)
