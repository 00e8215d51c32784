"""Settings of Sphinx. `python -m website` gathers the sources and calls Sphinx with this file."""

from __future__ import annotations

import os
import re
from importlib.metadata import files
from typing import Any

import mimo_sim
from website import execution

project = "mimo_sim"
author = "The mimo_sim developers"
copyright = "2026, the mimo_sim developers. MIT licence"
release = version = mimo_sim.__version__
root_doc = "index"
language = "en"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["**.part*"]
templates_path = ["templates"]

# Markdown
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 4
suppress_warnings = [
    "myst.header",  # a notebook may begin a cell with a heading two levels down
    "ref.python",  # MIMO, MGDA and others are the names of a solver of the toy and of a method
]

# Notebooks: executed in the environment that builds the site, and again only where code changed.
nb_execution_mode = os.environ.get("SITE_NOTEBOOKS", "cache")  # or "off"
nb_execution_cache_path = os.environ["SITE_CACHE"]
nb_execution_timeout = execution.SECONDS
nb_execution_raise_on_error = True
nb_merge_streams = True

# Docstrings
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings say the types
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
add_module_names = False


# Docstrings are plain text with |x| and (B, *shape). Neither is markup, so they are escaped, but
# for what is code or mathematics.
CODE = re.compile(r"(``.*?``|:[\w:]+:`.*?`|`.*?`_*)")


def escaped(line: str) -> str:
    """A line of a docstring whose bars and single stars are text."""
    parts = CODE.split(line)
    parts[::2] = [
        re.sub(r"(?<!\\)\||(?<![\\*\w])\*(?=\w+\))", r"\\\g<0>", part) for part in parts[::2]
    ]
    return "".join(parts)


def plain(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Escape the lines of a docstring, in place, but for blocks of mathematics and code."""
    deeper = -1  # the indentation of a directive whose content is left alone
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if line.strip() and indent <= deeper:
            deeper = -1
        if deeper < 0 and re.match(r"\s*(\.\. math::|>>>)", line):
            deeper = indent
        elif deeper < 0 and not line.lstrip().startswith((".. ", ">>>", "...")):
            lines[i] = escaped(line)


def levelled(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Say the level of the headings in the side bar, which the theme leaves out."""
    bar = context.get("furo_navigation_tree")
    if bar:
        context["furo_navigation_tree"] = bar.replace(
            'role="heading"', 'role="heading" aria-level="2"'
        )


def setup(app: Any) -> None:
    """Tell Sphinx of :func:`plain`; it acts after napoleon."""
    app.connect("autodoc-process-docstring", plain, priority=600)
    app.connect("html-page-context", levelled, priority=900)


# Mathematics: one script of a package, copied into the site; nothing is fetched by a reader.
(MATHJAX,) = [
    str(path.locate())
    for path in files("sphinx-mathjax-offline") or []
    if path.name == "tex-svg.js"
]
mathjax_path = "tex-svg.js"
mathjax_options = {"defer": "defer"}

# Pages
html_theme = "furo"
html_title = f"mimo_sim {release}"
html_short_title = "mimo_sim"
html_static_path = ["static", MATHJAX]
html_extra_path = [os.environ["SITE_EXTRA"]]  # the explorer, the card
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_search_summary = False  # a page from the disk may not read other pages
html_baseurl = os.environ.get("SITE_URL", "")  # where it will be published; for the card
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#005a9c",
        "color-brand-content": "#005a9c",
        "color-brand-visited": "#5b4a9c",
    },
    "dark_css_variables": {
        "color-brand-primary": "#7cc4ff",
        "color-brand-content": "#7cc4ff",
        "color-brand-visited": "#c0b0ff",
    },
}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
