"""The ledger and the benchmark page inside the site: their content in the site's frame and look."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template

# In the repository -> on the site. Links to either form of the ledger lead to the same page.
PAGES = {
    "paper_checks/ledger/ledger.html": "paper_checks/ledger/ledger.md",
    "paper_checks/ledger/ledger.md": "paper_checks/ledger/ledger.md",
    "benchmarks/records/comparison.html": "benchmarks/records/comparison.md",
}
TITLES = {
    "ledger": "The claims, checked one by one",
    "comparison": "AV-MNIST: every method and every run",
}
# CSS nesting keeps the page's rules inside this element.
FRAME = Template(
    """# $title

$fence{raw} html
<style>.embedded {
$style
}</style>
<div class="embedded $name">
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


def page(path: Path) -> str:
    """A standing page (.html) of the repository as a page of the site."""
    text = path.with_suffix(".html").read_text(encoding="utf-8")
    style = re.sub(r"^(:root|body|\*)\s*\{[^}]*\}", "", part(text, "style"), flags=re.MULTILINE)
    content = re.sub(r"<h1>.*?</h1>", "", part(text, "main"), count=1, flags=re.DOTALL)
    return FRAME.substitute(
        title=TITLES[path.stem],
        fence="`" * 8,
        style=style,
        name=path.stem,
        content=content,
        script=part(text, "script"),
    )
