"""Every number of a released function is met, and docs/conformance.md says what was compared."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from mimo_sim import methods
from mimo_sim.methods._conformance import Follows
from tests import conformance
from tests.methods.references import REFERENCES, Reference

ROWS = [(name, one) for name, several in REFERENCES.items() for one in several]


@pytest.mark.parametrize(
    ("name", "reference"), ROWS, ids=[f"{name}: {one.what}" for name, one in ROWS]
)
def test_the_number_of_the_released_function_is_met(name: str, reference: Reference) -> None:
    assert name in methods.available()
    assert reference.apart() <= reference.within


def test_a_wrong_number_is_found() -> None:
    assert Reference("", [1.0, 2.0], lambda: [1.0, 2.5]).apart() == 0.5


@pytest.mark.parametrize("name", methods.available())
def test_every_method_says_where_it_comes_from(name: str) -> None:
    found = methods.get(name).conformance
    assert found is not None
    assert found.paper
    assert found.follows in get_args(Follows)
    assert not found.code or re.fullmatch(r"[\w.-]+/[\w.-]+", found.code)
    for text in (found.paper, found.released, found.compared):
        assert "|" not in text  # it is a cell of a table


def test_the_page_is_that_of_the_registry() -> None:
    kept = conformance.PAGE.read_text()
    assert kept == conformance.page(), "renew it: python -m tests.conformance"
    for name in methods.available():
        assert f"\n| `{name}` |" in kept
