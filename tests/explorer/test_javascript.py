"""The translator from the generated step to JavaScript."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from mimo_sim.dynamics.ensemble.step import Shape, names, step_source
from mimo_sim.explorer._engine import engine_source
from mimo_sim.explorer._javascript import FUNCTIONS, assigned, javascript
from tests.explorer import v8

PYTHON = {"abs": abs, "max": max, "min": min, "exp": math.exp}


def evaluated(lines: list[str], start: dict[str, float]) -> dict[str, Any]:
    """The variables after these lines of Python, computed in V8."""
    made = [name for name in assigned(lines) if name not in start]
    declared = "".join(f"let {name} = {value!r};" for name, value in start.items())
    declared += "".join(f"let {name} = 0;" for name in made)
    result = f"JSON.stringify({{{', '.join([*start, *made])}}})"
    return dict(json.loads(v8.evaluate(f"{{{declared}{''.join(javascript(lines))}{result}}}")))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_it_knows_the_functions_of_the_step(function: str) -> None:
    arguments = "a, b" if function in ("max", "min") else "-a"
    found = evaluated([f"x = {function}({arguments})"], {"a": 0.7, "b": -0.3})
    expected = eval(f"{function}({arguments})", PYTHON, {"a": 0.7, "b": -0.3})
    assert found["x"] == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    "line",
    [
        "x = a - b - c",
        "x = a - (b - c)",
        "x = a / b / c * a",
        "x = -a * b + -c",
        "x = 1.5 if a < b and b < c or c <= a else 2",
        "x = 1.0 if a > b else 0.0 if b >= c else 3",
    ],
)
def test_operations_keep_their_order(line: str) -> None:
    start = {"a": 0.1, "b": 0.7, "c": -1.3}
    scope: dict[str, Any] = dict(start)
    exec(line, {}, scope)
    assert evaluated([line], start)["x"] == scope["x"]


def test_a_tuple_is_assigned_at_once() -> None:
    assert evaluated(["a, b = b, a + b", "a *= 3.0"], {"a": 1.0, "b": 2.0}) == {"a": 6, "b": 3}


@pytest.mark.parametrize(
    "line",
    [
        "x = a ** 2",
        "x = a // b",
        "x = a[0]",
        "x = a.b",
        "x = sin(a)",
        "x = max(a, key=b)",
        "x = a < b < c",
        "x = not a",
        "x = 'a'",
        "x = y = a",
        "x[0] = a",
        "x: float = a",
        "x, y = a",
        "if a: x = b",
        "print(a)",
    ],
)
def test_what_it_does_not_know_is_refused(line: str) -> None:
    with pytest.raises(
        ValueError, match=r"must be assignments of plain arithmetic. Got .* \(\w+\)\."
    ):
        javascript([line])


@pytest.mark.parametrize(
    "shape", [Shape(2, 1, 1, 3, False), Shape(3, 1, 1, 3, True), Shape(2, 2, 1, 2, True)], ids=str
)
def test_the_generated_step_gives_what_python_gives(shape: Shape) -> None:
    rng = np.random.default_rng(0)
    variables = [*names(shape.state), *names(shape.constants)]
    lines = [line for part in step_source(shape) for line in part]
    for _ in range(20):
        start = dict(zip(variables, rng.uniform(0.1, 1.0, len(variables)).tolist(), strict=True))
        scope: dict[str, Any] = dict(start)
        exec("\n".join(lines), {**PYTHON}, scope)
        found = evaluated(lines, start)
        assert set(found) == set(scope)
        # The last bit of exp differs between libraries.
        assert found == pytest.approx(scope, rel=1e-13, abs=1e-15)


def test_no_variable_of_the_step_has_a_name_that_the_loop_uses() -> None:
    shape = Shape(2, 1, 1, 3, False)
    made = assigned([line for part in step_source(shape) for line in part])
    used = {*made, *names(shape.state), *names(shape.constants)}
    assert not used & {"state", "constants", "steps", "every", "out", "next", "at", "t"}
    assert engine_source(shape).count("function run(") == 1
