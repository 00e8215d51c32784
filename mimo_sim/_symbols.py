"""Arithmetic that is written once, for numbers and as lines of code.

A function of numbers is called with :class:`Symbol` instead. It then leaves behind the lines of
Python that compute its result. Loops are unrolled, so the lines can be compiled for one run or for
many at once. Such a function uses ``+ - * / **``, comparisons, and the functions below instead of
``if`` on a number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np


class Tape:
    """The lines written so far."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, tuple[str, ...]]] = []  # target, expression, what it reads

    def symbol(self, name: str) -> Symbol:
        """A value that is given, such as an argument."""
        return Symbol(name, self)

    def write(self, form: str, *parts: Any) -> Symbol:
        """The symbol of a new line; `form` has a place for each part."""
        words = [each.name if isinstance(each, Symbol) else repr(float(each)) for each in parts]
        target = f"t{len(self.lines)}"
        reads = tuple(each.name for each in parts if isinstance(each, Symbol))
        self.lines.append((target, form.format(*words), reads))
        return Symbol(target, self)

    def program(self, outputs: Sequence[tuple[str, Any]]) -> tuple[list[str], set[str]]:
        """The lines that these named results need, in order; and the given values that they read.

        A result may also be a plain number.
        """
        wanted = {value.name for _, value in outputs if isinstance(value, Symbol)}
        kept = []
        for target, expression, reads in reversed(self.lines):
            if target in wanted:
                kept.append(f"{target} = {expression}")
                wanted.remove(target)
                wanted.update(reads)
        for name, value in outputs:
            word = value.name if isinstance(value, Symbol) else repr(float(value))
            kept.insert(0, f"{name} = {word}")
        return kept[::-1], wanted


def _operator(form: str) -> Callable[[Any, Any], Any]:
    return lambda self, other: self.tape.write(form, self, other)


def _reflected(form: str) -> Callable[[Any, Any], Any]:
    return lambda self, other: self.tape.write(form, other, self)


class Symbol:
    """A number that is not known yet: operations on it are written down."""

    def __init__(self, name: str, tape: Tape) -> None:
        self.name, self.tape = name, tape

    def __bool__(self) -> bool:
        """Refuse ``if`` and ``and``."""
        raise TypeError(
            "A rule must not branch on a number that changes from step to step: use "
            "`select(condition, a, b)` instead of `if`."
        )

    def __neg__(self) -> Symbol:
        """-x."""
        return self.tape.write("-{}", self)

    __add__, __radd__ = _operator("{} + {}"), _reflected("{} + {}")
    __sub__, __rsub__ = _operator("{} - {}"), _reflected("{} - {}")
    __mul__, __rmul__ = _operator("{} * {}"), _reflected("{} * {}")
    __truediv__, __rtruediv__ = _operator("{} / {}"), _reflected("{} / {}")
    __pow__ = _operator("{} ** {}")
    __lt__, __le__ = _operator("{} < {}"), _operator("{} <= {}")
    __gt__, __ge__ = _operator("{} > {}"), _operator("{} >= {}")


def _tape(values: Iterable[Any]) -> Tape | None:
    return next((each.tape for each in values if isinstance(each, Symbol)), None)


def select(condition: Any, one: Any, other: Any) -> Any:
    """`one` where the condition holds, else `other`."""
    tape = _tape((condition, one, other))
    if tape is None or not isinstance(condition, Symbol):
        return one if condition else other
    return tape.write("{1} if {0} else {2}", condition, one, other)


def maximum(one: Any, other: Any) -> Any:
    """The larger one."""
    return select(one > other, one, other)


def minimum(one: Any, other: Any) -> Any:
    """The smaller one."""
    return select(one < other, one, other)


def largest(values: Sequence[Any]) -> Any:
    """The largest of these values."""
    top = values[0]
    for each in values[1:]:
        top = maximum(top, each)
    return top


def total(values: Sequence[Any]) -> Any:
    """The sum of these values."""
    result = values[0]
    for each in values[1:]:
        result = result + each
    return result


def sqrt(x: Any) -> Any:
    """Square root of x >= 0."""
    return x.tape.write("sqrt({})", x) if isinstance(x, Symbol) else np.sqrt(x)


def exp(x: Any) -> Any:
    """e**x for x <= 0."""
    return x.tape.write("exp({})", x) if isinstance(x, Symbol) else np.exp(x)
