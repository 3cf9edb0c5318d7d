"""Pictures in the appendix's layout: one video a row, frames from left to right, panels labelled below.

Everything is placed in whole pixels, so that a frame reaches the PNG as the generator made it (each of its pixels a
square of ``scale`` × ``scale``), and files hold no dates or versions: the same input gives the same bytes.
"""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.font_manager import FontProperties
from PIL import Image

from g3an.errors import G3ANError
from g3an.files import atomic_write, read_json, sha256, write_json

if TYPE_CHECKING:
    from g3an.catalogue import Figure
    from g3an.latents import Effects

FRAME_MS = 120  # GIF counts in hundredths of a second, so this is as near to 8 frames a second as it gets
END_MS = 600  # of the last frame, so that a video which begins again is not taken for one that jumps

_DPI = 200  # only sets how large the PDF's page is; all sizes here are pixels
_FRAME_GAP, _ROW_GAP, _SPLIT, _MARGIN = 2, 4, 16, 32
_LABEL, _CAPTION, _SMALL = 33, 31, 25  # letters on the page
_LEAST_LAST_LINE = 0.25  # of the width of a paragraph
_INK, _GREY, _ALARM = "#111111", "#595959", "#b00020"
# matplotlib's own settings, whatever style a notebook has chosen; the fonts are those it carries.
_STYLE: Any = {
    "font.family": ["DejaVu Sans"],
    "mathtext.fontset": "dejavusans",
    "text.color": _INK,
    "pdf.fonttype": 42,
    "savefig.bbox": None,
    "savefig.dpi": "figure",
    "figure.facecolor": "white",
    "text.usetex": False,
    "path.simplify": True,
}


@dataclass(frozen=True)
class Panel:
    """A sub-figure.

    Attributes
    ----------
    label
        Set below the panel, such as ``a: subject 1, *one-hand waving*`` (stars set words in italics).
    videos
        (rows, T, H, W, 3) uint8.
    rows
        What stands left of each row, one short label a video.
    columns
        Videos side by side in the animation.
    split
        A wider gap after this many rows; 0 for none.
    """

    label: str
    videos: np.ndarray
    rows: tuple[str, ...]
    columns: int = 1
    split: int = 0

    def __post_init__(self) -> None:
        if self.videos.ndim != 5 or self.videos.shape[-1] != 3 or self.videos.dtype != np.uint8:
            raise G3ANError(f"A panel takes uint8 (rows, T, H, W, 3), not {self.videos.dtype} {self.videos.shape}.")
        if len(self.rows) != len(self.videos):
            raise G3ANError(f"A panel of {len(self.videos)} videos needs as many row labels, not {len(self.rows)}.")


@dataclass(frozen=True)
class Drawn:
    """A finished picture: the page as a matplotlib figure and, where it shows videos, frames (T, H, W, 3) uint8."""

    still: Canvas
    animation: np.ndarray | None = None


def draw_panels(
    panels: Sequence[Panel],
    caption: str,
    provenance: str,
    stamp: str = "",
    scale: int = 2,
    across: int = 1,
    title: str = "",
) -> Drawn:
    """Draw video panels one above the other, and the same videos playing.

    Parameters
    ----------
    caption
        Below all panels, ``*words*`` in italics.
    provenance
        Which network, from which data, drew this; in small print below the caption.
    stamp
        A warning that must be seen with the picture, such as ``smoke run``; above the panels.
    scale
        Pixels on the page for a pixel of the video, along each side.
    across
        Panels side by side in the animation.
    title
        What stands below the animation, which has no room for the caption; without it, the caption up to a colon.

    Raises
    ------
    G3ANError
        No panels, a scale below 1, or videos of different lengths or sizes.
    """
    if not panels:
        raise G3ANError("There is nothing to draw: give at least one panel.")
    if scale < 1 or across < 1:
        raise G3ANError(f"scale and across must be at least 1, not {scale} and {across}.")
    if len({panel.videos.shape[1:] for panel in panels}) > 1:
        raise G3ANError("All videos of a figure need the same length and size.")
    with matplotlib.rc_context(_STYLE):
        return Drawn(
            _still(panels, caption, provenance, stamp, scale),
            _animation(panels, title or caption.partition(":")[0], provenance, stamp, scale, across),
        )


# --- The page -----------------------------------------------------------------------------------------------------


def _still(panels: Sequence[Panel], caption: str, provenance: str, stamp: str, scale: int) -> Canvas:
    height, width = (side * scale for side in panels[0].videos.shape[2:4])
    time = panels[0].videos.shape[1]
    left = _MARGIN + max(_measure(row, _LABEL) for panel in panels for row in panel.rows) + 16
    inner = time * (width + _FRAME_GAP) - _FRAME_GAP
    page_width = left + inner + _MARGIN

    # The page is as high as what stands on it, so heights come first.
    tops, y = [], _MARGIN + (2 * _LABEL if stamp else 0)
    for panel in panels:
        tops.append(y)
        y += _row_top(panel, len(panel.videos), height) + 2 * _LABEL + 16
    caption_top = y
    caption_lines = _wrap(caption, _CAPTION, page_width - 2 * _MARGIN)
    small_top = caption_top + len(caption_lines) * _line(_CAPTION) + 10
    small_lines = _wrap(provenance, _SMALL, page_width - 2 * _MARGIN)
    page = _Page(page_width, small_top + len(small_lines) * _line(_SMALL) + _MARGIN - 8)

    if stamp:
        page.text(stamp, page_width / 2, _MARGIN - 6, _LABEL, "centre", _ALARM, weight="bold")
    for panel, top in zip(panels, tops, strict=True):
        for row, (video, label) in enumerate(zip(panel.videos, panel.rows, strict=True)):
            upper = top + _row_top(panel, row, height)
            page.image(_filmstrip(video, scale), left, upper)
            page.text(label, left - 14, upper + (height - _line(_LABEL)) / 2, _LABEL, "right")
        below = top + _row_top(panel, len(panel.videos), height) + 4
        page.text(panel.label, left + inner / 2, below, _LABEL, "centre")
    for number, line in enumerate(caption_lines):
        page.text(line, _MARGIN, caption_top + number * _line(_CAPTION), _CAPTION)
    for number, line in enumerate(small_lines):
        page.text(line, _MARGIN, small_top + number * _line(_SMALL), _SMALL, colour=_GREY)
    return page.canvas


def _row_top(panel: Panel, row: int, height: int) -> int:
    """Where row number ``row`` begins below the panel's top; for one past the last, where the panel ends."""
    split = _SPLIT if panel.split and row >= panel.split else 0
    return row * (height + _ROW_GAP) + split


def _filmstrip(video: np.ndarray, scale: int) -> np.ndarray:
    """(T, H, W, 3) to one picture (H', W', 3), each pixel a square, a white line between frames."""
    frames = enlarge(video, scale)
    time, height, width, _ = frames.shape
    strip = np.full((height, time * (width + _FRAME_GAP) - _FRAME_GAP, 3), 255, np.uint8)
    for number, frame in enumerate(frames):
        left = number * (width + _FRAME_GAP)
        strip[:, left : left + width] = frame
    return strip


def enlarge(frames: np.ndarray, scale: int) -> np.ndarray:
    """Repeat each pixel of (..., H, W, 3) ``scale`` times along both sides: crisp, unlike interpolation."""
    return frames.repeat(scale, axis=-3).repeat(scale, axis=-2)


class _Page:
    """A white page of whole pixels, counted from its upper left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = round(width), round(height)
        self.canvas = Canvas(figsize=(self.width / _DPI, self.height / _DPI), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(self.canvas)

    def image(self, pixels: np.ndarray, left: float, top: float) -> None:
        """Put ``pixels`` (H, W, 3) down unscaled."""
        left, top = round(left), round(top)
        height, width, _ = pixels.shape
        axes = self.canvas.add_axes(
            (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        )
        axes.imshow(pixels, interpolation="none", aspect="auto")
        axes.set_axis_off()

    def text(
        self, markup: str, x: float, top: float, size: float, align: str = "left", colour: str = _INK, **font: Any
    ) -> None:
        """Write one line, ``size`` pixels high, with its left end, centre or right end at ``x``."""
        x -= {"left": 0, "centre": 0.5, "right": 1}[align] * _measure(markup, size, **font)
        baseline = self.height - round(top + 0.95 * size)
        for runs in _words(markup):
            for run, slanted in runs:
                style = "italic" if slanted else "normal"
                self.canvas.text(
                    round(x) / self.width, baseline / self.height, run, va="baseline", ha="left", color=colour,
                    fontsize=_points(size), style=style, **font,
                )  # fmt: skip
                x += _run_width(run, slanted, size, **font)
            x += _space(size)

    def pixels(self) -> np.ndarray:
        """The page as (H, W, 3) uint8."""
        self.canvas.canvas.draw()
        return np.asarray(self.canvas.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]


# --- Text: matplotlib places strings; lines with some words in italics are made here --------------------------------


def _words(markup: str) -> list[list[tuple[str, bool]]]:
    """Words of ``plain *in italics* plain``, each a list of (text, italic); formulas must not hold spaces."""
    words, slanted = [], False
    for word in markup.split():
        runs = []
        for number, part in enumerate(word.split("*")):
            slanted ^= number > 0
            if part:
                runs.append((part, slanted))
        words.append(runs)
    return words


def _wrap(markup: str, size: float, width: float) -> list[str]:
    """Break a paragraph into lines of at most ``width`` pixels; a short last one is filled if that costs no line."""
    lines = _lines(markup, size, width)
    for narrower in (0.95, 0.9, 0.85, 0.8):
        if len(lines) < 2 or _measure(lines[-1], size) >= _LEAST_LAST_LINE * width:
            break
        evener = _lines(markup, size, narrower * width)
        if len(evener) > len(lines):  # no narrower without a line more
            break
        lines = evener
    return lines


def _lines(markup: str, size: float, width: float) -> list[str]:
    lines: list[str] = []
    open_italics = False
    for word in markup.split():
        if lines and _measure(f"{lines[-1]} {word}", size) <= width:
            lines[-1] += f" {word}"
        else:
            if lines and open_italics:  # italics go on in the next line
                lines[-1] += "*"
                word = f"*{word}"
            lines.append(word)
        open_italics = lines[-1].count("*") % 2 == 1
    return lines


def _measure(markup: str, size: float, **font: Any) -> float:
    words = _words(markup)
    letters = sum(_run_width(run, slanted, size, **font) for runs in words for run, slanted in runs)
    return letters + max(len(words) - 1, 0) * _space(size)


def _run_width(run: str, slanted: bool, size: float, **font: Any) -> float:
    properties = FontProperties(
        family=_STYLE["font.family"], size=_points(size), style="italic" if slanted else "normal", **font
    )
    return _RENDERER.get_text_width_height_descent(run, properties, ismath="$" in run)[0]


def _space(size: float) -> float:
    return 0.32 * size


def _line(size: float) -> float:
    return round(1.4 * size)


def _points(size: float) -> float:
    return size * 72 / _DPI


_RENDERER = RendererAgg(1, 1, _DPI)

# --- The same videos, playing ---------------------------------------------------------------------------------------


def _animation(panels: Sequence[Panel], title: str, provenance: str, stamp: str, scale: int, across: int) -> np.ndarray:
    """Tiles instead of rows of frames: (T, H, W, 3) uint8."""
    label, small, gap = 17, 14, 8
    time, height, width = panels[0].videos.shape[1], *(side * scale for side in panels[0].videos.shape[2:4])
    tile = height + _line(small)
    panel_width = max(panel.columns for panel in panels) * (width + gap) - gap
    captions = [_wrap(panel.label, label, panel_width + 2 * gap) for panel in panels]
    panel_height = max(-(-len(panel.videos) // panel.columns) for panel in panels) * (tile + gap) + gap
    panel_height += max(map(len, captions)) * _line(label)
    lines = -(-len(panels) // across)
    page_width = max(min(across, len(panels)) * (panel_width + 3 * gap) + gap, 420)
    small_lines = _wrap(f"{title}. {provenance}", small, page_width - 4 * gap)
    top = 2 * gap + (2 * label if stamp else 0)
    page = _Page(page_width, top + lines * panel_height + len(small_lines) * _line(small) + gap)

    if stamp:
        page.text(stamp, page.width / 2, gap, label, "centre", _ALARM, weight="bold")
    places = []
    for number, panel in enumerate(panels):
        row, column = divmod(number, across)
        inset = (page.width - min(across, len(panels)) * (panel_width + 3 * gap) + 3 * gap) // 2
        x0, y0 = inset + column * (panel_width + 3 * gap), top + row * panel_height
        for index, name in enumerate(panel.rows):
            down, right = divmod(index, panel.columns)
            x, y = x0 + right * (width + gap), y0 + down * (tile + gap)
            page.text(name, x + width / 2, y + height, small, "centre", _GREY)
            places.append((panel.videos[index], x, y))
        used = -(-len(panel.rows) // panel.columns) * (tile + gap)
        for below, line in enumerate(captions[number]):
            page.text(line, x0 + panel_width / 2, y0 + used - gap / 2 + below * _line(label), label, "centre")
    for number, line in enumerate(small_lines):
        page.text(line, 2 * gap, top + lines * panel_height + number * _line(small), small, colour=_GREY)

    frames = page.pixels()[None].repeat(time, axis=0)
    for video, x, y in places:
        frames[:, y : y + height, x : x + width] = enlarge(video, scale)
    return frames


# --- Files -----------------------------------------------------------------------------------------------------------


def png_bytes(canvas: Canvas, title: str = "", alt: str = "") -> bytes:
    """A figure as PNG with its description inside and no date or version."""
    about = {"Software": None, "Title": title or None, "Description": alt or None}
    stream = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        canvas.savefig(stream, format="png", metadata=about)
    return stream.getvalue()


def jpeg_bytes(canvas: Canvas) -> bytes:
    """A figure for a page that has many: half as large as PNG, where frames of videos hardly compress."""
    return as_jpeg(png_bytes(canvas))


def as_jpeg(png: bytes) -> bytes:
    """A PNG picture as JPEG."""
    stream = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        picture.convert("RGB").save(stream, "JPEG", quality=90, subsampling=0)
    return stream.getvalue()


def pdf_bytes(canvas: Canvas, title: str = "") -> bytes:
    """A figure as PDF without dates or versions."""
    about = {"Creator": None, "Producer": None, "CreationDate": None, "ModDate": None, "Title": title or None}
    # fontTools remarks on the dates inside matplotlib's own fonts each time it embeds them.
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    stream = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        canvas.savefig(stream, format="pdf", metadata=about)
    return stream.getvalue()


def _indexed(animation: np.ndarray) -> list[Image.Image]:
    """Frames in 256 colours from one palette, chosen over all frames: no flicker and always the same bytes."""
    time, height, width, _ = animation.shape
    tall = Image.fromarray(animation.reshape(time * height, width, 3))
    sample = Image.fromarray(animation[::2, ::4, ::4].reshape(-1, (width + 3) // 4, 3))
    # Medians alone follow walls and shirts, which have most of the pixels: lips, which have few, would turn brown.
    palette = sample.quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=1)
    indexed = tall.quantize(palette=palette, dither=Image.Dither.NONE)
    white = (animation == 255).all(-1).reshape(time * height, width)
    if white.any():  # medians make a light grey of it and of what is nearly white: what stands for it becomes white
        page = int(np.asarray(indexed)[white][0])
        colours = palette.getpalette() or []
        indexed.putpalette([*colours[: 3 * page], *[255] * 3, *colours[3 * page + 3 :]])
    return [indexed.crop((0, k * height, width, (k + 1) * height)) for k in range(time)]


def gif_bytes(animation: np.ndarray, end: int = FRAME_MS) -> bytes:
    """Frames (T, H, W, 3) uint8 as an endless GIF of about 8 frames a second, the last one for ``end`` ms."""
    return _animated(animation, "GIF", end, optimize=False, disposal=1)


def apng_bytes(animation: np.ndarray, end: int = FRAME_MS) -> bytes:
    """The same as an animated PNG, which notebooks and their HTML show where they would not show a GIF."""
    return _animated(animation, "PNG", end)


def _animated(animation: np.ndarray, kind: str, end: int, **options: Any) -> bytes:
    first, *rest = _indexed(animation)
    pace = [FRAME_MS] * len(rest) + [end]
    stream = io.BytesIO()
    first.save(stream, kind, save_all=True, append_images=rest, duration=pace, loop=0, **options)
    return stream.getvalue()


def show(drawn: Drawn, alt: str, moving: bool = False, playing: str = "") -> None:
    """Show a picture in a notebook and, with ``moving``, the same videos playing, described by ``alt`` and ``playing``.

    Frames of videos are shown as JPEG; the files that :func:`save` writes lose nothing. A picture that moves takes
    megabytes in the notebook, so it is asked for where it teaches something.
    """
    from IPython.display import Image as Shown
    from IPython.display import display

    if drawn.animation is None:
        display(Shown(png_bytes(drawn.still), alt=alt))
    else:
        display(Shown(jpeg_bytes(drawn.still), format="jpeg", alt=alt))
    if moving and drawn.animation is not None:
        display(Shown(apng_bytes(drawn.animation, END_MS), alt=playing or f"The same videos, playing. {alt}"))


def show_plot(alt: str) -> None:
    """Show pyplot's current figure in a notebook, with the description that ``plt.show`` cannot give it; close it."""
    from IPython.display import Image as Shown
    from IPython.display import display
    from matplotlib import pyplot as plt

    stream = io.BytesIO()
    figure = plt.gcf()
    figure.savefig(stream, format="png", bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
    display(Shown(stream.getvalue(), alt=alt))


def save(
    drawn: Drawn, figure: Figure, out_dir: str | Path, parameters: dict[str, Any], weights_hash: str | None
) -> list[Path]:
    """Write PNG, PDF and, for videos, GIF, and enter the figure in ``manifest.json`` of the same folder.

    Parameters
    ----------
    parameters
        What the figure was drawn with; goes into the manifest.
    weights_hash
        Of the generator; None for a figure that needs no trained network.

    Returns
    -------
    list of Path
        The pictures written.

    Raises
    ------
    G3ANError
        The folder cannot be written, or its manifest is damaged.
    """
    folder = Path(out_dir)
    contents = {".png": png_bytes(drawn.still, figure.title, figure.alt), ".pdf": pdf_bytes(drawn.still, figure.title)}
    if drawn.animation is not None:
        contents[".gif"] = gif_bytes(drawn.animation, END_MS)
    files = []
    for suffix, content in contents.items():
        files.append(folder / f"{figure.name}{suffix}")
        with atomic_write(files[-1]) as temporary:
            temporary.write_bytes(content)
    entry = {
        "number": figure.number,
        "title": figure.title,
        "caption": figure.caption,
        "alt": figure.alt,
        **({"playing": figure.playing} if drawn.animation is not None else {}),
        "seeds": figure.seeds,
        **({"effect": figure.effect} if figure.effect else {}),
        "notebook": f"notebooks/{figure.notebook}.ipynb",
        "parameters": parameters,
        "weights": parameters.get("weights"),
        "weights_sha256": weights_hash,
        "files": {file.name: sha256(file) for file in files},
    }
    with _locked(folder):
        manifest = folder / "manifest.json"
        entries = read_json(manifest) if manifest.exists() else {}
        if not isinstance(entries, dict):
            raise G3ANError(f"{manifest} is not a manifest of figures; move it away and draw the figures again.")
        write_json(manifest, dict(sorted({**entries, figure.id: entry}.items())))
    return files


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time change the manifest of ``folder``, where the system can (not on Windows)."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


# --- Plots ------------------------------------------------------------------------------------------------------------


def plot_effects(effects: Effects, drawn: Sequence[int]) -> Canvas:
    """Effect of every dimension, strongest first, with those that the figures draw marked by their number from 1.

    Returns
    -------
    matplotlib.figure.Figure
        The vertical axis is the mean absolute change of a pixel in 8-bit levels.
    """
    import seaborn

    style: Any = seaborn.axes_style("whitegrid") | seaborn.plotting_context("notebook")
    style["font.family"] = ["DejaVu Sans"]
    with matplotlib.rc_context(style):
        canvas = Canvas(figsize=(8, 3.4), dpi=120, layout="constrained")
        FigureCanvasAgg(canvas)
        axes = canvas.add_subplot()
        plain, marked = seaborn.color_palette("colorblind")[7], seaborn.color_palette("colorblind")[3]
        colours = [marked if dimension in drawn else plain for dimension in effects.order]
        heights = [effects.change[dimension] for dimension in effects.order]
        axes.bar(range(1, len(heights) + 1), heights, color=colours, width=0.85, linewidth=0)
        for dimension in drawn:
            rank = effects.rank(dimension)
            axes.annotate(
                f"dimension {dimension + 1}", (rank, effects.change[dimension]), xytext=(0, 6), rotation=90,
                textcoords="offset points", ha="center", va="bottom", color=marked,
            )  # fmt: skip
        axes.set(
            xlim=(0.2, len(heights) + 0.8), ylim=(0, 1.45 * max(heights)),
            xlabel=f"rank among the {len(heights)} dimensions of {'z_a' if effects.part == 'appearance' else 'z_m'}",
            ylabel="mean change of a pixel\n(levels of 255)",
        )  # fmt: skip
        axes.grid(axis="x", visible=False)
        seaborn.despine(canvas)
    return canvas
