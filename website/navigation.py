"""What stands in the side bar, in which order. New pages find their place by their path."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

# Caption -> patterns of pages, without suffix. A page stands where its first pattern is.
SECTIONS: dict[str, tuple[str, ...]] = {
    "Start": ("explore", "notebooks/00_*", "docs/howto/README"),
    "Course": ("notebooks/*", "docs/teaching", "slides", "docs/problem_sheet*"),
    "How to": (
        "docs/howto/figure1",
        "docs/howto/own_loop",
        "docs/howto/own_data",
        "docs/howto/own_encoders",
        "docs/howto/own_method",
        "docs/howto/lightning",
        "docs/howto/hugging_face",
        "docs/howto/*",
    ),
    "Understand": ("docs/glossary", "docs/toy", "docs/emergence", "docs/landscape"),
    "Results": (
        "docs/claims",
        "paper_checks/ledger/ledger",
        "docs/real_data",
        "benchmarks/*/comparison",
        "methods",
        "docs/conformance",
        "docs/speed",
    ),
    "Reference": ("api/index",),
    "More": ("docs/*", "CHANGELOG", "CONTRIBUTING"),
}
PAGES = (".md", ".rst", ".ipynb")


def sections(pages: list[str]) -> dict[str, list[str]]:
    """Caption -> pages (without suffix), for the sections that have any."""
    left, found = sorted(pages), {}
    for caption, patterns in SECTIONS.items():
        chosen = []
        for pattern in patterns:
            chosen += [page for page in left if fnmatch(page, pattern) and page not in chosen]
        left = [page for page in left if page not in chosen]
        if chosen:
            found[caption] = chosen
    return found


def hung(tree: Mapping[str, str | Path]) -> dict[str, str | Path]:
    """The tree with the side bar in its start page; pages that nothing lists are marked so."""
    names = {place.rpartition(".")[0]: place for place in tree if place.endswith(PAGES)}
    named = sections([name for name in names if name != "index" and not name.startswith("api/m")])
    bars = [
        f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(pages) + "\n```\n"
        for caption, pages in named.items()
    ]
    result = dict(tree)
    result["index.md"] = f"{tree['index.md']}\n" + "\n".join(bars)
    listed = {page for pages in named.values() for page in pages}
    for name, place in names.items():
        if name not in listed and name != "index" and not name.startswith("api/"):
            assert place.endswith(".md"), f"{place} stands in no section of the side bar"
            result[place] = f"---\norphan: true\n---\n\n{tree[place]}"
    return result
