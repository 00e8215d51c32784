"""Notebooks as pages to read: executed, in one file each, without network.

``python -m mimo_sim.course.pages notebooks/0*.ipynb --out notebooks/_rendered`` writes them.
Formulas become MathML, which browsers draw themselves, so no script is loaded from anywhere.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from html import escape, unescape
from pathlib import Path
from typing import Any

from mimo_sim._extras import explained
from mimo_sim._files import replacing
from mimo_sim.course.badges import badges, source_page

SECONDS = 600  # for one cell: the first run of the exact engine compiles it
PICTURE = """{%- block data_png scoped -%}
<div class="jp-RenderedImage jp-OutputArea-output {{ extra_class }}">
<img src="data:image/png;base64,{{ output.data['image/png'] | escape_html }}"
alt="{{ (output | get_metadata('alt', 'image/png')) or 'Figure' | escape_html }}"></div>
{%- endblock data_png -%}
"""
NO_SCRIPTS = """{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock html_head_js -%}
{%- block jupyter_widgets -%}{%- endblock jupyter_widgets -%}
{%- block html_head_js_mathjax -%}{%- endblock html_head_js_mathjax -%}
{%- block html_head_css -%}<style>
main { max-width: 62rem; margin: 0 auto; }
math[display=block] { margin: .6em 0; font-size: 1.1em; }
.jp-RenderedHTMLCommon blockquote { border-left: 4px solid #0072B2; padding: .1em 1em; }
.jp-RenderedHTMLCommon details { border: 1px solid #999; border-radius: 4px; padding: .3em .8em; }
.jp-RenderedHTMLCommon summary { cursor: pointer; }
</style>{%- endblock html_head_css -%}
"""


def mathml(formula: str, *, display: bool) -> str:
    """A formula of LaTeX as MathML; the LaTeX itself becomes its label for screen readers.

    Raises
    ------
    MissingExtraError
        Without the extra ``notebooks``.
    """
    with explained():
        from latex2mathml.converter import convert

    text = formula.strip()
    element: str = convert(text, display="block" if display else "inline")
    return element.replace("<math ", f'<math aria-label="{escape(text)}" ', 1)


def markdown(text: str) -> str:
    """Markdown of a notebook as HTML, its formulas as MathML."""
    with explained():
        from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    class Renderer(IPythonRenderer):  # type: ignore[misc]
        def block_math(self, body: str) -> str:
            return mathml(body, display=True)

        def inline_math(self, body: str) -> str:
            return mathml(body, display=False)

        def heading(self, text: str, level: int, **attrs: Any) -> str:
            words = re.findall(r"\w+", unescape(re.sub(r"<[^>]*>", " ", text)).lower())
            return f'<h{level} id="{"-".join(words)}">{text}</h{level}>\n'

    rendered: str = MarkdownWithMath(Renderer(escape=False)).render(text)
    return rendered


def executed(path: Path) -> Any:
    """The notebook with its outputs, executed in its own folder. It raises what a cell raises."""
    with explained():
        import nbformat
        from nbconvert.preprocessors import ExecutePreprocessor

    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    runner = ExecutePreprocessor(timeout=SECONDS, kernel_name="python3")
    runner.preprocess(notebook, {"metadata": {"path": str(path.parent)}})
    return notebook


def described(notebook: Any) -> Any:
    """The notebook, each of whose pictures is described by the heading above it."""
    heading = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            found = re.findall(r"^#+ (.+)$", cell.source, flags=re.MULTILINE)
            heading = found[-1] if found else heading
            continue
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                text = f"Figure: {heading.replace('$', '')}. The text below describes it."
                output.setdefault("metadata", {}).setdefault("image/png", {})["alt"] = text
    return notebook


def page(notebook: Any, title: str) -> str:
    """An executed notebook as one HTML file that loads nothing."""
    with explained():
        from nbconvert import HTMLExporter

    exporter = HTMLExporter(raw_template=NO_SCRIPTS + PICTURE)
    exporter.register_filter("markdown2html", lambda text: markdown(text))
    resources = {"metadata": {"name": title}}
    text: str = exporter.from_notebook_node(described(notebook), resources=resources)[0]
    # A page links to the other pages, not to the notebooks that they are made from.
    return re.sub(r'(href="(?:\./)?\d\d_\w+)\.ipynb"', r'\1.html"', text)


def title_of(notebook: Any) -> str:
    """The first heading of a notebook."""
    texts = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    found = re.search(r"^# (.+)$", "\n".join(texts), flags=re.MULTILINE)
    return found[1] if found else "Notebook"


def write(paths: Sequence[Path], out: Path) -> None:
    """Execute notebooks and write each as a page into the folder `out`; say how long each took."""
    address = source_page()
    for path in paths:
        start = time.perf_counter()
        notebook = executed(path)
        seconds = time.perf_counter() - start
        if address is not None:
            first = notebook.cells[0]
            first.source = f"{first.source}\n\n{badges(address, path.name)}"
        with replacing(out / f"{path.stem}.html") as temporary:
            temporary.write_text(page(notebook, title_of(notebook)), encoding="utf-8")
        print(f"{path.name:36} {seconds:5.1f} s -> {out / path.stem}.html", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m mimo_sim.course.pages", description=__doc__)
    parser.add_argument("notebook", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("notebooks/_rendered"))
    chosen = parser.parse_args(arguments)
    write(chosen.notebook, chosen.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
