"""Moments that no pair (x, y) can have, and bad shapes, are refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim.testing import problems

EYE = [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        (
            ([[1, 0.5], [0.4, 1]], [0.1, 0.1], 1.0),
            ValueError,
            r"`sigma` must be symmetric. Its largest asymmetry is 0.1",
        ),
        (
            ([[1, 2], [2, 1]], [0.1, 0.1], 1.0),
            ValueError,
            r"`sigma` must be positive semi-definite. Its smallest eigenvalue is -1",
        ),
        (
            ([[-1, 0], [0, 1]], [0.1, 0.1], 1.0),
            ValueError,
            r"`sigma` must be positive semi-definite",
        ),
        (
            ([[1e-12, 2e-12], [2e-12, 1e-12]], [0, 0], 1.0),
            ValueError,
            r"`sigma` must be positive semi-definite",
        ),  # whatever the units
        (([[0, 1], [1, 1]], [0, 0], 1.0), ValueError, r"`sigma` must be positive semi-definite"),
        (
            (EYE, [1.0, 1.0], 1.9),
            ValueError,
            r"`y_second_moment` is too small: no \(x, y\) has these moments. "
            r"The inputs alone explain 2 ",
        ),
        ((EYE, [0.0, 0.0], -1.0), ValueError, r"`y_second_moment` is too small"),
        ((EYE, [0.3, 0.1], -1.0), ValueError, r"`y_second_moment`"),
        (
            ([[1, 1], [1, 1]], [1.0, 0.5], 9.0),
            ValueError,
            r"`sigma_yx` must lie in the range of `sigma`: no \(x, y\) has these moments",
        ),
        (
            ([[1, 0], [0, 0]], [1.0, 0.5], 9.0),
            ValueError,
            r"`sigma_yx` must lie in the range of `sigma`",
        ),
        (
            (EYE, [[[1.0], [0.0]], [[0.0], [1.0]]], [[1.0, 0.5], [0.5, 0.5]]),
            ValueError,
            r"`y_second_moment` is too small",
        ),
        (
            (EYE, [[[0.1], [0.0]], [[0.0], [0.1]]], [[1.0, 0.5], [0.0, 1.0]]),
            ValueError,
            r"`y_second_moment` must be symmetric",
        ),
        (
            (EYE, [[[0.1], [0.0]], [[0.0], [0.1]]], [1.0, 1.0]),
            ValueError,
            r"`y_second_moment` must be a number or have shape \(2, 2\). Got shape \(2,\)",
        ),
        (([[1.0]], [0.1, 0.1], 1.0), ValueError, r"`sigma` must be 2 x 2 blocks"),
        (([[1.0, 0.0], [0.0]], [0.1, 0.1], 1.0), ValueError, r"`sigma` must be 2 x 2 blocks"),
        ((3.0, [0.1, 0.1], 1.0), ValueError, r"`sigma` must be 2 x 2 blocks"),
        (
            ([[np.eye(2), 0], [0, 1]], [0.1, 0.1], 1.0),
            ValueError,
            r"`sigma\[0\]\[0\]` must have shape \(1, 1\). Got shape \(2, 2\)",
        ),
        (
            ([[np.eye(2), 0], [0, 1]], [[0.1, 0.1], 0.1], 1.0),
            ValueError,
            r"`sigma\[0\]\[1\]` must have shape \(2, 1\)",
        ),
        ((EYE, [], 1.0), ValueError, r"`sigma_yx` must hold one block per modality. Got none"),
        ((EYE, [0.1, []], 1.0), ValueError, r"`sigma_yx\[1\]` must have shape \(m, d_k\)"),
        (
            (EYE, [[[0.1]], [[0.1], [0.1]]], 1.0),
            ValueError,
            r"`sigma_yx\[1\]` must have shape \(m, d_k\) or \(d_k,\) with m = 1",
        ),
        ((EYE, [np.zeros((1, 1, 1)), 0.1], 1.0), ValueError, r"`sigma_yx\[0\]` must have shape"),
        (
            ([[1, math.nan], [math.nan, 1]], [0.1, 0.1], 1.0),
            ValueError,
            r"`sigma\[0\]\[1\]` must be finite. Got 1 NaN or infinite of 1",
        ),
        (
            ([[math.inf, 0], [0, 1]], [0.1, 0.1], 1.0),
            ValueError,
            r"`sigma\[0\]\[0\]` must be finite",
        ),
        ((EYE, [0.1, math.nan], 1.0), ValueError, r"`sigma_yx\[1\]` must be finite"),
        ((EYE, [0.1, 0.1], math.inf), ValueError, r"`y_second_moment` must be finite"),
        ((EYE, [0.1, 0.1], math.nan), ValueError, r"`y_second_moment` must be finite"),
        (
            (EYE, [0.1, 0.1], "two"),
            TypeError,
            r"`y_second_moment` must be an array of numbers. Got str",
        ),
        ((EYE, [0.1, None], 1.0), (TypeError, ValueError), r"`sigma_yx\[1\]` must be"),
        ((EYE, ["a", 0.1], 1.0), TypeError, r"`sigma_yx\[0\]` must be an array of numbers"),
        (
            ([["a", 0], [0, 1]], [0.1, 0.1], 1.0),
            TypeError,
            r"`sigma\[0\]\[0\]` must be an array of numbers",
        ),
        (
            (EYE, [0.1, [[1, 2], [3]]], 1.0),
            TypeError,
            r"`sigma_yx\[1\]` must be an array of numbers",
        ),
        ((EYE, 0.1, 1.0), TypeError, r"`sigma_yx` must"),
    ],
)
def test_constructor_refuses(
    arguments: tuple[Any, Any, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        ms.LateFusionProblem(*arguments)


@pytest.mark.parametrize("names", [("a",), ("a", "a"), ("a", "b", "c"), ()])
def test_names_must_be_different_and_one_each(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"`names` must be 2 different names"):
        ms.LateFusionProblem(EYE, [0.1, 0.1], 1.0, names=names)


@pytest.mark.parametrize(
    ("inputs", "y", "error", "match"),
    [
        ([], [1.0], ValueError, r"`inputs` must hold at least one array"),
        ([np.ones((0, 2))], np.ones(0), ValueError, r"`y` at least one sample"),
        (
            [np.ones((3, 2))],
            np.ones(4),
            ValueError,
            r"`inputs\[0\]` must have shape \(n, d_k\) with n = 4 as in `y`. Got shape \(3, 2\)",
        ),
        ([np.ones(3), np.ones((2, 1))], np.ones(3), ValueError, r"`inputs\[1\]` must have shape"),
        ([np.ones((3, 2, 2))], np.ones(3), ValueError, r"`inputs\[0\]` must have shape"),
        (
            [np.ones(3)],
            np.ones((3, 1, 1)),
            ValueError,
            r"`inputs` must hold at least one array and `y`",
        ),
        (
            [np.array([1.0, math.nan])],
            np.ones(2),
            ValueError,
            r"`inputs\[0\]` must be finite. Got 1 NaN or infinite of 2",
        ),
        ([np.ones(2)], np.array([1.0, math.inf]), ValueError, r"`y` must be finite"),
        ([["a", "b"]], np.ones(2), TypeError, r"`inputs\[0\]` must be an array of numbers"),
        ([np.ones(2)], ["a", "b"], TypeError, r"`y` must be an array of numbers"),
        ([np.ones((3, 0))], np.ones(3), ValueError, r"shape \(1, 0\)"),
    ],
)
def test_from_samples_refuses(inputs: Any, y: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        ms.LateFusionProblem.from_samples(inputs, y)


@pytest.mark.parametrize(
    ("weights", "sigma", "noise", "error", "match"),
    [
        (
            [1.0, 1.0],
            EYE,
            -0.1,
            ValueError,
            r"`noise_variance` must be finite and >= 0. Got noise_variance=-0.1",
        ),
        ([1.0, 1.0], EYE, math.nan, ValueError, r"`noise_variance` must be finite"),
        ([1.0, 1.0], EYE, math.inf, ValueError, r"`noise_variance` must be finite"),
        ([], EYE, 0.0, ValueError, r"`weights` must be arrays \(m, d_k\), all with the same m"),
        (
            [[[1.0]], [[1.0], [1.0]]],
            EYE,
            0.0,
            ValueError,
            r"`weights` must be arrays \(m, d_k\), all with the same m. Got shapes",
        ),
        ([1.0, math.nan], EYE, 0.0, ValueError, r"`weights\[1\]` must be finite"),
        (["a", 1.0], EYE, 0.0, TypeError, r"`weights\[0\]` must be an array of numbers"),
        ([1.0], EYE, 0.0, ValueError, r"`sigma` must be 1 x 1 blocks"),
        ([1.0, [1.0, 1.0]], EYE, 0.0, ValueError, r"`sigma\[0\]\[1\]` must have shape \(1, 2\)"),
        ([1.0, 1.0], [[1, 2], [2, 1]], 0.0, ValueError, r"`sigma` must be positive semi-definite"),
    ],
)
def test_from_linear_model_refuses(
    weights: Any, sigma: Any, noise: float, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        ms.LateFusionProblem.from_linear_model(weights, sigma, noise)


@given(problems(), st.sampled_from((1.01, 1.5, 10.0)))
def test_impossible_moments_are_refused_however_they_arise(
    problem: ms.LateFusionProblem, factor: float
) -> None:
    """Less target than the inputs explain: by a hundredth is enough."""
    explained = problem.y_second_moment - 2 * problem.joint_optimum
    with pytest.raises(ValueError, match="`y_second_moment` is too small"):
        ms.LateFusionProblem(problem.sigma, problem.sigma_yx, explained / factor)


def test_one_array_is_not_taken_for_a_list_of_modalities() -> None:
    with pytest.raises(ValueError, match="wrap a single modality in a list"):
        ms.LateFusionProblem.from_samples(np.ones((4, 2)), np.ones(4))  # type: ignore[arg-type]


def test_names_must_be_several_and_files_must_exist(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="`names` must be a sequence of names"):
        ms.LateFusionProblem([[1.0, 0.0], [0.0, 1.0]], [0.5, 0.5], 1.0, names="ab")
    with pytest.raises(FileNotFoundError, match="`path` must be a problem file"):
        ms.LateFusionProblem.load(tmp_path / "nowhere.json")
