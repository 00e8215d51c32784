"""Races: their problems, settling times of known curves, and races against single runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim import theory
from mimo_sim.studies import race

RATIO = st.floats(0.1, 10)
RHO = st.floats(-0.95, 0.95)


@given(c=RATIO, e=RATIO, rho=RHO)
def test_ratio_pair_has_the_prescribed_ratios(c: float, e: float, rho: float) -> None:
    problem = race.ratio_pair(c, e, rho)
    report = theory.superficial_preference(problem)
    np.testing.assert_allclose(report.correlation[0] / report.correlation[1], c, rtol=1e-12)
    np.testing.assert_allclose(report.explained[1] / report.explained[0], e, rtol=1e-12)
    moment = problem.input_moment
    np.testing.assert_allclose(
        moment[0, 1] / math.sqrt(moment[0, 0] * moment[1, 1]), rho, atol=1e-12
    )
    np.testing.assert_allclose([problem.y_second_moment, problem.joint_optimum], [2, 0], atol=1e-12)
    if not any(math.isclose(ratio, 1, rel_tol=1e-9) for ratio in (c, e)):
        assert report.holds == ((c > 1) == (e > 1))


@given(c=st.floats(1.01, 10), e=RATIO, rho=RHO)
def test_the_time_ratio_of_a_ratio_pair_is_its_closed_form(c: float, e: float, rho: float) -> None:
    left = 1 - rho / math.sqrt(e)
    if abs(left) > 1e-6:  # else B has nothing left to learn
        np.testing.assert_allclose(
            theory.time_ratio(race.ratio_pair(c, e, rho)),
            1 + (c - math.copysign(1, left)) / abs(left),
            rtol=1e-6,
        )


def test_the_plateau_is_hidden_when_the_first_modality_rests_below_half_of_its_end() -> None:
    assert race.plateau_hidden(ms.generators.scalar_pair(1.5, -0.9))  # rests at 1 - 0.9 / 1.5 = 0.4
    assert not race.plateau_hidden(ms.generators.scalar_pair(1.5, -0.7))  # 0.53


def test_settling_times_of_known_curves() -> None:
    times = np.tile(np.linspace(0, 10, 41), (6, 1))
    decay = np.exp(-times[0])
    bump = np.where(times[0] == 5.0, 0.5, decay)  # back up at one record
    curves = np.array(
        [
            decay,
            bump,
            np.ones(41),
            np.full(41, 0.05),
            np.where(times[0] > 3, np.nan, decay),
            np.linspace(1, 0, 41),
        ]
    )
    found = race.settling_times(curves, times, 0.1)
    assert found[0] == pytest.approx(math.log(10), rel=1e-12)  # log-linear is exact
    assert 5.0 < found[1] < 5.25
    assert (found[2], found[3]) == (math.inf, 0.0)
    assert math.isnan(found[4])
    assert found[5] == pytest.approx(9.0)


MIMO = ms.MIMO(lam=2.0, mu=0.1)


def test_a_race_repeats_single_runs() -> None:
    problem = race.ratio_pair(2.0, 2.0, 0.3)
    runs = race.compute([problem], MIMO, init_scale=1e-4)
    eta, steps = runs.step_size.item(), runs.steps.item()
    assert eta <= min(theory.default_step_size(problem, method) for method in (ms.Vanilla(), MIMO))
    budget = race.BUDGET * math.log(1e4) / theory.superficial_preference(problem).correlation.max()
    for solver, method in (("vanilla", ms.Vanilla(heads="plain")), ("mimo", MIMO)):
        single, mine = (
            ms.simulate(problem, method, step_size=eta, steps=steps, init_scale=1e-4),
            runs.sel(solver=solver, problem=0),
        )
        np.testing.assert_allclose(mine.half_time, ms.half_times(single) * eta, rtol=1e-12)
        for level in race.LEVELS:
            above = single.time.values[
                single.excess_mm.values > level * single.excess_mm.values[0]
            ].max()
            assert mine.settling_time.sel(level=level).item() == pytest.approx(
                above, abs=2 * eta * steps / race.ROWS
            )
        worst = single.excess_uni.max("modality")
        for comparison, end in (
            ("equal step size", budget),
            ("matched", budget / (1 + method.lam)),
        ):
            expected = np.interp(end, single.time, worst / worst[0])
            assert mine.worst_gap.sel(comparison=comparison).item() == pytest.approx(
                expected, abs=0.02
            )  # records are 1/1024 of the run apart


def test_a_vanishing_penalty_gains_nothing() -> None:
    found = race.gains(race.compute([race.ratio_pair(2.0, 1.5, 0.2)], ms.MIMO(lam=1e-6, mu=0.1)))
    for name in ("learning_gain", "balance_gain", "loss_gain"):
        np.testing.assert_allclose(found[name], 1, atol=1e-4)


def test_a_problem_that_needs_too_many_steps_stays_unknown() -> None:
    runs = race.compute(
        [race.ratio_pair(2.0, 1.5, 0.2), race.ratio_pair(5.0, 0.3, 0.5)], MIMO, max_steps=8192
    )
    assert (runs.steps <= 8192).values.tolist() == [True, False]
    assert np.isfinite(runs.half_time.isel(problem=0)).all()
    assert np.isnan(race.gains(runs).learning_gain.values[1])


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: race.ratio_pair(0.0, 1.0, 0.0), "`correlation_ratio` must be finite and > 0"),
    (lambda: race.ratio_pair(1.0, -1.0, 0.0), "`explained_ratio` must be finite and > 0"),
    (lambda: race.ratio_pair(1.0, 1.0, 1.0), r"`rho` must lie in \(-1, 1\)"),
    (
        lambda: race.compute([race.ratio_pair()] * 2, [MIMO]),
        "`methods` must be one MIMO or one per problem",
    ),
    (
        lambda: race.compute([race.ratio_pair()], ms.Vanilla()),  # type: ignore[arg-type]
        "`methods` must be one MIMO.* Got Vanilla",
    ),
    (lambda: race.compute([], MIMO), "`problems` must be one or more problems of two modalities"),
    (
        lambda: race.compute([ms.generators.random_problem((1, 1, 1), seed=0)], MIMO),
        "`problems` must be .* of two modalities with scalar targets",
    ),
    (
        lambda: race.compute([ms.generators.random_problem((1, 1), seed=0, output_dim=2)], MIMO),
        "with scalar targets",
    ),
    (
        lambda: race.compute([race.ratio_pair()], MIMO, stretch=math.nan),
        "`stretch` must be finite and > 1",
    ),
    (
        lambda: race.compute([race.ratio_pair()], MIMO, init_scale=1.0),
        r"`init_scale` must lie in \(0, 1\)",
    ),
]


@pytest.mark.parametrize(("call", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_refusals(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
