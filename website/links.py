"""Check the links of a built site: every page, file and anchor that it points at must be there.

`python -m website.links build/site`. Addresses on other machines are not asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

POINTERS = {"href", "src", "data", "poster"}
ELSEWHERE = ("http", "https", "mailto", "data", "javascript")


@dataclass
class Page(HTMLParser):
    """What a page points at, and the anchors that it has."""

    targets: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Take note of ids and of pointers."""
        for name, value in attributes:
            if value is None:
                continue
            if name == "id" or (name == "name" and tag == "a"):
                self.anchors.add(value)
            elif name in POINTERS:
                self.targets.append(value)
            elif name == "srcset":
                self.targets += [part.split()[0] for part in value.split(",") if part.strip()]


def read(path: Path) -> Page:
    """The pointers and anchors of one file."""
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def faults(site: Path) -> Iterator[str]:
    """One line for every link of the site that leads nowhere."""
    pages = {path.resolve(): read(path) for path in sorted(site.rglob("*.html"))}
    root = site.resolve()
    for path, page in pages.items():
        for target in dict.fromkeys(page.targets):
            why = _fault(target, path, root, pages)
            if why:
                yield f"{path.relative_to(root)}: {target[:120]} {why}"


def _fault(target: str, path: Path, root: Path, pages: dict[Path, Page]) -> str:
    """Why a link leads nowhere; empty where it leads somewhere."""
    parts = urlsplit(target)
    if parts.scheme in ELSEWHERE or parts.netloc:
        return ""
    if parts.path.startswith("/"):
        return "starts at the root of the server"
    aim = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not aim.is_relative_to(root):
        return "lies outside the site"
    if aim.is_dir():
        return "is a folder, which a file browser cannot open as a page"
    if not aim.exists():
        return "is not there"
    anchor = unquote(parts.fragment)
    if anchor and aim in pages and anchor not in pages[aim].anchors and "=" not in anchor:
        return "has no such anchor"
    return ""


def main(arguments: list[str] | None = None) -> int:
    """Print the faults of a site; 1 if there are any."""
    (site,) = map(Path, sys.argv[1:] if arguments is None else arguments)
    found = list(faults(site))
    print("\n".join(found) or f"every link and anchor of {site} leads somewhere")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
