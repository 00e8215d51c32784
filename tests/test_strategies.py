"""The hypothesis strategies for users: what they promise, and how they shrink."""

from __future__ import annotations

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


# ---------------------------------------------------------------- strategies: promises


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
    # The standard deviation of an input is not the scale that was drawn, but within a factor of 7.
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


@given(testing.family("scalar-pair", sigma_ratio=testing.eighths(1, 40)))
def test_families_are_drawn_by_name(problem: ms.LateFusionProblem) -> None:
    ratio = float(np.sqrt(problem.sigma[0][0].item()))
    assert problem == generators.scalar_pair(ratio)
    with pytest.raises(ValueError, match=r"`name` must be one of .*superficial.*Got name='pair'"):
        testing.family("pair")


def test_no_two_modalities_are_special() -> None:
    """Which one is learned first and which explains most is drawn, not always first and last."""
    seen = set()

    @given(problems(num_modalities=3, require="superficial"))
    def collect(problem: ms.LateFusionProblem) -> None:
        report = ms.theory.superficial_preference(problem)
        seen.add((report.first_learned, report.most_explaining))

    collect()
    assert len(seen) >= 4  # of 6


# ---------------------------------------------------------------- strategies: shrinking


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
