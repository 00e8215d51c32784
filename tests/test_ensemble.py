"""Ensembles say what `simulate` says of every run, whatever its neighbours, and survive the runs that fail."""

from __future__ import annotations

import math
import tracemalloc
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

import mimo_sim as ms
from mimo_sim.dynamics.ensemble import cpu as batch
from mimo_sim.dynamics.ensemble import driver as ensemble
from mimo_sim.dynamics.ensemble.driver import simulate_ensemble
from mimo_sim.dynamics.start import random_weights
from mimo_sim.solvers import Solver
from mimo_sim.testing import methods, problems
from tests.reference import every_rule

pytestmark = pytest.mark.usefixtures("dynamic_sizes")  # of the single-run engine

FIGURE_1 = ms.generators.superficial_preference()
METHODS = every_rule(f_star=0.1)
LAST = (
    "loss_mm",
    "excess_mm",
    "objective",
    "loss_uni",
    "excess_uni",
    "gap",
    "sigma",
    "encoder_norm",
    "head_norm",
    "uni_head_norm",
)
ROUND_OFF = (
    1e-10  # relative to the largest value of a variable, as between the engines of `simulate`
)


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No generated code: the loops for any size."""
    monkeypatch.setattr(batch, "GENERATED_SIZE", 0)
    batch.advance.cache_clear()
    yield
    batch.advance.cache_clear()


def half_times(run: xr.Dataset) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ms.UnconvergedWarning)
        return np.asarray(ms.half_times(run))


def assert_agrees(member: xr.Dataset, run: xr.Dataset) -> None:
    """One member of an ensemble, without its `run` dim, against the trajectory of the same run recorded at every step."""
    K, last = run.sizes["modality"], run.isel(step=-1)
    for name in LAST:
        mine, theirs = (
            np.asarray(member[name])[..., :K] if member[name].ndim else np.asarray(member[name]),
            last[name].values,
        )
        assert (np.isnan(mine) == np.isnan(theirs)).all(), name
        assert np.nanmax(np.abs(mine - theirs), initial=0.0) <= ROUND_OFF * max(
            np.nanmax(np.abs(run[name].values), initial=0.0), 1e-6
        ), name
    np.testing.assert_array_equal(member.half_time.values[:K], half_times(run))
    assert np.isnan(member.half_time.values[K:]).all()


def assert_same_bytes(one: xr.Dataset, other: xr.Dataset) -> None:
    for name in one.data_vars:
        assert (
            np.ascontiguousarray(one[name]).tobytes() == np.ascontiguousarray(other[name]).tobytes()
        ), name


# ------------------------------------------------------------------------------------------ against the single-run engine


@pytest.mark.parametrize(
    ("problem", "weight_decay"),
    [
        (FIGURE_1, 0.0),
        (FIGURE_1, 0.02),
        (ms.generators.random_problem((1, 1, 1), seed=1), 0.0),
        (ms.generators.random_problem((4, 2), seed=2), 0.02),
    ],
    ids=["K=2", "decay", "K=3", "d=4,2"],
)
def test_every_rule_agrees_with_simulate(
    problem: ms.LateFusionProblem, weight_decay: float
) -> None:
    """Over learning from a small start to the end; all but the last in generated loops."""
    settings: dict[str, Any] = {
        "step_size": 0.02,
        "steps": 700,
        "init_scale": 0.05,
        "width": 20,
        "weight_decay": weight_decay,
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
    """Tiny initialisation, two phases, every order, and norms that fall again after their peak (rho > 0)."""
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
    assert (
        abs(found - said) <= 0.05 * said
    )  # chattering amplifies round-off, so the two part after some tens of steps
    short = simulate_ensemble(FIGURE_1, [ms.MIMO(lam=2.0, mu=0.25), method], **settings).flips
    assert short.values.tolist() == [0, found]


# ------------------------------------------------------------------------------------------ bits


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
    monkeypatch.setattr(ensemble, "MEMORY", {"batch": 1})  # one run at a time
    monkeypatch.setattr(ensemble, "KEPT_STARTS", 3)
    assert_same_bytes(whole, simulate_ensemble(cases, rules, **settings))


# ------------------------------------------------------------------------------------------ how runs end


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
    loops: list[Any] = [batch.advance(batch.Shape(2, 1, 1, 3, False)), batch._view]
    assert [len(loop.signatures) for loop in loops] == [
        1,
        1,
    ]  # a table in another memory order would be compiled for again, for seconds


@pytest.mark.parametrize("dims", [(2, 2), (1, 1, 1, 1)])
def test_the_step_is_written_out_for_small_problems(dims: tuple[int, ...]) -> None:
    assert batch.Shape(len(dims), 1, max(dims), 2 + max(dims), False).generated


@pytest.mark.parametrize(
    "shape",
    [
        batch.Shape(2, 1, 4, 6, False),
        batch.Shape(3, 2, 5, 1, False),
        batch.Shape(4, 3, 4, 1, False),
    ],
    ids=repr,
)
def test_large_problems_are_not_written_out_however_narrow_the_network(shape: batch.Shape) -> None:
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
    np.testing.assert_allclose(
        credited, ms.theory.misattribution(problem), atol=1e-5
    )  # the other one is at e^-10 of its weight, squared
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
    assert (
        runs.encoder_norm[0, 1] == 0.0
    )  # single runs carry 0.75**2500 of 1e-3 down to subnormal numbers
    settings: dict[str, Any] = {"step_size": 0.05, "steps": 6000, "init_scale": 1e-100}
    tiny = simulate_ensemble(FIGURE_1, ms.Vanilla(), **settings)
    np.testing.assert_array_equal(
        tiny.half_time[0], half_times(ms.simulate(FIGURE_1, ms.Vanilla(), **settings))
    )


# ------------------------------------------------------------------------------------------ resources and input


@pytest.mark.usefixtures("one_by_one")
def test_memory_does_not_grow_with_steps() -> None:
    def peak(steps: int) -> int:
        tracemalloc.start()
        simulate_ensemble(
            FIGURE_1, ms.Vanilla(), step_size=0.01, steps=steps, seed=range(64), threads=1
        )
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(64)
    assert peak(64 * 40) < 1.1 * peak(64)


def test_the_keyboard_stops_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import contextmanager

    calls = []

    @contextmanager
    def bar(total: int, visible: bool) -> Iterator[Any]:
        def interrupt(n: int) -> None:
            calls.append(n)
            raise KeyboardInterrupt

        yield interrupt

    monkeypatch.setattr(ensemble, "progress_bar", bar)
    with pytest.raises(KeyboardInterrupt):
        simulate_ensemble(
            FIGURE_1, ms.Vanilla(), step_size=0.01, steps=640, seed=range(4096), threads=2
        )
    assert len(calls) == 1  # nothing after it, whatever the other thread was at


def test_progress_goes_to_stderr_and_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    settings: dict[str, Any] = {"step_size": 0.01, "steps": 20, "seed": [0, 1]}
    assert_same_bytes(
        simulate_ensemble(FIGURE_1, ms.Vanilla(), **settings),
        simulate_ensemble(FIGURE_1, ms.Vanilla(), progress=True, **settings),
    )
    assert capsys.readouterr().out == ""


def test_labels() -> None:
    named = ms.LateFusionProblem(
        FIGURE_1.sigma, FIGURE_1.sigma_yx, FIGURE_1.y_second_moment, names=("audio", "video")
    )
    runs = simulate_ensemble(named, [ms.Vanilla(), METHODS[2]], steps=3, step_size=0.1, seed=[4, 5])
    assert runs.modality.values.tolist() == ["audio", "video"]
    assert runs.sizes == {"run": 2, "modality": 2, "output": 1, "component": 1}
    assert runs.seed.values.tolist() == [4, 5]
    assert runs.sigma.isnull().all("modality").values.tolist() == [True, False]
    assert all(runs[name].attrs["long_name"] for name in runs.data_vars)
    assert runs.attrs["steps"] == 3
    assert simulate_ensemble(
        [named, FIGURE_1], METHODS[2], steps=1, step_size=0.1
    ).modality.values.tolist() == ["m1", "m2"]


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"problems": 3}, TypeError, "`problems` must be a LateFusionProblem"),
    ({"problems": []}, TypeError, "`problems`"),
    ({"methods": "mimo"}, TypeError, "`methods` must be mimo_sim.Vanilla"),
    ({"methods": [ms.Vanilla(), "mimo"]}, TypeError, "`methods`.*Got 'mimo'"),
    (
        {"methods": ms.MIMO(f_star=(0.1, 0.2, 0.3))},
        ValueError,
        "`f_star` must hold one number per modality",
    ),
    ({"step_size": [0.1, -0.1]}, ValueError, "`step_size` must be finite and > 0"),
    ({"step_size": "fast"}, TypeError, "`step_size`"),
    ({"step_size": []}, ValueError, "`step_size`"),
    ({"steps": 0}, ValueError, "`steps` must be >= 1"),
    ({"width": 0}, ValueError, "`width`"),
    ({"width": math.nan}, TypeError, "`width`"),
    ({"init_scale": 0.0}, ValueError, "`init_scale`"),
    ({"seed": [0, -1]}, ValueError, "`seed` must be >= 0"),
    ({"seed": 1.5}, TypeError, "`seed` must be an integer"),
    ({"weight_decay": -1.0}, ValueError, "`weight_decay`"),
    (
        {"seed": [0, 1], "init_scale": [0.1, 0.2, 0.3]},
        ValueError,
        r"`seed` must hold one entry, or one per run \(3\)",
    ),
    ({"tolerance": 0.0}, ValueError, "`tolerance`"),
    ({"record_every": 0}, ValueError, "`record_every`"),
    ({"engine": "gpu"}, ValueError, "`engine` must be one of"),
    ({"threads": 0}, ValueError, "`threads`"),
]


@pytest.mark.parametrize(
    ("change", "error", "message"), BAD, ids=[str(change) for change, *_ in BAD]
)
def test_bad_input_is_named(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments: dict[str, Any] = {"problems": FIGURE_1, "methods": ms.Vanilla(), "steps": 1} | change
    with pytest.raises(error, match=message):
        simulate_ensemble(**arguments)


# ------------------------------------------------------------------------------------------ the exponential


def test_exponential() -> None:
    @njit
    def table(x: Any) -> Any:
        y = np.empty_like(x)
        for i in range(len(x)):
            y[i] = batch.exp(x[i])
        return y

    rng = np.random.default_rng(0)
    x = np.concatenate(
        [
            -rng.uniform(0, 708.39, 100_000),
            -(10.0 ** rng.uniform(-20, 2.8, 100_000)),
            -math.log(2) * np.arange(0.5, 1021),
        ]
    )
    expected = np.array([math.exp(value) for value in x])
    for y in (table(x), np.array([batch.exp.py_func(value) for value in x[::50]])):
        against = expected if len(y) == len(x) else expected[::50]
        assert np.max(np.abs(y - against) / np.spacing(against)) <= 1
    special = table(np.array([0.0, -0.0, -5e-324, -708.3965, -745.0, -1e300, -math.inf, math.nan]))
    np.testing.assert_array_equal(special, [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, math.nan])
