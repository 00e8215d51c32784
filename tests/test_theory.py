"""Every closed form against simulation, against an independent evaluation, or against a case that is known by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim import theory
from mimo_sim.generators import random_problem, scalar_pair
from mimo_sim.objective import mimo_objective
from mimo_sim.solvers import FStarRule, HeadUpdate, Solver
from mimo_sim.testing import eighths, initial_weights, methods, mimo_methods, problems

pytestmark = pytest.mark.usefixtures("dynamic_sizes")

FIGURE_1 = ms.generators.superficial_preference()
HEADS = st.sampled_from(("gradient", "plain"))


def flow_half_times(
    problem: ms.LateFusionProblem, init_scale: float, rows: int = 4000
) -> np.ndarray:
    """(K,) flow times at which each squared encoder norm passes half of its final value, interpolated between rows."""
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
        row = int((squared >= squared[-1] / 2).argmax())
        found.append(
            float(
                np.interp(
                    squared[-1] / 2, squared[row - 1 : row + 1], run.time.values[row - 1 : row + 1]
                )
            )
        )
    return np.array(found)


# ------------------------------------------------------------------------------------------ preference


@given(problems(num_modalities=st.integers(1, 4)))
def test_preference_is_its_two_conditions(problem: ms.LateFusionProblem) -> None:
    report = theory.superficial_preference(problem)
    singular = [np.linalg.svd(block, compute_uv=False)[0] for block in problem.sigma_yx]
    explained = [
        np.trace(c @ np.linalg.inv(problem.sigma[k][k]) @ c.T)
        for k, c in enumerate(problem.sigma_yx)
    ]
    np.testing.assert_allclose(report.correlation, singular, rtol=1e-12)
    np.testing.assert_allclose(
        report.explained, explained, rtol=1e-10
    )  # blocks are conditioned up to 49
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
    assert not theory.superficial_preference(scalar_pair(2.0, 0.5)).holds
    assert "learns m1 first, m2 explains most" in str(theory.superficial_preference(FIGURE_1))


# ------------------------------------------------------------------------------------------ times of joint training


@given(st.floats(1.05, 6.0), st.floats(-0.95, 0.95))
def test_time_ratio_of_the_scalar_pair(ratio: float, rho: float) -> None:
    """Unsigned while B's direction does not flip (rho > -1/r), signed beyond; nothing is left to learn of B only at the ends of rho."""
    assume(abs(1 + rho * ratio) > 1e-6)  # at the flip itself B does not grow at all
    flips = rho < -1 / ratio
    first, second = ratio**2 + rho * ratio, abs(1 + rho * ratio)
    assume(first > second * (1 + 1e-9))  # else B is learned first
    expected = 1 + (first + second) / (1 - rho**2) if flips else 1 + (ratio**2 - 1) / (1 - rho**2)
    # 1 - rho^2 comes out of a difference of numbers up to 1 + rho r, so 7 of which 0.1 are left
    assert theory.time_ratio(scalar_pair(ratio, rho)) == pytest.approx(expected, rel=1e-12)


def test_time_ratio_known_by_hand() -> None:
    assert theory.time_ratio(scalar_pair(2.0, 0.5)) == pytest.approx(5.0, rel=1e-14)
    assert theory.time_ratio(scalar_pair(3.0, -0.9)) == pytest.approx(
        43.1, abs=0.05
    )  # printed with one decimal
    assert theory.time_ratio(scalar_pair(1.0, 0.3)) == pytest.approx(1.0, rel=1e-14)
    assert theory.time_ratio(FIGURE_1) == pytest.approx(
        3 * 0.75, rel=1e-14
    )  # independent inputs: |C_A| / |C_B|


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
    assert theory.time_ratio(problem) == pytest.approx(
        expected, rel=1e-9
    )  # quantised numbers over a remainder of 1e-6 at least
    times = theory.learning_times(problem)
    np.testing.assert_allclose(times[a], 1 / sizes[a], rtol=1e-12)


def test_nothing_left_to_learn_is_never_learned() -> None:
    repeated = ms.LateFusionProblem([[4, 2], [2, 1]], [4, 2], 4.0)  # y = x_A, and x_B = x_A / 2
    np.testing.assert_allclose(theory.learning_times(repeated), [0.25, math.inf])
    assert theory.time_ratio(repeated) == math.inf
    hidden = ms.LateFusionProblem(
        [[4, 1], [1, 1]], [4, 1], 4.0
    )  # y = x_A, x_B correlates with y through x_A alone
    assert theory.time_ratio(hidden) == math.inf
    assert theory.learning_times(ms.LateFusionProblem([[1, 0], [0, 1]], [1, 0], 1.0)).tolist() == [
        1.0,
        math.inf,
    ]


@pytest.mark.parametrize(("ratio", "rho"), [(2.0, 0.5), (3.0, 0.2), (2.0, -0.3), (3.0, -0.9)])
def test_time_ratio_is_approached_like_one_over_the_logarithm(ratio: float, rho: float) -> None:
    """Both the limit and the finite-u0 prediction, by their rate; (3, -0.9) is a flipped direction."""
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
        assert (
            abs(slope + 1) < 0.15
        )  # the next term is of order 1 / log^2 and log(1/u0) starts at 7
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
        predicted, simulated = (
            theory.learning_times(problem, init_scale=scale),
            flow_half_times(problem, scale, rows=2000),
        )
        assert np.argsort(predicted).tolist() == np.argsort(simulated).tolist()
        # order-one terms are exact for scalar inputs up to plateaus that differ from final values: log 2 / 2 at most when they differ by a factor of 2
        assert (np.abs(predicted / simulated - 1) * math.log(1 / scale)).max() < 0.4


@given(problems(output_dim=1))
def test_finite_scale_predictions_tend_to_the_limit(problem: ms.LateFusionProblem) -> None:
    limit = theory.learning_times(problem)
    assume(np.isfinite(limit).all())
    assume(np.diff(np.sort(limit)).min(initial=1.0) > 1e-6)  # ties are broken by order-one terms
    predicted = theory.learning_times(problem, init_scale=1e-300) / math.log(1e300)
    # order-one terms over ln(1e300) = 691; they grow where a next mode's rate or projection is small, which the limit leaves out
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
    end = (
        (first + second) / 2
    )  # half-way: A has been learned to e^-|C_A| (t_B - t_A), B is e^-|D| (t_B - t_A) / 2 of itself
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


# ------------------------------------------------------------------------------------------ growth and order


@given(
    problems(output_dim=1),
    eighths(0, 80),
    eighths(2, 16),
    HEADS,
    st.sampled_from(("exact", "zero", "running_minimum")),
)
def test_growth_law(
    problem: ms.LateFusionProblem, lam: float, mu: float, heads: HeadUpdate, f_star: FStarRule
) -> None:
    """Slopes of log |W_k| over the second half of a growth by 1e9, from 1e-12, of every encoder that had time to align."""
    rates = theory.growth_rates(problem, lam, mu, heads=heads, f_star=f_star)
    eta = 0.01 / rates.max()
    steps = int(math.log(1e9) / math.log1p(0.01))
    run = ms.simulate(
        problem,
        ms.MIMO(lam=lam, mu=mu, heads=heads, f_star=f_star),
        step_size=eta,
        steps=steps,
        width=math.inf,
        init_scale=1e-12,
    )
    norms, expected = run.encoder_norm.values, np.log1p(eta * rates)
    aligned = expected * (steps // 2) > math.log(1e3)
    assert aligned.any()
    slopes = np.log(norms[-1] / norms[steps // 2]) / (steps - steps // 2)
    # other parts of the start are (1/1e3)^2 = 1e-6 of |W|^2; at the end |W| is 1e-3, which moves sigma by 1e-6 / mu
    np.testing.assert_allclose(slopes[aligned], expected[aligned], rtol=1e-5)


@pytest.mark.parametrize("heads", ["gradient", "plain"])
def test_growth_law_for_vector_targets(heads: HeadUpdate) -> None:
    """The second singular direction only slows what is measured, by less than its share exp(-2 (r1 - r2) t), here below 1/(2 e) of r1 t = 10."""
    for seed in range(5):
        problem = random_problem(dims=(3, 2), seed=seed, output_dim=2)
        rates = theory.growth_rates(problem, 3.0, 0.5, heads=heads)
        eta, steps = 0.01 / rates.max(), int(math.log(1e9) / math.log1p(0.01))
        run = ms.simulate(
            problem,
            ms.MIMO(lam=3.0, mu=0.5, heads=heads),
            step_size=eta,
            steps=steps,
            width=math.inf,
            init_scale=1e-12,
        )
        fastest = int(rates.argmax())
        norms = run.encoder_norm.values[:, fastest]
        slope = math.log(norms[-1] / norms[steps // 2]) / (steps - steps // 2) / math.log1p(0.01)
        assert 1 - 0.02 < slope < 1 + 1e-5


@given(problems(num_modalities=st.integers(1, 3)), eighths(1, 16), HEADS)
def test_growth_rates_in_known_limits(
    problem: ms.LateFusionProblem, mu: float, heads: HeadUpdate
) -> None:
    correlation = theory.superficial_preference(problem).correlation
    np.testing.assert_allclose(
        theory.growth_rates(problem, 0.0, mu, heads=heads), correlation, rtol=1e-14
    )
    K = problem.num_modalities
    for f_star in ("zero", "running_minimum"):
        rates = theory.growth_rates(problem, 3.0, mu, heads=heads, f_star=f_star)
        factor = math.sqrt(1 + (9 / K**2 if heads == "gradient" else 3 / K))
        np.testing.assert_allclose(rates, correlation * factor, rtol=1e-13)


@given(problems(require="superficial", output_dim=1), st.sampled_from((0.5, 1.5)), HEADS)
def test_order_threshold_decides_who_is_learned_first(
    problem: ms.LateFusionProblem, multiple: float, heads: HeadUpdate
) -> None:
    report = theory.superficial_preference(problem)
    explained = np.sort(report.explained)
    mu = (
        explained[-1] - explained[-2]
    ) / 20  # a tenth of the lead in gap: sigma starts at 1 - 5e-5 or less for B
    lam = multiple * theory.order_threshold(problem, mu, heads=heads)
    np.testing.assert_allclose(
        lam, multiple * theory.order_threshold(problem, heads=heads), rtol=1e-2
    )
    method = ms.MIMO(lam=lam, mu=mu, heads=heads)
    eta = 4 * theory.default_step_size(problem, method)
    rates = theory.growth_rates(problem, lam, mu, heads=heads)
    steps = int(1.2 * math.log(1e30) / math.log1p(eta * rates.max()))
    run = ms.simulate(problem, method, step_size=eta, steps=steps, width=math.inf, init_scale=1e-30)
    emerged = run.encoder_norm.values**2 > 1e-2  # maps are of order one
    # growth rates differ by 8% or more here, so amplitudes by exp(0.08 * 69) when the first emerges: more than all terms of order one
    assert emerged.any()
    first = int(np.where(emerged.any(axis=0), emerged.argmax(axis=0), steps + 1).argmin())
    assert first == (report.first_learned if multiple < 1 else report.most_explaining)


@pytest.mark.parametrize(("multiple", "expected"), [(0.5, 0), (1.5, 1)])
def test_order_threshold_decides_the_half_times_of_figure_1(multiple: float, expected: int) -> None:
    method = ms.MIMO(lam=multiple * theory.order_threshold(FIGURE_1), mu=0.01)
    run = ms.simulate(
        FIGURE_1,
        method,
        step_size=2e-3,
        steps=30_000,
        width=math.inf,
        init_scale=1e-6,
        record_every=10,
    )
    assert int(ms.half_times(run).values.argmin()) == expected


@given(problems(require="superficial"), HEADS)
def test_order_threshold_equalises_the_growth_rates(
    problem: ms.LateFusionProblem, heads: HeadUpdate
) -> None:
    report = theory.superficial_preference(problem)
    explained = np.sort(report.explained)
    mu = (explained[-1] - explained[-2]) / 8
    rates = theory.growth_rates(
        problem, theory.order_threshold(problem, mu, heads=heads), mu, heads=heads
    )
    assert rates[report.most_explaining] == pytest.approx(rates.max(), rel=1e-12)
    assert np.delete(rates, report.most_explaining).max() == pytest.approx(rates.max(), rel=1e-12)


@given(problems(require="superficial", num_modalities=2))
def test_order_threshold_of_two_modalities(problem: ms.LateFusionProblem) -> None:
    report = theory.superficial_preference(problem)
    ratio = report.correlation[report.first_learned] / report.correlation[report.most_explaining]
    assert theory.order_threshold(problem) == pytest.approx(math.sqrt(ratio**2 - 1), rel=1e-12)
    assert theory.order_threshold(problem, heads="plain") == pytest.approx(ratio**2 - 1, rel=1e-12)
    assert theory.order_threshold(problem, mu=1e9) == math.inf  # sigma = 1/K whatever lam


def test_order_threshold_without_preference() -> None:
    assert theory.order_threshold(scalar_pair(2.0, 0.5)) == 0.0
    assert theory.order_threshold(random_problem(dims=(2,), seed=0)) == 0.0
    assert theory.order_threshold(FIGURE_1) == pytest.approx(math.sqrt(2.25**2 - 1), rel=1e-12)


@given(st.integers(0, 1000), st.sampled_from((0.5, 2.0, 6.0)))
def test_emergence_under_mimo(seed: int, lam: float) -> None:
    """Times at which |W_k|^2 passes 1/100, for mu far below the gaps: their growth with ln(1/u0)."""
    problem = random_problem((2, 3), seed, require="superficial")
    rates = theory.growth_rates(problem, lam, 1e-9)
    gaps = problem.y_second_moment / 2 - problem.unimodal_optima
    mu = (
        min(abs(float(gaps[0] - gaps[1])), float(gaps.min())) / 20
    )  # sigma is one-hot at the origin, and again once the leader's gap has closed
    assume(abs(rates[0] / rates[1] - 1) > 0.05)  # near lam* both are first
    limit = theory.mimo_learning_times(problem, lam)
    stable = 1 / theory.smoothness(problem, ms.MIMO(lam=lam, mu=1e9))
    eta = min(
        0.5 * theory.chattering_threshold(problem, lam, mu), stable, 0.02 / float(rates.max())
    )
    log, times = math.log(1e32), []
    assume(2.2 * limit.max() * log / eta < 400_000)
    for power in (1, 2):
        steps = int(1.1 * power * limit.max() * log / eta)
        run = ms.simulate(
            problem,
            ms.MIMO(lam=lam, mu=mu),
            step_size=eta,
            steps=steps,
            width=math.inf,
            init_scale=1e-32**power,
            record_every=10,
        )
        emerged = run.encoder_norm.values**2 > 1e-2
        assert emerged.any(axis=0).all()
        times.append(run.time.values[emerged.argmax(axis=0)])
    # the difference removes all that does not grow with ln(1/u0); Euler's method at growth 0.02 a step is 1% slow
    np.testing.assert_allclose(times[1] - times[0], limit * log, rtol=0.02)


def test_emergence_known_by_hand() -> None:
    """Independent inputs above lam*: 1 + |C_g|/|C_o| - 1/sqrt(1 + lam^2)."""
    first, second = np.sort(theory.mimo_learning_times(FIGURE_1, 10.0))
    assert second / first == pytest.approx(1 + 1 / 2.25 - 1 / math.sqrt(101), rel=1e-12)
    np.testing.assert_allclose(
        theory.mimo_learning_times(FIGURE_1, 0.0), theory.learning_times(FIGURE_1), rtol=1e-12
    )
    np.testing.assert_allclose(
        theory.mimo_learning_times(scalar_pair(3.0, -0.9), 0.0),
        theory.learning_times(scalar_pair(3.0, -0.9)),
        rtol=1e-12,
    )


# ------------------------------------------------------------------------------------------ conserved quantity and final norms


@given(st.data())
def test_flow_conserves_the_balance(data: st.DataObject) -> None:
    problem = data.draw(problems())
    method = data.draw(
        st.just(ms.Vanilla())
        | mimo_methods(f_star=st.sampled_from(("exact", "zero")), heads=st.just("gradient"))
    )
    weights = data.draw(initial_weights(problem))
    balance = theory.conserved_quantity(
        ms.simulate(problem, method, initial=weights, steps=20, step_size=0.05, engine="flow")
    )
    assert balance.dims == ("step", "modality")
    np.testing.assert_allclose(
        balance, np.broadcast_to(balance[0], balance.shape), rtol=0, atol=1e-6
    )  # LSODA at rtol 1e-10, some 1e3 steps


@given(st.data())
def test_gradient_descent_drifts_by_the_square_of_the_step(data: st.DataObject) -> None:
    """In one step the term linear in eta cancels and the quadratic one is all there is, so drift / eta^2 does not depend on eta."""
    problem = data.draw(problems())
    method = data.draw(
        st.just(ms.Vanilla())
        | mimo_methods(num_modalities=problem.num_modalities, heads=st.just("gradient"))
    )
    weights = data.draw(initial_weights(problem))
    drifts = []
    for eta in (1e-2, 1e-3):
        balance = theory.conserved_quantity(
            ms.simulate(problem, method, initial=weights, steps=1, step_size=eta)
        ).values
        drifts.append((balance[1] - balance[0]) / eta**2)
    size = 1 + np.abs(drifts[0]).max()
    np.testing.assert_allclose(
        drifts[0], drifts[1], rtol=0, atol=1e-8 * size
    )  # round-off 1e-15 of the norms over eta^2 = 1e-6


def test_the_drift_adds_up_to_first_order() -> None:
    drifts, counts = [], np.array([250, 500, 1000, 2000])
    for n in counts:
        run = ms.simulate(
            FIGURE_1,
            ms.MIMO(lam=2.0, mu=0.25),
            steps=int(n),
            step_size=5.0 / n,
            width=8,
            init_scale=0.3,
        )
        balance = theory.conserved_quantity(run)
        drifts.append(float(np.abs(balance - balance[0]).max()))
    slope = np.polyfit(np.log(5.0 / counts), np.log(drifts), 1)[0]
    assert abs(slope - 1) < 0.15  # n steps of eta^2; the next order adds some eta |A| < 0.1


@pytest.mark.parametrize(
    "method", [ms.MIMO(lam=4.0, mu=0.25, heads="plain"), ms.Vanilla(heads="plain")], ids=repr
)
def test_plain_heads_conserve_nothing(method: Solver) -> None:
    run = ms.simulate(
        FIGURE_1, method, engine="flow", steps=20, step_size=0.2, width=8, init_scale=0.3
    )
    balance = theory.conserved_quantity(run)
    assert np.abs(balance[-1] - balance[0]).max() > 0.1  # of norms of order one


@given(st.data())
def test_final_norms(data: st.DataObject) -> None:
    """Where the run has converged. The drift of gradient descent moves the balance by O(eta), so two step sizes are extrapolated to zero."""
    problem = data.draw(problems())
    method = data.draw(
        st.just(ms.Vanilla())
        | mimo_methods(lam=eighths(1, 32), mu=eighths(2, 16), heads=st.just("gradient"))
    )
    predicted = theory.final_encoder_norms(problem, method)
    assert predicted.shape == (problem.num_modalities,)
    eta, finals = theory.default_step_size(problem, method), []
    for parts in (1, 2):
        run = ms.simulate(
            problem,
            method,
            step_size=eta / parts,
            steps=20_000 * parts,
            width=math.inf,
            init_scale=1e-5,
            record_every=20_000 * parts,
        )
        assume(run.excess_mm[-1] < 1e-12 and run.grad_norm_sq[-1] < 1e-16)
        finals.append(run.encoder_norm.values[-1] ** 2)
    np.testing.assert_allclose(
        2 * finals[1] - finals[0], predicted**2, rtol=0, atol=2e-4 * predicted.max() ** 2
    )  # O(eta^2), first order being some 1e-3


def test_final_norms_known_by_hand() -> None:
    maps = np.array([math.sqrt(0.72) / 3, math.sqrt(1.28)])
    np.testing.assert_allclose(
        theory.final_encoder_norms(FIGURE_1, ms.Vanilla()) ** 2, maps, rtol=1e-12
    )
    np.testing.assert_allclose(
        theory.final_encoder_norms(FIGURE_1, ms.MIMO()) ** 2, math.sqrt(2) * maps, rtol=1e-12
    )  # N = M: independent inputs
    np.testing.assert_allclose(
        theory.final_encoder_norms(FIGURE_1, ms.MIMO(lam=0.0)), np.sqrt(maps), rtol=1e-12
    )
    np.testing.assert_allclose(
        theory.final_encoder_norms(FIGURE_1, ms.MIMO(lam=0.0, heads="plain")),
        np.sqrt(maps),
        rtol=1e-12,
    )


# ------------------------------------------------------------------------------------------ step sizes


@given(st.data())
def test_default_step_decreases_the_objective(data: st.DataObject) -> None:
    """Any start and any method whose objective is a fixed function (the running minimum moves it)."""
    problem = data.draw(problems())
    method = data.draw(
        methods(num_modalities=problem.num_modalities).filter(
            lambda method: method.f_star != "running_minimum"
        )
    )
    width, scale = (
        data.draw(st.sampled_from((math.inf, 3, 30))),
        data.draw(st.sampled_from((1e-3, 0.1, 1.0, 3.0))),
    )
    run = ms.simulate(problem, method, steps=500, width=width, init_scale=scale)
    slack = 1e-14 * (problem.y_second_moment + float(np.abs(run.objective).max()))  # round-off of F
    assert np.diff(run.objective).max() <= slack


def test_default_step_is_half_of_one_over_the_smoothness() -> None:
    method = ms.MIMO(lam=2.0, mu=0.1)
    for start in (0.0, 2.0):
        smooth = theory.smoothness(FIGURE_1, method, init_norm_squared=start)
        assert theory.default_step_size(FIGURE_1, method, init_norm_squared=start) == pytest.approx(
            0.5 / smooth, rel=1e-14
        )
    run = ms.simulate(FIGURE_1, method, steps=1, width=math.inf, init_scale=1.0)
    assert run.attrs["step_size"] < theory.default_step_size(
        FIGURE_1, method
    )  # a large start is curved more
    assert (
        theory.smoothness(FIGURE_1, ms.MIMO(lam=4.0, mu=0.1))
        > theory.smoothness(FIGURE_1, method)
        > theory.smoothness(FIGURE_1, ms.Vanilla())
    )
    assert theory.smoothness(FIGURE_1, ms.MIMO(lam=2.0, mu=0.01)) > theory.smoothness(
        FIGURE_1, method
    )


def curvatures(
    problem: ms.LateFusionProblem, method: Solver, width: int, steps: int, looks: int
) -> list[float]:
    """Largest Hessian eigenvalue of F over all weights along gradient descent from a tiny start, written out in torch."""
    shapes = [
        shape
        for d in problem.dims
        for shape in ((problem.output_dim, width), (problem.output_dim, width), (width, d))
    ]
    ends = np.cumsum([a * b for a, b in shapes])
    moment, cross = (
        torch.tensor(np.array(problem.input_moment)),
        torch.tensor(np.array(problem.cross_moment)),
    )

    def loss(maps: torch.Tensor, features: slice) -> torch.Tensor:
        return (
            problem.y_second_moment
            - 2 * (maps * cross[:, features]).sum()
            + ((maps @ moment[features, features]) * maps).sum()
        ) / 2

    def objective(flat: torch.Tensor) -> torch.Tensor:
        blocks = [
            part.reshape(shape)
            for part, shape in zip(torch.tensor_split(flat, tuple(ends[:-1])), shapes, strict=True)
        ]
        triples = list(zip(blocks[::3], blocks[1::3], blocks[2::3], strict=True))
        loss_mm = loss(torch.cat([v @ w for v, _, w in triples], dim=1), slice(None))
        uni = torch.stack([loss(u @ w, problem.features(k)) for k, (_, u, w) in enumerate(triples)])
        result: torch.Tensor = (
            mimo_objective(
                loss_mm,
                uni - torch.tensor(np.array(problem.unimodal_optima)),
                method.lam,
                method.mu,
            )
            if method.lam
            else loss_mm
        )
        return result

    theta = torch.tensor(
        1e-2 * np.random.default_rng(0).standard_normal(ends[-1]) / math.sqrt(width),
        requires_grad=True,
    )
    eta, found = theory.default_step_size(problem, method), []
    for t in range(steps + 1):
        if t % (steps // looks) == 0:
            hessian: Any = torch.autograd.functional.hessian(objective, theta.detach())  # type: ignore[no-untyped-call]
            found.append(float(torch.linalg.eigvalsh(hessian)[-1]))
        (slope,) = torch.autograd.grad(objective(theta), theta)
        theta = (theta - eta * slope).detach().requires_grad_()
    assert objective(theta) < 0.7 * objective(torch.zeros_like(theta))  # it went somewhere
    return found


@pytest.mark.parametrize(
    ("problem", "method"),
    [
        (FIGURE_1, ms.Vanilla()),
        (FIGURE_1, ms.MIMO(lam=2.0, mu=0.25)),
        (FIGURE_1, ms.MIMO(lam=5.0, mu=0.05)),
        (scalar_pair(2.0, 0.5), ms.MIMO(lam=1.0, mu=0.1)),
        (random_problem(dims=(2, 2), seed=1), ms.MIMO(lam=2.0, mu=0.1)),
        (random_problem(dims=(2, 1), seed=2, output_dim=2), ms.MIMO(lam=3.0, mu=0.2)),
    ],
    ids=str,
)
def test_curvature_stays_below_the_smoothness(
    problem: ms.LateFusionProblem, method: Solver
) -> None:
    bound = theory.smoothness(problem, method)
    found = curvatures(problem, method, width=3, steps=1200, looks=24)
    assert max(found) <= bound
    assert max(found) > bound / 100  # and the bound is not vacuous


@given(
    problems(num_modalities=st.integers(2, 3)),
    eighths(4, 80),
    st.sampled_from((3e-2, 1e-2, 1e-3)),
    st.sampled_from((1e-2, 1e-1)),
)
def test_no_chattering_below_half_the_threshold(
    problem: ms.LateFusionProblem, lam: float, smoothing: float, init_scale: float
) -> None:
    mu = smoothing * problem.y_second_moment
    threshold = theory.chattering_threshold(problem, lam, mu)
    stable = 1 / theory.smoothness(
        problem, ms.MIMO(lam=lam, mu=1e9)
    )  # the rest of F sets its own limit
    run = ms.simulate(
        problem,
        ms.MIMO(lam=lam, mu=mu),
        step_size=min(0.5 * threshold, stable),
        steps=3000,
        width=math.inf,
        init_scale=init_scale,
    )
    assert flips(run.sigma.values) == 0


def flips(sigma: np.ndarray, size: float = 0.1) -> int:
    """Consecutive changes of sigma that are larger than `size` and reverse each other."""
    change = np.diff(sigma, axis=0)
    return int(
        (
            (change[1:] * change[:-1] < 0)
            & (np.minimum(np.abs(change[1:]), np.abs(change[:-1])) > size)
        ).sum()
    )


@pytest.mark.filterwarnings("ignore::mimo_sim.ChatteringWarning")
@pytest.mark.parametrize(("lam", "mu"), [(10.0, 1e-3), (3.0, 1e-3), (10.0, 3e-3), (10.0, 1e-4)])
def test_chattering_starts_between_half_and_five_times_the_threshold(lam: float, mu: float) -> None:
    threshold = theory.chattering_threshold(FIGURE_1, lam, mu)
    counts = {}
    for multiple in (0.5, 5.0, 6.0):
        run = ms.simulate(
            FIGURE_1,
            ms.MIMO(lam=lam, mu=mu),
            step_size=multiple * threshold,
            steps=20_000,
            width=math.inf,
            init_scale=0.1,
        )
        counts[multiple] = flips(run.sigma.values)
    assert counts[0.5] == 0
    assert counts[5.0] >= 5
    assert counts[6.0] >= 5


@given(problems(num_modalities=2), eighths(1, 80), eighths(1, 80))
def test_chattering_threshold_is_proportional_to_mu_over_lam(
    problem: ms.LateFusionProblem, lam: float, mu: float
) -> None:
    unit = theory.chattering_threshold(problem, 1.0, 1.0)
    assert theory.chattering_threshold(problem, lam, mu) == pytest.approx(
        unit * mu / lam, rel=1e-12
    )


def test_nothing_chatters_without_penalty_or_competitor() -> None:
    assert theory.chattering_threshold(FIGURE_1, 0.0, 0.1) == math.inf
    assert theory.chattering_threshold(random_problem(dims=(2,), seed=0), 1.0, 0.1) == math.inf


# ------------------------------------------------------------------------------------------ summary, refusals


@pytest.mark.parametrize("method", [ms.Vanilla(), ms.MIMO(), ms.MIMO(heads="plain")], ids=repr)
def test_summary_holds_what_the_functions_say(method: Solver) -> None:
    for problem in (
        FIGURE_1,
        random_problem(dims=(2, 2, 1), seed=0, output_dim=2),
        random_problem(dims=(3,), seed=0),
    ):
        report = theory.summary(problem, method)
        preference = theory.superficial_preference(problem)
        assert report["superficial_preference"]["holds"] == preference.holds
        assert report["unimodal_optima"] == problem.unimodal_optima.tolist()
        assert report["default_step_size"] == theory.default_step_size(problem, method)
        assert (report["time_ratio"] is None) == (
            problem.output_dim > 1 or problem.num_modalities < 2
        )
        assert (report["final_encoder_norms"] is None) == (method == ms.MIMO(heads="plain"))


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
            (random_problem((1, 1, 1), 0), 1.0),
            ValueError,
            r"two modalities. Got num_modalities=3",
        ),
        (
            theory.mimo_learning_times,
            (ms.LateFusionProblem([[1, 0], [0, 1]], [1, 0], 1.0), 1.0),
            ValueError,
            r"Both modalities must correlate",
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


@pytest.mark.parametrize(
    "method",
    [
        ms.MIMO(lam=3.0, mu=0.05),
        ms.MIMO(lam=3.0, mu=0.05, heads="plain"),
        ms.MIMO(f_star="zero"),
        ms.Vanilla(),
    ],
)
def test_the_summary_repeats_the_functions(method: Solver) -> None:
    problem = ms.generators.superficial_preference()
    told = ms.theory.summary(problem, method)
    assert told["time_ratio"] == ms.theory.time_ratio(problem)
    assert told["default_step_size"] == ms.theory.default_step_size(problem, method)
    heads: HeadUpdate = method.heads if isinstance(method, ms.MIMO) else "gradient"
    if isinstance(method, ms.MIMO) and method.f_star == "exact":
        assert told["order_threshold"] == ms.theory.order_threshold(problem, method.mu, heads=heads)
        assert told["order_threshold_small_mu"] == ms.theory.order_threshold(problem, heads=heads)
    else:
        assert told["order_threshold"] is None
    if method.heads == "plain" and method.lam > 0:
        assert told["final_encoder_norms"] is None
    else:
        assert (
            told["final_encoder_norms"] == ms.theory.final_encoder_norms(problem, method).tolist()
        )
