"""What the figure notebooks share: figures of the catalogue, each drawn from its network, shown and saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from g3an.catalogue import CASTS, cast_of, casts_of, data_set, draw, find, select
from g3an.checkpoints import load_generator
from g3an.errors import G3ANError
from g3an.generator import Generator
from g3an.parameters import did_you_mean
from g3an.plotting import save, show


class Gallery:
    """Draws figures of the catalogue from the shipped networks, or from the user's own.

    Parameters
    ----------
    dataset
        Only figures of this data set, one of :data:`g3an.catalogue.CASTS`; empty: of all.
    weights
        A network to use instead of the shipped one, as for :func:`g3an.checkpoints.load_generator`; it needs
        ``dataset``, whose name then stands in the pictures.
    only
        Only these figures, as for :func:`g3an.catalogue.select`; empty: all.
    save_to
        Folder that receives PNG, PDF, GIF and manifest; empty: figures are only shown.
    notebook
        Only data sets that this notebook, by its stem, has figures of; empty: all.

    Raises
    ------
    G3ANError
        An unknown data set, figure or network, or ``weights`` without ``dataset``.
    """

    def __init__(
        self, dataset: str = "", weights: str = "", only: Sequence[str] = (), save_to: str = "", notebook: str = ""
    ) -> None:
        self.known = casts_of(notebook)
        if dataset and dataset not in self.known:
            where = f" in {notebook}" if dataset in CASTS else ""
            raise G3ANError(f"There are no figures of '{dataset}'{where}.{did_you_mean(dataset, self.known)}")
        if weights and not dataset:
            raise G3ANError(f"Say with dataset which figures to draw from {weights}: {', '.join(self.known)}.")
        self.dataset, self.weights, self.save_to = dataset, weights, save_to
        self.only = select(only)
        self.networks: dict[str, Generator] = {}

    def network(self, dataset: str) -> Generator:
        """The network that draws a data set's figures."""
        if dataset not in self.networks:
            generator = load_generator(self.weights or CASTS[dataset].weights)
            card: dict[str, Any] = getattr(generator, "card", {})
            # Prepared clips and folders have no name of their own; simulated data keep theirs, whoever trained on them.
            if self.weights and not str(card.get("dataset")).endswith("-sim"):
                generator.card = {**card, "dataset": dataset}  # type: ignore[assignment]
            self.networks[dataset] = generator
        return self.networks[dataset]

    @property
    def datasets(self) -> list[str]:
        """Whose figures are drawn."""
        return [name for name in self.known if self.dataset in ("", name)]

    def show(self, figure_id: str, moving: bool = False, **choices: Any) -> None:
        """Show a figure, moving or still, and save it; a figure that was not asked for is left out with a word.

        Parameters
        ----------
        choices
            Values for the figure's parameters; empty ones mean the catalogue's.
        """
        figure, data = find(figure_id), cast_of(figure_id)
        if data not in self.datasets or (self.only and figure_id not in self.only):
            print(f"{figure.number} ({figure.title}) was not asked for.")
            return
        chosen = figure.defaults | {name: value for name, value in choices.items() if value not in (None, "", [])}
        generator = self.network(data)
        drawn = draw(figure_id, generator, **chosen)
        if "simulated" not in data_set(generator):
            figure = replace(figure, title=figure.title.replace(" (simulated)", ""))
        show(drawn, figure.alt, moving)
        if self.save_to:
            weights = self.weights or figure.weights
            save(drawn, figure, self.save_to, {"weights": weights, **chosen}, str(generator.weights_hash))
