"""A wider network that does what a narrower one does, to go on training from.

Every channel becomes two that are alike, and what reads them takes half from each, so the wide network makes the narrow
one's videos (Chen et al., "Net2Net: Accelerating Learning via Knowledge Transfer", ICLR 2016). Two channels that are
alike in all would stay so for ever; what reads them therefore takes a little more from one and as much less from the
other, at random, which changes no video but gives them different gradients.
"""

from __future__ import annotations

from collections.abc import Iterator

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
    random = torch.Generator().manual_seed(seed)
    wide = _twice_as_wide(narrow)
    state = {name: value.cpu() for name, value in narrow.state_dict().items()}
    expected = wide.state_dict()
    for path, ins, outs in _convolutions(narrow):
        name = f"{path}.weight"
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


@torch.no_grad()
def widen_to_sides(narrow: Generator) -> Generator:
    """A generator of twice the widths, of which one half makes ``narrow``'s videos and the other their mirror images.

    The halves do not heed each other, but in F-SA, and nothing says yet which of them shows: pictures are the mean of
    both before their tanh. A transposed convolution with mirrored kernels makes of mirrored features mirrored ones, so
    what is left to learn is which half a code asks for.

    Parameters
    ----------
    narrow
        As for :func:`widen`.

    Returns
    -------
    Generator
        As of :func:`widen`; of each stream's channels the first half are ``narrow``'s, the second those in the mirror.

    Raises
    ------
    G3ANError
        As :func:`widen`.
    """
    wide = _twice_as_wide(narrow)
    state = {name: value.cpu() for name, value in narrow.state_dict().items()}
    expected = wide.state_dict()
    for path, ins, outs in _convolutions(narrow):
        name = f"{path}.weight"
        # Where G_S and G_V meet, the halves of each of the two lie side by side.
        fused = 2 if "S" in narrow.config.streams else 1
        reads_both = path == "to_rgb" or path.startswith("attention.") or path.endswith(".conv_v.0.0")
        here = state[name]
        sides = (here, here.flip(4))
        halves = [_in_half(side, ins, fused if reads_both else 1, k) for k, side in enumerate(sides)]
        if expected[name].shape[ins] == here.shape[ins]:  # codes come into both halves
            halves = list(sides)
        if path == "to_rgb":
            state[name] = sum(halves) / 2
            continue
        gives_both = fused if path.startswith("attention.") and path.endswith(".h") else 1
        state[name] = _side_by_side(halves, outs, gives_both)
        if path.startswith("attention."):
            state[f"{path}.bias"] = _side_by_side([state[f"{path}.bias"]] * 2, 0, gives_both)
    for name, value in expected.items():
        if value.dim() == 1 and len(value) == 2 * len(state[name]):
            state[name] = state[name].repeat(2)
    wide.load_state_dict(state)
    return wide.eval()


def _convolutions(generator: Generator) -> Iterator[tuple[str, int, int]]:
    """Where each is, and which dimensions of its weight are those of its inputs and of its outputs."""
    for path, module in generator.named_modules():
        if isinstance(module, nn.ConvTranspose3d):
            yield path, 0, 1
        elif isinstance(module, nn.Conv3d):
            yield path, 1, 0


def _twice_as_wide(narrow: Generator) -> Generator:
    """With new weights, to be replaced."""
    if any(".parametrizations." in name for name in narrow.state_dict()):
        raise G3ANError("Only a generator whose spectral norms are folded in can be widened; load it from its weights.")
    values = {**narrow.config.to_dict(), "widths": [2 * width for width in narrow.config.widths]}
    appendix = ModelConfig.from_preset("appendix")
    if tuple(values["widths"]) == appendix.widths:
        values["preset"] = appendix.preset
    return Generator(ModelConfig.from_dict(values), spectral_norm=False)


def _in_half(weight: Tensor, dim: int, parts: int, half: int) -> Tensor:
    """Twice as long along ``dim``: in each of its equal ``parts`` zeros take the place of the other half."""
    zeros = torch.zeros_like(weight.chunk(parts, dim)[0])
    pairs = [(part, zeros) if half == 0 else (zeros, part) for part in weight.chunk(parts, dim)]
    return torch.cat([one for pair in pairs for one in pair], dim)


def _side_by_side(halves: list[Tensor], dim: int, parts: int) -> Tensor:
    """Of each of the equal ``parts`` along ``dim`` that of the one, then that of the other."""
    pairs = zip(*(half.chunk(parts, dim) for half in halves), strict=True)
    return torch.cat([one for pair in pairs for one in pair], dim)


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
