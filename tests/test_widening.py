"""A widened generator makes the narrow one's videos, and its two halves can learn apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from g3an.checkpoints import begin_from, fold_spectral_norm, load_generator, save_generator
from g3an.config import ModelConfig
from g3an.errors import G3ANError
from g3an.generator import Generator
from g3an.training import recompute_statistics
from g3an.widening import is_twice_as_wide, widen, widen_to_sides

NARROW = (16, 8, 8, 4, 4)


def narrow(**shape: Any) -> Generator:
    """With weights, norms and F-SA that all say something."""
    torch.manual_seed(0)
    config = ModelConfig.from_preset("small", classes=("left", "right"), **{"widths": NARROW, **shape})
    generator = fold_spectral_norm(Generator(config))
    for name, value in generator.named_parameters():
        value.data += 0.3 * torch.randn(value.shape) if value.dim() == 1 else 0
        if name.endswith("gamma"):
            value.data.fill_(0.7)
    recompute_statistics(generator, 0, passes=4, batch=9)
    return generator.eval()


def codes(batch: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    return torch.randn(batch, 128, generator=random), torch.randn(batch, 10, generator=random), torch.arange(batch) % 2


@pytest.mark.parametrize(
    "shape",
    [
        {"attention_after": (1, 2)},
        {"attention_after": (0,), "attention_parts": ("S",), "conv_mode": "2p1d"},
        {"attention_after": (1,), "streams": ("T",), "conv_mode": "3d"},
        {"attention_after": (), "streams": ("S",)},
        {"attention_after": (), "streams": ()},
    ],
)
def test_the_same_videos(shape: dict[str, Any]) -> None:
    generator = narrow(**shape)
    wide = widen(generator)
    assert wide.config.widths == tuple(2 * width for width in NARROW)
    assert is_twice_as_wide(wide.config, generator.config) and not is_twice_as_wide(generator.config, wide.config)
    with torch.no_grad():
        expected, found = generator(*codes()), wide(*codes())
    assert torch.allclose(found, expected, atol=2e-5)
    assert expected.std() > 0.01, "the videos show something"


def test_small_becomes_the_appendix() -> None:
    wide = widen(Generator(ModelConfig.from_preset("small", classes=("left", "right")), spectral_norm=False).eval())
    assert wide.config == ModelConfig.from_preset("appendix", classes=("left", "right"))


def test_training_begins_from_half_the_widths(tmp_path: Path) -> None:
    generator = narrow(attention_after=(2,))
    path = save_generator(tmp_path / "narrow", generator, {"steps": 7}, dtype=torch.float32)[-1]
    wide = Generator(ModelConfig.from_preset("small", classes=("left", "right"), attention_after=(2,),
                                             widths=tuple(2 * width for width in NARROW)))  # fmt: skip
    (origin,) = begin_from(wide, path)
    assert origin["widths"] == list(NARROW) and origin["weights_hash"] == load_generator(path).weights_hash
    wide.train()
    generator.train()
    with torch.no_grad():
        for _ in range(60):  # the power iterations find the norms
            wide(*codes())
        # With the statistics of a batch, which undo what spectral norms change in scale; F-SA has no norm behind it.
        assert torch.allclose(wide(*codes()), generator(*codes()), atol=5e-3)


@pytest.mark.parametrize(
    "shape",
    [
        {"attention_after": ()},
        {"attention_after": (1,), "attention_parts": ("T",)},
        {"attention_after": (), "conv_mode": "2p1d"},
        {"attention_after": (), "streams": ("T",), "conv_mode": "3d"},
    ],
)
def test_one_half_makes_the_videos_and_the_other_their_mirror_images(shape: dict[str, Any]) -> None:
    generator = narrow(**shape)
    for name, value in generator.named_parameters():
        if name.endswith((".f.weight", ".f.bias")):
            value.data.zero_()  # attention to all alike: else the halves heed what each other looks at
    wide = widen_to_sides(generator)
    with torch.no_grad():
        plain, both = generator(*codes()).atanh(), wide(*codes()).atanh()
        assert torch.allclose(both, (plain + plain.flip(4)) / 2, atol=2e-5)
        assert (plain - plain.flip(4)).std() > 0.01, "they have a left and a right"
        fused = 2 if "S" in generator.config.streams else 1
        for half, side in ((0, plain), (1, plain.flip(4))):
            alone = wide.to_rgb.weight.clone()
            alone.unflatten(1, (fused, 2, -1))[:, :, 1 - half] = 0
            seen = torch.conv3d(wide.features(*codes())["G3_4"], 2 * alone, wide.to_rgb.bias, padding=(0, 1, 1))
            assert torch.allclose(seen, side, atol=2e-5)


def test_training_of_both_sides_begins_from_both(tmp_path: Path) -> None:
    generator = narrow(attention_after=())
    path = save_generator(tmp_path / "narrow", generator, {"steps": 7}, dtype=torch.float32)[-1]
    trained = {"steps": 7, "training": {"mirror": True, "allotted": True, "clip_steps": [1, 2]}}
    knowing = save_generator(tmp_path / "knowing", generator, trained, dtype=torch.float32)[-1]

    def begun(path: Path, side: int | None) -> tuple[Generator, dict[str, Any]]:
        wide = Generator(ModelConfig.from_preset("small", classes=("left", "right"), attention_after=(),
                                                 widths=tuple(2 * width for width in NARROW)))  # fmt: skip
        (origin,) = begin_from(wide, path, None, side)
        return fold_spectral_norm(wide).eval(), origin

    wide, origin = begun(path, 3)
    assert origin["sides"] is True and origin["widths"] == list(NARROW)
    halves = wide.get_parameter("to_rgb.weight").unflatten(1, (2, 2, -1))
    assert torch.allclose(halves[:, :, 0], halves[:, :, 1].flip(-1)) and halves.std() > 0
    for plain, origin in (begun(path, None), begun(knowing, 3)):
        assert "sides" not in origin and origin["widths"] == list(NARROW)
        halves = plain.get_parameter("to_rgb.weight").unflatten(1, (2, 2, -1))
        assert not torch.allclose(halves[:, :, 0], halves[:, :, 1].flip(-1))
    with pytest.raises(G3ANError, match=r"^Number 4 of z_m says in .* it would be number 3\. Train with several frame"):
        begun(knowing, 2)


def test_two_channels_learn_apart() -> None:
    wide = widen(narrow(attention_after=()))
    wide(*codes()).square().mean().backward()
    for name in ("modules_g3.1.conv_s.0", "modules_g3.3.conv_v.1.0"):
        gradient = wide.get_parameter(f"{name}.weight").grad
        assert gradient is not None
        first, second = gradient[:, 0::2], gradient[:, 1::2]
        assert (first - second).norm() > 0.1 * first.norm()


def test_norms_must_be_folded_in() -> None:
    with pytest.raises(G3ANError, match="Only a generator whose spectral norms are folded in can be widened"):
        widen(Generator(ModelConfig.from_preset("small", widths=NARROW)))
    with pytest.raises(G3ANError, match="Only a generator whose spectral norms are folded in can be widened"):
        widen_to_sides(Generator(ModelConfig.from_preset("small", widths=NARROW)))
