"""The drawn data set: deterministic, and its factors are what their names say."""

from __future__ import annotations

import numpy as np
import pytest

from g3an.data.shapes import APPEARANCES, FRAMES, MOTIONS, Drawing, drawings


def centre_and_area(video: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre (x, y) of the shape in pixels, ``(T, 2)``, and its area, ``(T,)``, from its difference to the ground."""
    weight = np.abs(video.astype(float) - video[:, :1, :1].astype(float)).sum(-1)
    weight /= weight.max()
    area = weight.sum((1, 2))
    axis = np.arange(video.shape[1])
    return np.stack([(weight.sum(1) @ axis) / area, (weight.sum(2) @ axis) / area], axis=1), area


def test_seed_and_index_fix_every_pixel() -> None:
    first = Drawing(3, 7).read(range(FRAMES))
    assert first.shape == (FRAMES, 64, 64, 3) and first.dtype == np.uint8
    assert np.array_equal(first, Drawing(3, 7).read(range(FRAMES)))
    assert np.array_equal(first[[5, 2]], Drawing(3, 7).read([5, 2]))
    assert not np.array_equal(first, Drawing(4, 7).read(range(FRAMES)))
    assert not np.array_equal(first, Drawing(3, 6).read(range(FRAMES)))


@pytest.mark.parametrize("appearance", range(4))
def test_motions_move_as_named(appearance: int) -> None:
    for number, motion in enumerate(MOTIONS):
        centre, area = centre_and_area(Drawing(0, appearance * len(MOTIONS) + number).read(range(FRAMES)))
        across, down = np.ptp(centre, axis=0)
        growth = area.max() / area.min()
        assert (across > 20) == (motion in ("slide", "orbit")), motion
        assert (down > 20) == (motion in ("bounce", "orbit")), motion
        assert (growth > 2) == (motion == "pulse"), motion


def test_a_subject_keeps_its_colours_in_all_motions() -> None:
    def colours(index: int) -> set[tuple[int, ...]]:
        pixels = Drawing(0, index).read([0]).reshape(-1, 3)
        kinds, counts = np.unique(pixels, axis=0, return_counts=True)
        return {tuple(kinds[k]) for k in counts.argsort()[-2:]}

    everyone = []
    for appearance in range(APPEARANCES):
        own = [colours(appearance * len(MOTIONS) + motion) for motion in range(len(MOTIONS))]
        assert all(look == own[0] for look in own)
        everyone.append(frozenset(own[0]))
    assert len(set(everyone)) == APPEARANCES


def test_outlines_are_smooth() -> None:
    frame = Drawing(0, 0).read([0])[0]
    kinds, counts = np.unique(frame.reshape(-1, 3), axis=0, return_counts=True)
    between = len(kinds) - 2
    assert between >= 8, "a disc without anti-aliasing has two colours"
    assert counts.max() > 0.7 * counts.sum()


def test_there_is_each_appearance_in_each_motion() -> None:
    pairs = {(drawing.appearance, drawing.motion) for drawing in drawings(0)}
    assert len(pairs) == len(drawings(0)) == APPEARANCES * len(MOTIONS) and len(MOTIONS) >= 4
