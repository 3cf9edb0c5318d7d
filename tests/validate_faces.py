"""Longer checks of the simulated faces and of all cards, run by ``make validate``: it draws test people, in minutes.

Expressions that a classifier cannot tell apart, or people that a probe takes for each other, would make every figure
and measure of the networks that learn from them worthless. And what a weights card says was measured is measured again,
of Weizmann where its clips are: in ``../shared/data/weizmann``, or where ``WEIZMANN`` says.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from g3an.cards import measured
from g3an.checkpoints import load_generator, shipped
from g3an.data import open_dataset
from g3an.data.faces.dataset import FaceDataset
from g3an.data.faces.sets import SETS
from g3an.evaluation.faces import measure, verification
from g3an.evaluation.factors import Reading, load_factors


@pytest.fixture(scope="module")
def data() -> FaceDataset:
    return open_dataset("mug-sim", split="test")  # type: ignore[return-value]


@pytest.fixture(scope="module")
def seen(data: FaceDataset) -> Reading:
    return load_factors().read(torch.stack([data.clip(i)["video"] for i in range(len(data))]))


def test_the_expressions_of_test_people_are_told_apart(data, seen):
    correct = seen.expression.argmax(1) == torch.tensor(data.categories)
    assert len(data) == 504 and correct.float().mean() >= 0.95, f"{correct.float().mean():.3f}"


def test_test_people_are_told_apart(data, seen):
    assert verification(seen, np.array(data.subjects)) > 0.95


@pytest.mark.parametrize("name", [name for name, card in shipped().items() if card["dataset"] in SETS])
def test_the_card_s_measurements_are_measured_again(name):
    card = shipped()[name]
    check(card["measured"], measure(load_generator(name), card["dataset"]).to_dict())


def test_the_card_of_real_clips_is_measured_again():
    root = Path(os.environ.get("WEIZMANN") or Path(__file__).parents[2] / "shared" / "data" / "weizmann")
    if not root.is_dir():
        pytest.skip(f"{root} is not there; WEIZMANN can name another folder of Weizmann's clips")
    card = shipped()["weizmann"]
    steps = card["training"]["clip_steps"]
    again = measured(load_generator("weizmann"), open_dataset("weizmann", str(root), split="all"), steps)
    assert again is not None
    check(card["measured"], again.to_dict())


def check(card: dict, again: dict) -> None:
    """That a card states what was measured again."""
    assert again.keys() == card.keys()
    for key, value in card.items():
        pairs = [(value, again[key])] if not isinstance(value, dict) else [(value[k], again[key][k]) for k in value]
        for stated, found in pairs:
            # Another machine rounds the last bits of a video otherwise, which can turn a clip or two of 1,000.
            assert found == pytest.approx(stated, abs=0.005), key
