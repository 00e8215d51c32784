"""Early fusion: exact against autograd, and what theory says of it near the origin."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim.dynamics.engines import early
from mimo_sim.solvers import Solver
from mimo_sim.studies._fusion import correlated_preference, time_ratios
from mimo_sim.testing import problems
from tests.dynamics.fusion_networks import METHODS, MIXED, PROBLEM, close, samples_of, train_early

pytestmark = pytest.mark.usefixtures("dynamic_sizes")


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("width", [3, 30])
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_early_fusion_equals_autograd_on_the_full_network(
    method: Solver, width: int, decay: float
) -> None:
    exact, _, _ = samples_of(MIXED)
    weights = early._random(MIXED, width, 0.5, 1)
    eta = 0.02
    run = early.simulate_early(
        exact, method, initial=weights, steps=150, step_size=eta, weight_decay=decay
    )
    f_mm, f, norms = train_early(MIXED, method, weights, eta, 150, decay)
    close(run.loss_mm, f_mm)
    close(run.loss_uni, f)
    close(run.encoder_norm, norms)
    assert f_mm[-1] - exact.joint_optimum < 0.5 * (f_mm[0] - exact.joint_optimum)


@given(st.data())
def test_joint_training_of_early_fusion_is_that_of_one_modality(data: st.DataObject) -> None:
    problem = data.draw(problems(num_modalities=st.integers(1, 3)))
    V, U, W = early._random(
        problem, data.draw(st.integers(1, 9)), 0.3, data.draw(st.integers(0, 99))
    )
    single = early.joined(problem)
    eta = early.default_step_size(problem, ms.Vanilla(), init_norm_squared=4.0)
    mine = early.simulate_early(problem, ms.Vanilla(), initial=(V, U, W), step_size=eta, steps=40)
    theirs = ms.simulate(single, ms.Vanilla(), initial=[(V, U[0], W)], step_size=eta, steps=40)
    close(mine.excess_mm, theirs.excess_mm)
    close(mine.grad_norm_sq, theirs.grad_norm_sq)
    close(np.linalg.norm(mine.encoder_norm, axis=1), theirs.encoder_norm[:, 0])


@pytest.mark.parametrize("lam", [0.0, 1.0, 4.0])
def test_the_default_step_decreases_the_objective_all_the_way(lam: float) -> None:
    run = early.simulate_early(
        correlated_preference(0.5), ms.MIMO(lam=lam, mu=0.02), init_scale=0.1, steps=3000
    )
    assert (np.diff(run.objective) <= 1e-12).all()
    descent = run.objective[:-1].values - run.objective[1:].values
    assert (
        descent >= 0.5 * run.attrs["step_size"] * run.grad_norm_sq[:-1] - 1e-12
    ).all()  # what eta <= 1/L guarantees; wrong gradients would break it
    assert run.excess_mm[-1] < 0.05 * run.excess_mm[0]


@pytest.mark.parametrize("lam", [0.0, 1.0, 3.0])
@pytest.mark.parametrize(
    "problem",
    [PROBLEM, correlated_preference(0.4), ms.generators.random_problem(dims=(3, 2), seed=1)],
    ids=["scalar", "rho", "vector"],
)
def test_early_fusion_grows_along_the_singular_directions(
    problem: ms.LateFusionProblem, lam: float
) -> None:
    """Rate and direction of the encoder while it is small.

    The second mode has died off by exp(-(s1 - s2) t).
    """
    mu, eta, u0 = 1e-3, 1e-3, 1e-60
    matrix = ms.theory.growth_matrix(problem, lam, mu)
    _, rates, directions = np.linalg.svd(matrix)
    steps = int(60 / rates[0] / eta)
    run = early.simulate_early(
        problem,
        ms.MIMO(lam=lam, mu=mu),
        step_size=eta,
        steps=steps,
        width=math.inf,
        init_scale=u0,
        record_every=steps // 2,
    )
    norms = np.linalg.norm(run.encoder_norm, axis=1)
    grown = np.log(norms[2] / norms[1]) / (run.step[2] - run.step[1]).item()
    assert grown == pytest.approx(math.log1p(eta * rates[0]), rel=1e-6)
    share = np.array([np.linalg.norm(directions[0][problem.features(k)]) for k in range(2)])
    left = math.exp(-(rates[0] - rates[1]) / rates[0] * 60)
    np.testing.assert_allclose(run.encoder_norm[-1] / norms[-1], share, atol=1e-6 + left)


def test_early_fusion_has_no_unimodal_phase_and_late_fusion_has_one() -> None:
    """[ZLS]: ratios of learning times.

    That of early fusion tends to 1 as 1/ln(1/u0), that of late fusion to `time_ratio`.
    """
    distance, late = [], []
    for scale in (1e-6, 1e-12, 1e-24, 1e-48):
        settings: dict[str, Any] = {
            "step_size": 0.02,
            "steps": int(60 * math.log(1 / scale)),
            "width": math.inf,
            "init_scale": scale,
        }
        early_run = early.simulate_early(PROBLEM, ms.Vanilla(), **settings)
        late_run = ms.simulate(PROBLEM, ms.Vanilla(), **settings)
        ratio = float(time_ratios(early_run, of="encoder_norm"))
        distance.append(abs(ratio - 1) * math.log(1 / scale))
        late.append(1 / float(time_ratios(late_run, of="encoder_norm")))
    assert max(distance) < 1.1 * min(distance) < 3
    assert late[-1] == pytest.approx(ms.theory.time_ratio(PROBLEM), rel=0.02)


def test_a_penalty_brings_an_order_into_early_fusion() -> None:
    """Without it both encoders grow in one mode; a large one empties that mode of A as 1/lam^4."""
    shares = []
    for lam in (0.0, 10.0, 20.0):
        vector = np.linalg.svd(ms.theory.growth_matrix(PROBLEM, lam, 1e-3))[2][0]
        shares.append(vector[0] ** 2)
    C = [float(np.linalg.norm(cross)) for cross in PROBLEM.sigma_yx]
    assert shares[0] == pytest.approx(C[0] ** 2 / (C[0] ** 2 + C[1] ** 2))
    assert shares[1] / shares[2] == pytest.approx(16, rel=0.1)


BAD_EARLY: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"problem": 3}, TypeError, "`problem` must be a LateFusionProblem"),
    ({"method": "mimo"}, TypeError, "`method` must be"),
    ({"steps": 0}, ValueError, "`steps` must be >= 1"),
    ({"step_size": -1.0}, ValueError, "`step_size`"),
    ({"width": 0}, ValueError, "`width` must be >= 1"),
    ({"init_scale": 0.0}, ValueError, "`init_scale`"),
    ({"initial": (1, 2)}, TypeError, "`initial` must be"),
    (
        {"initial": (np.ones((1, 2)), [np.ones((1, 2))], np.ones((2, 2)))},
        ValueError,
        "`initial` must be .* of shapes",
    ),
    (
        {"initial": (np.ones((1, 0)), [np.ones((1, 0))] * 2, np.ones((0, 2)))},  # of no width
        ValueError,
        "`initial` must be .* of shapes",
    ),
]


@pytest.mark.parametrize(("change", "error", "words"), BAD_EARLY)
def test_early_fusion_refuses_bad_input(
    change: dict[str, Any], error: type[Exception], words: str
) -> None:
    arguments: dict[str, Any] = {"problem": PROBLEM, "method": ms.Vanilla(), "steps": 5}
    with pytest.raises(error, match=words):
        early.simulate_early(**(arguments | change))


def test_early_fusion_says_when_it_diverges_or_chatters() -> None:
    with pytest.raises(ms.DivergenceError, match="too large") as caught:
        early.simulate_early(PROBLEM, ms.Vanilla(), step_size=5.0, init_scale=0.5, steps=200)
    assert 0 < caught.value.step < 200
    assert np.isfinite(caught.value.trajectory.loss_mm).all()
    with pytest.warns(ms.ChatteringWarning, match="flips"):
        early.simulate_early(
            PROBLEM, ms.MIMO(lam=5.0, mu=1e-5), step_size=5e-3, init_scale=0.3, steps=3000
        )
