"""How the runs of an ensemble end, and what is measured on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import mimo_sim as ms
from mimo_sim.dynamics.ensemble import cpu, step
from mimo_sim.dynamics.ensemble.driver import simulate_ensemble
from mimo_sim.solvers import Solver
from tests.dynamics.ensembles import FIGURE_1, METHODS, assert_same_bytes, half_times

pytestmark = pytest.mark.usefixtures("dynamic_sizes")  # of the single-run engine


def test_a_diverged_run_says_when_and_disturbs_nobody() -> None:
    steps = np.array([0.01, 0.9, 0.01, 3.0])
    settings: dict[str, Any] = {"steps": 400, "init_scale": 0.1, "seed": 3, "record_every": 1}
    runs = simulate_ensemble(FIGURE_1, METHODS[2], step_size=steps, **settings)
    assert runs.status.values.tolist() == [0, 2, 0, 2]
    assert runs.status.attrs["flag_meanings"].split() == ["budget", "converged", "diverged"]
    for i in (1, 3):
        with pytest.raises(ms.DivergenceError) as caught:
            ms.simulate(FIGURE_1, METHODS[2], step_size=float(steps[i]), **settings)
        assert int(runs.diverged_at[i]) == int(runs.final_step[i]) == caught.value.step
        assert runs.half_time[i].isnull().all()
        assert np.isnan(runs.path_loss_mm[i]).values.tolist() == [
            t >= caught.value.step for t in range(401)
        ]
    assert_same_bytes(runs.isel(run=[0]), runs.isel(run=[2]))
    assert_same_bytes(
        runs.isel(run=[0]), simulate_ensemble(FIGURE_1, METHODS[2], step_size=0.01, **settings)
    )
    assert (runs.diverged_at[::2] == -1).all()
    loops: list[Any] = [cpu.advance(step.Shape(2, 1, 1, 3, False)), cpu._view]
    # A table in another memory order would be compiled for again, for seconds.
    assert [len(loop.signatures) for loop in loops] == [1, 1]


@pytest.mark.parametrize("dims", [(2, 2), (1, 1, 1, 1)])
def test_the_step_is_written_out_for_small_problems(dims: tuple[int, ...]) -> None:
    assert step.Shape(len(dims), 1, max(dims), 2 + max(dims), False).generated


@pytest.mark.parametrize(
    "shape",
    [
        step.Shape(2, 1, 4, 6, False),
        step.Shape(3, 2, 5, 1, False),
        step.Shape(4, 3, 4, 1, False),
    ],
    ids=repr,
)
def test_large_problems_are_not_written_out_however_narrow_the_network(shape: step.Shape) -> None:
    """The second and third take half a minute to compile."""
    assert not shape.generated


def test_divergence_at_the_very_last_step_is_seen() -> None:
    settings: dict[str, Any] = {"step_size": 0.9, "init_scale": 0.1, "seed": 3}
    at = int(simulate_ensemble(FIGURE_1, METHODS[2], steps=400, **settings).diverged_at[0])
    for steps, expected in ((at, at), (at - 1, -1)):
        assert (
            int(simulate_ensemble(FIGURE_1, METHODS[2], steps=steps, **settings).diverged_at[0])
            == expected
        )


@pytest.mark.parametrize("method", [METHODS[0], METHODS[2]], ids=repr)
def test_converged_runs_stop_early_with_the_same_half_times(method: Solver) -> None:
    """Not on the plateau between the phases, where f_mm stands still for thousands of steps."""
    cases = [ms.generators.scalar_pair(3.0, rho) for rho in (-0.5, 0.0, 0.5)]
    settings: dict[str, Any] = {
        "step_size": 0.01,
        "steps": 20_000,
        "init_scale": 1e-9,
        "seed": [0, 1, 2],
    }
    stopped = simulate_ensemble(cases, method, tolerance=1e-6, record_every=1000, **settings)
    whole = simulate_ensemble(cases, method, **settings)
    assert (stopped.status == 1).all()
    assert (stopped.final_step < 20_000).all()
    assert (whole.status == 0).all()
    xr.testing.assert_equal(stopped.half_time, whole.half_time)
    xr.testing.assert_equal(stopped.plateau_step, whole.plateau_step)
    np.testing.assert_allclose(stopped.encoder_norm, whole.encoder_norm, rtol=1e-5)
    assert (stopped.excess_mm < 1e-10 * stopped.path_excess_mm[:, 0]).all()
    assert (stopped.drift < 0.01).all()  # over the last tenth of a run that has just converged
    for i in range(3):
        assert np.isnan(stopped.path_loss_mm[i]).values.tolist() == [
            t > stopped.final_step[i] for t in stopped.step
        ]


def test_unconverged_runs_drift() -> None:
    runs = simulate_ensemble(FIGURE_1, ms.Vanilla(), step_size=0.01, steps=150, init_scale=1e-2)
    assert runs.drift[0] > 0.05
    assert (
        simulate_ensemble(
            FIGURE_1, ms.Vanilla(), step_size=0.01, steps=4000, init_scale=1e-2
        ).drift[0]
        < 1e-3
    )


@pytest.mark.parametrize("rho", [-0.5, 0.3, 0.7])
def test_the_plateau_shows_what_the_first_modality_is_wrongly_credited_with(rho: float) -> None:
    problem = ms.generators.scalar_pair(2.0, rho)
    runs = simulate_ensemble(problem, ms.Vanilla(), step_size=0.01, steps=15_000, init_scale=1e-9)
    first, second = runs.half_time.values[0]
    assert runs.plateau_step[0] == (first + second) // 2
    credited = runs.plateau_map.values[0, :, 0] - problem.joint_map[:, :1]
    # The other one is at e^-10 of its weight, squared.
    np.testing.assert_allclose(credited, ms.theory.misattribution(problem), atol=1e-5)
    run = ms.simulate(
        problem,
        ms.Vanilla(),
        step_size=0.01,
        steps=int(runs.plateau_step[0]),
        init_scale=1e-9,
        record_maps=True,
        record_every=1000,
    )
    np.testing.assert_allclose(
        runs.plateau_map.values[0].reshape(1, 2), run.joint_map[-1], rtol=1e-9
    )


def test_a_modality_with_nothing_to_learn_has_no_half_time_and_underflows_quietly() -> None:
    problem = ms.LateFusionProblem([[1.0, 0.0], [0.0, 1.0]], [1.0, 0.0], 1.0)
    runs = simulate_ensemble(
        problem, ms.Vanilla(), step_size=0.5, steps=2500, init_scale=1e-3, weight_decay=0.5
    )
    assert np.isfinite(runs.half_time[0, 0])
    assert np.isnan(runs.half_time[0, 1])
    assert np.isnan(runs.plateau_step[0])
    # Single runs carry 0.75**2500 of 1e-3 down to subnormal numbers.
    assert runs.encoder_norm[0, 1] == 0.0
    settings: dict[str, Any] = {"step_size": 0.05, "steps": 6000, "init_scale": 1e-100}
    tiny = simulate_ensemble(FIGURE_1, ms.Vanilla(), **settings)
    np.testing.assert_array_equal(
        tiny.half_time[0], half_times(ms.simulate(FIGURE_1, ms.Vanilla(), **settings))
    )
