"""Rooms whose files are found by a scan: a new file is a new entry, and no list is edited."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from types import ModuleType
from typing import TypeVar

from mimo_sim._extras import MissingExtraError, explained

Entry = TypeVar("Entry")


def scan(
    package: str,
    path: Iterable[str],
    entries: Callable[[ModuleType], Iterable[tuple[str, Entry]]],
    *,
    one: str,
    several: str,
    remedy: str = "",
    group: str | None = None,
) -> dict[str, Entry]:
    """Import every module of a package and collect what it offers.

    Modules whose names begin with ``_`` are helpers and are left out. Modules of other packages
    join in by an entry point, whose value is the module.

    Parameters
    ----------
    package : str
        Full name of the package, its ``__name__``.
    path : iterable of str
        Folders of the package, its ``__path__``.
    entries : function
        Takes a module and gives its entries as pairs (name, entry).
    one, several : str
        What a module holds and what several entries are called, for the messages:
        ``"the data set"`` and ``"data sets"``.
    remedy : str
        What to do when two entries have the same name: the end of the message.
    group : str, optional
        Of the entry points; by default the package's name.

    Returns
    -------
    dict
        Name -> entry, in the order of the modules' names; those of other packages come last.

    Raises
    ------
    ImportError
        If a module cannot be imported, whatever the reason, or two modules offer
        different entries under one name. The message names the modules.
    """
    found: dict[str, Entry] = {}
    origin: dict[str, str] = {}
    own = sorted(info.name for info in pkgutil.iter_modules(path))
    modules = [f"{package}.{short}" for short in own if not short.startswith("_")]
    modules += from_elsewhere(group or package)
    for module in modules:
        try:
            with explained():
                imported = importlib.import_module(module)
        except MissingExtraError:
            raise
        except Exception as error:  # somebody's new file: whatever is wrong with it, say where
            raise ImportError(
                f"{one} in {module} cannot be imported: {type(error).__name__}: {error}"
            ) from error
        for name, entry in entries(imported):
            if found.get(name, entry) is not entry:
                raise ImportError(
                    f"two {several} are called {name!r}, in {origin[name]} and {module}{remedy}"
                )
            found[name], origin[name] = entry, module
    return found


def from_elsewhere(group: str) -> list[str]:
    """The modules that other installed packages offer in a group of entry points, sorted."""
    return sorted({point.value for point in entry_points(group=group)})
