"""Slides from a notebook: one HTML file with reveal.js in it, for a room without network.

``python -m mimo_sim.course.slides notebooks/slides.ipynb --out build/slides.html`` executes the
notebook and writes it. What is a new slide, a note for the speaker or hidden stands in the cells'
metadata, as in Jupyter. Keys: arrows or space go on, S opens the notes, Esc shows all slides.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

from mimo_sim._extras import explained, folder_of
from mimo_sim._files import replacing
from mimo_sim.course import pages

SIZE = (1120, 700)  # of a slide in pixels; the browser scales it to the screen
HIDDEN = "remove-input"  # tag of a cell whose code is not shown
TEMPLATE = """{%- extends 'reveal/index.html.j2' -%}
{%- block header -%}
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1.0">
<title>{{ resources.metadata.name | escape_html }}</title>
{{ resources.include_css("static/index.css") }}
{{ resources.include_css("static/theme-light.css") }}
<style>$style</style>
<style>
html, body, main { height: 100%; margin: 0; padding: 0; }
.reveal { font-size: 27px; }
.reveal .slides { text-align: left; }
.reveal h1, .reveal h2, .reveal h3 { text-transform: none; color: #222; margin: 0 0 .5em; }
.reveal h1 { font-size: 1.9em; } .reveal h2 { font-size: 1.45em; }
.reveal p, .reveal li { line-height: 1.4; }
.reveal .slide-number { background: #333; color: #fff; }
.reveal blockquote { width: auto; margin: .6em 0; padding: .2em 1em; font-style: normal;
  background: #eef5fb; border-left: 5px solid #0072B2; box-shadow: none; }
.reveal section img { margin: .2em auto; width: 92%; max-height: 460px; object-fit: contain;
  display: block; }
.reveal pre, .reveal .jp-OutputArea-output pre { font-size: 22px; width: 100%; box-shadow: none;
  margin: 0; }
.reveal table { font-size: 23px; }
.reveal math[display=block] { margin: .5em 0; font-size: 1.1em; }
.jp-Notebook { padding: 0; } .jp-Cell { padding: 0; } a.anchor-link { display: none; }
.jp-RenderedHTMLCommon { font-size: 27px; } .jp-Prompt, .jp-InputPrompt, .jp-OutputPrompt,
.jp-Collapser { display: none; }
</style>
</head>
{%- endblock header -%}
{%- block footer_js -%}
<script>$script</script>
<script>$notes</script>
<script>
Reveal.initialize({ width: $width, height: $height, margin: 0.05, hash: true, center: false,
  slideNumber: "c/t", transition: "none", plugins: [RevealNotes] });
</script>
{%- endblock footer_js -%}
"""


def reveal() -> dict[str, str]:
    """Scripts and styles of reveal.js, from the package that brings it.

    Raises
    ------
    MissingExtraError
        Without the extra ``notebooks``.
    """
    folder = folder_of("sphinx_revealjs") / "_static" / "revealjs"

    def read(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    sheets = [read(f"dist/{name}.css") for name in ("reset", "reveal", "theme/white")]
    style = re.sub(r"@import url\([^)]*\);", "", "\n".join(sheets))  # a font from beside the file
    return {
        "style": style,
        "script": read("dist/reveal.js"),
        "notes": read("plugin/notes/notes.js"),
    }


def page(notebook: Any, title: str) -> str:
    """An executed notebook as slides in one HTML file that loads nothing.

    Raises
    ------
    MissingExtraError
        Without the extra ``notebooks``.
    """
    with explained():
        from nbconvert import SlidesExporter
        from traitlets.config import Config

    settings = Config()
    settings.TagRemovePreprocessor.enabled = True
    settings.TagRemovePreprocessor.remove_input_tags = {HIDDEN}
    parts = {name: f"{{% raw %}}{text}{{% endraw %}}" for name, text in reveal().items()}
    width, height = SIZE
    template = Template(TEMPLATE).substitute(parts, width=width, height=height) + pages.PICTURE
    exporter = SlidesExporter(config=settings, raw_template=template)
    exporter.register_filter("markdown2html", lambda text: pages.markdown(text))
    resources = {"metadata": {"name": title}}
    text: str = exporter.from_notebook_node(pages.described(notebook), resources=resources)[0]
    return text


def write(source: Path, out: Path) -> None:
    """Execute a notebook and write its slides."""
    notebook = pages.executed(source)
    with replacing(out) as temporary:
        temporary.write_text(page(notebook, pages.title_of(notebook)), encoding="utf-8")
    print(f"wrote {out}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m mimo_sim.course.slides", description=__doc__)
    parser.add_argument("notebook", nargs="?", type=Path, default=Path("notebooks/slides.ipynb"))
    parser.add_argument("--out", type=Path, default=Path("build/slides.html"))
    chosen = parser.parse_args(arguments)
    write(chosen.notebook, chosen.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
