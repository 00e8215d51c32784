"""MIMO's growth rates, order threshold and learning times against simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim import theory
from mimo_sim.generators import random_problem, scalar_pair
from mimo_sim.solvers import FStarRule, HeadUpdate
from mimo_sim.testing import eighths, problems
from tests.theory.shared import FIGURE_1, HEADS

pytestmark = pytest.mark.usefixtures("dynamic_sizes")


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
    """Slopes of log |W_k| over the second half of a growth by 1e9, from 1e-12.

    They are compared for every encoder that had time to align.
    """
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
    # The other parts of the start are (1/1e3)^2 = 1e-6 of |W|^2. At the end |W| is 1e-3, which
    # moves sigma by 1e-6 / mu.
    np.testing.assert_allclose(slopes[aligned], expected[aligned], rtol=1e-5)


@pytest.mark.parametrize("heads", ["gradient", "plain"])
def test_growth_law_for_vector_targets(heads: HeadUpdate) -> None:
    """The second singular direction only slows what is measured.

    It does so by less than its share exp(-2 (r1 - r2) t), here below 1/(2 e) of r1 t = 10.
    """
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
    # a tenth of the lead in gap: sigma of B starts within 5e-5 of 1
    mu = (explained[-1] - explained[-2]) / 20
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
    # Growth rates differ by 8% or more here. So amplitudes differ by exp(0.08 * 69) when the first
    # one emerges: more than all terms of order one.
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
