"""Runs and closed forms of the toy have not changed by mistake (:mod:`tests.pinned`)."""

from __future__ import annotations

import dataclasses
import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

import mimo_sim as ms
from mimo_sim.rules import Rule
from mimo_sim.solvers import Solver
from mimo_sim.theory.emergence import emergence_chain
from mimo_sim.theory.joint import residual_correlation, turned
from mimo_sim.theory.mimo import initial_sigma
from tests.pinned import Case, difference, kept, plain

RELATIVE = 1e-8
SETTINGS: dict[str, Any] = {"step_size": 0.01, "steps": 60, "init_scale": 0.1, "record_every": 15}
PROBLEMS = {
    "figure1": ms.generators.superficial_preference(),
    "pair": ms.generators.scalar_pair(sigma_ratio=1.7, rho=-0.4),
    "three inputs": ms.generators.random_problem((3, 2), seed=1),
    "K=3": ms.generators.random_problem((2, 1, 2), seed=2),
    "two outputs": ms.LateFusionProblem.from_linear_model(
        [np.array([[1.0, 0.2], [0.4, -0.6]]), np.array([[0.5], [0.7]])],
        [[np.diag([1.0, 2.0]), np.array([[0.3], [0.1]])], [np.array([[0.3, 0.1]]), np.eye(1)]],
        noise_variance=0.2,
    ),
}
SOLVERS: dict[str, Solver] = {
    "vanilla": ms.Vanilla(),
    "heads follow": ms.Vanilla(heads="plain"),
    "mimo": ms.MIMO(lam=3.0, mu=0.2),
    "plain": ms.MIMO(lam=3.0, mu=0.2, heads="plain"),
    "running": ms.MIMO(lam=0.7, mu=0.05, f_star="running_minimum"),
    "zero": ms.MIMO(lam=2.0, mu=0.5, f_star="zero"),
}
SUMMARY = ("loss_mm", "loss_uni", "encoder_norm", "head_norm", "uni_head_norm", "sigma")


def numbers(run: xr.Dataset) -> dict[str, Any]:
    """What was recorded, without names."""
    names = [name for name in (*SUMMARY, "objective", "grad_norm_sq") if name in run]
    return {name: run[name].values for name in names}


def simulated(problem: str, solver: str, **more: Any) -> dict[str, Any]:
    return numbers(ms.simulate(PROBLEMS[problem], SOLVERS[solver], **(SETTINGS | more)))


def early(problem: str, solver: str, **more: Any) -> dict[str, Any]:
    run = ms.dynamics.simulate_early(PROBLEMS[problem], SOLVERS[solver], **(SETTINGS | more))
    return numbers(run)


def ensemble(engine: str) -> dict[str, Any]:
    runs = ms.simulate_ensemble(
        [PROBLEMS["figure1"], PROBLEMS["pair"]],
        [SOLVERS["mimo"], SOLVERS["plain"]],
        engine=engine,
        steps=60,
        step_size=0.01,
        init_scale=0.1,
    )
    return {str(name): runs[name].values for name in runs.data_vars if runs[name].dtype.kind == "f"}


def theory(problem: str) -> dict[str, Any]:
    """Every closed form that this problem admits."""
    p, t = PROBLEMS[problem], ms.theory
    solver = SOLVERS["mimo"]
    found: dict[str, Any] = {
        "optima": p.unimodal_optima,
        "samples": p.sample(3, seed=1),
        "joint optimum": p.joint_optimum,
        "correlations": t.correlations(p),
        "growth": [t.growth_rates(p, 3.0, 0.2, heads=h) for h in ("gradient", "plain")],
        "growth, other f*": t.growth_rates(p, 3.0, 0.2, f_star="zero"),
        "growth matrix": t.growth_matrix(p, 3.0, 0.2),
        "norms": [t.final_encoder_norms(p, SOLVERS[name]) for name in ("vanilla", "mimo", "zero")],
        "smoothness": [t.smoothness(p, one) for one in SOLVERS.values()],
        "smoothness, large start": [
            t.smoothness(p, one, init_norm_squared=0.7) for one in SOLVERS.values()
        ],
        "step": t.default_step_size(p, solver),
        "chattering": t.chattering_threshold(p, 3.0, 0.2),
        "preference": repr(t.superficial_preference(p)),
    }
    forms: dict[str, Callable[[], Any]] = {
        "ratio": lambda: t.time_ratio(p),
        "ratio, finite start": lambda: t.time_ratio(p, init_scale=1e-3),
        "times": lambda: t.learning_times(p),
        "times, finite start": lambda: t.learning_times(p, init_scale=1e-3),
        "misattribution": lambda: t.misattribution(p),
        "lam*": lambda: t.order_threshold(p),
        "lam*, smooth": lambda: t.order_threshold(p, mu=0.2),
        "lam*, plain": lambda: t.order_threshold(p, heads="plain"),
        "mimo times": lambda: [t.mimo_learning_times(p, lam) for lam in (0.5, 5.0)],
        "deep ratio": lambda: [t.deep_time_ratio(p, depth, 1, 1e-2) for depth in (3, 4)],
        "deep lam*": lambda: [t.deep_order_threshold(p, depth) for depth in (2, 3)],
        "summary": lambda: t.summary(p, solver),
    }
    for name, form in forms.items():
        try:
            found[name] = form()
        except ValueError:  # not for this problem
            found[name] = None
    return found


RULES: list[Rule] = [
    *(ms.rules.create(name) for name in ms.rules.available()),
    ms.LinearScalarization(weight=0.3),
    ms.CAGrad(c=0.8, rescale="c"),
    ms.MMPareto(gamma=0.7),
    ms.OGM(alpha=0.1),
    ms.OGM(alpha=3.0),
    ms.STCH(mu=0.4),
    ms.MGDA(scope="encoder"),
]


def laws(problem: str) -> dict[str, Any]:
    """What theory says of rules, of deep networks and of orders, where it says something."""
    p, t = PROBLEMS[problem], ms.theory
    forms: dict[str, Callable[[], Any]] = {
        **{f"growth {rule}": functools.partial(t.rule_growth_rates, p, rule) for rule in RULES},
        **{
            f"smoothness {rule} {start}": functools.partial(
                t.smoothness, p, rule, init_norm_squared=start
            )
            for rule in RULES
            for start in (0.0, 0.6)
        },
        **{
            f"deep ratio {depth} {own}": functools.partial(t.deep_time_ratio, p, depth, own, 0.03)
            for depth in (2, 3, 4, 6)
            for own in range(2, depth + 1)
        },
        **{
            f"chain {lam}": functools.partial(emergence_chain, p, lam)
            for lam in (0.1, 0.8, 2.0, 30.0)
        },
        "orders": lambda: t.order_thresholds(p, 20.0),
        "ratios of sums": lambda: [t.scalarization_time_ratio(p, w) for w in (0.4, 1.0, 3.0)],
        "sigma": lambda: [
            initial_sigma(p, 0.3, f_star) for f_star in ("exact", "zero", "running_minimum")
        ],
        "chattering": lambda: [t.chattering_threshold(p, lam, 0.05) for lam in (0.5, 4.0)],
        "width": lambda: t.sufficient_width(p),
        "price": lambda: t.worst_gap_bound(p, 3.0, 0.2),
        "left": lambda: residual_correlation(p, 0, 1),
        "turned": lambda: [
            turned(gain, np.array([[1.0, 0.3]]), np.array([[-0.4, x]]), False)
            for gain in (0.5, 9.0)
            for x in (-0.12, 0.7, 3.0)
        ],
    }
    found: dict[str, Any] = {}
    for name, form in forms.items():
        try:
            value = form()
        except ValueError:  # not for this problem
            value = None
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            value = dataclasses.asdict(value)
        if isinstance(value, tuple):
            value = [dataclasses.astuple(one) for one in value]
        found[name] = value
    return found


def warned(text: str, **settings: Any) -> dict[str, Any]:
    """Whether a run ends with advice."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ms.simulate(PROBLEMS["figure1"], ms.MIMO(lam=10.0, mu=0.001), **settings)
    return {"said": [text in str(one.message) for one in caught]}


VARIANTS: dict[str, dict[str, Any]] = {
    "infinite": {"width": math.inf},
    "narrow": {"width": 1},
    "decay": {"weight_decay": 0.3},
    "seed": {"seed": 5},
    "autograd": {"engine": "autograd", "width": 4},
    "flow": {"engine": "flow"},
    "default step": {"step_size": None},
}
CASES: dict[str, Case] = {
    **{
        f"simulate {problem}, {solver}": functools.partial(simulated, problem, solver)
        for problem in PROBLEMS
        for solver in SOLVERS
    },
    **{
        f"simulate figure1, mimo, {name}": functools.partial(simulated, "figure1", "mimo", **more)
        for name, more in VARIANTS.items()
    },
    **{
        f"early {problem}, {solver}": functools.partial(early, problem, solver)
        for problem in ("figure1", "K=3")
        for solver in ("vanilla", "mimo", "plain", "running")
    },
    "early infinite": functools.partial(early, "figure1", "mimo", width=math.inf),
    "ensemble batch": functools.partial(ensemble, "batch"),
    **{f"theory {problem}": functools.partial(theory, problem) for problem in PROBLEMS},
    **{f"theory of {problem}, laws": functools.partial(laws, problem) for problem in PROBLEMS},
    "chatters": functools.partial(warned, "sigma", steps=400, step_size=0.02),
}
PINNED = kept("dynamics/pinned")


@pytest.mark.parametrize("case", PINNED)
def test_the_toy_does_what_it_did(case: str) -> None:
    assert case in CASES, "renew the file: python -m tests.pinned"
    assert not difference(PINNED[case], plain(CASES[case]()), RELATIVE)
