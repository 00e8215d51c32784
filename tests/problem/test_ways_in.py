"""Samples, blocks and linear models make the same problem."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mimo_sim as ms
from tests.problem.shared import FIGURE_1, SEEDS, SIZES, data_set


@given(SEEDS, SIZES, st.integers(1, 3))
def test_samples_and_blocks_agree(seed: int, dims: list[int], m: int) -> None:
    inputs, y = data_set(seed, dims, m, 20)
    blocks = ms.LateFusionProblem(
        [[x.T @ z / 20 for z in inputs] for x in inputs],
        [y.T @ x / 20 for x in inputs],
        y.T @ y / 20,
    )
    samples = ms.LateFusionProblem.from_samples(inputs, y)
    for name in ("input_moment", "cross_moment", "y_second_moment"):
        np.testing.assert_allclose(
            getattr(blocks, name), getattr(samples, name), rtol=1e-12, atol=1e-12
        )
    named = ms.LateFusionProblem.from_samples({f"sensor {k}": x for k, x in enumerate(inputs)}, y)
    assert named.names == tuple(f"sensor {k}" for k in range(len(dims)))
    assert (named.dims, named.output_dim, named.num_modalities) == (tuple(dims), m, len(dims))
    assert named == ms.LateFusionProblem.from_samples(inputs, y, names=named.names)
    assert named != samples


def test_centring_subtracts_the_means() -> None:
    inputs, y = data_set(1, [2, 1], 1, 30)
    shifted = ms.LateFusionProblem.from_samples([x + 5 for x in inputs], y - 3, center=True)
    centred = ms.LateFusionProblem.from_samples([x - x.mean(0) for x in inputs], y - y.mean(0))
    np.testing.assert_allclose(shifted.input_moment, centred.input_moment, rtol=1e-12)
    np.testing.assert_allclose(shifted.cross_moment, centred.cross_moment, rtol=1e-11)
    plain = ms.LateFusionProblem.from_samples([x + 5 for x in inputs], y)
    assert plain.input_moment[0, 0] > 20  # means stay in by default


def test_one_dimensional_samples_are_columns() -> None:
    x, y = np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.0, 1.0])
    assert ms.LateFusionProblem.from_samples([x], y) == ms.LateFusionProblem.from_samples(
        [x[:, None]], y[:, None]
    )


@given(SEEDS, SIZES, st.integers(1, 3), st.sampled_from((0.0, 0.5)))
def test_linear_model_has_the_moments_of_its_definition(
    seed: int, dims: list[int], m: int, noise: float
) -> None:
    rng = np.random.default_rng(seed)
    factor = rng.standard_normal((2 * sum(dims), sum(dims)))
    moment, splits = factor.T @ factor / len(factor), np.cumsum(dims)[:-1]
    weights = np.split(rng.standard_normal((m, sum(dims))), splits, axis=1)
    problem = ms.LateFusionProblem.from_linear_model(
        weights, [np.split(r, splits, axis=1) for r in np.split(moment, splits)], noise
    )
    stacked = np.hstack(weights)
    # a random moment is conditioned up to 1e8
    np.testing.assert_allclose(problem.joint_map, stacked, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(
        problem.y_second_moment, np.trace(stacked @ moment @ stacked.T) + m * noise, rtol=1e-12
    )
    assert problem.joint_optimum == pytest.approx(m * noise / 2, abs=1e-9 * problem.y_second_moment)


@pytest.mark.parametrize(
    "problem",
    [
        FIGURE_1,
        ms.generators.random_problem(dims=(2, 3, 1), seed=4, output_dim=2, noise_variance=0.3),
    ],
    ids=["figure1", "random"],
)
def test_samples_have_the_moments_at_the_sampling_error(problem: ms.LateFusionProblem) -> None:
    sizes, errors = (1_000, 100_000), []
    for n in sizes:
        inputs, y = problem.sample(n, seed=1)
        assert [x.shape for x in inputs] == [(n, d) for d in problem.dims]
        assert y.shape == (n, problem.output_dim)
        estimate = ms.LateFusionProblem.from_samples(inputs, y)
        scale = np.sqrt(np.diag(problem.input_moment))
        moment = np.abs(
            (estimate.input_moment - problem.input_moment) / np.outer(scale, scale)
        ).max()
        cross = np.abs((estimate.cross_moment - problem.cross_moment) / scale).max() / math.sqrt(
            problem.y_second_moment
        )
        errors.append(max(moment, cross))
    # A product of unit Gaussians has a standard deviation of at most sqrt 2; 4.5 of them cover
    # fewer than 50 entries.
    assert errors[0] < 6.4 / math.sqrt(sizes[0])
    assert errors[1] < 6.4 / math.sqrt(sizes[1])


def test_sampling_is_seeded() -> None:
    first, again, other = (FIGURE_1.sample(5, seed=seed) for seed in (3, 3, 4))
    assert first[1].tobytes() == again[1].tobytes() != other[1].tobytes()
    assert FIGURE_1.sample(5)[1].tobytes() == FIGURE_1.sample(5, seed=0)[1].tobytes()
    with pytest.raises(ValueError, match=r"`n_samples` must be >= 1. Got n_samples=0"):
        FIGURE_1.sample(0)


def test_scalars_and_vectors_are_taken_as_blocks() -> None:
    problem = ms.LateFusionProblem([[9, 0], [0, 1]], [2.5, 1.0], 2.0)
    assert problem == ms.LateFusionProblem(
        list(np.diag([9.0, 1.0]).reshape(2, 2, 1, 1)),
        [np.array([[2.5]]), np.array([1.0])],
        np.array([[2.0]]),
    )
    assert (problem.dims, problem.output_dim, problem.names) == ((1, 1), 1, ("m1", "m2"))
    assert [block.tolist() for block in problem.sigma_yx] == [[[2.5]], [[1.0]]]
    assert problem.sigma[1][0].shape == (1, 1)


def test_standardized_samples_do_not_depend_on_units_or_offsets() -> None:
    inputs, y = ms.generators.random_problem((2, 3), seed=2, noise_variance=0.1).sample(40, seed=1)
    plain = ms.LateFusionProblem.from_samples(inputs, y, standardize=True)
    np.testing.assert_allclose(np.diag(plain.input_moment), 1.0, rtol=1e-12)
    assert plain.y_second_moment == pytest.approx(1.0)
    moved = ms.LateFusionProblem.from_samples(
        [100.0 * inputs[0] + 7.0, inputs[1] - 3.0], 1e-3 * y + 5.0, standardize=True
    )
    np.testing.assert_allclose(moved.unimodal_optima, plain.unimodal_optima, rtol=1e-9)
    np.testing.assert_allclose(moved.input_moment, plain.input_moment, atol=1e-12)
    constant = ms.LateFusionProblem.from_samples([inputs[0], np.ones(40)], y, standardize=True)
    assert constant.unimodal_optima[1] == pytest.approx(0.5)  # a constant input explains nothing
