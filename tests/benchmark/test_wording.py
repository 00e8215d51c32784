"""Runs named in words."""

from __future__ import annotations

import pytest

from mimo_sim import methods
from mimo_sim.benchmark.wording import given_hyper, method_words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mimo", "MIMO"),
        ("mimo-normalise=True-f_star=extrapolation", "MIMO, normalised, f* = extrapolation"),
        ("mimo-normalise=False-lam=1e-3-mu=0.1", "MIMO, not normalised, λ = 1e-3, μ = 0.1"),
        ("mimo-tuned-f_star=zero", "MIMO, tuned, f* = zero"),
        ("ogm_ge-window=[0,50]", "OGM-GE, window = [0,50]"),
        ("of_mine-alpha=-2", "of mine, alpha = -2"),
    ],
)
def test_a_slug_in_words(name: str, words: str) -> None:
    assert method_words(name) == words


def test_every_method_has_words_of_its_own() -> None:
    words = [method_words(name) for name in methods.available()]
    assert len(set(words)) == len(words)
    assert not any("_" in each for each in words)


def test_what_was_given_is_read_from_the_name() -> None:
    assert given_hyper("mimo-tuned-lam=1e-3-f_star=zero") == {"lam": "1e-3", "f_star": "zero"}
    assert given_hyper("vanilla") == {}
