"""The latent explorer: codes are chosen beside the video that they make (sections C.2 to C.4, live).

State is a :class:`g3an.views.View`, pictures are made by :class:`g3an.studio.Studio`; here are the controls. Every
control changes the view, the view asks for a picture, and only the newest request is drawn.
"""

from __future__ import annotations

import html
import random
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np

from g3an import ranking, stage
from g3an.catalogue import display_name, spelled
from g3an.checkpoints import load_generator, shipped
from g3an.errors import G3ANError
from g3an.latents import PARTS
from g3an.plotting import FRAME_MS, apng_bytes, gif_bytes
from g3an.studio import KINDS, Latest, Studio, moving_bytes, sentence, still_bytes
from g3an.views import (
    BETWEEN,
    GRIDS,
    Slot,
    View,
    as_code,
    default_view,
    draw_category,
    lengths,
    load_view,
    positions_of,
    read_content,
    weights_in,
)

STRONGEST = 4  # dimensions of each part that have a slider of their own
REACH, STEP = 4.0, 0.1  # of the sliders: N(0, 1) goes further once in 16,000 numbers
OWN = "a file of mine"
SYMBOLS = {"appearance": "z_a", "motion": "z_m"}


def explore(
    weights: str | Path = "",
    *,
    a: Mapping[str, Any] | None = None,
    b: Mapping[str, Any] | None = None,
    codes: str | Path = "",
    save_to: str | Path = "",
    **view: Any,
) -> Explorer:
    """The explorer, shown where it is the last line of a cell.

    Parameters
    ----------
    weights
        Name of shipped weights or the path of others, as for :func:`g3an.checkpoints.load_generator`; empty: the first
        shipped ones.
    a, b
        Slots in words, as :meth:`g3an.views.Slot.from_dict` takes them; by default two people of the figures.
    codes
        A JSON file that the explorer or :meth:`g3an.latents.Codes.to_json` wrote, to begin with.
    save_to
        Folder for exports; empty: ``explored`` in the current folder. Nothing is written before a button is pressed.
    view
        Other attributes of :class:`g3an.views.View`, such as ``show="grid"``.

    Raises
    ------
    G3ANError
        Unknown weights, names or values, or codes that do not fit the network.
    """
    explorer = Explorer(weights, save_to=save_to)
    if codes:
        explorer.load(codes)
    given = {name: value for name, value in {"a": a, "b": b, **view}.items() if value is not None}
    if given:
        explorer.change(View.from_dict({**explorer.view.to_dict(), **given}))
    explorer.settle()
    return explorer


class Explorer:
    """Controls, picture and state.

    Attributes
    ----------
    view
        What is seen; change it with :meth:`change`.
    studio
        Makes the videos with the chosen network.
    weights
        Its name or path.
    panel
        The widget that holds all others.
    """

    def __init__(self, weights: str | Path = "", view: View | None = None, save_to: str | Path = "") -> None:
        self.weights = str(weights) or next(iter(shipped()), "")
        self.studio = Studio(load_generator(self.weights))
        self.view = view or default_view(self.studio.generator)
        self.view.codes(self.studio.generator)
        self.save_to = Path(save_to or "explored")
        self.slot = "a"
        self.ranking = ranking.known(self.studio.generator) or ranking.unranked(self.studio.generator)
        self._filling = False  # while controls are set from the view, their events mean nothing
        self._still_wanted = True  # by those whose system asks for less motion, until they press Play
        self._began = time.monotonic()
        self._build()
        self._latest = Latest(self._paint, self._fail)
        self._new_network()
        self._paint(self.view, self._began)

    # --- What code and controls have in common ---

    def change(self, view: View) -> None:
        """Show another view.

        Raises
        ------
        G3ANError
            It does not fit the network; what was seen stays.
        """
        positions_of(self.studio.generator, view.frames)
        for slot in (view.a, view.b):
            slot.codes(self.studio.generator.config)
        self.view = view
        self._fill()
        self._latest.submit(view)

    def settle(self, seconds: float = 60.0) -> None:
        """Wait until the picture is that of the view."""
        if not self._latest.wait(seconds):
            raise G3ANError(f"The picture took longer than {seconds:g} s; the machine is busy.")

    def use(self, weights: str | Path, view: View | None = None) -> None:
        """Go on with another network, by default at its own two people.

        Raises
        ------
        G3ANError
            There are no such weights, or the view does not fit them; the network stays.
        """
        generator = load_generator(weights)
        view = view or default_view(generator)
        view.codes(generator)
        self.weights, self.studio, self.view = str(weights), Studio(generator), view
        self.ranking = ranking.known(generator) or ranking.unranked(generator)
        self._new_network()
        self._latest.submit(view)

    def load(self, source: str | Path | bytes) -> None:
        """Take codes from a JSON file, given its path or its content, and the network that it names.

        Raises
        ------
        G3ANError
            It is damaged, or fits neither the network nor the one that it names; nothing changes.
        """
        content = read_content(source)
        name, digest = weights_in(content)
        if not name or digest == self.studio.generator.weights_hash:
            self.change(load_view(content, self.studio.generator, self.view, self.slot))
            return
        generator = load_generator(name)
        self.use(name, load_view(content, generator))
        if digest and digest != generator.weights_hash:
            self._say(f"The codes are of an older version of {name}: the videos differ from those that were saved.")

    def export(self, kind: str, name: str = "") -> Path:
        """Write what is seen into :attr:`save_to` as ``gif``, ``mp4``, ``png`` or ``json``.

        Raises
        ------
        G3ANError
            The name holds a folder, or the file cannot be written.
        """
        name = name or self.name.value.strip() or "explored"
        if Path(name).name != name or name.startswith("."):
            raise G3ANError(f"The name is {name!r}; give one without folders: exports go to {self.save_to}.")
        return self.studio.export(self.save_to / f"{name}.{kind}", self.view, self.weights)

    def show_grid(self) -> None:
        """Show the grid of A and B as a GIF and as an animated PNG, for pages where no widget works.

        It is computed in float64, like the figures, so that it is the same on every machine.
        """
        from IPython.display import display

        studio = Studio(deepcopy(self.studio.generator).double())
        view = replace(self.view, show="grid")
        animation = studio.drawn(view).animation
        assert animation is not None
        # GitHub shows the PNG, the report the GIF.
        pictures = {"image/gif": gif_bytes(animation), "image/png": apng_bytes(animation)}
        alt = studio.alt(view)
        display(
            {kind: b64encode(content).decode() for kind, content in pictures.items()} | {"text/plain": alt},
            metadata={kind: {"alt": alt} for kind in pictures}, raw=True,
        )  # fmt: skip

    @property
    def code(self) -> str:
        """A cell that brings back what is seen."""
        return as_code(self.view, self.weights)

    def close(self) -> None:
        """End the thread that draws, and take the controls away."""
        self._latest.close()
        self.panel.close()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        bundle = dict(self.panel._repr_mimebundle_() or {})
        words = f"Latent explorer of {self.weights}: run this notebook in JupyterLab to use it."
        return {**bundle, "text/plain": words}

    # --- Controls ---

    def _build(self) -> None:
        self._build_network()
        self._build_slot()
        self._build_dimensions()
        self._build_view()
        self._build_files()
        self.picture, self.status = widgets.HTML(), widgets.HTML()
        self.status.add_class("g3an-status")
        left = widgets.VBox([self.picture, *self._view_controls])
        right = widgets.VBox([self._slot_box])
        left.add_class("g3an-left")
        right.add_class("g3an-right")
        main = widgets.Box([left, right], layout=widgets.Layout(flex_flow="row wrap", grid_gap="1.2rem"))
        names = widgets.Output(layout=widgets.Layout(display="none"))
        names.outputs = (
            {"output_type": "display_data", "metadata": {}, "data": {"application/javascript": stage.SCRIPT}},
        )
        style = widgets.HTML(stage.STYLE)
        self.panel = widgets.VBox([style, self._network_row, main, self.status, *self._file_controls, names])
        self.panel.add_class("g3an-explorer")

    def _build_network(self) -> None:
        self.dataset = _dropdown("Data set", "The data that the network was trained on")
        self.network = _dropdown("Weights", "Which network of this data set draws")
        self.own = widgets.Text(
            description="Path", placeholder="runs/mine/generator.json", continuous_update=False, layout=_wide(),
            tooltip="Path of your weights (.safetensors or .json); press Enter to load them",
        )  # fmt: skip
        self.dataset.observe(self._guarded(self._dataset_chosen), "value")
        self.network.observe(self._guarded(lambda: self.use(self.network.value)), "value")
        self.own.observe(self._guarded(self._path_given), "value")
        for menu in (self.dataset, self.network):
            menu.layout.max_width = "19rem"
        self._network_row = _row(self.dataset, self.network, self.own)

    def _build_slot(self) -> None:
        self.editing = widgets.ToggleButtons(
            options=[("A", "a"), ("B", "b")], description="Edit", style={"button_width": "4rem"},
            tooltips=["The controls below change A", "The controls below change B"],
        )  # fmt: skip
        self.seed = _seed("Seed", "Draw z_a, z_m and c all from this seed; press the button beside it")
        self.draw = _button("Draw all", "Draw z_a, z_m and the category from the seed on the left", self._draw_all)
        self.subject = _seed("z_a seed", "Appearance: who is seen. Each number is another person")
        self.new_subject = _button("New z_a", "Draw another appearance", lambda: self._new("z_a"))
        self.motion = _seed("z_m seed", "Motion: how it goes on. Each number is another motion")
        self.new_motion = _button("New z_m", "Draw another motion", lambda: self._new("z_m"))
        self.category = _dropdown("c", "The category: what is done")
        self.category.layout = widgets.Layout(width="16rem")
        self.new_category = _button("New c", "Draw a category", lambda: self._new("c"))
        self.editing.observe(self._guarded(self._slot_chosen), "value")
        self.category.observe(self._guarded(lambda: self._change_slot(c=self.category.value)), "value")
        for part, box in (("z_a", self.subject), ("z_m", self.motion)):
            box.observe(self._guarded(partial(self._seeded, part, box)), "value")
        for button in (self.draw, self.new_subject, self.new_motion, self.new_category):
            button.on_click(self._pressed)
        self._category_row = _row(self.category, self.new_category)

    def _build_dimensions(self) -> None:
        self.sliders = {part: [self._slider(part, k) for k in range(STRONGEST)] for part in PARTS}
        self.other = _dropdown("Other", "Any other dimension; its slider is the next control")
        self.other_slider = _slider("Value", "Value of the dimension chosen in the menu before")
        self.other.observe(self._guarded(self._fill), "value")
        self.other_slider.observe(self._moved(self.other_slider, self._move_other), "value")
        self.reset = _button("Undo changes", "Put all dimensions of this slot back to what was drawn", self._undo)
        self.reset.on_click(self._pressed)
        columns = [widgets.VBox(self.sliders[part]) for part in PARTS]
        for column in columns:
            column.layout.flex = "1 1 15rem"
        self._explain = widgets.HTML()
        self._slot_box = widgets.VBox(
            [
                _heading("Codes"),
                self.editing,
                _row(self.seed, self.draw),
                _row(self.subject, self.new_subject),
                _row(self.motion, self.new_motion),
                self._category_row,
                self._explain,
                widgets.Box(columns, layout=widgets.Layout(flex_flow="row wrap")),
                self.other,
                _row(self.other_slider, self.reset),
            ]
        )

    def _slider(self, part: str, place: int) -> Any:
        slider = _slider("", "")

        def act(value: float) -> None:
            self._move(part, self._dimension(part, place), value)

        slider.observe(self._moved(slider, act), "value")
        return slider

    def _build_view(self) -> None:
        self.shown = widgets.ToggleButtons(
            options=[("A", "A"), ("B", "B"), ("A and B", "A and B"), ("Between", "between"), ("Grid", "grid")],
            description="Show", style={"button_width": "auto"},
            tooltips=["Slot A", "Slot B", "Both side by side", "A mixture of A and B", "Every z_a with every z_m"],
        )  # fmt: skip
        self.frames = _dropdown("Length", "Frames of the video; more temporal positions of z_m make it longer")
        self.size = _dropdown("Grid", "Appearances down and motions across in the grid")
        self.size.options = [(f"{n} × {n}", n) for n in GRIDS]
        self.playing = True
        self.play = _button("Pause", "Stop the pictures, or let them go on", self._play_pressed, "pause")
        self.frame = widgets.IntSlider(1, 1, 16, description="Frame", tooltip="The frame that is seen", layout=_wide())
        self.switch = _button("Switch motion", "Figure 16: A and B exchange z_m and c", self._switch, "exchange")
        self.switch.button_style = "primary"
        self.between = widgets.ToggleButtons(
            options=[*BETWEEN], description="Mix", style={"button_width": "auto"},
            tooltips=["Only z_a goes from A to B", "Only z_m and c go from A to B", "z_a, z_m and c go from A to B"],
        )  # fmt: skip
        self.amount = widgets.FloatSlider(
            0.5, min=0, max=1, step=0.05, description="A to B", readout_format=".2f", layout=_wide(),
            tooltip="0 is A, 1 is B; shows the mixture",
        )  # fmt: skip
        self.shown.observe(self._guarded(lambda: self._look(show=self.shown.value)), "value")
        self.frames.observe(self._guarded(lambda: self._look(frames=self.frames.value)), "value")
        self.size.observe(self._guarded(lambda: self._look(grid=self.size.value, show="grid")), "value")
        self.between.observe(self._guarded(lambda: self._look(between=self.between.value, show="between")), "value")
        self.amount.observe(self._moved(self.amount, self._mix), "value")
        self.play.on_click(self._pressed)
        self.frame.observe(self._guarded(lambda: self._latest.submit(self.view)), "value")
        self.switch.on_click(self._pressed)
        for menu in (self.frames, self.size):
            menu.layout = widgets.Layout(width="9.2rem")
        self._view_controls = [
            _row(self.play, self.frames, self.size), self.frame, self.shown,
            _heading("A and B"), self.switch, self.between, self.amount,
        ]  # fmt: skip

    def _build_files(self) -> None:
        self.name = widgets.Text("explored", description="File name", tooltip="Name of exported files, without ending")
        self.exports = {
            kind: _button(words, f"Write {self.save_to}/NAME.{kind}", partial(self._export, kind), "download")
            for kind, words in KINDS.items()
        }
        for button in self.exports.values():
            button.on_click(self._pressed)
        self.upload = widgets.FileUpload(
            accept=".json", description="Load codes", tooltip="Codes that were exported as JSON; they replace A and B",
        )  # fmt: skip
        self.upload.observe(self._guarded(self._uploaded), "value")
        self.cell = widgets.HTML()
        self._file_controls = [
            _heading("Export"),
            _row(self.name, *self.exports.values(), self.upload),
            _heading("This view as a cell: copy it into a notebook to come back here"),
            self.cell,
        ]

    # --- From controls to the view ---

    def _guarded(self, act: Callable[[], None]) -> Callable[[Any], None]:
        """An observer that is deaf while controls are filled, and turns mistakes into a line of text."""

        def observer(_: Any) -> None:
            if not self._filling:
                self._try(act)

        return observer

    def _moved(self, slider: Any, act: Callable[[float], None]) -> Callable[[Any], None]:
        """An observer that is also deaf to the browser's echo: -0.3 comes back as -0.2999999999999998."""

        def moved() -> None:
            if abs(slider.value - slider.told) > slider.step / 2:
                slider.told = slider.value
                act(slider.value)

        return self._guarded(moved)

    def _pressed(self, button: Any) -> None:
        self._try(button.act)

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # an exception in a callback would end in the log, where nobody looks
            self._fail(sentence(error))
            self._fill()

    def _look(self, **changes: Any) -> None:
        self.change(replace(self.view, **changes))

    @property
    def _slot(self) -> Slot:
        return self.view.a if self.slot == "a" else self.view.b

    def _change_slot(self, slot: Slot | None = None, **changes: Any) -> None:
        slot = replace(slot or self._slot, **changes)
        unseen = {"A": "b", "B": "a"}.get(self.view.show)
        # A change must be seen: the single view goes to the slot that is changed.
        show = self.slot.upper() if unseen == self.slot else self.view.show
        slots: dict[str, Any] = {self.slot: slot}
        self.change(replace(self.view, show=show, **slots))

    def _slot_chosen(self) -> None:
        self.slot = self.editing.value
        self._fill()

    def _seeded(self, part: str, box: Any) -> None:
        self._reseed(part, box.value)

    def _reseed(self, part: str, seed: int) -> None:
        self._change_slot(None, **{part: seed, f"{part}_set": {}})

    def _new(self, part: str) -> None:
        seed = random.SystemRandom().randrange(10_000)
        if part == "c":
            others = [name for name in self.studio.generator.config.classes if name != self._slot.c]
            self._change_slot(c=others[seed % len(others)] if others else self._slot.c)
        else:
            self._reseed(part, seed)

    def _draw_all(self) -> None:
        seed = self.seed.value
        self._change_slot(Slot(seed, seed, draw_category(self.studio.generator.config, seed)))

    def _dimension(self, part: str, place: int) -> int:
        return self.ranking[part].order[place]

    def _move(self, part: str, dimension: int, value: float) -> None:
        self._change_slot(self._slot.with_dimension(part, dimension, round(value, 2)))

    def _move_other(self, value: float) -> None:
        part, dimension = self.other.value
        self._move(part, dimension, value)

    def _mix(self, value: float) -> None:
        self._look(amount=round(value, 2), show="between")

    def _undo(self) -> None:
        self._change_slot(z_a_set={}, z_m_set={})

    def _switch(self) -> None:
        view = self.view.switched()
        self.change(view if view.show == "grid" else replace(view, show="A and B"))
        self._say("Switched: A now moves as B did, and B as A did.")

    def _play_pressed(self) -> None:
        self.playing, self._still_wanted = not self.playing, False
        self._fill()
        self._latest.submit(self.view)

    def _dataset_chosen(self) -> None:
        chosen = [name for name, card in shipped().items() if card.get("dataset") == self.dataset.value]
        if chosen:
            self.use(chosen[0])
        else:  # a file of the user's: it is loaded when its path is given
            self.own.layout.display = ""
            self._say("Give the path of your weights and press Enter.")

    def _path_given(self) -> None:
        if self.own.value.strip():
            self.use(self.own.value.strip())

    def _export(self, kind: str) -> None:
        self._say(f"Writing {KINDS[kind]} …")
        path = self.export(kind)
        self._say(f"Wrote {path.as_posix()} ({path.stat().st_size / 1000:,.0f} kB).")

    def _uploaded(self) -> None:
        if self.upload.value:
            file = self.upload.value[0]
            try:
                self.load(bytes(file["content"]))
                self._say(f"Loaded {file['name']}.")
            finally:
                self.upload.value = ()  # so that the same file can be loaded again

    # --- From the view to controls ---

    @contextmanager
    def _deaf(self) -> Iterator[None]:
        before, self._filling = self._filling, True
        try:
            yield
        finally:
            self._filling = before

    def _new_network(self) -> None:
        """Set what depends on the network: menus, ranges and which dimensions have sliders."""
        generator, cards = self.studio.generator, shipped()
        own = self.weights not in cards
        data = OWN if own else str(cards[self.weights].get("dataset", self.weights))
        with self._deaf():
            known = dict.fromkeys(str(card.get("dataset", name)) for name, card in cards.items())
            self.dataset.options = [(display_name(name), name) for name in known] + [(OWN, OWN)]
            self.dataset.value = data
            same = [name for name, card in cards.items() if card.get("dataset", name) == data]
            self.network.options = [self.weights] if own else same
            self.network.value = self.weights
            self.own.layout.display = "" if own else "none"
            self.own.value = self.weights if own else ""
            self.category.options = [(spelled(name), name) for name in generator.config.classes]
            self._category_row.layout.display = "" if generator.config.conditional else "none"
            self.frames.options = [(f"{n} frames", n) for n in lengths(generator)]
        self._new_ranking()
        if not any(any(effects.change) for effects in self.ranking.values()):
            threading.Thread(target=self._measure, args=(self.studio,), name="g3an-ranking", daemon=True).start()

    def _new_ranking(self) -> None:
        with self._deaf():
            for part, sliders in self.sliders.items():
                for place, slider in enumerate(sliders):
                    dimension = self._dimension(part, place)
                    slider.description = f"{SYMBOLS[part]}[{dimension}]"
                    slider.tooltip = self._about(part, dimension)
            self.other.options = [
                (f"{SYMBOLS[part]}[{dimension}], rank {rank} of {len(self.ranking[part].change)}", (part, dimension))
                for part in PARTS
                for rank, dimension in enumerate(self.ranking[part].order, 1)
                if rank > STRONGEST
            ]
            self.other.index = 0
            measured = any(self.ranking["appearance"].change)
            order = "The dimensions that change the video most" if measured else "Dimensions, not ranked yet"
            self._explain.value = f"<h3>{order}</h3>"
        self._fill()

    def _about(self, part: str, dimension: int) -> str:
        effects = self.ranking[part]
        which = f"Dimension {dimension} of {SYMBOLS[part]}, counted from 0"
        if not any(effects.change):
            return which
        return (
            f"{which}; rank {effects.rank(dimension)} of {len(effects.change)}: from -{effects.extent:g} to "
            f"{effects.extent:g} it changes a pixel by {effects.change[dimension]:.0f} of 255 levels on average"
        )

    def _measure(self, studio: Studio) -> None:
        """Rank the dimensions of a network that nobody ranked; runs on a thread of its own."""
        self._say("Measuring which dimensions matter in this network; that takes a minute, once. Go on meanwhile.")
        try:
            found = ranking.measure(studio.generator)
        except Exception as error:
            self._fail(sentence(error))
            return
        if studio is self.studio:
            self.ranking = found
            self._new_ranking()
            self._say("The sliders now have the dimensions that matter most.")

    def _fill(self) -> None:
        """Set every control to the view."""
        view, slot = self.view, self._slot
        codes = slot.codes(self.studio.generator.config, positions_of(self.studio.generator, view.frames))
        values = {"appearance": codes.z_a[0], "motion": codes.z_m.reshape(1, codes.z_m.shape[1], -1)[0, :, 0]}

        def put(slider: Any, part: str, dimension: int) -> None:
            _set(slider, round(max(-REACH, min(REACH, float(values[part][dimension]))), 1))

        with self._deaf():
            self.editing.value = self.slot
            for box, seed in ((self.subject, slot.z_a), (self.motion, slot.z_m)):
                if isinstance(seed, int):
                    box.value = seed
            if slot.c is not None:
                self.category.value = slot.c
            for part, sliders in self.sliders.items():
                for place, slider in enumerate(sliders):
                    put(slider, part, self._dimension(part, place))
            if self.other.value is not None:
                put(self.other_slider, *self.other.value)
                self.other_slider.tooltip = self._about(*self.other.value)
            self.reset.disabled = not (slot.z_a_set or slot.z_m_set)
            self.shown.value, self.frames.value, self.size.value = view.show, view.frames, view.grid
            self.between.value = view.between
            _set(self.amount, view.amount)
            self.frame.max = view.frames
            self.frame.layout.display = "none" if self.playing else ""
            self.play.description, self.play.icon = ("Pause", "pause") if self.playing else ("Play", "play")
            self._slot_box.remove_class(f"g3an-edits-{'b' if self.slot == 'a' else 'a'}")
            self._slot_box.add_class(f"g3an-edits-{self.slot}")
            self.cell.value = f'<pre tabindex="0" aria-label="Code of this view">{html.escape(self.code)}</pre>'

    # --- The picture ---

    def _paint(self, view: View, now: float | None = None) -> None:
        """Draw a view; runs on the drawing thread, too."""
        studio = self.studio
        frames = studio.frames(view)
        if self.playing:
            # A new picture begins where the old one is in its loop, not at its start: a drag shows motion, too.
            elapsed = (time.monotonic() if now is None else now) - self._began
            moving = moving_bytes(np.roll(frames, -int(elapsed * 1000 / FRAME_MS), axis=0))
            still = still_bytes(frames[0]) if self._still_wanted else b""
        else:
            moving, still = still_bytes(frames[min(self.frame.value, len(frames)) - 1]), b""
        self.picture.value = stage.picture(studio, view, moving, still)

    def _say(self, words: str) -> None:
        self.status.value = f"<span>{html.escape(words)}</span>"

    def _fail(self, words: str) -> None:
        self.status.value = f'<span class="g3an-failed">Error: {html.escape(words)}</span>'


# --- Widgets in the explorer's manner ---------------------------------------------------------------------------------


def _wide(rem: int = 34) -> Any:
    """As wide as there is room, up to ``rem`` letters' heights."""
    return widgets.Layout(width="calc(100% - 4px)", max_width=f"{rem}rem")  # ipywidgets puts 2 px on each side


def _heading(words: str) -> Any:
    return widgets.HTML(f"<h3>{html.escape(words)}</h3>")


def _row(*children: Any) -> Any:
    return widgets.Box(children, layout=widgets.Layout(flex_flow="row wrap", align_items="center"))


def _dropdown(name: str, tooltip: str) -> Any:
    return widgets.Dropdown(description=name, tooltip=tooltip, layout=_wide())


def _seed(name: str, tooltip: str) -> Any:
    layout = widgets.Layout(width="16rem")
    return widgets.BoundedIntText(1, 0, 2**32 - 1, description=name, tooltip=tooltip, layout=layout)


def _slider(name: str, tooltip: str) -> Any:
    return widgets.FloatSlider(
        0, min=-REACH, max=REACH, step=STEP, description=name, tooltip=tooltip, readout_format=".1f", layout=_wide(26)
    )


def _set(slider: Any, value: float) -> None:
    """Move a slider, and remember where to; one that is there already is left to the hand that drags it."""
    slider.told = value
    if abs(slider.value - value) > slider.step / 2:
        slider.value = value


def _button(name: str, tooltip: str, act: Callable[[], None], icon: str = "") -> Any:
    button = widgets.Button(description=name, tooltip=tooltip, icon=icon, layout=widgets.Layout(width="auto"))
    button.act = act
    return button
