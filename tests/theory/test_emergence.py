"""When MIMO makes K encoders emerge: against simulation, against hand, and where theory ends."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim import theory
from mimo_sim._checks import FloatArray
from mimo_sim.generators import random_problem, scalar_pair
from tests.theory.shared import FIGURE_1

pytestmark = pytest.mark.usefixtures("dynamic_sizes")

DIMS = st.lists(st.integers(1, 2), min_size=2, max_size=5)
LAMS = st.sampled_from((0.5, 2.0, 6.0))


def uncorrelated(gaps: FloatArray, correlation: FloatArray) -> ms.LateFusionProblem:
    """Uncorrelated scalar inputs with these gaps and |C_k|."""
    variance = correlation**2 / (2 * gaps)
    return ms.LateFusionProblem(np.diag(variance).tolist(), correlation.tolist(), 2 * gaps.sum())


def small_mu(problem: ms.LateFusionProblem) -> float:
    """A twentieth of the smallest gap and of all differences: sigma is one-hot up to e^-20."""
    gaps = np.sort(theory.superficial_preference(problem).explained) / 2
    return float(np.diff(gaps, prepend=0).min()) / 20


# sigma flips a few times while it is handed over; no time depends on that
@pytest.mark.filterwarnings("ignore::mimo_sim.ChatteringWarning")
@settings(max_examples=40)
@given(DIMS, st.integers(0, 1000), LAMS)
def test_emergence_under_mimo(dims: list[int], seed: int, lam: float) -> None:
    """How the times at which |W_k| passes a tenth of its final value grow with ln(1/u0).

    mu is far below the gaps.
    """
    problem = random_problem(dims, seed)
    try:
        chain = theory.emergence_chain(problem, lam)
    except ms.OutsideTheoryError:
        assume(False)
    assume(chain.margin > 0.1)  # no tie; 7 e-foldings
    assume(chain.shrunk < 0.05)  # float64 sees a mode that has shrunk by 8 e-foldings
    limit = chain.times
    mu = small_mu(problem)
    stable = 1 / theory.smoothness(problem, ms.MIMO(lam=lam, mu=1e9))
    fastest = float(theory.growth_rates(problem, lam, 1e-9).max())
    eta = min(0.5 * theory.chattering_threshold(problem, lam, mu), stable, 0.02 / fastest)
    log, times = math.log(1e32), []
    final = theory.final_encoder_norms(problem, ms.MIMO(lam=lam, mu=mu))
    assume(2.2 * limit.max() * log / eta < 300_000)
    for power in (1, 2):
        steps = int(limit.max() * (power * log + 16) / eta)  # 16: room for terms of order one
        run = ms.simulate(
            problem,
            ms.MIMO(lam=lam, mu=mu),
            step_size=eta,
            steps=steps,
            width=math.inf,
            init_scale=1e-32**power,
            record_every=10,
        )
        emerged = run.encoder_norm.values > 0.1 * final
        assert emerged.any(axis=0).all()
        times.append(run.time.values[emerged.argmax(axis=0)])
    # The difference removes all that does not grow with ln(1/u0). Euler's method at a growth of
    # 0.02 a step is 1% slow.
    np.testing.assert_allclose(times[1] - times[0], limit * log, rtol=0.02)


@given(st.integers(2, 6), st.integers(0, 10**6), LAMS)
def test_uncorrelated_modalities_emerge_in_closed_form(k: int, seed: int, lam: float) -> None:
    """T_i = T_(i-1) + a (1/|C_i| - T_(i-1)) for the next leader i, with a = 1/sqrt(1 + lam^2).

    Modalities that emerge before their turn comes do so at 1/|C|.
    """
    rng = np.random.default_rng(seed)
    gaps, correlation = rng.uniform(0.5, 2, (2, k))
    expected, turn, a = np.empty(k), 0.0, 1 / math.hypot(1, lam)
    for i in np.argsort(-gaps):
        expected[i] = min(1 / correlation[i], turn + a * max(1 / correlation[i] - turn, 0))
        turn = max(turn, expected[i])
    found = theory.mimo_learning_times(uncorrelated(gaps, correlation), lam)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@given(DIMS, st.integers(0, 1000), LAMS, st.randoms(use_true_random=False))
def test_names_do_not_matter(dims: list[int], seed: int, lam: float, random: st.DataObject) -> None:
    problem = random_problem(dims, seed)
    order = list(range(len(dims)))
    random.shuffle(order)  # type: ignore[attr-defined]
    renamed = ms.LateFusionProblem(
        [[problem.sigma[i][j] for j in order] for i in order],
        [problem.sigma_yx[i] for i in order],
        problem.y_second_moment,
    )
    try:
        times = theory.mimo_learning_times(problem, lam)
    except ms.OutsideTheoryError:
        with pytest.raises(ms.OutsideTheoryError):
            theory.mimo_learning_times(renamed, lam)
        return
    np.testing.assert_allclose(
        theory.mimo_learning_times(renamed, lam), times[order], rtol=1e-6, atol=1e-9
    )
    margin = theory.emergence_chain(problem, lam).margin
    assert theory.emergence_chain(renamed, lam).margin == pytest.approx(margin, abs=1e-6)


@settings(max_examples=8)
@given(DIMS.filter(lambda dims: len(dims) < 5), st.integers(0, 200))
def test_thresholds_are_where_two_times_cross(dims: list[int], seed: int) -> None:
    problem = random_problem(dims, seed)
    try:
        changes = theory.order_thresholds(problem, largest=30.0)
    except ms.OutsideTheoryError:
        assume(False)
    for change in changes:
        for factor, before in ((1 - 1e-6, True), (1 + 1e-6, False)):
            times = theory.mimo_learning_times(problem, factor * change.lam)
            assert (times[change.earlier] < times[change.later]) == before
    # from one end to the other, each pair has swapped as often as there are thresholds for it
    first, last = (theory.mimo_learning_times(problem, lam) for lam in (1e-3, 30.0))
    for i in range(len(dims)):
        for j in range(i):
            swaps = sum({change.earlier, change.later} == {i, j} for change in changes)
            assert ((first[i] < first[j]) != (last[i] < last[j])) == (swaps % 2 == 1)


@settings(max_examples=8)
@given(st.integers(0, 1000))
def test_two_modalities_have_one_threshold(seed: int) -> None:
    problem = random_problem((1, 2), seed, require="superficial")
    (change,) = theory.order_thresholds(problem)
    assert change.lam == pytest.approx(theory.order_threshold(problem), rel=1e-6)
    report = theory.superficial_preference(problem)
    assert (change.earlier, change.later) == (report.first_learned, report.most_explaining)


def test_emergence_known_by_hand() -> None:
    """Independent inputs above lam*: 1 + |C_g|/|C_o| - 1/sqrt(1 + lam^2)."""
    first, second = np.sort(theory.mimo_learning_times(FIGURE_1, 10.0))
    assert second / first == pytest.approx(1 + 1 / 2.25 - 1 / math.sqrt(101), rel=1e-12)
    for problem in (FIGURE_1, scalar_pair(3.0, -0.9), random_problem((1, 2, 1), 0)):
        np.testing.assert_allclose(
            theory.mimo_learning_times(problem, 0.0), theory.learning_times(problem), rtol=1e-12
        )
    alone = ms.LateFusionProblem([[4.0]], [2.0], 1.0)
    assert theory.mimo_learning_times(alone, 3.0) == pytest.approx(1 / (2 * math.sqrt(10)))
    assert theory.emergence_chain(alone, 3.0).margin == math.inf
    assert theory.order_thresholds(alone) == ()


def test_the_margin_is_what_the_runner_up_has_left() -> None:
    problem = uncorrelated(np.array([2.0, 1.0]), np.array([1.0, 0.9]))
    rate = math.hypot(1, 2.0)
    chain = theory.emergence_chain(problem, 2.0)
    assert chain.margin == pytest.approx(1 - 0.9 / rate, rel=1e-12)
    assert chain.shrunk == 0


def test_a_sign_that_changes_last_delays_no_one() -> None:
    """The first one turns once the second one is learned: both have emerged by then."""
    problem = ms.LateFusionProblem([[9.0, 2.7], [2.7, 1.0]], [3.0, 1.2], 2.0)
    assert problem.joint_map[0, 0] < 0 < problem.unimodal_maps[0].item()
    wait = (1 - 1.2 * math.hypot(1, 0.1) / 3) / math.hypot(0.3, 0.12)
    found = theory.mimo_learning_times(problem, 0.1)
    np.testing.assert_allclose(found, [1 / 3, 1 / 3 + wait], rtol=1e-12)


def test_where_the_theory_ends() -> None:
    tied = uncorrelated(np.array([1.0, 1.0, 0.5]), np.array([1.0, 2.0, 3.0]))
    with pytest.raises(ms.OutsideTheoryError, match=r"need gaps that differ. Got the same gap for"):
        theory.mimo_learning_times(tied, 1.0)
    with pytest.raises(ms.OutsideTheoryError, match="needs a second direction of its inputs"):
        find(2, "second direction")
    with pytest.raises(ms.OutsideTheoryError, match="must change its sign later"):
        find(1, "sign")
    for lam in (0.0, -1.0):
        with pytest.raises(ValueError, match="`lam` must be"):
            theory.emergence_chain(FIGURE_1, lam)
    with pytest.raises(ValueError, match="`largest` must be"):
        theory.order_thresholds(FIGURE_1, 0.0)


def find(dim: int, words: str) -> None:
    """Raise the first refusal with these words among random problems."""
    for seed in range(2000):
        problem = random_problem((dim,) * 5, seed, degrees_of_freedom=5 * dim)
        try:
            theory.mimo_learning_times(problem, 1.0)
        except ms.OutsideTheoryError as error:
            if words in str(error):
                raise


@pytest.mark.parametrize("lam", [0.5, 2.0])
def test_a_modality_that_only_repeats_another_waits_until_it_leads(lam: float) -> None:
    """y = x_1 + x_3, and x_2 knows of y what it shares with x_1. By hand."""
    problem = ms.LateFusionProblem([[4, 1, 0], [1, 4, 0], [0, 0, 1]], [4, 1, 1], 5.0)
    both = math.hypot(1, lam)
    first = 1 / (4 * both)  # the others grow at the rate 1 meanwhile
    third = first + (1 - first) / both
    second = third + (1 - first) / lam  # nothing of it is left for the joint head
    found = theory.mimo_learning_times(problem, lam)
    np.testing.assert_allclose(found, [first, second, third], rtol=1e-12)


def test_a_change_of_order_just_below_the_largest_penalty_is_found() -> None:
    (change,) = theory.order_thresholds(FIGURE_1, 2.0165)
    assert change.lam == pytest.approx(theory.order_threshold(FIGURE_1), rel=1e-9)
    assert theory.order_thresholds(FIGURE_1, 2.015) == ()
