"""The problem: ways in agree, optima equal least squares, bad moments are refused, round trips are exact."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim.testing import problems
from tests.reference import Network

FIGURE_1 = ms.generators.superficial_preference()
SEEDS = st.integers(0, 10_000)
SIZES = st.lists(st.integers(1, 3), min_size=1, max_size=4)


def data_set(seed: int, dims: list[int], m: int, n: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Correlated inputs with a mean, and targets that they explain in part."""
    rng = np.random.default_rng(seed)
    stacked = (
        rng.standard_normal((n, sum(dims))) @ rng.standard_normal((sum(dims), sum(dims))) + 0.3
    )
    y = stacked @ rng.standard_normal((sum(dims), m)) + rng.standard_normal((n, m))
    return np.split(stacked, np.cumsum(dims)[:-1], axis=1), y


def least_squares(x: np.ndarray, y: np.ndarray) -> float:
    return 0.5 * float(np.mean(np.sum((y - x @ np.linalg.lstsq(x, y, rcond=None)[0]) ** 2, axis=1)))


# ------------------------------------------------------------------------------------------ exact optima


@given(SEEDS, SIZES, st.integers(1, 3), st.integers(1, 40))
def test_optima_equal_least_squares_on_the_samples(
    seed: int, dims: list[int], m: int, n: int
) -> None:
    """Any K and m, and fewer samples than inputs too."""
    inputs, y = data_set(seed, dims, m, n)
    problem = ms.LateFusionProblem.from_samples(inputs, y)
    size = problem.y_second_moment
    # the moments square the condition number of the samples; where that hides a direction it carries less than 1e-8 of y
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
    assert (
        problem.joint_optimum <= problem.unimodal_optima + 1e-12
    ).all()  # more inputs never explain less, up to round-off of E|y|^2


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
    """Least squares in single units must not lose the small input because the large one is there twice."""
    rng = np.random.default_rng(0)
    large, small = rng.standard_normal(50), rng.standard_normal(50)
    y = large + 2 * small
    problem = ms.LateFusionProblem.from_samples(
        [np.column_stack([1e10 * large, 1e10 * large]), 1e-2 * small], y
    )
    assert problem.joint_optimum == pytest.approx(0, abs=1e-12)
    plain = ms.LateFusionProblem.from_samples([large, small], y)
    np.testing.assert_allclose(problem.unimodal_optima, plain.unimodal_optima, rtol=1e-9)


# ------------------------------------------------------------------------------------------ ways in


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
    assert (
        ms.LateFusionProblem.from_samples([x + 5 for x in inputs], y).input_moment[0, 0] > 20
    )  # not the default


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
    np.testing.assert_allclose(
        problem.joint_map, stacked, rtol=1e-6, atol=1e-6
    )  # conditioning of a random moment, up to 1e8
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
    # a product of unit Gaussians has a standard deviation of at most sqrt 2; 4.5 of them over fewer than 50 entries
    assert errors[0] < 6.4 / math.sqrt(sizes[0])
    assert errors[1] < 6.4 / math.sqrt(sizes[1])


def test_sampling_is_seeded() -> None:
    first, again, other = (FIGURE_1.sample(5, seed=seed) for seed in (3, 3, 4))
    assert first[1].tobytes() == again[1].tobytes() != other[1].tobytes()
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


# ------------------------------------------------------------------------------------------ round trips, identity


@given(problems(num_modalities=st.integers(1, 4), output_dim=st.integers(1, 3)))
def test_json_round_trip_is_exact(problem: ms.LateFusionProblem) -> None:
    back = ms.LateFusionProblem.from_json(problem.to_json())
    assert back == problem
    assert hash(back) == hash(problem)
    assert back.joint_map.tobytes() == problem.joint_map.tobytes()
    assert back.unimodal_optima.tobytes() == problem.unimodal_optima.tobytes()
    assert back.to_json() == problem.to_json()


def test_file_round_trip(tmp_path: Path) -> None:
    problem = ms.generators.random_problem(dims=(2, 3), seed=1)
    problem.save(tmp_path / "deep" / "problem.json")
    assert ms.LateFusionProblem.load(tmp_path / "deep" / "problem.json") == problem
    assert [path.name for path in (tmp_path / "deep").iterdir()] == [
        "problem.json"
    ]  # no temporary file is left


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "null",
        "{}",
        json.dumps({"dims": [1, 1]}),
        json.dumps(json.loads(FIGURE_1.to_json()) | {"input_moment": "x"}),
        json.dumps(json.loads(FIGURE_1.to_json()) | {"cross_moment": [1.0]}),
    ],
)
def test_from_json_refuses_what_to_json_never_wrote(text: str) -> None:
    with pytest.raises(ValueError, match=r"`text` must be a problem as written by `to_json`"):
        ms.LateFusionProblem.from_json(text)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"dims": [1]}, "`names`"),
        ({"dims": [2, 1]}, "`sigma_yx"),
        ({"input_moment": [[9, 0], [0, math.nan]]}, "finite"),
        ({"y_second_moment": 0.1}, "too small"),
    ],
)
def test_from_json_checks_like_the_constructor(change: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        ms.LateFusionProblem.from_json(json.dumps(json.loads(FIGURE_1.to_json()) | change))


def test_nothing_can_be_written_to() -> None:
    sigma, cross = np.eye(2).reshape(2, 2, 1, 1), np.ones(2)
    problem = ms.LateFusionProblem(sigma, cross, 3.0)  # type: ignore[arg-type]
    before = hash(problem)
    sigma[:], cross[:] = 7, 7  # the caller's arrays are copied
    assert hash(problem) == before
    arrays = [
        problem.input_moment,
        problem.cross_moment,
        problem.joint_map,
        problem.unimodal_optima,
        *problem.unimodal_maps,
        *problem.sigma_yx,
        problem.sigma[0][1],
    ]
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 7
    for name in (
        "dims",
        "names",
        "input_moment",
        "cross_moment",
        "y_second_moment",
        "num_modalities",
        "output_dim",
        "something_new",
    ):
        with pytest.raises((AttributeError, TypeError)):
            setattr(problem, name, 7)
    assert hash(problem) == before


def test_equality() -> None:
    def make(
        cross: float = 1.0, second: float = 3.0, names: tuple[str, str] = ("a", "b")
    ) -> ms.LateFusionProblem:
        return ms.LateFusionProblem([[2, 0], [0, 1]], [cross, 1.0], second, names=names)

    assert make() == make()
    assert len({make(), make()}) == 1
    others = [make(cross=1.1), make(second=4.0), make(names=("a", "c")), "a problem", None]
    assert all(make() != other for other in others)


def test_repr_shows_sizes_and_optima() -> None:
    assert (
        repr(FIGURE_1)
        == "LateFusionProblem(dims=(1, 1), output_dim=1, unimodal_optima=[0.64, 0.36], joint_optimum=0)"
    )


# ------------------------------------------------------------------------------------------ refusals

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
            r"`y_second_moment` is too small: no \(x, y\) has these moments. The inputs alone explain 2 ",
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
        ([], EYE, 0.0, ValueError, r"`weights` must be arrays \(m, d_k\) with one m"),
        (
            [[[1.0]], [[1.0], [1.0]]],
            EYE,
            0.0,
            ValueError,
            r"`weights` must be arrays \(m, d_k\) with one m. Got shapes",
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


def test_one_array_is_not_taken_for_a_list_of_modalities() -> None:
    with pytest.raises(ValueError, match="wrap a single modality in a list"):
        ms.LateFusionProblem.from_samples(np.ones((4, 2)), np.ones(4))  # type: ignore[arg-type]


def test_names_must_be_several_and_files_must_exist(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="`names` must be a sequence of names"):
        ms.LateFusionProblem([[1.0, 0.0], [0.0, 1.0]], [0.5, 0.5], 1.0, names="ab")
    with pytest.raises(FileNotFoundError, match="`path` must be a problem file"):
        ms.LateFusionProblem.load(tmp_path / "nowhere.json")
