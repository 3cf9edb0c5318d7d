"""Settings that cannot be are refused in one sentence that names them."""

from __future__ import annotations

import math

import pytest

from g3an.config import NEVER_NEGATIVE, TRAIN_PROFILES, ModelConfig, TrainConfig
from g3an.errors import G3ANError


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        *((name, -1, "it must be a finite number of at least 0") for name in NEVER_NEGATIVE),
        ("learning_rate_g", math.nan, "it must be a finite number of at least 0"),
        ("r1", math.inf, "it must be a finite number of at least 0"),
        ("video_width", 0, "it must be at least 1"),
        ("image_width", 0, "it must be at least 1"),
        ("betas", (0.5, 1.0), "they are two numbers from 0 to below 1"),
        ("betas", (-0.1, 0.9), "they are two numbers from 0 to below 1"),
        ("betas", (0.5,), "they are two numbers from 0 to below 1"),
        ("ema_decay", 1.0, "it must be from 0 to below 1"),
        ("ema_decay", -0.5, "it must be from 0 to below 1"),
        ("clip_steps", (), "it holds frame steps of 1 or more"),
        ("clip_steps", (2, 0), "it holds frame steps of 1 or more"),
    ],
)
def test_a_setting_that_cannot_be_is_named(name: str, value: object, problem: str) -> None:
    with pytest.raises(G3ANError, match=rf"^{name} is .*; {problem}\.$"):
        TrainConfig.from_profile("smoke", **{name: value})


def test_what_is_at_the_edge_is_taken() -> None:
    config = TrainConfig.from_profile("smoke", learning_rate_g=0.0, betas=(0.0, 0.999), ema_decay=0.0, seed=0)
    assert TrainConfig.from_dict(config.to_dict()) == config
    for profile in TRAIN_PROFILES.values():
        assert TrainConfig.from_dict(profile.to_dict()) == profile


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"widths": (8, 8, 0, 8, 8)}, r"widths is \(8, 8, 0, 8, 8\); each must be at least 1\."),
        ({"z_a_dim": 0}, r"z_a_dim is 0; it must be at least 1\."),
        ({"z_m_dim": -1}, r"z_m_dim is -1; it must be at least 1\."),
        ({"first_temporal_kernel": 0}, r"first_temporal_kernel is 0; it must be at least 1\."),
        ({"classes": ("a", "b", "a")}, r"classes names 'a' more than once; each category has one number\."),
        ({"attention_after": (3, 3)}, r"attention_after is \(3, 3\); F-SA stands only once after a module\."),
    ],
)
def test_a_network_that_cannot_be_is_named(wrong: dict, message: str) -> None:
    with pytest.raises(G3ANError, match=f"^{message}$"):
        ModelConfig.from_preset("small", **wrong)
