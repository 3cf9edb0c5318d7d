"""The transformations before the discriminators: alike over a clip, different between clips, differentiable."""

from __future__ import annotations

import pytest
import torch

from g3an.augment import augment
from g3an.config import AUGMENTATIONS, TrainConfig
from g3an.errors import G3ANError


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_nothing_asked_nothing_done() -> None:
    clips = torch.rand(2, 3, 4, 16, 16)
    assert augment(clips, (), seeded()) is clips


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_frames_of_a_clip_stay_alike_and_clips_differ(name: str) -> None:
    frame = torch.rand(1, 3, 1, 32, 32, generator=seeded(5)) * 2 - 1
    clips = frame.expand(6, 3, 5, 32, 32)
    out = augment(clips, (name,), seeded())
    assert out.shape == clips.shape
    assert torch.allclose(out, out[:, :, :1].expand_as(out)), "frames of a frozen clip no longer agree"
    assert not torch.allclose(out[0], out[1]) and not torch.allclose(out[0], clips[0])
    assert torch.equal(out, augment(clips, (name,), seeded()))
    assert not torch.equal(out, augment(clips, (name,), seeded(1)))


def test_flicker_survives() -> None:
    """D_V has to see it, so no transformation may take it out."""
    clips = torch.zeros(4, 3, 6, 32, 32)
    clips[:, :, ::2] = 0.2
    out = augment(clips, ("colour",), seeded())
    change = (out[:, :, 1:] - out[:, :, :-1]).abs().mean((1, 2, 3, 4))
    assert (change > 0.1).all()


def test_translation_moves_by_an_eighth_at_most() -> None:
    clips = torch.zeros(64, 3, 2, 32, 32)
    clips[..., 16, 16] = 1
    places = augment(clips, ("translation",), seeded())[:, 0, 0].nonzero()
    moved = places[:, 1:] - 16
    assert len(places) == 64 and moved.abs().max() == 4
    assert len({tuple(move) for move in moved.tolist()}) > 30


def test_cutout_is_one_grey_square() -> None:
    out = augment(torch.ones(8, 3, 2, 30, 30), ("cutout",), seeded())
    assert ((out == 0).sum((1, 2, 3, 4)) == 3 * 2 * 10 * 10).all()


def test_gradients_and_single_frames() -> None:
    frames = torch.rand(4, 3, 16, 16, requires_grad=True)
    out = augment(frames, AUGMENTATIONS, seeded())
    assert out.shape == frames.shape
    out.sum().backward()
    assert frames.grad is not None and frames.grad.abs().sum() > 0


def test_unknown_name() -> None:
    with pytest.raises(G3ANError, match="no augmentation 'spin'"):
        augment(torch.zeros(1, 3, 16, 16), ("spin",), seeded())
    with pytest.raises(G3ANError, match="augment names 'spin'"):
        TrainConfig.from_profile("smoke", augment=("spin",))
