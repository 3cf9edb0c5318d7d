"""Figure number -> what is drawn, from which weights, codes and dimensions.

Each entry of ``CATALOGUE`` names the function that draws it and that function's parameters at the appendix's choice;
notebooks and tests go through :func:`draw`, so that a figure looks the same wherever it is drawn.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from g3an.errors import G3ANError
from g3an.generator import Generator
from g3an.latents import Codes, combine, generate, switch_motion, to_uint8, traverse
from g3an.parameters import did_you_mean
from g3an.plotting import Drawn, Panel, draw_panels

# How a category is written in a picture; others keep their own name.
SPELLED = {"wave1": "one-hand waving", "wave2": "two-hands waving", "jack": "jumping jack", "bend": "bending"}
DATA_SETS = {"weizmann": "Weizmann", "mug": "MUG", "uva-nemo": "UvA-NEMO", "ucf101": "UCF101", "shapes": "shapes"}
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
    name
        Stem of its files.
    title, caption, alt
        A heading; the appendix's caption (``{data}`` is the data set, ``*…*`` italics); a description for those who
        cannot see it.
    notebook
        Stem of the notebook that draws it.
    kind
        ``diagram``, ``table``, ``generation``, ``appearance``, ``motion``, ``longer`` or ``switch``.
    draw
        Function of (figure, generator, **parameters).
    parameters
        Its parameters where they differ from the function's own defaults.
    weights
        Name of the shipped weights it is drawn from; empty where it needs no trained network.
    animated
        Whether a GIF goes with it.
    """

    id: str
    number: str
    name: str
    title: str
    caption: str
    alt: str
    notebook: str
    kind: str
    draw: Callable[..., Drawn]
    parameters: dict[str, Any] = field(default_factory=dict)
    weights: str = ""
    animated: bool = False

    @property
    def defaults(self) -> dict[str, Any]:
        """Every parameter the figure takes, with its value when nothing is overridden."""
        accepted = list(inspect.signature(self.draw).parameters.values())[2:]
        return {parameter.name: parameter.default for parameter in accepted} | self.parameters


def draw(figure_id: str, generator: Generator | None = None, **overrides: Any) -> Drawn:
    """Draw a figure of the catalogue.

    Parameters
    ----------
    generator
        The trained network, from :func:`g3an.checkpoints.load_generator`; diagrams and Table 1 do without one.
    overrides
        Values for some of the figure's parameters (see ``CATALOGUE[figure_id].defaults``).

    Raises
    ------
    G3ANError
        There is no such figure or parameter, or the network cannot draw it (it lacks a category, say).
    """
    figure = find(figure_id)
    unknown = sorted(set(overrides) - set(figure.defaults))
    if unknown:
        takes = ", ".join(figure.defaults) or "no parameters"
        raise G3ANError(f"{figure_id} has no parameter {', '.join(unknown)}; it takes {takes}.")
    if figure.weights and generator is None:
        raise G3ANError(f"{figure_id} is drawn from trained weights; give load_generator('{figure.weights}'), say.")
    return figure.draw(figure, generator, **(figure.defaults | overrides))


def select(words: Sequence[str]) -> list[str]:
    """Ids of the figures that someone asks for: ``4``, ``fig04``, ``16`` (all that are Figure 16), ``table1``.

    Raises
    ------
    G3ANError
        A word names no figure.
    """
    chosen = []
    for word in words:
        stem = f"fig{int(word):02d}" if word.isdecimal() and int(word) < 100 else word
        found = [name for name in CATALOGUE if name == stem or name.startswith(f"{stem}_")]
        if not found:
            raise G3ANError(f"There is no figure '{word}'.{did_you_mean(word, CATALOGUE)}")
        chosen += found
    return [name for name in CATALOGUE if name in chosen]


def cast_of(figure_id: str) -> str:
    """The data set whose people a figure shows, a key of :data:`CASTS`."""
    weights = find(figure_id).weights
    return next((name for name, cast in CASTS.items() if cast.weights == weights), "")


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
    return SPELLED.get(category, category)


def data_set(generator: Generator) -> str:
    """Display name of the data a generator was trained on; simulated sets always say that they are simulated."""
    return display_name(str(getattr(generator, "card", {}).get("dataset", "unknown")))


def display_name(name: str) -> str:
    """How a data set is called in a picture: ``mug-sim`` is MUG (simulated)."""
    if name.endswith("-sim"):
        return f"{DATA_SETS.get(name[:-4], name[:-4])} (simulated)"
    return DATA_SETS.get(name, f"{name} data")


def provenance(generator: Generator) -> str:
    """One line for the foot of a picture: preset, training data, size of the frames and hash of the weights."""
    card = getattr(generator, "card", {})
    own = str(card.get("dataset", "unknown"))
    seen: dict[str, int] = {}  # by what it began from, too
    for run in (card, *card.get("origins", [])):
        name = run.get("dataset", own)
        seen[name] = seen.get(name, 0) + run.get("clips_seen", 0)
    before = "".join(f" after {count:,} of {display_name(name)}" for name, count in seen.items() if name != own)
    clips = f", {seen[own]:,} clips seen{before}" if "clips_seen" in card else ""
    print_of = getattr(generator, "weights_hash", "")
    weights = f" Weights {print_of[:12]}." if print_of else ""
    return (
        f"Drawn by this project's network: preset {generator.config.preset}, "
        f"trained on {data_set(generator)}{clips}.{weights} Frames of 64×64 pixels."
    )


def stamp(generator: Generator) -> str:
    """The warning for pictures of a network from a smoke run; empty for any other."""
    smoke = getattr(generator, "card", {}).get("smoke", False)
    return "smoke run: this network is not trained, it only shows that everything works" if smoke else ""


def _page(figure: Figure, generator: Generator, panels: Sequence[Panel], across: int = 1, **words: str) -> Drawn:
    caption = f"{figure.number}: {figure.caption.format(data=data_set(generator), **words)}"
    return draw_panels(panels, caption, provenance(generator), stamp(generator), scale=2, across=across)


def _letters(count: int) -> str:
    if count > 26:
        raise G3ANError(f"A figure has at most 26 panels, not {count}.")
    return "abcdefghijklmnopqrstuvwxyz"[:count]


def _videos(generator: Generator, codes: Codes) -> np.ndarray:
    """(B, T, 64, 64, 3) uint8, computed in float64: another thread count or processor changes the last bits of a sum,
    and from float32 those reach some pixels, from which a GIF would choose another palette."""
    return to_uint8(generate(deepcopy(generator).double(), codes, batch=4))


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
    panels = []
    for letter, (subject, name, category) in zip(_letters(len(pairs)), pairs, strict=True):
        codes = Codes.cat(combine(generator.config, subject, motion, category) for motion in motions)
        rows = tuple(f"$z_{{m_{k}}}$" for k in range(len(motions)))
        label = f"{letter}: {name}" + (f", *{spelled(category)}*" if category else "")
        panels.append(Panel(label, _videos(generator, codes), rows, columns=len(motions)))
    return _page(figure, generator, panels, across=2)


# --- Manipulation (Figs. 8 to 15) -------------------------------------------------------------------------------------


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
    panels = []
    for number, (letter, subject) in enumerate(zip(_letters(len(subjects)), subjects, strict=True), start=1):
        base = combine(generator.config, subject, motion, category)
        videos = _videos(generator, traverse(base, "appearance", dimension, values))
        panels.append(Panel(f"{letter}: subject {number}", videos, _signed(values), columns=len(values)))
    return _page(figure, generator, panels, ordinal=ordinal(dimension))


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
    panels = []
    for letter, dimension in zip(_letters(len(dimensions)), dimensions, strict=True):
        videos = _videos(generator, traverse(base, "motion", dimension, values))
        label = f"{letter}: {ordinal(dimension)} dimension"
        panels.append(Panel(label, videos, _signed(values), columns=len(values)))
    return _page(figure, generator, panels, 1, **panels_in_words(dimensions))


def panels_in_words(dimensions: Sequence[int]) -> dict[str, str]:
    """For a caption: ``letters``, the panels' names, and ``ordinals``, those of their dimensions."""
    letters = [f"*{letter}*" for letter in _letters(len(dimensions))]
    return {"letters": _listed(letters), "ordinals": _listed([f"*{ordinal(dimension)}*" for dimension in dimensions])}


def _listed(words: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def ordinal(dimension: int) -> str:
    """Dimension 0 is the appendix's "first"."""
    return ORDINALS[dimension] if 0 <= dimension < len(ORDINALS) else f"{dimension + 1}th"


def _signed(values: Sequence[float]) -> tuple[str, ...]:
    return tuple("0" if value == 0 else f"{value:+g}".replace("-", "\N{MINUS SIGN}") for value in values)


# --- Motion switch (Fig. 16) ------------------------------------------------------------------------------------------


def _draw_switch(
    figure: Figure,
    generator: Generator,
    *,
    first_subject: int = 1,
    second_subject: int = 2,
    first_motion: int = 1,
    second_motion: int = 2,
    first_actions: Sequence[str | None] = ("wave1",),
    second_actions: Sequence[str | None] = ("wave2",),
) -> Drawn:
    """A panel for each pair of actions: two originals, then the same with (z_m, c) switched (section C.4).

    Actions None are those of an unconditional network, which switches z_m alone.
    """
    _same_length(first_actions=first_actions, second_actions=second_actions)
    config, panels = generator.config, []
    names = _letters(len(first_actions))
    for letter, here, there in zip(names, first_actions, second_actions, strict=True):
        a = combine(config, first_subject, first_motion, here)
        b = combine(config, second_subject, second_motion, there)
        videos = _videos(generator, Codes.cat([a, b, *switch_motion(a, b)]))
        asked = here is not None and there is not None
        rows = tuple(
            f"$z_{{a_{i}}},z_{{m_{j}}}{f',c_{j}' if asked else ''}$" for i, j in ((0, 0), (1, 1), (0, 1), (1, 0))
        )
        label = f"{letter}: two people"
        if here is not None and there is not None:
            label = f"{letter}: *{spelled(here)}* ($c_0$) and *{spelled(there)}* ($c_1$)"
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
    panels, playing = [], []
    for letter, length in zip(_letters(len(lengths)), lengths, strict=True):
        codes = combine(generator.config, subject, motion, category, positions[length])
        [video] = _videos(generator, codes)
        rows = -(-length // shortest)
        page = np.full((rows * shortest, *video.shape[1:]), 255, np.uint8)
        page[:length] = video
        names = tuple(f"{k * shortest + 1}\N{EN DASH}{min((k + 1) * shortest, length)}" for k in range(rows))
        label = f"{letter}: {length} frames, {positions[length]} temporal position{'s' * (positions[length] > 1)}"
        panels.append(Panel(label, page.reshape(rows, shortest, *video.shape[1:]), names))
        playing.append(video[np.arange(max(lengths)) % length])  # the shorter ones begin again
    whose = _page(figure, generator, panels)
    tiles = Panel("", np.stack(playing), tuple(f"{length} frames" for length in lengths), columns=len(lengths))
    return Drawn(whose.still, _page(figure, generator, [tiles]).animation)


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
    "Conditionally generated samples from G³AN on {data} dataset. Each row represents the result generated by "
    "combining a one-hot category label with the same $z_a$ and randomly sampled $z_m$ as input."
)
_APPEARANCE = (
    "Results of manipulating *{ordinal} dimension* in appearance representation on {data} dataset. *a* and *b* are "
    "results from two randomly sampled $z_a$. From top to bottom in each sub-figure, values of *{ordinal} dimension* "
    "are increased."
)
_NUMBERS = ("No", "One", "Two", "Three", "Four", "Five", "Six")
_ROWS = "each row is one video, its frames from left to right"


@dataclass(frozen=True)
class Cast:
    """Who and what the figures of a data set show.

    Attributes
    ----------
    weights
        Name of the shipped network.
    label, stem
        Name of the data set in words and in files.
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
    label: str
    stem: str
    subjects: tuple[int, int]
    motions: tuple[int, int]
    category: str | None
    panels: tuple[str, ...]
    switched: tuple[tuple[str | None, str | None], ...]
    others: tuple[int, ...] = ()


CASTS = {
    "mug": Cast(
        "mug-sim", "MUG (simulated)", "mug", (1, 23), (3, 0), "happy",
        ("sad", "anger", "surprise", "disgust", "happy", "fear"), (("happy", "surprise"), ("anger", "fear")),
    ),
    "weizmann": Cast(
        "weizmann", "Weizmann", "weizmann", (23, 7), (7, 3), "wave2", ("wave1", "wave2"),
        (("wave1", "wave2"), ("jack", "bend")),
    ),
    "uva-nemo": Cast(
        "uva-nemo-sim", "UvA-NEMO (simulated)", "uva_nemo", (1, 17), (10, 18), None, (), ((None, None),), (9, 18),
    ),
}  # fmt: skip
"""By data set, in the order of the appendix."""


def _generation(number: int, data: str, subject: int) -> Figure:
    cast = CASTS[data]
    asked = ", ".join(f"{spelled(name)} ({letter})" for letter, name in zip(_letters(6), cast.panels, strict=False))
    return Figure(
        id=f"fig{number:02d}",
        number=f"Figure {number}",
        name=f"fig{number:02d}_{cast.stem}_subject{subject}",
        title=f"Conditional generation on {cast.label}, subject {subject}",
        caption=_CONDITIONAL,
        alt=(
            f"{_NUMBERS[len(cast.panels)]} panels of generated video frames of one person (subject {subject}), a "
            f"category each: {asked}; each panel has two rows with different motion codes; {_ROWS}."
        ),
        notebook="07_conditional_generation",
        kind="generation",
        draw=_draw_generation,
        parameters={
            "subjects": [cast.subjects[subject - 1]], "names": [f"subject {subject}"], "categories": [*cast.panels],
            "motions": [*cast.motions],
        },
        weights=cast.weights,
        animated=True,
    )  # fmt: skip


def _unconditional(number: int, data: str) -> Figure:
    cast = CASTS[data]
    people = (*cast.subjects, *cast.others)
    return Figure(
        id=f"fig{number:02d}",
        number=f"Figure {number}",
        name=f"fig{number:02d}_{cast.stem}_generation",
        title=f"Unconditional generation on {cast.label}",
        caption=(
            "Unconditionally generated samples from G³AN on {data}. We combine each $z_a$ with three different $z_m$, "
            "obtaining three different videos for the same appearance. Each row represents a video sequence."
        ),
        alt=(
            f"{_NUMBERS[len(people)]} panels of generated video frames, one for each generated person, who smiles; "
            f"each panel has three rows with different motion codes; {_ROWS}."
        ),
        notebook="06_unconditional_generation",
        kind="generation",
        draw=_draw_generation,
        parameters={
            "subjects": [*people], "names": [f"subject {k}" for k in range(1, len(people) + 1)], "categories": [None],
            "motions": [*cast.motions, cast.motions[-1] + 1],
        },
        weights=cast.weights,
        animated=True,
    )  # fmt: skip


def _appearance(number: int, data: str, dimension: int) -> Figure:
    cast, word = CASTS[data], ORDINALS[dimension]
    return Figure(
        id=f"fig{number:02d}",
        number=f"Figure {number}",
        name=f"fig{number:02d}_{cast.stem}_appearance_{word}",
        title=f"Appearance manipulation on {cast.label}, {word} dimension",
        caption=_APPEARANCE,
        alt=(
            f"Two panels for two generated people; down the five rows of a panel the {word} dimension of the "
            f"appearance code rises from −3 to 3 while the motion stays the same; {_ROWS}."
        ),
        notebook="08_appearance_manipulation",
        kind="appearance",
        draw=_draw_appearance,
        parameters={
            "dimension": dimension, "subjects": [*cast.subjects], "motion": cast.motions[0], "category": cast.category,
        },
        weights=cast.weights,
        animated=True,
    )  # fmt: skip


def _motion(id_: str, number: str, data: str, dimensions: Sequence[int], remark: str = "") -> Figure:
    cast, words = CASTS[data], [ORDINALS[dimension] for dimension in dimensions]
    asked = " and what was asked for" if cast.category else ""
    return Figure(
        id=id_,
        number=number,
        name=id_ if id_.startswith("extra") else f"{id_}_{cast.stem}_motion",
        title=f"Motion manipulation on {cast.label}",
        caption=(
            "Results of manipulating motion representation on {data} dataset. {letters} are results of "
            "manipulating {ordinals} dimensions. From top to bottom in each sub-figure, values are increased." + remark
        ),
        alt=(
            f"{_NUMBERS[len(words)]} panels, for the {_listed(words)} dimension of the motion code; down the five rows "
            f"the dimension rises from −3 to 3 while the person{asked} stay{'' if asked else 's'} the same; {_ROWS}."
        ),
        notebook="09_motion_manipulation",
        kind="motion",
        draw=_draw_motion,
        parameters={
            "dimensions": [*dimensions], "subject": cast.subjects[0], "motion": cast.motions[0],
            "category": cast.category,
        },
        weights=cast.weights,
        animated=True,
    )  # fmt: skip


def _switch(data: str) -> Figure:
    cast = CASTS[data]
    panels = "Two panels" if len(cast.switched) == 2 else "A panel"
    without = cast.category is None
    originals = (
        "($z_{{a_0}},z_{{m_0}}$) and ($z_{{a_1}},z_{{m_1}}$)"
        if without
        else "($z_{{a_0}},z_{{m_0}},c_0$) and ($z_{{a_1}},z_{{m_1}},c_1$)"
    )
    return Figure(
        id=f"fig16_{cast.stem}",
        number="Figure 16",
        name=f"fig16_{cast.stem}_motion_switch",
        title=f"Motion switch on {cast.label}",
        caption=(
            "Results of switching motion on {data} dataset. In each sub-figure, the top two rows are videos "
            f"obtained from the two original sets {originals}; the bottom two rows are the switched results."
            + (" This network is unconditional: there is no $c$, and $z_m$ alone is switched." if without else "")
        ),
        alt=(
            f"{panels} of four rows: two generated people each moving in another way, and below them the same "
            f"two people with their motions exchanged; {_ROWS}."
        ),
        notebook="10_motion_switch",
        kind="switch",
        draw=_draw_switch,
        parameters={
            "first_subject": cast.subjects[0], "second_subject": cast.subjects[1],
            "first_motion": cast.motions[0], "second_motion": cast.motions[1],
            "first_actions": [pair[0] for pair in cast.switched], "second_actions": [pair[1] for pair in cast.switched],
        },
        weights=cast.weights,
        animated=True,
    )  # fmt: skip


def _longer(data: str) -> Figure:
    cast = CASTS[data]
    return Figure(
        id=f"extra_{cast.stem}_longer",
        number="Additional figure",
        name=f"extra_{cast.stem}_longer",
        title=f"Longer videos, {cast.label}",
        caption=(
            "Videos of 16, 24, 32 and 48 frames on {data} dataset, from one $z_a$, one category and the first 1, 2, 3 "
            "and 5 temporal positions of one $z_m$. The network was trained on 16 frames."
        ),
        alt=(
            "Four panels of generated video frames of one person doing the same thing, for 16, 24, 32 and 48 frames, "
            "sixteen frames a row; the motion goes on through all of them."
        ),
        notebook="09_motion_manipulation",
        kind="longer",
        draw=_draw_longer,
        parameters={"subject": cast.subjects[0], "motion": cast.motions[0], "category": cast.category},
        weights=cast.weights,
        animated=True,
    )


CATALOGUE: dict[str, Figure] = {
    figure.id: figure
    for figure in (
        Figure(
            id="table1",
            number="Table 1",
            name="table1_output_dimensions",
            title="Output dimensions in G_V",
            caption="Output dimensions in $G_V$ after each G³ module.",
            alt=(
                "Table of channels and height, width and time after each of the five G3 modules and the output, "
                "computed from the network beside the appendix's numbers: they agree in every row."
            ),
            notebook="01_architecture",
            kind="table",
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
            kind="diagram",
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
            kind="diagram",
            draw=_draw_architecture,
        ),
        _unconditional(3, "uva-nemo"),
        _generation(4, "mug", 1),
        _generation(5, "mug", 2),
        _generation(6, "weizmann", 1),
        _generation(7, "weizmann", 2),
        Figure(
            id="extra_weizmann_jack_bend",
            number="Additional figure",
            name="extra_weizmann_jack_bend",
            title="Conditional generation on Weizmann, the other two actions",
            caption=_CONDITIONAL,
            alt=(
                "Four panels of generated video frames: two people (subjects 1 and 2) were each asked for jumping "
                f"jacks and for bending; each panel has two rows with different motion codes; {_ROWS}."
            ),
            notebook="07_conditional_generation",
            kind="generation",
            draw=_draw_generation,
            parameters={
                "subjects": [*CASTS["weizmann"].subjects], "names": ["subject 1", "subject 2"],
                "categories": ["jack", "bend"], "motions": [*CASTS["weizmann"].motions],
            },
            weights="weizmann",
            animated=True,
        ),
        _appearance(8, "mug", 0),
        _appearance(9, "mug", 1),
        _appearance(10, "weizmann", 0),
        _appearance(11, "weizmann", 1),
        _appearance(12, "uva-nemo", 0),
        _appearance(13, "uva-nemo", 1),
        _longer("weizmann"),
        _motion(
            "fig14", "Figure 14", "uva-nemo", (0, 1, 5),
            " (The appendix's caption names the *first* and the *sixth* dimension, its sub-captions the *second* and "
            "the *sixth*: all three are drawn.)",
        ),
        _motion("extra_mug_motion", "Additional figure", "mug", (0, 1)),
        _motion("fig15", "Figure 15", "weizmann", (0, 1)),
        _switch("mug"),
        _switch("weizmann"),
        _switch("uva-nemo"),
    )
}  # fmt: skip
