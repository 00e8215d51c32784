"""Checks of arguments. Each refuses a bad value in one sentence.

The sentence names the argument and says what is allowed and what was given.
"""

from __future__ import annotations

import difflib
import math
import operator
import os
from collections.abc import Hashable, Iterable, Sequence
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]


LARGEST = 1e100  # of a number or moment that is given: what is computed from it stays finite
MOST = 2**63 - 1  # the largest integer that arrays and files can hold


def shown(value: Any) -> str:
    """`value` as Python writes it, cut to 80 characters, for the end of a message."""
    try:
        return f"{value!r:.80}"
    except ValueError:  # Python writes no integer of more than 4300 digits
        return f"an integer of {value.bit_length()} bits"


def check_number(name: str, value: Any) -> float:
    """`value` as a float; inf where it is an integer that no float can hold.

    Raises ``TypeError`` unless it is a real number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"`{name}` must be a number. Got {name}={shown(value)}.")
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value > 0 or -1)


def check_positive(
    name: str, value: float, *, allow_zero: bool = False, most: float = LARGEST
) -> None:
    """Raise ``ValueError`` unless `value` is finite, > 0 (or >= 0), and at most `most`."""
    number = check_number(name, value)
    if not (math.isfinite(number) and (number > 0 or (allow_zero and number == 0))):
        bound = ">= 0" if allow_zero else "> 0"
        raise ValueError(f"`{name}` must be finite and {bound}. Got {name}={shown(value)}.")
    if number > most:
        raise ValueError(f"`{name}` must be at most {most:g}. Got {name}={shown(value)}.")


def check_step_size(name: str, value: float) -> None:
    """Raise ``ValueError`` unless `value` is finite and > 0.

    It may be beyond 1e100: such a run diverges, and says so.
    """
    check_positive(name, value, most=math.inf)


def check_within(name: str, value: float, low: float, high: float) -> None:
    """Raise ``ValueError`` unless `low` < `value` < `high`."""
    if not low < check_number(name, value) < high:
        raise ValueError(f"`{name}` must lie in ({low:g}, {high:g}). Got {name}={shown(value)}.")


def check_choice(name: str, value: Any, allowed: Iterable[Any]) -> None:
    """Raise ``ValueError`` unless `value` is one of `allowed`."""
    allowed = tuple(allowed)
    if not isinstance(value, Hashable) or value not in allowed:
        hint = did_you_mean(value, allowed)
        raise ValueError(f"`{name}` must be one of {allowed}. Got {name}={shown(value)}.{hint}")


def check_flag(name: str, value: Any) -> None:
    """Raise ``TypeError`` unless `value` is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"`{name}` must be True or False. Got {name}={shown(value)}.")


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


def check_count(name: str, value: Any, least: int = 1, most: int = MOST) -> int:
    """`value` as an int.

    Raises ``TypeError`` unless it is an integer, and ``ValueError`` unless it is >= `least` and
    <= `most`.
    """
    try:
        if isinstance(value, bool | np.ndarray):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"`{name}` must be an integer. Got {name}={shown(value)}.") from None
    if number < least:
        raise ValueError(f"`{name}` must be >= {least}. Got {name}={shown(value)}.")
    if number > most:
        raise ValueError(f"`{name}` must be <= {most:,}. Got {name}={shown(value)}.")
    return number


def check_width(name: str, value: Any) -> float:
    """A width of hidden layers: an int >= 1, or inf."""
    if isinstance(value, float) and value == math.inf:
        return value
    return check_count(name, value)


def is_sequence(value: Any) -> bool:
    """Whether `value` is a list, tuple, array or the like; text is none."""
    if isinstance(value, str | bytes | bytearray):
        return False
    return isinstance(value, Sequence) or (isinstance(value, np.ndarray) and value.ndim > 0)


def check_sequence(name: str, value: Any, of: str) -> None:
    """Raise ``TypeError`` unless `value` is a sequence; `of` says what it holds."""
    if not is_sequence(value):
        raise TypeError(f"`{name}` must be a sequence of {of}. Got {name}={shown(value)}.")


def check_objects(name: str, value: Any, kind: type | tuple[type, ...], allowed: str) -> list[Any]:
    """`value` as a list of `kind`, also where it is a single one.

    Raises ``TypeError`` for anything else; `allowed` is what the message calls the `kind`.
    """
    if isinstance(value, kind):
        return [value]
    values = list(value) if is_sequence(value) else []
    if values and all(isinstance(each, kind) for each in values):
        return values
    wrong = next((each for each in values if not isinstance(each, kind)), value)
    raise TypeError(f"`{name}` must be {allowed}, or a sequence of them. Got {shown(wrong)}.")


def check_path(name: str, value: Any) -> None:
    """Raise ``TypeError`` unless `value` is a path, as text or as a path object, or None."""
    if value is not None and not isinstance(value, str | os.PathLike):
        raise TypeError(f"`{name}` must be a path or None. Got {name}={value!r}.")


def check_run(run: Any, *variables: str) -> None:
    """Raise ``TypeError`` unless `run` is a dataset with these variables of a trajectory."""
    if not all(name in getattr(run, "data_vars", ()) for name in variables):
        raise TypeError(f"`run` must be a Dataset that `simulate` returned. Got {shown(run)}.")


def real_array(name: str, value: Any) -> FloatArray:
    """`value` as an array of float64.

    Raises ``TypeError`` unless it holds real numbers, and ``ValueError`` where an integer is beyond
    the range of float64.
    """
    try:
        given = np.asarray(value)
        if given.dtype.kind not in "biufO":  # complex numbers and text would be cast in silence
            raise TypeError(f"the type of its values is {given.dtype}")
        if given.dtype.kind == "O" and not all(isinstance(each, Real) for each in given.flat):
            raise TypeError("not all of its values are real numbers")
        with np.errstate(over="ignore"):
            return given.astype(np.float64, copy=False)
    except OverflowError:
        raise ValueError(
            f"`{name}` must be finite in float64. Got {type(value).__name__}: {shown(value)}."
        ) from None
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"`{name}` must be an array of numbers. Got {type(value).__name__}: {error}."
        ) from None


def finite_array(name: str, value: Any) -> FloatArray:
    """`value` as an array of float64.

    Raises ``TypeError`` unless it holds real numbers, and ``ValueError`` unless all are finite.
    """
    array = real_array(name, value)
    finite = np.isfinite(array)
    if not finite.all():
        bad = int((~finite).sum())
        raise ValueError(
            f"`{name}` must be finite. Got {bad} NaN or infinite of {array.size} values."
        )
    return array
