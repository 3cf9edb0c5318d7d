"""A wider network that does what a narrower one does, to go on training from.

Every channel becomes two that are alike, and what reads them takes half from each, so the wide network makes the narrow
one's videos (Chen et al., "Net2Net: Accelerating Learning via Knowledge Transfer", ICLR 2016). Two channels that are
alike in all would stay so for ever; what reads them therefore takes a little more from one and as much less from the
other, at random, which changes no video but gives them different gradients.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from g3an.config import ModelConfig
from g3an.errors import G3ANError
from g3an.generator import Generator

UNLIKE = 0.5
"""Standard deviation of what is taken more from one of two channels than from the other, over that of the weights."""


def is_twice_as_wide(wide: ModelConfig, narrow: ModelConfig) -> bool:
    """Whether ``wide`` has twice the channels of ``narrow`` in every module."""
    return wide.widths == tuple(2 * width for width in narrow.widths)


@torch.no_grad()
def widen(narrow: Generator, seed: int = 0) -> Generator:
    """A generator of twice the widths that makes the same videos, to rounding.

    Parameters
    ----------
    narrow
        With its spectral norms folded in, as :func:`g3an.checkpoints.load_generator` gives it.
    seed
        Of what readers of two channels take more from one.

    Returns
    -------
    Generator
        In evaluation mode, on the CPU, with folded norms and ``narrow``'s configuration but for ``widths``. Its preset
        is ``appendix`` where those are the appendix's, else ``narrow``'s. Where spectral norms of 1 are wanted, those
        of F-SA have them if ``narrow``'s have; of the other convolutions the batch norms behind them undo any factor.

    Raises
    ------
    G3ANError
        ``narrow`` still computes its spectral norms.
    """
    if any(".parametrizations." in name for name in narrow.state_dict()):
        raise G3ANError("Only a generator whose spectral norms are folded in can be widened; load it from its weights.")
    random = torch.Generator().manual_seed(seed)
    values = {**narrow.config.to_dict(), "widths": [2 * width for width in narrow.config.widths]}
    appendix = ModelConfig.from_preset("appendix")
    if tuple(values["widths"]) == appendix.widths:
        values["preset"] = appendix.preset
    wide = Generator(ModelConfig.from_dict(values), spectral_norm=False)
    state = {name: value.cpu() for name, value in narrow.state_dict().items()}
    expected = wide.state_dict()
    for path, module in narrow.named_modules():
        if not isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
            continue
        name = f"{path}.weight"
        ins, outs = (0, 1) if isinstance(module, nn.ConvTranspose3d) else (1, 0)
        if path.startswith("attention.") and path.endswith((".f", ".g")):
            state[name] = _twice_as_many_products(state[name], random)
            state[f"{path}.bias"] = torch.cat([state[f"{path}.bias"], torch.zeros_like(state[f"{path}.bias"])])
            continue
        weight = state[name]
        if expected[name].shape[outs] > weight.shape[outs]:
            weight = weight.repeat_interleave(2, outs)
        if expected[name].shape[ins] > weight.shape[ins]:
            weight = _from_two(weight, ins, 0.0 if path.startswith("attention.") else UNLIKE, random)
        state[name] = weight
    for name, value in expected.items():
        if value.dim() == 1 and len(value) == 2 * len(state[name]):  # biases, norms and their statistics
            state[name] = state[name].repeat_interleave(2)
    wide.load_state_dict(state)
    return wide.eval()


def _from_two(weight: Tensor, ins: int, unlike: float, random: torch.Generator) -> Tensor:
    """Take from each of two channels that are alike half of what was taken from one, more or less."""
    more = unlike * weight.std() * torch.randn(weight.shape, generator=random)
    return torch.stack([weight / 2 + more, weight / 2 - more], ins + 1).flatten(ins, ins + 1)


def _twice_as_many_products(weight: Tensor, random: torch.Generator) -> Tensor:
    """Of queries or keys: twice as many numbers whose products add up to what they were.

    The second half takes from each of two channels that are alike as much as it takes away with the other, so it is
    zero. Two equal halves would double every product, which no factor could mend, for the spectral norm takes it out;
    that of what comes back is the norm of ``weight`` over the root of two for the first half, and is brought to the
    norm of ``weight`` by the second.
    """
    flat = weight.flatten(1)
    second = torch.randn(flat.shape, generator=random)
    second *= torch.linalg.matrix_norm(flat, 2) / torch.linalg.matrix_norm(second, 2) / 2**0.5
    halves = [torch.stack([flat / 2, flat / 2], 2), torch.stack([second, -second], 2)]
    return torch.cat(halves).flatten(1)[..., None, None, None]
