"""Many problems of one shape at once are the same problems as one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mimo_sim as ms
from tests.problem.shared import SEEDS, SIZES

ROUND_OFF = 1e-9  # relative; moments of random samples are conditioned well enough for that


def models(seed: int, dims: list[int], m: int, count: int, rows: int) -> tuple[Any, Any, Any]:
    """Weights, input moments and noise of `count` linear models; moments of rank `rows` at most."""
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((count, rows, sum(dims)))
    moments = np.swapaxes(factors, 1, 2) @ factors
    weights = [rng.standard_normal((count, m, d)) for d in dims]
    splits = np.cumsum(dims)[:-1]
    sigma = [np.split(block, splits, axis=2) for block in np.split(moments, splits, axis=1)]
    return weights, sigma, rng.uniform(0, 1, count)


@given(SEEDS, SIZES, st.integers(1, 3), st.integers(1, 4), st.sampled_from((0.5, 3.0)))
def test_many_linear_models_are_those_one_by_one(
    seed: int, dims: list[int], m: int, count: int, rank: float
) -> None:
    """With fewer rows than inputs the moments are singular."""
    rows = max(int(rank * sum(dims)), 1)
    weights, sigma, noise = models(seed, dims, m, count, rows)
    many = ms.LateFusionProblem.many_from_linear_model(weights, sigma, noise)
    assert len(many) == count
    for i, problem in enumerate(many):
        one = ms.LateFusionProblem.from_linear_model(
            [block[i] for block in weights],
            [[block[i] for block in row] for row in sigma],
            noise[i],
        )
        assert (problem.dims, problem.names, problem.output_dim) == (one.dims, one.names, m)
        size = one.y_second_moment
        assert problem.y_second_moment == pytest.approx(size, rel=ROUND_OFF)
        assert problem.joint_optimum == pytest.approx(one.joint_optimum, abs=ROUND_OFF * size)
        np.testing.assert_allclose(problem.input_moment, one.input_moment, rtol=ROUND_OFF)
        np.testing.assert_allclose(
            problem.unimodal_optima, one.unimodal_optima, rtol=0, atol=ROUND_OFF * size
        )
        for mine, theirs in zip(
            (problem.joint_map, *problem.unimodal_maps),
            (one.joint_map, *one.unimodal_maps),
            strict=True,
        ):
            predicted = np.abs(theirs).max() + np.abs(one.cross_moment).max()
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6 * predicted)
            assert not mine.flags.writeable


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"noise_variance": [0.0, -0.1]}, "`noise_variance` must be finite and >= 0"),
        ({"sigma": [[[[[1.0]], [[np.nan]]]]]}, r"`sigma\[0\]\[0\]` must be finite"),
        ({"sigma": [[[[[1.0]], [[-1.0]]]]]}, "`sigma` must be positive semi-definite"),
        ({"weights": [[[[1.0]], [[np.inf]]]]}, r"`weights\[0\]` must be finite"),
        ({"names": ("a", "b")}, "`names` must be 1 different names"),
        ({"noise_variance": [0.0] * 4}, r"`weights\[0\]` must .* N = 4, .*Got shape \(2, 1, 1\)"),
        ({"noise_variance": 0.1}, r"`noise_variance` must have shape \(N,\)\. Got shape \(\)"),
        (
            {"weights": [np.ones((1, 1, 1))], "noise_variance": [0.1] * 4},
            r"`sigma\[0\]\[0\]` must have shape \(4, 1, 1\).* Got shape \(2, 1, 1\)",
        ),
        ({"weights": [np.ones((2, 1, 2))]}, r"`sigma\[0\]\[0\]` must have shape \(2, 2, 2\)"),
        ({"weights": [np.ones((2, 1, 1))] * 2}, "`sigma` must hold 2 x 2 blocks"),
    ],
)
def test_one_bad_problem_is_refused_with_the_words_of_the_constructor(
    change: dict[str, Any], match: str
) -> None:
    arguments: dict[str, Any] = {
        "weights": [np.ones((2, 1, 1))],
        "sigma": [[np.ones((2, 1, 1))]],
        "noise_variance": [0.0, 0.5],
    }
    assert len(ms.LateFusionProblem.many_from_linear_model(**arguments)) == 2
    with pytest.raises(ValueError, match=match):
        ms.LateFusionProblem.many_from_linear_model(**(arguments | change))
