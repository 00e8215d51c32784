"""The landscape of docs/landscape.md against automatic differentiation, and its edges."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import mimo_sim as ms
from paper_checks.curvature import torch_losses
from paper_checks.network import Array, Data, random_data, random_objective
from paper_checks.stationary import Landscape

DECAY = 0.02


def derivatives(of: Callable[[torch.Tensor], torch.Tensor], at: torch.Tensor) -> tuple[Any, Any]:
    """Gradient and Hessian by automatic differentiation."""
    parts = torch.autograd.functional
    return parts.jacobian(of, at), parts.hessian(of, at)  # type: ignore[no-untyped-call]


def by_autograd(landscape: Landscape, data: Data, theta: Array) -> tuple[Any, Any, Any]:
    """Gradient and Hessian of F for the first network, from its losses on samples."""
    objective = landscape.objective
    lam, mu = float(objective.lam[0]), float(objective.mu[0])
    f_star, x, y = (torch.tensor(part[0]) for part in (objective.f_star, data.x, data.y))
    m = y.shape[1]

    def whole(row: torch.Tensor) -> torch.Tensor:
        rows = row.reshape(len(x), -1)
        heads = 2 * m * landscape.width
        p = rows[:, :heads].reshape(len(x), 2 * m, landscape.width)
        parts = (p[:, :m], p[:, m:], rows[:, heads:])
        flat = torch.cat([part.reshape(-1) for part in parts])
        each = torch_losses(flat, x, y, landscape.width)
        smoothed = mu * torch.logsumexp((each[1:] - f_star) / mu, dim=0)
        return each[0] + lam * smoothed + DECAY / 2 * (row**2).sum()

    row = torch.tensor(theta[0])
    return whole(row), *derivatives(whole, row)


@pytest.mark.parametrize(("modalities", "dim", "outputs"), [(1, 2, 1), (2, 3, 2), (3, 1, 2)])
def test_the_derivatives_are_those_of_the_network(modalities: int, dim: int, outputs: int) -> None:
    rng = np.random.default_rng(modalities)
    data = random_data(rng, 1, modalities, dim, outputs, samples=8)
    objective = random_objective(rng, data, (0.1, 10.0), (0.1, 1.0))
    landscape = Landscape.of(data, objective, 2, DECAY)
    theta = rng.standard_normal((1, landscape.weights))
    point = landscape.at(theta)
    value, gradient, hessian = by_autograd(landscape, data, theta)
    np.testing.assert_allclose(point.value[0], value, rtol=1e-12)
    np.testing.assert_allclose(point.gradient[0], gradient, atol=1e-12)
    np.testing.assert_allclose(point.hessian[0], hessian, atol=1e-11)


def test_plain_heads_have_as_many_unstable_directions() -> None:
    """Theorem 2: the derivative of the step at a fixed point, by differences of the step itself."""
    rng = np.random.default_rng(3)
    data = random_data(rng, 12, modalities=2, dim=2, samples=16)
    objective = random_objective(rng, data, (0.5, 10.0), (0.3, 1.0))
    landscape = Landscape.of(data, objective, 2)
    theta = landscape.stationary(rng.standard_normal((12, landscape.weights)))
    point = landscape.at(theta)
    found = np.linalg.norm(point.gradient, axis=1) < 1e-9
    assert found.sum() >= 6
    compared = 0
    for b in np.flatnonzero(found):
        one = landscape.take(np.array([b]))

        def plain_step(row: Array, one: Landscape = one) -> Array:
            here = one.at(row[None])
            w = one.split(row[None])[1]
            direction = here.gradient[0].reshape(2, -1).copy()
            gaps = here.f_uni[0] - one.objective.f_star[0]
            sigma = np.exp((gaps - gaps.max()) / one.objective.mu[0])
            sigma /= sigma.sum()
            heads = here.slope[0][:, 1:] @ w[0].swapaxes(-1, -2)  # (K, 1, h): the rows of U_k
            weight = one.objective.lam[0] * sigma
            width = one.width
            direction[:, width : 2 * width] = heads[:, 0] / weight[:, None]
            return np.asarray(direction.reshape(-1))

        eye, small = np.eye(theta.shape[1]), 1e-6
        derivative = np.array(
            [
                (plain_step(theta[b] + small * e) - plain_step(theta[b] - small * e)) / (2 * small)
                for e in eye
            ]
        ).T
        plain = np.linalg.eigvals(derivative).real
        own = np.linalg.eigvalsh(point.hessian[b])
        if np.abs(own)[np.abs(own) > 1e-7].min() < 1e-3:
            continue  # a sign that differences cannot tell
        assert (plain < -1e-4).sum() == (own < -1e-4).sum()
        compared += 1
    assert compared >= 4


def test_a_third_layer_makes_the_origin_flat() -> None:
    """The saddle at the origin is strict with two layers, and not with three."""
    rng = np.random.default_rng(0)
    x, y = torch.tensor(rng.standard_normal((20, 2))), torch.tensor(rng.standard_normal((20, 1)))

    def loss(layers: int) -> Callable[[torch.Tensor], torch.Tensor]:
        def of(row: torch.Tensor) -> torch.Tensor:
            parts = row.reshape(layers, 2, 2)
            hidden = x
            for part in parts[:-1]:
                hidden = hidden @ part
            return ((y - hidden @ parts[-1][:, :1]) ** 2).mean() / 2

        return of

    two, three = (
        derivatives(loss(layers), torch.zeros(4 * layers, dtype=torch.float64))[1]
        for layers in (2, 3)
    )
    assert float(torch.linalg.eigvalsh(two)[0]) < -1e-3
    assert float(three.abs().max()) == 0


def test_relu_has_bad_minima() -> None:
    """All hidden units off: the loss is flat around, and far from its minimum."""
    rng = np.random.default_rng(1)
    x, y = np.abs(rng.standard_normal((20, 2))), rng.standard_normal((20, 1)) + 1
    weights, head = -np.ones((2, 3)), np.ones((3, 1))

    def loss(change: np.ndarray) -> float:
        hidden = np.maximum(x @ (weights + change[:6].reshape(2, 3)), 0)
        return float(((y - hidden @ (head + change[6:, None])) ** 2).mean() / 2)

    around = [loss(0.1 * rng.uniform(-1, 1, 9)) for _ in range(50)]
    assert set(around) == {loss(np.zeros(9))}
    best = np.linalg.lstsq(x, y, rcond=None)[0]  # x is positive: the units that pass x on suffice
    change = np.concatenate([np.eye(2, 3).ravel() + 1, np.append(best[:, 0], 0) - 1])
    assert loss(change) < loss(np.zeros(9)) - 0.05


def test_the_bound_of_the_worst_gap() -> None:
    problem = ms.generators.superficial_preference()
    bound = ms.theory.worst_gap_bound(problem, 10.0, 0.1)
    assert bound == pytest.approx((2 * 0.1 / 10) ** 2 / 2 / 1.0)  # S = diag(9, 1)
    assert ms.theory.worst_gap_bound(problem, 10.0, 0.0) == 0
    assert ms.theory.worst_gap_bound(problem, 20.0, 0.1) == pytest.approx(bound / 4)
    same = ms.LateFusionProblem([[[[1.0, 1.0], [1.0, 1.0]]]], [[1.0, 1.0]], 2.0)
    assert ms.theory.worst_gap_bound(same, 1.0, 0.1) > 1e10
    with pytest.raises(ValueError, match="lam"):
        ms.theory.worst_gap_bound(problem, 0.0, 0.1)
    with pytest.raises(ValueError, match="weight_decay"):
        ms.theory.worst_gap_bound(problem, 1.0, -0.1)
    np.testing.assert_array_equal(ms.theory.sufficient_width(problem), [1, 1])
    wide = ms.generators.random_problem((5, 1), seed=0)
    np.testing.assert_array_equal(ms.theory.sufficient_width(wide), [2, 1])


def test_uncorrelated_modalities_need_only_min_m_d_units() -> None:
    """Half the units of `sufficient_width`: no bad minimum without correlation, and some with."""
    rng = np.random.default_rng(5)
    data = random_data(rng, 150, dim=2, samples=16)
    objective = random_objective(rng, data, (0.5, 20.0), (0.1, 1.0))
    correlated = Landscape.of(data, objective, width=1)
    moment = correlated.moment.copy()
    moment[:, 0, 1] = moment[:, 1, 0] = 0
    landscapes = (correlated, dataclasses.replace(correlated, moment=moment))
    bad = []
    for landscape in landscapes:
        theta = landscape.stationary(rng.standard_normal((150, landscape.weights)))
        point = landscape.at(theta)
        arrived = np.linalg.norm(point.gradient, axis=1) < 1e-8
        sloping = np.linalg.norm(point.slope, axis=(2, 3)).max(axis=1) > 1e-4
        stuck = np.linalg.eigvalsh(point.hessian)[:, 0] > -1e-6
        assert arrived.sum() > 50
        bad.append(int((arrived & sloping & stuck).sum()))
    assert bad[0] > 0
    assert bad[1] == 0
