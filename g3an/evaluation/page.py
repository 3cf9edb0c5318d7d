"""``reports/results.md``: the stored results as a page for people, plots of them, and tables of single sections."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from g3an.evaluation.protocol import Measurement, table
from g3an.files import atomic_write

TERMS = ("z_a", "z_m", "c")


def write_page(content: Mapping[str, Any], path: str | Path) -> None:
    """Write ``results.md`` from the content of ``results.json``, the file of that name beside it, atomically.

    Raises
    ------
    G3ANError
        It cannot be written.
    """
    with atomic_write(path) as temporary:
        temporary.write_text(page(content, Path(path).with_suffix(".json").name), encoding="utf-8")


def page(content: Mapping[str, Any], source: str = "results.json") -> str:
    """The results as Markdown: what the paper published, and what was measured here, apart from each other.

    Parameters
    ----------
    content
        Of ``results.json``, as from :func:`g3an.evaluation.stored.read_stored`.
    source
        The file's name, for the link.
    """
    published = content["published"]
    lines = [
        "# Results",
        "",
        f"Written by `g3an results` from [{source}]({quote(source)}), which has every protocol in full.",
        "",
        "## What the paper published",
        "",
        f"Protocol: {published['protocol']}. Nothing below was measured that way.",
        "",
        *_rows(("network", "data", "metric", "value"), [tuple(row.values()) for row in published["values"]]),
        "",
        "## What was measured here",
        "",
        "Beside a value stands the real/real distance, the same metric between two halves of the real clips. They show "
        "different people, which makes it larger, and are half as many, which makes FID larger; generated clips are "
        "compared with all real ones. So it is a scale to read a value by and no floor: generated clips can lie below "
        "it.",
    ]
    for name, entry in content["networks"].items():
        if not any(section in entry for section in SECTIONS):  # not measured yet
            continue
        lines += ["", f"### `{name}`: {entry['dataset']} ({'simulated' if entry['simulated'] else 'real'})"]
        for section, write in SECTIONS.items():
            if section in entry:
                lines += ["", *write(entry[section]["found"])]
    if content.get("ablation"):
        lines += ["", "## Ablation", "", *ablation(content["ablation"])]
    return "\n".join(lines) + "\n"


def _rows(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    def line(cells: Sequence[Any]) -> str:
        return "| " + " | ".join(str(cell) for cell in cells) + " |"

    return [line(header), "|" + "---|" * len(header), *map(line, rows)]


def metrics(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """A table for each protocol."""
    numbers = [Measurement.from_dict(dict(number)) for number in found]
    lines: list[str] = []
    for key in dict.fromkeys(number.protocol.key for number in numbers):
        lines += ["", table([number for number in numbers if number.protocol.key == key])]
    return lines[1:]


def confusion(found: Mapping[str, Any]) -> list[str]:
    """As what generated clips are read."""
    rows = []
    for name, shares in zip(found["asked"], found["share"], strict=True):
        rows.append((f"**{name}**", *(f"{share:.0%}" for share in shares)))
    right = sum(shares[k] for k, shares in enumerate(found["share"])) / len(rows)
    intro = (
        f"As what {found['clips']} generated clips are read, {right:.1%} of them as asked for (the card's number is of "
        "other draws); a row for each category asked for:"
    )
    return [intro, "", *_rows(("asked for", *found["read"]), rows)]


def shares(found: Mapping[str, Any]) -> list[str]:
    """Which code explains which factor."""

    def cell(numbers: Sequence[float | None]) -> str:
        value, low, high = numbers
        return "-" if value is None else f"{value:.0%} ({low:.0%} to {high:.0%})"

    terms = [term for term in TERMS if term in next(iter(found["shares"].values()))]
    rows = []
    for factor, of in found["shares"].items():
        alone = [of[term][0] for term in terms]
        # Of a factor that never varies there are no shares.
        together = "-" if None in alone else f"{1 - sum(alone):.0%}"
        rows.append((factor, *(cell(of[term]) for term in terms), together))
    return [
        "What each code decides: the share of each factor's variance over crossed codes that one code explains, with "
        "95 % intervals, and what only codes together explain. (Figures 3 to 7 cross codes by eye.)",
        "",
        *_rows(("factor", *terms, "together"), rows),
    ]


def moved(found: Mapping[str, Any]) -> list[str]:
    """Figures 8 to 15: which dimension moves what."""
    rows = [
        (
            row["part"], row["dimension"] + 1, row["factor"], f"{row['extent']:+.2f}", f"{row['monotone']:.2f}",
            f"{row['others']:.2f}",
        )
        for row in found["moved"]
    ]  # fmt: skip
    return [
        "Figures 8 to 15 as numbers, strongest dimensions of each part first: the factor that a dimension moves most "
        "on its way from -3 to 3, by how many standard deviations over random codes, how monotonically (1 is always), "
        "and how far factors of the other part move on average. Dimensions are counted from 1, as in the figures; "
        "`-p dimensions` of a notebook counts them from 0.",
        "",
        *_rows(("part", "dimension", "moves most", "by", "monotone", "others"), rows),
    ]


def codes(found: Mapping[str, Any]) -> list[str]:
    """All of :class:`g3an.evaluation.codes.Codebook`."""
    groups, single, switched = found["groups"], found["dimensions"], found["switched"]
    moving = "z_m and c" if any("c" in of for of in found["shares"].values()) else "z_m"

    def three(dci: Mapping[str, float]) -> str:
        return ", ".join(f"{name} {value:.2f}" for name, value in dci.items())

    constant = ""
    if still := found.get("constant"):
        constant = f" These factors never varied, and were left out of all four: {', '.join(still)}."
    return [
        *shares(found),
        "",
        f"DCI with each of the codes as one: {three(groups)}. With each of their numbers as one: {three(single)}; "
        f"MIG {found['mig']:.3f}, SAP {found['sap']:.3f}.{constant}",
        "",
        *moved(found),
        "",
        f"Figure 16 as numbers, {switched['pairs']} pairs: after the switch, identity follows z_a in "
        f"{switched['identity']:.1%} of videos, motion follows {moving} in {switched['motion']:.1%}, both in "
        f"{switched['both']:.1%}.",
    ]


def memory(found: Mapping[str, Any]) -> list[str]:
    """Whether training clips are repeated."""
    fresh = "clips of people not trained on" if found["fresh_people"] else "training clips, from those of other people"
    spaces = (("pixels", found["pixels"]), (f"features of {found['extractor']}", found["features"]))
    rows = []
    for space, part in spaces:
        for whose in ("generated", "fresh"):
            nearer = f"{part['nearer']:.1%}" if whose == "generated" else "5.0%"
            rows.append((space, "samples" if whose == "generated" else "others", *part[whose], nearer))
    return [
        f"Distance to the nearest of {found['training_windows']:,} training windows, of {found['samples']} samples and "
        f"of {fresh} (others), in units of the spread; the share is of those nearer than 95 % of the others.",
        "",
        *_rows(("space", "whose", "5 %", "median", "95 %", "nearer"), rows),
    ]


def consistency(found: Mapping[str, Any]) -> list[str]:
    """Whether people stay themselves."""
    made, real = found["generated"]["ratio"], found["real"]["ratio"]
    return [
        f"Identity consistency over {found['clips']} clips, the distance of frames within a clip over that between "
        f"clips (0 is best): generated {made:.3f}, real {real:.3f}."
    ]


def ladder(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the extractors notice."""
    names = list(found[0]["steps"])
    rows = []
    for one in found:
        cells = (" → ".join(f"{value / one['floor']:.3g}" for value in one["steps"][name]) for name in names)
        blind = " (blind)" if one["blind_to_time_reversal"] else ""
        rows.append((one["extractor"], *cells, f"{one['backwards'] / one['floor']:.3g}{blind}"))
    intro = (
        "Real clips, spoilt with three strengths: the Fréchet distance, as a multiple of that of other windows of the "
        "same videos."
    )
    return [intro, "", *_rows(("extractor", *names, "backwards"), rows)]


def reencoding(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """What H.264 does to FID."""
    rows = [(one["extractor"], *(f"{one[name]:.4g}" for name in ("floor", "other", "same", "psnr"))) for one in found]
    return [
        f"What storing {found[0]['clips']} clips as H.264 (crf {found[0]['crf']}) does to FID: of other windows of the "
        "same videos, of these re-encoded, and of clips to themselves re-encoded.",
        "",
        *_rows(("extractor", "FID", "re-encoded", "to themselves", "PSNR, dB"), rows),
    ]


def ablation(found: Mapping[str, Any]) -> list[str]:
    """Mean and standard deviation over seeds."""
    names = list(dict.fromkeys(name for row in found["settings"] for name in row["numbers"]))
    rows = []
    for row in found["settings"]:
        cells = (row["numbers"].get(name) for name in names)
        rows.append((row["setting"], row["runs"], *("-" if c is None else f"{c[0]:.3g} ± {c[1]:.2g}" for c in cells)))
    return [found["how"], "", *_rows(("setting", "runs", *(name.replace("_", " ") for name in names)), rows)]


SECTIONS: dict[str, Callable[[Any], list[str]]] = {
    "metrics": metrics,
    "confusion": confusion,
    "codes": codes,
    "memory": memory,
    "consistency": consistency,
    "ladder": ladder,
    "reencoding": reencoding,
}
"""What writes a section of a network, in the page's order."""
