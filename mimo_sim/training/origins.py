"""Where the numbers of a run come from: the version and the git revision of this package."""

from __future__ import annotations

import os
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

PROJECT = "mimo_sim"
CHANGED = "-dirty"  # how git marks a revision with changes on top


@dataclass(frozen=True)
class Origin:
    """The code that made a run.

    Attributes
    ----------
    version : str or None
        Of this package.
    revision : str or None
        The commit of this project's checkout; None outside of one.
    clean : bool or None
        Whether the package's folder was as committed; None where there is no revision.
    """

    version: str | None
    revision: str | None
    clean: bool | None

    def __str__(self) -> str:
        if self.revision is None:
            return f"version {self.version or 'unknown'}"
        return self.revision + CHANGED * (self.clean is False)


@cache
def here() -> Origin:
    """The origin of what this process trains, as it is at the first call."""
    from mimo_sim import __version__

    return Origin(__version__, *_revision(Path(__file__).resolve().parents[2]))


def described(origin: Origin) -> dict[str, Any]:
    """The entry ``origin`` of a record."""
    return asdict(origin)


def of(result: Mapping[str, Any]) -> Origin:
    """The origin of a finished run, from the content of its ``result.json``.

    Records of 0.3.0 and before have a key ``git`` instead of ``origin``: a revision that ends in
    ``-dirty`` where the checkout had changes, or null.

    Raises
    ------
    ValueError
        If the entry is something else.
    """
    if "origin" not in result:
        text = result.get("git")
        revision = None if text is None else str(text).removesuffix(CHANGED)
        clean = None if text is None else not str(text).endswith(CHANGED)
        return Origin(result.get("versions", {}).get(PROJECT), revision, clean)
    try:
        return Origin(**result["origin"])
    except TypeError:
        raise ValueError(
            f"`origin` must have version, revision and clean. Got {result['origin']!r}."
        ) from None


def _revision(checkout: Path) -> tuple[str | None, bool | None]:
    """Revision of this project's checkout, and whether the package in it is as committed.

    The package may be installed inside of somebody else's repository: its revision says nothing.
    """
    try:
        named = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]["name"]
        top, revision = _git(checkout, "rev-parse", "--show-toplevel", "--short=12", "HEAD")
        if named != PROJECT or Path(top).resolve() != checkout.resolve():
            return None, None
        return revision, not _git(checkout, "status", "--porcelain", "--", PROJECT)
    except (OSError, KeyError, ValueError, subprocess.SubprocessError):
        return None, None


def _git(folder: Path, *words: str) -> list[str]:
    """What git says about the repository of a folder, whatever repository a hook is about."""
    outside = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    command = ["git", "--no-optional-locks", "-C", str(folder), *words]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=10, env=outside
    )
    return done.stdout.splitlines()
