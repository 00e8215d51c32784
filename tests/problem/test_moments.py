"""Where moments stop being possible, by hand: every tolerance from both sides."""

from __future__ import annotations

import math

import numpy as np
import pytest

import mimo_sim as ms
from mimo_sim import _blocks, _checks, _moments


def nearly_one(correlation: float, more: int = 0) -> np.ndarray:
    """Two inputs with this correlation, and some that are always zero."""
    moment = np.zeros((2 + more, 2 + more))
    moment[:2, :2] = [[1.0, correlation], [correlation, 1.0]]
    return moment


def test_inputs_are_scaled_to_unit_variance() -> None:
    scaled, scale = _moments.unit_variance(np.array([[4.0, 2.0, 0], [2.0, -9.0, 0], [0, 0, 0]]))
    np.testing.assert_allclose(scaled, np.array([[3, 1, 0], [1, -3, 0], [0, 0, 0]]) / 3, rtol=1e-15)
    assert scale.tolist() == [2.0, 3.0, 1.0]
    tiny, scale = _moments.unit_variance(np.array([[1e-300]]))
    assert float(tiny[0, 0]) == pytest.approx(1)
    assert float(scale[0]) == pytest.approx(1e-150)


def test_values_of_a_problem_go_up_to_1e100() -> None:
    assert (_checks.LARGEST, _blocks.ROOT) == (1e100, 1e50)
    _moments.check_size("value", np.array([1e100, -1e100]))
    _moments.check_size("value", np.empty(0), 0.0)
    for wrong in (1.001e100, -1.001e100):
        with pytest.raises(ValueError, match=r"`value` must lie within \+-1e\+100"):
            _moments.check_size("value", np.array([0.0, wrong]))
    ms.LateFusionProblem.from_samples([[9e49, -9e49]], [1.0, 2.0])
    ms.LateFusionProblem.from_linear_model([1e49], [[1.0]])
    with pytest.raises(ValueError, match=r"`inputs\[0\]` must lie within \+-1e\+50"):
        ms.LateFusionProblem.from_samples([[1.01e50, 1.0]], [1.0, 2.0])
    with pytest.raises(ValueError, match=r"`y` must lie within \+-1e\+50"):
        ms.LateFusionProblem.from_samples([[1.0, 1.0]], [1.0, 1.01e50])
    with pytest.raises(ValueError, match=r"`weights\[0\]` must lie within \+-1e\+50"):
        ms.LateFusionProblem.from_linear_model([1.01e50], [[1.0]])


def test_asymmetry_up_to_round_off_is_averaged_away() -> None:
    for slip in (0.8e-9, -0.8e-9):
        sigma = np.array([[1.0, 0.5 + slip], [0.5, 1.0]])
        _moments.check_moment("sigma", sigma)
        moment, _, _ = _moments.checked_moments(sigma, np.zeros((1, 2)), np.array(1.0))
        assert moment[0, 1] == moment[1, 0] == pytest.approx(0.5 + slip / 2, rel=1e-14)
    with pytest.raises(ValueError, match="`sigma` must be symmetric"):
        _moments.check_moment("sigma", np.array([[1.0, 0.5 + 1.2e-9], [0.5, 1.0]]))


def test_a_negative_eigenvalue_may_be_round_off() -> None:
    """Up to 1e-9 for each input."""
    _moments.check_moment("sigma", nearly_one(1 + 1.8e-9))
    _moments.check_moment("sigma", nearly_one(1 + 2.8e-9, more=1))
    for moment in (nearly_one(1 + 2.2e-9), nearly_one(1 + 3.2e-9, more=1)):
        with pytest.raises(ValueError, match="`sigma` must be positive semi-definite"):
            _moments.check_moment("sigma", moment)


@pytest.mark.parametrize("second", [0.25, 1.0, 4.0])
def test_a_correlation_outside_the_range_may_be_round_off(second: float) -> None:
    """Up to sqrt(1e-9) times the size of y: here the two inputs are one and the same."""
    size, moment = math.sqrt(1e-9 * second), nearly_one(1.0)
    small, large = 0.9 * size, 1.1 * size
    _moments.checked_moments(moment, np.array([[0.1 + small, 0.1 - small]]), np.array(second))
    words = rf"`sigma_yx` must lie in the range of `sigma`: .* by {large:.3g}"
    with pytest.raises(ValueError, match=words):
        _moments.checked_moments(moment, np.array([[0.1 + large, 0.1 - large]]), np.array(second))


@pytest.mark.parametrize("second", [1.0, 100.0])
@pytest.mark.parametrize("whole", [False, True])
def test_inputs_may_explain_a_little_too_much(second: float, whole: bool) -> None:
    """By up to 1e-8 of E|y|^2."""
    output = np.array([[second]]) if whole else np.array(second)
    cross = np.array([[math.sqrt(second * (1 + 0.95e-8))]])
    _, found, best = _moments.checked_moments(np.eye(1), cross, output)
    assert float(found) == second
    assert best.tolist() == cross.tolist()
    with pytest.raises(ValueError, match="`y_second_moment` is too small"):
        _moments.checked_moments(np.eye(1), cross * (1 + 0.05e-8), output)


def test_a_target_that_is_always_zero_is_possible() -> None:
    problem = ms.LateFusionProblem([[1.0]], [0.0], 0.0)
    assert (problem.joint_optimum, problem.unimodal_optima.tolist()) == (0.0, [0.0])


def test_every_output_must_have_its_share() -> None:
    """E|y|^2 is large enough, but one output is explained beyond its own size."""
    cross, output = np.array([[1.0], [0.5]]), np.diag([0.5, 4.0])
    with pytest.raises(ValueError, match=r"The inputs alone explain 1.25 of E\|y\|\^2. Got .*4.5"):
        _moments.checked_moments(np.eye(1), cross, output)
    _moments.checked_moments(np.eye(1), cross, np.array(4.5))


@pytest.mark.parametrize(("more", "limit"), [(0, 1e-9), (1, 3e-9), (2, 4e-9)])
def test_nearly_dependent_inputs_count_as_dependent(more: int, limit: float) -> None:
    """A direction with an eigenvalue below 1e-9 (times D if others are dependent) is left out."""
    for eigenvalue, kept in ((0.8 * limit, False), (1.2 * limit, True)):
        moment = nearly_one(1 - eigenvalue, more)
        wanted = np.zeros((1, 2 + more))
        wanted[0, :2] = [1.0, -1.0]  # along that direction, and nothing else
        found = _moments.generalised_solve(wanted @ moment, moment)
        np.testing.assert_allclose(found, wanted if kept else 0 * wanted, atol=1e-5)


def test_dependent_inputs_are_solved_to_the_last_digits() -> None:
    """Refined once: without that, or with the wrong sign, digits are missing."""
    rng = np.random.default_rng(0)
    worst = 0.0
    for _ in range(20):
        factor = rng.standard_normal((6, 4)) * np.array([1e5, 1.0, 1e-5, 1.0])
        factor = np.hstack([factor, factor[:, :1] + factor[:, 1:2]])
        moment = factor.T @ factor
        cross = rng.standard_normal((2, 6)) @ factor
        found = _moments.generalised_solve(cross, moment)
        scale = np.sqrt(np.diag(moment))
        worst = max(worst, np.abs((found @ moment - cross) / scale).max())
    assert worst < 1e-10


def test_samples_spread_the_unexplained_part_evenly_over_the_outputs() -> None:
    problem = ms.generators.random_problem((2, 1), seed=4, output_dim=2, noise_variance=0.3)
    inputs, y = problem.sample(40_000, seed=0)
    residual = y - np.hstack(inputs) @ problem.joint_map.T
    wanted = problem.joint_optimum * np.eye(2)  # 2 f* / m for each of m = 2 outputs
    # an average of 40000 products with a spread of at most sqrt 2 times the variance
    np.testing.assert_allclose(
        residual.T @ residual / len(y), wanted, atol=5 * 0.0071 * problem.joint_optimum
    )
    # Without noise the target is the map of the inputs, up to round-off.
    exact = ms.generators.random_problem((2, 1), seed=4)
    inputs, y = exact.sample(100, seed=0)
    np.testing.assert_allclose(y, np.hstack(inputs) @ exact.joint_map.T, atol=1e-6)


def test_samples_of_dependent_inputs_are_dependent_whatever_is_rounded() -> None:
    rounded_below_zero = 0
    for seed in range(20):
        factor = np.random.default_rng(seed).standard_normal((2, 4)) * 1e-2
        moment = factor.T @ factor
        rounded_below_zero += np.linalg.eigvalsh(moment).min() < 0
        problem = ms.LateFusionProblem([[moment]], [np.zeros((1, 4))], 1.0)
        (x,), _ = problem.sample(50, seed=seed)
        assert np.isfinite(x).all()
        # four inputs from two: the rest is the root of the round-off of 1e-4
        assert np.linalg.svd(x, compute_uv=False)[2] < 1e-7
        assert 0.2 < np.mean(x**2) / np.trace(moment) * 4 < 5
    assert rounded_below_zero > 5


def test_columns_and_blocks_of_each_modality() -> None:
    assert _blocks.columns([2, 1, 3]) == [slice(0, 2), slice(2, 3), slice(3, 6)]
    matrix = np.arange(9.0).reshape(3, 3)
    rows = _blocks.split_both(matrix, [2, 1])
    assert [[block.tolist() for block in row] for row in rows] == [
        [[[0, 1], [3, 4]], [[2], [5]]],
        [[[6, 7]], [[8]]],
    ]
    assert [block.tolist() for block in _blocks.split_columns(matrix[:1], [1, 2])] == [
        [[0.0]],
        [[1.0, 2.0]],
    ]


def test_names_are_given_or_counted_from_one() -> None:
    assert _blocks.checked_names(None, 3) == ("m1", "m2", "m3")
    assert _blocks.checked_names(["a", "b"], 2) == ("a", "b")
    for wrong in (["a", 3], "ab", 7):
        with pytest.raises(TypeError, match="`names` must be a sequence of names"):
            _blocks.checked_names(wrong, 2)  # type: ignore[arg-type]


def test_one_array_may_hold_several_modalities_of_one_input_each() -> None:
    """(K, n) is K modalities; (n, K) with n targets is a mistake."""
    columns, target = _blocks.sample_columns(np.arange(6.0).reshape(2, 3), np.ones(3))
    assert [x.shape for x in columns] == [(3, 1), (3, 1)]
    assert target.shape == (3, 1)
    columns, _ = _blocks.sample_columns(np.ones((3, 3, 2)), np.ones(3))
    assert [x.shape for x in columns] == [(3, 2)] * 3
    with pytest.raises(ValueError, match=r"wrap a single modality in a list.*shape \(3, 3\)"):
        _blocks.sample_columns(np.ones((3, 3)), np.ones(3))


def test_standardised_columns_have_unit_variance_and_constant_ones_are_zero() -> None:
    samples = np.array([[1.0, 5.0], [3.0, 5.0], [8.0, 5.0]])
    assert _blocks.centred(samples, False).tolist() == [[-3, 0], [-1, 0], [4, 0]]
    found = _blocks.centred(samples, True)
    np.testing.assert_allclose(found[:, 0], np.array([-3, -1, 4]) / math.sqrt(26 / 3))
    assert found[:, 1].tolist() == [0, 0, 0]
