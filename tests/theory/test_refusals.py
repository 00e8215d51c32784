"""Bad input is refused with a sentence that names it."""

from __future__ import annotations

import math
from typing import Any

import pytest

import mimo_sim as ms
from mimo_sim import theory
from mimo_sim.generators import random_problem
from tests.theory.shared import FIGURE_1

VECTOR = random_problem(dims=(2, 2), seed=0, output_dim=2)


@pytest.mark.parametrize(
    ("function", "arguments", "error", "match"),
    [
        (
            theory.time_ratio,
            (VECTOR,),
            ValueError,
            r"scalar targets \(m = 1\) only. Got a problem with output_dim=2",
        ),
        (theory.learning_times, (VECTOR,), ValueError, r"scalar targets \(m = 1\) only"),
        (
            theory.time_ratio,
            (random_problem(dims=(2,), seed=0),),
            ValueError,
            r"at least two modalities. Got num_modalities=1",
        ),
        (
            theory.learning_times,
            (FIGURE_1, 0.0),
            ValueError,
            r"`init_scale` must lie in \(0, 1\). Got init_scale=0.0",
        ),
        (theory.learning_times, (FIGURE_1, 1.0), ValueError, r"`init_scale` must lie in \(0, 1\)"),
        (theory.time_ratio, (FIGURE_1, math.nan), ValueError, r"`init_scale` must lie in \(0, 1\)"),
        (theory.growth_rates, (FIGURE_1, -1.0, 0.1), ValueError, r"`lam` must be finite and >= 0"),
        (theory.growth_rates, (FIGURE_1, 1.0, 0.0), ValueError, r"`mu` must be finite and > 0"),
        (theory.order_threshold, (FIGURE_1, -0.1), ValueError, r"`mu` must be finite and >= 0"),
        (theory.order_threshold, (FIGURE_1, math.nan), ValueError, r"`mu` must be finite and >= 0"),
        (
            theory.chattering_threshold,
            (FIGURE_1, 1.0, 0.0),
            ValueError,
            r"`mu` must be finite and > 0",
        ),
        (
            theory.chattering_threshold,
            (FIGURE_1, -1.0, 0.1),
            ValueError,
            r"`lam` must be finite and >= 0",
        ),
        (theory.mimo_learning_times, (VECTOR, 1.0), ValueError, r"scalar targets \(m = 1\) only"),
        (
            theory.mimo_learning_times,
            (FIGURE_1, -1.0),
            ValueError,
            r"`lam` must be finite and >= 0",
        ),
        (
            theory.mimo_learning_times,
            (ms.LateFusionProblem([[1, 0], [0, 1]], [1, 0], 1.0), 1.0),
            ValueError,
            r"Every modality must correlate",
        ),
        (
            theory.final_encoder_norms,
            (FIGURE_1, ms.MIMO(heads="plain")),
            ValueError,
            r"for `heads='gradient'` only.*Got heads='plain'",
        ),
    ],
)
def test_refusals(
    function: Any, arguments: tuple[Any, ...], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        function(*arguments)


def test_unknown_head_updates_are_refused() -> None:
    bad: Any = "frozen"
    with pytest.raises(ValueError, match="`heads`"):
        theory.growth_rates(FIGURE_1, 1.0, 0.1, heads=bad)
    with pytest.raises(ValueError, match="`heads`"):
        theory.order_threshold(FIGURE_1, heads=bad)
