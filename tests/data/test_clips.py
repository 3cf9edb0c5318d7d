"""Clips: the same bytes whoever loads them, and the frames that were asked for."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from small_videos import encode, noisy, write_frames, write_strip
from torch.utils.data import DataLoader

from g3an.data import ClipDataset, open_dataset
from g3an.errors import G3ANError

WEIZMANN = Path(__file__).parents[2].parent / "shared" / "data" / "weizmann"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders with a video, a frame folder and a strip of 20, 30 and 40 frames."""
    root = tmp_path_factory.mktemp("mixed")
    encode(root / "run" / "daria_run.avi", noisy(1, 20), "-c:v", "mpeg4", "-q:v", "2")
    write_frames(root / "run" / "ido_run", noisy(2, 30))
    write_strip(root / "jack" / "subject1.png", noisy(3, 40))
    return root


def load(data: ClipDataset, epoch: int, workers: int, length: int = 24) -> torch.Tensor:
    loader = DataLoader(data.epoch(epoch, length), batch_size=5, num_workers=workers)
    return torch.cat([batch["video"] for batch in loader])


def test_shapes_gives_clips() -> None:
    data = open_dataset("shapes")
    assert data.classes == ("slide", "bounce", "orbit", "pulse") and len(data) == 48
    item = data.epoch(0, 3)[1]
    assert item["video"].shape == (3, 16, 64, 64) and item["video"].dtype == torch.float32
    assert -1 <= item["video"].min() < item["video"].max() <= 1
    assert data.categories[item["index"]] == item["category"]


def test_epochs_do_not_depend_on_workers_or_length_or_order(mixed: Path) -> None:
    data = open_dataset("folder", mixed, mirror=True, steps=(1, 2), seed=5)
    # The parent reads videos before it forks: the readers it used must be gone by then.
    alone = load(data, 2, 0)
    for workers in (1, 2):
        assert torch.equal(alone, load(data, 2, workers)), workers
    copy = pickle.loads(pickle.dumps(data)).epoch(2, 1000)
    for k in (23, 0, 7):
        assert torch.equal(copy[k]["video"], alone[k])
    assert not torch.equal(alone, load(data, 3, 0))
    other = open_dataset("folder", mixed, mirror=True, steps=(1, 2), seed=6)
    assert not torch.equal(alone, load(other, 2, 0))


def test_clips_that_belong_together(tmp_path: Path) -> None:
    frames = np.zeros((20, 64, 64, 3), np.uint8)
    for action, people in (("bend", "abc"), ("jack", "ab"), ("wave", "bcd")):
        for person in people:
            write_strip(tmp_path / action / f"{person}.png", frames)
    data = open_dataset("folder", tmp_path, seed=3)
    pairs, fours = data.epoch(4, 200, together=2), data.epoch(4, 240, together=4)
    shown = [[(data.subjects[i], data.categories[i]) for i in (clips[k]["index"] for k in range(len(clips)))]
             for clips in (pairs, fours)]  # fmt: skip
    for clips in shown:
        assert clips[0::2] == clips[1::2]
        assert set(clips) == set(zip(data.subjects, data.categories, strict=True))
    categories = [category for _, category in shown[1]]
    assert all(len(set(categories[k : k + 4])) == 1 for k in range(0, 240, 4))
    assert all(set(categories[k : k + 12]) == {0, 1, 2} for k in range(0, 240, 12)), "categories come in turn"
    assert any(shown[1][k] != shown[1][k + 2] for k in range(0, 240, 4)), "a four shows two people"
    again = data.epoch(4, 240, together=4)
    assert all(again[k]["index"] == fours[k]["index"] for k in (201, 3, 80))


def test_random_clips_cover_sources_starts_steps_and_sides(tmp_path: Path) -> None:
    # A frame's number is its colour, and a mark on the left tells the side: a clip says where it was cut.
    frames = np.zeros((20, 64, 64, 3), np.uint8)
    frames += (10 * np.arange(20, dtype=np.uint8))[:, None, None, None]
    frames[:, :, :8] = 255
    for name in ("a", "b"):
        write_strip(tmp_path / "x" / f"{name}.png", frames)
    data = open_dataset("folder", tmp_path, length=8, steps=(1, 2), mirror=True)
    seen = set()
    for item in (data.epoch(0, 400)[k] for k in range(400)):
        video = (item["video"] + 1) * 127.5
        numbers = (video[0, :, 0, 32] / 10).round().int().tolist()
        step = numbers[1] - numbers[0]
        assert numbers == list(range(numbers[0], numbers[0] + 8 * step, step))
        seen.add((item["index"], step, numbers[0], bool(video[0, 0, 0, 0] == 255)))
    possible = {
        (i, step, start, side)
        for i in (0, 1)
        for step in (1, 2)
        for start in range(20 - 7 * step)
        for side in (True, False)
    }
    assert seen <= possible and len(seen) > 0.9 * len(possible)


def test_without_mirror_no_clip_is_mirrored(tmp_path: Path) -> None:
    frames = np.zeros((16, 64, 64, 3), np.uint8)
    frames[:, :, :8] = 255
    write_strip(tmp_path / "x" / "a.png", frames)
    epoch = open_dataset("folder", tmp_path).epoch(0, 32)
    assert all(epoch[k]["video"][0, 0, 0, 0] == 1 for k in range(32))


def test_clip_and_windows_are_where_they_should_be(mixed: Path) -> None:
    data = open_dataset("folder", mixed)
    assert data.classes == ("jack", "run") and data.subjects == ["subject1", "daria", "ido"]
    assert [data.count(i) for i in range(3)] == [40, 20, 30]
    frames = data.frames(0)
    assert np.array_equal(frames, noisy(3, 40))
    as_video = lambda part: torch.from_numpy(part.transpose(3, 0, 1, 2).astype(np.float32)) / 127.5 - 1  # noqa: E731
    assert torch.allclose(data.clip(0)["video"], as_video(frames[12:28]), atol=1e-6)
    assert torch.allclose(data.clip(0, 3, step=2)["video"], as_video(frames[3:35:2]), atol=1e-6)
    assert torch.equal(data.clip(0, 5, flip=True)["video"], data.clip(0, 5)["video"].flip(-1))
    assert data.windows() == [(0, 0), (0, 16), (1, 0), (2, 0)]
    assert [start for i, start in data.windows(4) if i == 1] == [0, 4]
    assert data.windows(16, step=2) == [(0, 0)]


def test_too_short_is_told_apart_by_step(mixed: Path) -> None:
    data = open_dataset("folder", mixed, steps=(1, 2))
    with pytest.raises(G3ANError, match=r"daria_run.avi has 20 frames, too few .*`g3an prepare --length 31`"):
        data.clip(1, step=2)
    with pytest.raises(G3ANError, match="from frame 10 on"):
        data.clip(1, start=10)
    # Random clips fall back on the steps that fit.
    assert all(data.epoch(0, 30)[k]["video"].shape[1] == 16 for k in range(30))
    long = open_dataset("folder", mixed, length=32)
    with pytest.raises(G3ANError, match="too few for 32 frames"):
        for k in range(20):
            long.epoch(0, 20)[k]


def test_lengths_are_told_together_with_what_to_do(mixed: Path) -> None:
    open_dataset("folder", mixed, steps=(2, 1)).require_lengths()
    two = open_dataset("folder", mixed, steps=(2,))
    what = r"2 of 3 videos, such as .*run\.avi with 20 frames, are too short for 16 frames at step 2, which need 31"
    with pytest.raises(G3ANError, match=rf"^{what}: train with -p clip_steps \[1\], or .*`g3an prepare --length 31`"):
        two.require_lengths()
    long = open_dataset("folder", mixed, length=32)
    with pytest.raises(G3ANError, match=r"for 32 frames at step 1, which need 32: leave them out with .* --length 32"):
        long.require_lengths()


def test_a_fingerprint_tells_other_videos_but_not_another_folder(mixed: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(mixed, moved)
    known = open_dataset("folder", mixed).fingerprint()
    assert len(known) == 64 and open_dataset("folder", moved, steps=(2,), seed=3).fingerprint() == known
    write_strip(moved / "jack" / "subject2.png", noisy(3, 40))
    assert open_dataset("folder", moved).fingerprint() != known
    (moved / "jack" / "subject2.png").unlink()
    (moved / "jack").rename(moved / "wave")
    assert open_dataset("folder", moved).fingerprint() != known
    shapes = open_dataset("shapes")
    assert shapes.fingerprint() == open_dataset("shapes").fingerprint()
    shapes.subjects[0], shapes.subjects[-1] = shapes.subjects[-1], shapes.subjects[0]
    assert shapes.fingerprint() != open_dataset("shapes").fingerprint()


@pytest.mark.parametrize(("often", "drawn"), [([0.0, 0.0, 0.0], {0, 1, 2}), ([0.0, 1.0, 1.0], {1, 2})])
def test_videos_that_all_stand_still_come_up_equally(mixed: Path, often: list[float], drawn: set[int]) -> None:
    data = open_dataset("folder", mixed, length=4)
    data.often = often
    assert {data.epoch(0, 40)[k]["index"] for k in range(40)} == drawn


def test_sizes(mixed: Path) -> None:
    data = open_dataset("folder", mixed, size=32, length=4)
    assert all(data.clip(i)["video"].shape == (3, 4, 32, 32) for i in range(3))


def test_splits_reach_the_data(mixed: Path) -> None:
    left = open_dataset("folder", mixed, split=("leave_out", "daria"))
    only = open_dataset("folder", mixed, split=("only", "daria"))
    assert set(left.subjects) == {"subject1", "ido"} and only.subjects == ["daria"]
    # Numbers of categories stay the same on both sides.
    assert left.classes == only.classes and only.categories == [1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "mnist"}, "Unknown data set 'mnist'"),
        ({"name": "weizmann"}, "needs the folder"),
        ({"name": "weizmann", "root": "missing"}, "not a folder"),
        ({"name": "weizmann", "root": "."}, "holds no strips"),
        ({"name": "folder", "root": "."}, "holds no videos"),
        ({"name": "prepared", "root": "."}, "holds no prepared clips"),
        ({"name": "shapes", "length": 0}, "1 or more"),
        ({"name": "shapes", "steps": ()}, "1 or more"),
    ],
)
def test_bad_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(G3ANError, match=message):
        open_dataset(**arguments)


@pytest.mark.skipif(not WEIZMANN.is_dir(), reason="the Weizmann strips (shared/data/weizmann) are not here")
def test_weizmann() -> None:
    data = open_dataset("weizmann", WEIZMANN, mirror=True)
    assert data.classes == ("wave1", "wave2", "jack", "bend") and len(data) == 36
    assert set(data.subjects) == {f"subject{number}" for number in range(1, 10)}
    assert [data.categories.count(k) for k in range(4)] == [9] * 4
    assert sum(data.count(i) for i in range(36)) == 2645 and not data.refused
    assert torch.equal(load(data, 1, 0, 10), load(data, 1, 2, 10))
    assert set(open_dataset("weizmann", WEIZMANN, split=("leave_out", "subject3")).subjects) == {
        f"subject{number}" for number in range(1, 10) if number != 3
    }
