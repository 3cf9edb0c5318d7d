"""The whole report in a real browser, at the width of a desk and of a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import browser
import pytest

from g3an import report

pytestmark = pytest.mark.slow
WIDTHS = (1280, 390)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's own report, from its committed figures and notebooks."""
    folder = tmp_path_factory.mktemp("a report")
    return report.build(folder / "site", runs_dir=folder / "none").parent


@pytest.fixture(scope="module")
def chromium() -> Iterator:
    path, reason = browser.install()
    if path is None:
        pytest.skip(reason)
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver, driver.chromium.launch(executable_path=path) as instance:
        yield instance


@pytest.fixture(params=WIDTHS)
def page(chromium, request) -> Iterator:
    page = chromium.new_page(viewport={"width": request.param, "height": 900})
    page.set_default_timeout(120_000)
    page.said = []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("requestfailed", lambda request: page.said.append(request.url))
    yield page
    assert page.said == []
    page.close()


def broken(page) -> list[str]:
    """Pictures that did not load, once all were asked for."""
    page.evaluate("document.querySelectorAll('img').forEach((image) => { image.loading = 'eager'; })")
    page.wait_for_function("[...document.images].every((image) => image.complete)")
    return page.evaluate("[...document.images].filter((image) => !image.naturalWidth).map((image) => image.src)")


def test_the_gallery_fits_its_window_with_all_that_can_be_opened(site, page):
    page.goto((site / "index.html").as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    assert page.locator("details").count() > 20 and broken(page) == []
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # A column too narrow for a hash breaks it to a letter a line.
    tall = page.evaluate("Math.max(...[...document.querySelectorAll('.gallery dd')].filter((dd) => !dd.children.length)"
                         ".map((dd) => dd.offsetHeight / parseFloat(getComputedStyle(dd).lineHeight)))")  # fmt: skip
    assert tall <= 4.5, "a fact of at most a hash takes more than four lines"
    assert "fig10_weizmann_appearance_first.png" in page.inner_text(".gallery"), "names of files are as they are"
    networks = page.inner_text("main").partition("\nNetworks\n")[2]
    assert networks.count("Limit:") > 5 and "sliced_wasserstein" not in networks and "{" not in networks


def test_a_figure_moves_while_it_is_hovered_and_says_what_moves(site, page):
    page.goto((site / "index.html").as_uri())
    button = page.locator("#fig08 button.pic")
    image = button.locator("img")
    still, alt = image.get_attribute("src"), image.get_attribute("alt")
    button.hover()
    assert image.get_attribute("src") == "figures/fig08_mug_appearance_first.gif"
    assert image.get_attribute("alt") != alt and "from left to right, the first dimension" in image.get_attribute("alt")
    page.mouse.move(0, 0)
    assert (image.get_attribute("src"), image.get_attribute("alt")) == (still, alt)
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true" and image.get_attribute("src").endswith(".gif")


def test_no_page_of_a_notebook_is_wider_than_its_window(site, page):
    for path in sorted((site / "notebooks").glob("*.html")):
        page.goto(path.as_uri())
        assert broken(page) == [], path.name
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"], path.name
