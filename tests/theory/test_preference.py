"""Which modality joint training prefers: the two conditions, and problems known by hand."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim import theory
from mimo_sim.generators import scalar_pair
from mimo_sim.testing import problems
from tests.theory.shared import FIGURE_1


@given(problems(num_modalities=st.integers(1, 4)))
def test_preference_is_its_two_conditions(problem: ms.LateFusionProblem) -> None:
    report = theory.superficial_preference(problem)
    singular = [np.linalg.svd(block, compute_uv=False)[0] for block in problem.sigma_yx]
    explained = [
        np.trace(c @ np.linalg.inv(problem.sigma[k][k]) @ c.T)
        for k, c in enumerate(problem.sigma_yx)
    ]
    np.testing.assert_allclose(report.correlation, singular, rtol=1e-12)
    # blocks are conditioned up to 49
    np.testing.assert_allclose(report.explained, explained, rtol=1e-10)
    assert report.correlation[report.first_learned] == report.correlation.max()
    assert report.explained[report.most_explaining] == report.explained.max()
    assert not report.holds or report.first_learned != report.most_explaining
    assert ("no superficial" in str(report)) == (not report.holds)
    assert str(report).count("|C| =") == problem.num_modalities


def test_preference_of_known_problems() -> None:
    assert theory.superficial_preference(FIGURE_1).holds
    swapped = ms.LateFusionProblem([[1, 0], [0, 9]], [math.sqrt(1.28), 3 * math.sqrt(0.72)], 2.0)
    report = theory.superficial_preference(swapped)
    assert (report.holds, report.first_learned, report.most_explaining) == (True, 1, 0)
    equal = theory.superficial_preference(ms.LateFusionProblem([[1, 0], [0, 1]], [1, 1], 2.0))
    assert not equal.holds  # a tie is no preference
    for loud in (0, 1):  # both explain all; one is louder by its units alone
        scale = np.where(np.arange(2) == loud, 2.0, 1.0)
        tie = ms.LateFusionProblem(np.diag(scale**2), scale.tolist(), 2.0)
        report = theory.superficial_preference(tie)
        assert report.explained[0] == report.explained[1]
        assert report.most_explaining == report.first_learned == loud
        assert theory.order_threshold(tie) == theory.deep_order_threshold(tie, 3) == 0
        assert theory.order_threshold(tie, mu=0.1) == 0
    nothing = ms.LateFusionProblem([[1, 0], [0, 1]], [0, 0], 1.0)
    assert theory.deep_order_threshold(nothing, 3) == theory.order_threshold(nothing) == 0
    assert not theory.superficial_preference(scalar_pair(2.0, 0.5)).holds
    assert "learns m1 first, m2 explains most" in str(theory.superficial_preference(FIGURE_1))
