"""The HTML report: a gallery of all figures and one page a notebook, readable offline, on a phone and by keyboard.

Pages hold no script or style from elsewhere: formulas become HTML or MathML, which browsers draw themselves.
"""

from __future__ import annotations

import copy
import html
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nbformat.v4 import new_markdown_cell
from PIL import Image, UnidentifiedImageError

from g3an.errors import G3ANError
from g3an.files import read_json
from g3an.parameters import read_notebook
from g3an.runs import without_bars

TITLE = "G3AN: the figures of the appendix, drawn from trained networks"

_CSS = """
:root { color-scheme: light; --ink: #1a1a1a; --grey: #595959; --line: #d8d8d8; --soft: #f5f5f3; --link: #0b57a4; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 0 1rem 4rem; max-width: 70rem; color: var(--ink); background: #fff;
  font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: break-word; }
a { color: var(--link); }
a:focus-visible, button:focus-visible, summary:focus-visible, pre:focus-visible, table:focus-visible {
  outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: .5rem; background: #fff; padding: .25rem .5rem; }
h1 { font-size: 1.6rem; line-height: 1.25; }
h2 { font-size: 1.25rem; margin-top: 2.5rem; }
nav ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .25rem 1rem; }
/* One figure a row, so that its frames of 64 pixels are as large as they are. */
.gallery { display: grid; gap: 2.5rem; grid-template-columns: minmax(0, 1fr); }
figure { margin: 0; min-width: 0; }
/* As large as the still, whatever is shown: else it would shrink away from under the pointer. */
.pic { display: block; width: 100%; padding: 0; border: 1px solid var(--line); background: #fff; }
button.pic { cursor: pointer; }
.pic img { display: block; width: 100%; height: 100%; object-fit: contain; }
@media (max-width: 40rem) { .scroll { overflow-x: auto; } .scroll .pic { width: 48rem; } }
button.pic[aria-pressed=true] { border-color: var(--link); }
figcaption { margin-top: .5rem; }
small, .note { color: var(--grey); }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .1rem .8rem; margin: .5rem 0;
  font-size: .85rem; }
dt { color: var(--grey); }
dd { margin: 0; font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
dd dl { margin: 0; font-size: inherit; grid-template-columns: minmax(0, 1fr); }
dt { overflow-wrap: anywhere; }
@media (max-width: 40rem) { dl { grid-template-columns: minmax(0, 1fr); } dd { margin-left: .8rem; } }
pre { overflow-x: auto; background: var(--soft); padding: .6rem .8rem; font: .85rem/1.45 ui-monospace, monospace; }
.output pre, .jp-OutputArea pre, .output_area pre { background: none; border-left: 3px solid var(--line); }
.prompt { display: none; }
.output_subarea, .text_cell_render { overflow-x: auto; }
main img { max-width: 100%; height: auto; }
table { border: 0; border-collapse: collapse; display: block; width: fit-content; max-width: 100%; overflow-x: auto; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: left; }
.formula { white-space: nowrap; }
.formula sub { line-height: 0; }
math[display=block] { overflow-x: auto; padding: .4rem 0; }
"""

# Plays a figure while it is hovered or focused, and keeps it playing once it is clicked.
_SCRIPT = """
for (const button of document.querySelectorAll('button.pic')) {
  const image = button.querySelector('img'), still = image.getAttribute('src'), {alt} = image;
  let pinned = false;
  const show = (moving) => {
    const wanted = moving || pinned ? button.dataset.gif : still;
    if (image.getAttribute('src') === wanted) return;
    image.setAttribute('src', wanted);
    image.alt = wanted === still ? alt : button.dataset.playing;
  };
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  if (!calm) {
    button.addEventListener('pointerenter', (event) => { if (event.pointerType === 'mouse') show(true); });
    button.addEventListener('pointerleave', () => show(document.activeElement === button));
    button.addEventListener('focus', () => { if (button.matches(':focus-visible')) show(true); });
    button.addEventListener('blur', () => show(false));
  }
  button.addEventListener('click', () => {
    pinned = !pinned;
    button.setAttribute('aria-pressed', pinned);
    show(false);
  });
}
"""


# --- The site --------------------------------------------------------------------------------------------------------


def build(
    out: str | Path | None = None,
    *,
    figures_dir: str | Path | None = None,
    runs_dir: str | Path | None = None,
    figures: Mapping[str, Any] | None = None,
    cards: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """Build the report from what is there: the drawn figures, their manifest, and the executed notebooks.

    Parameters
    ----------
    out
        The site's folder, replaced as a whole; by default ``reports/site``.
    figures_dir
        PNG, PDF, GIF and ``manifest.json``; by default ``figures``.
    runs_dir
        The copies that ``g3an figures`` executed; a notebook that has none is shown as committed.
    figures
        By id, those of another report than the project's own, which shows only what was drawn and the notebooks that
        drew it. By default the whole catalogue and every notebook.
    cards
        Of the networks; by default of the shipped ones.

    Returns
    -------
    Path
        ``index.html``.

    Raises
    ------
    G3ANError
        A folder cannot be written, or the manifest or a picture is damaged.
    """
    from g3an.catalogue import CATALOGUE
    from g3an.runs import project_root

    root = project_root()
    out = Path(out) if out else root / "reports" / "site"
    figures_dir = Path(figures_dir) if figures_dir else root / "figures"
    runs_dir = Path(runs_dir) if runs_dir else root / "reports" / "runs" / "figures"
    manifest = _manifest(figures_dir / "manifest.json")
    notebooks = {path.stem: path for path in sorted((root / "notebooks").glob("*.ipynb"))}
    if figures is None:
        figures = CATALOGUE
    else:
        figures = {key: figure for key, figure in figures.items() if key in manifest}
        drew = {figure.notebook for figure in figures.values()}
        notebooks = {stem: path for stem, path in notebooks.items() if stem in drew and _newest(path, runs_dir)[1]}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".site-", dir=out.parent) as temporary:
            site = Path(temporary) / "site"
            (site / "figures").mkdir(parents=True)
            (site / "notebooks").mkdir()
            for path in sorted(figures_dir.iterdir()) if figures_dir.is_dir() else []:
                if path.suffix in {".png", ".gif", ".pdf", ".json"}:
                    shutil.copyfile(path, site / "figures" / path.name)
            anchors: dict[str, list[str]] = {}
            for stem, path in notebooks.items():
                executed, record = _newest(path, runs_dir)
                here = {key: figure for key, figure in figures.items() if figure.notebook == stem}
                titles = {key: _title(figure, manifest.get(key) or {}) for key, figure in here.items()}
                page = notebook_page(executed, record=record, figures=here, titles=titles)
                anchors[stem] = [key for key in here if f'id="{key}"' in page]
                (site / "notebooks" / f"{stem}.html").write_text(page, encoding="utf-8")
            drawn = {key: _drawn(runs_dir / f"{key}.json") for key in figures}
            index = _index(figures, manifest, anchors, drawn, cards, site / "figures")
            (site / "index.html").write_text(index, encoding="utf-8")
            if out.exists():
                shutil.rmtree(out)
            os.replace(site, out)
    except OSError as error:
        raise G3ANError(f"Cannot write the report {out}: {error.strerror or error}.") from error
    return out / "index.html"


def _manifest(path: Path) -> dict[str, Any]:
    manifest = read_json(path) if path.is_file() else {}
    entries = manifest.values() if isinstance(manifest, dict) else [None]
    if not all(isinstance(entry, dict) and isinstance(entry.get("files", {}), dict) for entry in entries):
        raise G3ANError(f"{path} is damaged: it should hold an entry for each figure. Delete it and draw them again.")
    return manifest


def _newest(notebook: Path, runs_dir: Path) -> tuple[Path, dict[str, Any] | None]:
    """The copy that the last finished figure run executed, with its record; else the committed notebook.

    A copy of an earlier text of the notebook counts no more.
    """
    folder = runs_dir / notebook.stem
    executed = folder / notebook.name
    if executed.is_file() and (folder / "run.json").is_file():
        record = read_json(folder / "run.json")
        if record.get("status") == "finished" and _sources(executed) == _sources(notebook):
            return executed, record
    return notebook, None


def _title(figure: Any, entry: Mapping[str, Any]) -> str:
    """As the manifest's entry has it, for the network that drew the figure; else as of the shipped one."""
    return str(entry.get("title") or figure.told().title)


def _sources(notebook: Path) -> list[str]:
    cells = read_notebook(notebook).cells
    return [cell.source for cell in cells if "injected-parameters" not in cell.metadata.get("tags", [])]


def _drawn(state: Path) -> dict[str, Any]:
    """When a figure was drawn last, and at which commit, where that is known."""
    content = read_json(state) if state.is_file() else {}
    return {key: content[key] for key in ("drawn", "commit") if content.get(key)}


def _index(
    figures: Mapping[str, Any],
    manifest: Mapping[str, Any],
    notebooks: Mapping[str, Sequence[str]],
    drawn: Mapping[str, Mapping[str, Any]],
    cards: Mapping[str, Mapping[str, Any]] | None,
    files: Path,
) -> str:
    """The gallery; ``notebooks`` has the figures that each notebook's page can be linked to."""
    links = "".join(f'<li><a href="notebooks/{stem}.html">{html.escape(_name(stem))}</a></li>' for stem in notebooks)
    titles = {key: f"{figure.number}: {_title(figure, manifest.get(key) or {})}" for key, figure in figures.items()}
    places = "".join(f'<li><a href="#{html.escape(key)}">{html.escape(name)}</a></li>' for key, name in titles.items())
    shown = "".join(
        _card(key, figure, manifest.get(key) or {}, notebooks, drawn[key], files) for key, figure in figures.items()
    )
    body = (
        f"<h1>{TITLE}</h1>"
        "<p>Move onto a figure, or reach it with the Tab key, to see it move; click or tap it to keep it moving. On a "
        "narrow screen, figures scroll sideways. Each links to the notebook that drew it.</p>"
        f'<nav aria-label="Notebooks"><h2>Notebooks</h2><ul>{links}</ul></nav>'
        f'<nav aria-label="Figures"><h2>Figures</h2><ul>{places}</ul></nav>'
        f'<div class="gallery">{shown}</div>{_networks(cards, files)}'
    )
    return _page(TITLE, "", body, _SCRIPT)


_TOLD = ("number", "title", "caption", "alt", "playing", "seeds", "effect", "weights")
"""What the manifest says of a figure and its card shows elsewhere."""


def _card(
    key: str,
    figure: Any,
    entry: Mapping[str, Any],
    notebooks: Mapping[str, Sequence[str]],
    drawn: Mapping[str, Any],
    files: Path,
) -> str:
    """One figure of the gallery: picture, caption, files and where it comes from.

    ``entry`` is the manifest's, which knows from what it was drawn; empty where it was not.
    """
    figure = figure.told()
    names = [Path(name).stem for name in entry.get("files", {})] or [figure.name]
    png, gif = files / f"{names[0]}.png", files / f"{names[0]}.gif"
    told = {name: entry.get(name, getattr(figure, name)) for name in ("number", "title", "caption", "alt", "playing")}
    number, title, alt, playing = (html.escape(told[name]) for name in ("number", "title", "alt", "playing"))
    repeated = told["caption"].lower().startswith(told["title"].lower())
    heading = f"{number}:" if repeated else f"{number}: {title}."
    if png.is_file():
        try:
            with Image.open(png) as image:
                width, height = image.size
        except UnidentifiedImageError:
            again = f"Delete figures/{png.name} and draw {key} again."
            raise G3ANError(f"{png.name} of the figures is damaged: it is no picture. {again}") from None
        wide = f"max-width: {width // 2}px"  # two of its pixels to one of the page's, for sharp screens
        image_tag = f'<img src="figures/{png.name}" alt="{alt}" width="{width}" height="{height}" loading="lazy">'
        if gif.is_file():
            picture = (
                f'<button class="pic" type="button" aria-pressed="false" data-gif="figures/{gif.name}" '
                f'data-playing="{playing or alt}" style="aspect-ratio: {width} / {height}; {wide}">{image_tag}</button>'
            )
        else:
            picture = f'<a class="pic" href="figures/{png.name}" style="{wide}">{image_tag}</a>'
        picture = f'<div class="scroll">{picture}</div>'
    else:
        picture = '<p class="note">Not drawn yet: run <code>make figures</code>.</p>'
    shown = [path for path in (png, gif, png.with_suffix(".pdf")) if path.is_file()]
    links = []
    if figure.notebook in notebooks:
        place = f"#{key}" if key in notebooks[figure.notebook] else ""
        links.append(f'<a href="notebooks/{figure.notebook}.html{place}">Notebook {figure.notebook}</a>')
    links += [f'<a href="figures/{path.name}">{path.suffix[1:].upper()}</a>' for path in shown]
    notes = (("Seeds", entry.get("seeds")), ("Ranked by effect", entry.get("effect")))
    small = " ".join(f"{what}: {_caption(words)}." for what, words in notes if words)
    facts = {name: value for name, value in entry.items() if name not in _TOLD} | dict(drawn)
    provenance = f"<details><summary>Where it comes from</summary>{_facts(facts)}</details>" if entry else ""
    return (
        f'<figure id="{html.escape(key)}">{picture}<figcaption><strong>{heading}</strong> '
        f"{_caption(told['caption'])}{f'<br><small>{small}</small>' if small else ''}<br>{' · '.join(links)}"
        f"</figcaption>{provenance}</figure>"
    )


def _networks(cards: Mapping[str, Mapping[str, Any]] | None, files: Path) -> str:
    """What is known of the networks: of the shipped ones their cards for people, of others what training wrote.

    A picture that a card shows is copied into ``files``.
    """
    from nbconvert.filters import markdown2html

    from g3an import checkpoints

    shown = ""
    for name, card in sorted((checkpoints.shipped() if cards is None else cards).items()):
        readable = checkpoints.WEIGHTS_FOLDER / f"{name}.md"
        if cards is None and readable.is_file():
            _, _, text = readable.read_text(encoding="utf-8").partition("\n")  # without its heading
            for picture in re.findall(r"!\[[^]]*\]\(([\w-]+\.png)\)", text):
                shutil.copyfile(readable.with_name(picture), files / picture)
                text = text.replace(f"]({picture})", f"](figures/{picture})")
            content = markdown2html(text)
        else:
            content = _facts({key: value for key, value in card.items() if key != "curve"})
        shown += f"<details><summary>{html.escape(name)}</summary>{content}</details>"
    return f"<h2>Networks</h2>{shown}" if shown else ""


def _facts(content: Mapping[str, Any], files: bool = False) -> str:
    """A mapping as a definition list, mappings inside it as lists of their own; of ``files``, whose names stay."""
    rows = "".join(
        f"<dt>{html.escape(str(key) if files else str(key).replace('_', ' '))}</dt><dd>{_fact(key, value)}</dd>"
        for key, value in content.items()
        if value not in (None, "", [], {})
    )
    return f"<dl>{rows}</dl>"


def _fact(key: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return _facts(value, files=key == "files")
    if isinstance(value, list) and not any(isinstance(one, list | Mapping) for one in value):
        return html.escape(", ".join("none" if one is None else str(one) for one in value))
    return html.escape(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _name(stem: str) -> str:
    """``07_conditional_generation`` -> ``07 Conditional generation``."""
    number, _, words = stem.partition("_")
    return f"{number} {words.replace('_', ' ').capitalize()}".strip()


def _caption(text: str) -> str:
    """A caption with its formulas and italics."""
    formulas: list[str] = []
    text = re.sub(r"\*([^*]+)\*", r"<em>\1</em>", html.escape(_take_formulas(text, formulas)))
    return _put_formulas(text, formulas)


def _page(title: str, style: str, body: str, script: str = "") -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_CSS}{style}</style></head>"
        f'<body><a class="skip" href="#content">Skip to content</a><main id="content">{body}</main>'
        f"{f'<script>{script}</script>' if script else ''}</body></html>\n"
    )


# --- One notebook ----------------------------------------------------------------------------------------------------


def notebook_page(
    path: str | Path,
    *,
    record: Mapping[str, Any] | None = None,
    figures: Mapping[str, Any] | None = None,
    titles: Mapping[str, str] | None = None,
) -> str:
    """A notebook as one HTML page that needs no other file.

    Parameters
    ----------
    record
        The run's ``run.json``, shown at the top.
    figures
        By id, those that this notebook draws; given for a page of the site, whose gallery is then linked. Each has its
        id as an anchor.
    titles
        Of these, as they were drawn; by default those of the shipped networks.

    Raises
    ------
    G3ANError
        The file is no notebook.
    """
    from nbconvert import HTMLExporter
    from nbconvert.preprocessors import CoalesceStreamsPreprocessor
    from pygments.formatters import HtmlFormatter

    path = Path(path)
    notebook = copy.deepcopy(read_notebook(path))
    # What is of use only where a notebook runs (tools/badges.py).
    notebook.cells = [cell for cell in notebook.cells if not {"badges", "setup"} & set(cell.metadata.get("tags", []))]
    formulas: list[str] = []
    cells: list[Any] = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _take_formulas(cell.source, formulas)
            cell.pop("attachments", None)
        elif cell.cell_type == "code":
            cell.outputs = [_plain_output(output) for output in without_bars(cell.outputs)]
            asked = re.findall(r'[(\[]"(\w+)"', cell.source)  # shown or looked up, not merely listed
            drawn = "".join(f'<span id="{key}"></span>' for key in figures or {} if key in asked)
            if drawn:  # above its heading, where it has one
                place = len(cells) - bool(cells and cells[-1].cell_type == "markdown")
                cells.insert(place, new_markdown_cell(drawn))
        cells.append(cell)
    notebook.cells = cells
    exporter = HTMLExporter(template_name="basic", exclude_anchor_links=True)
    exporter.register_preprocessor(CoalesceStreamsPreprocessor, enabled=True)  # papermill keeps each flush by itself
    body, _ = exporter.from_notebook_node(notebook)
    body = _put_formulas(body, formulas)
    # Wide code and tables scroll sideways; the keyboard must reach them too.
    body = body.replace("<pre>", '<pre tabindex="0">').replace("<table", '<table tabindex="0"')

    top = ""
    if figures is not None:
        numbers = [figure.number for figure in figures.values()]
        back = ""
        for key, figure in figures.items():
            alone = numbers.count(figure.number) == 1 and figure.number[-1].isdigit()
            name = html.escape(figure.number if alone else (titles or {}).get(key) or figure.told().title)
            back += f' · <a href="../index.html#{key}">{name}</a>'
        top = f'<nav aria-label="Gallery"><a href="../index.html">All figures</a>{back}</nav>'
    if record:
        facts = {key: value for key, value in record.items() if key not in {"notebook", "versions", "machine"}}
        facts |= {"versions": ", ".join(f"{name} {number}" for name, number in record.get("versions", {}).items())}
        status = html.escape(str(record.get("status", "")))
        top += f"<details><summary>This run: {status}</summary>{_facts(facts)}</details>"
    style = HtmlFormatter(style="default").get_style_defs(".highlight")
    return _page(_name(path.stem), style, top + body)


# Code first, so that a dollar sign inside it is left alone.
_FORMULA = re.compile(
    r"(?P<code>```.*?```|~~~.*?~~~|`[^`]+`)|\$\$(?P<block>.+?)\$\$|(?<![\\$])\$(?P<inline>[^\s$](?:[^$\n]*[^\s$\\])?)\$(?!\d)",
    re.DOTALL,
)


# z, z_a and z_{a_0}: a list of these needs no MathML, whose subscripts browsers lower too little without a font for it.
_PLAIN = re.compile(r"(?P<name>[A-Za-z])(?:_(?:(?P<below>\w)|\{(?P<outer>\w)_(?P<inner>\w)\}))?")


def _plain_formula(tex: str) -> str:
    """A formula of single letters and their subscripts as HTML; empty for any other."""
    shown = []
    for part in tex.split(","):
        found = _PLAIN.fullmatch(part.strip())
        if not found:
            return ""
        below = found["below"] or (f"{found['outer']}<sub>{found['inner']}</sub>" if found["outer"] else "")
        shown.append(f"<i>{found['name']}</i>" + (f"<sub>{below}</sub>" if below else ""))
    return f'<span class="formula">{", ".join(shown)}</span>'


def _token(number: int) -> str:
    return f"xFORMULAx{number}x"


def _put_formulas(text: str, formulas: Sequence[str]) -> str:
    for number, formula in enumerate(formulas):
        text = text.replace(_token(number), formula)
    return text


def _take_formulas(source: str, formulas: list[str]) -> str:
    """Replace TeX formulas in Markdown by tokens, and append each formula's HTML or MathML to ``formulas``."""
    from latex2mathml.converter import convert

    def swap(match: re.Match[str]) -> str:
        if match["code"]:
            return match["code"]
        tex = match["block"] or match["inline"]
        # A tag is no TeX that the converter knows; it is the equation's number.
        tex = re.sub(r"\\tag\{([^}]*)\}", r"\\qquad (\1)", tex)
        if match["inline"] and (plain := _plain_formula(tex)):
            formulas.append(plain)
            return _token(len(formulas) - 1)
        try:
            formulas.append(convert(tex.strip(), display="block" if match["block"] else "inline"))
        except Exception:  # whatever the converter cannot read stays readable as TeX
            formulas.append(f"<code>{html.escape(tex)}</code>")
        return _token(len(formulas) - 1)

    return _FORMULA.sub(swap, source)


def _plain_output(output: Any) -> Any:
    """An output in a form that a page without scripts can show: GIFs as images, no widgets, pictures with alt text."""
    if "data" not in output:
        return output
    data = output.data
    if len(data) > 1:
        data.pop("application/vnd.jupyter.widget-view+json", None)
    about = output.get("metadata", {})
    told = [about.get(kind, {}).get("alt") for kind in ("image/png", "image/jpeg", "image/gif")] + [about.get("alt")]
    alt = next(filter(None, told), "Output of the cell above")
    if "image/gif" in data:
        encoded = "".join(data["image/gif"].split())
        data.clear()
        data["text/html"] = f'<img src="data:image/gif;base64,{encoded}" alt="{html.escape(alt, quote=True)}">'
    for kind in ("image/png", "image/jpeg"):
        if kind in data:
            output.setdefault("metadata", {}).setdefault(kind, {})["alt"] = alt
    return output


if __name__ == "__main__":
    import sys

    try:
        print(build())
    except G3ANError as problem:
        sys.exit(str(problem))
