"""The ledger and the benchmark page inside the site: their content in the site's frame and look."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from string import Template

import mimo_sim as ms
from paper_checks.ledger_page import verdict_style

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Standing:
    """A stored page that stands by itself.

    Attributes
    ----------
    title : str
        Of the page on the site.
    template : str
        The file that it was made from, in the repository: it has the style and the script.
    """

    title: str
    template: str


STANDING = {
    "paper_checks/ledger/ledger.html": Standing(
        "The claims, checked one by one", "paper_checks/ledger_page.html"
    ),
    "benchmarks/records/comparison.html": Standing(
        "AV-MNIST: every method and every run", "mimo_sim/plots/benchmark/page.html"
    ),
}
# In the repository -> on the site. Links to either form of the ledger lead to the same page.
PAGES = {path: path.replace(".html", ".md") for path in STANDING}
PAGES["paper_checks/ledger/ledger.md"] = "paper_checks/ledger/ledger.md"
# CSS nesting keeps the page's rules inside this element.
FRAME = Template(
    """# $title

$fence{raw} html
<style>.embedded {
$style
}</style>
<div class="embedded">
$content
</div>
<script>
$script
</script>
$fence
"""
)


def part(text: str, tag: str) -> str:
    """What stands between the first opening and the last closing tag of this name."""
    (found,) = re.findall(rf"<{tag}[^>]*>(.*)</{tag}>", text, flags=re.DOTALL)
    return str(found).strip()


def page(source: str) -> str:
    """A standing page of the repository as a page of the site."""
    source = source.replace(".md", ".html")
    text = (ROOT / source).read_text(encoding="utf-8")
    template = (ROOT / STANDING[source].template).read_text(encoding="utf-8")
    style = Template(part(template, "style")).safe_substitute(
        style=ms.plots.page_style(), colors=verdict_style()
    )
    # the site has its own colours and its own width
    style = re.sub(r"^(@media\(prefers.*|(:root|body|main)\{.*)$", "", style, flags=re.MULTILINE)
    return FRAME.substitute(
        title=STANDING[source].title,
        fence="`" * 8,
        style=style,
        content=re.sub(r"<h1>.*?</h1>", "", part(text, "main"), count=1, flags=re.DOTALL),
        script=part(template, "script"),
    )
