"""Ensembles and sweeps whose runs see mini-batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import mimo_sim as ms
from mimo_sim.dynamics.batches import draw
from mimo_sim.dynamics.ensemble.driver import simulate_ensemble
from mimo_sim.dynamics.ensemble.on_batches import Trained
from mimo_sim.solvers import AnySolver
from tests.dynamics.ensembles import FIGURE_1, assert_same_bytes, half_times

PAIR = draw(ms.generators.scalar_pair(2.0, 0.3, noise_variance=0.1), 60, 12, seed=3)
THREE = draw(ms.generators.random_problem((2, 1, 1), output_dim=2, seed=2), 40, 8, replace=True)
WHOLE = draw(ms.generators.scalar_pair(2.0, 0.3, noise_variance=0.1), 60, 60, seed=3)
SETTINGS: dict[str, Any] = {"step_size": 0.05, "steps": 130, "init_scale": 0.05}
EXACT = ("half_time", "plateau_step", "flips", "final_step", "diverged_at", "status")


def test_runs_are_those_of_simulate_bit_by_bit() -> None:
    """Different data, methods, momentum and decay in one call; two threads."""
    methods: list[AnySolver] = [
        ms.MIMO(2.0, 0.25),
        ms.MIMO(2.0, 0.25, f_star="running_minimum"),
        ms.MGDA(),
    ]
    members = [(batches, method) for _, batches in (PAIR, THREE) for method in methods]
    momentum, decay = [0.0, 0.5, 0.0] * 2, [0.0, 0.9, 0.0] * 2
    runs = simulate_ensemble(
        [batches.problem for batches, _ in members if batches],
        [method for _, method in members],
        batches=[batches for batches, _ in members if batches],
        momentum=momentum,
        decay=decay,
        seed=range(6),
        threads=2,
        record_every=50,
        **SETTINGS,
    )
    assert runs.step.values.tolist() == [0, 50, 100, 130]
    for i, (batches, method) in enumerate(members):
        assert batches is not None
        run = ms.simulate(
            batches.problem,
            method,
            batches=batches,
            momentum=momentum[i],
            decay=decay[i],
            seed=i,
            record_maps=True,
            **SETTINGS,
        )
        K = run.sizes["modality"]
        for name in ("loss_mm", "objective", "loss_uni", "gap", "sigma", "weight_uni"):
            last, path = run[name].values[-1], run[name].sel(step=runs.step).values
            mine, mine_path = runs[name].values[i], runs[f"path_{name}"].values[i]
            if run[name].ndim > 1:
                mine, mine_path = mine[:K], mine_path[:, :K]
            np.testing.assert_array_equal(mine, last, err_msg=name)
            np.testing.assert_array_equal(mine_path, path, err_msg=name)
        assert runs.worst_gap[i] == run.gap[-1].max()
        np.testing.assert_array_equal(runs.half_time[i, :K], half_times(run))
        middle = int(runs.plateau_step[i])
        assert middle == np.sort(half_times(run))[:2].sum() // 2
        for k, d in enumerate(batches.problem.dims):
            there = run.joint_map.values[middle][:, batches.problem.features(k)]
            np.testing.assert_array_equal(
                runs.plateau_map[i, : batches.problem.output_dim, k, :d], there
            )


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("method", [ms.Vanilla(), ms.MIMO(2.0, 0.25), ms.OGM()], ids=repr)
def test_a_batch_of_all_samples_gives_what_the_generated_step_gives(
    method: AnySolver, momentum: float
) -> None:
    """Every measure, also those that are seen on the way."""
    problem, batches = WHOLE
    settings = SETTINGS | {"step_size": 0.04 * (1 - momentum), "momentum": momentum}
    settings |= {"record_every": 60, "seed": 1}
    exact = simulate_ensemble(problem, method, **settings)
    batched = simulate_ensemble(problem, method, batches=batches, **settings)
    assert exact.data_vars.keys() == batched.data_vars.keys()
    assert exact.drift > 1e-6
    for name in exact.data_vars:
        if name in EXACT:
            np.testing.assert_array_equal(batched[name], exact[name], err_msg=str(name))
        else:
            np.testing.assert_allclose(
                batched[name], exact[name], rtol=1e-8, atol=1e-11, err_msg=str(name)
            )


def test_flips_are_swings_back_of_more_than_a_tenth() -> None:
    sigma = np.array([0.2, 0.5, 0.2, 0.25, 0.6, 0.52, 0.9])
    path = xr.Dataset({"sigma": (("step", "modality"), np.stack([sigma, 1 - sigma], axis=1))})
    assert Trained(path, None, 6).flips() == 2  # both weights, at 0.5


def test_a_run_that_diverges_ends_alone() -> None:
    problem, batches = PAIR
    runs = simulate_ensemble(
        problem,
        ms.MIMO(2.0, 0.25),
        batches=batches,
        record_every=1,
        **SETTINGS | {"step_size": [0.05, 6.0, 0.05]},
    )
    assert runs.status.values.tolist() == [0, 2, 0]
    end = int(runs.diverged_at[1])
    assert 0 < end == runs.final_step[1] < 130
    assert np.isnan(runs.half_time[1]).all()
    assert np.isfinite(runs.path_loss_mm[1, :end]).all()
    assert np.isnan(runs.path_loss_mm[1, end:]).all()
    assert runs.loss_mm[1] == runs.path_loss_mm[1, end - 1]
    alone = simulate_ensemble(
        problem, ms.MIMO(2.0, 0.25), batches=batches, record_every=1, **SETTINGS
    )
    for i in (0, 2):
        assert_same_bytes(runs.isel(run=[i]), alone)


def test_a_run_that_diverges_at_once_has_no_values() -> None:
    problem, batches = PAIR
    runs = simulate_ensemble(
        problem, ms.Vanilla(), batches=batches, **SETTINGS | {"init_scale": 1e6}
    )
    assert (runs.status, runs.diverged_at, runs.final_step) == (2, 0, 0)
    assert np.isnan(runs.loss_mm).all()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"tolerance": 1e-3}, ValueError, "`tolerance` must be None with `batches`"),
        ({"engine": "cuda"}, ValueError, "`engine` must be 'batch'"),
        ({"step_size": None}, ValueError, "`step_size` must be given with `batches`"),
        ({"problems": FIGURE_1}, ValueError, "`problem` must be `batches.problem`"),
        ({"batches": 3}, TypeError, "`batches` must be mimo_sim.Batches"),
        ({"batches": None, "decay": 0.5}, ValueError, "it needs `batches`"),
        ({"decay": 1.0}, ValueError, r"`decay` must be in \[0, 1\)"),
        ({"decay": [0.5, 0.5], "methods": [ms.Vanilla(), ms.MIMO()]}, ValueError, "a MIMO"),
        ({"momentum": 1.0}, ValueError, r"`momentum` must be in \[0, 1\)"),
    ],
)
def test_bad_batches_are_refused(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    problem, batches = PAIR
    given: dict[str, Any] = {"problems": problem, "methods": ms.MIMO(), "batches": batches}
    with pytest.raises(error, match=message):
        simulate_ensemble(**given | SETTINGS | changes)


# ------------------------ sweeps


def test_a_sweep_draws_samples_and_batches(tmp_path: Path) -> None:
    axes: dict[str, Any] = {
        "train_size": [30, 60],
        "batch_size": [5, 30],
        "rho": [0.0, 0.4],
        "decay": 0.8,
    }
    axes |= {"method": ["mimo", "vanilla"], "batch_seed": 7, "sigma_ratio": 2.0}
    settings: dict[str, Any] = {"step_size": 0.005, "steps": 40, "init_scale": 0.1, "momentum": 0.3}
    data = ms.sweep("scalar-pair", axes, out=tmp_path / "sgd.nc", chunk=3, **settings)
    assert data.loss_mm.dims == ("train_size", "batch_size", "rho", "method", "seed")
    for size, batch_size, rho, name in (
        (30, 30, 0.4, "mimo"),
        (60, 5, 0.0, "mimo"),
        (60, 5, 0.4, "vanilla"),
    ):
        problem, batches = draw(ms.generators.scalar_pair(2.0, rho), size, batch_size, seed=7)
        method: AnySolver = ms.MIMO() if name == "mimo" else ms.Vanilla()
        decay = 0.8 if name == "mimo" else 0.0
        run = ms.simulate(problem, method, batches=batches, decay=decay, **settings)
        place = data.method.values.tolist().index(name)
        found = data.sel(train_size=size, batch_size=batch_size, rho=rho, seed=0).isel(method=place)
        assert found.loss_mm == run.loss_mm[-1]


def test_a_sweep_over_samples_without_batches() -> None:
    axes: dict[str, Any] = {"train_size": [20, 50], "sigma_ratio": 2.0, "rho": 0.0}
    data = ms.sweep("scalar-pair", axes, steps=40, step_size=0.005)
    for size in (20, 50):
        problem, batches = draw(ms.generators.scalar_pair(2.0, 0.0), size)
        assert batches is None
        alone = simulate_ensemble(problem, ms.MIMO(), steps=40, step_size=0.005)
        assert data.loss_mm.sel(train_size=size, seed=0) == alone.loss_mm[0]


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"batch_size": [2, 4]}, "Axis 'batch_size' needs 'train_size' too"),
        ({"train_size": 20, "decay": [0.0, 0.5]}, "Axis 'decay' needs 'batch_size' too"),
        ({"train_size": 20, "replace": True}, "Axis 'replace' needs 'batch_size' too"),
        ({"train_size": 20, "batch_size": [5, 40]}, "`batch_size` must be <= 20"),
        ({"train_size": [0, 20]}, "must be >= 1"),
    ],
)
def test_a_sweep_refuses_bad_data(axes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ms.sweep("scalar-pair", axes, steps=10, step_size=0.05)
