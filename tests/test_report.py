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
from nbformat.v4 import new_code_cell, new_output
from PIL import Image

from g3an import report
from g3an.errors import G3ANError


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
        "number": f"Figure {'abc'.index(name) + 1}",
        "name": name,
        "title": "People <waving>",
        "caption": "On Weizmann: *first* of $z_a$.",
        "alt": 'Rows of "people"',
        "playing": 'People who "wave"',
        "notebook": "07_draw",
        "weights": "weizmann",
        "animated": True,
    }
    made = SimpleNamespace(**{**given, **changes})
    made.told = lambda: made
    return made


@pytest.fixture
def site(project, make_notebook, monkeypatch):
    """A built report of a project with one drawn figure, one that is not drawn, and two notebooks."""
    prose = "# Title\n\nWhere $x_i$ and\n\n$$\\sum_{i=1}^T a_i \\tag{1}$$\n\n`$code$`"
    make_notebook("07_draw", [prose, "'shown'", "## Figure", "print(\"a\")"], folder=project / "notebooks")
    make_notebook("01_other", ["# Other"], folder=project / "notebooks")
    figures = project / "figures"
    figures.mkdir()
    for suffix, kind in ((".png", "PNG"), (".gif", "GIF")):
        (figures / f"a{suffix}").write_bytes(picture(kind))
    entry = {"weights_sha256": "c0ffee", "parameters": {"seed": 4}, "files": {"a.png": "f00d"}}
    entry |= {"seeds": "$z_a$ 4", "effect": "second of 128", "title": "People of mine"}
    (figures / "manifest.json").write_text(json.dumps({"a": entry}))
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
    [image] = [image for image in page.all("img") if image["src"] == "figures/a.png"]
    assert (image["alt"], image["width"], image["height"]) == ('Rows of "people"', "6", "4")
    [button] = page.all("button")
    assert button["data-gif"] == "figures/a.gif" and button["data-playing"] == 'People who "wave"'
    assert button["style"] == "aspect-ratio: 6 / 4; max-width: 3px", "it would change its size when it begins to move"
    assert "People &lt;waving&gt;" in text and "On Weizmann: <em>first</em> of <span" in text
    assert "<i>z</i><sub>a</sub>" in text
    assert "c0ffee" in text and "notebooks/07_draw.html#a" in text
    assert "Seeds: " in text and "<sub>a</sub></span> 4. Ranked by effect: second of 128." in text
    assert {"#a", "#b"} <= {link.get("href") for link in page.all("a")}, "a list of figures leads to each"
    assert "Not drawn yet" in text  # figure b
    assert 'name="viewport"' in text and '<html lang="en">' in text


@pytest.mark.parametrize("content", ["[]", '{"a": 3}', '{"a": {"files": 3}}'])
def test_a_damaged_manifest_is_one_sentence(site, project, content):
    (project / "figures" / "manifest.json").write_text(content)
    with pytest.raises(G3ANError, match=r"manifest\.json is damaged: it should hold an entry for each figure"):
        report.build()
    assert (site / "index.html").is_file(), "the report of before is lost"


def test_a_damaged_picture_is_named(site, project):
    (project / "figures" / "a.png").write_bytes(b"no picture")
    with pytest.raises(G3ANError, match=r"^a\.png of the figures is damaged: it is no picture\. Delete figures/a\.png"):
        report.build()
    assert (site / "index.html").is_file(), "the report of before is lost"


def test_a_network_of_the_user_s_is_shown_without_its_curve(project, site):
    page = report.build(cards={"mine": {"dataset": "prepared", "curve": [{"step": 1}], "clips_seen": 7}})
    text = page.read_text()
    assert "<summary>mine</summary>" in text and "<dt>clips seen</dt><dd>7</dd>" in text and "curve" not in text


def test_a_notebook_page_links_its_figures_and_draws_formulas(site):
    text = (site / "notebooks" / "07_draw.html").read_text()
    assert '<a href="../index.html#a">Figure 1</a>' in text
    assert text.count("<math") == 1 and "<i>x</i><sub>i</sub>" in text and "∑" in text.replace("&#x02211;", "∑")
    assert "$code$" in text and "xFORMULA" not in text


def test_the_executed_copy_wins_over_the_committed_one(project, site):
    executed = project / "reports" / "runs" / "figures" / "07_draw" / "07_draw.ipynb"
    executed.parent.mkdir(parents=True)
    content = nbformat.read(project / "notebooks" / "07_draw.ipynb", 4)
    content.cells[-1].outputs = [new_output("stream", text="from the run", name="stdout")]
    content.cells.insert(1, new_code_cell("seed = 5", metadata={"tags": ["injected-parameters"]}))
    nbformat.write(content, executed)
    (executed.parent / "run.json").write_text(json.dumps({"status": "failed"}))
    assert "from the run" not in (report.build().parent / "notebooks" / "07_draw.html").read_text()
    (executed.parent / "run.json").write_text(json.dumps({"status": "finished", "commit": "abc123"}))
    page = report.build()
    assert "from the run" in (page.parent / "notebooks" / "07_draw.html").read_text()
    assert "abc123" in (page.parent / "notebooks" / "07_draw.html").read_text()
    state = project / "reports" / "runs" / "figures" / "a.json"
    state.write_text(json.dumps({"drawn": "on a Monday", "commit": "def456"}))
    assert "on a Monday" in report.build().read_text() and "def456" in page.read_text()


def test_an_executed_copy_of_an_earlier_text_counts_no_more(project, site, make_notebook):
    executed = make_notebook("01_other", ["# Other"], folder=project / "reports" / "runs" / "figures" / "01_other")
    (executed.parent / "run.json").write_text(json.dumps({"status": "finished"}))
    make_notebook("01_other", ["# Another"], folder=project / "notebooks")
    assert "Another" in (report.build().parent / "notebooks" / "01_other.html").read_text()


def test_another_report_shows_only_what_was_drawn_under_its_own_name(project, site, make_notebook, tmp_path):
    runs, drawn = tmp_path / "runs", tmp_path / "mine"
    drawn.mkdir()
    (drawn / "a.png").write_bytes(picture("PNG"))
    told = {"title": "On my clips", "caption": "Of *mine*.", "alt": "Mine", "files": {"a.png": "f00d"}}
    (drawn / "manifest.json").write_text(json.dumps({"a": told}))
    words = [cell.source for cell in nbformat.read(project / "notebooks" / "07_draw.ipynb", 4).cells]
    executed = make_notebook("07_draw", words, folder=runs / "07_draw")
    (executed.parent / "run.json").write_text(json.dumps({"status": "finished"}))
    figures = {"a": figure("a"), "b": figure("b")}
    cards = {"mine": {"steps": 3}}
    page = report.build(tmp_path / "site", figures_dir=drawn, runs_dir=runs, figures=figures, cards=cards)
    text = page.read_text()
    assert "On my clips" in text and "Of <em>mine</em>." in text and "Weizmann" not in text
    assert "Not drawn" not in text and "<summary>mine</summary>" in text
    assert [path.name for path in (page.parent / "notebooks").iterdir()] == ["07_draw.html"]


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


def test_letters_with_subscripts_are_plain_html():
    formulas: list[str] = []
    report._take_formulas("$z_{a_0},z_m$ and $z$ but $x^2$ and $x_i+1$", formulas)
    assert "<i>z</i><sub>a<sub>0</sub></sub>, <i>z</i><sub>m</sub>" in formulas[0] and "<i>z</i>" in formulas[1]
    assert formulas[2].startswith("<math") and formulas[3].startswith("<math")


def test_formulas_that_cannot_be_read_and_prices_stay_text():
    formulas: list[str] = []
    assert report._take_formulas(r"from $5 to $6, \$a\$", formulas) == r"from $5 to $6, \$a\$"
    assert not formulas


def test_a_figure_has_one_anchor_where_it_is_shown_and_the_title_it_was_drawn_with(make_notebook):
    path = make_notebook("draw", ["figure_of = {'mug': 1, 'x': \"a\"}", "# Figure", 'print("a")'])
    other = figure("b", number="Figure 1")
    page = report.notebook_page(path, figures={"a": figure("a"), "b": other}, titles={"a": "People of mine"})
    assert page.count('id="a"') == 1
    assert page.index("figure_of") < page.index('id="a"') < page.index("<h1")
    assert 'href="../index.html#a">People of mine</a>' in page
    assert 'href="../index.html#b">People &lt;waving&gt;</a>' in page


def test_a_title_that_its_caption_repeats_is_left_out(site, project):
    entry = {"files": {"a.png": "f00d"}, "title": "Generator architecture", "caption": "Generator Architecture."}
    (project / "figures" / "manifest.json").write_text(json.dumps({"a": entry}))
    text = (report.build().parent / "index.html").read_text()
    assert "<strong>Figure 1:</strong> Generator Architecture." in text
