"""The one grammar of name=value: what each form means, what each option allows, what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimo_sim.commands._grammar import (
    once,
    read_law,
    read_space,
    read_value,
    read_values,
    read_word,
    write_space,
)

VALUES: list[tuple[str, Any]] = [
    ("10", 10),
    ("-0.5", -0.5),
    (".5", 0.5),
    ("1e-3", 1e-3),
    ("1_000", 1000),
    ("inf", math.inf),
    ("true", True),
    ("True", True),
    ("false", False),
    ("none", None),
    ("None", None),
    ("null", None),
    ("5x5", (5, 5)),
    ("0.1x2x3", (0.1, 2, 3)),
    ("exact", "exact"),
    ("extra", "extra"),
    ("x", "x"),
    ("C:/data/p.json", "C:/data/p.json"),
    ("a=b", "a=b"),
    ('"none"', "none"),
    ("'10'", "10"),
    ('"a,b"', "a,b"),
    ("[0, 50]", [0, 50]),
    ("[[1,2],[3,4]]", [[1, 2], [3, 4]]),
    ("(0,50)", (0, 50)),
    ('{"a": 1, "b": [2]}', {"a": 1, "b": [2]}),
    ("{'a': None}", {"a": None}),
    ("[half", "[half"),
]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_one_value_means_the_same_everywhere(text: str, value: Any) -> None:
    name, found = read_value("--set", f"noise-variance={text}")
    assert (name, found, type(found)) == ("noise_variance", value, type(value))
    assert read_values("--grid", f"noise_variance={text}") == ("noise_variance", [value])
    if isinstance(value, tuple | list | dict):
        with pytest.raises(ValueError, match="`--data` must look like name=value with one number"):
            read_word("--data", f"noise={text}")
    else:
        assert read_word("--data", f"noise={text}") == ("noise", value)


LISTS: list[tuple[str, list[Any]]] = [
    ("1,10,100", [1, 10, 100]),
    ("1, 0.5 ,exact", [1, 0.5, "exact"]),
    ("exact,none", ["exact", None]),
    ("5x5,3x3", [(5, 5), (3, 3)]),
    ("[1,2],[3,4]", [[1, 2], [3, 4]]),
    ('"a,b",c', ["a,b", "c"]),
    ("(1,[2,3]),4", [(1, [2, 3]), 4]),
    ("0:1:3", [0.0, 0.5, 1.0]),
    ("10:30:3", [10, 20, 30]),
    ("0:1:1", [0]),
    ("-0.8:0.8:2", [-0.8, 0.8]),
    ("log:1:100:3", [1.0, 10.0, 100.0]),
]


@pytest.mark.parametrize(("text", "values"), LISTS)
def test_lists_and_ranges(text: str, values: list[Any]) -> None:
    name, found = read_values("--axis", f"lam={text}")
    assert name == "lam"
    assert list(map(type, found)) == list(map(type, values))
    assert found == pytest.approx(values, rel=1e-15) if ":" in text else found == values


@pytest.mark.parametrize(
    ("text", "law"),
    [
        ("1:10", ("uniform", 1, 10)),
        ("log:1e-3:1", ("log", 1e-3, 1)),
        ("int:2:9", ("int", 2, 9)),
        ("zero,running_minimum", ("choice", "zero", "running_minimum")),
        ("true,false,none", ("choice", True, False, None)),
        ("1:3:3", ("choice", 1, 2, 3)),
    ],
)
def test_spaces_are_laws_or_choices_and_can_be_written(text: str, law: tuple[Any, ...]) -> None:
    assert read_space("--space", f"mimo.f-star={text}") == ("mimo.f_star", law)
    assert read_space("--space", f"x={write_space(law)}") == ("x", law)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("3", "two or more values that differ"),
        ("3,3", "two or more values that differ"),
        ("2:1", "low < high"),
        ("log:0:1", "> 0 after log:"),
        ("int:0.5:1", "whole after int:"),
    ],
)
def test_spaces_that_are_none_are_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_space("--space", f"lam={text}")


@given(st.lists(st.integers() | st.floats(allow_nan=False), min_size=1))
def test_numbers_come_back_as_they_were_written(numbers: list[float]) -> None:
    assert read_values("--axis", f"lam={','.join(map(repr, numbers))}") == ("lam", numbers)


@pytest.mark.parametrize(
    ("text", "law"),
    [
        ("-0.8:0.8", ("uniform", -0.8, 0.8)),
        ("log:0.1:100", ("log", 0.1, 100)),
        ("int:0:9999", ("int", 0, 9999)),
    ],
)
def test_laws(text: str, law: tuple[Any, ...]) -> None:
    assert read_law("--random", f"problem-seed={text}") == ("problem_seed", law)


READERS: dict[str, Callable[[str, str], Any]] = {
    "--axis": read_values,
    "--random": read_law,
    "--set": read_value,
    "--data": read_word,
}
REFUSED = {
    "--axis": ["0:1", "0:1:2.5", "0:1:0", "log:0:1:3", "int:0:1:3", "1,,2", "1,0:1:3", "log:a:b:3"],
    "--random": ["1", "exact", "0:1:3", "log:1", "int:a:b", "0,1"],
    "--set": ["1,2", "0:1", "0:1:3", "log:1:2:3"],
    "--data": ["1,2", "0:1", "5x5", "[1]"],
}
NEVER = ["lam", "lam=", "lam= ", "=1", ""]


@pytest.mark.parametrize(
    ("option", "text"),
    [(option, f"lam={text}") for option, texts in REFUSED.items() for text in texts]
    + [(option, text) for option in READERS for text in NEVER],
)
def test_refusals_name_the_option_what_it_allows_and_the_text(option: str, text: str) -> None:
    with pytest.raises(ValueError, match=f"^`{option}` must look like name=") as refused:
        READERS[option](option, text)
    assert str(refused.value).endswith(f"Got {text!r}.")


def test_a_name_is_given_once() -> None:
    assert once([("a", 1), ("b", 2)]) == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match=r"Every name may be given once\. Got 'a' twice\."):
        once([("a", 1), ("a", 1)])
