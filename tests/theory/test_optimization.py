"""Smoothness against the curvature of whole runs; where sigma chatters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim import theory
from mimo_sim.generators import random_problem, scalar_pair
from mimo_sim.objective import mimo_objective
from mimo_sim.solvers import Solver
from mimo_sim.testing import eighths, methods, problems
from tests.theory.shared import FIGURE_1

pytestmark = pytest.mark.usefixtures("dynamic_sizes")


@given(st.data())
def test_default_step_decreases_the_objective(data: st.DataObject) -> None:
    """Any start, and any solver with a fixed objective (the running minimum moves its own)."""
    problem = data.draw(problems())
    method = data.draw(
        methods(num_modalities=problem.num_modalities).filter(
            lambda method: method.f_star != "running_minimum"
        )
    )
    width = data.draw(st.sampled_from((math.inf, 3, 30)))
    scale = data.draw(st.sampled_from((1e-3, 0.1, 1.0, 3.0)))
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
    # a large start is curved more
    assert run.attrs["step_size"] < theory.default_step_size(FIGURE_1, method)
    vanilla, usual, larger_lam, smaller_mu = (
        theory.smoothness(FIGURE_1, solver)
        for solver in (ms.Vanilla(), method, ms.MIMO(lam=4.0, mu=0.1), ms.MIMO(lam=2.0, mu=0.01))
    )
    assert larger_lam > usual > vanilla
    assert smaller_mu > usual


def curvatures(
    problem: ms.LateFusionProblem, method: Solver, width: int, steps: int, looks: int
) -> list[float]:
    """Largest Hessian eigenvalues of F over all weights, along gradient descent from a tiny start.

    The network is written out in torch.
    """
    shapes = []
    for d in problem.dims:
        shapes += [(problem.output_dim, width), (problem.output_dim, width), (width, d)]
    ends = np.cumsum([a * b for a, b in shapes])
    moment = torch.tensor(np.array(problem.input_moment))
    cross = torch.tensor(np.array(problem.cross_moment))
    optima = torch.tensor(np.array(problem.unimodal_optima))

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
        if method.lam == 0:
            return loss_mm
        whole: torch.Tensor = mimo_objective(loss_mm, uni - optima, method.lam, method.mu)
        return whole

    start = 1e-2 * np.random.default_rng(0).standard_normal(ends[-1]) / math.sqrt(width)
    theta = torch.tensor(start, requires_grad=True)
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
    # the rest of F sets a limit of its own
    stable = 1 / theory.smoothness(problem, ms.MIMO(lam=lam, mu=1e9))
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
    """How often two consecutive changes of sigma reverse each other and exceed `size`."""
    change = np.diff(sigma, axis=0)
    reversed_ = change[1:] * change[:-1] < 0
    large = np.minimum(np.abs(change[1:]), np.abs(change[:-1])) > size
    return int((reversed_ & large).sum())


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
    useless = ms.LateFusionProblem([[1, 0], [0, 1]], [1, 0], 1.0)  # its gap is zero from the start
    assert theory.chattering_threshold(useless, 1.0, 0.1) == math.inf
