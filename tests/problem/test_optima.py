"""Optima equal least squares, for singular moments and any scales of the inputs too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim.testing import problems
from tests.problem.shared import SEEDS, SIZES, data_set, least_squares
from tests.reference import Network


@given(SEEDS, SIZES, st.integers(1, 3), st.integers(1, 40))
def test_optima_equal_least_squares_on_the_samples(
    seed: int, dims: list[int], m: int, n: int
) -> None:
    """Any K and m, and fewer samples than inputs too."""
    inputs, y = data_set(seed, dims, m, n)
    problem = ms.LateFusionProblem.from_samples(inputs, y)
    size = problem.y_second_moment
    # Moments square the condition number of the samples. A direction that gets lost by that
    # carries less than 1e-8 of y.
    np.testing.assert_allclose(
        problem.unimodal_optima, [least_squares(x, y) for x in inputs], rtol=1e-8, atol=1e-8 * size
    )
    np.testing.assert_allclose(
        problem.joint_optimum, least_squares(np.hstack(inputs), y), rtol=1e-8, atol=1e-8 * size
    )
    network = Network(inputs, y, 0.0, 1.0, np.zeros(len(dims)), "frozen")
    for k, (x, best) in enumerate(zip(inputs, problem.unimodal_maps, strict=True)):
        assert best.shape == (m, dims[k])
        np.testing.assert_allclose(
            network.half_mean_square(x @ best.T),
            problem.unimodal_optima[k],
            rtol=1e-8,
            atol=1e-8 * size,
        )
    np.testing.assert_allclose(
        network.half_mean_square(np.hstack(inputs) @ problem.joint_map.T),
        problem.joint_optimum,
        rtol=1e-8,
        atol=1e-8 * size,
    )


@given(problems(num_modalities=st.integers(1, 4), output_dim=st.integers(1, 3)))
def test_optima_solve_the_normal_equations(problem: ms.LateFusionProblem) -> None:
    np.testing.assert_allclose(
        problem.joint_map @ problem.input_moment, problem.cross_moment, rtol=0, atol=1e-12
    )
    explained = [
        np.trace(c @ np.linalg.inv(problem.sigma[k][k]) @ c.T)
        for k, c in enumerate(problem.sigma_yx)
    ]
    np.testing.assert_allclose(
        problem.unimodal_optima,
        (problem.y_second_moment - np.array(explained)) / 2,
        rtol=0,
        atol=1e-11,
    )
    # more inputs never explain less, up to round-off of E|y|^2
    assert (problem.joint_optimum <= problem.unimodal_optima + 1e-12).all()


def test_singular_moments() -> None:
    """The same input twice, an input that is always zero, and a modality that repeats another."""
    base = ms.LateFusionProblem([[4.0]], [2.0], 3.0)
    twice = ms.LateFusionProblem([[[[4, 4], [4, 4]]]], [[2, 2]], 3.0)
    zero = ms.LateFusionProblem([[[[4, 0], [0, 0]]]], [[2, 0]], 3.0)
    repeated = ms.LateFusionProblem([[4, 4], [4, 4]], [2, 2], 3.0)
    for problem in (base, twice, zero, repeated):
        np.testing.assert_allclose(problem.unimodal_optima, 1.0, rtol=1e-14)
        assert problem.joint_optimum == pytest.approx(1.0, rel=1e-14)
    np.testing.assert_allclose(twice.joint_map, [[0.25, 0.25]], rtol=1e-12)  # of least norm
    np.testing.assert_allclose(zero.joint_map, [[0.5, 0.0]], rtol=1e-12)
    empty = ms.LateFusionProblem([[0.0]], [0.0], 1.0)
    assert (empty.unimodal_optima[0], empty.joint_optimum, empty.joint_map.tolist()) == (
        0.5,
        0.5,
        [[0.0]],
    )


@pytest.mark.parametrize("scales", [(1e-10, 1e10), (1e-6, 1.0), (1e8, 1e-8)])
def test_very_different_input_scales(scales: tuple[float, float]) -> None:
    """Units of an input change its map and nothing else."""
    plain = ms.generators.random_problem(dims=(2, 3), seed=1, noise_variance=0.1)
    spread = np.repeat(scales, plain.dims)
    moment, cross = plain.input_moment * np.outer(spread, spread), plain.cross_moment * spread
    scaled = ms.LateFusionProblem(
        [[moment[:2, :2], moment[:2, 2:]], [moment[2:, :2], moment[2:, 2:]]],
        [cross[:, :2], cross[:, 2:]],
        plain.y_second_moment,
    )
    np.testing.assert_allclose(scaled.unimodal_optima, plain.unimodal_optima, rtol=1e-12)
    np.testing.assert_allclose(scaled.joint_optimum, plain.joint_optimum, rtol=1e-12)
    np.testing.assert_allclose(scaled.joint_map * spread, plain.joint_map, rtol=1e-11)


def test_very_different_input_scales_and_a_repeated_input() -> None:
    """The large input stands there twice; least squares must not lose the small one."""
    rng = np.random.default_rng(0)
    large, small = rng.standard_normal(50), rng.standard_normal(50)
    y = large + 2 * small
    problem = ms.LateFusionProblem.from_samples(
        [np.column_stack([1e10 * large, 1e10 * large]), 1e-2 * small], y
    )
    assert problem.joint_optimum == pytest.approx(0, abs=1e-12)
    plain = ms.LateFusionProblem.from_samples([large, small], y)
    np.testing.assert_allclose(problem.unimodal_optima, plain.unimodal_optima, rtol=1e-9)


def test_a_target_without_noise_leaves_nothing_whatever_is_rounded() -> None:
    cross = 0.3 * np.ones((2, 2))
    for seed in range(30):  # in most of them the explained part is rounded up
        rng = np.random.default_rng(seed)
        maps = [rng.standard_normal((1, 2)) for _ in range(2)]
        problem = ms.LateFusionProblem.from_linear_model(
            maps, [[np.eye(2), cross], [cross, np.eye(2)]]
        )
        assert 0 <= problem.joint_optimum < 1e-14


def test_samples_up_to_1e50_are_taken() -> None:
    y = np.array([1.0, -2.0, 0.5])
    problem = ms.LateFusionProblem.from_samples([0.45e50 * y], y)
    assert problem.joint_optimum == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="must lie within"):
        ms.LateFusionProblem.from_samples([1.1e50 * y], y)
