"""Badges that open a notebook in Colab or Binder, and the cell that installs the package there.

The address of the repository is written nowhere in it: it is that of the clone the package was
built from (setup.py), so a fork names itself.
``python -m mimo_sim.course.badges notebooks/0*.ipynb`` writes badges into stored notebooks; run
again, it renews them.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mimo_sim._files import replacing

BADGES, INSTALL = "badges", "install"  # ids of the two cells
COLAB = "https://colab.research.google.com"
BINDER = "https://mybinder.org"


def source_page() -> str | None:
    """The page of the repository that this package was built from; None if that is not known."""
    try:
        links = metadata.metadata("mimo_sim").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        return None
    for link in links:
        name, _, address = link.partition(", ")
        if name == "Source":
            return str(address)
    return None


def _repository(page: str) -> str:
    """``owner/name`` of a page on GitHub.

    Raises
    ------
    ValueError
        For another address: Colab opens notebooks from GitHub only.
    """
    parts = urlsplit(page)
    found = re.fullmatch(r"/([\w.-]+/[\w.-]+?)(?:\.git)?/?", parts.path)
    if parts.scheme not in ("http", "https") or parts.hostname != "github.com" or not found:
        raise ValueError(
            "`page` must be the address of a repository on GitHub, such as "
            f"https://github.com/owner/name. Got page={page!r}."
        )
    return found[1]


def badges(page: str, notebook: str, branch: str = "main") -> str:
    """Markdown with two badges that open ``notebooks/<notebook>``.

    Parameters
    ----------
    page : str
        The repository's page, ``https://github.com/owner/name``.
    notebook : str
        Name of the file.
    branch : str
        Of the repository.

    Raises
    ------
    ValueError
        For an address that is not of a repository on GitHub.
    """
    repository = _repository(page)
    colab = f"{COLAB}/github/{repository}/blob/{branch}/notebooks/{notebook}"
    binder = f"{BINDER}/v2/gh/{repository}/{branch}?labpath=notebooks%2F{notebook}"
    return (
        f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({colab})\n"
        f"[![Open in Binder]({BINDER}/badge_logo.svg)]({binder})"
    )


def install_cell(page: str) -> str:
    """Code that installs the package where it is missing, as in Colab.

    It clones the repository, so that the stored runs are at hand too.
    """
    return (
        "import importlib.util\n\n"
        'if importlib.util.find_spec("mimo_sim") is None:  # in Colab\n'
        f"    !git clone --quiet --depth 1 {page} repository\n"
        '    %pip install --quiet --editable "repository[notebooks]"'
    )


def stamped(notebook: dict[str, Any], page: str, name: str) -> dict[str, Any]:
    """The notebook (as JSON) with badges below its title and the cell that installs the package."""
    cells = [cell for cell in notebook["cells"] if cell["id"] not in (BADGES, INSTALL)]
    links: dict[str, Any] = {"cell_type": "markdown", "id": BADGES, "metadata": {}}
    code: dict[str, Any] = {"cell_type": "code", "execution_count": None, "id": INSTALL}
    code |= {"metadata": {"tags": [INSTALL, "remove-cell"]}, "outputs": []}
    made = [
        links | {"source": badges(page, name).splitlines(keepends=True)},
        code | {"source": install_cell(page).splitlines(keepends=True)},
    ]
    return notebook | {"cells": [cells[0], *made, *cells[1:]]}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m mimo_sim.course.badges", description=__doc__)
    parser.add_argument("notebook", nargs="+", type=Path)
    parser.add_argument("--page", help="the repository's page; default: where the clone is from")
    chosen = parser.parse_args(arguments)
    page = chosen.page or source_page()
    if page is None:
        print("the address of the repository is not known: give --page https://github.com/...")
        return 2
    for path in chosen.notebook:
        text = json.dumps(
            stamped(json.loads(path.read_text(encoding="utf-8")), page, path.name),
            indent=1,
            ensure_ascii=False,
        )
        with replacing(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
