"""Runs named in words: ``mimo-normalise=True-f_star=zero`` is "MIMO, normalised, f* = zero"."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from mimo_sim import methods

HYPER = re.compile(r"-(?=[A-Za-z_]\w*=)")  # a hyphen before a name and "=": not that of 1e-3
SYMBOLS = {"lam": "λ", "mu": "μ", "f_star": "f*", "lr": "learning rate"}
FLAGS = {"normalise": "normalised"}  # of hyper-parameters that are true


def method_words(name: str) -> str:
    """What a run is called in figures and pages.

    Parameters
    ----------
    name : str
        As its folder names it: the method, then the hyper-parameters that it was given.

    Examples
    --------
    >>> method_words("mimo-normalise=True-f_star=running_minimum")
    'MIMO, normalised, f* = running minimum'
    >>> method_words("linear_scalarization-weight=1e-3")
    'linear scalarization, weight = 1e-3'
    """
    method, *given = HYPER.split(name)
    base, _, tuned = method.partition("-")
    title = titles().get(base, base.replace("_", " "))
    pairs = [each.split("=", 1) for each in given]
    return ", ".join([title, *filter(None, [tuned]), *(value_words(*pair) for pair in pairs)])


@cache
def titles() -> dict[str, str]:
    """Every registered method -> what it is called in figures and pages."""
    return {
        name: entry.title or name.replace("_", " ") for name, entry in methods.catalogue().items()
    }


def value_words(key: str, value: Any) -> str:
    """One hyper-parameter in words: ``f* = zero``, ``normalised``."""
    words = SYMBOLS.get(key, key.replace("_", " "))
    if str(value) == "True":
        return FLAGS.get(key, words)
    if str(value) == "False":
        return f"not {FLAGS.get(key, words)}"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{words} = {text.replace('_', ' ')}"
