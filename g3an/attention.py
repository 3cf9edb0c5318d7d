"""Factorized spatio-temporal Self-Attention (F-SA): equations 1 to 4 and Figure 1 of the appendix.

T-SA attends along time at each position, S-SA attends over all positions of each frame; F-SA is T-SA, then S-SA.
Both are the same computation on differently arranged tokens, so one class holds the formula and two say what a
sequence is:

    a_ji = exp(f(x_i) · g(x_j)) / Σ_i exp(f(x_i) · g(x_j))        (1), (3)
    y_j  = γ Σ_i a_ji h(x_i) + x_j                                (2), (4)

The softmax runs over i, the position attended to, and j is the position written: g gives the queries, f the keys, h the
values. The appendix sums from i = 0 in (2) and (4) and from 1 in (1) and (3); both are read as "over all i".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils.parametrizations import spectral_norm as normalise

from g3an.errors import G3ANError

LAYOUTS = ("paper", "released")


class SelfAttention(nn.Module):
    """What T-SA and S-SA share: 1×1×1 convolutions f, g, h, the scalar γ, and the formula.

    Parameters
    ----------
    channels : C, the channels of x.
    reduction : k; f and g have C' = C / k channels (k = 8 in the appendix).
    spectral_norm : normalise f, g and h by their largest singular value, as the released code does.
    layout : 'paper' writes the attended tensor back where it came from (eqs. 2 and 4). 'released' reproduces the
        released code, which reads it back in a wrong order; only imported weights, which learned around it, want that.

    Raises
    ------
    G3ANError
        ``channels`` is not a positive multiple of ``reduction``, or ``layout`` is unknown.
    """

    def __init__(self, channels: int, reduction: int = 8, spectral_norm: bool = True, layout: str = "paper") -> None:
        super().__init__()
        if reduction < 1 or channels < reduction or channels % reduction:
            raise G3ANError(
                f"Self-attention on {channels} channels cannot reduce them by {reduction}: "
                "choose a number of channels that is a multiple of the reduction."
            )
        if layout not in LAYOUTS:
            raise G3ANError(f"Unknown attention layout {layout!r}: choose one of {', '.join(LAYOUTS)}.")
        self.channels, self.reduction, self.layout = channels, reduction, layout
        self.f = nn.Conv3d(channels, channels // reduction, kernel_size=1)
        self.g = nn.Conv3d(channels, channels // reduction, kernel_size=1)
        self.h = nn.Conv3d(channels, channels, kernel_size=1)
        if spectral_norm:
            for convolution in (self.f, self.g, self.h):
                normalise(convolution)  # replaces the weight by weight / its largest singular value, in place
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, C, T, H, W) to y of the same shape (eqs. 1 and 2, or 3 and 4)."""
        return as_video(self.on_tokens(as_tokens(x)), x.shape)

    def on_tokens(self, tokens: Tensor) -> Tensor:
        """The same on tokens (B, T, N, C), N = H·W, so that T-SA and S-SA follow each other without copies."""
        attended = attend(self.arrange(self.project(tokens)), self.f.out_channels)
        if self.layout == "released":
            # Their `view(b, h, w, -1, t)` on the contiguous attended tensor, whatever the order of its dimensions.
            batch, frames, positions, channels = tokens.shape
            attended = attended.reshape(batch, positions, channels, frames).permute(0, 3, 1, 2)
        else:
            attended = self.put_back(attended, tokens.shape)
        return torch.addcmul(tokens, self.gamma, attended)  # γ Σ_i a_ji h(x_i) + x_j

    def project(self, tokens: Tensor) -> Tensor:
        """f(x), g(x) and h(x) of tokens (B, T, N, C) side by side: (B, T, N, 2C' + C).

        A 1×1×1 convolution is one linear map for every token, and the three are one matrix product.
        """
        weights, biases = zip(*((c.weight, c.bias) for c in (self.f, self.g, self.h)), strict=True)
        return F.linear(tokens, torch.cat(weights).flatten(1), torch.cat(biases))

    def maps(self, x: Tensor) -> Tensor:
        """The attention maps a_ji of eq. 1 or 3, for plots: they take the memory that ``forward`` saves.

        Returns
        -------
        Values in [0, 1], j before i, each row (over i) summing to 1: T-SA (B, H, W, T, T), S-SA (B, T, N, N).
        """
        keys, queries, _ = parts(self.arrange(self.project(as_tokens(x))), self.f.out_channels)
        return (queries @ keys.transpose(-1, -2)).softmax(dim=-1)

    def arrange(self, tokens: Tensor) -> Tensor:
        """View tokens (B, T, N, C) as sequences (·, ·, length, C): what lies in a sequence attends to each other."""
        raise NotImplementedError

    def put_back(self, attended: Tensor, shape: torch.Size) -> Tensor:
        """The inverse of ``arrange``: view sequences as tokens of ``shape`` (B, T, N, C)."""
        raise NotImplementedError


class TemporalSelfAttention(SelfAttention):
    """T-SA, eqs. 1 and 2, Figure 1b: at each position, the T instants attend to each other."""

    def arrange(self, tokens: Tensor) -> Tensor:
        return tokens.transpose(1, 2)  # (B, N, T, C)

    def put_back(self, attended: Tensor, shape: torch.Size) -> Tensor:
        return attended.transpose(1, 2)

    def maps(self, x: Tensor) -> Tensor:
        return super().maps(x).unflatten(1, x.shape[-2:])


class SpatialSelfAttention(SelfAttention):
    """S-SA, eqs. 3 and 4, Figure 1c: in each frame, the N = H·W positions attend to each other."""

    def arrange(self, tokens: Tensor) -> Tensor:
        return tokens.flatten(0, 1).unsqueeze(1)  # (B·T, 1, N, C)

    def put_back(self, attended: Tensor, shape: torch.Size) -> Tensor:
        return attended.view(shape)

    def maps(self, x: Tensor) -> Tensor:
        return super().maps(x).view(x.shape[0], x.shape[2], *[x.shape[3] * x.shape[4]] * 2)


class FactorizedSelfAttention(nn.Module):
    """F-SA, Figure 1a: T-SA (``t``) followed by S-SA (``s``), which works on T-SA's output y^t.

    Parameters
    ----------
    channels, reduction, spectral_norm, layout : as in ``SelfAttention``.
    parts : ('T', 'S') is the appendix's module; one of the two alone, or ('S', 'T'), is an ablation.

    Raises
    ------
    G3ANError
        ``parts`` names anything else, or the same part twice, or nothing.
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 8,
        spectral_norm: bool = True,
        parts: Iterable[str] = ("T", "S"),
        layout: str = "paper",
    ) -> None:
        super().__init__()
        self.parts = tuple(parts)
        if not self.parts or set(self.parts) - {"T", "S"} or len(set(self.parts)) < len(self.parts):
            raise G3ANError(f"Attention parts are {self.parts}: give 'T', 'S' or both, each once, as in ('T', 'S').")
        kinds = {"T": TemporalSelfAttention, "S": SpatialSelfAttention}
        for part in self.parts:
            self.add_module(part.lower(), kinds[part](channels, reduction, spectral_norm, layout))

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, C, T, H, W) to y of the same shape."""
        tokens = as_tokens(x)
        for part in self.parts:
            tokens = self.part(part).on_tokens(tokens)
        return as_video(tokens, x.shape)

    def part(self, name: str) -> SelfAttention:
        """T-SA by 'T', S-SA by 'S'."""
        attention = self.get_submodule(name.lower())
        assert isinstance(attention, SelfAttention)
        return attention

    def maps(self, x: Tensor) -> dict[str, Tensor]:
        """The maps of each part, on what the part sees in ``forward``: {'T': (B, H, W, T, T), 'S': (B, T, N, N)}."""
        maps = {}
        for part in self.parts:
            attention = self.part(part)
            maps[part] = attention.maps(x)
            x = attention(x)
        return maps


def parts(projected: Tensor, narrow: int) -> tuple[Tensor, ...]:
    """Keys, queries and values, ``narrow``, ``narrow`` and C wide, of what ``SelfAttention.project`` gave."""
    return projected.split([narrow, narrow, projected.shape[-1] - 2 * narrow], dim=-1)


def attend(projected: Tensor, narrow: int) -> Tensor:
    """Σ_i a_ji h(x_i) for every sequence by the fused kernel, so that no attention map is ever in memory.

    Parameters
    ----------
    projected : f(x), g(x) and h(x) side by side, (·, ·, L, 2C' + C).
    narrow : C', the width of f(x) and g(x).

    Returns
    -------
    Tensor of shape (·, ·, L, C).
    """
    length, width = projected.shape[2], projected.shape[3] - 2 * narrow
    if projected.device.type != "cpu" or (width <= 32 and length > 64):
        return _by_kernel(*parts(projected, narrow))
    return _InBlocks.apply(projected, narrow)


def _by_kernel(keys: Tensor, queries: Tensor, values: Tensor) -> Tensor:
    """The fused kernel forwards and backwards."""
    # The kernel wants one width, else it silently falls back to a form that stores the maps. Zeros appended to queries
    # and keys change no product f·g. (Cutting the values into pieces C' wide was slower: a softmax for each.)
    padding = (0, values.shape[-1] - queries.shape[-1])
    wide_queries, wide_keys = F.pad(queries, padding), F.pad(keys, padding)
    # The backward pass needs the padded tensors, but storing the narrow ones and padding again is cheaper.
    narrow = {wide_queries.data_ptr(): queries.detach(), wide_keys.data_ptr(): keys.detach()}

    def store(saved: Tensor) -> tuple[Tensor, bool]:
        short = narrow.get(saved.data_ptr())
        # Detached, because the output is among the saved: with its history it would keep itself in memory for ever.
        return (saved.detach(), False) if short is None else (short, True)

    def restore(stored: tuple[Tensor, bool]) -> Tensor:
        tensor, was_padded = stored
        return F.pad(tensor, padding) if was_padded else tensor

    with torch.autograd.graph.saved_tensors_hooks(store, restore):
        return F.scaled_dot_product_attention(wide_queries, wide_keys, values, scale=1.0)


class _InBlocks(torch.autograd.Function):
    """The fused kernel forwards; backwards the same formula on a few rows of the maps at a time.

    The kernel's backward pass multiplies queries and keys padded to k times their width, four times. On a CPU that
    costs more, where values are wide or sequences short, than computing some rows of the maps again from queries and
    keys as they are: those rows stay in the processor's cache.
    """

    ROWS = 512
    ENTRIES = 2**16

    @staticmethod
    def forward(ctx: Any, projected: Tensor, narrow: int) -> Tensor:
        ctx.save_for_backward(projected)
        ctx.narrow = narrow
        return _by_kernel(*parts(projected, narrow))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (projected,) = ctx.saved_tensors
        to_projected = torch.empty_like(projected)
        keys, queries, values = parts(projected, ctx.narrow)
        to_keys, to_queries, to_values = parts(to_projected, ctx.narrow)
        exact = torch.promote_types(projected.dtype, torch.float32)  # half precision is too coarse for a softmax
        length = queries.shape[2]
        rows = min(length, _InBlocks.ROWS)
        together = max(1, _InBlocks.ENTRIES // (rows * length))
        for outer in range(len(queries)):
            for first in range(0, queries.shape[1], together):
                these = (outer, slice(first, first + together))
                # Small products of matrices that are not contiguous are done, and copied, one by one.
                k, v = keys[these].contiguous(), values[these].contiguous()
                for row in range(0, length, rows):
                    some = (*these, slice(row, row + rows))
                    q, dy = queries[some].contiguous(), gradient[some].to(v.dtype).contiguous()
                    a = (q @ k.mT).to(exact).softmax(dim=-1)
                    da = (dy @ v.mT).to(exact)
                    # Of softmax: ds = a · (da - Σ_i a da).
                    ds = da.sub_(torch.linalg.vecdot(a, da).unsqueeze(-1)).mul_(a).to(q.dtype)
                    to_queries[some] = ds @ k
                    # The first rows replace what memory held; baddbmm_, for the others, is slow on many sequences.
                    if row == 0:
                        to_keys[these] = ds.mT @ q
                        to_values[these] = a.to(v.dtype).mT @ dy
                    else:
                        to_keys[these].baddbmm_(ds.mT, q)
                        to_values[these].baddbmm_(a.to(v.dtype).mT, dy)
        return to_projected, None


def as_tokens(x: Tensor) -> Tensor:
    """(B, C, T, H, W) -> contiguous (B, T, N, C): the fused kernel needs channels to be adjacent in memory."""
    return x.flatten(3).permute(0, 2, 3, 1).contiguous()


def as_video(tokens: Tensor, shape: torch.Size) -> Tensor:
    """(B, T, N, C) -> contiguous (B, C, T, H, W) of the given shape."""
    return tokens.permute(0, 3, 1, 2).reshape(shape)
