"""Finding videos, telling people apart, and splits that keep them apart."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_videos import encode, noisy, write_frames, write_strip

from g3an.data import open_dataset
from g3an.data.layouts import EXPRESSIONS, chosen_subjects, ordered_classes, scan, scan_published, subject_of
from g3an.data.prepare import prepare
from g3an.errors import G3ANError


@pytest.mark.parametrize(
    ("stem", "subject"),
    [
        ("daria_wave1", "daria"),
        ("lena_run2", "lena"),
        ("daria_bend_mirrored", "daria"),
        ("flip_daria_bend", "daria"),
        ("subject3", "subject3"),
        ("subject3-mirror", "subject3"),
        ("subject3_hflip", "subject3"),
        ("001_deliberate_smile_1", "001"),
        ("v_ApplyEyeMakeup_g08_c02", "v_ApplyEyeMakeup_g08"),
        ("two_words", "two_words"),
        ("mirror", "mirror"),
        ("backflip", "backflip"),
    ],
)
def test_subject_of(stem: str, subject: str) -> None:
    assert subject_of(stem) == subject


def test_any_mix_is_found(tmp_path: Path) -> None:
    frames = noisy(frames=4)
    write_strip(tmp_path / "bend" / "subject1.png", frames)
    write_strip(tmp_path / "bend" / "subject10.png", frames)
    write_strip(tmp_path / "bend" / "subject2.png", frames)
    write_frames(tmp_path / "smile" / "anna_take", frames)
    write_frames(tmp_path / "smile" / "bob" / "take1", frames)
    (tmp_path / "walk").mkdir()
    (tmp_path / "walk" / "daria_walk.AVI").touch()
    (tmp_path / "walk" / "Thumbs.db").touch()
    (tmp_path / "walk" / ".hidden.avi").touch()
    found, refused = scan(tmp_path)
    assert [(video.relative, video.kind, video.category, video.subject) for video in found] == [
        ("bend/subject1.png", "strip", "bend", "subject1"),
        ("bend/subject2.png", "strip", "bend", "subject2"),
        ("bend/subject10.png", "strip", "bend", "subject10"),
        ("smile/anna_take", "frames", "smile", "anna_take"),
        ("smile/bob/take1", "frames", "smile", "bob"),
        ("walk/daria_walk.AVI", "video", "walk", "daria"),
    ]
    assert refused == []


def test_what_is_no_video_is_refused_with_its_reason(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "notes.txt").touch()
    (folder / "loop").symlink_to(tmp_path, target_is_directory=True)
    (folder / "nowhere.mp4").symlink_to("missing.mp4")
    (folder / "circle.mp4").symlink_to("circle.mp4")
    (tmp_path / "b").symlink_to(folder, target_is_directory=True)
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.mp4")
    found, refused = scan(tmp_path)
    assert found == []
    reasons = {entry.source: entry.reason for entry in refused}
    assert "folder loop" in reasons["a/loop"]
    assert "same folder as 'a'" in reasons["b"]
    assert "leads nowhere" in reasons["a/nowhere.mp4"] and "circle" in reasons["a/circle.mp4"]
    assert "not a video" in reasons["a/notes.txt"]
    assert "regular file" in reasons.get("a/pipe.mp4", "regular file")
    assert len(reasons) == (6 if hasattr(os, "mkfifo") else 5)


def test_a_damaged_strip_does_not_turn_its_folder_into_frames(tmp_path: Path) -> None:
    write_strip(tmp_path / "bend" / "subject1.png", noisy(frames=4))
    (tmp_path / "bend" / "subject0.png").write_bytes(b"damaged")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "bend" / "subject2.png")
    assert [video.kind for video in scan(tmp_path)[0]] == ["strip"] * 3


def test_root_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(G3ANError, match="not a folder"):
        scan(tmp_path / "missing")


def test_splits_keep_people_apart() -> None:
    subjects = [f"p{number % 13}" for number in range(60)]
    train, test = chosen_subjects(subjects, "train"), chosen_subjects(subjects, "test")
    assert train | test == set(subjects) and not train & test and len(test) == 3
    # Independent of order and of how many videos each has.
    assert chosen_subjects(sorted(set(subjects)), "test") == test
    assert chosen_subjects(subjects, ("leave_out", "p4")) == set(subjects) - {"p4"}
    assert chosen_subjects(subjects, ["only", "p4"]) == {"p4"}
    assert chosen_subjects(["a", "b"], "test") | chosen_subjects(["a", "b"], "train") == {"a", "b"}


@pytest.mark.parametrize(
    ("subjects", "split", "message"),
    [
        (["a", "b"], "validation", "Unknown split"),
        (["a", "b"], ("leave_out", "c"), "No subject is called 'c'"),
        (["a", "a"], "train", "two subjects or more"),
        (["a", "a"], ("leave_out", "a"), "only subject"),
        (["a", "b"], ("leave_out",), "Unknown split"),
    ],
)
def test_impossible_splits(subjects: list[str], split: object, message: str) -> None:
    with pytest.raises(G3ANError, match=message):
        chosen_subjects(subjects, split)  # type: ignore[arg-type]


def test_order_of_classes() -> None:
    assert ordered_classes("weizmann", ["bend", "jack", "wave2", "wave1", "run"]) == (
        "wave1", "wave2", "jack", "bend", "run",
    )  # fmt: skip
    assert ordered_classes("folder", ["wave1", "bend", "bend"]) == ("bend", "wave1")


def test_mug_as_published(tmp_path: Path) -> None:
    for subject, expression, take in (
        ("001", "happiness", "take000"), ("001", "happiness", "take001"), ("001", "neutral", "take000"),
        ("002", "sadness", "take000"), ("002", "Anger", "take000"), ("017", "surprise", "take003"),
    ):  # fmt: skip
        write_frames(tmp_path / "subjects" / subject / expression / take, noisy(frames=17), ".jpg")
    data = open_dataset("mug", tmp_path)
    assert data.classes == ("sad", "anger", "surprise", "happy"), "the appendix's order"
    found = sorted(zip(data.subjects, (data.classes[number] for number in data.categories), strict=True))
    assert found == [("001", "happy"), ("001", "happy"), ("002", "anger"), ("002", "sad"), ("017", "surprise")]
    assert [str(entry) for entry in data.refused] == [
        f"subjects/001/neutral/take000: 'neutral' is none of {', '.join(EXPRESSIONS)}"
    ]
    assert data.clip(0)["video"].shape == (3, 16, 64, 64)


def test_mug_is_prepared_by_expression(tmp_path: Path) -> None:
    write_frames(tmp_path / "mug" / "001" / "fear" / "take000", noisy(frames=16), ".jpg")
    write_frames(tmp_path / "mug" / "002" / "disgust" / "take000", noisy(frames=16), ".jpg")
    prepare(tmp_path / "mug", tmp_path / "clips", workers=1, progress=False, layout="mug")
    data = open_dataset("prepared", tmp_path / "clips")
    assert data.classes == ("disgust", "fear") and sorted(data.subjects) == ["001", "002"]


def smile(path: Path) -> None:
    encode(path, noisy(frames=20), "-c:v", "libx264", "-pix_fmt", "yuv420p")


def test_uva_nemo_as_published(tmp_path: Path) -> None:
    for name in ("001_deliberate_smile_1.mp4", "001_spontaneous_smile_2.mp4", "042_spontaneous_smile_1.mp4"):
        smile(tmp_path / "videos" / name)
    smile(tmp_path / "videos" / "intro.mp4")
    data = open_dataset("uva-nemo", tmp_path)
    assert data.classes == ("smile",) and data.subjects == ["001", "001", "042"]
    assert [entry.source for entry in data.refused] == ["videos/intro.mp4"]
    assert data.clip(2)["video"].shape == (3, 16, 64, 64)


def test_ucf101_as_published(tmp_path: Path) -> None:
    for name in ("v_Archery_g01_c01", "v_Archery_g01_c02", "v_YoYo_g25_c05"):
        encode(tmp_path / name.split("_")[1] / f"{name}.avi", noisy(frames=18))
    data = open_dataset("ucf101", tmp_path)
    assert data.classes == ("Archery", "YoYo")
    assert data.subjects == ["v_Archery_g01", "v_Archery_g01", "v_YoYo_g25"], "clips of one recording stay together"


def test_a_misplaced_root_says_what_was_expected_and_found(tmp_path: Path) -> None:
    write_frames(tmp_path / "001" / "fear" / "take000", noisy(frames=16), ".jpg")
    expected = r"does not hold UvA-NEMO as it is published, NNN_deliberate_smile_N.mp4 .* it holds 001/fear/take000\."
    with pytest.raises(G3ANError, match=expected):
        open_dataset("uva-nemo", tmp_path)
    with pytest.raises(G3ANError, match=r"does not hold MUG .*<subject>/<expression>/takeNNN.* it holds take000"):
        scan_published("mug", tmp_path / "001" / "fear")
    (tmp_path / "empty").mkdir()
    with pytest.raises(G3ANError, match="it holds nothing"):
        open_dataset("ucf101", tmp_path / "empty")
    with pytest.raises(G3ANError, match="is not a folder"):
        open_dataset("mug", tmp_path / "none")
    with pytest.raises(G3ANError, match="no published layout 'kth'"):
        scan_published("kth", tmp_path)
