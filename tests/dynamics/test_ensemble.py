"""Ensembles say what `simulate` says of every run, whatever its neighbours."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim.dynamics.ensemble import driver, runs
from mimo_sim.dynamics.ensemble.driver import simulate_ensemble
from mimo_sim.dynamics.start import random_weights
from mimo_sim.solvers import Solver
from mimo_sim.testing import methods, problems
from tests.dynamics.ensembles import (
    FIGURE_1,
    LAST,
    METHODS,
    ROUND_OFF,
    assert_same_bytes,
    half_times,
)

pytestmark = pytest.mark.usefixtures("dynamic_sizes")  # of the single-run engine


# ------------------------ against the single-run engine


def assert_agrees(member: xr.Dataset, run: xr.Dataset) -> None:
    """A member of an ensemble, without its `run` dim, says what the trajectory of the run says.

    The trajectory is recorded at every step.
    """
    K, last = run.sizes["modality"], run.isel(step=-1)
    for name in LAST:
        mine, theirs = member[name].values, last[name].values
        if mine.ndim:
            mine = mine[:K]
        assert (np.isnan(mine) == np.isnan(theirs)).all(), name
        largest = np.nanmax(np.abs(run[name].values), initial=0.0)
        apart = np.nanmax(np.abs(mine - theirs), initial=0.0)
        assert apart <= ROUND_OFF * max(largest, 1e-6), name
    np.testing.assert_array_equal(member.half_time.values[:K], half_times(run))
    assert np.isnan(member.half_time.values[K:]).all()


@pytest.mark.parametrize(
    ("problem", "weight_decay", "momentum"),
    [
        (FIGURE_1, 0.0, 0.0),
        (FIGURE_1, 0.02, 0.0),
        (FIGURE_1, 0.02, 0.8),
        (ms.generators.random_problem((1, 1, 1), seed=1), 0.0, 0.0),
        (ms.generators.random_problem((4, 2), seed=2), 0.02, 0.0),
        (ms.generators.random_problem((4, 2), seed=2), 0.02, 0.8),
    ],
    ids=["K=2", "decay", "momentum", "K=3", "d=4,2", "d=4,2-momentum"],
)
def test_every_rule_agrees_with_simulate(
    problem: ms.LateFusionProblem, weight_decay: float, momentum: float
) -> None:
    """Over learning from a small start to the end; all but the last two in generated loops."""
    settings: dict[str, Any] = {
        "step_size": 0.02,
        "steps": 700,
        "init_scale": 0.05,
        "width": 20,
        "weight_decay": weight_decay,
        "momentum": momentum,
    }
    runs = simulate_ensemble(problem, METHODS, seed=range(len(METHODS)), **settings)
    for i, method in enumerate(METHODS):
        run = ms.simulate(problem, method, seed=i, **settings)
        assert run.loss_mm[-1] < 0.9 * run.loss_mm[0]
        assert_agrees(runs.isel(run=i), run)
    assert (runs.final_step == 700).all()
    assert (runs.status == 0).all()


@pytest.mark.usefixtures("one_by_one")
@given(st.data())
def test_any_sizes_agree_with_simulate(data: st.DataObject) -> None:
    problem = data.draw(problems(num_modalities=st.integers(1, 3), dims=st.integers(1, 4)))
    method = data.draw(methods(num_modalities=problem.num_modalities))
    settings: dict[str, Any] = {
        "width": data.draw(st.sampled_from((2, 1, 12, math.inf))),
        "init_scale": 0.4,
        "weight_decay": data.draw(st.sampled_from((0.0, 0.5))),
        "momentum": data.draw(st.sampled_from((0.0, 0.9))),
        "steps": data.draw(st.sampled_from((1, 63, 150))),
    }
    runs = simulate_ensemble(
        problem, method, seed=5, record_every=data.draw(st.sampled_from((1, 7, 100))), **settings
    )
    run = ms.simulate(problem, method, seed=5, **settings)
    assert float(runs.step_size[0]) == run.attrs["step_size"]
    assert_agrees(runs.isel(run=0), run)
    for name in LAST:
        recorded = run[name].sel(step=runs.step).values
        assert (np.isnan(runs[f"path_{name}"].values[0]) == np.isnan(recorded)).all()
        np.testing.assert_allclose(runs[f"path_{name}"].values[0], recorded, rtol=1e-9, atol=1e-12)


def test_half_times_are_exact_where_phases_are_long() -> None:
    """Tiny initial weights, two phases, every order, norms that fall after their peak (rho > 0)."""
    members = [
        (ms.generators.scalar_pair(r, rho), method)
        for r in (1.0, 2.0, 3.0)
        for rho in (-0.8, 0.0, 0.7)
        for method in METHODS[:4:2]
    ]
    settings: dict[str, Any] = {"step_size": 0.01, "steps": 6000, "init_scale": 1e-7}
    runs = simulate_ensemble(
        [problem for problem, _ in members],
        [method for _, method in members],
        seed=range(len(members)),
        **settings,
    )
    for i, (problem, method) in enumerate(members):
        np.testing.assert_array_equal(
            runs.half_time[i], half_times(ms.simulate(problem, method, seed=i, **settings))
        )
    assert (runs.half_time.max("modality") / runs.half_time.min("modality")).max() > 5


def test_random_weights_are_drawn_block_by_block() -> None:
    problem = ms.generators.random_problem((3, 2), output_dim=2, seed=0)
    rng = np.random.default_rng(11)
    for (v, u, w), d in zip(random_weights(problem, 7, 0.3, 11), (3, 2), strict=True):
        for block, shape in ((v, (2, 7)), (u, (2, 7)), (w, (7, d))):
            assert block.tobytes() == (0.3 / math.sqrt(7) * rng.standard_normal(shape)).tobytes()


def test_default_step_sizes_are_those_of_simulate() -> None:
    runs = simulate_ensemble(FIGURE_1, METHODS, steps=1, init_scale=0.5, seed=range(7), width=3)
    for i, method in enumerate(METHODS):
        assert (
            float(runs.step_size[i])
            == ms.simulate(FIGURE_1, method, steps=1, init_scale=0.5, seed=i, width=3).attrs[
                "step_size"
            ]
        )


def test_flips_are_counted_as_in_simulate() -> None:
    settings: dict[str, Any] = {"step_size": 0.01, "steps": 300, "init_scale": 0.1}
    method = ms.MIMO(lam=10.0, mu=1e-3)
    with pytest.warns(ms.ChatteringWarning, match=r"\((\d+) times") as caught:
        ms.simulate(FIGURE_1, method, **settings)
    said = int(str(caught[0].message).split("(")[1].split(" ")[0])
    assert said > 20
    found = int(simulate_ensemble(FIGURE_1, method, **settings).flips[0])
    # Chattering amplifies round-off, so the two part after some tens of steps.
    assert abs(found - said) <= 0.05 * said
    short = simulate_ensemble(FIGURE_1, [ms.MIMO(lam=2.0, mu=0.25), method], **settings).flips
    assert short.values.tolist() == [0, found]


# ------------------------ bits


def mixed(n: int) -> tuple[list[ms.LateFusionProblem], list[Solver]]:
    """Shapes in turn, all methods, so that neighbours differ."""
    kinds = [
        FIGURE_1,
        ms.generators.scalar_pair(1.5, -0.6),
        ms.generators.random_problem((1, 1, 1), seed=1),
        ms.generators.random_problem((6, 5), seed=3),
    ]
    return [kinds[i % 4] for i in range(n)], [METHODS[i % 7] for i in range(n)]


def test_bits_do_not_depend_on_batch_order_or_threads() -> None:
    n = 90
    cases, rules = mixed(n)
    scale, eta = np.geomspace(1e-4, 0.3, n), np.linspace(0.005, 0.02, n)
    settings: dict[str, Any] = {"steps": 333, "tolerance": 1e-3, "record_every": 50}
    whole = simulate_ensemble(
        cases, rules, init_scale=scale, step_size=eta, seed=range(n), threads=1, **settings
    )
    order = np.random.default_rng(0).permutation(n)
    mixed_up = simulate_ensemble(
        [cases[i] for i in order],
        [rules[i] for i in order],
        init_scale=scale[order],
        step_size=eta[order],
        seed=order,
        threads=3,
        **settings,
    )
    assert_same_bytes(whole.isel(run=order), mixed_up)
    for i in (0, 1, 2, 3, n - 1):
        alone = simulate_ensemble(
            cases[i], rules[i], init_scale=scale[i], step_size=eta[i], seed=i, **settings
        )
        for name in alone.data_vars:
            mine = whole[name].isel(run=[i])
            if "modality" in mine.dims:
                mine = mine.isel(modality=slice(cases[i].num_modalities))
            if "component" in mine.dims:
                mine = mine.isel(component=slice(max(cases[i].dims)))
            assert (
                np.ascontiguousarray(mine).tobytes() == np.ascontiguousarray(alone[name]).tobytes()
            ), name


def test_small_groups_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cases, rules = mixed(40)
    settings: dict[str, Any] = {
        "steps": 100,
        "init_scale": 0.1,
        "step_size": 0.02,
        "seed": range(40),
    }
    whole = simulate_ensemble(cases, rules, **settings)
    monkeypatch.setattr(driver, "MEMORY", {"batch": 1})  # one run at a time
    monkeypatch.setattr(runs, "KEPT_STARTS", 3)
    assert_same_bytes(whole, simulate_ensemble(cases, rules, **settings))
