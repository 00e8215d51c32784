"""Runs named in words: ``mimo-normalise=True-f_star=zero`` is "MIMO, normalised, f* = zero"."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from mimo_sim import methods

if TYPE_CHECKING:
    from mimo_sim.methods._catalogue import Entry

SEARCHED = "searched"  # the value, in the name of a tuned run, of what was searched on demand
TUNED = "-tuned"  # follows the method in the name of a tuned run
OF_TRAINING = ("lr", "weight_decay")  # settings that a search chooses for every method
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
    base, _, tuned = HYPER.split(name)[0].partition("-")
    title = (known()[base].title if base in known() else "") or base.replace("_", " ")
    given = [value_words(key, value) for key, value in given_hyper(name).items()]
    return ", ".join([title, *filter(None, [tuned]), *given])


def dataset_words(name: str) -> str:
    """What a data set and its setting are called in figures.

    Examples
    --------
    >>> dataset_words("grid--10")
    'grid -10'
    >>> dataset_words("digits")
    'digits'
    """
    return name.replace("-", " ", 1)


def given_hyper(name: str) -> dict[str, str]:
    """The hyper-parameters that a run was given, by the name of its folder."""
    pairs = (each.partition("=") for each in HYPER.split(name)[1:])
    return {key: value for key, _, value in pairs}


def default_name(name: str) -> str:
    """What the defaults of a tuned run are called.

    Examples
    --------
    >>> default_name("mimo-tuned-decay=0-f_star=searched")
    'mimo-decay=0'
    """
    parts = [part for part in HYPER.split(name) if not part.endswith(f"={SEARCHED}")]
    return "-".join(parts).replace(TUNED, "", 1)


@cache
def known() -> dict[str, Entry]:
    """Every registered method by name; read once."""
    return methods.catalogue()


def value_words(key: str, value: Any) -> str:
    """One hyper-parameter in words: ``f* = zero``, ``normalised``."""
    words = SYMBOLS.get(key, key.replace("_", " "))
    if str(value) == "True":
        return FLAGS.get(key, words)
    if str(value) == "False":
        return f"not {FLAGS.get(key, words)}"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{words} = {text.replace('_', ' ')}"
