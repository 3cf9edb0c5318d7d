"""Distances to training clips, and people who stay themselves, on clips whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from g3an.errors import G3ANError
from g3an.evaluation.memory import consistency, memory


def clouds(seed: int, people: int = 40, each: int = 5) -> tuple[torch.Tensor, list[str]]:
    random = torch.Generator().manual_seed(seed)
    middle = torch.randn(people, 12, generator=random).repeat_interleave(each, 0)
    who = [f"{seed}-{number}" for number in range(people) for _ in range(each)]
    return middle + 0.1 * torch.randn(people * each, 12, generator=random), who


def test_a_network_that_repeats_is_seen_and_one_that_invents_is_not():
    train, who = clouds(0)
    fresh, _ = clouds(1)
    new, _ = clouds(2)
    copies = train[::7] + 0.01 * torch.randn(len(train[::7]), 12, generator=torch.Generator().manual_seed(3))
    repeated, invented = memory(copies, train, who, fresh), memory(new, train, who, fresh)
    assert repeated.nearer == 1 and repeated.generated[2] < 0.2 * repeated.fresh[0]
    assert invented.nearer < 0.2 and invented.generated[1] == pytest.approx(invented.fresh[1], rel=0.2)
    assert repeated.nearest.tolist() == list(range(0, len(train), 7))


def test_without_fresh_clips_people_are_compared_with_each_other():
    train, who = clouds(0)
    alone = memory(train + 0.01, train, who)
    beside = memory(train + 0.01, train, who, clouds(1)[0])
    assert alone.nearer == 1 and alone.fresh[1] == pytest.approx(beside.fresh[1], rel=0.2)
    with pytest.raises(G3ANError, match="one person"):
        memory(train, train, ["a"] * len(train))


def test_the_distance_is_the_root_mean_square_in_units_of_spread():
    train, who = clouds(0)
    moved = train[:3] + 0.5 * train.double().std(0).float()
    assert memory(moved, train, who, train).distance == pytest.approx(np.full(3, 0.5), abs=0.2)
    assert memory(train[:3], train, who, train).distance == pytest.approx(np.zeros(3), abs=1e-5)


def people_in(clips: int, swapped: bool) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    shape = (clips, 3, 8 if swapped else 1, 4, 4)
    blocks = torch.rand(shape, generator=random) * 2 - 1
    frames = torch.nn.functional.interpolate(blocks.transpose(1, 2).flatten(0, 1), 64, mode="nearest")
    return frames.unflatten(0, (clips, -1)).transpose(1, 2).expand(-1, -1, 8, -1, -1).contiguous()


def test_one_person_a_clip_is_consistent_and_another_in_every_frame_is_not():
    steady, swapped = consistency(people_in(6, False)), consistency(people_in(6, True))
    assert steady.within == pytest.approx(0, abs=1e-6) and steady.between > 0.1
    assert swapped.ratio == pytest.approx(1, abs=0.1)
    assert steady.to_dict()["ratio"] == pytest.approx(0, abs=1e-6)


def test_what_cannot_be_measured_is_a_clear_sentence():
    with pytest.raises(G3ANError, match="2 or more clips"):
        consistency(people_in(6, False)[:1])
    with pytest.raises(G3ANError, match="same"):
        consistency(torch.zeros(3, 3, 8, 64, 64))
    with pytest.raises(G3ANError, match="not finite"):
        memory(torch.full((4, 3), torch.nan), torch.rand(5, 3), list("abcde"))
