"""The defaults that README, docs and docstrings name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import mimo_sim as ms
from mimo_sim.solvers import check_solver


def test_defaults_of_the_solvers() -> None:
    assert ms.Vanilla() == ms.Vanilla(heads="frozen")
    assert ms.MIMO() == ms.MIMO(lam=10.0, mu=0.01, f_star="exact", heads="gradient")


def test_defaults_of_the_rules() -> None:
    assert {name: ms.rules.create(name).hyper() for name in ms.rules.available()} == {
        "cagrad": {"c": 0.5, "rescale": "c2"},
        "g_blending": {"given": None},
        "gradnorm": {"alpha": 1.5},
        "linear_scalarization": {"weight": 1.0},
        "mgda": {"scope": "network"},
        "mmpareto": {"gamma": 1.5},
        "ogm": {"alpha": 0.8},
        "pcgrad": {"scope": "network"},
        "stch": {"mu": 0.1},
    }


def test_defaults_of_the_criterion() -> None:
    assert ms.MIMOLoss().hyper == {
        "lam": 2.0,
        "mu": 0.1,
        "f_star": "running_minimum",
        "heads": "gradient",
        "decay": 0.95,
        "gap": "absolute",
        "adaptive_mu": 0.0,
        "normalise": False,
    }


def test_a_rule_for_f_star_that_goes_by_epochs_waits_a_thousand_steps() -> None:
    from mimo_sim.methods import _fstar

    assert _fstar.PATIENCE == 1000


RUN = {"step_size": None, "steps": 2000, "width": 100, "init_scale": 1e-3, "weight_decay": 0.0}


@pytest.mark.parametrize(
    ("function", "defaults"),
    [
        (
            ms.simulate,
            RUN
            | {"seed": 0, "record_every": 1, "engine": "gram", "initial": None, "momentum": 0.0},
        ),
        (ms.dynamics.simulate_early, RUN | {"seed": 0, "record_every": 1, "initial": None}),
        (ms.simulate_ensemble, RUN | {"seed": 0, "engine": "batch", "tolerance": None}),
        (ms.sweep, RUN | {"seeds": 1, "method": "mimo", "samples": None, "on_error": "raise"}),
        (
            ms.training.Settings,
            {"batch_size": 64, "lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4, "width": 64},
        ),
        (ms.generators.scalar_pair, {"sigma_ratio": 2.0, "rho": 0.5}),
        (ms.generators.superficial_preference, {"scale": 3.0, "explained": (0.72, 1.28)}),
    ],
)
def test_defaults_of_what_a_user_calls(
    function: Callable[..., Any], defaults: dict[str, Any]
) -> None:
    parameters = inspect.signature(function).parameters
    assert {name: parameters[name].default for name in defaults} == defaults


def test_a_solver_is_a_solver_and_a_rule_where_rules_may_be() -> None:
    for solver in (ms.Vanilla(), ms.MIMO()):
        check_solver(solver)
        check_solver(solver, with_rules=True)
    check_solver(ms.MGDA(), with_rules=True)
    with pytest.raises(TypeError, match="rules are simulated in late fusion only"):
        check_solver(ms.MGDA())
    for wrong in ("mimo", None, ms.MIMO):
        for with_rules in (False, True):
            with pytest.raises(TypeError, match="`method` must be mimo_sim"):
                check_solver(wrong, with_rules=with_rules)
