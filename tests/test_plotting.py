"""Pages of frames, their animations, and the files they become."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure as Canvas
from PIL import Image, ImageSequence

from g3an import plotting
from g3an.catalogue import CATALOGUE
from g3an.errors import G3ANError
from g3an.latents import Effects
from g3an.plotting import (
    END_MS,
    FRAME_MS,
    Drawn,
    Panel,
    apng_bytes,
    draw_panels,
    enlarge,
    gif_bytes,
    jpeg_bytes,
    pdf_bytes,
    plot_effects,
    png_bytes,
    save,
    show,
)

CAPTION = "Figure 0: Videos of *noise on a page*, which say nothing. " + "They only have to stand in their places. " * 6


def noise(rows: int, seed: int = 0, frames: int = 4) -> np.ndarray:
    """Videos whose every pixel is another colour: (rows, frames, 16, 16, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (rows, frames, 16, 16, 3), np.uint8)


def panels() -> list[Panel]:
    return [
        Panel("a: *one* thing", noise(3), ("first", "$z_{m_1}$", "0"), columns=2, split=2),
        Panel("b: another", noise(2, seed=1), ("one", "two"), columns=2),
    ]


def page(**changes: object) -> Drawn:
    given = {"panels": panels(), "caption": CAPTION, "provenance": "Drawn by nobody.", "scale": 2, "across": 2}
    return draw_panels(**{**given, **changes})


def decoded(content: bytes) -> np.ndarray:
    """(frames, H, W, 3) of a picture."""
    with Image.open(io.BytesIO(content)) as image:
        return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)])


def durations(content: bytes) -> list[int]:
    """Of each frame of an animation, in milliseconds."""
    with Image.open(io.BytesIO(content)) as image:
        return [frame.info["duration"] for frame in ImageSequence.Iterator(image)]


def places(picture: np.ndarray, part: np.ndarray) -> list[tuple[int, int]]:
    """Upper left corners (row, column) at which ``part`` stands in ``picture``, exactly."""
    height, width, _ = part.shape
    corners = np.argwhere((picture[: 1 - height, : 1 - width] == part[0, 0]).all(-1))
    return [(y, x) for y, x in corners.tolist() if (picture[y : y + height, x : x + width] == part).all()]


def blank() -> Drawn:
    """The quickest still."""
    return Drawn(Canvas(figsize=(1, 1), dpi=20))


def texts(drawn: Drawn) -> list[str]:
    return [text.get_text() for text in drawn.still.texts]


# --- The page ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1, 3])
def test_frames_reach_the_png_pixel_by_pixel_in_reading_order(scale):
    [picture] = decoded(png_bytes(page(scale=scale).still))
    corners = [
        [places(picture, enlarge(frame, scale)) for frame in video] for panel in panels() for video in panel.videos
    ]
    assert all(len(found) == 1 for row in corners for found in row), "a frame is missing, altered or there twice"
    tops = [{found[0][0] for found in row} for row in corners]
    lefts = [[found[0][1] for found in row] for row in corners]
    assert all(len(top) == 1 for top in tops), "the frames of a video are not side by side"
    heights = [top.pop() for top in tops]
    assert heights == sorted(heights) and len(set(lefts[0])) == 4
    assert all(left == lefts[0] and left == sorted(left) for left in lefts)
    assert heights[2] - heights[1] > heights[1] - heights[0], "there is no gap at the split"


def test_frames_reach_the_animation_pixel_by_pixel():
    animation = page().animation
    assert animation.dtype == np.uint8 and len(animation) == 4
    corners = {}
    for number, moment in enumerate(animation):
        for row, video in enumerate(video for panel in panels() for video in panel.videos):
            [corner] = places(moment, enlarge(video[number], 2))
            assert corners.setdefault(row, corner) == corner, "a video moves about the page"
    # Two columns of tiles in a panel, the panels side by side.
    assert corners[0][0] == corners[1][0] == corners[3][0] == corners[4][0] < corners[2][0]
    assert corners[0][1] == corners[2][1] < corners[1][1] < corners[3][1] < corners[4][1]
    below = page(across=1).animation
    assert below.shape[1] > animation.shape[1]
    [lower] = places(below[0], enlarge(panels()[1].videos[0, 0], 2))
    [upper] = places(below[0], enlarge(panels()[0].videos[2, 0], 2))
    assert lower[0] > upper[0]


def test_all_words_stand_on_the_page_and_those_in_stars_are_italic():
    drawn = page()
    found = texts(drawn)
    words = " ".join([CAPTION, "Drawn by nobody.", "a: *one* thing", "b: another", "first $z_{m_1}$ 0 one two"])
    assert sorted(found) == sorted(words.replace("noise on a page*,", "noise on a page *,").replace("*", "").split())
    italic = [text.get_text() for text in drawn.still.texts if text.get_style() == "italic"]
    assert italic == ["one", "noise", "on", "a", "page"]
    renderer = drawn.still.canvas.get_renderer()
    width, height = drawn.still.get_size_inches() * drawn.still.dpi
    boxes = [text.get_window_extent(renderer) for text in drawn.still.texts]
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height for box in boxes)
    overlapping = [
        (found[i], found[k])
        for i, box in enumerate(boxes)
        for k in range(i)
        if box.shrunk(0.9, 0.9).overlaps(boxes[k].shrunk(0.9, 0.9))
    ]
    assert overlapping == []


def test_italics_go_on_in_the_next_line():
    caption = "*" + " ".join(["slanted"] * 40) + "* upright"
    drawn = page(caption=caption)
    styles = {
        word: {t.get_style() for t in drawn.still.texts if t.get_text() == word} for word in ("slanted", "upright")
    }
    assert styles == {"slanted": {"italic"}, "upright": {"normal"}}
    lines = {text.get_position()[1] for text in drawn.still.texts if text.get_text() == "slanted"}
    assert len(lines) > 1


@pytest.mark.parametrize("words", [8, 15, 22, 29, 36])
def test_no_paragraph_ends_with_a_line_of_one_word(words):
    drawn = page(caption=" ".join(["o"] * words))
    lines: dict[float, int] = {}
    for text in drawn.still.texts:
        if text.get_text() == "o":
            lines[text.get_position()[1]] = lines.get(text.get_position()[1], 0) + 1
    assert sum(lines.values()) == words and len(lines) > 1
    assert lines[min(lines)] > 1


def test_the_warning_stands_above_everything_in_still_and_animation():
    plain, warned = page(), page(stamp="smoke run")
    first = min(text.get_position()[1] for text in warned.still.texts if text.get_text() in {"smoke", "run"})
    assert all(text.get_position()[1] < first for text in warned.still.texts if text.get_text() not in {"smoke", "run"})
    [picture] = decoded(png_bytes(warned.still))
    alarm = np.array([0xB0, 0x00, 0x20])
    assert (picture[: len(picture) // 4] == alarm).all(-1).any() and (warned.animation[0] == alarm).all(-1).any()
    assert not (decoded(png_bytes(plain.still)) == alarm).all(-1).any()
    assert warned.animation.shape[1] > plain.animation.shape[1]


def test_long_labels_of_an_animation_stay_below_their_panels():
    long = [replace(panel, label=f"{panel.label}: *waving and waving* and waving on") for panel in panels()]
    [moment, *_], [short, *_] = page(panels=long, scale=6).animation, page(scale=6).animation
    assert len(moment) > len(short) and moment.shape[1] == short.shape[1], "the page grows by lines"
    inked = (moment < 250).any(-1)
    [(top, right)] = places(moment, enlarge(long[0].videos[1, 0], 6))
    [(_, left)] = places(moment, enlarge(long[1].videos[0, 0], 6))
    between = (right + 16 * 6 + left) // 2
    assert not inked[: top + 3 * 16 * 6, between].any(), "labels of two panels meet"
    assert not inked[:, :4].any() and not inked[:, -4:].any(), "a label leaves the page"


@pytest.mark.parametrize(
    ("videos", "rows", "said"),
    [
        (noise(2).astype(np.float32), ("a", "b"), "takes uint8.*not float32"),
        (noise(2)[0], ("a", "b"), r"not uint8 \(4, 16, 16, 3\)"),
        (noise(2)[..., :1], ("a", "b"), r"not uint8 \(2, 4, 16, 16, 1\)"),
        (noise(2), ("a",), "2 videos needs as many row labels, not 1"),
    ],
)
def test_bad_panels_are_refused(videos, rows, said):
    with pytest.raises(G3ANError, match=said):
        Panel("a", videos, rows)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"panels": []}, "nothing to draw"),
        ({"scale": 0}, "at least 1, not 0 and 2"),
        ({"across": 0}, "at least 1, not 2 and 0"),
        ({"panels": [*panels(), Panel("c", noise(1, frames=5), ("x",))]}, "same length and size"),
    ],
)
def test_bad_pages_are_refused(changes, said):
    with pytest.raises(G3ANError, match=said):
        page(**changes)


# --- Bytes ------------------------------------------------------------------------------------------------------------


def test_the_same_picture_gives_the_same_bytes_whatever_the_style(monkeypatch):
    def build() -> list[bytes]:
        drawn = page()
        return [png_bytes(drawn.still, "T", "A"), pdf_bytes(drawn.still, "T"), gif_bytes(drawn.animation)]

    first = build()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    dark = {"text.color": "red", "font.size": 30, "savefig.dpi": 30, "savefig.bbox": "tight", "font.family": "serif"}
    with matplotlib.rc_context({**dark, "figure.facecolor": "black", "pdf.fonttype": 3, "pdf.compression": 0}):
        second = build()
    assert first[0] == second[0] and first[2] == second[2]
    with matplotlib.rc_context({**dark, "figure.facecolor": "black", "pdf.fonttype": 3}):
        assert build()[1] == first[1]


def test_files_say_what_they_show_and_hold_no_date():
    still = page().still
    with Image.open(io.BytesIO(png_bytes(still, "A title", "Grey – noise × 2"))) as image:
        assert image.text == {"Title": "A title", "Description": "Grey – noise × 2"}
    content = pdf_bytes(still, "A title")
    assert content.startswith(b"%PDF") and b"/Title (A title)" in content
    assert not any(word in content for word in (b"Date", b"/Creator", b"/Producer", b"atplotlib"))


def test_gif_and_animated_png_play_for_ever_at_the_same_pace():
    animation = page().animation
    assert FRAME_MS % 10 == 0, "a GIF counts in hundredths of a second"
    for content, kind in ((gif_bytes(animation), "GIF"), (apng_bytes(animation), "PNG")):
        with Image.open(io.BytesIO(content)) as image:
            assert image.format == kind and image.n_frames == len(animation) and image.info["loop"] == 0
        assert durations(content) == [FRAME_MS] * len(animation)
    for content in (gif_bytes(animation, END_MS), apng_bytes(animation, END_MS)):
        assert durations(content) == [FRAME_MS] * (len(animation) - 1) + [END_MS]
    assert (decoded(gif_bytes(animation)) == decoded(apng_bytes(animation))).all()


def test_a_gif_has_the_right_colours_and_does_not_flicker():
    few = np.full((6, 40, 40, 3), (200, 30, 90), np.uint8)
    for k in range(6):
        few[k, 4 * k : 4 * k + 8, 10:20] = (10, 240, 20)
    assert (decoded(gif_bytes(few)) == few).all()
    many = np.random.default_rng(0).integers(0, 256, (6, 40, 40, 3), np.uint8)
    many[:, 30:] = 255  # a page, and beside it what is nearly as light
    many[:, 20:30] = np.random.default_rng(1).integers(244, 256, (6, 10, 40, 3), np.uint8)
    many[:, :, :20] = many[0, :, :20]  # the left half stands still
    shown = decoded(gif_bytes(many))
    assert (shown[:, :, :20] == shown[0, :, :20]).all() and (shown[:, 30:] == 255).all()
    assert np.abs(shown.astype(int) - many).mean() < 25
    assert not (shown[1, :, 20:] == shown[0, :, 20:]).all()


def test_a_gif_keeps_the_colour_of_what_is_small():
    walls = np.random.default_rng(0).integers(90, 160, (8, 96, 96, 1), np.uint8).repeat(3, -1)
    lips = walls.copy()
    lips[:, 40:44, 40:48] = (170, 30, 40)  # in 32 of 9,216 pixels
    shown = decoded(gif_bytes(lips)).astype(int)
    assert np.abs(shown[:, 40:44, 40:48] - (170, 30, 40)).max() <= 8
    assert np.abs(shown - lips).mean() < 4


def test_enlarging_repeats_pixels():
    small = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    large = enlarge(small, 3)
    assert large.shape == (1, 6, 6, 3)
    assert all((large[0, y, x] == small[0, y // 3, x // 3]).all() for y in range(6) for x in range(6))


# --- Files ------------------------------------------------------------------------------------------------------------


def test_saving_writes_the_pictures_and_enters_them_in_the_manifest(tmp_path):
    folder, drawn = tmp_path / "new" / "figures", page()
    figure = CATALOGUE["fig06"].told()
    files = save(drawn, figure, folder, {"weights": "weizmann", "motions": [1, 2]}, "abc")
    assert [file.name for file in files] == [f"{figure.name}{suffix}" for suffix in (".png", ".pdf", ".gif")]
    assert sorted(path.name for path in folder.iterdir()) == sorted(["manifest.json", *(file.name for file in files)])
    assert json.loads((folder / "manifest.json").read_text(encoding="utf-8")) == {
        "fig06": {
            "number": "Figure 6",
            "title": figure.title,
            "caption": figure.caption,
            "alt": figure.alt,
            "playing": figure.playing,
            "seeds": "$z_a$ 23, $z_m$ 10 and 13, chosen among the first twenty-four",
            "notebook": "notebooks/07_conditional_generation.ipynb",
            "parameters": {"weights": "weizmann", "motions": [1, 2]},
            "weights": "weizmann",
            "weights_sha256": "abc",
            "files": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files},
        }
    }
    with Image.open(files[0]) as image:
        assert image.text["Description"] == figure.alt


def test_a_second_figure_joins_and_a_redrawn_one_replaces(tmp_path):
    still = blank()
    save(still, CATALOGUE["table1"], tmp_path, {"preset": "appendix"}, None)
    save(still, CATALOGUE["fig02"], tmp_path, {"preset": "small"}, None)
    files = save(still, CATALOGUE["fig02"], tmp_path, {"preset": "appendix"}, None)
    assert {file.suffix for file in files} == {".png", ".pdf"}, "a figure that does not move got a GIF"
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert list(manifest) == ["fig02", "table1"]
    assert manifest["fig02"]["parameters"] == {"preset": "appendix"}
    assert manifest["table1"]["weights"] is None and manifest["table1"]["weights_sha256"] is None


def test_figures_saved_at_once_do_not_lose_each_other(tmp_path, monkeypatch):
    """Notebooks may run side by side: reading and writing the manifest is one step."""
    pytest.importorskip("fcntl", reason="folders can be locked on POSIX systems only")
    monkeypatch.setattr(plotting, "png_bytes", lambda *_: b"png")
    monkeypatch.setattr(plotting, "pdf_bytes", lambda *_: b"pdf")
    real = plotting.read_json

    def slow(path: Path) -> object:
        content = real(path)
        time.sleep(0.05)  # long enough for the others to read the same
        return content

    monkeypatch.setattr(plotting, "read_json", slow)
    still = blank()
    save(still, CATALOGUE["table1"], tmp_path, {}, None)
    threads = [threading.Thread(target=save, args=(still, figure, tmp_path, {}, None)) for figure in CATALOGUE.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert json.loads((tmp_path / "manifest.json").read_text()).keys() == CATALOGUE.keys()


@pytest.mark.parametrize("content", ["[]", '{"fig06": ', "null"])
def test_a_damaged_manifest_is_refused_and_left_alone(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(G3ANError, match=r"manifest\.json"):
        save(blank(), CATALOGUE["fig02"], tmp_path, {}, None)
    assert (tmp_path / "manifest.json").read_text() == content


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(G3ANError, match="Cannot write"):
        save(blank(), CATALOGUE["fig02"], tmp_path / "file" / "figures", {}, None)


# --- In notebooks -----------------------------------------------------------------------------------------------------


def test_notebooks_get_the_picture_with_its_description_and_the_animation_when_asked(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *objects: shown.extend(objects))
    drawn = page()
    show(drawn, "Noise.")
    assert [(one.data, one.format, one.alt) for one in shown] == [(jpeg_bytes(drawn.still), "jpeg", "Noise.")]
    show(drawn, "Noise.", moving=True)
    assert [one.alt for one in shown[1:]] == ["Noise.", "The same videos, playing. Noise."]
    assert shown[2].data == apng_bytes(drawn.animation, END_MS)
    show(Drawn(drawn.still), "Noise.", moving=True)
    assert len(shown) == 4 and shown[3].data == png_bytes(drawn.still), "a diagram keeps its lines"
    show(drawn, "Noise.", moving=True, playing="Noise that moves.")
    assert [one.alt for one in shown[4:]] == ["Noise.", "Noise that moves."]
    with Image.open(io.BytesIO(jpeg_bytes(drawn.still))) as picture:
        apart = np.abs(np.asarray(picture, int) - decoded(png_bytes(drawn.still))[0])
    assert picture.mode == "RGB" and apart.mean() < 16, "noise is the worst that can be asked of it"


def test_the_plot_of_effects_shows_all_dimensions_strongest_first():
    effects = Effects("motion", 3.0, (1.0, 4.0, 2.5, 0.5), 8)
    axes = plot_effects(effects, [2, 3]).axes[0]
    bars = sorted(axes.patches, key=lambda bar: bar.get_x())
    assert [bar.get_height() for bar in bars] == [4.0, 2.5, 1.0, 0.5]
    colours = [bar.get_facecolor() for bar in bars]
    assert colours[1] == colours[3] != colours[0] == colours[2]
    labels = {text.get_text(): text.xy for text in axes.texts}
    assert labels == {"dimension 3": (2, 2.5), "dimension 4": (4, 0.5)}
    assert "4 dimensions of z_m" in axes.get_xlabel() and axes.get_ylim()[0] == 0
    assert "z_a" in plot_effects(Effects("appearance", 3.0, (1.0,), 2), [0]).axes[0].get_xlabel()


def test_no_figure_stays_open():
    import matplotlib.pyplot as plt

    page()
    plot_effects(Effects("motion", 3.0, (1.0,), 8), [0])
    assert plt.get_fignums() == []
