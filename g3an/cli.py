"""The command ``g3an``: a thin layer over the library. A mistake in the input ends in one sentence and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from typer.core import TyperCommand

from g3an.errors import G3ANError

app = typer.Typer(
    help="Companion to the appendix of G3AN: figures, notebooks, training and weights.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
screen = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


DEVICES = ("auto", "cpu", "cuda", "mps")
"""What ``--device`` takes; ``auto`` is what accelerate finds."""


class Benchmark(StrEnum):
    """What can be measured."""

    fsa = "fsa"
    train_step = "train-step"
    faces = "faces"
    features = "features"
    figures = "figures"
    explorer = "explorer"


@app.command()
def figures(
    ids: Annotated[list[str] | None, typer.Argument(help="Figures, such as 6 7 or table1; none means all.")] = None,
    dataset: Annotated[str, typer.Option(help="Only those of a data set: mug, weizmann or uva-nemo.")] = "",
    weights: Annotated[str, typer.Option(help="A network of yours to draw them from.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Redraw what has not changed, too.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Where to draw instead of figures/, or figures-NAME/ for --weights of a run called NAME."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Notebooks that run at the same time.")] = 2,
) -> None:
    """Draw the appendix's figures from the shipped networks or your own, and build the report."""
    from g3an import runs

    out = runs.figures_folder(weights, out)
    with _bar() as (advance, say):
        page = runs.figures(
            ids or (), dataset=dataset, weights=weights, force=force, out=out, jobs=jobs, say=say, progress=advance
        )
    _print(f"Figures: {_short(out)}")
    _print(f"Report:  {_short(page)}")


class _WithPairs(TyperCommand):
    """A command whose ``-p NAME VALUE`` repeats; typer itself has no repeatable option of two values."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        words, folded = iter(args), []
        for word in words:
            folded.append(word)
            if word in ("-p", "--parameter"):
                name = next(words, None)
                value = next(words, None)
                if name is None or value is None:
                    raise G3ANError(f"{word} takes two words, a parameter's name and its value: {word} seed 3.")
                folded.append(f"{name}={value}")
        return super().parse_args(ctx, folded)


def _split(pairs: list[str] | None) -> list[tuple[str, str]]:
    """What :class:`_WithPairs` folded."""
    return [(name, value) for name, _, value in (pair.partition("=") for pair in pairs or [])]


@app.command(cls=_WithPairs)
def run(
    notebook: Annotated[str, typer.Argument(help="A notebook's path, or the beginning of its name, such as 07.")],
    pairs: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="NAME VALUE", help="A parameter of the notebook; repeatable."),
    ] = None,
    file: Annotated[Path | None, typer.Option("-f", "--file", help="A YAML file of parameters; -p wins.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder instead of one below reports/runs/.")] = None,
) -> None:
    """Run a notebook with other parameters, and keep the executed copy, its HTML and a record."""
    from g3an import runs
    from g3an.parameters import read_parameters

    path = runs.find_notebook(notebook)
    parameters = read_parameters(path, _split(pairs), file)
    try:
        with _bar() as (advance, _):
            folder = runs.run_notebook(
                path, parameters, out, progress=lambda done, total: advance(path.stem, done, total)
            )
    except KeyboardInterrupt:
        errors.print("Interrupted; what ran so far is in the run's folder, marked as interrupted.")
        raise typer.Exit(130) from None
    _print(f"Finished: {_short(folder / path.with_suffix('.html').name)}")


@app.command(cls=_WithPairs)
def sweep(
    file: Annotated[str, typer.Argument(help="A sweep file, such as params/sweeps/ablation.yaml, or its name.")],
    pairs: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="NAME VALUE", help="A parameter of all runs; it wins; repeatable."),
    ] = None,
    scheduler: Annotated[
        str, typer.Option(help="A dask scheduler, such as tcp://host:8786, instead of processes on this machine.")
    ] = "",
    workers: Annotated[int | None, typer.Option(help="Runs at a time on this machine; by default one a core.")] = None,
    out: Annotated[Path | None, typer.Option(help="The sweep's folder instead of reports/runs/sweeps/NAME.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Run what is finished, too.")] = False,
) -> None:
    """Run a notebook at many settings in parallel, resumably. Exit code 3: some runs failed, the rest can be used."""
    from g3an import sweep_results
    from g3an.sweeps import read_sweep, run_sweep

    planned = read_sweep(file, _split(pairs))
    try:
        with _bar("runs") as (advance, say):
            path = run_sweep(planned, out, scheduler=scheduler, workers=workers, force=force, say=say, progress=advance)
    except KeyboardInterrupt:
        errors.print("Interrupted; the same command goes on with the runs that are not finished.")
        raise typer.Exit(130) from None
    rows = sweep_results.read(path)["runs"]
    _print("")
    for line in [*sweep_results.table(rows).splitlines(), *sweep_results.remarks(rows)]:
        _print(line)
    _print(f"Results: {_short(path.parent)}")
    raise typer.Exit(0 if all(row["status"] == "finished" for row in rows) else 3)


def _train_settings(words: list[str]) -> dict[str, Any]:
    """Fields of TrainConfig from ``NAME=VALUE`` words."""
    from dataclasses import fields

    from g3an.config import TrainConfig
    from g3an.parameters import did_you_mean, from_word

    known = {field.name: str(field.type) for field in fields(TrainConfig) if field.name != "profile"}
    settings: dict[str, Any] = {}
    for name, _, value in (word.partition("=") for word in words):
        if name not in known:
            raise G3ANError(f"Training has no setting '{name}'.{did_you_mean(name, known)}")
        if name in settings:
            raise G3ANError(f"The setting '{name}' is given twice.")
        try:
            settings[name] = from_word(value, known[name])
        except ValueError:
            raise G3ANError(f"The setting '{name}' is of type {known[name]}; {value!r} is not.") from None
    return settings


@app.command(cls=_WithPairs)
def train(
    folder: Annotated[Path, typer.Option("--run", help="The run's folder: checkpoints, logs, samples, weights.")],
    dataset: Annotated[
        str, typer.Option(help="shapes, mug-sim, uva-nemo-sim, weizmann, mug, uva-nemo, ucf101, folder or prepared.")
    ] = "shapes",
    root: Annotated[Path | None, typer.Option(help="Where the data set lies.")] = None,
    preset: Annotated[str, typer.Option(help="The network: appendix, official or small.")] = "small",
    attention_after: Annotated[
        int | None, typer.Option(help="F-SA after this module, 0 to 4, instead of the preset's; 2 is cheap.")
    ] = None,
    profile: Annotated[str, typer.Option(help="The training: smoke, ablation, small, faces or paper.")] = "small",
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run in --run stopped.")] = False,
    begin: Annotated[
        str | None, typer.Option("--from", help="A shipped network, or the path of one, whose weights to begin with.")
    ] = None,
    begin_category: Annotated[
        str | None, typer.Option("--from-category", help="The category at which its c is held, for data of one class.")
    ] = None,
    pairs: Annotated[
        list[str] | None,
        typer.Option(
            "-p",
            "--parameter",
            metavar="NAME VALUE",
            help="A setting of the profile, such as: -p learning_rate_d 1e-4; repeatable.",
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Instead of the profile's.")] = None,
    batch: Annotated[int | None, typer.Option(help="Instead of the profile's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the profile's.")] = None,
    loss: Annotated[str | None, typer.Option(help="bce or hinge.")] = None,
    precision: Annotated[str | None, typer.Option(help="no, bf16 or fp16.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that read clips.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Train a generator, resumably."""
    from g3an.config import ModelConfig, TrainConfig
    from g3an.training import Stopped
    from g3an.training import train as train_network

    device = _known_device(device)
    given = {"steps": steps, "batch": batch, "seed": seed, "loss": loss, "precision": precision, "workers": workers}
    given = {name: value for name, value in given.items() if value is not None}
    settings = _train_settings([*(pairs or []), *(f"{name}={value}" for name, value in given.items())])
    config = TrainConfig.from_profile(profile, **settings)
    model = ModelConfig.from_preset(preset)
    if attention_after is not None:
        model = ModelConfig.from_preset(preset, attention_after=(attention_after,))
    try:
        card = train_network(
            folder, dataset, root, model, config, resume=resume, device=device, begin=begin,
            begin_category=begin_category,
        )  # fmt: skip
    except KeyboardInterrupt:  # a second one, or before the first step
        errors.print("Interrupted; a run that has saved its state goes on with --resume.")
        raise typer.Exit(130) from None
    except Stopped as stopped:
        errors.print(str(stopped), markup=False, soft_wrap=True)
        raise typer.Exit(130) from None
    _print(f"Weights: {_short(Path(card))}")


def _known_device(device: str) -> str:
    """``cpu``, or ``auto`` for a device that accelerate finds by itself; it would take another without a word.

    Raises
    ------
    G3ANError
        An unknown device, or one that PyTorch does not find.
    """
    if device not in DEVICES:
        raise G3ANError(f"--device is {device!r}; it must be {', '.join(DEVICES[:-1])} or {DEVICES[-1]}.")
    if device in ("cuda", "mps"):
        import torch

        there = torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()
        if not there:
            raise G3ANError(f"--device is {device}, which PyTorch does not find here; leave it out, or give cpu.")
    return "cpu" if device == "cpu" else "auto"


def _check_writable(*paths: Path | None) -> None:
    """Refuse, before hours are spent, files that could not be written after them.

    Raises
    ------
    G3ANError
        A path is a folder, or its folder cannot be created or written.
    """
    from g3an.files import make_folder

    for path in filter(None, paths):
        if path.is_dir():
            raise G3ANError(f"{path} is a folder; give the path of a file.")
        make_folder(path.parent)


@app.command()
def evaluate(
    dataset: Annotated[str, typer.Option(help="Real clips: mug-sim, uva-nemo-sim, weizmann, prepared, ...")],
    weights: Annotated[str, typer.Option(help="A shipped network, or the path of one of yours.")],
    extractor: Annotated[
        str,
        typer.Option(
            help="The network that looks at clips: factors, transnetv2, resnext101-kinetics or i3d; by default what "
            "knows such clips, factors for simulated faces and transnetv2 for others."
        ),
    ] = "",
    extractor_weights: Annotated[Path | None, typer.Option(help="Weight file of resnext101-kinetics or i3d.")] = None,
    extractor_sha256: Annotated[str | None, typer.Option(help="What that file must hash to.")] = None,
    root: Annotated[Path | None, typer.Option(help="Where the data set lies.")] = None,
    clips: Annotated[int, typer.Option(min=2, help="Generated clips, and real ones.")] = 2048,
    step: Annotated[
        int | None, typer.Option(min=1, help="From frame to frame of real clips; by default as in training.")
    ] = None,
    mirror: Annotated[
        bool | None,
        typer.Option("--mirror/--no-mirror", help="Mirror real clips at random; by default as in training."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the real windows and of the codes.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Also write the numbers here, as JSON.")] = None,
) -> None:
    """Measure a network's FID, KID and IS against real clips, under a protocol that is printed with them."""
    from g3an.checkpoints import load_generator
    from g3an.evaluation.evaluate import evaluate as measure
    from g3an.evaluation.extractors import extractors_of, open_extractor
    from g3an.evaluation.protocol import table
    from g3an.files import write_json

    _check_writable(out)
    network = open_extractor(extractor or extractors_of(dataset)[0], extractor_weights, extractor_sha256)
    found = measure(load_generator(weights), dataset, network, root, clips=clips, step=step, mirror=mirror, seed=seed)
    _print(table(found))
    if out:
        write_json(out, [number.to_dict() for number in found])


@app.command()
def disentangle(
    weights: Annotated[str, typer.Option(help="A shipped network, or the path of one of yours, of faces or Weizmann.")],
    root: Annotated[Path | None, typer.Option(help="Where the real clips lie, for Weizmann.")] = None,
    people: Annotated[int, typer.Option(min=2, help="Appearance codes that are crossed with all motion codes.")] = 24,
    motions: Annotated[int, typer.Option(min=2, help="Motion codes, each with every category.")] = 8,
    random: Annotated[int, typer.Option(min=50, help="Clips of independent codes, for DCI, MIG and SAP.")] = 1024,
    seed: Annotated[int, typer.Option(min=0, help="Of all codes.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Also write the numbers here, as JSON.")] = None,
) -> None:
    """Measure what z_a, z_m and c of a network change: Figures 3 to 16 as numbers."""
    from g3an.checkpoints import load_generator
    from g3an.evaluation.codes import measure_codes
    from g3an.evaluation.page import codes
    from g3an.evaluation.stored import ranked_dimensions, reader_of
    from g3an.files import write_json

    _check_writable(out)
    generator = load_generator(weights)
    reader = reader_of(generator, root)
    found = measure_codes(
        generator, people=people, motions=motions, random=random, ranked=ranked_dimensions(generator), seed=seed,
        reader=reader,
    ).to_dict()
    for line in codes(found):
        _print(line)
    if out:
        write_json(out, found)


@app.command()
def memory(
    weights: Annotated[str, typer.Option(help="A shipped network, or the path of one of yours.")],
    dataset: Annotated[str, typer.Option(help="What it was trained on: mug-sim, weizmann, prepared, ...")],
    root: Annotated[Path | None, typer.Option(help="Where the data set lies.")] = None,
    extractor: Annotated[str, typer.Option(help="factors or transnetv2; by default what knows such clips.")] = "",
    samples: Annotated[int, typer.Option(min=2, help="Generated clips.")] = 512,
    seed: Annotated[int, typer.Option(min=0, help="Of their codes.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Also write the numbers here, as JSON.")] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Also draw four samples above their nearest training clips, as PNG.")
    ] = None,
) -> None:
    """Measure whether a network repeats its training clips, and whether its people stay themselves."""
    from g3an.checkpoints import load_generator
    from g3an.evaluation import page
    from g3an.evaluation.extractors import open_extractor
    from g3an.evaluation.stored import extractors_of, fresh_clips, measure_consistency, measure_memory, training_clips
    from g3an.files import atomic_write, write_json
    from g3an.neighbours import nearest_clips

    _check_writable(out, picture)
    generator = load_generator(weights)
    known = training_clips(generator, dataset, root)
    network = open_extractor(extractor or extractors_of(dataset)[0])
    found = measure_memory(generator, known, fresh_clips(generator, dataset, root), network, samples=samples, seed=seed)
    stays = measure_consistency(generator, known, seed=seed)
    for line in [*page.memory(found), "", *page.consistency(stays)]:
        _print(line)
    if out:
        write_json(out, {"memory": found, "consistency": stays})
    if picture:
        shown = nearest_clips(generator, known, list(known.steps), network, seed)
        with atomic_write(picture) as temporary:
            temporary.write_bytes(shown.picture)


@app.command()
def results(
    networks: Annotated[list[str] | None, typer.Argument(help="Shipped networks; none means all.")] = None,
    weizmann: Annotated[Path | None, typer.Option(help="Where its clips lie; without, its numbers are kept.")] = None,
    ablation: Annotated[Path | None, typer.Option(help="results.json of the ablation sweep, to be taken in.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Measure again what is stored, too.")] = False,
    out: Annotated[Path | None, typer.Option(help="The file to write instead of reports/results.json.")] = None,
) -> None:
    """Measure the shipped networks, resumably, and write reports/results.json, and a page of that name beside it."""
    from g3an import runs
    from g3an.evaluation.page import write_page
    from g3an.evaluation.stored import PACKAGED, measure_shipped
    from g3an.files import write_json

    roots = {"weizmann": weizmann} if weizmann else {}
    path = out or runs.project_root() / "reports" / "results.json"
    if path.suffix != ".json":
        raise G3ANError(f"The numbers go to a .json file and the page to the .md beside it; {path} ends otherwise.")
    _check_writable(path, path.with_suffix(".md"))
    found = measure_shipped(path, roots, only=networks or (), ablation=ablation, force=force, say=_print)
    if out is None:
        write_json(PACKAGED, found)  # for notebook 05 where there is no checkout
    out, page = path, path.with_suffix(".md")
    write_page(found, page)
    _print(f"Results: {_short(out)} and {_short(page)}")


@app.command()
def prepare(
    source: Annotated[Path, typer.Argument(help="Videos, frame folders or strips, in folders by class.")],
    dest: Annotated[Path, typer.Argument(help="Where the checked clips and their index go.")],
    length: Annotated[int, typer.Option(help="Frames that a clip needs.")] = 16,
    layout: Annotated[str, typer.Option(help="folder, or as published: mug, uva-nemo, ucf101.")] = "folder",
    crop: Annotated[
        str, typer.Option(help="What is kept of the frames: centre, the largest square, or face.")
    ] = "centre",
    workers: Annotated[int | None, typer.Option(help="Processes; by default one a core.")] = None,
) -> None:
    """Check videos once and store them for fast reading. Exit code 3: some were refused, the rest can be used."""
    from g3an.data.prepare import prepare as prepare_videos

    report = prepare_videos(source, dest, length=length, workers=workers, progress=True, layout=layout, crop=crop)
    for refused in report.refused:
        _print(f"refused: {refused}")
    for changed in report.changed:
        _print(f"changed since the last run: {changed}")
    counts = f"{report.accepted} prepared ({report.unchanged} unchanged), {len(report.refused)} refused"
    _print(f"{counts}; the index is in {dest}.")
    raise typer.Exit(report.exit_code)


@app.command()
def render(
    dataset: Annotated[str, typer.Argument(help="mug-sim or uva-nemo-sim.")],
    cache: Annotated[
        Path | None, typer.Option(help="Where to; by default G3AN_CACHE, or the user's cache folder.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; by default one a core.")] = None,
) -> None:
    """Draw a simulated data set, about 750 MB, before it is first used; what is drawn already is kept."""
    from g3an.data.faces.sets import default_cache
    from g3an.data.faces.sets import render as draw_all
    from g3an.files import make_folder

    make_folder(cache or default_cache())  # before minutes of drawing
    folder = draw_all(dataset, cache, workers=workers)
    _print(f"{dataset} is in {_short(folder)}.")


@app.command("import-official")
def import_official(
    source: Annotated[Path, typer.Argument(help="The authors' .pth file.")],
    dest: Annotated[Path, typer.Argument(help="The .safetensors file to write; a card goes beside it.")],
) -> None:
    """Turn the authors' released weights into this project's format."""
    from g3an.checkpoints import import_official as convert

    for path in convert(source, dest):
        _print(_short(Path(path)))


@app.command()
def bench(
    name: Annotated[Benchmark, typer.Argument(help="What to measure.")],
    json: Annotated[Path | None, typer.Option("--json", help="Also write the numbers here.")] = None,
) -> None:
    """Measure attention (fsa), a training step (train-step), simulated faces, features, figures or the explorer."""
    from g3an import bench as benches
    from g3an.files import write_json

    _check_writable(json)
    measure: Callable[[], dict[str, Any]] = getattr(benches, name.value.replace("-", "_"))
    measured = measure()
    _print(benches.table(measured))
    if json:
        write_json(json, measured)


@contextmanager
def _bar(unit: str = "cells") -> Iterator[tuple[Callable[[str, int, int], None], Callable[[str], None]]]:
    """A progress bar over cells or runs, and a way to print lines above it; only lines where nobody watches."""
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit)]
    watched = screen.is_terminal
    with Progress(*columns, TimeElapsedColumn(), console=screen, transient=True, disable=not watched) as progress:
        tasks: dict[str, Any] = {}

        def advance(name: str, done: int, total: int) -> None:
            if name not in tasks:
                for task in progress.tasks:
                    progress.update(task.id, visible=not task.finished)
                tasks[name] = progress.add_task(name, total=total)
            progress.update(tasks[name], completed=done)

        yield advance, _print


def _print(line: str) -> None:
    """One line, never wrapped or coloured, so that paths can be copied."""
    screen.print(line, markup=False, soft_wrap=True)


def _short(path: Path) -> str:
    """From the current folder where the path lies below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def main() -> None:
    """Entry point of the command."""
    try:
        app(prog_name="g3an")
    except G3ANError as error:
        errors.print(f"Error: {' '.join(str(error).split())}", markup=False, soft_wrap=True)
        sys.exit(2)
