"""The engines agree with each other and with an independent network; runs are reproducible, symmetric, and fail loudly."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim.dynamics.engines import gram
from mimo_sim.dynamics.start import compact_factors, random_weights
from mimo_sim.objective import mimo_objective, sigma_weights
from mimo_sim.solvers import Solver
from mimo_sim.testing import Weights, initial_weights, methods, mimo_methods, problems
from tests.reference import Network, Parameters, every_rule

pytestmark = pytest.mark.usefixtures("dynamic_sizes")

FIGURE_1 = ms.generators.superficial_preference()
ROUND_OFF = 1e-10  # relative to a variable's largest value: 100 contracting steps on numbers of order one keep some 1e-14; engines differ by 1e-2 where they differ
METHODS = every_rule(f_star=(0.1, 0.2))


def distances(run: xr.Dataset, other: xr.Dataset) -> dict[str, float]:
    """Largest difference of each variable, relative to its largest value; NaN (no sigma in joint training) only where both have it.

    Problems and weights drawn here are of order one. A variable that stays below 1e-6 (a run that starts at its optimum) is compared with that.
    """
    assert set(run.data_vars) == set(other.data_vars)
    result = {}
    for name in run.data_vars:
        mine, theirs = run[name].values, other[name].values
        assert mine.shape == theirs.shape, name
        assert (np.isnan(mine) == np.isnan(theirs)).all(), name
        result[str(name)] = float(
            np.nanmax(np.abs(mine - theirs), initial=0.0)
            / max(np.nanmax(np.abs(theirs), initial=0.0), 1e-6)
        )
    return result


def assert_same(run: xr.Dataset, other: xr.Dataset, rtol: float = ROUND_OFF) -> None:
    apart = {name: distance for name, distance in distances(run, other).items() if distance > rtol}
    assert not apart


def assert_identical(run: xr.Dataset, other: xr.Dataset) -> None:
    """Same bytes in every variable and coordinate."""
    xr.testing.assert_equal(run, other)
    assert all(run[name].values.tobytes() == other[name].values.tobytes() for name in run.data_vars)


def safe_step(problem: ms.LateFusionProblem, method: Solver, weights: list[Weights]) -> float:
    """Twice the default: below 1/L, so the iteration contracts and does not chatter, and 60 steps learn most of what there is."""
    largest = max(
        sum(float(np.linalg.norm(block, 2)) ** 2 for block in triple) for triple in weights
    )
    return 2 * ms.theory.default_step_size(problem, method, init_norm_squared=largest)


# ------------------------------------------------------------------------------------------ against autograd


@given(st.data())
def test_gram_equals_autograd(data: st.DataObject) -> None:
    problem = data.draw(problems(num_modalities=st.integers(1, 4)))
    method = data.draw(methods(num_modalities=problem.num_modalities))
    weights = data.draw(
        initial_weights(problem, width=st.sampled_from((2, 1, 5, 12)), scale=0.375)
    )  # 12 is wider than any 2m + d drawn here
    settings: dict[str, Any] = {
        "initial": weights,
        "step_size": safe_step(problem, method, weights),
        "steps": 60,
        "weight_decay": data.draw(st.sampled_from((0.0, 0.5))),
        "record_maps": data.draw(st.booleans()),
        "record_every": data.draw(st.sampled_from((1, 7, 60, 100))),
    }
    assert_same(
        ms.simulate(problem, method, **settings),
        ms.simulate(problem, method, engine="autograd", **settings),
    )


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
@pytest.mark.parametrize("method", [*METHODS, ms.MIMO(lam=0.0)], ids=repr)
def test_the_comparison_with_autograd_sees_learning(method: Solver, weight_decay: float) -> None:
    """The same comparison where the start is small and training goes all the way, so that it is not about a network at rest."""
    settings: dict[str, Any] = {
        "steps": 300,
        "step_size": 0.03,
        "init_scale": 0.1,
        "width": 20,
        "seed": 1,
        "weight_decay": weight_decay,
    }
    run = ms.simulate(FIGURE_1, method, **settings)
    assert run.loss_mm[-1] < 0.05 * run.loss_mm[0]
    assert_same(run, ms.simulate(FIGURE_1, method, engine="autograd", **settings))


# ------------------------------------------------------------------------------------------ against the raw network on samples


@pytest.mark.parametrize("engine", ["gram", "autograd"])
@given(data=st.data())
def test_engines_follow_the_raw_network_on_samples(engine: str, data: st.DataObject) -> None:
    """Losses, sigma, F, |grad F|^2, norms and maps, step by step, against complex-step derivatives of averages over a data set."""
    dims = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    m, n = (
        data.draw(st.integers(1, 2)),
        data.draw(st.integers(2, 9)),
    )  # fewer samples than inputs: singular moments
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    inputs, y = [rng.standard_normal((n, d)) for d in dims], rng.standard_normal((n, m))
    problem = ms.LateFusionProblem.from_samples(inputs, y)
    method = data.draw(methods(num_modalities=len(dims)))
    weights = data.draw(initial_weights(problem, width=st.sampled_from((1, 2, 8)), scale=0.5))
    eta, decay = 0.05 / (1 + method.lam), data.draw(st.sampled_from((0.0, 0.5)))
    run = ms.simulate(
        problem,
        method,
        initial=weights,
        step_size=eta,
        steps=3,
        record_maps=True,
        weight_decay=decay,
        engine=engine,
    )

    network = Network(inputs, y, method.lam, method.mu, np.zeros(len(dims)), method.heads)
    estimate = {
        "exact": network.optima,
        "zero": 0.0 * network.optima,
        "running_minimum": np.inf + network.optima,
    }
    network.f_star = (
        estimate[method.f_star]
        if isinstance(method.f_star, str)
        else np.broadcast_to(np.asarray(method.f_star), len(dims))
    )
    parameters: Parameters = [list(triple) for triple in weights]
    for t in range(4):
        loss, uni = network.losses(parameters)
        if method.f_star == "running_minimum":
            network.f_star = np.minimum(network.f_star, uni)
        gaps, row = uni - network.f_star, run.isel(step=t)
        soft = np.exp((gaps - gaps.max()) / method.mu)
        slopes = network.gradients(parameters)
        updated = [
            slope
            for triple in slopes
            for i, slope in enumerate(triple)
            if method.heads != "frozen" or i != 1
        ]
        expected = {
            "loss_mm": loss,
            "loss_uni": uni,
            "gap": gaps,
            "excess_uni": uni - network.optima,
            "objective": network.objective(parameters),
            "grad_norm_sq": sum(np.sum(slope**2) for slope in updated),
            "joint_map": np.hstack([v @ w for v, _, w in parameters]),
            "uni_map": np.hstack([u @ w for _, u, w in parameters]),
        }
        for i, name in enumerate(("head_norm", "uni_head_norm", "encoder_norm")):
            expected[name] = np.array([np.linalg.norm(triple[i]) for triple in parameters])
        if isinstance(method, ms.MIMO):
            expected["sigma"] = soft / soft.sum()
        size = (
            float(np.sum(y**2) / n) + 1
        )  # losses are differences of averages of this size: their round-off is absolute
        for name, value in expected.items():
            np.testing.assert_allclose(
                row[name].values,
                value,
                rtol=1e-9,
                atol=1e-11 * size / min(method.mu, 1.0),
                err_msg=name,
            )
        parameters = network.step(parameters, eta, decay)


# ------------------------------------------------------------------------------------------ the compiled loop against its sources


@given(st.data())
def test_compiled_arithmetic_equals_objective_and_its_own_python(data: st.DataObject) -> None:
    problem = data.draw(problems())
    method = data.draw(mimo_methods(num_modalities=problem.num_modalities))
    factors = compact_factors(problem, data.draw(initial_weights(problem)), 1.0)
    results = []
    for function in (gram.evaluate, gram.evaluate.py_func):
        packed, K = (
            gram.Packed(problem, method, [z.copy() for z in factors]),
            problem.num_modalities,
        )
        excess, sigma, dZ = np.empty(K), np.empty(K), np.empty_like(packed.Z)
        work = np.empty((4, problem.output_dim, packed.S.shape[0]))
        excess_mm, top = function(packed.Z, *packed.model, excess, sigma, work, dZ)
        results.append((excess_mm, top, excess, sigma, dZ, packed.base))
        gaps = excess - packed.base
        # round-off of sums of a few dozen terms of order one, divided by mu >= 1/8 inside the softmax
        np.testing.assert_allclose(sigma, sigma_weights(gaps, method.mu), rtol=1e-12, atol=1e-15)
        assert top == gaps.max()
    for compiled, plain in zip(*results, strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=1e-12, atol=1e-12)
    run = ms.simulate(problem, method, width=math.inf, init_scale=0.5, steps=5, step_size=1e-3)
    np.testing.assert_allclose(
        run.sigma, sigma_weights(run.gap.values, method.mu), rtol=1e-12, atol=1e-15
    )
    np.testing.assert_allclose(
        run.objective,
        mimo_objective(run.loss_mm.values, run.gap.values, method.lam, method.mu),
        rtol=1e-12,
    )


@pytest.mark.parametrize(
    "method", [ms.Vanilla(), ms.MIMO(lam=2.0, mu=0.25, heads="plain")], ids=repr
)
def test_static_sizes_change_nothing(method: Solver, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = {
        "steps": 400,
        "step_size": 0.02,
        "init_scale": 0.1,
        "width": 20,
        "record_maps": True,
    }
    dynamic = ms.simulate(FIGURE_1, method, **settings)
    monkeypatch.setattr(gram, "STATIC_SIZE", 400)
    packed = gram.Packed(FIGURE_1, method, compact_factors(FIGURE_1, None, 0.1))
    assert packed.sizes == ((0, 0), (0,), (0,), (0, 0, 0))  # K, m, d, r as lengths of tuples
    assert_same(
        dynamic, ms.simulate(FIGURE_1, method, **settings), rtol=1e-12
    )  # another order of summation, 400 steps


def test_long_runs_do_not_depend_on_how_they_are_cut_into_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings: dict[str, Any] = {
        "steps": 300,
        "step_size": 0.02,
        "init_scale": 0.1,
        "record_every": 7,
    }
    whole = ms.simulate(FIGURE_1, ms.MIMO(lam=2.0, mu=0.25), **settings)
    monkeypatch.setattr(gram, "CHUNK", 1)  # one step at a time
    assert_identical(whole, ms.simulate(FIGURE_1, ms.MIMO(lam=2.0, mu=0.25), **settings))


def test_progress_bar_goes_to_stderr_and_changes_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings: dict[str, Any] = {"steps": 20, "step_size": 0.02, "init_scale": 0.1}
    for engine in ("gram", "autograd", "flow"):
        quiet = ms.simulate(FIGURE_1, ms.Vanilla(), engine=engine, **settings)
        assert_identical(
            quiet, ms.simulate(FIGURE_1, ms.Vanilla(), engine=engine, progress=True, **settings)
        )
    assert capsys.readouterr().out == ""


# ------------------------------------------------------------------------------------------ limits


@pytest.mark.parametrize(
    "method", [method for method in METHODS if method.f_star != "running_minimum"], ids=repr
)
def test_gradient_descent_tends_to_the_flow_at_first_order(method: Solver) -> None:
    problem = ms.generators.scalar_pair(2.0, 0.3)
    time, counts = 3.0, np.array([200, 400, 800, 1600])
    settings: dict[str, Any] = {"width": 10, "init_scale": 0.3, "weight_decay": 0.1}
    flow = ms.simulate(problem, method, steps=10, step_size=time / 10, engine="flow", **settings)
    errors = []
    for n in counts:
        run = ms.simulate(
            problem, method, steps=int(n), step_size=time / n, record_every=int(n) // 10, **settings
        )
        np.testing.assert_allclose(run.time, flow.time, rtol=1e-12)
        errors.append(
            [
                np.abs(run[name].values - flow[name].values).max()
                for name in ("loss_mm", "loss_uni", "encoder_norm")
            ]
        )
    slopes = np.polyfit(np.log(time / counts), np.log(errors), 1)[0]
    assert (
        np.abs(slopes - 1).max() < 0.15
    )  # Euler's method; the next order adds some eta |A| < 0.1 to the fitted slope


def test_flow_equals_the_closed_form_of_a_single_modality() -> None:
    """K = d = m = 1 from balanced weights: s = V W obeys s' = 2 s (c - s), a logistic curve."""
    problem = ms.LateFusionProblem([[1.0]], [1.0], 1.0)
    start = 1e-6
    run = ms.simulate(
        problem,
        ms.Vanilla(),
        initial=[([[start]], [[0.0]], [[start]])],
        step_size=0.5,
        steps=40,
        engine="flow",
    )
    expected = 1 / (1 + (1 / start**2 - 1) * np.exp(-2 * run.time.values))
    for name in ("encoder_norm", "head_norm"):  # balanced weights stay so
        np.testing.assert_allclose(
            run[name][:, 0] ** 2, expected, rtol=1e-7
        )  # LSODA at rtol 1e-10 a step, some hundred steps, each error amplified by the growth


@pytest.mark.parametrize("method", [ms.Vanilla(), ms.MIMO(lam=1.0, mu=0.5)], ids=repr)
def test_a_modality_that_is_off_stays_off(method: Solver) -> None:
    """All its weights are zero, a saddle point, and the other one starts with zero heads."""
    start = [([[0.0]], [[0.0]], [[0.1]]), ([[0.0]], [[0.0]], [[0.0]])]
    settings: dict[str, Any] = {"initial": start, "steps": 5, "step_size": 1e-3}
    run = ms.simulate(FIGURE_1, method, **settings)
    assert (run.encoder_norm[:, 1] == 0).all()
    assert_same(run, ms.simulate(FIGURE_1, method, engine="autograd", **settings))


def test_growing_width_tends_to_infinite_width() -> None:
    """Z Z^T of Gaussian weights fluctuates by 1/sqrt(h) around the limit, so mean errors fall along a slope of -1/2."""
    widths = np.array([50, 200, 800, 3200])
    settings: dict[str, Any] = {"steps": 150, "step_size": 0.02, "init_scale": 0.1}
    method = ms.MIMO(lam=1.0, mu=0.5)
    limit = ms.simulate(FIGURE_1, method, width=math.inf, **settings)
    assert 0.1 < limit.loss_mm[75] / limit.loss_mm[0] < 0.9  # compared in the middle of learning
    runs = [
        [ms.simulate(FIGURE_1, method, width=int(h), seed=seed, **settings) for seed in range(12)]
        for h in widths
    ]
    errors = [
        np.mean([abs(run.encoder_norm[75] - limit.encoder_norm[75]) for run in each])
        for each in runs
    ]
    slope = np.polyfit(np.log(widths), np.log(errors), 1)[0]
    assert (
        abs(slope + 0.5) < 0.15
    )  # 24 deviations per width: each mean is known to 15%, over a factor of 64 in width


@given(st.data())
def test_joint_training_is_mimo_without_penalty(data: st.DataObject) -> None:
    problem = data.draw(problems())
    plain = data.draw(st.booleans())
    settings: dict[str, Any] = {"width": 5, "init_scale": 0.3, "steps": 30, "step_size": 0.01}
    joint = ms.simulate(problem, ms.Vanilla(heads="plain" if plain else "frozen"), **settings)
    mimo = ms.simulate(
        problem, ms.MIMO(lam=0.0, mu=0.5, heads="plain" if plain else "gradient"), **settings
    )
    for name in (
        "loss_mm",
        "loss_uni",
        "encoder_norm",
        "head_norm",
        "uni_head_norm",
        "grad_norm_sq",
    ):
        assert (joint[name] == mimo[name]).all(), name


def test_one_modality_has_all_the_weight() -> None:
    problem = ms.generators.random_problem(dims=(3,), seed=1)
    run = ms.simulate(problem, ms.MIMO(lam=2.0, mu=0.1), steps=50, step_size=1e-2, init_scale=0.1)
    assert (run.sigma == 1).all()


def test_equal_modalities_stay_equal_and_share_the_weight() -> None:
    problem = ms.LateFusionProblem([[1, 0.5, 0.5], [0.5, 1, 0.5], [0.5, 0.5, 1]], [1, 1, 1], 2.0)
    run = ms.simulate(
        problem, ms.MIMO(lam=10.0, mu=0.01), steps=500, step_size=1e-2, width=math.inf
    )
    assert (run.sigma == run.sigma[0, 0]).all()
    np.testing.assert_allclose(run.sigma, 1 / 3, rtol=1e-15)
    assert (run.encoder_norm == run.encoder_norm[:, :1]).all()


@pytest.mark.parametrize("exponent", [-17, -3, 4, 17])
@pytest.mark.parametrize("method", [ms.Vanilla(), ms.MIMO(lam=2.0, mu=0.25)], ids=repr)
def test_units_of_y(method: Solver, exponent: int) -> None:
    """y in units c times smaller: c times the cross moments, sqrt(c) the weights, 1/c the step, c^2 the losses and mu; c up to 1.7e10 and down to 6e-11."""
    c = 4.0**exponent
    scaled = ms.LateFusionProblem(
        FIGURE_1.sigma, [c * block for block in FIGURE_1.sigma_yx], c**2 * FIGURE_1.y_second_moment
    )
    start = random_weights(FIGURE_1, 10, 0.1, seed=3)
    run = ms.simulate(FIGURE_1, method, initial=start, step_size=0.02, steps=300)
    if isinstance(method, ms.MIMO):
        method = ms.MIMO(lam=method.lam, mu=c**2 * method.mu)
    other = ms.simulate(
        scaled,
        method,
        initial=[[math.sqrt(c) * block for block in triple] for triple in start],
        step_size=0.02 / c,
        steps=300,
    )
    # all factors are powers of two, so only the order of summation could differ
    np.testing.assert_allclose(other.loss_mm / c**2, run.loss_mm, rtol=1e-12)
    np.testing.assert_allclose(other.encoder_norm / math.sqrt(c), run.encoder_norm, rtol=1e-12)


# ------------------------------------------------------------------------------------------ symmetries


@given(st.data())
def test_relabelling_modalities_permutes_the_result(data: st.DataObject) -> None:
    problem = data.draw(problems(num_modalities=3))
    method = data.draw(methods())
    weights = data.draw(initial_weights(problem))
    order = data.draw(st.permutations(range(3)))
    renamed = ms.LateFusionProblem(
        [[problem.sigma[k][j] for j in order] for k in order],
        [problem.sigma_yx[k] for k in order],
        problem.y_second_moment,
        names=[problem.names[k] for k in order],
    )
    settings: dict[str, Any] = {"steps": 40, "step_size": safe_step(problem, method, weights)}
    run = ms.simulate(problem, method, initial=weights, **settings)
    other = ms.simulate(renamed, method, initial=[weights[k] for k in order], **settings)
    assert list(other.modality.values) == [problem.names[k] for k in order]
    assert_same(run, other.sel(modality=run.modality))


@given(st.data())
def test_rotating_an_input_space_changes_nothing_that_is_recorded(data: st.DataObject) -> None:
    problem = data.draw(problems(dims=st.integers(2, 3), output_dim=st.integers(1, 2)))
    method = data.draw(methods())
    weights = data.draw(initial_weights(problem))
    rng = np.random.default_rng(data.draw(st.integers(0, 100)))
    turns = [np.linalg.qr(rng.standard_normal((d, d)))[0] for d in problem.dims]
    every = range(problem.num_modalities)
    turned = ms.LateFusionProblem(
        [[turns[k] @ problem.sigma[k][j] @ turns[j].T for j in every] for k in every],
        [problem.sigma_yx[k] @ turns[k].T for k in every],
        problem.y_second_moment,
    )
    settings: dict[str, Any] = {"steps": 40, "step_size": safe_step(problem, method, weights)}
    run = ms.simulate(problem, method, initial=weights, **settings)
    assert_same(
        run,
        ms.simulate(
            turned,
            method,
            initial=[(v, u, w @ turn.T) for (v, u, w), turn in zip(weights, turns, strict=True)],
            **settings,
        ),
    )


@given(st.data())
def test_rotating_the_hidden_layer_changes_nothing(data: st.DataObject) -> None:
    problem = data.draw(problems())
    method = data.draw(methods())
    weights = data.draw(initial_weights(problem, width=4))
    turn = np.linalg.qr(
        np.random.default_rng(data.draw(st.integers(0, 100))).standard_normal((4, 4))
    )[0]
    settings: dict[str, Any] = {
        "steps": 40,
        "step_size": safe_step(problem, method, weights),
        "record_maps": True,
    }
    run = ms.simulate(problem, method, initial=weights, **settings)
    assert_same(
        run,
        ms.simulate(
            problem,
            method,
            initial=[(v @ turn.T, u @ turn.T, turn @ w) for v, u, w in weights],
            **settings,
        ),
    )


# ------------------------------------------------------------------------------------------ reproducibility and recording


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
    assert (
        distances(runs[0], runs[2])["encoder_norm"] > 1e-3
    )  # another seed is another start, not a rounding error


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


# ------------------------------------------------------------------------------------------ failing loudly


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
    assert (
        ms.rerun(error.trajectory, steps=1, step_size=1e-3).sizes["step"] == 2
    )  # its attributes are complete too


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
    run = ms.simulate(
        FIGURE_1, method, step_size=0.5 * limit, steps=1600, **settings
    )  # a warning would be an error
    assert run.gap[-1].max() < 0.5 * run.gap[0].min()  # the gaps have met and fallen together


# ------------------------------------------------------------------------------------------ refusals

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
