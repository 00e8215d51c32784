"""Widths without bad minima, and the price of weight decay, against their formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

import mimo_sim as ms
from mimo_sim.theory import sufficient_width, worst_gap_bound

SCALAR = ms.LateFusionProblem([[2, 0], [0, 8]], [0.5, 0.5], 3.0)
VECTOR = ms.generators.random_problem(dims=(3, 1, 5), seed=0, output_dim=2)


def test_a_sufficient_width_is_that_of_two_heads_or_of_the_inputs() -> None:
    assert sufficient_width(VECTOR).tolist() == [3, 1, 4]
    assert sufficient_width(VECTOR).dtype == np.int64
    assert sufficient_width(SCALAR).tolist() == [1, 1]


def test_the_price_of_weight_decay_by_hand() -> None:
    # K = 2, omega = 0.1, lam = 2: 4 * 0.01 / (2 * 4) * max(1/2, 1/8)
    assert worst_gap_bound(SCALAR, 2.0, 0.1) == pytest.approx(0.0025, rel=1e-14)
    assert worst_gap_bound(SCALAR, 4.0, 0.1) == pytest.approx(0.0025 / 4, rel=1e-14)
    least = [np.linalg.eigvalsh(row[k]).min() for k, row in enumerate(VECTOR.sigma)]
    largest = max(2 / least[0], 1 / least[1], 2 / least[2])
    expected = 9 * 0.3**2 / (2 * 0.7**2) * largest
    assert worst_gap_bound(VECTOR, 0.7, 0.3) == pytest.approx(expected, rel=1e-12)


def test_without_decay_there_is_no_price_and_dependent_inputs_have_no_bound() -> None:
    assert worst_gap_bound(SCALAR, 2.0, 0.0) == 0.0
    never = ms.LateFusionProblem([[1, 0], [0, 0]], [0.5, 0.0], 3.0)
    assert worst_gap_bound(never, 2.0, 0.1) == math.inf
    assert worst_gap_bound(never, 2.0, 0.0) == 0.0
    assert worst_gap_bound(SCALAR, 1e-200, 1e99) == math.inf  # beyond floats
    with pytest.raises(ValueError, match="`lam` must be finite and > 0"):
        worst_gap_bound(SCALAR, 0.0, 0.1)
    with pytest.raises(ValueError, match="`weight_decay` must be finite and >= 0"):
        worst_gap_bound(SCALAR, 1.0, -0.1)
