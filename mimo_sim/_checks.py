"""Checks of arguments. Each refuses a bad value in one sentence.

The sentence names the argument and says what is allowed and what was given.
"""

from __future__ import annotations

import difflib
import math
import operator
import os
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]


def check_positive(name: str, value: float, *, allow_zero: bool = False) -> None:
    """Raise ``ValueError`` unless `value` is finite and > 0 (or >= 0)."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"`{name}` must be a number. Got {name}={value!r}.")
    if not (math.isfinite(value) and (value > 0 or (allow_zero and value == 0))):
        bound = ">= 0" if allow_zero else "> 0"
        raise ValueError(f"`{name}` must be finite and {bound}. Got {name}={value!r}.")


def check_within(name: str, value: float, low: float, high: float) -> None:
    """Raise ``ValueError`` unless `low` < `value` < `high`."""
    if not low < value < high:
        raise ValueError(f"`{name}` must lie in ({low:g}, {high:g}). Got {name}={value}.")


def check_choice(name: str, value: Any, allowed: Iterable[Any]) -> None:
    """Raise ``ValueError`` unless `value` is one of `allowed`."""
    allowed = tuple(allowed)
    if value not in allowed:
        hint = did_you_mean(value, allowed)
        raise ValueError(f"`{name}` must be one of {allowed}. Got {name}={value!r}.{hint}")


def did_you_mean(value: Any, allowed: Iterable[Any]) -> str:
    """A question for the end of a message: which allowed string did the user mean?

    It begins with a space and names at most two of the `allowed` strings that are close to `value`.
    It is empty where none is close, and where `value` is no string. Upper and lower case count as
    the same.

    Examples
    --------
    >>> did_you_mean("mimoo", ["mimo", "vanilla"])
    " Did you mean 'mimo'?"
    """
    if not isinstance(value, str):
        return ""
    names = {name.lower(): name for name in allowed if isinstance(name, str)}
    close = difflib.get_close_matches(value.lower(), names, n=2)
    if not close:
        return ""
    return f" Did you mean {' or '.join(repr(names[name]) for name in close)}?"


def check_count(name: str, value: Any, least: int = 1) -> int:
    """`value` as an int.

    Raises ``TypeError`` unless it is an integer, and ``ValueError`` unless it is >= `least`.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"`{name}` must be an integer. Got {name}={value!r}.") from None
    if number < least:
        raise ValueError(f"`{name}` must be >= {least}. Got {name}={value!r}.")
    return number


def check_path(name: str, value: Any) -> None:
    """Raise ``TypeError`` unless `value` is a path, as text or as a path object, or None."""
    if value is not None and not isinstance(value, str | os.PathLike):
        raise TypeError(f"`{name}` must be a path or None. Got {name}={value!r}.")


def finite_array(name: str, value: Any) -> FloatArray:
    """`value` as an array of float64.

    Raises ``TypeError`` unless it holds numbers, and ``ValueError`` unless all are finite.
    """
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"`{name}` must be an array of numbers. Got {type(value).__name__}: {error}."
        ) from None
    finite = np.isfinite(array)
    if not finite.all():
        bad = int((~finite).sum())
        raise ValueError(
            f"`{name}` must be finite. Got {bad} NaN or infinite of {array.size} values."
        )
    return array
