"""The one grammar of ``name=value`` on the command line.

=================  =======================================================================
one value          ``lam=10``  ``f_star=exact``  ``warm_up=none``  ``dims=5x5``
a list             ``lam=1,10,100``  ``window=[0,50],[0,100]``
a range            ``rho=-0.8:0.8:9``  ``lam=log:0.1:100:7`` (low, high, how many)
a law              ``rho=-0.8:0.8``  ``lam=log:0.1:100``  ``problem_seed=int:0:9999``
=================  =======================================================================

A name may be written with ``-`` or ``_``. A value is

- a number as Python reads it (``3``, ``.5``, ``1e-3``, ``inf``),
- ``true``, ``false`` or ``none``,
- numbers joined by ``x``, which make a tuple,
- a list or mapping in brackets (``[0,50]``), or a word in quotes, as JSON or Python write them,
- or any other word, such as the name of a rule or the path of a file.

Each option allows one part of this: :func:`read_word` a number or word, :func:`read_value` any one
value, :func:`read_values` a value, list or range, :func:`read_law` a law, :func:`read_space` a list
or a law. Everything else is refused in one form that names the option, what it allows, and the text
that was given. :func:`write` is the way back, from a value to its text.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from typing import Any, NoReturn

Number = int | float

ONE_WORD = "name=value with one number or word"
ONE_VALUE = "name=value with one value"
VALUES = "name=1,2,3 or name=low:high:count or name=log:low:high:count"
OF_A_RANGE = "the count must be whole and >= 1, and low and high > 0 after log:"
SPACE = "name=a,b,c or name=low:high or name=log:low:high or name=int:low:high"
OF_A_LAW = "low < high, whole after int: and > 0 after log:"
LAW = "name=low:high or name=log:low:high or name=int:low:high"

NAMED = {"true": True, "false": False, "none": None, "null": None}
KINDS = ("log", "int")  # of ranges and laws, before the first colon; without one they are uniform
QUOTES = ('"', "'")
CLOSED_BY = {"[": "]", "(": ")", "{": "}"} | {mark: mark for mark in QUOTES}


def read_word(option: str, text: str) -> tuple[str, Any]:
    """The name and its number or word: ``noise=0.1``."""
    name, value = _one(option, text, ONE_WORD)
    if isinstance(value, tuple | list | dict):
        _refuse(option, ONE_WORD, text)
    return name, value


def read_value(option: str, text: str) -> tuple[str, Any]:
    """The name and its value: ``lam=10``, ``window=[0,50]``."""
    return _one(option, text, ONE_VALUE)


def read_values(option: str, text: str) -> tuple[str, list[Any]]:
    """The name and its values: ``lam=1,10``, ``rho=-0.8:0.8:9``; one value makes a list of one."""
    name, given = _name_and_text(option, text, VALUES)
    parts = _parts(given)
    kind, numbers = _span(given)
    if kind == "uniform" and not numbers:
        if "" in parts or any(_span(part)[1] for part in parts):
            _refuse(option, VALUES, text)
        return name, [_value(part) for part in parts]
    if kind == "int" or len(numbers) != 3:
        _refuse(option, VALUES, text)
    low, high, count = numbers
    if not isinstance(count, int) or count < 1 or (kind == "log" and min(low, high) <= 0):
        _refuse(option, f"{VALUES}; {OF_A_RANGE}", text)
    return name, _spread(kind, low, high, count)


def read_law(option: str, text: str) -> tuple[str, tuple[Any, ...]]:
    """The name and the law of its draws: ``("uniform", low, high)``, or "log" or "int"."""
    name, given = _name_and_text(option, text, LAW)
    kind, numbers = _span(given)
    if len(numbers) != 2:
        _refuse(option, LAW, text)
    return name, (kind, *numbers)


def read_space(option: str, text: str) -> tuple[str, tuple[Any, ...]]:
    """The name and where its values are searched: a law, or ``("choice", a, b, c)``."""
    name, given = _name_and_text(option, text, SPACE)
    kind, numbers = _span(given)
    if len(numbers) == 2:
        low, high = numbers
        whole = isinstance(low, int) and isinstance(high, int)
        if low >= high or (kind == "log" and low <= 0) or (kind == "int" and not whole):
            _refuse(option, f"{SPACE}; {OF_A_LAW}", text)
        return name, (kind, low, high)
    _, values = read_values(option, text)
    if len(values) < 2 or any(value in values[:i] for i, value in enumerate(values)):
        _refuse(option, f"{SPACE}; two or more values that differ", text)
    return name, ("choice", *values)


def write_space(law: tuple[Any, ...]) -> str:
    """The text that :func:`read_space` reads as this law."""
    kind, *values = law
    if kind == "choice":
        return ",".join(map(write, values))
    return ":".join(([] if kind == "uniform" else [kind]) + [write(value) for value in values])


def write(value: Any) -> str:
    """The text that reads as `value`: ``none``, ``true``, ``[0,50]``, ``0.1``."""
    if isinstance(value, str):
        return value
    for text, meaning in NAMED.items():
        if value is meaning:
            return text
    if isinstance(value, tuple | list | dict):
        return json.dumps(value, separators=(",", ":"))
    return str(value)


def once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs as a mapping; ``ValueError`` for a name that is given twice."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"Every name may be given once. Got {name!r} twice.")
        found[name] = value
    return found


def _refuse(option: str, allowed: str, text: str) -> NoReturn:
    raise ValueError(f"`{option}` must look like {allowed}. Got {text!r}.")


def _name_and_text(option: str, text: str, allowed: str) -> tuple[str, str]:
    name, _, given = text.partition("=")
    name, given = name.strip().replace("-", "_"), given.strip()
    if not name or not given:
        _refuse(option, allowed, text)
    return name, given


def _one(option: str, text: str, allowed: str) -> tuple[str, Any]:
    name, given = _name_and_text(option, text, allowed)
    if len(_parts(given)) > 1 or _span(given)[1]:
        _refuse(option, allowed, text)
    return name, _value(given)


def _parts(text: str) -> list[str]:
    """The text between commas; commas in brackets or quotes do not separate."""
    parts, closing = [""], [""]  # closing: the marks that are still to come, the next one last
    for letter in text:
        if letter == "," and len(closing) == 1:
            parts.append("")
            continue
        parts[-1] += letter
        if letter == closing[-1]:
            closing.pop()
        elif letter in CLOSED_BY and closing[-1] not in QUOTES:
            closing.append(CLOSED_BY[letter])
    return [part.strip() for part in parts]


def _span(text: str) -> tuple[str, list[Number]]:
    """The kind and the numbers of a range or law; no numbers where the text is neither."""
    kind, _, rest = text.partition(":")
    if kind not in KINDS:
        kind, rest = "uniform", text
    numbers = [number for part in rest.split(":") if (number := _number(part)) is not None]
    complete = len(numbers) in (2, 3) and len(numbers) == len(rest.split(":"))
    return kind, numbers if complete else []


def _spread(kind: str, low: Number, high: Number, count: int) -> list[Number]:
    """`count` numbers from `low` to `high`.

    They are integers where `low` and `high` are and every number between them is whole.
    """
    import numpy as np

    if kind == "log":
        return list(np.geomspace(low, high, count).tolist())
    values = np.linspace(low, high, count).tolist()
    if isinstance(low, int) and isinstance(high, int) and all(map(float.is_integer, values)):
        return [int(value) for value in values]
    return list(values)


def _number(text: str) -> Number | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


def _value(text: str) -> Any:
    number = _number(text)
    if number is not None:
        return number
    if text.lower() in NAMED:
        return NAMED[text.lower()]
    factors = [_number(part) for part in text.split("x")]
    if None not in factors:
        return tuple(factors)
    if text[0] in CLOSED_BY:
        for read in (json.loads, ast.literal_eval):
            try:
                return read(text)
            except (ValueError, SyntaxError):
                continue
    return text
