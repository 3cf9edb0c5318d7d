"""The three-stream generator: Table 1 and Figure 2 of the appendix."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d
from torch.nn.utils.parametrizations import spectral_norm as normalise_spectrally

from g3an.attention import FactorizedSelfAttention
from g3an.config import ModelConfig
from g3an.errors import G3ANError


class TransposedConvolution(nn.ConvTranspose3d):
    """``ConvTranspose3d``, but of single frames in bfloat16 on a processor that of two dimensions."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """``(batch, inputs, T, H, W)`` to ``(batch, outputs, T', H', W')``."""
        autocast = x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        if not autocast or x.shape[2] != 1 or self.kernel_size[0] != 1:
            return super().forward(x, output_size)
        # In three dimensions oneDNN, on processors with AMX, gives some of these weights gradients of 1e38 or NaN.
        stride, padding = self.stride[1:], cast(tuple[int, ...], self.padding)[1:]
        return conv_transpose2d(x[:, :, 0], self.weight[:, :, 0], self.bias, stride, padding)[:, :, None]


class Deconvolution(nn.Sequential):
    """Transposed convolution, batch norm, ReLU: what every arrow of Figure 2 stands for.

    A ConvTranspose1d over time is a ConvTranspose3d with a 1×1 spatial kernel, and a ConvTranspose2d over
    space one with a temporal kernel of 1 (Appendix A).

    Parameters
    ----------
    time, space
        ``(kernel, stride, padding)`` along T and along H and W.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        time: tuple[int, int, int] = (1, 1, 0),
        space: tuple[int, int, int] = (1, 1, 0),
        spectral_norm: bool = True,
    ) -> None:
        kernel, stride, padding = ((t, s, s) for t, s in zip(time, space, strict=True))
        convolution = TransposedConvolution(inputs, outputs, kernel, stride, padding)
        # N(0, 0.02) for all: the released code means to, but misses every transposed convolution.
        nn.init.normal_(convolution.weight, 0.0, 0.02)
        norm = nn.BatchNorm3d(outputs)
        nn.init.normal_(norm.weight, 1.0, 0.02)
        super().__init__(normalise_spectrally(convolution) if spectral_norm else convolution, norm, nn.ReLU())


class G3Module(nn.Module):
    """One G3 module: it lets the streams of appearance, motion and video grow and fuses them into G_V.

    With h_S, h_V, h_T the streams' features, * a transposed convolution::

        h_S' = * h_S        space only
        h_T' = * h_T        time only
        h_V' = concat(repeat_T(h_S'), * h_V + repeat_HW(h_T'))

    Parameters
    ----------
    inputs
        Channels of (h_S, h_V, h_T).
    width
        Channels of each stream; G_V leaves with twice as many, or, without G_S, with as many.
    time, space
        ``(kernel, stride, padding)`` of the module.
    conv_mode
        ``1p2d``, ``2p1d`` or ``3d``: the order of the convolutions of G_V.
    streams
        Which of G_S and G_T there are; one that is left out (an ablation) is neither computed nor fused in.
    """

    def __init__(
        self,
        inputs: tuple[int, int, int],
        width: int,
        time: tuple[int, int, int],
        space: tuple[int, int, int],
        conv_mode: str = "1p2d",
        spectral_norm: bool = True,
        streams: tuple[str, ...] = ("S", "T"),
    ) -> None:
        super().__init__()
        appearance, video, motion = inputs
        self.streams = streams
        if "S" in streams:
            self.conv_s = Deconvolution(appearance, width, space=space, spectral_norm=spectral_norm)
        if "T" in streams:
            self.conv_t = Deconvolution(motion, width, time=time, spectral_norm=spectral_norm)
        if conv_mode == "3d":
            self.conv_v = nn.Sequential(Deconvolution(video, width, time, space, spectral_norm))
        elif conv_mode == "1p2d":
            self.conv_v = nn.Sequential(
                Deconvolution(video, width, time=time, spectral_norm=spectral_norm),
                Deconvolution(width, width, space=space, spectral_norm=spectral_norm),
            )
        else:
            self.conv_v = nn.Sequential(
                Deconvolution(video, width, space=space, spectral_norm=spectral_norm),
                Deconvolution(width, width, time=time, spectral_norm=spectral_norm),
            )

    def forward(self, h_s: Tensor, h_v: Tensor, h_t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Grow and fuse.

        Parameters
        ----------
        h_s, h_v, h_t
            ``(batch, channels, 1, H, W)``, ``(batch, channels, T, H, W)`` and ``(batch, channels, T, 1, 1)``.

        Returns
        -------
        tuple of Tensor
            The three streams, in the same layout, at the module's resolution; one that is left out as it came.
        """
        h_v = self.conv_v(h_v)
        if "T" in self.streams:
            h_t = self.conv_t(h_t)
            h_v = h_v + h_t
        if "S" in self.streams:
            h_s = self.conv_s(h_s)
            h_v = torch.cat([h_s.expand(-1, -1, h_v.shape[2], -1, -1), h_v], dim=1)
        return h_s, h_v, h_t


class Generator(nn.Module):
    """G3AN's generator: an appearance code, a motion code and a category become a video.

    The category c joins z_m on the way into G_T and G_V; G_S sees z_a alone.

    Parameters
    ----------
    config
        Shape of the network.
    spectral_norm
        False for weights in which the norm is already folded.

    Attributes
    ----------
    modules_g3 : ModuleList
        G3_0 … G3_4.
    attention : ModuleDict
        F-SA by the number of the module it follows.
    """

    def __init__(self, config: ModelConfig, spectral_norm: bool = True) -> None:
        super().__init__()
        self.config = config
        motion = config.z_m_dim + len(config.classes)
        inputs = (config.z_a_dim, config.z_a_dim + motion, motion)
        first = config.first_temporal_kernel
        times = [(first, 1, 0)] + [(4, 2, 1) if double else (1, 1, 0) for double in config.temporal_doubling]
        spaces = [(4, 1, 0)] + [(4, 2, 1)] * 4
        fused = 2 if "S" in config.streams else 1  # G_V leaves a module with so many times its width
        self.modules_g3 = nn.ModuleList()
        for width, time, space in zip(config.widths, times, spaces, strict=True):
            module = G3Module(inputs, width, time, space, config.conv_mode, spectral_norm, config.streams)
            self.modules_g3.append(module)
            inputs = (width, fused * width, width)
        self.attention = nn.ModuleDict(
            {
                str(place): FactorizedSelfAttention(
                    fused * config.widths[place],
                    spectral_norm=spectral_norm,
                    parts=config.attention_parts,
                    layout=config.attention_layout,
                )
                for place in config.attention_after
            }
        )
        self.to_rgb = nn.Conv3d(fused * config.widths[-1], 3, (1, 3, 3), padding=(0, 1, 1))
        nn.init.normal_(self.to_rgb.weight, 0.0, 0.02)

    def frame_count(self, positions: int = 1) -> int:
        """Frames that a z_m with ``positions`` temporal positions gives.

        G3_0 turns n positions into n - 1 + k, k its temporal kernel, and each doubling module doubles them:
        8 (n + 1) for ``appendix`` and ``small``, 16 + 4 (n - 1) for ``official``.
        """
        return (positions - 1 + self.config.first_temporal_kernel) * 2 ** sum(self.config.temporal_doubling)

    def forward(self, z_a: Tensor, z_m: Tensor, c: Tensor | None = None, frames: Tensor | None = None) -> Tensor:
        """Generate videos.

        Parameters
        ----------
        z_a
            Appearance codes, ``(batch, 128)``, N(0, 1).
        z_m
            Motion codes, ``(batch, 10)``, or ``(batch, 10, n)`` for longer videos, N(0, 1).
        c
            Categories, one-hot ``(batch, classes)`` or indices ``(batch,)``; None if unconditional.
        frames
            Indices of the frames wanted; all without it. The last module, half of all work, mixes no frames (but in a
            network whose time still doubles there) and grows only these.

        Returns
        -------
        Tensor
            Videos ``(batch, 3, frame_count(n), 64, 64)`` in [-1, 1], or the frames asked for.

        Raises
        ------
        G3ANError
            A code has the wrong shape, or c is missing or not expected.
        """
        return self._run(z_a, z_m, c, {}, frames)

    def features(self, z_a: Tensor, z_m: Tensor, c: Tensor | None = None) -> dict[str, Tensor]:
        """What leaves each module in G_V, by the names of Table 1.

        Returns
        -------
        dict of str to Tensor
            ``G3_0`` … ``G3_4`` and ``output``; ``attention_input`` is what the first F-SA sees.
        """
        seen: dict[str, Tensor] = {}
        self._run(z_a, z_m, c, seen)
        return seen

    def _run(
        self, z_a: Tensor, z_m: Tensor, c: Tensor | None, seen: dict[str, Tensor], frames: Tensor | None = None
    ) -> Tensor:
        z_a, z_m, c = self._checked(z_a, z_m, c)
        h_s = z_a[:, :, None, None, None]
        h_t = z_m[:, :, :, None, None]
        if c is not None:
            h_t = torch.cat([h_t, c[:, :, None, None, None].expand(-1, -1, h_t.shape[2], -1, -1)], dim=1)
        h_v = torch.cat([h_s.expand(-1, -1, h_t.shape[2], -1, -1), h_t], dim=1)
        last = len(self.modules_g3) - 1
        early = frames is not None and not self.config.temporal_doubling[-1] and str(last) not in self.attention
        for number, module in enumerate(self.modules_g3):
            if early and number == last:
                h_v = h_v[:, :, frames]
                h_t = h_t[:, :, frames] if "T" in self.config.streams else h_t
            h_s, h_v, h_t = module(h_s, h_v, h_t)
            seen[f"G3_{number}"] = h_v
            if str(number) in self.attention:
                seen.setdefault("attention_input", h_v)
                h_v = self.attention[str(number)](h_v)
        if frames is not None and not early:
            h_v = h_v[:, :, frames]
        # Not in bfloat16, whose steps near 1 are half a grey level: what trembles less could hardly be unlearned.
        with torch.autocast(h_v.device.type, enabled=False):
            seen["output"] = torch.tanh(self.to_rgb(h_v.to(self.to_rgb.weight)))
        return seen["output"]

    def _checked(self, z_a: Tensor, z_m: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        config, classes = self.config, self.config.classes
        if z_a.dim() != 2 or z_a.shape[1] != config.z_a_dim:
            raise G3ANError(f"z_a has shape {tuple(z_a.shape)}; this network takes (batch, {config.z_a_dim}).")
        if z_m.dim() == 2:
            z_m = z_m[:, :, None]
        if z_m.dim() != 3 or z_m.shape[:2] != (len(z_a), config.z_m_dim):
            raise G3ANError(
                f"z_m has shape {tuple(z_m.shape)}; this network takes ({len(z_a)}, {config.z_m_dim}) "
                f"or ({len(z_a)}, {config.z_m_dim}, n) beside {len(z_a)} appearance codes."
            )
        if c is None:
            if classes:
                raise G3ANError(f"This network is conditional: give c, one of {', '.join(classes)} for each video.")
            return z_a, z_m, None
        if not classes:
            raise G3ANError("This network is unconditional: leave c out.")
        if c.dim() == 1:
            if c.numel() and not 0 <= int(c.min()) <= int(c.max()) < len(classes):
                raise G3ANError(f"c holds an index outside 0 … {len(classes) - 1}.")
            c = nn.functional.one_hot(c.long(), len(classes))
        if c.shape != (len(z_a), len(classes)):
            raise G3ANError(f"c has shape {tuple(c.shape)}; this network takes ({len(z_a)}, {len(classes)}).")
        return z_a, z_m, c.to(z_a)
