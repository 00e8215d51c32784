"""Checks of arguments name the argument, what is allowed and what was given."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from mimo_sim._checks import (
    check_choice,
    check_count,
    check_flag,
    check_number,
    check_objects,
    check_path,
    check_positive,
    check_run,
    check_sequence,
    check_step_size,
    check_width,
    check_within,
    did_you_mean,
    finite_array,
    real_array,
    shown,
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


def test_numbers_go_up_to_1e100_and_integers_up_to_those_of_64_bits() -> None:
    check_positive("value", 1e100)
    check_positive("value", 5, most=5)
    check_step_size("value", 1e200)
    for wrong, most in ((1.001e100, 1e100), (5.001, 5)):
        with pytest.raises(
            ValueError, match=rf"`value` must be at most {most:g}".replace("+", ".")
        ):
            check_positive("value", wrong, most=most)
    with pytest.raises(ValueError, match="`value` must be finite and > 0"):
        check_step_size("value", math.inf)
    assert check_count("steps", 2**63 - 1) == 2**63 - 1
    assert check_count("steps", 7, 0, 7) == 7
    with pytest.raises(ValueError, match=r"`steps` must be <= 9,223,372,036,854,775,807\. Got"):
        check_count("steps", 2**63)
    with pytest.raises(ValueError, match=r"`steps` must be >= 1\. Got steps=0"):
        check_count("steps", 0)
    for wrong_kind in (np.array(3), [3]):
        with pytest.raises(TypeError, match="`steps` must be an integer"):
            check_count("steps", wrong_kind)


def test_what_was_given_is_shown_in_at_most_80_characters() -> None:
    assert shown("x" * 78) == repr("x" * 78)
    assert shown("x" * 79) == repr("x" * 79)[:80]
    assert shown(2**20_000) == "an integer of 20001 bits"


def test_only_true_and_false_are_flags() -> None:
    for flag in (True, False, np.True_):
        check_flag("value", flag)
    for wrong in (1, 0, None, "yes"):
        with pytest.raises(TypeError, match="`value` must be True or False"):
            check_flag("value", wrong)


def test_a_width_is_a_count_or_infinite() -> None:
    assert check_width("width", math.inf) == math.inf
    assert check_width("width", 1) == 1
    for wrong in (3.0, -math.inf, math.nan, True):
        with pytest.raises(TypeError, match="`width` must be an integer"):
            check_width("width", wrong)
    with pytest.raises(ValueError, match="`width` must be >= 1"):
        check_width("width", 0)


def test_one_object_or_several() -> None:
    assert check_objects("value", "a", str, "a word") == ["a"]
    assert check_objects("value", ("a", 2), (str, int), "a word or a number") == ["a", 2]
    assert check_objects("value", [1, 2], int, "a number") == [1, 2]
    for wrong, told in ((["a", 3, 4.0], "3"), ([], r"\[\]"), (None, "None"), ({"a"}, "{'a'}")):
        words = f"`value` must be a word, or a sequence of them. Got {told}"
        with pytest.raises(TypeError, match=words):
            check_objects("value", wrong, str, "a word")


def test_a_path_is_text_or_a_path_or_none() -> None:
    for path in (None, "here", Path("here")):
        check_path("path", path)
    for wrong in (3, b"here", ["here"]):
        with pytest.raises(TypeError, match="`path` must be a path or None"):
            check_path("path", wrong)


def test_a_run_has_the_variables_that_are_read() -> None:
    run = xr.Dataset({"a": ("step", [1.0]), "b": ("step", [2.0])})
    check_run(run, "a", "b")
    for wrong, names in ((run, ("a", "c")), (3, ("a",)), (None, ("a",))):
        with pytest.raises(TypeError, match="`run` must be a Dataset that `simulate` returned"):
            check_run(wrong, *names)


def test_arrays_hold_real_numbers() -> None:
    taken: list[Any] = [
        [True, False],
        [Fraction(1, 2), 3],
        np.array([1.5], dtype=np.float32),
        [[2], [3]],
        7,
        [],
    ]
    for value in taken:
        array = real_array("x", value)
        assert array.dtype == np.float64
        assert array.tolist() == np.array(value, dtype=float).tolist()
    given = np.ones(3)
    assert real_array("x", given) is given  # no copy
    assert real_array("x", np.longdouble("1e400")) == math.inf  # without a warning
    for wrong in ([1j], ["1"], [None], [Fraction(1, 2), "a"], np.array(["a"]), [[1], [2, 3]]):
        with pytest.raises(TypeError, match=r"`x` must be an array of numbers\. Got"):
            real_array("x", wrong)
    with pytest.raises(ValueError, match=r"`x` must be finite in float64\. Got list"):
        real_array("x", [10**400, 1])


def test_numbers_are_no_flags_and_no_text() -> None:
    for value in (3, 2.5, np.float32(1.5), np.int8(4)):
        assert check_number("value", value) == value
        assert type(check_number("value", value)) is float
    for wrong in (True, "3", None, 1j, [1.0], np.array(1.0)):
        with pytest.raises(TypeError, match=r"`value` must be a number\. Got value="):
            check_number("value", wrong)


def test_a_choice_may_be_anything_that_can_be_compared() -> None:
    check_choice("value", None, (None, 1))
    wrong: Any
    for wrong in ([], {}, 2):
        with pytest.raises(ValueError, match=r"`value` must be one of \(None, 1\)"):
            check_choice("value", wrong, (None, 1))


def test_at_most_two_names_are_suggested() -> None:
    assert did_you_mean("mim", ["mimo", "mime", "mims"]).count("'") == 4
