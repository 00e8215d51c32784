"""Learning times of joint training against simulated flow, and against cases known by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim import theory
from mimo_sim.generators import random_problem, scalar_pair
from mimo_sim.testing import problems
from tests.theory.shared import FIGURE_1

pytestmark = pytest.mark.usefixtures("dynamic_sizes")


def flow_half_times(
    problem: ms.LateFusionProblem, init_scale: float, rows: int = 4000
) -> np.ndarray:
    """(K,) flow times at which each squared encoder norm passes half of its final value.

    They are interpolated between rows.
    """
    end = 1.5 * theory.learning_times(problem, init_scale).max() + 15
    run = ms.simulate(
        problem,
        ms.Vanilla(),
        engine="flow",
        steps=rows,
        step_size=end / rows,
        width=math.inf,
        init_scale=init_scale,
    )
    assert run.excess_mm[-1] < 1e-6 * run.excess_mm[0]
    found = []
    for squared in run.encoder_norm.values.T**2:
        half = squared[-1] / 2
        row = int((squared >= half).argmax())
        around = slice(row - 1, row + 1)
        found.append(float(np.interp(half, squared[around], run.time.values[around])))
    return np.array(found)


@given(st.floats(1.05, 6.0), st.floats(-0.95, 0.95))
def test_time_ratio_of_the_scalar_pair(ratio: float, rho: float) -> None:
    """Also where B's direction flips (rho < -1/r): a plus in place of a minus, one formula in r."""
    assume(abs(1 + rho * ratio) > 1e-6)  # at the flip itself B does not grow at all
    expected = 1 + (ratio**2 - 1) / (1 - rho**2)
    # 1 - rho^2 is a difference of numbers up to 1 + rho r = 7, of which 0.1 may be left
    assert theory.time_ratio(scalar_pair(ratio, rho)) == pytest.approx(expected, rel=1e-12)


def test_time_ratio_known_by_hand() -> None:
    assert theory.time_ratio(scalar_pair(2.0, 0.5)) == pytest.approx(5.0, rel=1e-14)
    # printed with one decimal
    assert theory.time_ratio(scalar_pair(3.0, -0.9)) == pytest.approx(43.1, abs=0.05)
    assert theory.time_ratio(scalar_pair(1.0, 0.3)) == pytest.approx(1.0, rel=1e-14)
    # independent inputs: |C_A| / |C_B|
    assert theory.time_ratio(FIGURE_1) == pytest.approx(3 * 0.75, rel=1e-14)


@given(problems(num_modalities=2, output_dim=1))
def test_time_ratio_of_two_modalities(problem: ms.LateFusionProblem) -> None:
    sizes = np.array([np.linalg.norm(block) for block in problem.sigma_yx])
    assume(abs(sizes[0] - sizes[1]) > 1e-9)  # who is A is decided by round-off otherwise
    a, b = (0, 1) if sizes[0] > sizes[1] else (1, 0)
    left = (
        problem.sigma_yx[b]
        - problem.sigma_yx[a] @ np.linalg.inv(problem.sigma[a][a]) @ problem.sigma[a][b]
    )
    remaining = float(np.linalg.norm(left))
    assume(remaining > 1e-6)  # else B has nothing of its own to learn
    cosine = float(np.sum(left * problem.sigma_yx[b])) / remaining / sizes[b]
    expected = 1 + (sizes[a] + (sizes[b] if cosine < -1 + 1e-9 else -sizes[b])) / remaining
    # quantised numbers over a remainder of at least 1e-6
    assert theory.time_ratio(problem) == pytest.approx(expected, rel=1e-9)
    times = theory.learning_times(problem)
    np.testing.assert_allclose(times[a], 1 / sizes[a], rtol=1e-12)


def test_nothing_left_to_learn_is_never_learned() -> None:
    repeated = ms.LateFusionProblem([[4, 2], [2, 1]], [4, 2], 4.0)  # y = x_A, and x_B = x_A / 2
    np.testing.assert_allclose(theory.learning_times(repeated), [0.25, math.inf])
    assert theory.time_ratio(repeated) == math.inf
    # y = x_A; x_B correlates with y through x_A alone
    hidden = ms.LateFusionProblem([[4, 1], [1, 1]], [4, 1], 4.0)
    assert theory.time_ratio(hidden) == math.inf
    assert theory.learning_times(ms.LateFusionProblem([[1, 0], [0, 1]], [1, 0], 1.0)).tolist() == [
        1.0,
        math.inf,
    ]


@pytest.mark.parametrize(("ratio", "rho"), [(2.0, 0.5), (3.0, 0.2), (2.0, -0.3), (3.0, -0.9)])
def test_time_ratio_is_approached_like_one_over_the_logarithm(ratio: float, rho: float) -> None:
    """The limit and the finite-u0 prediction, judged by their rate; (3, -0.9) flips a direction."""
    problem, scales = scalar_pair(ratio, rho), (1e-3, 1e-6, 1e-12)
    logs = np.log(1 / np.array(scales))
    limit, finite = [], []
    for scale in scales:
        times = flow_half_times(problem, scale)
        assert times[0] < times[1]
        simulated = times[1] / times[0]
        limit.append(abs(theory.time_ratio(problem) / simulated - 1))
        finite.append(abs(theory.time_ratio(problem, init_scale=scale) / simulated - 1))
    for errors in (limit, finite):
        slope = np.polyfit(np.log(logs), np.log(errors), 1)[0]
        # the next term is of order 1 / log^2, and log(1/u0) starts at 7
        assert abs(slope + 1) < 0.15
        assert max(errors * logs) < 0.5


@pytest.mark.parametrize(
    "problem",
    [
        random_problem(dims, seed, degrees_of_freedom=40)
        for dims, seed in (((1, 1, 1), 0), ((1, 1, 1), 1), ((3, 2, 4), 3))
    ],
)
def test_learning_times_of_three_modalities(problem: ms.LateFusionProblem) -> None:
    for scale in (1e-4, 1e-8, 1e-16):
        predicted = theory.learning_times(problem, init_scale=scale)
        simulated = flow_half_times(problem, scale, rows=2000)
        assert np.argsort(predicted).tolist() == np.argsort(simulated).tolist()
        # Terms of order one are exact for scalar inputs, except where a plateau is not the final
        # value: a factor of 2 between them costs log 2 / 2.
        assert (np.abs(predicted / simulated - 1) * math.log(1 / scale)).max() < 0.4


@given(problems(output_dim=1))
def test_finite_scale_predictions_tend_to_the_limit(problem: ms.LateFusionProblem) -> None:
    limit = theory.learning_times(problem)
    assume(np.isfinite(limit).all())
    assume(np.diff(np.sort(limit)).min(initial=1.0) > 1e-6)  # ties are broken by order-one terms
    predicted = theory.learning_times(problem, init_scale=1e-300) / math.log(1e300)
    # What is left is terms of order one over ln(1e300) = 691. They grow where the rate or the
    # projection of the next mode is small, which the limit leaves out.
    late = limit < 20
    np.testing.assert_allclose(predicted[late], limit[late], rtol=0.3)


@given(st.floats(1.05, 6.0), st.floats(-0.95, 0.95))
def test_misattribution_of_the_scalar_pair(ratio: float, rho: float) -> None:
    assume(ratio**2 + rho * ratio > abs(1 + rho * ratio) * (1 + 1e-9))
    wrong = theory.misattribution(scalar_pair(ratio, rho))
    assert wrong.shape == (1, 1)
    assert wrong[0, 0] == pytest.approx(rho / ratio, abs=1e-12)


def test_misattribution_is_the_plateau_of_a_simulation() -> None:
    problem = scalar_pair(3.0, 0.5)
    first, second = theory.learning_times(problem, init_scale=1e-8)
    # Half-way, A is learned up to e^-|C_A| (t_B - t_A), and B is e^-|D| (t_B - t_A) / 2 of itself.
    end = (first + second) / 2
    run = ms.simulate(
        problem,
        ms.Vanilla(),
        engine="flow",
        steps=1,
        step_size=end,
        width=math.inf,
        init_scale=1e-8,
        record_maps=True,
    )
    plateau, unlearned = run.joint_map.values[-1, 0]
    assert unlearned == pytest.approx(0, abs=1e-3)
    assert plateau - 1 == pytest.approx(theory.misattribution(problem)[0, 0], abs=1e-3)


def test_at_a_large_initial_scale_a_modality_may_be_learned_from_the_start() -> None:
    """Then the other one waits infinitely longer, unless it is learned from the start too."""
    assert theory.time_ratio(FIGURE_1, 0.99) == math.inf
    strong = ms.LateFusionProblem([[1, 0], [0, 1]], [0.01, 0.005], 1.0)
    assert theory.learning_times(strong, 0.99).tolist() == [0.0, 0.0]
    assert theory.time_ratio(strong, 0.99) == 1.0
