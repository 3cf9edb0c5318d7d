"""Figure number -> what is drawn, from which weights, codes and dimensions.

Each entry of ``CATALOGUE`` names the function that draws it and that function's parameters at the appendix's choice;
notebooks and tests go through :func:`draw`, so that a figure looks the same wherever it is drawn.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from g3an import ranking
from g3an.architecture import TABLE_1
from g3an.checkpoints import shipped
from g3an.config import side_of
from g3an.errors import G3ANError
from g3an.generator import Generator
from g3an.latents import Codes, combine, generate, switch_motion, to_uint8, traverse
from g3an.parameters import did_you_mean
from g3an.plotting import Drawn, Panel, draw_panels

# How a category is written in a picture; others keep their own name.
SPELLED = {"wave1": "one-hand waving", "wave2": "two-hands waving", "jack": "jumping jack", "bend": "bending"}
DATA_SETS = {"weizmann": "Weizmann", "mug": "MUG", "uva-nemo": "UvA-NEMO", "ucf101": "UCF101", "shapes": "shapes"}
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


@dataclass(frozen=True)
class Figure:
    """A figure of the appendix, or one in addition.

    Attributes
    ----------
    id
        Key in the catalogue: ``fig06``.
    number
        As the reader sees it: ``Figure 6``, ``Table 1``, ``Additional figure``.
    name, title, caption, alt, playing
        Stem of its files; a heading; the appendix's caption (``*…*`` is in italics); a description for those who cannot
        see it, and one of its animation. What depends on the network and the parameters stands in braces until
        :meth:`told` fills it in.
    notebook
        Stem of the notebook that draws it.
    draw
        Function of (figure, generator, **parameters).
    parameters
        Its parameters where they differ from the function's own defaults.
    weights
        Of the network it is drawn from: the shipped one's name, or a path; empty where it needs no trained network.
    animated
        Whether a GIF goes with it.
    seeds, effect
        Of its codes; and where the drawn dimensions stand among all by how much they change, as far as that is stored.
        In words, filled in by :meth:`told`.
    """

    id: str
    number: str
    name: str
    title: str
    caption: str
    alt: str
    notebook: str
    draw: Callable[..., Drawn]
    parameters: dict[str, Any] = field(default_factory=dict)
    weights: str = ""
    animated: bool = False
    seeds: str = ""
    effect: str = ""
    playing: str = ""

    @property
    def defaults(self) -> dict[str, Any]:
        """Every parameter the figure takes, with its value when nothing is overridden."""
        accepted = list(inspect.signature(self.draw).parameters.values())[2:]
        return {parameter.name: parameter.default for parameter in accepted} | self.parameters

    def told(self, generator: Generator | None = None, **overrides: Any) -> Figure:
        """The same figure in words, as :func:`draw` draws it from these; by default from the shipped network."""
        if generator is None:
            data, card = display_name(self.weights), shipped().get(self.weights, {})
        else:
            data, card = data_set(generator), getattr(generator, "card", {})
        parameters = self.defaults | overrides
        words = _words(parameters, data, card.get("training", {}))
        filled = {part: getattr(self, part).format_map(words) for part in _IN_WORDS}
        seeds = {code: [n for name in names for n in _list(parameters.get(name, []))] for code, names in _SEEDS.items()}
        told = ", ".join(f"${code}$ {_listed([str(n) for n in own])}" for code, own in seeds.items() if own)
        seeded = {name for names in _SEEDS.values() for name in names}
        changed = any(overrides[name] != self.defaults[name] for name in seeded & overrides.keys())
        if told and self.id in CATALOGUE and card.get("name") == self.weights and not changed:
            told += ", chosen among the first twenty-four"
        return replace(self, **filled, seeds=told, effect=_effect(generator, parameters))


_IN_WORDS = ("name", "title", "caption", "alt", "playing")
_SEEDS = {
    "z_a": ("subject", "subjects"),
    "z_m": ("motion", "motions"),
}
"""Parameters that are seeds, by the code that is drawn from them."""


def draw(figure_id: str | Figure, generator: Generator | None = None, **overrides: Any) -> Drawn:
    """Draw a figure.

    Parameters
    ----------
    figure_id
        Of the catalogue, such as ``fig06``; or a figure of :func:`own_figures`.
    generator
        The trained network, from :func:`g3an.checkpoints.load_generator`; diagrams and Table 1 do without one.
    overrides
        Values for some of the figure's parameters (see ``CATALOGUE[figure_id].defaults``).

    Returns
    -------
    Drawn
        The page and, of videos, its animation: frames ``(T, H, W, 3)`` uint8.

    Raises
    ------
    G3ANError
        There is no such figure or parameter, or the network cannot draw it (it lacks a category, say).
    """
    figure = find(figure_id) if isinstance(figure_id, str) else figure_id
    unknown = sorted(set(overrides) - set(figure.defaults))
    if unknown:
        takes = ", ".join(figure.defaults) or "no parameters"
        raise G3ANError(f"{figure.id} has no parameter {', '.join(unknown)}; it takes {takes}.")
    if figure.weights and generator is None:
        raise G3ANError(f"{figure.id} is drawn from trained weights; give load_generator('{figure.weights}'), say.")
    return figure.draw(figure.told(generator, **overrides), generator, **(figure.defaults | overrides))


def select(words: Sequence[str]) -> list[str]:
    """Ids of the figures that someone asks for: ``4``, ``fig04``, ``16`` (all that are Figure 16), ``table1``.

    Several may stand in one word, ``4,5``; capitals and the word "figure" are understood.

    Raises
    ------
    G3ANError
        A word names no figure, or words there are but no name among them.
    """
    chosen: list[str] = []
    for word in [part for words_of in words for part in words_of.split(",") if part]:
        number = re.fullmatch(r"(?:fig(?:ure)?)?[ _.]*(\d{1,2})", word.strip().lower())
        stem = f"fig{int(number[1]):02d}" if number else word.strip().lower()
        found = [name for name in CATALOGUE if name == stem or name.startswith(f"{stem}_")]
        if not found:
            raise G3ANError(f"There is no figure '{word}'.{did_you_mean(word, CATALOGUE)}")
        chosen += found
    if words and not chosen:
        raise G3ANError(f"No figure is named by '{' '.join(words)}'; try 4, fig04 or table1.")
    return [name for name in CATALOGUE if name in chosen]


def cast_of(figure_id: str) -> str:
    """The data set whose people a figure shows, a key of :data:`CASTS`."""
    return cast_named(find(figure_id).weights)


def cast_named(name: str) -> str:
    """The key of :data:`CASTS` for a data set's or a shipped network's name: ``mug`` for both; empty where none is."""
    return next((key for key, cast in CASTS.items() if name and name in (key, cast.weights)), "")


def casts_of(notebook: str = "") -> list[str]:
    """The data sets that figures are drawn of: by one notebook, given by its stem, or by any."""
    shown = {cast_of(name) for name, figure in CATALOGUE.items() if notebook in ("", figure.notebook)}
    return [name for name in CASTS if name in shown]


def find(figure_id: str) -> Figure:
    """The figure called ``figure_id``, such as ``fig06``."""
    if figure_id not in CATALOGUE:
        raise G3ANError(f"There is no figure {figure_id!r}; the catalogue has {', '.join(CATALOGUE)}.")
    return CATALOGUE[figure_id]


# --- What every picture has to say of its network -------------------------------------------------------------------


def spelled(category: str) -> str:
    """A category as a reader would say it: ``wave1`` is one-hand waving."""
    return SPELLED.get(category, _plain(category))


def _plain(name: str) -> str:
    """A name of the user's without the signs that begin a formula or italics in a picture."""
    return name.replace("$", "S").replace("*", "\N{ASTERISK OPERATOR}")


def data_set(generator: Generator) -> str:
    """Display name of the data a generator was trained on; simulated sets always say that they are simulated."""
    return display_name(str(getattr(generator, "card", {}).get("dataset", "unknown")))


def display_name(name: str) -> str:
    """How a data set is called in a picture: ``mug-sim`` is MUG (simulated)."""
    if name.endswith("-sim"):
        return f"{DATA_SETS.get(name[:-4], _plain(name[:-4]))} (simulated)"
    return DATA_SETS.get(name, f"{_plain(name)} data")


def provenance(generator: Generator) -> str:
    """One line for the foot of a picture: preset, training data, size of the frames and hash of the weights."""
    card = getattr(generator, "card", {})
    own = str(card.get("dataset", "unknown"))
    seen: dict[str, int] = {}  # by what it began from, too
    for run in (card, *card.get("origins", [])):
        name = run.get("dataset", own)
        seen[name] = seen.get(name, 0) + run.get("clips_seen", 0)
    earlier = [f"{count:,} of {display_name(name)}" for name, count in seen.items() if name != own]
    before = f" after {_listed(earlier)}" if earlier else ""
    clips = f", {seen[own]:,} clips seen{before}" if "clips_seen" in card else ""
    print_of = getattr(generator, "weights_hash", "")
    weights = f" Weights {print_of[:12]}." if print_of else ""
    return (
        f"Network: preset {generator.config.preset}, "
        f"trained on {data_set(generator)}{clips}.{weights} Frames of 64×64 pixels."
    )


def stamp(generator: Generator) -> str:
    """The warning for pictures of a network from a smoke run; empty for any other."""
    smoke = getattr(generator, "card", {}).get("smoke", False)
    return "smoke run: this network is not trained, it only shows that everything works" if smoke else ""


def _page(
    figure: Figure, generator: Generator, panels: Sequence[Panel], across: int = 1, category: str | None = None,
    note: str = "",
) -> Drawn:  # fmt: skip
    """The figure with its small print; ``category`` is that of all panels, where their labels do not name one."""
    caption, title = (f"{figure.number}: {words}" for words in (figure.caption, figure.title))
    asked = f"Category: *{spelled(category)}*. " if category else ""
    effect = f"Ranked by effect: {figure.effect}. " if figure.effect else ""
    small = f"{asked}{note}{effect}{provenance(generator)} Seeds: {figure.seeds}."
    return draw_panels(panels, caption, small, stamp(generator), scale=2, across=across, title=title)


def _effect(generator: Generator | None, parameters: Mapping[str, Any]) -> str:
    """``second of 128``: where the drawn dimensions of a network that came with the package stand."""
    found = ranking.stored(generator) if generator is not None else None
    part = "appearance" if "dimension" in parameters else "motion"
    dimensions = _list(parameters.get("dimensions", parameters.get("dimension", [])))
    if not found or not dimensions or not set(dimensions) <= set(found[part].order):
        return ""
    return f"{_listed([ordinal(found[part].rank(k) - 1) for k in dimensions])} of {len(found[part].change)}"


def _lettered(labels: Sequence[str]) -> list[str]:
    """``a: label`` and so on; a panel that is alone needs no letter."""
    if len(labels) == 1:
        return [*labels]
    return [f"{letter}: {label}" for letter, label in zip(_letters(len(labels)), labels, strict=True)]


def _letters(count: int) -> str:
    if count > 26:
        raise G3ANError(f"A figure has at most 26 panels, not {count}.")
    return "abcdefghijklmnopqrstuvwxyz"[:count]


def _videos(generator: Generator, codes: Codes) -> np.ndarray:
    """(B, T, 64, 64, 3) uint8, computed in float64: another thread count or processor changes the last bits of a sum,
    and from float32 those reach some pixels, from which a GIF would choose another palette."""
    return to_uint8(generate(deepcopy(generator).double(), codes, batch=4))


# --- Words ------------------------------------------------------------------------------------------------------------


def _words(parameters: Mapping[str, Any], data: str, training: Mapping[str, Any]) -> dict[str, str]:
    """What stands for the braces of a figure's title, caption and description; ``training`` is the card's."""
    subjects, motions = _list(parameters.get("subjects", [])), _list(parameters.get("motions", []))
    asked = [category for category in parameters.get("categories", ()) if category]
    values = parameters.get("values", ())
    dimensions = _list(parameters.get("dimensions", parameters.get("dimension", [])))
    panels = next(
        (len(parameters[name]) for name in ("first_actions", "lengths", "dimensions") if name in parameters),
        len(subjects) * max(1, len(asked)),
    )
    letters = _letters(panels)
    one = panels == 1
    spoken = [
        spelled(c) + ("" if one else f" ({letter})") for letter, c in zip(letters, asked * len(subjects), strict=False)
    ]
    category = parameters.get("category")
    paced = training.get("allotted") and len(training.get("clip_steps", ())) > 1  # as g3an/allotment.py has it
    sided = side_of(training) == 3
    kind = " (simulated)" if data.endswith("(simulated)") else ""
    return {
        "data": data,
        "generated": f"generated{kind}",
        "data_set": data if data.endswith(" data") else f"{data} dataset",
        "panels": _counted(panels, "panel").capitalize(),
        "people": _counted(len(subjects), "person", "people"),
        "who": _listed([_plain(name) for name in parameters.get("names", ())]),
        "asked": ", ".join(spoken),
        "doing": f", asked for {spelled(category)}" if category else "",
        "tempo": " In this network the dimension says how fast somebody moves." if paced else "",
        "side": " In this network the dimension says on which side somebody moves." if sided else "",
        "trained_frames": str(training.get("clip_length", 16)),
        "motions": _counted(len(motions), "row"),
        "clips": _counted(len(motions), "video"),
        "ways": _counted(len(motions), "different $z_m$", "different $z_m$"),
        "videos": _counted(len(motions), "different video"),
        "rows": _counted(len(values), "row"),
        "values": _listed(_signed(values)),
        "lengths": _listed([str(length) for length in parameters.get("lengths", ())]),
        "letters": "This" if one else _listed([f"*{letter}*" for letter in letters]),
        "are": "is" if one else "are",
        "within": "" if one else " in each sub-figure",
        "top": "The top" if one else "In each sub-figure, the top",
        "results": "the result" if one else "results",
        "codes": _counted(len(subjects), "randomly sampled $z_a$", "randomly sampled $z_a$"),
        "ordinal": ordinal(dimensions[0]) if dimensions else "",
        "ordinals": _listed([f"*{ordinal(dimension)}*" for dimension in dimensions]),
        "plain_ordinals": _listed([ordinal(dimension) for dimension in dimensions]),
        "dimensions": "dimension" if len(dimensions) == 1 else "dimensions",
    }


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, Sequence) else [value]


def _counted(count: int, one: str, several: str = "") -> str:
    """``one row``, ``two rows``, ``13 rows``."""
    number = _NUMBERS[count] if count < len(_NUMBERS) else str(count)
    return f"{number} {one if count == 1 else several or one + 's'}"


def _listed(words: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def ordinal(dimension: int) -> str:
    """Dimension 0 is the appendix's "first"; 20 is the "21st"."""
    if 0 <= dimension < len(ORDINALS):
        return ORDINALS[dimension]
    number = dimension + 1
    teen = 10 < number % 100 < 14
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _signed(values: Sequence[float]) -> tuple[str, ...]:
    return tuple("0" if value == 0 else f"{value:+g}".replace("-", "\N{MINUS SIGN}") for value in values)


# --- Conditional generation (Figs. 4 to 7) ----------------------------------------------------------------------------


def _draw_generation(
    figure: Figure,
    generator: Generator,
    *,
    subjects: Sequence[int] = (1,),
    names: Sequence[str] = ("subject 1",),
    categories: Sequence[str | None] = ("wave1", "wave2"),
    motions: Sequence[int] = (1, 2),
) -> Drawn:
    """A panel for each subject and category: one z_a, one c, a row for each z_m; category None is no category."""
    _same_length(subjects=subjects, names=names)
    people = list(zip(subjects, names, strict=True))
    pairs = [(subject, name, category) for subject, name in people for category in categories]
    labels = _lettered([_plain(name) + (f", *{spelled(category)}*" if category else "") for _, name, category in pairs])
    panels = []
    for label, (subject, _, category) in zip(labels, pairs, strict=True):
        codes = Codes.cat(combine(generator.config, subject, motion, category) for motion in motions)
        rows = tuple(f"$z_{{m_{k}}}$" for k in range(len(motions)))
        panels.append(Panel(label, _videos(generator, codes), rows, columns=len(motions)))
    return _page(figure, generator, panels, across=2)


# --- Manipulation (Figs. 8 to 15) -------------------------------------------------------------------------------------

_REPLACED = "Each value takes the place of the code's own. "


def _draw_appearance(
    figure: Figure,
    generator: Generator,
    *,
    dimension: int = 0,
    values: Sequence[float] = (-3.0, -1.5, 0.0, 1.5, 3.0),
    subjects: Sequence[int] = (1, 2),
    motion: int = 1,
    category: str | None = None,
) -> Drawn:
    """A panel for each person, a row for each value of one dimension of z_a; z_m and c are the same throughout."""
    labels = _lettered([f"subject {number}" for number in range(1, len(subjects) + 1)])
    panels = []
    for label, subject in zip(labels, subjects, strict=True):
        base = combine(generator.config, subject, motion, category)
        videos = _videos(generator, traverse(base, "appearance", dimension, values))
        panels.append(Panel(label, videos, _signed(values), columns=len(values)))
    return _page(figure, generator, panels, category=category, note=_REPLACED)


def _draw_motion(
    figure: Figure,
    generator: Generator,
    *,
    dimensions: Sequence[int] = (0, 1),
    values: Sequence[float] = (-3.0, -1.5, 0.0, 1.5, 3.0),
    subject: int = 1,
    motion: int = 1,
    category: str | None = None,
) -> Drawn:
    """A panel for each dimension of z_m, a row for each value; z_a and c are the same throughout."""
    base = combine(generator.config, subject, motion, category)
    labels = _lettered([f"{ordinal(dimension)} dimension" for dimension in dimensions])
    panels = []
    for label, dimension in zip(labels, dimensions, strict=True):
        videos = _videos(generator, traverse(base, "motion", dimension, values))
        panels.append(Panel(label, videos, _signed(values), columns=len(values)))
    return _page(figure, generator, panels, category=category, note=_REPLACED)


# --- Motion switch (Fig. 16) ------------------------------------------------------------------------------------------


def _draw_switch(
    figure: Figure,
    generator: Generator,
    *,
    subjects: Sequence[int] = (1, 2),
    motions: Sequence[int] = (1, 2),
    first_actions: Sequence[str | None] = ("wave1",),
    second_actions: Sequence[str | None] = ("wave2",),
) -> Drawn:
    """A panel for each pair of actions: two originals, then the same with (z_m, c) switched (section C.4).

    Actions None are those of an unconditional network, which switches z_m alone.
    """
    _same_length(first_actions=first_actions, second_actions=second_actions)
    if len(subjects) != 2 or len(motions) != 2:
        raise G3ANError(f"A switch wants two subjects and two motions, not {len(subjects)} and {len(motions)}.")
    config, panels = generator.config, []
    pairs = list(zip(first_actions, second_actions, strict=True))
    labels = _lettered([
        f"*{spelled(here)}* ($c_0$) and *{spelled(there)}* ($c_1$)" if here and there else "two people"
        for here, there in pairs
    ])  # fmt: skip
    for label, (here, there) in zip(labels, pairs, strict=True):
        a = combine(config, subjects[0], motions[0], here)
        b = combine(config, subjects[1], motions[1], there)
        videos = _videos(generator, Codes.cat([a, b, *switch_motion(a, b)]))
        asked = here is not None and there is not None
        rows = tuple(
            f"$z_{{a_{i}}},z_{{m_{j}}}{f',c_{j}' if asked else ''}$" for i, j in ((0, 0), (1, 1), (0, 1), (1, 0))
        )
        panels.append(Panel(label, videos, rows, columns=2, split=2))
    return _page(figure, generator, panels, across=2)


# --- Longer videos ----------------------------------------------------------------------------------------------------


def _draw_longer(
    figure: Figure,
    generator: Generator,
    *,
    lengths: Sequence[int] = (16, 24, 32, 48),
    subject: int = 1,
    motion: int = 1,
    category: str | None = None,
) -> Drawn:
    """A panel for each length: one z_a, one c, and the first n temporal positions of one z_m."""
    shortest = generator.frame_count(1)
    positions = {generator.frame_count(n): n for n in range(1, 65)}
    impossible = [length for length in lengths if length not in positions]
    if impossible or not lengths:
        known = ", ".join(str(length) for length in list(positions)[:6])
        raise G3ANError(f"This network makes videos of {known}, … frames, not {impossible}.")
    labels = _lettered([
        f"{length} frames, {positions[length]} temporal position{'s' * (positions[length] > 1)}" for length in lengths
    ])  # fmt: skip
    panels, playing = [], []
    for label, length in zip(labels, lengths, strict=True):
        codes = combine(generator.config, subject, motion, category, positions[length])
        [video] = _videos(generator, codes)
        rows = -(-length // shortest)
        page = np.full((rows * shortest, *video.shape[1:]), 255, np.uint8)
        page[:length] = video
        names = tuple(f"{k * shortest + 1}\N{EN DASH}{min((k + 1) * shortest, length)}" for k in range(rows))
        panels.append(Panel(label, page.reshape(rows, shortest, *video.shape[1:]), names))
        playing.append(video[np.minimum(np.arange(max(lengths)), length - 1)])  # the shorter ones stand still at last
    whose = _page(figure, generator, panels, category=category)
    names = tuple(_lettered([f"{length} frames" for length in lengths]))
    tiles = Panel("", np.stack(playing), names, columns=len(lengths))
    return Drawn(whose.still, _page(figure, generator, [tiles], category=category).animation)


def _same_length(**lists: Sequence[Any]) -> None:
    if len({len(values) for values in lists.values()}) > 1 or not all(lists.values()):
        counts = " and ".join(f"{len(values)} {name}" for name, values in lists.items())
        raise G3ANError(f"These go together and need the same length, at least 1: {counts}.")


# --- Architecture (Table 1, Figs. 1 and 2) ----------------------------------------------------------------------------


def _draw_table(figure: Figure, generator: Generator | None, *, preset: str = "appendix") -> Drawn:
    from g3an import architecture

    return Drawn(architecture.draw_table(preset, f"{figure.number}: {figure.caption}"))


def _draw_architecture(figure: Figure, generator: Generator | None, *, preset: str = "appendix") -> Drawn:
    from g3an.config import ModelConfig
    from g3an.diagrams import generator_diagram

    # With categories, so that c is drawn as the input it is; untrained, since only sizes are read.
    network = Generator(ModelConfig.from_preset(preset, classes=tuple(SPELLED)), spectral_norm=False).eval()
    return Drawn(generator_diagram(network, f"{figure.number}: {figure.caption}"))


def _draw_attention(figure: Figure, generator: Generator | None) -> Drawn:
    from g3an.diagrams import attention_diagram

    return Drawn(attention_diagram(f"{figure.number}: {figure.caption}"))


# --- The catalogue ----------------------------------------------------------------------------------------------------

_CONDITIONAL = (
    "Conditionally generated samples from G³AN on {data_set}. Each row represents the result generated by combining a "
    "one-hot category label with the same $z_a$ and randomly sampled $z_m$ as input."
)
_ROWS = "each row is one video, its frames from left to right"
_SIDE_BY_SIDE = "each panel has {clips} side by side, of different motion codes"


OWN = "own"
"""In place of a data set's name: a network whose categories are not those of a data set of the appendix."""


@dataclass(frozen=True)
class Cast:
    """Who and what the figures of a data set show.

    Attributes
    ----------
    weights
        Name of the shipped network, or the path of another.
    stem
        Name of the data set in files.
    subjects, motions
        Seeds of subject 1 and subject 2, and of the two motions, chosen among the first twenty-four: people so that
        they can be told apart and (of faces) the factor network reads their six expressions well, motions so that they
        do not begin or end alike. The figures are to show what z_a and z_m change.
    category
        Of the videos in which a dimension is varied; None for an unconditional network.
    panels
        Categories of the figures of conditional generation.
    switched
        Pairs of categories that the motion switch exchanges, a panel each; None is no category.
    others
        Seeds of more people, whom an unconditional network's figure of generation shows.
    """

    weights: str
    stem: str
    subjects: tuple[int, int]
    motions: tuple[int, int]
    category: str | None
    panels: tuple[str, ...]
    switched: tuple[tuple[str | None, str | None], ...]
    others: tuple[int, ...] = ()


CASTS = {
    "mug": Cast(
        "mug-sim", "mug", (15, 3), (3, 4), "happy", ("sad", "anger", "surprise", "disgust", "happy", "fear"),
        (("happy", "surprise"), ("anger", "fear")),
    ),
    "weizmann": Cast(
        "weizmann", "weizmann", (23, 7), (10, 13), "wave2", ("wave1", "wave2"), (("wave1", "wave2"), ("jack", "bend")),
    ),
    "uva-nemo": Cast("uva-nemo-sim", "uva_nemo", (18, 11), (3, 9), None, (), ((None, None),), (12, 17)),
}  # fmt: skip
"""By data set, in the order of the appendix."""


def _file(id_: str, cast: Cast, what: str) -> str:
    return id_ if cast.stem == OWN else f"{id_}_{cast.stem}_{what}"


def _generation(id_: str, number: str, cast: Cast, subject: int) -> Figure:
    return Figure(
        id=id_,
        number=number,
        name=_file(id_, cast, f"subject{subject}"),
        title=f"Conditional generation on {{data}}, subject {subject}",
        caption=_CONDITIONAL,
        alt=(
            "{panels} of {generated} video frames of {people} ({who}), a category each: {asked}; each panel has "
            f"{{motions}} with different motion codes; {_ROWS}."
        ),
        playing=(
            "{panels} of {generated} videos of {people} ({who}), a category each: {asked}; "
            f"{_SIDE_BY_SIDE}."
        ),
        notebook="07_conditional_generation",
        draw=_draw_generation,
        parameters={
            "subjects": [cast.subjects[subject - 1]], "names": [f"subject {subject}"], "categories": [*cast.panels],
            "motions": [*cast.motions],
        },
        weights=cast.weights,
        animated=True,
    )  # fmt: skip


def _unconditional(id_: str, number: str, cast: Cast, what: str = "") -> Figure:
    people = (*cast.subjects, *cast.others)
    return Figure(
        id=id_,
        number=number,
        name=_file(id_, cast, "generation"),
        title="Unconditional generation on {data}",
        caption=(
            "Unconditionally generated samples from G³AN on {data}. We combine each $z_a$ with {ways}, obtaining "
            "{videos} for the same appearance. Each row represents a video sequence."
        ),
        alt=(
            f"{{panels}} of {{generated}} video frames, one for each person{what}; each panel has {{motions}} "
            f"with different motion codes; {_ROWS}."
        ),
        playing=f"{{panels}} of {{generated}} videos, one for each person{what}; {_SIDE_BY_SIDE}.",
        notebook="06_unconditional_generation",
        draw=_draw_generation,
        parameters={
            "subjects": [*people], "names": [f"subject {k}" for k in range(1, len(people) + 1)], "categories": [None],
            "motions": [*cast.motions, cast.motions[-1] + 1],
        },
        weights=cast.weights,
        animated=True,
    )  # fmt: skip


def _appearance(id_: str, number: str, cast: Cast, dimension: int) -> Figure:
    from_two = "{results} from" if number == "Figure 8" else "from"  # so the appendix has it
    return Figure(
        id=id_,
        number=number,
        name=_file(id_, cast, "appearance_{ordinal}"),
        title="Appearance manipulation on {data}, {ordinal} dimension",
        caption=(
            "Results of manipulating *{ordinal} dimension* in appearance representation on {data_set}. {letters} {are} "
            f"{from_two} {{codes}}. From top to bottom{{within}}, values of *{{ordinal}} dimension* are increased."
        ),
        alt=(
            "{panels} of {generated} video frames for {people}{doing}; down the {rows} of a panel the {ordinal} "
            f"dimension of the appearance code takes the values {{values}} while the motion stays the same; {_ROWS}."
        ),
        playing=(
            "{panels} of {generated} videos for {people}{doing}; in those of a panel, from left to right, the "
            "{ordinal} dimension of the appearance code takes the values {values} while the motion stays the same."
        ),
        notebook="08_appearance_manipulation",
        draw=_draw_appearance,
        parameters={
            "dimension": dimension, "subjects": [*cast.subjects], "motion": cast.motions[0], "category": cast.category,
        },
        weights=cast.weights,
        animated=True,
    )  # fmt: skip


def _motion(
    id_: str, number: str, cast: Cast, dimensions: Sequence[int], remark: str = "", title: str = "Motion manipulation",
    **others: Any,
) -> Figure:  # fmt: skip
    same = "the person and what was asked for stay" if cast.category else "the person stays"
    return Figure(
        id=id_,
        number=number,
        name=id_ if id_.startswith("extra") else _file(id_, cast, "motion"),
        title=f"{title} on {{data}}",
        caption=(
            "Results of manipulating motion representation on {data_set}. {letters} {are} {results} of manipulating "
            "{ordinals} {dimensions}. From top to bottom{within}, values are increased." + remark
        ),
        alt=(
            "{panels} of {generated} video frames{doing}, for the {plain_ordinals} {dimensions} of the motion code; "
            f"down the {{rows}} the dimension takes the values {{values}} while {same} the same; {_ROWS}."
        ),
        playing=(
            "{panels} of {generated} videos{doing}, for the {plain_ordinals} {dimensions} of the motion code; in those "
            f"of a panel, from left to right, the dimension takes the values {{values}} while {same} the same."
        ),
        notebook="09_motion_manipulation",
        draw=_draw_motion,
        parameters={
            "dimensions": [*dimensions], "subject": cast.subjects[0], "motion": cast.motions[0],
            "category": cast.category, **others,
        },
        weights=cast.weights,
        animated=True,
    )  # fmt: skip


def _switch(id_: str, number: str, cast: Cast) -> Figure:
    without = cast.category is None
    originals = (
        "($z_{{a_0}},z_{{m_0}}$) and ($z_{{a_1}},z_{{m_1}}$)"
        if without
        else "($z_{{a_0}},z_{{m_0}},c_0$) and ($z_{{a_1}},z_{{m_1}},c_1$)"
    )
    return Figure(
        id=id_,
        number=number,
        name=id_ if cast.stem == OWN else f"{id_}_motion_switch",
        title="Motion switch on {data}",
        caption=(
            "Results of switching motion on {data_set}. {top} two rows are videos obtained from "
            f"the two original sets {originals}; the bottom two rows are the switched results."
            + (" This network is unconditional: there is no $c$, and $z_m$ alone is switched." if without else "")
        ),
        alt=(
            "{panels} of four rows: two {generated} people each moving in another way, and below them the same two "
            f"people with their motions exchanged; {_ROWS}."
        ),
        playing=(
            "{panels} of four videos: side by side two {generated} people each moving in another way, and below them "
            "the same two people with their motions exchanged."
        ),
        notebook="10_motion_switch",
        draw=_draw_switch,
        parameters={
            "subjects": [*cast.subjects], "motions": [*cast.motions],
            "first_actions": [pair[0] for pair in cast.switched], "second_actions": [pair[1] for pair in cast.switched],
        },
        weights=cast.weights,
        animated=True,
    )  # fmt: skip


def _longer(id_: str, number: str, cast: Cast, motion: int | None = None) -> Figure:
    category = ", one category" if cast.category else ""
    return Figure(
        id=id_,
        number=number,
        name=id_,
        title="Longer videos, {data}",
        caption=(
            f"Videos of {{lengths}} frames on {{data_set}}, from one $z_a${category} and the first temporal positions "
            "of one $z_m$: the more, the longer. The network was trained on {trained_frames} frames."
        ),
        alt=(
            "{panels} of {generated} video frames of one person doing the same thing{doing}, for {lengths} frames, "
            "sixteen frames a row."
        ),
        playing=(
            "Videos of {lengths} frames side by side, {generated}, of one person doing the same thing{doing}; each "
            "stands still at its last frame until the longest ends."
        ),
        notebook="09_motion_manipulation",
        draw=_draw_longer,
        parameters={
            "subject": cast.subjects[0], "motion": cast.motions[0] if motion is None else motion,
            "category": cast.category,
        },
        weights=cast.weights,
        animated=True,
    )  # fmt: skip


_MUG, _WEIZMANN, _UVA_NEMO = CASTS["mug"], CASTS["weizmann"], CASTS["uva-nemo"]

CATALOGUE: dict[str, Figure] = {
    figure.id: figure
    for figure in (
        Figure(
            id="table1",
            number="Table 1",
            name="table1_output_dimensions",
            title="Output dimensions in the main stream",
            caption="Output dimensions in $G_V$ after each G³ module.",
            alt=(
                "Table of channels × height × width × time after each of the five G3 modules and of the output, "
                "as computed from the network, beside what the appendix prints: "
                + "; ".join(f"{row} {' × '.join(map(str, sizes))}" for row, sizes in TABLE_1.items())
                + "."
            ),
            notebook="01_architecture",
            draw=_draw_table,
        ),
        Figure(
            id="fig01",
            number="Figure 1",
            name="fig01_factorized_self_attention",
            title="Factorized spatio-temporal Self-Attention",
            caption="Factorized spatio-temporal Self-Attention (F-SA) module.",
            alt=(
                "Three diagrams: F-SA is T-SA followed by S-SA (a); T-SA attends over time for each position (b); "
                "S-SA attends over all positions of each time step (c)."
            ),
            notebook="02_factorized_self_attention",
            draw=_draw_attention,
        ),
        Figure(
            id="fig02",
            number="Figure 2",
            name="fig02_generator",
            title="Generator architecture",
            caption="Generator Architecture.",
            alt=(
                "Diagram of the generator: the appearance code feeds stream G_S, the motion code and the category feed "
                "G_T, all feed the main stream G_V; five G3 modules fuse the streams, F-SA follows module G3_3."
            ),
            notebook="01_architecture",
            draw=_draw_architecture,
        ),
        _unconditional("fig03", "Figure 3", _UVA_NEMO, ", who smiles"),
        _generation("fig04", "Figure 4", _MUG, 1),
        _generation("fig05", "Figure 5", _MUG, 2),
        _generation("fig06", "Figure 6", _WEIZMANN, 1),
        _generation("fig07", "Figure 7", _WEIZMANN, 2),
        Figure(
            id="extra_weizmann_jack_bend",
            number="Additional figure",
            name="extra_weizmann_jack_bend",
            title="Conditional generation on {data}, the other two actions",
            caption=_CONDITIONAL,
            alt=(
                "{panels} of {generated} video frames of {people} ({who}), each asked for two actions: {asked}; each "
                f"panel has {{motions}} with different motion codes; {_ROWS}."
            ),
            playing=(
                "{panels} of {generated} videos of {people} ({who}), each asked for two actions: {asked}; "
                f"{_SIDE_BY_SIDE}."
            ),
            notebook="07_conditional_generation",
            draw=_draw_generation,
            parameters={
                "subjects": [*_WEIZMANN.subjects], "names": ["subject 1", "subject 2"],
                "categories": ["jack", "bend"], "motions": [*_WEIZMANN.motions],
            },
            weights="weizmann",
            animated=True,
        ),
        _appearance("fig08", "Figure 8", _MUG, 0),
        _appearance("fig09", "Figure 9", _MUG, 1),
        _appearance("fig10", "Figure 10", _WEIZMANN, 0),
        _appearance("fig11", "Figure 11", _WEIZMANN, 1),
        _appearance("fig12", "Figure 12", _UVA_NEMO, 0),
        _appearance("fig13", "Figure 13", _UVA_NEMO, 1),
        _longer("extra_weizmann_longer", "Additional figure", _WEIZMANN, motion=8),
        _motion(
            "fig14", "Figure 14", _UVA_NEMO, (0, 1, 5),
            " (The appendix's caption names the *first* and the *sixth* dimension, its sub-captions the *second* and "
            "the *sixth*: all three are drawn.)",
        ),
        _motion("extra_mug_motion", "Additional figure", _MUG, (0, 1)),
        _motion("fig15", "Figure 15", _WEIZMANN, (0, 1)),
        _motion(
            "extra_weizmann_tempo", "Additional figure", _WEIZMANN, (2,), "{tempo}", "The third dimension of motion",
            values=[-0.4, -0.2, 0.0, 0.2, 0.4],
        ),
        _motion(
            "extra_weizmann_side", "Additional figure", _WEIZMANN, (3,), "{side}", "The fourth dimension of motion",
            values=[-1.0, -0.5, 0.5, 1.0], category="wave1",
        ),
        _switch("fig16_mug", "Figure 16", _MUG),
        _switch("fig16_weizmann", "Figure 16", _WEIZMANN),
        _switch("fig16_uva_nemo", "Figure 16", _UVA_NEMO),
    )
}  # fmt: skip


# --- Networks of other data -------------------------------------------------------------------------------------------

_OWN_PANELS = 6


def own_cast(generator: Generator, weights: str) -> Cast:
    """Who and what the figures of such a network show: the first seeds and the first categories.

    Parameters
    ----------
    weights
        Its path.
    """
    classes = generator.config.classes
    pairs = tuple(zip(classes[0::2], classes[1::2], strict=False))[:2] or ((next(iter(classes), None),) * 2,)
    return Cast(weights, OWN, (1, 2), (1, 2), next(iter(classes), None), classes[:_OWN_PANELS], pairs, (3,))


def own_figures(cast: Cast) -> dict[str, Figure]:
    """The appendix's kinds of figures for such a network, by id: generation, manipulation, longer videos and switch."""
    number = "Own network"
    conditional = [_generation(f"own_generation{k}", number, cast, k) for k in (1, 2)]
    figures = (
        *(conditional if cast.category else [_unconditional("own_generation", number, cast)]),
        *(_appearance(f"own_appearance{dimension + 1}", number, cast, dimension) for dimension in (0, 1)),
        _motion("own_motion", number, cast, (0, 1)),
        _longer("own_longer", number, cast),
        _switch("own_switch", number, cast),
    )
    return {figure.id: figure for figure in figures}
