"""The engine in the page against `ms.simulate`."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import xarray as xr

import mimo_sim as ms
from tests.explorer import v8

NAMES = {
    "excess_mm": "lossMm",
    "excess_uni": "excessUni",
    "loss_uni": "lossUni",
    "encoder_norm": "encoderNorm",
    "head_norm": "headNorm",
    "uni_head_norm": "uniHeadNorm",
    "gap": "gap",
    "sigma": "sigma",
}


def simulated(settings: dict[str, Any], every: int) -> tuple[xr.Dataset, int, bool]:
    """The run in Python, its step of divergence or -1, and whether it warned of chattering."""
    diverged_at = -1
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            run = ms.simulate(
                v8.problem(settings),
                v8.solver(settings),
                step_size=settings["eta"],
                steps=settings["steps"],
                init_scale=settings["scale"],
                width=float("inf"),
                record_every=every,
            )
        except ms.DivergenceError as error:
            run, diverged_at = error.trajectory, error.step
    return run, diverged_at, any(issubclass(w.category, ms.ChatteringWarning) for w in caught)


def largest_error(page: dict[str, Any], run: xr.Dataset, before: float) -> dict[str, float]:
    """For each variable the largest difference before this step, over its largest value.

    A gap is a difference of losses, so it is judged by the size of the losses.
    """
    rows = run.step.values < before
    errors = {}
    for name, other in NAMES.items():
        here, there = v8.numbers(page[other]).T[rows], run[name].values[rows]
        if rows.any() and not np.isnan(there).all():
            size = run["loss_uni" if name == "gap" else name].values[rows]
            errors[name] = float(np.max(np.abs(here - there)) / np.max(np.abs(size)))
    return errors


def compared(settings: dict[str, Any]) -> tuple[dict[str, Any], xr.Dataset, bool]:
    """The run of the page and that of Python, after a look at steps, ends and half-times."""
    every = -(-settings["steps"] // 50)
    page = v8.call("trained", settings, every)
    run, diverged_at, warned = simulated(settings, every)
    assert page["divergedAt"] == diverged_at
    np.testing.assert_array_equal(v8.numbers(page["step"]), run.step)
    if diverged_at < 0:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            np.testing.assert_array_equal(v8.numbers(page["halfTimes"]), ms.half_times(run))
        assert page["moving"] == bool(caught)
    return page, run, warned


def test_200_random_settings_give_the_numbers_of_simulate() -> None:
    # Steps of at most 1/L. With them the objective falls and nothing chatters, so a rounding
    # error does not grow; the tolerance leaves room for its growth while an encoder emerges.
    rng = np.random.default_rng(1)
    compared_names = set()
    for settings in v8.random_settings(200, seed=0):
        default = ms.theory.default_step_size(v8.problem(settings), v8.solver(settings))
        settings["eta"] = default * float(rng.uniform(0.3, 2.0))
        settings["steps"] = int(np.clip(40 / settings["eta"], 100, 12_000))
        page, run, warned = compared(settings)
        assert not warned
        assert v8.numbers(page["flips"]).max() == 0
        for name, error in largest_error(page, run, np.inf).items():
            assert error < 1e-9, (name, error, settings)
            compared_names.add(name)
    assert compared_names == set(NAMES)


@pytest.mark.parametrize("mu", [0.0005, 0.001, 0.02])
def test_chattering_is_told_and_the_runs_agree_up_to_the_first_flip(mu: float) -> None:
    settings = v8.FIGURE_1 | {"lam": 30.0, "mu": mu, "steps": 3000}
    page, run, warned = compared(settings)
    assert warned == page["chatters"]
    assert warned == (mu < 0.02)
    first = float(page["firstFlip"]) if warned else np.inf
    assert first > 0
    assert max(largest_error(page, run, first).values()) < 1e-9


@pytest.mark.parametrize("eta", [9.7e-4, 3e-3])
def test_divergence_is_met_at_the_same_step(eta: float) -> None:
    page, _, _ = compared(v8.FIGURE_1 | {"lam": 1000.0, "eta": eta, "steps": 500})
    assert page["divergedAt"] > 0


def test_joint_training_in_the_page_is_vanilla_with_watching_heads() -> None:
    joint, mimo = v8.call("bothRuns", v8.FIGURE_1)
    run, _, _ = simulated(v8.FIGURE_1 | {"vanilla": True, "heads": "plain"}, joint["every"])
    assert max(largest_error(joint, run, np.inf).values()) < 1e-9
    run, _, _ = simulated(v8.FIGURE_1, mimo["every"])
    assert max(largest_error(mimo, run, np.inf).values()) < 1e-9
