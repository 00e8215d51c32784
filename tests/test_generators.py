"""Named and random families of problems, and the hypothesis strategies for users."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim import generators, testing
from mimo_sim.testing import initial_weights, methods, mimo_methods, problems

T = TypeVar("T")


def simplest(strategy: st.SearchStrategy[T], condition: Callable[[T], bool] = lambda _: True) -> T:
    return find(strategy, condition, settings=settings(phases=(Phase.generate, Phase.shrink)))


# ------------------------------------------------------------------------------------------ named families


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
    np.testing.assert_allclose(
        report.correlation, [2.546, 1.131], atol=5e-4
    )  # printed with three decimals
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


def test_every_named_family_has_defaults() -> None:
    assert generators.named("superficial") == generators.superficial_preference()
    assert generators.named("scalar-pair") == generators.scalar_pair()
    assert ms.theory.superficial_preference(generators.named("random")).holds
    assert set(generators.NAMES) == {"superficial", "scalar-pair", "random"}
    with pytest.raises(
        ValueError, match=r"`name` must be one of .*scalar-pair.*Got name='figure1'"
    ):
        generators.named("figure1")


# ------------------------------------------------------------------------------------------ random family


@given(st.integers(0, 1000), st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 3))
def test_random_problems_are_determined_by_their_seed(seed: int, dims: list[int], m: int) -> None:
    first, again, other = (
        generators.random_problem(dims, seed=s, output_dim=m, noise_variance=0.1)
        for s in (seed, seed, seed + 1)
    )
    assert first == again
    assert first != other
    assert (first.dims, first.output_dim) == (tuple(dims), m)
    # drawn from a linear model with this noise; random moments are conditioned well enough to leave 1e-9 of E|y|^2
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
    """Without a spread of scales nearly uncorrelated inputs of one dimension never prefer superficially."""
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


# ------------------------------------------------------------------------------------------ strategies: promises


@given(st.data())
def test_problems_keep_their_promises(data: st.DataObject) -> None:
    require: Literal["none", "superficial"] = data.draw(st.sampled_from(("none", "superficial")))
    m = data.draw(st.integers(1, 3))
    problem = data.draw(problems(require=require, output_dim=m, noise=0.25))
    report = ms.theory.superficial_preference(problem)
    assert problem.num_modalities in ((1, 2, 3) if require == "none" else (2, 3))
    assert problem.output_dim == m
    assert problem.joint_optimum == pytest.approx(m * 0.25 / 2, abs=1e-11)
    assert (report.correlation > 0).all()
    if require == "superficial":
        assert report.holds
        shares = np.delete(report.explained / report.explained.max(), report.most_explaining)
        assert (shares > testing.SHARE[0] - 1e-12).all()
        assert (shares < testing.SHARE[1] + 1e-12).all()
        lead = report.correlation[report.first_learned] / np.delete(
            report.correlation, report.first_learned
        )
        assert lead.min() > testing.LEAD[0] - 1e-12
        assert (
            lead[report.most_explaining - (report.most_explaining > report.first_learned)]
            < testing.LEAD[1] + 1e-12
        )
    # dividing each input by its standard deviation is not the scale that was drawn, but within a factor 7 of it on either side
    scale = np.sqrt(np.diag(problem.input_moment))
    assert (
        np.linalg.cond(problem.input_moment / np.outer(scale, scale))
        < testing.MAX_CONDITION * (1 + testing.MIXING) ** 2
    )


def test_problems_take_sizes_in_every_form() -> None:
    assert simplest(problems(dims=(2, 1, 3))).dims == (2, 1, 3)
    assert simplest(problems(num_modalities=2, dims=3)).dims == (3, 3)
    assert simplest(problems(num_modalities=st.just(4), dims=st.just(2))).dims == (2,) * 4
    refused: list[dict[str, Any]] = [
        {"num_modalities": 3, "dims": (1, 1)},
        {"require": "strong"},
        {"num_modalities": 1, "require": "superficial"},
        {"dims": 0},
        {"output_dim": 0},
    ]
    for arguments in refused:
        with pytest.raises(ValueError, match=r"`(num_modalities|require|dims|output_dim)` must"):
            simplest(problems(**arguments))


@pytest.mark.usefixtures("dynamic_sizes")
@given(st.data())
def test_methods_and_weights_keep_their_promises(data: st.DataObject) -> None:
    problem = data.draw(problems())
    method = data.draw(methods(num_modalities=problem.num_modalities))
    if isinstance(method.f_star, tuple):
        assert len(method.f_star) == problem.num_modalities
    weights = data.draw(initial_weights(problem, width=3, scale=0.2))
    assert [(v.shape, u.shape, w.shape) for v, u, w in weights] == [
        ((problem.output_dim, 3), (problem.output_dim, 3), (3, d)) for d in problem.dims
    ]
    assert max(np.abs(block).max() for triple in weights for block in triple) <= 0.2
    run = ms.simulate(problem, method, initial=weights, steps=1)  # accepted by simulate as they are
    assert run.sizes == {"step": 2, "modality": problem.num_modalities}


def test_no_two_modalities_are_special() -> None:
    """The one learned first and the one that explains most are drawn, not always the first and the last."""
    seen = set()

    @given(problems(num_modalities=3, require="superficial"))
    def collect(problem: ms.LateFusionProblem) -> None:
        report = ms.theory.superficial_preference(problem)
        seen.add((report.first_learned, report.most_explaining))

    collect()
    assert len(seen) >= 4  # of 6


# ------------------------------------------------------------------------------------------ strategies: shrinking


def test_the_simplest_problem() -> None:
    problem = simplest(problems())
    assert problem == ms.LateFusionProblem([[1.0]], [1.0], 1.0)


def test_problems_shrink_to_the_smallest_that_shows_the_failure() -> None:
    assert simplest(problems(), lambda p: p.num_modalities > 1) == ms.LateFusionProblem(
        [[1, 0], [0, 1]], [1.0, 1.0], 2.0
    )
    wide = simplest(problems(), lambda p: p.dims[0] > 1)
    assert (wide.dims, wide.input_moment.tolist(), wide.cross_moment.tolist()) == (
        (2,),
        [[1, 0], [0, 1]],
        [[1, 0]],
    )
    noisy = simplest(problems(), lambda p: p.joint_optimum > 1e-6)
    assert noisy == ms.LateFusionProblem([[1.0]], [1.0], 1.125)
    correlated = simplest(
        problems(), lambda p: p.num_modalities == 2 and p.sigma[0][1][0, 0] < -0.5
    )
    assert correlated.dims == (1, 1)
    assert correlated.sigma[0][0].tolist() == [[1.0]]
    assert correlated.sigma[0][1].tolist() == [[-0.625]]
    superficial = simplest(problems(require="superficial"))
    assert superficial.dims == (1, 1)
    np.testing.assert_allclose(superficial.unimodal_optima, [0.5, 0.25], rtol=1e-12)
    np.testing.assert_allclose(superficial.cross_moment, [[2.0, 1.0]], rtol=1e-12)


def test_methods_and_weights_shrink() -> None:
    assert simplest(methods()) == ms.Vanilla()
    assert simplest(methods(), lambda method: method.lam > 1) == ms.MIMO(lam=1.125, mu=0.125)
    assert simplest(mimo_methods(), lambda method: not isinstance(method.f_star, str)) == ms.MIMO(
        lam=0.0, mu=0.125, f_star=0.0
    )
    weights = simplest(initial_weights(generators.scalar_pair()))
    assert [[block.tolist() for block in triple] for triple in weights] == [
        [[[0.5]], [[0.5]], [[0.5]]]
    ] * 2
    assert (
        len(
            simplest(initial_weights(generators.scalar_pair()), lambda w: w[0][2].shape[0] > 2)[0][
                2
            ]
        )
        == 3
    )
