"""Lines written from a function compute what the function computes."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimo_sim._symbols import Tape, exp, largest, maximum, minimum, select, sqrt, total

NUMBERS = st.floats(-3, 3, allow_subnormal=False)


def everything(x: Any, y: Any) -> list[Any]:
    """Every operation, also with numbers on either side."""
    small = minimum(x, y)
    return [
        2.0 - x * y / 3.0 + (1.0 + x) - (-y),
        sqrt(maximum(x * x, y * y)) + exp(-(x * x)),
        select(x > y, x, 1.0) * select(x <= 0.0, 2, y),
        (x * x + 1.0) ** 1.5 + 1.0 / (1.0 + y * y),
        largest([x, y, small + 1.0]) + total([x, small]),
        select(True, 4.0, x),
    ]


@given(NUMBERS, NUMBERS)
def test_lines_equal_the_function(x: float, y: float) -> None:
    tape = Tape()
    results = everything(tape.symbol("x"), tape.symbol("y"))
    program, reads = tape.program([(f"r{i}", each) for i, each in enumerate(results)])
    scope: dict[str, Any] = {"x": x, "y": y, "sqrt": math.sqrt, "exp": math.exp}
    exec("\n".join(program), scope)
    assert [scope[f"r{i}"] for i in range(len(results))] == everything(x, y)
    assert reads == {"x", "y"}


def test_only_what_a_result_needs_is_kept() -> None:
    tape = Tape()
    x, y = tape.symbol("x"), tape.symbol("y")
    unused, needed = y * 2.0, x + 1.0
    assert tape.program([("r", needed * needed)]) == (
        ["t1 = x + 1.0", "t2 = t1 * t1", "r = t2"],
        {"x"},
    )
    del unused


def test_branching_on_a_symbol_is_refused() -> None:
    x = Tape().symbol("x")
    with pytest.raises(TypeError, match=r"must not branch .* `select"):
        bool(x > 0.0)
