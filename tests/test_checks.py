"""Checks of arguments name the argument, what is allowed and what was given."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from mimo_sim._checks import (
    check_choice,
    check_count,
    check_number,
    check_positive,
    check_sequence,
    check_within,
    finite_array,
)


@pytest.mark.parametrize("value", [1, 1.0, np.float32(1.0), np.int64(1)])
def test_check_positive_accepts_numbers(value: Any) -> None:
    check_positive("value", value)
    with pytest.raises(ValueError, match=r"`value` must be finite and > 0"):
        check_positive("value", value - 1)
    check_positive("value", value - 1, allow_zero=True)


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, math.nan, math.inf])
def test_check_within_leaves_the_ends_out(value: float) -> None:
    check_within("value", 0.5, 0, 1)
    with pytest.raises(ValueError, match=r"`value` must lie in \(0, 1\). Got value="):
        check_within("value", value, 0, 1)


def test_check_choice_lists_what_is_allowed() -> None:
    check_choice("letter", "a", ["a", "b"])
    with pytest.raises(ValueError, match=r"`letter` must be one of \('a', 'b'\). Got letter='c'."):
        check_choice("letter", "c", {"a": 1, "b": 2})


@pytest.mark.parametrize("value", [3, np.int64(3)])
def test_check_count_takes_integers(value: Any) -> None:
    assert type(check_count("steps", value, 3)) is int
    with pytest.raises(ValueError, match=r"`steps` must be >= 4. Got steps="):
        check_count("steps", value, 4)


@pytest.mark.parametrize("value", [1.0, "1", True, None])
def test_check_count_takes_nothing_else(value: Any) -> None:
    with pytest.raises(TypeError, match=r"`steps` must be an integer. Got steps="):
        check_count("steps", value)


def test_finite_array_counts_what_is_not_finite() -> None:
    assert finite_array("x", [[1, 2]]).tolist() == [[1.0, 2.0]]
    with pytest.raises(ValueError, match=r"`x` must be finite. Got 2 NaN or infinite of 3 values"):
        finite_array("x", [1.0, math.nan, math.inf])
    with pytest.raises(TypeError, match=r"`x` must be an array of numbers. Got list"):
        finite_array("x", ["one"])


def test_arrays_and_ranges_are_sequences_but_text_is_none() -> None:
    for value in ([1], (1,), range(2), np.arange(3), np.ones((2, 2))):
        check_sequence("value", value, "numbers")
    for wrong in ("ab", b"ab", 3, np.array(3.0), {1: 2}, None):
        with pytest.raises(TypeError, match="`value` must be a sequence of numbers"):
            check_sequence("value", wrong, "numbers")


def test_an_integer_beyond_floats_is_infinite_with_its_sign() -> None:
    assert check_number("value", 10**400) == math.inf
    assert check_number("value", -(10**400)) == -math.inf
    assert check_number("value", 3) == 3.0
