"""Pictures and files of the explorer, and the thread that draws only what is still wanted."""

from __future__ import annotations

import io
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from g3an import studio as module
from g3an.config import ModelConfig
from g3an.errors import G3ANError
from g3an.generator import Generator
from g3an.latents import generate, to_uint8
from g3an.studio import GAP, KINDS, Latest, Studio, moving_bytes, still_bytes
from g3an.training import recompute_statistics
from g3an.views import Slot, View, load_view, read_content

VIEW = View(Slot(1, 1, "wave1"), Slot(2, 2, "wave2"), show="grid")


@pytest.fixture
def studio() -> Studio:
    torch.manual_seed(0)
    config = ModelConfig.from_preset("small", widths=(8,) * 5, attention_after=(), classes=("wave1", "wave2"))
    generator = Generator(config, spectral_norm=False)
    recompute_statistics(generator, seed=0, passes=1, batch=8)  # else all its videos would be nearly grey
    generator.eval()
    generator.card, generator.weights_hash = {"dataset": "mug-sim", "smoke": True}, "0123456789abcdef"
    return Studio(generator)


def test_videos_are_those_of_the_network_each_at_its_place(studio):
    videos, page = studio.videos(VIEW), studio.frames(VIEW)
    assert videos.shape == (9, 16, 64, 64, 3) and page.shape == (16, 3 * 64 + 2 * GAP, 3 * 64 + 2 * GAP, 3)
    for number, code in enumerate(VIEW.codes(studio.generator)):
        assert np.abs(videos[number].astype(int) - to_uint8(generate(studio.generator, code))[0]).max() <= 1
        y, x = (place * (64 + GAP) for place in divmod(number, 3))
        assert np.array_equal(page[:, y : y + 64, x : x + 64], videos[number])
    assert (page[:, 64 : 64 + GAP] == 255).all()


def test_only_what_changed_is_made_again(studio, monkeypatch):
    made = []
    monkeypatch.setattr(module, "generate", lambda generator, code: (made.append(1), generate(generator, code))[1])
    studio.videos(VIEW)
    assert len(made) == 9
    studio.videos(replace(VIEW, a=VIEW.a.with_dimension("appearance", 3, 2.0)))
    assert len(made) == 12, "a row of the grid"
    studio.videos(VIEW)
    assert len(made) == 12
    monkeypatch.setattr(module, "KEPT", 2)
    assert len(studio.videos(VIEW)) == 9 and len(studio._kept) == 2


def test_drawing_leaves_the_caller_s_threads_alone(studio):
    before = torch.get_num_threads()
    studio.videos(replace(VIEW, show="A"))
    assert torch.get_num_threads() == before


def test_pictures_lose_nothing():
    frames = np.random.RandomState(0).randint(0, 256, (5, 20, 30, 3), np.uint8)
    with Image.open(io.BytesIO(moving_bytes(frames))) as image:
        assert image.n_frames == 5 and image.info["loop"] == 0
        for number, frame in enumerate(frames):
            image.seek(number)
            assert np.array_equal(np.asarray(image.convert("RGB")), frame)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(still_bytes(frames[2])))), frames[2])


@pytest.mark.parametrize("show", ["A", "A and B", "between", "grid"])
def test_exports_open_again(studio, tmp_path, show):
    view = replace(VIEW, show=show)
    for kind in KINDS:
        path = studio.export(tmp_path / f"a name.{kind}", view, "mine")
        assert path.is_file() and path.stat().st_size > 1000
    assert len(list(tmp_path.iterdir())) == len(KINDS), "no temporary file is left"
    with Image.open(tmp_path / "a name.gif") as image:
        assert image.n_frames == 16
    with Image.open(tmp_path / "a name.png") as image:
        assert image.width > 16 * 128 and "16 frames" in image.info["Description"]
    import imageio.v2 as imageio

    with imageio.get_reader(tmp_path / "a name.mp4") as video:
        frames = [np.asarray(frame) for frame in video]
    animation = studio.drawn(view).animation
    assert len(frames) == 16 and np.abs(frames[7][:64, :64].astype(int) - animation[7][:64, :64]).mean() < 12
    assert load_view(read_content(tmp_path / "a name.json"), studio.generator) == view


def test_exported_pictures_say_simulated_and_untrained(studio):
    words = " ".join(text.get_text() for text in studio.drawn(VIEW).still.texts)
    assert "(simulated)" in words and "smoke" in words and "(simulated)" in studio.alt(VIEW)


def test_what_cannot_be_exported_is_told_and_the_old_file_stays(studio, tmp_path, monkeypatch):
    with pytest.raises(G3ANError, match=r"must end in \.gif, \.mp4"):
        studio.export(tmp_path / "a.avi", VIEW)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(G3ANError, match="Cannot write"):
        studio.export(tmp_path / "file" / "a.gif", VIEW)
    (tmp_path / "a.mp4").write_bytes(b"old")
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "no ffmpeg"))
    with pytest.raises(G3ANError, match="ffmpeg"):
        studio.export(tmp_path / "a.mp4", VIEW)
    assert (tmp_path / "a.mp4").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "file"]


# --- Only the newest request counts ---


class Work:
    """Work that waits until it may go on."""

    def __init__(self) -> None:
        self.begun, self.done, self.failed = threading.Semaphore(0), [], []
        self.go = threading.Semaphore(0)

    def __call__(self, request) -> None:
        self.begun.release()
        assert self.go.acquire(timeout=20)
        if isinstance(request, Exception):
            raise request
        self.done.append(request)


def test_requests_that_are_overtaken_are_dropped():
    work = Work()
    latest = Latest(work, work.failed.append, pause=0)
    latest.submit(1)
    assert work.begun.acquire(timeout=20)
    for request in (2, 3, 4):
        latest.submit(request)
    assert not latest.wait(0.01), "1 is still being done"
    work.go.release(2)
    assert latest.wait(20) and work.done == [1, 4]


def test_a_moment_s_pause_takes_the_newest():
    done = []
    latest = Latest(done.append, done.append, pause=0.2)
    for request in range(5):
        latest.submit(request)
    assert latest.wait(20) and done == [4]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (G3ANError("It does\nnot fit."), "It does not fit."),
        (ValueError("bad"), "ValueError: bad"),
        (KeyError(), "KeyError: no further word"),
    ],
)
def test_a_failure_becomes_one_sentence_and_work_goes_on(error, said):
    work = Work()
    latest = Latest(work, work.failed.append, pause=0)
    work.go.release(2)
    latest.submit(error)
    assert latest.wait(20) and len(work.failed) == 1 and work.failed[0].startswith(said)
    latest.submit("next")
    assert latest.wait(20) and work.done == ["next"]


@pytest.mark.parametrize("begun", [False, True])
def test_a_closed_one_does_nothing_more(begun):
    done: list = []
    latest = Latest(done.append, done.append, pause=5)
    latest.submit(1)
    while begun and not latest._busy:  # its thread waits for newer requests by now
        time.sleep(0.01)
    latest.close()
    latest.submit(2)
    assert latest.wait(20) and not done
    assert latest._thread is not None
    latest._thread.join(20)
    assert not latest._thread.is_alive()


def test_nothing_is_written_into_the_current_folder(studio, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    studio.frames(VIEW)
    assert not list(Path().iterdir())
