"""The ledger and the benchmark page inside the site: their content in the site's frame and look."""

from __future__ import annotations

import html
import re
from pathlib import Path
from string import Template

import mimo_sim as ms
from paper_checks.ledger_page import verdict_style

ROOT = Path(__file__).resolve().parent.parent


LEDGER = "paper_checks/ledger/ledger.html"
# A stored page -> the file that it was made from, which has the style and the script.
STANDING = {LEDGER: "paper_checks/ledger_page.html"} | {
    path.relative_to(ROOT).as_posix(): "mimo_sim/plots/benchmark/page.html"
    for path in sorted(ROOT.glob("benchmarks/*/comparison.html"))
}
# In the repository -> on the site. Links to either form of the ledger lead to the same page.
PAGES = {path: path.replace(".html", ".md") for path in STANDING}
PAGES[LEDGER.replace(".html", ".md")] = PAGES[LEDGER]
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
    template = (ROOT / STANDING[source]).read_text(encoding="utf-8")
    style = Template(part(template, "style")).safe_substitute(
        style=ms.plots.page_style(), colors=verdict_style()
    )
    # the site has its own colours and its own width
    style = re.sub(r"^(@media\(prefers.*|(:root|body|main)\{.*)$", "", style, flags=re.MULTILINE)
    content = part(text, "main")
    (title,) = re.findall("<h1>(.*?)</h1>", content, flags=re.DOTALL)
    return FRAME.substitute(
        title=html.unescape(title),
        fence="`" * 8,
        style=style,
        content=content.replace(f"<h1>{title}</h1>", "", 1),
        script=part(template, "script"),
    )
