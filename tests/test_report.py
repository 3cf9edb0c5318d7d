"""The HTML report: complete, linked both ways, and in need of nothing outside its folder."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_output
from PIL import Image

from g3an import report


class Page(HTMLParser):
    """Tags with their attributes, and whether every tag that was opened is closed in order."""

    EMPTY = frozenset({"meta", "img", "br", "link", "hr", "input", "col"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            assert self.open and self.open[-1] == tag, f"</{tag}> inside {self.open}"
            self.open.pop()

    def all(self, name: str) -> list[dict]:
        return [attrs for tag, attrs in self.tags if tag == name]


def picture(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (6, 4), "red").save(stream, kind)
    return stream.getvalue()


def figure(name: str, **changes) -> SimpleNamespace:
    given = {
        "id": name,
        "number": f"Figure {name}",
        "name": name,
        "title": "People <waving>",
        "caption": "On {data}: *first* of $z_a$.",
        "alt": 'Rows of "people"',
        "notebook": "07_draw",
        "weights": "weizmann",
        "defaults": {"dimension": 0},
        "animated": True,
    }
    return SimpleNamespace(**{**given, **changes})


@pytest.fixture
def site(project, make_notebook, monkeypatch):
    """A built report of a project with one drawn figure, one that is not drawn, and two notebooks."""
    prose = "# Title\n\nWhere $x_i$ and\n\n$$\\sum_{i=1}^T a_i \\tag{1}$$\n\n`$code$`"
    make_notebook("07_draw", [prose, "'shown'"], folder=project / "notebooks")
    make_notebook("01_other", ["# Other"], folder=project / "notebooks")
    figures = project / "figures"
    figures.mkdir()
    for suffix, kind in ((".png", "PNG"), (".gif", "GIF")):
        (figures / f"a{suffix}").write_bytes(picture(kind))
    (figures / "manifest.json").write_text(json.dumps({"a": {"weights_sha256": "c0ffee", "parameters": {"seed": 4}}}))
    monkeypatch.setattr("g3an.catalogue.CATALOGUE", {"a": figure("a"), "b": figure("b", animated=False)})
    return report.build().parent


def test_every_link_and_picture_is_in_the_site(site):
    for path in site.rglob("*.html"):
        page = Page(path.read_text())
        used = [attrs.get("href") for attrs in page.all("a")] + [attrs.get("src") for attrs in page.all("img")]
        used += [attrs.get("data-gif") for attrs in page.all("button")]
        assert len(used) >= 2
        for target in filter(None, used):
            file, _, anchor = target.partition("#")
            other = (path.parent / file).resolve() if file else path
            assert other.is_file(), f"{path.name} links {target}"
            if anchor:
                assert f'id="{anchor}"' in other.read_text()


def test_nothing_comes_from_a_network(site):
    for path in site.rglob("*.html"):
        text = path.read_text()
        assert not re.search(r"""(src|href|import|url)\s*[=(]\s*["']?(https?:)?//""", text)
        assert not Page(text).all("link")


def test_the_gallery_shows_each_figure_with_its_origin(site):
    text = (site / "index.html").read_text()
    page = Page(text)
    [image] = page.all("img")
    assert (image["alt"], image["width"], image["height"]) == ('Rows of "people"', "6", "4")
    [button] = page.all("button")
    assert button["data-gif"] == "figures/a.gif"
    assert "People &lt;waving&gt;" in text and "On Weizmann: <em>first</em> of <math" in text
    assert "c0ffee" in text and "seed" in text
    assert "Not drawn yet" in text  # figure b
    assert 'name="viewport"' in text and '<html lang="en">' in text


def test_a_notebook_page_links_its_figures_and_draws_formulas(site):
    text = (site / "notebooks" / "07_draw.html").read_text()
    assert '<a href="../index.html#a">Figure a</a>' in text
    assert text.count("<math") == 2 and "<msub>" in text and "∑" in text.replace("&#x02211;", "∑")
    assert "$code$" in text and "xFORMULA" not in text


def test_the_executed_copy_wins_over_the_committed_one(project, site, make_notebook):
    executed = make_notebook("07_draw", ["'from the run'"], folder=project / "reports" / "runs" / "figures" / "07_draw")
    (executed.parent / "run.json").write_text(json.dumps({"status": "failed"}))
    assert "from the run" not in (report.build().parent / "notebooks" / "07_draw.html").read_text()
    (executed.parent / "run.json").write_text(json.dumps({"status": "finished", "commit": "abc123"}))
    page = report.build()
    assert "from the run" in (page.parent / "notebooks" / "07_draw.html").read_text()
    assert "abc123" in page.read_text()


def test_what_was_removed_leaves_the_site(project, site):
    (project / "notebooks" / "01_other.ipynb").unlink()
    assert (site / "notebooks" / "01_other.html").is_file()
    report.build()
    assert not (site / "notebooks" / "01_other.html").exists()
    assert [path.name for path in site.parent.iterdir()] == ["site"]


def test_moving_pictures_and_widgets_become_what_a_plain_page_can_show(make_notebook):
    path = make_notebook("pictures", ["1"])
    content = nbformat.read(path, 4)
    gif, png, jpeg = (base64.b64encode(picture(kind)).decode() for kind in ("GIF", "PNG", "JPEG"))
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "a bar"}
    content.cells[0].outputs = [
        new_output("display_data", {"image/gif": gif, "text/plain": "-"}, metadata={"image/gif": {"alt": "It moves"}}),
        new_output("display_data", {"image/png": png}),
        new_output("display_data", {"image/jpeg": jpeg}, metadata={"image/jpeg": {"alt": "A still"}}),
        new_output("display_data", widget),
        new_output("display_data", {"text/plain": "run:   0%|          | 0/4 [00:00<?, ?step/s]"}),
        new_output("stream", text="a word, flushed,\n", name="stdout"),
        new_output("stream", text="and one more\n", name="stdout"),
        new_output("stream", text="a warning\n", name="stderr"),
    ]
    nbformat.write(content, path)
    page = Page(text := report.notebook_page(path))
    moving, still, photo = page.all("img")
    assert moving["src"] == f"data:image/gif;base64,{gif}" and moving["alt"] == "It moves"
    assert still["alt"] and "No description" not in still["alt"]
    assert photo["alt"] == "A still"
    assert "a bar" in text and "widget" not in text.lower()
    assert "0/4" not in text, "a bar that never moves"
    assert "a word, flushed,\nand one more\n</pre>" in text


def test_formulas_that_cannot_be_read_and_prices_stay_text():
    formulas: list[str] = []
    assert report._take_formulas(r"from $5 to $6, \$a\$", formulas) == r"from $5 to $6, \$a\$"
    assert not formulas
