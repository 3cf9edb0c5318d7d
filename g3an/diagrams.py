"""Figures 1 and 2 as vector diagrams, and measured attention maps.

Figure 2 is drawn from a network: every number in it is read, none is typed.

Positions are inches on the page, y upwards, so that boxes and letters keep their proportion.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle
from torch import Tensor, nn

from g3an.errors import G3ANError
from g3an.generator import G3Module, Generator

_DPI = 200
_INK, _GREY = "#111111", "#595959"
# Fills: data, appearance, motion, video, attention, and what has no weights.
_DATA, _S, _T, _V, _A, _PLAIN = "#f2f2f2", "#cfe2f7", "#fbdcc0", "#d5ecd0", "#e6d8f2", "#ffffff"
_STYLE: Any = {
    "font.family": ["DejaVu Sans"],
    "mathtext.fontset": "dejavusans",
    "text.usetex": False,
    "pdf.fonttype": 42,
    "savefig.bbox": None,
    "savefig.dpi": "figure",
}

Point = tuple[float, float]


class _Pen:
    """Draws the few shapes that the diagrams are made of."""

    def __init__(self, width: float, height: float) -> None:
        self.page = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(self.page)
        self.axes: Axes = self.page.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
        self.axes.set_axis_off()

    def text(self, at: Point, words: str, size: float = 8, colour: str = _INK, align: Any = "center") -> None:
        self.axes.text(*at, words, fontsize=size, color=colour, ha=align, va="center", linespacing=1.25)

    def box(self, at: Point, width: float, height: float, words: str, fill: str, size: float = 8) -> None:
        """A rounded box around its centre ``at``."""
        corner = (at[0] - width / 2, at[1] - height / 2)
        style = "round,pad=0,rounding_size=0.05"
        self.axes.add_patch(FancyBboxPatch(corner, width, height, boxstyle=style, fc=fill, ec=_INK, lw=0.8, zorder=3))
        self.axes.text(*at, words, fontsize=size, color=_INK, ha="center", va="center", linespacing=1.25, zorder=4)

    def frame(self, left: float, bottom: float, right: float, top: float, fill: str = "none") -> None:
        """A dashed frame around what belongs together."""
        self.axes.add_patch(
            FancyBboxPatch(
                (left, bottom), right - left, top - bottom, boxstyle="round,pad=0,rounding_size=0.08",
                fc=fill, ec=_GREY, lw=0.8, ls=(0, (4, 2)), zorder=0,
            )
        )  # fmt: skip

    def symbol(self, at: Point, sign: str, radius: float = 0.13, fill: str = _PLAIN, size: float = 10) -> None:
        self.axes.add_patch(Circle(at, radius, fc=fill, ec=_INK, lw=0.8, zorder=3))
        self.axes.text(*at, sign, fontsize=size, color=_INK, ha="center", va="center_baseline", zorder=4)

    def line(self, *points: Point, arrow: bool = True, dashed: bool = False) -> None:
        """A line through ``points``, an arrow head at the last."""
        style = (0, (3, 2)) if dashed else "-"
        self.axes.plot(*zip(*points, strict=True), color=_INK, lw=0.9, ls=style, zorder=1, solid_joinstyle="miter")
        if arrow:
            # Only the head: it starts close to the end, in the direction of the last stretch.
            (x0, y0), (x1, y1) = points[-2:]
            length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
            start = (x1 - 0.02 * (x1 - x0) / length, y1 - 0.02 * (y1 - y0) / length)
            head = FancyArrowPatch(
                start, (x1, y1), arrowstyle="-|>", mutation_scale=11, color=_INK, lw=0, shrinkA=0, shrinkB=0
            )
            self.axes.add_patch(head)

    def grid(self, at: Point, side: float, fill: str, cells: int = 6) -> None:
        """An attention map."""
        size = side / cells
        for row in range(cells):
            for column in range(cells):
                corner = (at[0] - side / 2 + column * size, at[1] + side / 2 - (row + 1) * size)
                near = 1 / (1 + abs(row - column))  # only to look like a map; it stands for no values
                self.axes.add_patch(
                    Rectangle(corner, size, size, fc=fill, ec="#888888", lw=0.3, alpha=0.25 + 0.75 * near, zorder=3)
                )
        corner = (at[0] - side / 2, at[1] - side / 2)
        self.axes.add_patch(Rectangle(corner, side, side, fc="none", ec=_INK, lw=0.8, zorder=4))

    def frames(self, at: Point, side: float, words: str) -> None:
        """A video: frames behind each other."""
        for back in (3, 2, 1, 0):
            corner = (at[0] - side / 2 + 0.05 * back, at[1] - side / 2 + 0.05 * back)
            self.axes.add_patch(Rectangle(corner, side, side, fc=_DATA, ec=_INK, lw=0.8, zorder=3))
        self.axes.text(*at, words, fontsize=9.5, color=_INK, ha="center", va="center", linespacing=1.25, zorder=4)


# --- Figure 1 -----------------------------------------------------------------------------------------------------


def attention_diagram(caption: str = "Figure 1: Factorized spatio-temporal Self-Attention (F-SA) module.") -> Figure:
    """Figure 1: a, F-SA is T-SA followed by S-SA; b, T-SA (eqs. 1 and 2); c, S-SA (eqs. 3 and 4).

    Returns
    -------
    A page of 9.9 × 8.6 inches that no window owns: show or save it.
    """
    with matplotlib.rc_context(_STYLE):
        pen = _Pen(9.9, 8.6)
        _draw_factorized(pen, 8.05)
        _draw_attention(pen, 5.45, temporal=True)
        _draw_attention(pen, 2.25, temporal=False)
        pen.text((4.9, 0.2), caption, 11)
        return pen.page


def _draw_factorized(pen: _Pen, y: float) -> None:
    pen.box((1.5, y), 1.3, 0.6, "$x$\n$C×T×H×W$", _DATA)
    pen.box((3.75, y), 1.1, 0.6, "T-SA", _T, 12)
    pen.box((6.05, y), 1.1, 0.6, "S-SA", _S, 12)
    pen.box((8.3, y), 1.3, 0.6, "$y^s$\n$C×T×H×W$", _DATA)
    for start, end in ((2.15, 3.2), (4.3, 5.5), (6.6, 7.65)):
        pen.line((start, y), (end, y))
    pen.text((4.9, y + 0.16), "$y^t$", 10)
    pen.text((3.75, y - 0.44), "along $T$, at each position", colour=_GREY)
    pen.text((6.05, y - 0.44), "over $H×W$, in each frame", colour=_GREY)
    pen.text((4.9, y - 0.8), "a: Factorized spatio-temporal Self-Attention (F-SA)", 10)


def _draw_attention(pen: _Pen, y: float, temporal: bool) -> None:
    """Panel b or c around the height ``y``, at which the input and the output stand."""
    source, mark, n, fill = ("x", "t", "T", _T) if temporal else ("y^t", "s", "N", _S)
    each = "for each of the $N = H·W$ positions" if temporal else "for each of the $T$ frames;  $N = H·W$"
    name = "b: Temporal-wise Self-Attention (T-SA)" if temporal else "c: Spatial-wise Self-Attention (S-SA)"
    upper, lower = y + 0.75, y - 0.75
    product, softmax, map_, second, total = 5.0, 5.75, 6.75, 7.6, 8.3
    between = (upper + y) / 2

    pen.frame(1.5, lower - 0.4, second + 0.3, upper + 0.4)
    pen.text((1.62, lower - 0.55), f"{each};  $C' = C/8$", colour=_GREY, align="left")
    pen.box((0.72, y), 1.0, 0.6, f"${source}$\n$C×T×H×W$", _DATA, 7.5)
    for symbol, row, width in (("f", upper, "C'"), ("g", y, "C'"), ("h", lower, "C")):
        pen.line((1.22, y), (1.72, y), (1.72, row), (2.05, row))
        pen.box((2.6, row), 1.1, 0.48, f"${symbol}_{mark}$\n$1×1×1$ conv", fill)
        pen.line((3.15, row), (3.5, row))
        pen.box((3.95, row), 0.9, 0.4, f"${width}×{n}$", _DATA, 9)
    # Eq. 1 or 3: products of all keys f(x_i) with all queries g(x_j), softmax over i.
    pen.line((4.4, upper), (product, upper), (product, between + 0.13))
    pen.text((4.7, upper + 0.13), "transpose", 7, _GREY)
    pen.line((4.4, y), (product, y), (product, between - 0.13))
    pen.symbol((product, between), "×")
    pen.line((product + 0.13, between), (softmax - 0.35, between))
    pen.box((softmax, between), 0.7, 0.48, "softmax\nover $i$", _PLAIN)
    pen.line((softmax + 0.35, between), (map_ - 0.27, between))
    pen.grid((map_, between), 0.54, fill)
    pen.text((map_, between + 0.46), f"map $a^{mark}_{{ji}}$", 9)
    pen.text((map_, between - 0.42), f"${n}×{n}$", 9)
    # Eq. 2 or 4: the map weighs the values h(x_i); times γ; plus the input.
    pen.line((map_ + 0.27, between), (second, between), (second, lower + 0.13))
    pen.line((4.4, lower), (second - 0.13, lower))
    pen.symbol((second, lower), "×")
    pen.line((second + 0.13, lower), (total, lower), (total, y - 0.13))
    pen.symbol((total, lower + 0.25), f"$γ_{mark}$", 0.18, size=9)
    pen.line((0.72, y + 0.3), (0.72, upper + 0.55), (total, upper + 0.55), (total, y + 0.13))
    pen.symbol((total, y), "+")
    pen.line((total + 0.13, y), (8.62, y))
    pen.box((9.14, y), 1.04, 0.6, f"$y^{mark}$\n$C×T×H×W$", _DATA, 7.5)
    pen.text((4.9, lower - 0.85), name, 10)


# --- Figure 2 -----------------------------------------------------------------------------------------------------

_ROWS = {"S": 4.95, "V": 3.2, "T": 1.45}  # heights of the streams
_MODULE, _GAP, _ATTENTION = 1.95, 0.2, 0.75  # width of a module, of a gap, and what F-SA adds to a gap


@dataclass(frozen=True)
class _Module:
    """What Figure 2 says of a module: for the streams S, V and T, the output (C, T, H, W) and the convolutions."""

    sizes: dict[str, tuple[int, ...]]
    convolutions: dict[str, str]


def generator_diagram(generator: Generator, caption: str = "Figure 2: Generator Architecture.") -> Figure:
    """Figure 2, drawn from a network: its three streams, modules, fusion, attention and sizes.

    Parameters
    ----------
    generator
        Any generator. One clip passes through it to read the sizes; it stays as it was.

    Returns
    -------
    A page of about 15 × 6.4 inches that no window owns: show or save it.

    Raises
    ------
    G3ANError
        The generator is an ablation without G_S or G_T.
    """
    if len(generator.config.streams) < 2:
        raise G3ANError("Figure 2 shows three streams; this network was built without G_S or G_T.")
    modules, output = _read(generator)
    config = generator.config
    left = 1.95
    lefts = []
    for number in range(len(modules)):
        lefts.append(left)
        left += _MODULE + _GAP + (_ATTENTION if str(number) in generator.attention else 0)
    width = left + 2.2
    with matplotlib.rc_context(_STYLE):
        pen = _Pen(width, 6.4)
        _draw_inputs(pen, generator, lefts[0])
        for number, (module, left_edge) in enumerate(zip(modules, lefts, strict=True)):
            right = left_edge + _MODULE
            following = lefts[number + 1] if number + 1 < len(modules) else None
            _draw_module(pen, number, module, left_edge, following)
            arrival = (following if following is not None else left) + 0.1
            start = right - 0.27
            if str(number) in generator.attention:
                centre = right + (_GAP + _ATTENTION) / 2
                parts = "\n".join(f"{part}-SA" for part in config.attention_parts)
                pen.line((start, _ROWS["V"]), (centre - 0.3, _ROWS["V"]))
                pen.box((centre, _ROWS["V"]), 0.6, 0.85, f"F-SA\n\n{parts}" if "\n" in parts else parts, _A, 9.5)
                start = centre + 0.3
            pen.line((start, _ROWS["V"]), (arrival, _ROWS["V"]))
        _draw_output(pen, generator.to_rgb, output, left)
        classes = f", {len(config.classes)} categories" if config.classes else ""
        pen.text(
            (width / 2, 0.52),
            "ConvT: transposed convolution (k kernel, s stride), spectral norm, batch norm, ReLU.   +: sum, motion is "
            "repeated over H×W.   ‖: concatenation, appearance is repeated over T.   Sizes: channels, then T×H×W.",
            9.5,
            _GREY,
        )
        pen.text((width / 2, 0.2), f"{caption} Drawn from the network itself: preset {config.preset}{classes}.", 12)
        return pen.page


def _draw_inputs(pen: _Pen, generator: Generator, left: float) -> None:
    config = generator.config
    s, v, t = _ROWS["S"], _ROWS["V"], _ROWS["T"]
    joint = left - 0.3
    pen.text((0.15, s + 0.62), "$G_S$ appearance", 10.5, align="left")
    pen.text((0.15, v + 0.62), "$G_V$ video", 10.5, align="left")
    pen.text((0.15, t + 0.98), "$G_T$ motion", 10.5, align="left")
    pen.box((0.72, s), 1.1, 0.5, f"$z_a$\n{config.z_a_dim}", _S, 10)
    pen.box((0.72, t + 0.35), 1.1, 0.5, f"$z_m$\n{config.z_m_dim}", _T, 10)
    given = f"one-hot, {len(config.classes)}" if config.classes else "if conditional"
    pen.box((0.72, t - 0.35), 1.1, 0.5, f"$c$\n{given}", _DATA if config.classes else _PLAIN, 10)
    pen.line((1.27, s), (left + 0.1, s))
    pen.line((1.27, t + 0.35), (joint, t + 0.35), (joint, t + 0.11))
    pen.line((1.27, t - 0.35), (joint, t - 0.35), (joint, t - 0.11), dashed=not config.classes)
    pen.line((joint + 0.11, t), (left + 0.1, t))
    pen.symbol((joint, t), "‖", 0.11, size=8)
    # G_V starts from both codes.
    pen.line((joint, s), (joint, v + 0.11))
    pen.line((joint + 0.16, t), (joint + 0.16, (v + t) / 2), (joint, (v + t) / 2), (joint, v - 0.11))
    pen.line((joint + 0.11, v), (left + 0.1, v))
    pen.symbol((joint, v), "‖", 0.11, size=8)


def _draw_module(pen: _Pen, number: int, module: _Module, left: float, following: float | None) -> None:
    conv, plus, joint, right = left + 0.57, left + 1.2, left + 1.62, left + _MODULE
    pen.frame(left, _ROWS["T"] - 0.65, right, _ROWS["S"] + 0.8, "#fbfbfb")
    pen.text(((left + right) / 2, _ROWS["S"] + 0.98), f"$G^3_{number}$", 13)
    for stream, fill in (("S", _S), ("V", _V), ("T", _T)):
        y = _ROWS[stream]
        pen.box((conv, y), 0.94, 1.2 if stream == "V" else 0.7, module.convolutions[stream], fill, 9.5)
        channels, *extent = module.sizes[stream]
        label = f"{channels}\n{'×'.join(map(str, extent))}"
        at = {"S": (left + 1.5, y + 0.3), "V": (left + 1.59, y - 0.38), "T": (left + 1.5, y - 0.3)}[stream]
        pen.text(at, label, 8.5)
    # Fusion: the motion stream is added to G_V, then the appearance stream is concatenated to it.
    for stream, start in (("S", joint), ("T", plus)):
        y = _ROWS[stream]
        if following is None:  # the last module's own streams end in its fusion
            pen.line((conv + 0.47, y), (start, y), arrow=False)
        else:
            pen.line((conv + 0.47, y), (following + 0.1, y))
    pen.line((plus, _ROWS["T"]), (plus, _ROWS["V"] - 0.11))
    pen.line((joint, _ROWS["S"]), (joint, _ROWS["V"] + 0.11))
    pen.line((conv + 0.47, _ROWS["V"]), (plus - 0.11, _ROWS["V"]))
    pen.line((plus + 0.11, _ROWS["V"]), (joint - 0.11, _ROWS["V"]))
    pen.symbol((plus, _ROWS["V"]), "+", 0.11)
    pen.symbol((joint, _ROWS["V"]), "‖", 0.11, size=8)


def _draw_output(pen: _Pen, to_rgb: nn.Conv3d, output: tuple[int, ...], left: float) -> None:
    y = _ROWS["V"]
    kernel = "×".join(map(str, to_rgb.kernel_size))
    pen.box((left + 0.45, y), 0.7, 0.8, f"Conv 3d\n{kernel}\ntanh", _V, 9)
    pen.line((left + 0.8, y), (left + 1.05, y))
    channels, *extent = output
    pen.frames((left + 1.5, y), 0.9, f"video\n{channels}\n{'×'.join(map(str, extent))}")


def _read(generator: Generator) -> tuple[list[_Module], tuple[int, ...]]:
    """Every module's sizes and convolutions, and the size of the video, from a pass of one clip."""
    seen: list[dict[str, tuple[int, ...]]] = []

    def note(_: nn.Module, __: Any, streams: Sequence[Tensor]) -> None:
        seen.append({name: tuple(h.shape[1:]) for name, h in zip("SVT", streams, strict=True)})

    config = generator.config
    one = next(generator.parameters()).new_zeros
    c = one(1, len(config.classes)) if config.classes else None
    hooks = [module.register_forward_hook(note) for module in generator.modules_g3]
    training = generator.training
    try:
        generator.eval()
        with torch.no_grad():
            output = tuple(generator(one(1, config.z_a_dim), one(1, config.z_m_dim), c).shape[1:])
    finally:
        generator.train(training)
        for hook in hooks:
            hook.remove()
    modules = []
    for module, sizes in zip(generator.modules_g3, seen, strict=True):
        assert isinstance(module, G3Module)
        stages: dict[str, Iterable[nn.Module]] = {"S": (module.conv_s,), "V": module.conv_v, "T": (module.conv_t,)}
        convolutions = {stream: "\n\n".join(_spelled(layer) for layer in layers) for stream, layers in stages.items()}
        modules.append(_Module(sizes, convolutions))
    return modules, output


def _spelled(layer: nn.Module) -> str:
    """A transposed convolution in the appendix's words, such as ``ConvT 2d, k 4×4, s 2``."""
    assert isinstance(layer, nn.Sequential)
    convolution = layer[0]
    assert isinstance(convolution, nn.ConvTranspose3d)
    time, *space = convolution.kernel_size
    strides = convolution.stride
    if space == [1, 1]:
        name, kernel, stride = "1d", f"{time}", f"{strides[0]}"
    elif time == 1:
        name, kernel, stride = "2d", "×".join(map(str, space)), f"{strides[1]}"
    else:
        name, kernel, stride = "3d", "×".join(map(str, convolution.kernel_size)), f"{strides[0]}"
    return f"ConvT {name}\nk {kernel}" + (f", s {stride}" if max(strides) > 1 else "")


# --- Measured attention -------------------------------------------------------------------------------------------


def attention_maps(
    maps: Mapping[str, Tensor], video: np.ndarray, instant: int, places: Sequence[tuple[int, int]]
) -> Figure:
    """T-SA and S-SA maps of one clip, as ``FactorizedSelfAttention.maps`` gives them.

    Above, T-SA: the mean over all positions, then one map for each place (rows j, columns i). Below, S-SA in one frame:
    the frame with the places marked, then for each place j where it attends to (all i, as an image). Values are
    multiples of even attention, 1 / T or 1 / N: 1 means "no preference".

    Parameters
    ----------
    maps : 'T' (1, H, W, T, T) and 'S' (1, T, N, N).
    video : (frames, height, width, 3) uint8, the clip; it may have more frames than attention has instants.
    instant : the instant that S-SA is shown for.
    places : (row, column) on the H × W grid that attention works on.

    Raises
    ------
    G3ANError
        A part is missing, or the instant or a place lies outside the clip.
    """
    if set(maps) != {"T", "S"}:
        raise G3ANError(f"The maps of T-SA and of S-SA are both needed, not {', '.join(maps) or 'none'}.")
    _, height, width, time, _ = maps["T"].shape
    if not 0 <= instant < time or not all(0 <= r < height and 0 <= c < width for r, c in places):
        raise G3ANError(f"This attention has {time} instants and {height}×{width} places, counted from 0.")
    frame = (2 * instant + 1) * len(video) // (2 * time)  # where T still doubles, an instant becomes several frames
    temporal = maps["T"][0].numpy() * time
    spatial = maps["S"][0, instant].numpy().reshape(height, width, height, width) * height * width
    columns = 1 + len(places)
    with matplotlib.rc_context({**_STYLE, "font.size": 8}):
        page = Figure(figsize=(2.5 * columns, 4.9), dpi=_DPI / 2, facecolor="white", layout="constrained")
        FigureCanvasAgg(page)
        page.suptitle("Attention as a multiple of even attention", fontsize=9)
        above, below = page.subplots(2, columns, squeeze=False)
        grids = [temporal.mean((0, 1)), *(temporal[place] for place in places)]
        titles = ["T-SA, all positions", *(f"T-SA at position {k}" for k in range(1, columns))]
        for axes, grid, title in zip(above, grids, titles, strict=True):
            page.colorbar(axes.imshow(grid, cmap="magma", vmin=0), ax=axes, fraction=0.046, pad=0.04)
            axes.set(title=title, xlabel="attended to, $i$", ylabel="written, $j$")
        below[0].imshow(video[frame], extent=(-0.5, width - 0.5, height - 0.5, -0.5))
        below[0].set(title=f"frame {frame}, positions")
        for number, (axes, place) in enumerate(zip(below[1:], places, strict=True), 1):
            page.colorbar(axes.imshow(spatial[place], cmap="magma", vmin=0), ax=axes, fraction=0.046, pad=0.04)
            axes.set(title=f"S-SA at position {number}")
            axes.plot(place[1], place[0], "+", color="#22d3ee", markersize=10, markeredgewidth=2)
            below[0].plot(place[1], place[0], "+", color="#22d3ee", markersize=10, markeredgewidth=2)
            below[0].text(place[1] + 1, place[0] - 1, str(number), color="#22d3ee", fontweight="bold")
        for axes in below:
            axes.set_xticks([])
            axes.set_yticks([])
        return page
