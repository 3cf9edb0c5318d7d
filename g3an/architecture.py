"""Table 1, computed from the network, and where the released code departs from the appendix."""

from __future__ import annotations

from typing import Any

import matplotlib
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from g3an.config import ModelConfig
from g3an.generator import Generator
from g3an.latents import sample_codes

# Table 1 as printed: C, H, W, T in G_V after each module.
TABLE_1 = {
    "G3_0": (1024, 4, 4, 2),
    "G3_1": (512, 8, 8, 4),
    "G3_2": (256, 16, 16, 8),
    "G3_3": (128, 32, 32, 16),
    "G3_4": (64, 64, 64, 16),
    "output": (3, 64, 64, 16),
}

# Facts about the released code: what its networks are, beside what the appendix says.
APPENDIX_AND_RELEASED_CODE = (
    ("T after each module", "2, 4, 8, 16, 16", "4, 8, 16, 16, 16", "presets appendix and official"),
    ("channels in G_V", "1024, 512, 256, 128, 64", "1024, 1024, 512, 256, 128", "streams of half of that"),
    ("kernel of the first module", "temporal 2, since T = 2", "4", "by preset"),
    ("F-SA", "in the generator", "off unless asked for", "on, after a module of choice"),
    ("attended tensor", "eqs. 1 to 4", "read back in a wrong order", "eqs. 1 to 4"),
    ("conditional generation", "one-hot category with z_m", "never released", "c joins z_m; D_V projects on c"),
    ("initialisation", "not said", "N(0, 0.02), but not where transposed", "N(0, 0.02) everywhere"),
    ("to 8 bits", "not said", "min to max of the whole batch", "(x + 1) / 2"),
)


def output_dimensions(generator: Generator) -> dict[str, tuple[int, int, int, int]]:
    """Table 1 of any generator: (C, H, W, T) in G_V after each module, read from the tensors of one clip."""
    codes = sample_codes(generator.config, 1, seed=0)
    training = generator.training
    generator.eval()
    with torch.no_grad():
        features = generator.features(codes.z_a, codes.z_m, codes.c)
    generator.train(training)
    rows = {}
    for name in TABLE_1:
        _, channels, frames, height, width = features[name].shape
        rows[name] = (channels, height, width, frames)
    return rows


def stream_parameters(generator: Generator) -> dict[str, int]:
    """Number of parameters by stream: G_S, G_T, G_V, F-SA, and the output layer."""
    counts = {"G_S": 0, "G_T": 0, "G_V": 0, "F-SA": 0, "output": 0}
    streams = {"conv_s": "G_S", "conv_t": "G_T", "conv_v": "G_V"}
    for name, value in generator.named_parameters():
        part = next((stream for key, stream in streams.items() if f".{key}." in name), None)
        counts[part or ("F-SA" if name.startswith("attention.") else "output")] += value.numel()
    return counts


def draw_table(preset: str = "appendix", caption: str = "Table 1") -> Figure:
    """Table 1 with the appendix's numbers beside the network's own.

    Returns
    -------
    matplotlib.figure.Figure
        A page that no window owns. A row that disagrees is drawn in red.
    """
    generator = Generator(ModelConfig.from_preset(preset), spectral_norm=False)
    measured = output_dimensions(generator)
    rows = [("", "C", "H × W × T", "C", "H × W × T")]
    colours: list[Any] = ["black"]
    for name, printed in TABLE_1.items():
        label = name if name == "output" else f"$G^3_{name[-1]}$"
        rows.append((label, *_dimensions(printed), *_dimensions(measured[name])))
        colours.append("black" if printed == measured[name] else "#b00020")
    with matplotlib.rc_context({"font.family": ["DejaVu Sans"], "mathtext.fontset": "dejavusans", "pdf.fonttype": 42}):
        page = Figure(figsize=(7.2, 3.9), dpi=200, facecolor="white")
        FigureCanvasAgg(page)
        axes = page.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, 7.2), ylim=(0, 3.9))
        axes.axis("off")
        columns = (0.9, 2.1, 3.3, 4.9, 6.1)
        top, step = 3.15, 0.36
        for centre, text in ((2.7, "appendix, as printed"), (5.5, f"this network, preset {preset}")):
            axes.text(centre, top + step + 0.06, text, ha="center", va="center", fontsize=11)
            axes.plot([centre - 1.25, centre + 1.25], [top + step - 0.14] * 2, color="black", linewidth=0.6)
        for number, (row, colour) in enumerate(zip(rows, colours, strict=True)):
            for x, text in zip(columns, row, strict=True):
                look = {"color": colour, "style": "italic" if number == 0 else "normal"}
                axes.text(x, top - number * step, text, ha="center", va="center", fontsize=11, **look)
        for y, width in ((top + step + 0.3, 1.2), (top - step / 2, 0.6), (top - (len(rows) - 0.5) * step, 1.2)):
            axes.plot([0.4, 6.9], [y, y], color="black", linewidth=width)
        axes.text(3.65, 0.28, caption, ha="center", va="center", fontsize=11)
    return page


def _dimensions(row: tuple[int, int, int, int]) -> tuple[str, str]:
    channels, height, width, frames = row
    return str(channels), f"{height} × {width} × {frames}"
