"""What the explorer puts on the page: its style, the script that names its controls, and the picture with its words."""

from __future__ import annotations

import html
from base64 import b64encode

from g3an.catalogue import data_set, provenance, stamp
from g3an.studio import GAP, Studio
from g3an.views import View

SIDE = 64  # pixels of a video's frame
SCALES = {1: 5, 2: 3, 3: 2, 4: 2}  # by columns: whole numbers, so that pixels stay squares

# Blue and orange are told apart by all, and the letters say the same. Text takes the theme's colours, light or dark.
STYLE = """<style>
.g3an-explorer { --a: #0072b2; --b: #e69f00; max-width: 78rem; overflow: visible; container-type: inline-size; }
.g3an-explorer .widget-html-content { line-height: 1.4; height: auto; }
.g3an-explorer .widget-label { min-width: 5.5rem; }
.g3an-explorer .widget-toggle-buttons { display: flex; flex-flow: row wrap; width: auto; height: auto; }
.g3an-explorer .widget-toggle-buttons .widget-label { text-align: right; margin-right: 8px; }
.g3an-explorer :is(.lm-Panel, .widget-dropdown, .widget-text, .widget-hslider) { overflow: visible; min-width: 0; }
.g3an-explorer h3 { font-size: 1em; margin: .5rem 0 .1rem; }
.g3an-explorer .g3an-left { flex: 1 1 22rem; max-width: 35rem; }
.g3an-left .widget-dropdown .widget-label { min-width: 0; width: auto; }
.g3an-explorer .g3an-right { flex: 1 1 26rem; min-width: min(100%, 18rem); }
.g3an-explorer figure { margin: 0; }
.g3an-sheet { display: grid; gap: 4px; justify-content: start; align-items: center; justify-items: center; }
.g3an-sheet picture { width: 100%; line-height: 0; }
.g3an-sheet img { width: 100%; height: auto; image-rendering: pixelated; background: #808080; }
.g3an-explorer figcaption { font-size: .92em; margin-top: .3rem; overflow-wrap: anywhere; }
.g3an-explorer figcaption small { color: var(--jp-ui-font-color2, #555); }
.g3an-badge { padding: 0 .45em; border-radius: .2em; font-weight: 600; white-space: nowrap; }
.g3an-a { background: var(--a); color: #fff; }
.g3an-b { background: var(--b); color: #000; }
.g3an-edits-a { border-left: 6px solid var(--a); padding-left: .6rem; }
.g3an-edits-b { border-left: 6px solid var(--b); padding-left: .6rem; }
.g3an-stamp, .g3an-failed { font-weight: 600; color: var(--jp-error-color0, #b00020); }
.g3an-explorer pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; padding: .5rem;
  background: var(--jp-layout-color2, #f3f3f3); color: var(--jp-ui-font-color1, #1a1a1a); }
.g3an-explorer :is(button, input, select, .noUi-handle, pre):focus-visible { outline: 3px solid var(--a);
  outline-offset: 1px; }
@container (max-width: 20rem) {
  .g3an-explorer .widget-inline-hbox { flex-wrap: wrap; height: auto; }
  .g3an-explorer .widget-label.widget-label { width: 100%; text-align: left; }
}
</style>"""

# ipywidgets names neither the handles of its sliders nor its pressed buttons for screen readers.
SCRIPT = """
const start = () => {
  const root = element.closest('.g3an-explorer');
  if (!root) { setTimeout(start, 100); return; }
  const put = (node, name, value) => { if (node && node.getAttribute(name) !== value) node.setAttribute(name, value); };
  const describe = () => {
    for (const slider of root.querySelectorAll('.widget-slider')) {
      const label = slider.querySelector('.widget-label')?.textContent || '';
      put(slider.querySelector('.noUi-handle'), 'aria-label', label);
      put(slider.querySelector('.widget-readout'), 'role', 'textbox');
      put(slider.querySelector('.widget-readout'), 'aria-label', label + ', as a number');
    }
    for (const button of root.querySelectorAll('.widget-toggle-buttons button'))
      put(button, 'aria-pressed', String(button.classList.contains('mod-active')));
    for (const group of root.querySelectorAll('.widget-toggle-buttons')) {
      put(group, 'role', 'group');
      put(group, 'aria-label', group.querySelector('.widget-label')?.textContent || '');
    }
    put(root.querySelector('.g3an-status .widget-html-content'), 'role', 'status');
  };
  describe();
  new MutationObserver(describe).observe(root, { childList: true, subtree: true, attributeFilter: ['class'] });
};
start();
"""


def picture(studio: Studio, view: View, moving: bytes, still: bytes = b"") -> str:
    """The picture as HTML, with names of its rows and columns, caption and alternative text.

    Parameters
    ----------
    moving, still
        WebP or PNG; ``still`` is for those whose system asks for less motion.
    """
    rows = columns = 1
    top, side = [_badge(name) for name in view.labels()] if view.show != "grid" else [], []
    if view.show == "grid":
        rows = columns = view.grid
        top = [f"z_m {_badge(name)}" for name in view.axis("z_m")]
        side = [f"z_a {_badge(name)}" for name in view.axis("z_a")]
    elif view.show == "A and B":
        columns = 2
    width, height = (SCALES[columns] * (n * (SIDE + GAP) - GAP) for n in (columns, rows))
    first = 2 if side else 1
    cells = "".join(f'<div style="grid-area: 1 / {k}">{name}</div>' for k, name in enumerate(top, first))
    cells += "".join(f'<div style="grid-area: {k} / 1">{name}</div>' for k, name in enumerate(side, 2))
    less = f'<source media="(prefers-reduced-motion: reduce)" srcset="{_data(still)}">' if still else ""
    alt = html.escape(studio.alt(view), quote=True)
    image = f'<img src="{_data(moving)}" alt="{alt}" width="{width}" height="{height}" decoding="sync">'
    down = f"repeat({rows}, minmax(0, 1fr))"
    across = "auto " * bool(side) + f"repeat({columns}, minmax(0, {width // columns}px))"
    warning = html.escape(stamp(studio.generator))
    return (
        f'<figure><div class="g3an-stamp">{warning}</div>'
        f'<div class="g3an-sheet" style="grid-template: auto {down} / {across}">{cells}'
        f'<picture style="grid-area: 2 / {first} / span {rows} / span {columns}">{less}{image}</picture></div>'
        f"<figcaption>{html.escape(data_set(studio.generator))}. {html.escape(view.words())}<br>"
        f"<small>{html.escape(provenance(studio.generator))}</small></figcaption></figure>"
    )


def _badge(name: str) -> str:
    colour = f" g3an-{name.lower()}" if name in ("A", "B") else ""
    return f'<span class="g3an-badge{colour}">{html.escape(name)}</span>'


def _data(content: bytes) -> str:
    kind = "webp" if content.startswith(b"RIFF") else "png"
    return f"data:image/{kind};base64,{b64encode(content).decode()}"
