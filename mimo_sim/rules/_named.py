"""Rules by their names."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from mimo_sim._checks import did_you_mean
from mimo_sim._registry import scan
from mimo_sim.rules._base import Rule, rules_of


@cache
def registry() -> dict[str, type[Rule]]:
    """Every rule of this room by its name."""
    package = str(__package__)
    path = sys.modules[package].__path__
    return scan(package, path, rules_of, one="the rules", several="rules")


def available() -> tuple[str, ...]:
    """Names of all rules, sorted."""
    return tuple(sorted(registry()))


def create(name: str, **hyper: Any) -> Rule:
    """A rule by its name. Hyper-parameters that are not given have their defaults.

    Raises
    ------
    ValueError
        For an unknown name, or a value outside its range.
    TypeError
        For an unknown hyper-parameter, or a value of the wrong type.
    """
    if name not in registry():
        raise ValueError(
            f"`rule` must be one of {available()}. Got {name!r}.{did_you_mean(name, available())}"
        )
    cls = registry()[name]
    known = tuple(cls().hyper())
    for given in hyper:
        if given not in known:
            raise TypeError(
                f"`{name}` has the hyper-parameters {known}. Got {given!r}."
                f"{did_you_mean(given, known)}"
            )
    return cls(**hyper)
