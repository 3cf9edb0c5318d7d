"""What the figure notebooks share: figures of the catalogue, each drawn from its network, shown and saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from g3an import catalogue
from g3an.catalogue import (
    CASTS,
    OWN,
    Cast,
    cast_named,
    cast_of,
    casts_of,
    data_set,
    display_name,
    draw,
    own_cast,
    own_figures,
    select,
)
from g3an.checkpoints import load_generator
from g3an.errors import G3ANError
from g3an.generator import Generator
from g3an.parameters import did_you_mean
from g3an.plotting import save, show

NAMELESS = ("prepared", "folder", "unknown")
"""What a card calls clips of the user's own, which have no name."""


class Gallery:
    """Draws figures of the catalogue from the shipped networks, or from the user's own.

    Parameters
    ----------
    dataset
        Only figures of this data set, one of :data:`g3an.catalogue.CASTS` or the name of its shipped network; empty: of
        all.
    weights
        A network to use instead of the shipped one, as for :func:`g3an.checkpoints.load_generator`. Without
        ``dataset`` it draws the figures of the data set that its card names; if that is none of the appendix's, figures
        of its own (:func:`g3an.catalogue.own_figures`).
    only
        Only these figures, as for :func:`g3an.catalogue.select`; empty: all.
    save_to
        Folder that receives PNG, PDF, GIF and manifest; empty: figures are only shown.
    notebook
        Only data sets that this notebook, by its stem, has figures of; empty: all.

    Raises
    ------
    G3ANError
        An unknown data set, figure or network, or a network that cannot draw what is asked for.
    """

    def __init__(
        self, dataset: str = "", weights: str = "", only: Sequence[str] = (), save_to: str = "", notebook: str = ""
    ) -> None:
        self.casts: dict[str, Cast] = {name: CASTS[name] for name in casts_of(notebook)}
        """Who and what is shown, by data set."""
        self.figures = catalogue.CATALOGUE
        self.networks: dict[str, Generator] = {}
        self.weights, self.save_to, self.notebook = weights, save_to, notebook
        generator = load_generator(weights) if weights else None
        if generator is not None and not dataset:
            dataset = _named(generator)
        self.dataset = cast_named(dataset) or dataset
        if generator is not None and not dataset:
            self._take_own(generator)
        elif self.dataset and self.dataset not in self.casts:
            where = f" in {notebook}" if self.dataset in CASTS else ""
            raise G3ANError(f"There are no figures of '{dataset}'{where}.{did_you_mean(dataset, self.casts)}")
        elif generator is not None:
            self.networks[self.dataset] = _fitting(generator, weights, self.dataset)
        wanted = [name for name in only if name not in self.figures]
        self.only = [*select(wanted), *(name for name in only if name in self.figures)]

    def _take_own(self, generator: Generator) -> None:
        cast = own_cast(generator, self.weights)
        self.dataset, self.casts, self.figures = OWN, {OWN: cast}, own_figures(cast)
        self.networks[OWN] = generator
        notebooks = [figure.notebook for figure in self.figures.values()]
        if self.notebook and self.notebook not in notebooks:
            raise G3ANError(
                f"{self.weights} {'has' if cast.category else 'lacks'} categories, so {self.notebook} has no figure of "
                f"it; {', '.join(dict.fromkeys(notebooks))} have."
            )

    def network(self, dataset: str) -> Generator:
        """The network that draws a data set's figures.

        Raises
        ------
        G3ANError
            This gallery has no figures of that data set, or its weights are missing or damaged.
        """
        if dataset not in self.casts:
            raise G3ANError(f"There are no figures of '{dataset}' here.{did_you_mean(dataset, self.casts)}")
        if dataset not in self.networks:
            self.networks[dataset] = load_generator(self.casts[dataset].weights)
        return self.networks[dataset]

    def label(self, dataset: str) -> str:
        """What a data set is called in a picture."""
        return data_set(self.network(dataset))

    @staticmethod
    def pair(values: Sequence[Any], name: str) -> tuple[list[Any], list[Any]]:
        """The first and the second of two values of a notebook's parameter, each as a list; of none two empty lists.

        Raises
        ------
        G3ANError
            There is one, or there are more than two.
        """
        if len(values) not in (0, 2):
            raise G3ANError(f"{name} wants two values or none, not {list(values)}.")
        return list(values[:1]), list(values[1:])

    @property
    def datasets(self) -> list[str]:
        """Whose figures are drawn."""
        return [name for name in self.casts if self.dataset in ("", name)]

    def show(self, figure_id: str, moving: bool = False, **choices: Any) -> None:
        """Show a figure, moving or still, and save it; a figure that was not asked for is left out with a word.

        Parameters
        ----------
        choices
            Values for the figure's parameters; empty ones mean the catalogue's. Where a figure takes one value, a list
            of one will do.

        Raises
        ------
        G3ANError
            There is no such figure or parameter, the network cannot draw it, or a file cannot be written.
        """
        if figure_id not in self.figures and figure_id not in catalogue.CATALOGUE:
            raise G3ANError(f"There is no figure '{figure_id}'.{did_you_mean(figure_id, self.figures)}")
        figure = self.figures.get(figure_id) or catalogue.CATALOGUE[figure_id]
        data = self.dataset if figure_id in self.figures and self.dataset == OWN else cast_of(figure.id)
        if data not in self.datasets or (self.only and figure_id not in self.only):
            print(f"{figure.number} ({figure.told(self.networks.get(data)).title}) was not asked for.")
            return
        chosen = dict(figure.defaults)
        for name, value in choices.items():
            alone = isinstance(value, list) and len(value) == 1 and not isinstance(chosen.get(name), list | tuple)
            if value not in (None, "", []):
                chosen[name] = value[0] if alone else value
        generator = self.network(data)
        drawn = draw(figure, generator, **chosen)
        told = figure.told(generator, **chosen)
        show(drawn, told.alt, moving, told.playing)
        if self.save_to:
            weights = self.weights or figure.weights
            save(drawn, told, self.save_to, {"weights": weights, **chosen}, str(generator.weights_hash))

    def show_own(self, **choices: Any) -> None:
        """Show this notebook's figures of a network of the user's own; of the shipped networks there are none.

        Parameters
        ----------
        choices
            As for :meth:`show`, for the figures that have such a parameter; a tuple holds a value for each figure.
        """
        if self.dataset != OWN:
            print("This run draws data sets of the appendix, above.")
            return
        here = [name for name, figure in self.figures.items() if figure.notebook == self.notebook]
        for k, name in enumerate(here):
            mine = {key: value[k] if isinstance(value, tuple) else value for key, value in choices.items()}
            self.show(name, **{key: value for key, value in mine.items() if key in self.figures[name].defaults})


def _named(generator: Generator) -> str:
    """The data set of the appendix that a network's card names and whose figures it can draw; else empty."""
    data = cast_named(str(getattr(generator, "card", {}).get("dataset")))
    return data if data and not _lacking(generator, data) else ""


def _lacking(generator: Generator, data: str) -> list[str]:
    """Categories that a data set's figures ask for and the network does not have."""
    cast, classes = CASTS[data], generator.config.classes
    asked = dict.fromkeys([*cast.panels, *(name for pair in cast.switched for name in pair if name)])
    return [name for name in asked if name not in classes]


def _fitting(generator: Generator, weights: str, data: str) -> Generator:
    """The network, under the data set's name, if it can draw that one's figures and was not trained on another."""
    card: dict[str, Any] = getattr(generator, "card", {})
    own = str(card.get("dataset", NAMELESS[-1]))
    if own not in NAMELESS and cast_named(own) != data:
        raise G3ANError(
            f"{weights} was trained on {display_name(own)}, so it draws no figures of {data}; "
            "leave the data set out, and it draws what it can."
        )
    if lacking := _lacking(generator, data):
        raise G3ANError(
            f"{weights} lacks categories that the figures of {data} ask for: {', '.join(lacking)}. "
            "Leave the data set out, and it draws figures of its own."
        )
    if generator.config.conditional and not CASTS[data].category:
        raise G3ANError(
            f"{weights} wants a category, and the figures of {data} have none. "
            "Leave the data set out, and it draws figures of its own."
        )
    if own in NAMELESS:  # what it began from may have been of the same clips, without a name, too
        origins = [origin | {"dataset": data} if origin.get("dataset") == own else origin
                   for origin in card.get("origins", [])]  # fmt: skip
        generator.card = {**card, "dataset": data, "origins": origins}  # type: ignore[assignment]
    return generator
