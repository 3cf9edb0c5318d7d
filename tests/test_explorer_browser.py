"""The explorer in a real browser: JupyterLab on loopback, a headless Chromium, the committed notebook."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import browser
import pytest
from PIL import Image

from g3an import ranking
from g3an.catalogue import CASTS
from g3an.checkpoints import load_generator

ROOT = Path(__file__).parents[1]
SECONDS = 240  # for anything: how fast a machine is, no test can say
pytestmark = pytest.mark.slow


class Session:
    """The notebook, open in JupyterLab, and everything that went wrong in it."""

    def __init__(self, page, lab: browser.Lab, folder: Path) -> None:
        self.page, self.lab, self.folder = page, lab, folder
        self.panel = page.locator(".g3an-explorer").first
        self.errors: list[str] = []
        page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("crash", lambda _: self.errors.append("the page crashed"))

    def wait(self, done, what: str) -> None:
        end = time.monotonic() + SECONDS
        while not done():
            assert time.monotonic() < end, f"{what} took longer than {SECONDS} s; errors: {self.errors}"
            self.page.wait_for_timeout(100)

    def kernels(self) -> list[tuple[str, str]]:
        return [(session["kernel"]["id"], session["kernel"]["execution_state"]) for session in self.lab.get("sessions")]

    def idle(self) -> bool:
        return [state for _, state in self.kernels()] == ["idle"]

    def open(self) -> None:
        self.page.goto(f"{self.lab.url}/lab/tree/11_latent_explorer.ipynb?token={self.lab.token}")
        self.page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
        self.wait(self.idle, "starting the kernel")

    def run_all(self) -> None:
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_text("Run All Cells", exact=True).click()
        self.panel.locator("figure img").wait_for()
        # The last cell prints a number only once everything before it ran.
        prompts = self.page.locator(".jp-Notebook .jp-CodeCell .jp-InputPrompt")
        self.wait(lambda: "*" not in "".join(prompts.all_inner_texts()) and self.idle(), "running all cells")
        assert self.page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']").count() == 0

    def picture(self) -> str:
        return self.panel.locator("figure img").get_attribute("src")

    def alt(self) -> str:
        return self.panel.locator("figure img").get_attribute("alt")

    def code(self) -> str:
        return self.panel.locator("pre").inner_text()

    def changes(self, act) -> None:
        """Do something after which the picture must become another."""
        before = self.picture()
        act()
        self.wait(lambda: self.picture() != before, "a new picture")

    def says(self, words: str) -> None:
        status = self.panel.get_by_role("status")
        self.wait(lambda: words in status.inner_text(), f"'{words}' in the status line")

    def button(self, name: str):
        return self.panel.get_by_role("button", name=name)

    def slider(self, name: str):
        return self.panel.get_by_role("slider", name=name, exact=True)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    chromium, reason = browser.install()
    if chromium is None:
        pytest.skip(reason)
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    base = tmp_path_factory.mktemp("lab")
    folder = base / "some notebooks"
    folder.mkdir()
    shutil.copy(ROOT / "notebooks" / "11_latent_explorer.ipynb", folder)
    with browser.jupyterlab(folder, base / "settings") as lab, playwright.sync_playwright() as driver:
        with driver.chromium.launch(executable_path=chromium) as instance:
            page = instance.new_page(viewport={"width": 1280, "height": 1400})
            page.set_default_timeout(SECONDS * 1000)
            session = Session(page, lab, folder)
            session.open()
            session.run_all()
            session.kernel = session.kernels()[0][0]
            yield session
            assert not session.errors
            assert session.kernels()[0][0] == session.kernel, "the kernel was replaced"


def test_without_a_browser_the_reason_is_told(monkeypatch):
    monkeypatch.setattr(browser, "find", lambda: None)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert browser.install.__wrapped__() == (
        None, "no Chromium is installed and this system has no apt-get to install one"
    )  # fmt: skip
    monkeypatch.setattr(shutil, "which", lambda _: "apt-get")
    failed = subprocess.CompletedProcess([], 100, "", "E: one\nE: no network")
    monkeypatch.setattr(browser.subprocess, "run", lambda *_, **__: failed)
    path, reason = browser.install.__wrapped__()
    assert path is None and reason.endswith("could not install one (E: no network)")


def test_the_picture_plays_and_is_described(session):
    assert session.picture().startswith("data:image/webp;base64,")
    assert session.alt().startswith("Two generated videos side by side, 16 frames, network trained on Weizmann.")
    assert session.panel.locator("figure img").evaluate("image => [image.naturalWidth, image.complete]") == [130, True]


def test_showing_the_controls_changes_nothing(session):
    """The browser rounds what it is given; that must not count as a change."""
    session.page.wait_for_timeout(500)
    assert "_set" not in session.code()


def strongest(part: str) -> int:
    """The dimension whose slider comes first."""
    effects = ranking.known(load_generator("weizmann"))
    assert effects is not None
    return max(range(len(effects[part].change)), key=lambda dimension: effects[part].change[dimension])


def test_a_slider_is_moved_with_the_keyboard(session):
    name = f"z_a[{strongest('appearance')}]"
    slider = session.slider(name)
    before = float(slider.get_attribute("aria-valuenow"))
    key, moved = ("ArrowRight", 0.8) if before < 1 else ("ArrowLeft", -0.8)
    slider.focus()
    session.changes(lambda: [session.page.keyboard.press(key) for _ in range(8)])
    session.wait(lambda: f"{name} = {before + moved:.1f}".removesuffix(".0") in session.alt(), "the last value")
    assert "z_a_set" in session.code() and session.page.evaluate("document.activeElement.role") == "slider"


def test_a_slider_is_dragged(session):
    dimension = strongest("motion")
    name = f"z_m[{dimension}]"
    handle = session.slider(name).bounding_box()
    mouse, x, y = session.page.mouse, handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2

    def drag() -> None:
        mouse.move(x, y)
        mouse.down()
        for step in range(1, 31):
            mouse.move(x + 2 * step, y)
        mouse.up()

    session.changes(drag)
    value = float(session.slider(name).get_attribute("aria-valuenow"))
    session.wait(lambda: f"{name} = {value:g}" in session.alt(), "the picture of where the drag ended")
    assert f"{dimension}: {value:g}" in session.code()


def test_switch_motion(session):
    def switch() -> None:
        session.button("Switch motion").focus()
        session.page.keyboard.press("Enter")

    session.changes(switch)
    session.says("Switched")
    cast = CASTS["weizmann"]
    assert f"A (subject {cast.subjects[0]}, motion {cast.motions[1]}, two-hands waving" in session.alt()


def test_views_lengths_slots_and_categories(session):
    for name, words in (("Grid", "3 by 3"), ("Between", "50% of the way"), ("A and B", "side by side")):
        session.changes(session.panel.get_by_role("button", name=name, exact=True).click)
        assert words in session.alt()
        pressed = session.panel.get_by_role("button", name=name, exact=True).get_attribute("aria-pressed")
        assert pressed == "true"
    session.changes(lambda: session.panel.get_by_label("Length").select_option("32 frames"))
    assert "32 frames" in session.alt()
    session.changes(lambda: session.panel.get_by_label("Length").select_option("16 frames"))
    session.changes(lambda: session.panel.get_by_label("c", exact=True).select_option("bending"))
    session.changes(session.button("New z_m").click)

    def type_a_seed() -> None:
        session.panel.get_by_label("z_a seed").fill("77")
        session.page.keyboard.press("Enter")

    session.changes(type_a_seed)
    assert "A (subject 77" in session.alt() and "bending" in session.alt()


def test_pause_and_play(session):
    session.changes(session.button("Pause").click)
    assert session.picture().startswith("data:image/png")
    session.changes(session.button("Play").click)


def test_exports_are_written_and_codes_load_again(session, tmp_path):
    for name, suffix in (("GIF", "gif"), ("MP4", "mp4"), ("PNG strip", "png"), ("Codes (JSON)", "json")):
        session.panel.get_by_role("button", name=name).first.click()
        session.says(f"Wrote explored/explored.{suffix}")
        assert (session.folder / "explored" / f"explored.{suffix}").stat().st_size > 1000
    with Image.open(session.folder / "explored" / "explored.gif") as image:
        assert image.n_frames == 16
    code = session.code()

    def load(path: Path) -> None:
        with session.page.expect_file_chooser() as chooser:
            session.button("Load codes").click()
        chooser.value.set_files(path)

    session.changes(session.button("Draw all").click)
    assert session.code() != code
    session.changes(lambda: load(session.folder / "explored" / "explored.json"))
    session.wait(lambda: session.code() == code, "the codes that were saved")
    (tmp_path / "broken.json").write_text("{")
    load(tmp_path / "broken.json")
    session.says("Error: The file cannot be read as JSON")


@pytest.mark.parametrize("width", [1280, 760])
def test_nothing_is_cropped(session, width):
    session.page.set_viewport_size({"width": width, "height": 1400})
    session.page.wait_for_timeout(500)
    cropped = session.page.evaluate(
        """() => {
          const root = document.querySelector('.g3an-explorer'), frame = root.getBoundingClientRect();
          return [...root.querySelectorAll('button, select, input, img, figcaption, .noUi-target, .widget-label, pre')]
            .filter(node => node.offsetParent && node.type !== 'file')
            .filter(node => {
              const box = node.getBoundingClientRect();
              return box.right > frame.right + 1 || box.left < frame.left - 1
                || (node.tagName !== 'SELECT' && node.scrollWidth > node.clientWidth + 1 && node.clientWidth > 0);
            }).map(node => node.outerHTML.slice(0, 120));
        }"""
    )
    assert cropped == []


def test_every_control_has_a_name_for_those_who_listen(session):
    session.page.set_viewport_size({"width": 1280, "height": 1400})
    nameless = session.panel.evaluate(
        """root => [...root.querySelectorAll('button, select, input, [role=slider], [role=textbox], img')]
          .filter(node => node.offsetParent && node.type !== 'file')
          .filter(node => !(node.getAttribute('aria-label') || node.alt || node.innerText?.trim()
            || node.labels?.[0]?.innerText.trim()))
          .map(node => node.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
