"""Longer checks of the figures, run by ``make validate``: each draws everything anew.

The same thread count must give the same bytes; another one must agree within 2/255 a pixel.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from g3an import runs


def draw(folder: Path, threads: int) -> Path:
    """All figures, drawn by a fresh process into ``folder``."""
    root = runs.project_root()
    words = [sys.executable, "-m", "g3an", "figures", "--force", "--out", str(folder)]
    done = subprocess.run(
        words, cwd=root, env=os.environ | {"OMP_NUM_THREADS": str(threads)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name[0] != "."}


def frames(path: Path) -> np.ndarray:
    """(frames, H, W, 3) of a PNG or GIF."""
    with Image.open(path) as image:
        return np.stack([np.asarray(frame.convert("RGB"), dtype=np.int16) for frame in ImageSequence.Iterator(image)])


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> Path:
    return draw(tmp_path_factory.mktemp("first") / "figures", threads=2)


def test_two_clean_builds_give_the_same_bytes(first, tmp_path):
    one, two = contents(first), contents(draw(tmp_path / "figures", threads=2))
    assert "manifest.json" in one and len(one) > 10
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []


@pytest.mark.parametrize("threads", [1, 3])
def test_another_thread_count_agrees_within_two_levels(first, tmp_path, threads):
    other = draw(tmp_path / "figures", threads)
    pictures = [path for path in sorted(first.iterdir()) if path.suffix in {".png", ".gif"}]
    assert pictures
    for path in pictures:
        here, there = frames(path), frames(other / path.name)
        assert here.shape == there.shape, path.name
        assert np.abs(here - there).max() <= 2, path.name


def test_the_committed_figures_agree_with_redrawn_ones_within_two_levels(first):
    committed = runs.project_root() / "figures"
    names = {path.name for path in first.iterdir() if path.suffix in {".png", ".gif"}}
    assert names == {path.name for path in committed.iterdir() if path.suffix in {".png", ".gif"}}
    for name in sorted(names):
        assert np.abs(frames(first / name) - frames(committed / name)).max() <= 2, name
