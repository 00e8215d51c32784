"""The summary says what the functions say."""

from __future__ import annotations

import math

import pytest

import mimo_sim as ms
from mimo_sim import theory
from mimo_sim.generators import random_problem
from mimo_sim.solvers import HeadUpdate, Solver
from tests.theory.shared import FIGURE_1


@pytest.mark.parametrize("method", [ms.Vanilla(), ms.MIMO(), ms.MIMO(heads="plain")], ids=repr)
def test_summary_holds_what_the_functions_say(method: Solver) -> None:
    for problem in (
        FIGURE_1,
        random_problem(dims=(2, 2, 1), seed=0, output_dim=2),
        random_problem(dims=(3,), seed=0),
    ):
        report = theory.summary(problem, method)
        preference = theory.superficial_preference(problem)
        assert report["superficial_preference"]["holds"] == preference.holds
        assert report["unimodal_optima"] == problem.unimodal_optima.tolist()
        assert report["default_step_size"] == theory.default_step_size(problem, method)
        assert (report["time_ratio"] is None) == (
            problem.output_dim > 1 or problem.num_modalities < 2
        )
        assert (report["final_encoder_norms"] is None) == (method == ms.MIMO(heads="plain"))


@pytest.mark.parametrize("method", [ms.Vanilla(), ms.MIMO(), ms.MIMO(heads="plain")], ids=repr)
def test_a_target_that_no_input_explains_has_no_time_ratio(method: Solver) -> None:
    told = theory.summary(ms.LateFusionProblem([[1, 0], [0, 1]], [0, 0], 1.0), method)
    assert told["time_ratio"] is None
    assert told["explained"] == [0.0, 0.0]
    assert told["order_threshold"] in (None, 0.0)
    assert told["default_step_size"] > 0


def test_one_modality_that_explains_all_leaves_the_other_waiting_for_ever() -> None:
    told = theory.summary(ms.LateFusionProblem([[1, 0], [0, 1]], [1, 0], 1.0), ms.MIMO())
    assert told["time_ratio"] == math.inf


@pytest.mark.parametrize(
    "method",
    [
        ms.MIMO(lam=3.0, mu=0.05),
        ms.MIMO(lam=3.0, mu=0.05, heads="plain"),
        ms.MIMO(f_star="zero"),
        ms.MIMO(lam=0.0, heads="plain"),  # nothing is plain about it but the heads
        ms.Vanilla(),
        ms.Vanilla(heads="plain"),
    ],
)
def test_the_summary_repeats_the_functions(method: Solver) -> None:
    problem = ms.generators.superficial_preference()
    told = ms.theory.summary(problem, method)
    assert told["time_ratio"] == ms.theory.time_ratio(problem)
    assert told["default_step_size"] == ms.theory.default_step_size(problem, method)
    heads: HeadUpdate = method.heads if isinstance(method, ms.MIMO) else "gradient"
    if isinstance(method, ms.MIMO) and method.f_star == "exact":
        assert told["order_threshold"] == ms.theory.order_threshold(problem, method.mu, heads=heads)
        assert told["order_threshold_small_mu"] == ms.theory.order_threshold(problem, heads=heads)
    else:
        assert told["order_threshold"] is None
    if method.heads == "plain" and method.lam > 0:
        assert told["final_encoder_norms"] is None
    else:
        assert (
            told["final_encoder_norms"] == ms.theory.final_encoder_norms(problem, method).tolist()
        )
