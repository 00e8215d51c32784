"""Every run of a sweep is where its labels say."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim.dynamics.ensemble.driver import simulate_ensemble
from mimo_sim.generators import random_problem, scalar_pair
from mimo_sim.sweeps import sweep

AXES: dict[str, st.SearchStrategy[list[Any]]] = {
    "sigma_ratio": st.lists(st.floats(1.1, 3), min_size=1, max_size=2, unique=True),
    "rho": st.lists(st.floats(-0.8, 0.8), min_size=1, max_size=3, unique=True),
    "lam": st.lists(st.floats(0, 5), min_size=1, max_size=2, unique=True),
    "heads": st.permutations(["gradient", "plain"]),
    "init_scale": st.lists(st.floats(1e-3, 0.3), min_size=1, max_size=2, unique=True),
    "width": st.permutations([7, 100]),
}


@settings(max_examples=12)
@given(st.data())
def test_every_run_is_where_its_labels_say(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(list(AXES)), unique=True, max_size=3))
    axes = {name: data.draw(AXES[name]) for name in names}
    seeds = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=2, unique=True))
    result = sweep(
        "scalar-pair",
        axes,
        seeds=seeds,
        steps=3,
        step_size=0.01,
        chunk=data.draw(st.integers(1, 9)),
    )
    assert result.loss_mm.dims == (*names, "seed")
    assert result.encoder_norm.dims == (*names, "seed", "modality")
    for place in itertools.product(*map(range, result.loss_mm.shape)):
        found = result.isel(dict(zip(result.loss_mm.dims, place, strict=True)))
        point = {name: axes[name][i] for name, i in zip(names, place, strict=False)}
        assert all(
            str(found[name].item()) == str(value) or found[name].item() == value
            for name, value in point.items()
        )
        problem = scalar_pair(
            **{name: point[name] for name in ("sigma_ratio", "rho") if name in point}
        )
        method = ms.MIMO(**{name: point[name] for name in ("lam", "heads") if name in point})
        own: dict[str, Any] = {
            name: point[name] for name in ("init_scale", "width") if name in point
        }
        alone = simulate_ensemble(
            problem, method, steps=3, step_size=0.01, seed=seeds[place[-1]], **own
        ).isel(run=0)
        for name in ("loss_mm", "objective", "encoder_norm", "gap", "sigma", "status"):
            np.testing.assert_array_equal(found[name].values, alone[name].values, err_msg=name)


def test_it_measures_what_simulate_measures() -> None:
    result = sweep(
        "scalar-pair",
        {"rho": [0.0, 0.5]},
        method="vanilla",
        steps=3000,
        step_size=5e-3,
        init_scale=1e-4,
        seeds=2,
    )
    for rho, seed in itertools.product((0.0, 0.5), (0, 1)):
        run = ms.simulate(
            scalar_pair(rho=rho),
            ms.Vanilla(),
            steps=3000,
            step_size=5e-3,
            init_scale=1e-4,
            seed=seed,
        )
        assert (
            result.half_time.sel(rho=rho, seed=seed).values.tolist()
            == ms.half_times(run).values.tolist()
        )


def test_methods_are_an_axis_and_a_single_value_is_none() -> None:
    axes = {"method": ["vanilla", "mimo", ms.MIMO(lam=1.0)], "rho": 0.25}
    result = sweep(
        "scalar-pair", axes, method=ms.MIMO(lam=3.0), steps=40, step_size=0.01, init_scale=0.3
    )
    assert result.method.values.tolist() == ["vanilla", "mimo", repr(ms.MIMO(lam=1.0))]
    methods: list[ms.solvers.Solver] = [
        ms.Vanilla(),
        ms.MIMO(lam=3.0),
        ms.MIMO(lam=1.0),
    ]  # "mimo" is the one that was given
    expected = simulate_ensemble(
        scalar_pair(rho=0.25), methods, steps=40, step_size=0.01, init_scale=0.3
    )
    assert result.objective.dims == ("method", "seed")
    np.testing.assert_array_equal(result.objective.values[:, 0], expected.objective.values)
    assert len(set(result.objective.values.ravel())) == 3


def test_problems_come_from_functions_and_from_themselves() -> None:
    make = partial(random_problem, dims=(1, 2))
    result = sweep(make, {"problem_seed": [4, 7], "noise_variance": 0.5}, steps=5, step_size=1e-3)
    for seed in (4, 7):
        problem = random_problem((1, 2), seed, noise_variance=0.5)
        expected = simulate_ensemble(problem, ms.MIMO(), steps=5, step_size=1e-3).loss_mm.item()
        assert result.loss_mm.sel(problem_seed=seed).item() == expected
        assert sweep(problem, {}, steps=5, step_size=1e-3).loss_mm.item() == expected
    sizes = sweep(make, {"dims": [(1, 1), (1, 2)]}, steps=5, step_size=1e-3, chunk=1)
    assert sizes["dims"].values.tolist() == ["(1, 1)", "(1, 2)"]
    for size in ((1, 1), (1, 2)):
        alone = simulate_ensemble(random_problem(size), ms.MIMO(), steps=5, step_size=1e-3)
        np.testing.assert_array_equal(
            sizes.encoder_norm.sel(dims=str(size)).values, alone.encoder_norm.values
        )


def test_the_default_step_size_is_each_runs_own() -> None:
    result = sweep("scalar-pair", {"lam": [1.0, 10.0]}, steps=5, init_scale=1e-2)
    assert result.step_size.dims == ("lam", "seed")
    for lam in (1.0, 10.0):
        run = ms.simulate(scalar_pair(), ms.MIMO(lam=lam), steps=5, init_scale=1e-2)
        assert result.step_size.sel(lam=lam).item() == run.attrs["step_size"]


def drawn(samples: int = 300, **more: Any) -> xr.Dataset:
    axes = {
        "rho": (-0.5, 0.5),
        "lam": ("log", 1e-2, 1e2),
        "width": ("int", 3, 5),
        "method": ["vanilla", "mimo"],
    } | more
    return sweep("scalar-pair", axes, samples=samples, steps=1, step_size=1e-3)


def test_draws_follow_their_laws_and_pair_the_other_axes() -> None:
    data = drawn()
    assert data.loss_mm.dims == ("sample", "method", "seed")
    error = 4 / np.sqrt(300)  # four standard errors of a mean, in standard deviations
    for values, low, high in ((data.rho, -0.5, 0.5), (np.log(data.lam), np.log(1e-2), np.log(1e2))):
        assert low <= values.min() < values.max() <= high
        assert abs(float(values.mean()) - (low + high) / 2) < error * (high - low) / np.sqrt(12)
        assert float(values.std()) == pytest.approx((high - low) / np.sqrt(12), rel=error)
    assert np.unique(data.width).tolist() == [
        3,
        4,
        5,
    ]  # not below 3: fewer columns would be compiled for
    assert abs(np.corrcoef(data.rho, np.log(data.lam))[0, 1]) < error


def test_draws_depend_on_name_law_and_seed_alone() -> None:
    data, longer, wider = drawn(5), drawn(8), drawn(5, sigma_ratio=(1.0, 2.0))
    for name in ("rho", "lam", "width"):
        assert (
            data[name].values.tolist()
            == longer[name].values[:5].tolist()
            == wider[name].values.tolist()
        )
    other = sweep(
        "scalar-pair", {"rho": (-0.5, 0.5)}, samples=5, design_seed=1, steps=1, step_size=1e-3
    )
    assert not set(other.rho.values) & set(data.rho.values)
