"""The labelled result: names and dims, files, and half-times on data whose answer is known."""

from __future__ import annotations

import math
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import mimo_sim as ms
from mimo_sim.solvers import Solver

pytestmark = pytest.mark.usefixtures("dynamic_sizes")

PROBLEM = ms.generators.superficial_preference()
NAMED = ms.LateFusionProblem(
    PROBLEM.sigma, PROBLEM.sigma_yx, PROBLEM.y_second_moment, names=("audio", "video")
)
CONTRACT = {
    "loss_mm": ("step",),
    "loss_uni": ("step", "modality"),
    "encoder_norm": ("step", "modality"),
    "sigma": ("step", "modality"),
    "weight_mm": ("step", "modality"),
    "weight_uni": ("step", "modality"),
    "objective": ("step",),
    "gap": ("step", "modality"),
    "excess_mm": ("step",),
    "excess_uni": ("step", "modality"),
    "head_norm": ("step", "modality"),
    "uni_head_norm": ("step", "modality"),
    "grad_norm_sq": ("step",),
}


def norms(*columns: Any, steps: Any = None) -> xr.Dataset:
    """A dataset with these squared encoder norms, one column per modality."""
    squared = np.array(columns, dtype=float).T
    steps = np.arange(len(squared)) if steps is None else np.asarray(steps)
    coords = {
        "step": steps,
        "time": ("step", 0.1 * steps),
        "modality": [f"m{k + 1}" for k in range(squared.shape[1])],
    }
    return xr.Dataset({"encoder_norm": (("step", "modality"), np.sqrt(squared))}, coords)


# ------------------------ the contract


@pytest.mark.parametrize("engine", ["gram", "autograd", "flow"])
@pytest.mark.parametrize("method", [ms.Vanilla(), ms.MIMO(lam=2.0, mu=0.25)], ids=repr)
def test_names_dims_and_attributes(engine: str, method: Solver) -> None:
    run = ms.simulate(
        NAMED,
        method,
        steps=7,
        record_every=3,
        step_size=0.01,
        engine=engine,
        width=5,
        init_scale=0.1,
        seed=2,
    )
    assert {name: run[name].dims for name in run.data_vars} == CONTRACT
    assert run.sizes == {"step": 4, "modality": 2}
    assert run.step.values.tolist() == [0, 3, 6, 7]
    np.testing.assert_allclose(run.time, [0, 0.03, 0.06, 0.07], rtol=1e-14)
    assert run.modality.values.tolist() == ["audio", "video"]
    assert all(run[name].dtype == np.float64 for name in run.data_vars)
    assert all(run[name].attrs["long_name"] for name in run.data_vars)
    assert run.sigma.isnull().all() == (method == ms.Vanilla())
    for name, value in {
        "engine": engine,
        "steps": 7,
        "record_every": 3,
        "step_size": 0.01,
        "width": 5,
        "init_scale": 0.1,
        "seed": 2,
    }.items():
        assert run.attrs[name] == value
    assert run.attrs["mimo_sim_version"] == ms.__version__
    assert ms.LateFusionProblem.from_json(run.attrs["problem"]) == NAMED


def test_default_names_and_recorded_maps() -> None:
    problem = ms.generators.random_problem(dims=(2, 1), seed=0, output_dim=3)
    run = ms.simulate(problem, ms.Vanilla(), steps=3, step_size=0.01, record_maps=True)
    assert run.modality.values.tolist() == ["m1", "m2"]
    for name in ("joint_map", "uni_map"):
        assert run[name].dims == ("step", "output", "feature")
        assert run[name].shape == (4, 3, 3)
    assert run.feature_modality.values.tolist() == ["m1", "m1", "m2"]
    assert "joint_map" not in ms.simulate(problem, ms.Vanilla(), steps=3, step_size=0.01)


def test_variables_are_consistent() -> None:
    run = ms.simulate(
        NAMED,
        ms.MIMO(lam=2.0, mu=0.25, f_star=(0.1, 0.2)),
        steps=50,
        step_size=0.01,
        init_scale=0.1,
    )
    # differences of numbers of order one
    np.testing.assert_allclose(run.excess_mm, run.loss_mm - NAMED.joint_optimum, rtol=0, atol=1e-14)
    np.testing.assert_allclose(
        run.excess_uni, run.loss_uni - NAMED.unimodal_optima, rtol=0, atol=1e-14
    )
    np.testing.assert_allclose(run.gap, run.loss_uni - np.array([0.1, 0.2]), rtol=0, atol=1e-14)
    np.testing.assert_allclose(run.sigma.sum("modality"), 1, rtol=1e-14)
    joint = ms.simulate(NAMED, ms.Vanilla(), steps=5, step_size=0.01)
    assert (joint.objective == joint.loss_mm).all()


def test_running_minimum_never_lies_above_a_loss_seen() -> None:
    run = ms.simulate(
        NAMED,
        ms.MIMO(lam=2.0, mu=0.25, f_star="running_minimum"),
        steps=300,
        step_size=0.02,
        init_scale=0.1,
    )
    estimate = run.loss_uni - run.gap
    np.testing.assert_allclose(
        estimate, np.minimum.accumulate(run.loss_uni.values, axis=0), rtol=0, atol=1e-14
    )
    assert (run.gap >= 0).all()


# ------------------------ files


@pytest.mark.parametrize(
    "method",
    [
        ms.Vanilla(),
        ms.Vanilla(heads="plain"),
        ms.MIMO(),
        ms.MIMO(f_star=0.25),
        ms.MIMO(f_star=(0.1, 0.2)),
        ms.MIMO(f_star="zero", heads="plain"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("width", [4, math.inf])
def test_files_keep_everything(method: Solver, width: float, tmp_path: Path) -> None:
    run = ms.simulate(
        NAMED, method, steps=9, record_every=2, step_size=1e-3, width=width, record_maps=True
    )
    path = tmp_path / "new" / "run.nc"
    ms.save(run, path)
    back = ms.load(path)
    xr.testing.assert_identical(back.drop_attrs(), run.drop_attrs())
    assert {name: run[name].attrs for name in run.variables} == {
        name: back[name].attrs for name in back.variables
    }
    assert set(back.attrs) == set(run.attrs)
    assert all(np.array_equal(back.attrs[name], run.attrs[name]) for name in run.attrs)
    assert [each.name for each in path.parent.iterdir()] == ["run.nc"]  # no temporary file is left
    assert ms.dynamics.trajectory.arguments(back)["method"] == method


def test_arguments_undo_attributes_for_one_modality(tmp_path: Path) -> None:
    """A list of one number must not come back as another run."""
    problem = ms.generators.random_problem(dims=(2,), seed=0)
    run = ms.simulate(problem, ms.MIMO(f_star=(0.1,)), steps=3, step_size=1e-3)
    ms.save(run, tmp_path / "run.nc")
    again = ms.rerun(ms.load(tmp_path / "run.nc"))
    xr.testing.assert_equal(again, run)


def test_saving_is_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, path = ms.simulate(NAMED, ms.Vanilla(), steps=2, step_size=0.01), tmp_path / "run.nc"
    ms.save(run, path)
    before = path.read_bytes()

    def fail(self: xr.Dataset, target: Path, **_: Any) -> None:
        Path(target).write_bytes(b"half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr(xr.Dataset, "to_netcdf", fail)
    with pytest.raises(KeyboardInterrupt):
        ms.save(run, path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["run.nc"]


def test_loading_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"`path` must be a trajectory file"):
        ms.load(tmp_path / "missing.nc")


def test_a_divergence_error_survives_pickling() -> None:
    """Sweeps over several processes send exceptions this way."""
    error = ms.DivergenceError("diverged", 3, norms([1, 2, 3]))
    back = pickle.loads(pickle.dumps(error))
    assert (str(back), back.step) == ("diverged", 3)
    xr.testing.assert_identical(back.trajectory, error.trajectory)


# ------------------------ half-times


def test_half_time_is_the_first_step_at_half_the_final_square() -> None:
    run = norms([0, 1, 2, 3, 4, *[4] * 20], [0, 0, 0, 0, 0.9, *[1] * 20])
    times = ms.half_times(run)
    assert times.dims == ("modality",)
    assert times.modality.values.tolist() == ["m1", "m2"]
    assert times.values.tolist() == [2, 4]  # exactly half counts
    assert ms.half_time_ratio(run) == 2.0


def test_half_time_is_in_steps_not_rows() -> None:
    run = norms([0, 1, 2, 3, 4, *[4] * 20], steps=np.r_[np.arange(24) * 10, 235])
    assert ms.half_times(run).values.tolist() == [20]


def test_half_time_is_of_the_square_and_of_the_first_passage() -> None:
    over = norms([0.1, 3, 1, 5, *[4] * 20])  # crosses 2, falls below, crosses again
    assert ms.half_times(over).values.tolist() == [1]


def test_never_learned_is_nan() -> None:
    run = norms([1, 1, 1, *[1.9] * 20], [1, 1, 1, *[2.1] * 20])
    times = ms.half_times(run).values
    assert math.isnan(times[0])
    assert times[1] == 3
    assert math.isnan(ms.half_time_ratio(run))


def test_an_encoder_that_is_off_was_never_learned() -> None:
    """Zero at the start and at the end: nothing was learned, and nothing is wrong with the run."""
    times = ms.half_times(norms([0] * 25, [0, 0, 1, *[4] * 22])).values
    assert math.isnan(times[0])
    assert times[1] == 3


@pytest.mark.parametrize(
    "run",
    [
        norms(np.linspace(0, 1, 101)),  # 10% over the last tenth
        norms(np.r_[np.zeros(50), np.ones(45), 1.06 * np.ones(5)]),  # 6%
        norms(np.ones(100), np.linspace(0, 1, 100)),  # one of two
        norms([1.0]),  # a single row
        norms([1.0, 2.0], steps=[0, 100]),  # only the ends: whether it moved cannot be known
        norms(
            [1.0, 2.0, 3.0, 4.0, 5.0], steps=[0, 25, 50, 75, 100]
        ),  # recorded too coarsely to have a row in the last tenth, and moving
    ],
)
def test_moving_runs_are_reported(run: xr.Dataset) -> None:
    words = "still moving when it stopped.*Raise `steps`"
    with pytest.warns(ms.UnconvergedWarning, match=words) as caught:
        ms.half_times(run)
    assert caught[0].filename == __file__  # the line that asked is the one that is named


def test_converged_runs_are_not_reported() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ms.half_times(norms(np.r_[np.zeros(50), np.ones(45), 1.04 * np.ones(5)]))
        run = ms.simulate(PROBLEM, ms.Vanilla(), steps=4000, step_size=0.01, width=math.inf)
        assert (ms.half_times(run).values > 0).all()


def test_the_last_tenth_begins_with_the_last_row_up_to_nine_tenths() -> None:
    """Of steps 0 ... 100 these are rows 90 to 100."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ms.half_times(norms(np.r_[np.zeros(90), np.ones(11)]))
        ms.half_times(norms(np.r_[np.zeros(50), np.full(50, 0.9501), 1.0]))  # 5% is still at rest
    with pytest.warns(ms.UnconvergedWarning, match="100% over the last tenth of 100 steps"):
        ms.half_times(norms(np.r_[np.zeros(91), np.ones(10)]))
    with pytest.warns(ms.UnconvergedWarning, match="5% over the last tenth"):
        ms.half_times(norms(np.r_[np.zeros(50), np.full(50, 0.9499), 1.0]))


def test_three_rows_are_enough() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ms.half_times(norms([0.0, 1.0, 1.0], steps=[0, 50, 100])).values.tolist() == [50]


def test_half_times_of_a_run_at_other_resolutions() -> None:
    settings: dict[str, Any] = {"steps": 3000, "step_size": 0.02, "width": math.inf}
    fine = ms.half_times(ms.simulate(PROBLEM, ms.Vanilla(), **settings))
    coarse = ms.half_times(ms.simulate(PROBLEM, ms.Vanilla(), record_every=50, **settings))
    assert (coarse >= fine).all()
    assert (coarse < fine + 50).all()


def test_a_file_that_is_no_trajectory_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.nc").write_text("not netCDF")
    with pytest.raises(
        ValueError, match=r"`path` must be a netCDF 4 file written by mimo_sim. .*run\.nc"
    ):
        ms.load(tmp_path / "run.nc")


def test_rerun_refuses_what_simulate_does_not_take() -> None:
    run = ms.simulate(ms.generators.superficial_preference(), ms.Vanilla(), steps=2)
    with pytest.raises(TypeError, match=r"for lam or mu: method=MIMO\(...\)\). Got lam"):
        ms.rerun(run, lam=3.0)
