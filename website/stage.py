"""Gather what the site shows as one tree of sources, laid out as in the repository.

Because the layout is the same, a relative link that works in the repository works on the site.
Files are written only where they changed, so that Sphinx reads only those again.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from website import api, catalogue, embedded, extra, navigation

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?(\))")
BACK = re.compile(
    r"^Back to the \[README\]\(\.\./README\.md\)(, or to [^.]*?\.md\))?\.[ \n]*", re.M
)
START = "docs/README.md"  # the start page of the site
MADE = ("search", "genindex", "py-modindex", "explorer", "deck")  # pages without a source
Content = str | Path  # a text, or a file to copy


def moved(path: str) -> str:
    """Where a file of the repository stands on the site."""
    if path in (START, "README.md"):
        return "index.md"
    if path == extra.SLIDES:
        return "slides.md"
    return embedded.PAGES.get(path, path)


def relinked(text: str, source: str, note: Callable[[str], None]) -> str:
    """A Markdown text of the repository with links for its place on the site.

    Parameters
    ----------
    text, source : str
        The text, and its path in the repository.
    note : function
        Is told every file of the repository that the text points at.
    """
    here = posixpath.dirname(moved(source))

    def link(found: re.Match[str]) -> str:
        aim = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[2]))
        if aim.startswith("..") or not (ROOT / aim).exists():
            return found[0]  # Sphinx complains
        note(aim)
        return f"{found[1]}{posixpath.relpath(moved(aim), here or '.')}{found[3] or ''}{found[4]}"

    return LINK.sub(link, text)


def page(text: str, source: str, note: Callable[[str], None]) -> str:
    """A page of the repository as the site shows it: no way back to README, always a title."""
    text = relinked(BACK.sub("", text), source, note)
    if text.startswith("# "):
        return text
    return f"# {PurePosixPath(source).parent}: {PurePosixPath(source).stem}\n\n{text}"


def notebook(text: str, source: str, note: Callable[[str], None]) -> str:
    """A notebook whose Markdown cells have links for the site. Its code is not touched.

    Files of the repository that the code names, such as "../benchmarks/x.csv.gz", are noted too.
    """
    content = json.loads(text)
    for cell in content["cells"]:
        code = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            cell["source"] = relinked(code, source, note)
            continue
        for name in re.findall(r"""["'](\.\./[^"']+)["']""", code):
            aim = posixpath.normpath(posixpath.join(posixpath.dirname(source), name))
            if (ROOT / aim).is_file():
                note(aim)
    return json.dumps(content, indent=1)


def sources() -> Iterator[str]:
    """The files that the site begins with: pages, and what lies beside the notebooks."""
    yield from ("CHANGELOG.md", "CONTRIBUTING.md", *embedded.PAGES)
    for folder, pattern in (("docs", "*.md"), ("notebooks", "*")):
        for path in sorted((ROOT / folder).rglob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            if path.is_file() and not re.search(r"/[._]", name):
                yield name


def gather() -> dict[str, Content]:
    """Path on the site -> its text, or the file to copy."""
    tree: dict[str, Content] = {}
    todo = list(sources())
    for source in todo:
        place = moved(source)
        if place in tree or source in ("README.md", extra.SLIDES):
            continue
        path = ROOT / source
        if path.is_dir():
            raise IsADirectoryError(f"a page of the site points at the folder {source}")
        if source in embedded.PAGES:
            tree[place] = embedded.page(source)
        elif path.suffix == ".md":
            tree[place] = page(path.read_text(encoding="utf-8"), source, todo.append)
        elif path.suffix == ".ipynb":
            tree[place] = notebook(path.read_text(encoding="utf-8"), source, todo.append)
        else:
            tree[place] = path
    tree["index.md"] = extra.invited(str(tree["index.md"]))
    tree |= api.pages() | catalogue.pages() | extra.pages()
    return navigation.hung(tree)


def write(tree: dict[str, Content], folder: Path) -> None:
    """Make the folder hold this tree and nothing else. What is unchanged is left alone."""
    for place, content in tree.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        new = content.read_bytes() if isinstance(content, Path) else content.encode()
        if not path.exists() or path.read_bytes() != new:
            path.write_bytes(new)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file() and path.relative_to(folder).as_posix() not in tree:
            path.unlink()
        elif path.is_dir() and not os.listdir(path):
            path.rmdir()


def clear(tree: dict[str, Content], out: Path) -> None:
    """Remove pages of an earlier build whose source is gone: Sphinx leaves them."""
    named = {place.rpartition(".")[0] for place in tree}
    for path in out.rglob("*.html"):
        name = path.relative_to(out).as_posix().removesuffix(".html")
        if name not in named and name not in MADE:
            path.unlink()
