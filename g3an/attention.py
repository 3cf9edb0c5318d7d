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

import torch
import torch.nn.functional as F
from torch import Tensor, nn
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
        wrap = normalise if spectral_norm else (lambda convolution: convolution)
        self.f = wrap(nn.Conv3d(channels, channels // reduction, kernel_size=1))
        self.g = wrap(nn.Conv3d(channels, channels // reduction, kernel_size=1))
        self.h = wrap(nn.Conv3d(channels, channels, kernel_size=1))
        self.gamma = nn.Parameter(torch.zeros(1))

    def arrange(self, tokens: Tensor) -> Tensor:
        """Order tokens (B, T, N, C) as (B, sequences, length of a sequence, C), without a copy."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, C, T, H, W) to y of the same shape (eqs. 1 and 2, or 3 and 4)."""
        return as_video(self.on_tokens(as_tokens(x)), x.shape)

    def on_tokens(self, tokens: Tensor) -> Tensor:
        """The same on tokens (B, T, N, C), N = H·W, so that T-SA and S-SA can follow each other without copies."""
        keys = self.arrange(pointwise(self.f, tokens))
        queries = self.arrange(pointwise(self.g, tokens))
        values = self.arrange(pointwise(self.h, tokens))
        return tokens + self.gamma * self.put_back(self.attend(queries, keys, values))

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Σ_i a_ji h(x_i) for every sequence, by the fused kernel, so that no attention map is ever in memory.

        Parameters
        ----------
        queries, keys : (B, S, L, C'). values : (B, S, L, C).

        Returns
        -------
        Tensor of the shape of ``values``.
        """
        # The fused kernel wants equal widths, else it silently falls back to one that stores the maps. Zeros appended to
        # queries and keys change no product f·g. (Cutting the values into C/C' pieces costs more softmaxes: slower.)
        missing = values.shape[-1] - queries.shape[-1]
        queries, keys = F.pad(queries, (0, missing)), F.pad(keys, (0, missing))
        return F.scaled_dot_product_attention(queries, keys, values, scale=1.0)

    def put_back(self, attended: Tensor) -> Tensor:
        """Bring the attended values (B, S, L, C) back to (B, T, N, C): the inverse of ``arrange``."""
        if self.layout == "paper":
            return self.arrange(attended)  # either nothing or a transposition: its own inverse
        batch, sequences, length, channels = attended.shape
        frames, positions = self.frames_and_positions(sequences, length)
        # The released code: `view(b, h, w, -1, t)` on the contiguous attended tensor, whichever order that has.
        return attended.contiguous().view(batch, positions, channels, frames).permute(0, 3, 1, 2)

    def frames_and_positions(self, sequences: int, length: int) -> tuple[int, int]:
        """(T, N) from the number and the length of the sequences."""
        raise NotImplementedError

    def maps(self, x: Tensor) -> Tensor:
        """The attention maps of eq. 1 or 3, for plots only: they need far more memory than ``forward``.

        Returns
        -------
        a_ji with j before i, values in [0, 1], each row (over i) summing to 1:
        T-SA (B, H, W, T, T), S-SA (B, T, N, N).
        """
        tokens = as_tokens(x)
        keys = self.arrange(pointwise(self.f, tokens))
        queries = self.arrange(pointwise(self.g, tokens))
        return (queries @ keys.transpose(-1, -2)).softmax(dim=-1)


class TemporalSelfAttention(SelfAttention):
    """T-SA, eqs. 1 and 2, Figure 1b: at each position, the T instants attend to each other."""

    def arrange(self, tokens: Tensor) -> Tensor:
        return tokens.transpose(1, 2)

    def frames_and_positions(self, sequences: int, length: int) -> tuple[int, int]:
        return length, sequences

    def maps(self, x: Tensor) -> Tensor:
        return super().maps(x).unflatten(1, x.shape[-2:])


class SpatialSelfAttention(SelfAttention):
    """S-SA, eqs. 3 and 4, Figure 1c: in each frame, the N = H·W positions attend to each other."""

    def arrange(self, tokens: Tensor) -> Tensor:
        return tokens

    def frames_and_positions(self, sequences: int, length: int) -> tuple[int, int]:
        return sequences, length


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
            tokens = self.get_submodule(part.lower()).on_tokens(tokens)
        return as_video(tokens, x.shape)

    def maps(self, x: Tensor) -> dict[str, Tensor]:
        """The maps of each part on the input that the part sees in ``forward``: {'T': (B, H, W, T, T), 'S': (B, T, N, N)}."""
        maps = {}
        for part in self.parts:
            attention = self.get_submodule(part.lower())
            maps[part] = attention.maps(x)
            x = attention(x)
        return maps


def as_tokens(x: Tensor) -> Tensor:
    """(B, C, T, H, W) -> contiguous (B, T, N, C): the fused kernel needs channels to be adjacent in memory."""
    return x.flatten(3).permute(0, 2, 3, 1).contiguous()


def as_video(tokens: Tensor, shape: torch.Size) -> Tensor:
    """(B, T, N, C) -> contiguous (B, C, T, H, W) of the given shape."""
    return tokens.permute(0, 3, 1, 2).reshape(shape)


def pointwise(convolution: nn.Module, tokens: Tensor) -> Tensor:
    """A 1×1×1 convolution on (B, T, N, C): the same linear map at every token."""
    return F.linear(tokens, convolution.weight.flatten(1), convolution.bias)
