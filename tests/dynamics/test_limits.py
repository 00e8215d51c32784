"""Runs tend to the limits they should, and have the symmetries of the problem."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim.dynamics.start import random_weights
from mimo_sim.solvers import Solver
from mimo_sim.testing import initial_weights, methods, problems
from tests.dynamics.comparisons import FIGURE_1, METHODS, assert_same, safe_step

pytestmark = pytest.mark.usefixtures("dynamic_sizes")


# ------------------------ limits


@pytest.mark.parametrize(
    "method", [method for method in METHODS if method.f_star != "running_minimum"], ids=repr
)
def test_gradient_descent_tends_to_the_flow_at_first_order(method: Solver) -> None:
    problem = ms.generators.scalar_pair(2.0, 0.3)
    time, counts = 3.0, np.array([200, 400, 800, 1600])
    settings: dict[str, Any] = {"width": 10, "init_scale": 0.3, "weight_decay": 0.1}
    flow = ms.simulate(problem, method, steps=10, step_size=time / 10, engine="flow", **settings)
    errors = []
    for n in counts:
        run = ms.simulate(
            problem, method, steps=int(n), step_size=time / n, record_every=int(n) // 10, **settings
        )
        np.testing.assert_allclose(run.time, flow.time, rtol=1e-12)
        errors.append(
            [
                np.abs(run[name].values - flow[name].values).max()
                for name in ("loss_mm", "loss_uni", "encoder_norm")
            ]
        )
    slopes = np.polyfit(np.log(time / counts), np.log(errors), 1)[0]
    # Euler's method; the next order adds some eta |A| < 0.1 to the fitted slope.
    assert np.abs(slopes - 1).max() < 0.15


def test_flow_equals_the_closed_form_of_a_single_modality() -> None:
    """K = d = m = 1 from balanced weights: s = V W obeys s' = 2 s (c - s), a logistic curve."""
    problem = ms.LateFusionProblem([[1.0]], [1.0], 1.0)
    start = 1e-6
    run = ms.simulate(
        problem,
        ms.Vanilla(),
        initial=[([[start]], [[0.0]], [[start]])],
        step_size=0.5,
        steps=40,
        engine="flow",
    )
    expected = 1 / (1 + (1 / start**2 - 1) * np.exp(-2 * run.time.values))
    for name in ("encoder_norm", "head_norm"):  # balanced weights stay so
        # LSODA at rtol 1e-10 a step, some hundred steps, each error amplified by the growth.
        np.testing.assert_allclose(run[name][:, 0] ** 2, expected, rtol=1e-7)


@pytest.mark.parametrize("method", [ms.Vanilla(), ms.MIMO(lam=1.0, mu=0.5)], ids=repr)
def test_a_modality_that_is_off_stays_off(method: Solver) -> None:
    """All its weights are zero, a saddle point, and the other one starts with zero heads."""
    start = [([[0.0]], [[0.0]], [[0.1]]), ([[0.0]], [[0.0]], [[0.0]])]
    settings: dict[str, Any] = {"initial": start, "steps": 5, "step_size": 1e-3}
    run = ms.simulate(FIGURE_1, method, **settings)
    assert (run.encoder_norm[:, 1] == 0).all()
    assert_same(run, ms.simulate(FIGURE_1, method, engine="autograd", **settings))


def test_growing_width_tends_to_infinite_width() -> None:
    """Z Z^T of Gaussian weights fluctuates by 1/sqrt(h) around the limit.

    So mean errors fall along a slope of -1/2.
    """
    widths = np.array([50, 200, 800, 3200])
    settings: dict[str, Any] = {"steps": 150, "step_size": 0.02, "init_scale": 0.1}
    method = ms.MIMO(lam=1.0, mu=0.5)
    limit = ms.simulate(FIGURE_1, method, width=math.inf, **settings)
    assert 0.1 < limit.loss_mm[75] / limit.loss_mm[0] < 0.9  # compared in the middle of learning
    runs = [
        [ms.simulate(FIGURE_1, method, width=int(h), seed=seed, **settings) for seed in range(12)]
        for h in widths
    ]
    errors = [
        np.mean([abs(run.encoder_norm[75] - limit.encoder_norm[75]) for run in each])
        for each in runs
    ]
    slope = np.polyfit(np.log(widths), np.log(errors), 1)[0]
    # 24 deviations per width: each mean is known to 15%, over a factor of 64 in width.
    assert abs(slope + 0.5) < 0.15


@given(st.data())
def test_joint_training_is_mimo_without_penalty(data: st.DataObject) -> None:
    problem = data.draw(problems())
    plain = data.draw(st.booleans())
    settings: dict[str, Any] = {"width": 5, "init_scale": 0.3, "steps": 30, "step_size": 0.01}
    joint = ms.simulate(problem, ms.Vanilla(heads="plain" if plain else "frozen"), **settings)
    mimo = ms.simulate(
        problem, ms.MIMO(lam=0.0, mu=0.5, heads="plain" if plain else "gradient"), **settings
    )
    for name in (
        "loss_mm",
        "loss_uni",
        "encoder_norm",
        "head_norm",
        "uni_head_norm",
        "grad_norm_sq",
    ):
        assert (joint[name] == mimo[name]).all(), name


def test_one_modality_has_all_the_weight() -> None:
    problem = ms.generators.random_problem(dims=(3,), seed=1)
    run = ms.simulate(problem, ms.MIMO(lam=2.0, mu=0.1), steps=50, step_size=1e-2, init_scale=0.1)
    assert (run.sigma == 1).all()


def test_equal_modalities_stay_equal_and_share_the_weight() -> None:
    problem = ms.LateFusionProblem([[1, 0.5, 0.5], [0.5, 1, 0.5], [0.5, 0.5, 1]], [1, 1, 1], 2.0)
    run = ms.simulate(
        problem, ms.MIMO(lam=10.0, mu=0.01), steps=500, step_size=1e-2, width=math.inf
    )
    assert (run.sigma == run.sigma[0, 0]).all()
    np.testing.assert_allclose(run.sigma, 1 / 3, rtol=1e-15)
    assert (run.encoder_norm == run.encoder_norm[:, :1]).all()


@pytest.mark.parametrize("exponent", [-17, -3, 4, 17])
@pytest.mark.parametrize("method", [ms.Vanilla(), ms.MIMO(lam=2.0, mu=0.25)], ids=repr)
def test_units_of_y(method: Solver, exponent: int) -> None:
    """The same run with y in units that are c times smaller, for c from 6e-11 to 1.7e10.

    It has c times the cross moments, sqrt(c) times the weights, 1/c times the step size, and c^2
    times the losses and mu.
    """
    c = 4.0**exponent
    scaled = ms.LateFusionProblem(
        FIGURE_1.sigma, [c * block for block in FIGURE_1.sigma_yx], c**2 * FIGURE_1.y_second_moment
    )
    start = random_weights(FIGURE_1, 10, 0.1, seed=3)
    run = ms.simulate(FIGURE_1, method, initial=start, step_size=0.02, steps=300)
    if isinstance(method, ms.MIMO):
        method = ms.MIMO(lam=method.lam, mu=c**2 * method.mu)
    other = ms.simulate(
        scaled,
        method,
        initial=[[math.sqrt(c) * block for block in triple] for triple in start],
        step_size=0.02 / c,
        steps=300,
    )
    # all factors are powers of two, so only the order of summation could differ
    np.testing.assert_allclose(other.loss_mm / c**2, run.loss_mm, rtol=1e-12)
    np.testing.assert_allclose(other.encoder_norm / math.sqrt(c), run.encoder_norm, rtol=1e-12)


# ------------------------ symmetries


@given(st.data())
def test_relabelling_modalities_permutes_the_result(data: st.DataObject) -> None:
    problem = data.draw(problems(num_modalities=3))
    method = data.draw(methods())
    weights = data.draw(initial_weights(problem))
    order = data.draw(st.permutations(range(3)))
    renamed = ms.LateFusionProblem(
        [[problem.sigma[k][j] for j in order] for k in order],
        [problem.sigma_yx[k] for k in order],
        problem.y_second_moment,
        names=[problem.names[k] for k in order],
    )
    settings: dict[str, Any] = {"steps": 40, "step_size": safe_step(problem, method, weights)}
    run = ms.simulate(problem, method, initial=weights, **settings)
    other = ms.simulate(renamed, method, initial=[weights[k] for k in order], **settings)
    assert list(other.modality.values) == [problem.names[k] for k in order]
    assert_same(run, other.sel(modality=run.modality))


@given(st.data())
def test_rotating_an_input_space_changes_nothing_that_is_recorded(data: st.DataObject) -> None:
    problem = data.draw(problems(dims=st.integers(2, 3), output_dim=st.integers(1, 2)))
    method = data.draw(methods())
    weights = data.draw(initial_weights(problem))
    rng = np.random.default_rng(data.draw(st.integers(0, 100)))
    turns = [np.linalg.qr(rng.standard_normal((d, d)))[0] for d in problem.dims]
    every = range(problem.num_modalities)
    turned = ms.LateFusionProblem(
        [[turns[k] @ problem.sigma[k][j] @ turns[j].T for j in every] for k in every],
        [problem.sigma_yx[k] @ turns[k].T for k in every],
        problem.y_second_moment,
    )
    settings: dict[str, Any] = {"steps": 40, "step_size": safe_step(problem, method, weights)}
    run = ms.simulate(problem, method, initial=weights, **settings)
    assert_same(
        run,
        ms.simulate(
            turned,
            method,
            initial=[(v, u, w @ turn.T) for (v, u, w), turn in zip(weights, turns, strict=True)],
            **settings,
        ),
    )


@given(st.data())
def test_rotating_the_hidden_layer_changes_nothing(data: st.DataObject) -> None:
    problem = data.draw(problems())
    method = data.draw(methods())
    weights = data.draw(initial_weights(problem, width=4))
    turn = np.linalg.qr(
        np.random.default_rng(data.draw(st.integers(0, 100))).standard_normal((4, 4))
    )[0]
    settings: dict[str, Any] = {
        "steps": 40,
        "step_size": safe_step(problem, method, weights),
        "record_maps": True,
    }
    run = ms.simulate(problem, method, initial=weights, **settings)
    assert_same(
        run,
        ms.simulate(
            problem,
            method,
            initial=[(v @ turn.T, u @ turn.T, turn @ w) for v, u, w in weights],
            **settings,
        ),
    )
