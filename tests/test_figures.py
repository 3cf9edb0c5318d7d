"""The committed figures are what this code draws from the shipped weights.

``figures/`` is part of the project, so nothing here skips: a missing manifest, picture or weights file is a failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from g3an import plotting
from g3an.catalogue import CASTS, CATALOGUE, draw
from g3an.checkpoints import load_generator
from g3an.files import read_json, sha256
from g3an.generator import Generator
from g3an.latents import combine, generate, traverse
from g3an.plotting import png_bytes, save

FIGURES = Path(__file__).parents[1] / "figures"
DRAWN = (".png", ".pdf", ".gif")
ALLOWED = 2  # levels of 255 by which a pixel may differ between machines and thread counts

shipped_generator = cache(load_generator)


def manifest() -> dict[str, dict[str, Any]]:
    return read_json(FIGURES / "manifest.json")


def network(entry: dict[str, Any]) -> Generator | None:
    return shipped_generator(entry["weights"]) if entry["weights"] else None


def arguments(entry: dict[str, Any]) -> dict[str, Any]:
    """What the manifest's figure was drawn with, for :func:`draw`."""
    return {name: value for name, value in entry["parameters"].items() if name != "weights"}


def frames(path: Path) -> np.ndarray:
    """(frames, H, W, 3) of a PNG or GIF."""
    with Image.open(path) as image:
        return np.stack([np.asarray(frame.convert("RGB"), dtype=np.int16) for frame in ImageSequence.Iterator(image)])


@pytest.fixture(params=[2, 1], ids=["2 threads", "1 thread"])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def rows_of(name: str, dimension: int) -> torch.Tensor:
    """Videos of a figure of one motion dimension of Weizmann, in the order of its values."""
    generator, cast, figure = shipped_generator("weizmann"), CASTS["weizmann"], CATALOGUE[name]
    code = combine(generator.config, cast.subjects[0], cast.motions[0], figure.parameters["category"])
    return generate(generator, traverse(code, "motion", dimension, figure.parameters["values"]))


def test_who_moves_faster_from_row_to_row_does():
    videos = rows_of("extra_weizmann_tempo", 2)
    energies = (videos[:, :, 1:] - videos[:, :, :-1]).abs().mean((1, 2, 3, 4))
    assert (energies.diff() > 0).all() and energies[-1] > 1.5 * energies[0], energies


def test_the_other_side_is_the_mirror_image():
    videos = rows_of("extra_weizmann_side", 3)
    for one, other in ((0, -1), (1, -2)):
        apart = (videos[one] - videos[other]).abs().mean()
        assert (videos[one] - videos[other].flip(3)).abs().mean() < 0.7 * apart
    assert (videos[0] - videos[1]).abs().mean() < 0.3 * apart, "how far from 0 says little"


def test_the_manifest_lists_the_whole_catalogue_and_every_picture():
    assert manifest().keys() == CATALOGUE.keys()
    listed = [name for entry in manifest().values() for name in entry["files"]]
    there = [path.name for path in FIGURES.iterdir() if path.suffix in DRAWN]
    assert sorted(listed) == sorted(there), "a picture is missing, left over, or belongs to two figures"


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_manifest_tells_the_truth(name):
    figure, entry = CATALOGUE[name].told(), manifest()[name]
    suffixes = DRAWN if figure.animated else DRAWN[:2]
    assert sorted(entry["files"]) == sorted(f"{figure.name}{suffix}" for suffix in suffixes)
    assert {file: sha256(FIGURES / file) for file in entry["files"]} == entry["files"]
    assert all(entry[part] == getattr(figure, part) for part in ("number", "title", "caption", "alt", "seeds"))
    assert entry.get("playing", "") == figure.playing
    assert entry["notebook"] == f"notebooks/{figure.notebook}.ipynb"
    assert (FIGURES.parent / entry["notebook"]).is_file()


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_figure_was_drawn_from_the_shipped_weights_as_the_catalogue_says(name):
    figure, entry = CATALOGUE[name].told(), manifest()[name]
    generator = network(entry)
    assert (entry["weights"] or "") == figure.weights == entry["parameters"].get("weights", "")
    assert entry["weights_sha256"] == (generator.weights_hash if generator is not None else None)
    if generator is not None:
        assert not generator.card["smoke"], "a smoke run's picture was committed"

    def plain(value: Any) -> Any:
        return list(value) if isinstance(value, tuple) else value

    wanted = {key: plain(value) for key, value in figure.defaults.items()}
    assert wanted | arguments(entry) == wanted, "the committed figure is not the catalogue's"


@pytest.mark.parametrize("name", CATALOGUE)
def test_redrawing_gives_the_committed_picture(name, threads, tmp_path, monkeypatch):
    monkeypatch.setattr(plotting, "pdf_bytes", lambda *_: b"")  # most of the time, and not comparable by pixels
    entry = manifest()[name]
    assert torch.get_num_threads() == threads
    generator = network(entry)
    figure = CATALOGUE[name].told(generator, **arguments(entry))
    drawn = draw(name, generator, **arguments(entry))
    for path in save(drawn, figure, tmp_path, entry["parameters"], entry["weights_sha256"]):
        assert path.name in entry["files"]
        if path.suffix == ".pdf":
            continue
        new, committed = frames(path), frames(FIGURES / path.name)
        assert new.shape == committed.shape, path.name
        assert np.abs(new - committed).max() <= ALLOWED, path.name
    again = read_json(tmp_path / "manifest.json")[name]
    assert {**again, "files": None} == {**entry, "files": None} and again["files"].keys() == entry["files"].keys()


@pytest.mark.parametrize("name", [name for name, figure in CATALOGUE.items() if figure.animated])
def test_the_pdf_holds_the_frames_of_the_png(name):
    raw = pytest.importorskip("pypdfium2.raw", reason="pypdfium2 reads the PDFs")
    from pypdfium2 import PdfDocument

    stem = FIGURES / CATALOGUE[name].told().name
    [png] = frames(stem.with_suffix(".png"))
    with PdfDocument(stem.with_suffix(".pdf")) as document:
        [page] = document
        rows = list(page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE]))
        assert len(rows) > 3
        for row in rows:
            left, _, _, top = row.get_bounds()
            strip = np.asarray(row.get_bitmap().to_pil().convert("RGB"), np.int16)[::-1]  # stored upside down
            x, y = round(left * 200 / 72), round((page.get_height() - top) * 200 / 72)
            assert (png[y : y + strip.shape[0], x : x + strip.shape[1]] == strip).all()


def test_the_comparison_notices_other_weights_and_other_codes(tmp_path):
    """Neither another motion nor a network a little off passes for the committed picture."""
    committed = frames(FIGURES / f"{CATALOGUE['fig06'].told().name}.png")
    generator = load_generator("weizmann")
    other_codes = draw("fig06", generator, motions=[1, 3])
    with torch.no_grad():
        generator.to_rgb.weight.mul_(1.2)
    other_weights = draw("fig06", generator)
    for drawn in (other_codes, other_weights):
        (tmp_path / "other.png").write_bytes(png_bytes(drawn.still))
        rows = slice(32, 32 + 128)  # the first video: what is written below differs anyway
        assert np.abs(frames(tmp_path / "other.png")[:, rows] - committed[:, rows]).max() > ALLOWED
