"""Packages that only some rooms need. A missing one is named with the command that installs it.

An *extra* is a group of such packages in pyproject.toml: ``mimo_sim[testing]`` installs one.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lazy_loader

from mimo_sim import _moved

EXTRAS = {
    "torch": "train",
    "lightning_fabric": "train",
    "sklearn": "train",
    "pooch": "train",
    "seaborn": "train",
    "transformers": "backbones",
    "nbconvert": "notebooks",
    "nbformat": "notebooks",
    "latex2mathml": "notebooks",
    "sphinx_revealjs": "notebooks",
    "av": "media",
    "optuna": "tune",
    "joblib": "sweeps",
    "distributed": "sweeps",
    "numba_cuda": "cuda",
    "hypothesis": "testing",
}  # package -> extra of pyproject.toml


def sentence(package: str) -> str:
    """The message about a package of :data:`EXTRAS` that is not installed."""
    return (
        f"this needs {package}, which is not installed: pip install 'mimo_sim[{EXTRAS[package]}]'"
        + " (in a clone: make torch)" * (EXTRAS[package] == "train")
    )


class MissingExtraError(ModuleNotFoundError):
    """An optional package is not installed. The message names the extra that installs it."""


@contextmanager
def explained() -> Iterator[None]:
    """Inside this block, the error about a missing package also names its extra.

    Raises
    ------
    MissingExtraError
        A ``ModuleNotFoundError``, in place of the bare one.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS or isinstance(error, MissingExtraError):
            raise
        raise MissingExtraError(sentence(package), name=package) from None


def folder_of(package: str) -> Path:
    """Folder of a package of :data:`EXTRAS`. The package is not imported.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    with explained():
        found = importlib.util.find_spec(package)
        if found is None or not found.submodule_search_locations:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    return Path(found.submodule_search_locations[0])


def attach(
    package: str, file: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a room that loads a name at its first use.

    The names stand in the stub ``__init__.pyi`` beside `file`.
    """
    load, names, everything = lazy_loader.attach_stub(package, file)
    missing = _moved.hook(package)

    def load_explained(name: str) -> Any:
        if name not in everything:
            missing(name)
        with explained():
            return load(name)

    return load_explained, names, everything
