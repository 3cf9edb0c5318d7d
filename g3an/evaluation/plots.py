"""Plots of the stored results (:mod:`g3an.evaluation.stored`), for notebook 05."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from g3an.errors import G3ANError
from g3an.evaluation.page import TERMS


@contextmanager
def _canvas(width: float, height: float) -> Iterator[Figure]:
    import seaborn

    style: Any = seaborn.axes_style("whitegrid") | seaborn.plotting_context("notebook")
    style["font.family"] = ["DejaVu Sans"]
    with matplotlib.rc_context(style):
        canvas = Figure(figsize=(width, height), dpi=120, layout="constrained")
        FigureCanvasAgg(canvas)
        yield canvas


def _having(content: Mapping[str, Any], section: str) -> dict[str, Any]:
    """What was found of a section, by network."""
    found = {name: entry[section]["found"] for name, entry in content["networks"].items() if section in entry}
    if not found:
        raise G3ANError(f"Nothing is stored of {section}; measure it by g3an results.")
    return found


def title_of(content: Mapping[str, Any], name: str) -> str:
    """A network's name, and what its data are."""
    return f"{name} ({'simulated' if content['networks'][name]['simulated'] else 'real'})"


def plot_metrics(content: Mapping[str, Any], metric: str = "FID") -> Figure:
    """A metric of each network with its 95 % interval, and the real/real distance beside it.

    A panel for each extractor, for their numbers cannot be compared; bars of one panel are of different data sets, so
    they are read by their own real/real distance only, a scale and no floor (see
    :attr:`g3an.evaluation.protocol.Measurement.floor`).

    Raises
    ------
    G3ANError
        Nothing is stored of it.
    """
    import seaborn

    numbers = [
        (name, one)
        for name, found in _having(content, "metrics").items()
        for one in found
        if one["metric"] == metric
    ]
    extractors = list(dict.fromkeys(one["protocol"]["extractor"] for _, one in numbers))
    if not extractors:
        raise G3ANError(f"Nothing is stored of {metric}.")
    with _canvas(1.5 + 4.2 * len(extractors), 3.6) as canvas:
        blue, orange = seaborn.color_palette("colorblind")[:2]
        for axes, extractor in zip(canvas.subplots(1, len(extractors), squeeze=False)[0], extractors, strict=True):
            shown = [(name, one) for name, one in numbers if one["protocol"]["extractor"] == extractor]
            names = [title_of(content, name).replace(" (", "\n(") for name, _ in shown]
            values = [one["value"] for _, one in shown]
            # A value may lie outside its bootstrap interval (FID grows when clips are drawn twice).
            ends = [(one["low"], one["high"]) for _, one in shown]
            seaborn.barplot(x=names, y=values, color=blue, width=0.55, ax=axes)
            for place, (low, high) in enumerate(ends):
                label = None if place else "95 % interval"
                axes.plot([place, place], [low, high], color="0.2", linewidth=2, label=label)
            scales = [(place, one["floor"]) for place, (_, one) in enumerate(shown) if one["floor"] is not None]
            for place, apart in scales:
                label = "real/real distance" if place == scales[0][0] else None
                axes.plot([place - 0.3, place + 0.3], [apart, apart], color=orange, linewidth=3, label=label)
            axes.set(title=f"features of {extractor}", ylabel=metric, xlabel="", ylim=(0, None))
            axes.grid(axis="x", visible=False)
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
        seaborn.despine(canvas)
    return canvas


def plot_shares(content: Mapping[str, Any]) -> Figure:
    """Heat maps of factors by codes: the share of a factor's variance that a code alone explains.

    Raises
    ------
    G3ANError
        Nothing is stored of it.
    """
    import seaborn

    found = _having(content, "codes")
    with _canvas(1.5 + 4.2 * len(found), 6.2) as canvas:
        for axes, (name, one) in zip(canvas.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True):
            factors = list(one["shares"])
            terms = [term for term in TERMS if term in one["shares"][factors[0]]]
            # Of a factor that never varies there are no shares: None becomes nan, which leaves its row empty.
            values = np.array([[one["shares"][factor][term][0] for term in terms] for factor in factors], float)
            values = np.column_stack([values, 1 - values.sum(1)])
            labels = [factor.replace("_", " ") for factor in factors]
            seaborn.heatmap(
                values, vmin=0, vmax=1, cmap="cividis", annot=True, fmt=".0%", cbar=False, linewidths=1,
                xticklabels=[*terms, "together"], yticklabels=labels, ax=axes,
            )  # fmt: skip
            axes.set_title(title_of(content, name))
            axes.tick_params(axis="y", rotation=0)
    return canvas


def plot_confusion(content: Mapping[str, Any]) -> Figure:
    """As what generated categories are read, a panel for each conditional network.

    Raises
    ------
    G3ANError
        Nothing is stored of it.
    """
    import seaborn

    found = _having(content, "confusion")
    with _canvas(1 + 4.8 * len(found), 4.4) as canvas:
        for axes, (name, one) in zip(canvas.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True):
            seaborn.heatmap(
                np.array(one["share"]), vmin=0, vmax=1, cmap="cividis", annot=True, fmt=".0%", cbar=False,
                linewidths=1, xticklabels=one["read"], yticklabels=one["asked"], square=True, ax=axes,
            )  # fmt: skip
            axes.set(title=title_of(content, name), xlabel="read as", ylabel="asked for")
            axes.tick_params(axis="x", rotation=45)
            axes.tick_params(axis="y", rotation=0)
    return canvas


def plot_curves(content: Mapping[str, Any]) -> Figure:
    """The sliced Wasserstein distance during training, with a dot at the step that ships."""
    import seaborn

    with _canvas(8, 3.6) as canvas:
        axes = canvas.add_subplot()
        palette = seaborn.color_palette("colorblind")
        for (name, entry), colour in zip(content["networks"].items(), palette, strict=False):
            steps = [row["step"] for row in entry["curve"]]
            values = [row["sliced_wasserstein"] for row in entry["curve"]]
            axes.plot(steps, values, color=colour, label=title_of(content, name))
            axes.plot(steps[-1:], values[-1:], "o", color=colour)
        axes.set(xlabel="training step", ylabel="sliced Wasserstein distance", yscale="log")
        axes.yaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%.2f"))
        axes.yaxis.set_minor_formatter(matplotlib.ticker.FormatStrFormatter("%.2f"))
        axes.legend(frameon=False)
        seaborn.despine(canvas)
    return canvas


def plot_moved(content: Mapping[str, Any], part: str) -> Figure:
    """What each dimension of z_a or z_m moves: bars coloured by the factor that moves most.

    Parameters
    ----------
    part
        ``appearance`` or ``motion``.

    Raises
    ------
    G3ANError
        Nothing is stored of it.
    """
    import seaborn

    found = _having(content, "codes")
    factors = sorted({row["factor"] for one in found.values() for row in one["moved"] if row["part"] == part})
    palette = "colorblind" if len(factors) <= 10 else "husl"  # the former has ten colours, then begins again
    colours = dict(zip(factors, seaborn.color_palette(palette, max(len(factors), 1)), strict=False))
    with _canvas(1.5 + 4.6 * len(found), 3.8) as canvas:
        for axes, (name, one) in zip(canvas.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True):
            rows = [row for row in one["moved"] if row["part"] == part]
            places = range(len(rows))
            axes.bar(places, [abs(row["extent"]) for row in rows], color=[colours[row["factor"]] for row in rows])
            axes.plot(places, [row["others"] for row in rows], "_", color="0.2", markersize=12, markeredgewidth=2)
            axes.set_xticks(list(places), [str(row["dimension"] + 1) for row in rows])
            code = "z_a" if part == "appearance" else "z_m"
            axes.set(
                title=title_of(content, name), xlabel=f"dimension of {code}, strongest first",
                ylabel="moved between -3 and 3\n(standard deviations)",
            )  # fmt: skip
            axes.grid(axis="x", visible=False)
        marks: list[Any] = [matplotlib.patches.Patch(color=colours[factor]) for factor in factors]
        marks.append(matplotlib.lines.Line2D([], [], color="0.2", marker="_", linestyle="", markersize=12))
        words = [*(factor.replace("_", " ") for factor in factors), "other part's factors, mean"]
        axes.legend(marks, words, loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
        seaborn.despine(canvas)
    return canvas


def plot_memory(content: Mapping[str, Any]) -> Figure:
    """Distance to the nearest training clip, of samples and of others: median and the range from 5 to 95 %.

    Raises
    ------
    G3ANError
        Nothing is stored of it.
    """
    import seaborn

    found = _having(content, "memory")
    with _canvas(9.5, 3.6) as canvas:
        blue, orange = seaborn.color_palette("colorblind")[:2]
        for axes, space in zip(canvas.subplots(1, 2, sharey=True), ("pixels", "features"), strict=True):
            for place, one in enumerate(found.values()):
                for shift, whose, colour in ((-0.14, "generated", blue), (0.14, "fresh", orange)):
                    low, middle, high = one[space][whose]
                    label = "samples" if whose == "generated" else "clips of other people"
                    axes.plot([low, high], [place + shift] * 2, color=colour, linewidth=3)
                    axes.plot(middle, place + shift, "o", color=colour, label=None if place else label)
            axes.set(title=space, xlabel="distance to the nearest", xlim=(0, None), ylim=(len(found) - 0.5, -0.5))
            axes.set_yticks(range(len(found)), [title_of(content, name) for name in found])
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
        seaborn.despine(canvas)
    return canvas


def plot_ladder(content: Mapping[str, Any]) -> Figure:
    """The ladder of spoilt clips (:func:`g3an.evaluation.ladder.plot_ladders`).

    Raises
    ------
    G3ANError
        Nothing is stored of it.
    """
    from g3an.evaluation.ladder import Ladder, plot_ladders

    def climbed(one: Mapping[str, Any]) -> Ladder:
        steps = {damage: (low, middle, high) for damage, (low, middle, high) in one["steps"].items()}
        return Ladder(one["extractor"], one["floor"], steps, one["backwards"])

    [found] = _having(content, "ladder").values()
    return plot_ladders([climbed(one) for one in found])


def plot_ablation(content: Mapping[str, Any], numbers: Sequence[str]) -> Figure:
    """Mean and standard deviation over seeds of each setting, a panel for each of ``numbers``.

    Raises
    ------
    G3ANError
        No ablation is stored, or a number was not recorded.
    """
    import seaborn

    rows = content.get("ablation", {}).get("settings")
    if not rows:
        raise G3ANError("No ablation is stored; run its sweep, then g3an results --ablation.")
    known = {name for row in rows for name in row["numbers"]}
    if unknown := [name for name in numbers if name not in known]:
        raise G3ANError(f"The ablation did not record {unknown[0]}; it has {', '.join(sorted(known))}.")
    with _canvas(1.5 + 3.4 * len(numbers), 0.8 + 0.36 * len(rows)) as canvas:
        panels = canvas.subplots(1, len(numbers), squeeze=False, sharey=True)[0]
        for axes, number in zip(panels, numbers, strict=True):
            for place, row in enumerate(rows):
                if number not in row["numbers"]:  # it was finite in none of this setting's runs
                    continue
                mean, deviation = row["numbers"][number]
                colour = seaborn.color_palette("colorblind")[0 if place else 1]
                axes.errorbar(mean, place, xerr=deviation, fmt="o", color=colour, capsize=3)
            axes.set(xlabel=number.replace("_", " "))
            axes.set_yticks(range(len(rows)), [f"{row['setting']} ({row['runs']})" for row in rows])
        panels[0].invert_yaxis()
        seaborn.despine(canvas)
    return canvas
