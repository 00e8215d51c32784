"""Fusion networks by name; a new module with a ``FusionNetwork`` in it is found by itself."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from functools import cache
from types import ModuleType

from mimo_sim._checks import did_you_mean, shown
from mimo_sim._registry import scan
from mimo_sim.networks._base import FusionNetwork

PACKAGE = __name__.rpartition(".")[0]


def _networks(module: ModuleType) -> Iterator[tuple[str, type[FusionNetwork]]]:
    """The named networks that a module defines."""
    for value in vars(module).values():
        known = inspect.isclass(value) and issubclass(value, FusionNetwork)
        if known and value.name and value.__module__ == module.__name__:
            yield value.name, value


@cache
def _registry() -> dict[str, type[FusionNetwork]]:
    return scan(
        PACKAGE,
        sys.modules[PACKAGE].__path__,
        _networks,
        one="the fusion network",
        several="fusion networks",
        remedy=": set `name` in the class.",
    )


def available() -> tuple[str, ...]:
    """Names of all fusion networks, sorted."""
    return tuple(sorted(_registry()))


def get_network(name: str) -> type[FusionNetwork]:
    """The fusion network of a name.

    Raises
    ------
    ValueError
        If there is no such network.
    """
    if not isinstance(name, str) or name not in available():
        raise ValueError(
            f"`fusion` must be one of {available()}. Got {shown(name)}."
            f"{did_you_mean(name, available())}"
        )
    return _registry()[name]
