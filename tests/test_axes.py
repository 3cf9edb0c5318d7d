"""Turned axes: the same network from another side, its first dimensions the ones that say most."""

from __future__ import annotations

import pytest
import torch

from g3an.axes import look_axes, turn_axes
from g3an.checkpoints import fold_spectral_norm
from g3an.config import ModelConfig
from g3an.generator import Generator

CONFIG = ModelConfig.from_preset("small", widths=(16, 8, 8, 8, 8), attention_after=(), classes=("a", "b"))


def network(**changes: object) -> Generator:
    torch.manual_seed(0)
    config = ModelConfig.from_dict(CONFIG.to_dict() | changes)
    return fold_spectral_norm(Generator(config))


@pytest.mark.parametrize("changes", [{}, {"streams": ["T"]}, {"conv_mode": "2p1d"}, {"conv_mode": "3d"}])
def test_a_turned_network_makes_of_a_code_what_it_made_of_the_turned_code(changes):
    generator = network(**changes)
    axes = torch.linalg.qr(torch.randn(128, 128, generator=torch.Generator().manual_seed(1))).Q
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    turned = turn_axes(generator, axes)
    u, z_m = torch.randn(3, 128), torch.randn(3, 10)
    c = torch.eye(2)[[0, 1, 0]]
    assert torch.allclose(turned(u, z_m, c), generator(u @ axes.T, z_m, c), atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items()), "a copy was turned"


def test_the_first_dimension_is_the_one_that_changes_people_most():
    """A network that heeds one direction of z_a alone, and writes it into the brightness of the frame."""

    class Bright(torch.nn.Module):
        config = CONFIG
        direction = torch.nn.functional.normalize(torch.arange(1.0, 129.0), dim=0)

        def __init__(self):
            super().__init__()
            self.idle = torch.nn.Parameter(torch.zeros(1))  # tells where it computes

        def forward(self, z_a, z_m, c=None, frames=None):
            grey = torch.tanh(0.3 * z_a @ self.direction + 0.1 * z_m[:, 0].reshape(-1))
            return grey[:, None, None, None, None].expand(-1, 3, 16, 64, 64)

    axes = look_axes(Bright().eval(), clips=512)
    assert torch.allclose(axes @ axes.T, torch.eye(128), atol=1e-4)
    assert axes[:, 0] @ Bright.direction > 0.9, "lighter when it rises"
