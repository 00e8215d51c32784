"""`simulate`: runs can be repeated, record what was asked for, and fail loudly."""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim.dynamics import driver
from mimo_sim.dynamics.start import random_weights
from mimo_sim.solvers import Solver
from tests.dynamics.comparisons import FIGURE_1, METHODS, assert_identical, distances

pytestmark = pytest.mark.usefixtures("dynamic_sizes")


# ------------------------ reproducibility and recording


@pytest.mark.parametrize("engine", ["gram", "autograd", "flow"])
def test_same_seed_same_bytes(engine: str) -> None:
    settings: dict[str, Any] = {
        "steps": 30,
        "step_size": 0.02,
        "init_scale": 0.1,
        "width": 7,
        "engine": engine,
    }
    runs = [
        ms.simulate(FIGURE_1, ms.MIMO(lam=2.0, mu=0.25), seed=seed, **settings)
        for seed in (0, 0, 1)
    ]
    assert_identical(runs[0], runs[1])
    # Another seed is another start, not a rounding error.
    assert distances(runs[0], runs[2])["encoder_norm"] > 1e-3


@pytest.mark.parametrize("engine", ["gram", "autograd", "flow"])
@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("given_start", [False, True])
def test_rerun_from_a_file_is_bit_identical(
    engine: str, method: Solver, given_start: bool, tmp_path: Path
) -> None:
    if engine == "flow" and method.f_star == "running_minimum":
        pytest.skip("the flow refuses running_minimum, which needs discrete steps")
    start = random_weights(FIGURE_1, 4, 0.2, seed=5) if given_start else None
    run = ms.simulate(
        FIGURE_1,
        method,
        engine=engine,
        initial=start,
        width=6,
        steps=23,
        record_every=5,
        init_scale=0.2,
        seed=3,
        weight_decay=0.1,
        record_maps=True,
    )
    ms.save(run, tmp_path / "run.nc")
    again = ms.rerun(ms.load(tmp_path / "run.nc"))
    assert_identical(run, again)
    assert set(again.attrs) == set(run.attrs)
    assert all(np.array_equal(again.attrs[name], run.attrs[name]) for name in run.attrs)


def test_rerun_with_changes() -> None:
    run = ms.simulate(FIGURE_1, ms.Vanilla(), steps=10, width=math.inf)
    changed = ms.rerun(run, steps=20, method=ms.MIMO(lam=1.0, mu=0.5))
    assert changed.sizes["step"] == 21
    assert changed.attrs["lam"] == 1.0
    assert math.isinf(changed.attrs["width"])
    with pytest.raises(TypeError):
        ms.rerun(run, unknown=1)


@given(st.integers(1, 40), st.integers(1, 50), st.sampled_from(["gram", "autograd", "flow"]))
def test_record_every_picks_rows_and_always_the_last(steps: int, every: int, engine: str) -> None:
    settings: dict[str, Any] = {
        "steps": steps,
        "step_size": 0.02,
        "init_scale": 0.1,
        "width": 5,
        "record_maps": True,
        "engine": engine,
    }
    method = ms.MIMO(lam=2.0, mu=0.25)
    full = ms.simulate(FIGURE_1, method, **settings)
    some = ms.simulate(FIGURE_1, method, record_every=every, **settings)
    expected = sorted({*range(0, steps + 1, every), steps})
    assert full.step.values.tolist() == list(range(steps + 1))
    assert some.step.values.tolist() == expected
    assert_identical(full.sel(step=expected), some)


def test_initial_sets_the_width_and_overrides_the_seed() -> None:
    start = random_weights(FIGURE_1, 4, 0.2, seed=5)
    runs = [
        ms.simulate(
            FIGURE_1, ms.Vanilla(), initial=start, steps=5, width=width, seed=seed, step_size=0.01
        )
        for width, seed in ((100, 0), (7, 1))
    ]
    assert_identical(*runs)
    assert [run.attrs["width"] for run in runs] == [4, 4]
    np.testing.assert_allclose(
        runs[0].encoder_norm[0], [np.linalg.norm(w) for _, _, w in start], rtol=1e-14
    )
    assert_identical(
        runs[0],
        ms.simulate(
            FIGURE_1, ms.Vanilla(), width=4, init_scale=0.2, seed=5, steps=5, step_size=0.01
        ),
    )


def test_simulate_leaves_its_arguments_alone() -> None:
    start = random_weights(FIGURE_1, 4, 0.2, seed=5)
    copies = [[block.copy() for block in triple] for triple in start]
    for engine in ("gram", "autograd", "flow"):
        ms.simulate(
            FIGURE_1,
            ms.MIMO(lam=2.0, mu=0.25),
            initial=start,
            steps=5,
            step_size=0.02,
            engine=engine,
        )
    assert all(
        (a == b).all()
        for mine, theirs in zip(start, copies, strict=True)
        for a, b in zip(mine, theirs, strict=True)
    )


# ------------------------ failing loudly


@pytest.mark.parametrize("engine", ["gram", "autograd"])
@pytest.mark.parametrize(
    "method",
    [ms.Vanilla(), ms.MIMO(lam=2.0, mu=0.25), ms.MIMO(lam=2.0, mu=0.25, heads="plain")],
    ids=repr,
)
@pytest.mark.parametrize("step_size", [1.0, 1e3, 1e200])
def test_divergence_carries_the_trajectory(engine: str, method: Solver, step_size: float) -> None:
    with pytest.raises(
        ms.DivergenceError, match=r"diverged at step \d+.*step_size=.*default_step_size"
    ) as caught:
        ms.simulate(
            FIGURE_1, method, step_size=step_size, steps=500, init_scale=0.3, width=8, engine=engine
        )
    error = caught.value
    assert f"at step {error.step}:" in str(error)
    assert error.trajectory.step.values.tolist() == list(range(error.step))
    for name in set(error.trajectory.data_vars) - (
        {"sigma"} if isinstance(method, ms.Vanilla) else set()
    ):
        assert np.isfinite(error.trajectory[name]).all(), name
    # Its attributes are complete too.
    assert ms.rerun(error.trajectory, steps=1, step_size=1e-3).sizes["step"] == 2


def test_both_engines_diverge_at_the_same_step() -> None:
    found = []
    for engine in ("gram", "autograd"):
        with pytest.raises(ms.DivergenceError) as caught:
            ms.simulate(
                FIGURE_1,
                ms.Vanilla(),
                step_size=1.0,
                steps=500,
                init_scale=0.3,
                width=8,
                engine=engine,
                record_every=2,
            )
        found.append((caught.value.step, caught.value.trajectory.sizes["step"]))
    assert found[0] == found[1]


@pytest.mark.parametrize("engine", ["gram", "autograd"])
def test_chattering_is_reported_above_and_not_below_the_threshold(engine: str) -> None:
    method = ms.MIMO(lam=10.0, mu=1e-3)
    limit = ms.theory.chattering_threshold(FIGURE_1, method.lam, method.mu)
    settings: dict[str, Any] = {"init_scale": 0.1, "engine": engine, "width": 10}
    with pytest.warns(ms.ChatteringWarning, match=r"sigma flips .*lower `step_size` or raise `mu`"):
        ms.simulate(FIGURE_1, method, step_size=4 * limit, steps=400, **settings)
    # A warning would be an error.
    run = ms.simulate(FIGURE_1, method, step_size=0.5 * limit, steps=1600, **settings)
    assert run.gap[-1].max() < 0.5 * run.gap[0].min()  # the gaps have met and fallen together


@pytest.mark.parametrize("engine", ["gram", "autograd"])
def test_the_warning_counts_the_flips_of_sigma(engine: str) -> None:
    method = ms.MIMO(lam=10.0, mu=1e-3)
    step_size = 4 * ms.theory.chattering_threshold(FIGURE_1, method.lam, method.mu)
    settings: dict[str, Any] = {"init_scale": 0.1, "engine": engine, "width": 10, "steps": 400}
    with pytest.warns(ms.ChatteringWarning) as caught:
        run = ms.simulate(FIGURE_1, method, step_size=step_size, **settings)
    change = np.diff(run.sigma.values, axis=0)
    back = (change[1:] * change[:-1] < 0) & (np.minimum(*np.abs([change[1:], change[:-1]])) > 0.1)
    first = int(np.argmax(back.any(axis=1))) + 2  # the step that turns a change round
    (told,) = re.findall(r"\((\d+) times, first at step (\d+)\)", str(caught[0].message))
    assert tuple(map(int, told)) == (back.sum(), first)


# ------------------------ refusals

BLOCKS = ([[0.1]], [[0.1]], [[0.1]])


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"problem": "figure1"}, TypeError, r"`problem` must be a LateFusionProblem. Got str"),
        ({"method": "mimo"}, TypeError, r"`method` must be .*Got 'mimo'"),
        ({"method": ms.MIMO}, TypeError, r"`method` must be"),
        ({"engine": "jax"}, ValueError, r"`engine` must be one of .*gram.*Got engine='jax'"),
        ({"engine": None}, ValueError, r"`engine` must be one of"),
        ({"steps": 0}, ValueError, r"`steps` must be >= 1. Got steps=0"),
        ({"steps": -3}, ValueError, r"`steps` must be >= 1"),
        ({"steps": 10.5}, TypeError, r"`steps` must be an integer. Got steps=10.5"),
        ({"steps": "10"}, TypeError, r"`steps` must be an integer"),
        ({"record_every": 0}, ValueError, r"`record_every` must be >= 1"),
        ({"record_every": 2.0}, TypeError, r"`record_every` must be an integer"),
        ({"seed": -1}, ValueError, r"`seed` must be >= 0"),
        ({"seed": 0.5}, TypeError, r"`seed` must be an integer"),
        ({"seed": None}, TypeError, r"`seed` must be an integer"),
        ({"width": 0}, ValueError, r"`width` must be >= 1"),
        ({"width": 10.0}, TypeError, r"`width` must be an integer"),
        ({"width": math.nan}, TypeError, r"`width` must be an integer"),
        ({"width": -math.inf}, TypeError, r"`width` must be an integer"),
        (
            {"width": math.inf, "engine": "autograd"},
            ValueError,
            r"`width` must be finite for engine='autograd'",
        ),
        ({"init_scale": 0.0}, ValueError, r"`init_scale` must be finite and > 0"),
        ({"init_scale": -1.0}, ValueError, r"`init_scale` must be finite and > 0"),
        ({"init_scale": math.nan}, ValueError, r"`init_scale` must be finite and > 0"),
        ({"init_scale": "tiny"}, TypeError, r"`init_scale` must be a number"),
        ({"step_size": 0.0}, ValueError, r"`step_size` must be finite and > 0"),
        ({"step_size": -0.1}, ValueError, r"`step_size` must be finite and > 0"),
        ({"step_size": math.inf}, ValueError, r"`step_size` must be finite and > 0"),
        ({"step_size": math.nan}, ValueError, r"`step_size` must be finite and > 0"),
        ({"step_size": "auto"}, TypeError, r"`step_size` must be a number"),
        ({"weight_decay": -0.1}, ValueError, r"`weight_decay` must be finite and >= 0"),
        ({"weight_decay": None}, TypeError, r"`weight_decay` must be a number"),
        ({"initial": 3}, TypeError, r"`initial` must"),
        ({"initial": [1, 2]}, TypeError, r"`initial` must"),
        (
            {"initial": [BLOCKS]},
            ValueError,
            r"`initial` must hold one \(V_k, U_k, W_k\) per modality \(2\)",
        ),
        ({"initial": [BLOCKS, BLOCKS[:2]]}, ValueError, r"`initial` must hold one"),
        (
            {"initial": [BLOCKS, ([[0.1, 0.1]], [[0.1]], [[0.1]])]},
            ValueError,
            r"`initial\[1\]` must be \(V_k, U_k, W_k\) of shapes",
        ),
        ({"initial": [(0.1, 0.1, 0.1), BLOCKS]}, ValueError, r"`initial\[0\]` must be"),
        (
            {"initial": [BLOCKS, ([[math.nan]], [[0.1]], [[0.1]])]},
            ValueError,
            r"`initial\[1\]\[0\]` must be finite",
        ),
        (
            {"initial": [BLOCKS, ([["a"]], [[0.1]], [[0.1]])]},
            TypeError,
            r"`initial\[1\]\[0\]` must be an array of numbers",
        ),
        (
            {"method": ms.MIMO(f_star=(0.1, 0.2, 0.3))},
            ValueError,
            r"`f_star` must hold one number per modality \(2\)",
        ),
        (
            {"method": ms.MIMO(f_star="running_minimum"), "engine": "flow"},
            ValueError,
            r"`f_star='running_minimum'` .*engine='flow'",
        ),
    ],
)
def test_refusals(changes: dict[str, Any], error: type[Exception], match: str) -> None:
    arguments: dict[str, Any] = {"problem": FIGURE_1, "method": ms.Vanilla(), "steps": 2} | changes
    with pytest.raises(error, match=match):
        ms.simulate(arguments.pop("problem"), arguments.pop("method"), **arguments)


@pytest.mark.parametrize("run", [3, xr.Dataset(), xr.Dataset(attrs={"method": "mimo"})])
def test_only_runs_of_simulate_are_run_again(run: Any) -> None:
    with pytest.raises(TypeError, match=r"`run` must be what `simulate` returned\. Got"):
        ms.rerun(run)


def test_only_weights_that_train_can_chatter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of joint training, and with lam = 0, sigma weighs nothing, however often it flips."""
    monkeypatch.setattr(driver, "MANY_FLIPS", 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ms.ChatteringWarning)
        for method in (ms.Vanilla(heads="plain"), ms.MIMO(lam=0.0)):
            ms.simulate(FIGURE_1, method, steps=3)
    with pytest.warns(ms.ChatteringWarning):
        ms.simulate(FIGURE_1, ms.MIMO(), steps=3)
