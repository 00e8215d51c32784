"""Named and random families of problems."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim import generators

# ---------------------------------------------------------------- named families


def test_figure_1_has_the_published_values() -> None:
    problem = generators.superficial_preference()
    np.testing.assert_allclose(problem.input_moment, np.diag([9.0, 1.0]), rtol=1e-15)
    assert problem.y_second_moment == pytest.approx(2.0, rel=1e-14)
    np.testing.assert_allclose(problem.unimodal_optima, [0.64, 0.36], rtol=1e-14)
    assert problem.joint_optimum == pytest.approx(0, abs=1e-15)
    np.testing.assert_allclose(
        problem.joint_map, [[math.sqrt(0.72) / 3, math.sqrt(1.28)]], rtol=1e-14
    )
    report = ms.theory.superficial_preference(problem)
    # printed with three decimals
    np.testing.assert_allclose(report.correlation, [2.546, 1.131], atol=5e-4)
    assert (report.holds, report.first_learned, report.most_explaining) == (True, 0, 1)


@given(
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.floats(0.1, 1.0),
    st.floats(1.1, 3.0),
    st.floats(1.05, 5.0),
    st.sampled_from((0.0, 0.5)),
)
def test_superficial_preference_holds_for_all_its_parameters(
    dims: tuple[int, int], first: float, share: float, scale: float, noise: float
) -> None:
    explained = (first, first * share)
    problem = generators.superficial_preference(
        dims=dims, scale=scale * math.sqrt(share), explained=explained, noise_variance=noise
    )
    report = ms.theory.superficial_preference(problem)
    assert problem.dims == dims
    assert (report.holds, report.first_learned, report.most_explaining) == (True, 0, 1)
    np.testing.assert_allclose(report.explained, explained, rtol=1e-12)
    assert problem.joint_optimum == pytest.approx(noise / 2, abs=1e-12)
    np.testing.assert_allclose(report.correlation[0] / report.correlation[1], scale, rtol=1e-12)


@given(st.floats(0.2, 5.0), st.floats(-0.95, 0.95), st.sampled_from((0.0, 0.5)))
def test_scalar_pair_is_its_definition(ratio: float, rho: float, noise: float) -> None:
    problem = generators.scalar_pair(sigma_ratio=ratio, rho=rho, noise_variance=noise)
    np.testing.assert_allclose(
        problem.input_moment, [[ratio**2, rho * ratio], [rho * ratio, 1]], rtol=1e-14
    )
    np.testing.assert_allclose(
        problem.cross_moment, [[ratio**2 + rho * ratio, 1 + rho * ratio]], rtol=1e-12, atol=1e-14
    )
    assert problem.y_second_moment == pytest.approx(
        ratio**2 + 2 * rho * ratio + 1 + noise, rel=1e-12
    )
    # each alone misses the part of the other that it is not correlated with
    np.testing.assert_allclose(
        problem.unimodal_optima,
        0.5 * (np.array([1.0, ratio**2]) * (1 - rho**2) + noise),
        rtol=1e-9,
        atol=1e-12,
    )


NUMBERS = st.floats(-2, 2) | st.integers(-2, 2)


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "sigma_ratio": NUMBERS | st.floats(1e-4, 1e4),
                "rho": NUMBERS | st.sampled_from((1 - 1e-8, 1 - 1e-12, 1e-12 - 1)),
                "noise_variance": NUMBERS,
            },
        ),
        max_size=5,
    )
)
def test_many_scalar_pairs_are_the_same_bit_by_bit(points: list[dict[str, float]]) -> None:
    for point, problem in zip(points, generators.scalar_pairs(points), strict=True):
        if problem is None:
            with pytest.raises(ValueError, match="must"):
                generators.scalar_pair(**point)
            continue
        expected = generators.scalar_pair(**point)
        assert (problem, problem.names, problem.joint_optimum) == (
            expected,
            expected.names,
            expected.joint_optimum,
        )
        for found, wanted in zip(
            (problem.joint_map, *problem.unimodal_maps),
            (expected.joint_map, *expected.unimodal_maps),
            strict=True,
        ):
            assert found.tolist() == wanted.tolist()
            assert not found.flags.writeable
        assert problem.unimodal_optima.tolist() == expected.unimodal_optima.tolist()
        assert {name: str(vars(expected)[name]) for name in vars(problem)} == {
            name: str(value) for name, value in vars(problem).items()
        }
        with pytest.raises(AttributeError, match="immutable"):
            problem.dims = (1, 2)


def test_one_bad_scalar_pair_does_not_hide_the_others() -> None:
    """The first is refused by its parameters, the second by its moments: they underflow."""
    good = {"sigma_ratio": 3.0}
    points = [{"rho": 1.0}, {"sigma_ratio": 1e-200}, good, {"sigma_ratio": 1e300}]
    made = generators.scalar_pairs(points)
    assert made[2] == generators.scalar_pair(**good)
    assert made[0] is None
    assert made[3] is None


def test_every_named_family_has_defaults() -> None:
    assert generators.named("superficial") == generators.superficial_preference()
    assert generators.named("scalar-pair") == generators.scalar_pair()
    assert ms.theory.superficial_preference(generators.named("random")).holds
    assert set(generators.NAMES) == {"superficial", "scalar-pair", "random"}
    with pytest.raises(
        ValueError, match=r"`name` must be one of .*scalar-pair.*Got name='figure1'"
    ):
        generators.named("figure1")


# ---------------------------------------------------------------- random family


@given(st.integers(0, 1000), st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 3))
def test_random_problems_are_determined_by_their_seed(seed: int, dims: list[int], m: int) -> None:
    first, again, other = (
        generators.random_problem(dims, seed=s, output_dim=m, noise_variance=0.1)
        for s in (seed, seed, seed + 1)
    )
    assert first == again
    assert first != other
    assert (first.dims, first.output_dim) == (tuple(dims), m)
    # The noise is all that is left; these moments are conditioned well enough for 1e-9 of E|y|^2.
    assert first.joint_optimum == pytest.approx(m * 0.1 / 2, abs=1e-9 * first.y_second_moment)


@given(st.integers(0, 1000), st.lists(st.integers(1, 4), min_size=2, max_size=3))
def test_required_preference_holds(seed: int, dims: list[int]) -> None:
    report = ms.theory.superficial_preference(
        generators.random_problem(dims, seed=seed, require="superficial")
    )
    assert report.holds
    assert report.first_learned != report.most_explaining


def test_more_degrees_of_freedom_condition_better() -> None:
    few, many = (
        np.median(
            [
                np.linalg.cond(
                    generators.random_problem(
                        seed=s, scale_spread=0.0, degrees_of_freedom=n
                    ).input_moment
                )
                for s in range(20)
            ]
        )
        for n in (10, 1000)
    )
    assert many < 2 < few  # Marchenko-Pastur: ((1 + sqrt q) / (1 - sqrt q))^2 with q = 0.01 is 1.5


def test_giving_up_is_an_error_of_its_own() -> None:
    """Nearly uncorrelated scalar inputs of one scale never show a superficial preference."""
    with pytest.raises(
        ms.GenerationError, match=r"max_tries=3 draws .*Raise `max_tries` or `scale_spread`"
    ):
        generators.random_problem(
            dims=(1, 1),
            seed=0,
            require="superficial",
            scale_spread=0.0,
            degrees_of_freedom=100_000,
            max_tries=3,
        )


@pytest.mark.parametrize(
    ("function", "arguments", "error", "match"),
    [
        (
            generators.superficial_preference,
            {"explained": (1.28, 0.72)},
            ValueError,
            r"needs `explained\[0\]` < `explained\[1\]`",
        ),
        (
            generators.superficial_preference,
            {"explained": (1.0, 1.0)},
            ValueError,
            r"needs `explained\[0\]` < `explained\[1\]`",
        ),
        (
            generators.superficial_preference,
            {"explained": (0.0, 1.0)},
            ValueError,
            r"`explained\[0\]` must be finite and > 0",
        ),
        (
            generators.superficial_preference,
            {"explained": (0.5, math.nan)},
            ValueError,
            r"`explained\[1\]` must be finite",
        ),
        (
            generators.superficial_preference,
            {"scale": 1.2},
            ValueError,
            r"`scale` > sqrt\(explained\[1\] / explained\[0\]\) = 1.333",
        ),
        (generators.superficial_preference, {"scale": math.nan}, ValueError, r"`scale`"),
        (
            generators.superficial_preference,
            {"noise_variance": -1.0},
            ValueError,
            r"`noise_variance` must be finite and >= 0",
        ),
        (generators.superficial_preference, {"dims": (0, 1)}, ValueError, r"`dims` must"),
        (generators.superficial_preference, {"dims": (1, 1, 1)}, ValueError, r"`dims` must"),
        (
            generators.scalar_pair,
            {"sigma_ratio": 0.0},
            ValueError,
            r"`sigma_ratio` must be finite and > 0",
        ),
        (
            generators.scalar_pair,
            {"sigma_ratio": "2"},
            TypeError,
            r"`sigma_ratio` must be a number",
        ),
        (
            generators.scalar_pair,
            {"rho": 1.0},
            ValueError,
            r"`rho` must lie in \(-1, 1\). Got rho=1.0",
        ),
        (generators.scalar_pair, {"rho": -1.5}, ValueError, r"`rho` must lie in \(-1, 1\)"),
        (generators.scalar_pair, {"rho": math.nan}, ValueError, r"`rho` must lie in \(-1, 1\)"),
        (generators.random_problem, {"dims": ()}, ValueError, r"`dims` must be integers >= 1"),
        (generators.random_problem, {"dims": (0, 2)}, ValueError, r"`dims` must be integers >= 1"),
        (
            generators.random_problem,
            {"dims": (1.5, 2)},
            ValueError,
            r"`dims` must be integers >= 1",
        ),
        (
            generators.random_problem,
            {"require": "strong"},
            ValueError,
            r"`require` must be .*'none'.*Got require='strong'",
        ),
        (
            generators.random_problem,
            {"dims": (3,), "require": "superficial"},
            ValueError,
            r"needs at least two modalities",
        ),
        (generators.random_problem, {"output_dim": 0}, ValueError, r"`output_dim` must be >= 1"),
        (generators.random_problem, {"max_tries": 0}, ValueError, r"`max_tries` must be >= 1"),
        (
            generators.random_problem,
            {"degrees_of_freedom": 9},
            ValueError,
            r"`degrees_of_freedom` must be >= sum\(dims\) = 10",
        ),
        (
            generators.random_problem,
            {"scale_spread": -1.0},
            ValueError,
            r"`scale_spread` must be finite and >= 0",
        ),
        (
            generators.random_problem,
            {"noise_variance": -1.0},
            ValueError,
            r"`noise_variance` must be finite and >= 0",
        ),
        (generators.random_problem, {"seed": -1}, ValueError, r"seed|non-negative"),
    ],
)
def test_refusals(
    function: Any, arguments: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        function(**arguments)
