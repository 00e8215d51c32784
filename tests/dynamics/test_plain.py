"""The loops as plain Python: what is compiled elsewhere says here, line by line, what it should."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

import mimo_sim as ms
from mimo_sim.dynamics.engines import early, gram
from mimo_sim.dynamics.ensemble._exp import exp
from mimo_sim.dynamics.ensemble.step import Shape, names, step_source
from mimo_sim.dynamics.records import FLIP_SIZE, limit
from mimo_sim.dynamics.start import compact_factors, random_weights
from mimo_sim.objective import sigma_weights
from mimo_sim.solvers import Solver
from tests.dynamics.comparisons import assert_same
from tests.dynamics.fusion_networks import METHODS, MIXED, close, samples_of, train_early
from tests.reference import every_rule

PAIR = ms.generators.random_problem(dims=(1, 2), seed=1, noise_variance=0.05)
THREE = ms.generators.random_problem(dims=(1, 1, 1), seed=2, noise_variance=0.1)


pytestmark = pytest.mark.usefixtures("plain_loops")
SETTINGS: list[dict[str, Any]] = [
    {"record_maps": True},
    {"weight_decay": 0.4, "record_every": 4},
    {"momentum": 0.7, "weight_decay": 0.2, "record_every": 7, "record_maps": True},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("method", every_rule(f_star=(0.1, 0.2, 0.0)), ids=repr)
def test_late_fusion_equals_autograd(method: Solver, settings: dict[str, Any]) -> None:
    more: dict[str, Any] = {
        "step_size": 0.02,
        "steps": 11,
        "width": 4,
        "init_scale": 0.8,
        "seed": 3,
    }
    mine = ms.simulate(MIXED, method, **more, **settings)
    assert_same(mine, ms.simulate(MIXED, method, engine="autograd", **more, **settings))
    assert mine.loss_mm[-1] < mine.loss_mm[0]


def test_runs_are_recorded_alike_however_they_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = {"step_size": 0.02, "steps": 23, "init_scale": 0.3, "momentum": 0.5}
    method = ms.MIMO(lam=2.0, mu=0.1)
    every = ms.simulate(PAIR, method, **settings)
    some = ms.simulate(PAIR, method, record_every=5, **settings)
    assert some.step.values.tolist() == [0, 5, 10, 15, 20, 23]
    for name in every.data_vars:
        np.testing.assert_array_equal(some[name], every[name].sel(step=some.step))
    monkeypatch.setattr(gram, "CHUNK", 1)
    again = ms.simulate(PAIR, method, record_every=5, **settings)
    for name in every.data_vars:
        np.testing.assert_array_equal(again[name], some[name])


@pytest.mark.parametrize("rule", [ms.rules.create(name) for name in ms.rules.available()], ids=repr)
def test_rules_equal_autograd(rule: ms.rules.Rule) -> None:
    for problem in (PAIR, THREE):
        if isinstance(rule, ms.OGM) and problem is THREE:
            continue  # kappa jumps where scores are equal
        more: dict[str, Any] = {"step_size": 0.01, "steps": 9, "width": 4, "init_scale": 0.8}
        for settings in (SETTINGS[0], SETTINGS[2]):
            mine = ms.simulate(problem, rule, **more, **settings)
            assert_same(mine, ms.simulate(problem, rule, engine="autograd", **more, **settings))


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_early_fusion_equals_autograd(method: Solver, decay: float) -> None:
    exact, _, _ = samples_of(MIXED)
    weights = early._random(MIXED, 5, 0.5, 1)
    settings: dict[str, Any] = {"steps": 12, "step_size": 0.02, "weight_decay": decay}
    run = early.simulate_early(exact, method, initial=weights, **settings)
    f_mm, f, norms = train_early(MIXED, method, weights, 0.02, 12, decay)
    close(run.loss_mm, f_mm)
    close(run.loss_uni, f)
    close(run.encoder_norm, norms)
    some = early.simulate_early(exact, method, initial=weights, record_every=5, **settings)
    assert some.step.values.tolist() == [0, 5, 10, 12]
    for name in run.data_vars:
        np.testing.assert_array_equal(some[name], run[name].sel(step=some.step))


def test_the_gradient_of_early_fusion_is_that_of_its_one_head() -> None:
    """|grad F|^2 from differences of F: a small step lowers F by eta |grad F|^2."""
    eta = 1e-7
    for method in (ms.Vanilla(), ms.MIMO(lam=2.0, mu=0.5)):
        run = early.simulate_early(MIXED, method, step_size=eta, steps=1, width=4, init_scale=0.9)
        fall = float(run.objective[0] - run.objective[1]) / eta
        assert float(run.grad_norm_sq[0]) == pytest.approx(fall, rel=1e-4)


# ------------------------ flips and divergence


def test_a_flip_is_a_swing_and_one_back_both_larger_than_a_tenth() -> None:
    def flips(*steps: float) -> list[int]:
        """Of two weights, the second of which stands still."""
        previous, change, found = np.full(2, np.nan), np.full(2, np.nan), []
        for value in steps:
            found.append(gram.count_flips(2, np.array([value, 0.5]), previous, change))
            assert previous.tolist() == [value, 0.5]
        return found

    assert flips(0.25, 0.75, 0.25, 0.75) == [0, 0, 1, 1]
    assert flips(0.25, 0.75, 1.0, 0.5) == [0, 0, 0, 1]  # on, and back
    assert flips(0.0, FLIP_SIZE, 0.0, 0.5, 0.0) == [0, 0, 0, 0, 1]  # exactly a tenth is too little
    assert flips(0.5, 0.5, 0.5) == [0, 0, 0]
    both = np.array([[0.2, 0.8], [0.5, -0.5]])
    assert gram.count_flips(2, np.array([0.0, 1.0]), both[0], both[1]) == 2
    memory, counts = gram.flip_memory(2)
    assert (memory.shape, counts.tolist()) == ((2, 2), [0, 0])
    assert np.isnan(memory).all()
    for t, value in enumerate((0.9, 0.1, 0.9, 0.9, 0.1, 0.9), start=4):
        gram.note_flips(2, np.array([value, 1 - value]), memory, counts, t)
    assert counts.tolist() == [4, 6]  # two weights flip at steps 6 and 9; the first was at 6


def test_flips_of_whole_runs_are_counted_from_their_first() -> None:
    problem = ms.generators.superficial_preference()
    settings: dict[str, Any] = {"step_size": 0.02, "steps": 260, "init_scale": 0.3}
    for simulate in (ms.simulate, ms.dynamics.simulate_early):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run = simulate(problem, ms.MIMO(lam=10.0, mu=1e-4), **settings)
        change = np.diff(run.sigma.values, axis=0)
        back = (change[1:] * change[:-1] < 0) & (
            np.minimum(np.abs(change[1:]), np.abs(change[:-1])) > FLIP_SIZE
        )
        # The change after the last recorded step is not met: that step is evaluated, not taken.
        total, first = int(back.sum()), int(back.any(1).argmax()) + 2
        assert total > 3
        (said,) = (str(one.message) for one in caught)
        assert f"{total} times" in said or f"{total - int(back[-1].sum())} times" in said
        assert f"step {first}" in said


@pytest.mark.parametrize("engine", ["late", "early", "rule"])
def test_a_run_that_blows_up_keeps_the_steps_before(engine: str) -> None:
    problem, method = PAIR, ms.MIMO(lam=1.0, mu=0.5)
    settings: dict[str, Any] = {"step_size": 6.0, "steps": 60, "init_scale": 0.6, "seed": 1}
    simulate: Any = ms.dynamics.simulate_early if engine == "early" else ms.simulate
    solver: Any = ms.LinearScalarization() if engine == "rule" else method
    found = []
    for every in (1, 4, 60):
        with pytest.raises(ms.DivergenceError) as caught:
            simulate(problem, solver, record_every=every, **settings)
        found.append(caught.value.step)
        kept = caught.value.trajectory
        assert kept.step.values.tolist() == list(range(0, caught.value.step, every))
        assert (kept.loss_mm < limit(problem) + problem.joint_optimum).all()
    assert len(set(found)) == 1
    assert 1 < found[0] < 60


# ------------------------ the step that is written out


def written(shape: Shape, values: dict[str, float], steps: int) -> dict[str, float]:
    """The lines of a step, executed on plain numbers."""
    code = "\n".join(line for part in step_source(shape) for line in part)
    scope: dict[str, Any] = {**values, "exp": exp.py_func, "sqrt": math.sqrt}
    with np.errstate(all="ignore"):
        for _ in range(steps):
            exec(code, scope)
    return {name: scope[name] for name in names(shape.state)}


def stepped(problem: ms.LateFusionProblem, method: Solver) -> tuple[Any, Any]:
    factors = compact_factors(problem, random_weights(problem, 3, 0.7, 2), 1.0)
    packed = gram.Packed(problem, method, factors)
    return packed, packed.scratch()


@pytest.mark.parametrize(("decay", "momentum"), [(0.0, 0.0), (0.3, 0.0), (0.0, 0.7), (0.3, 0.7)])
@pytest.mark.parametrize("method", every_rule(f_star=0.1), ids=repr)
@pytest.mark.parametrize(
    "problem",
    [
        PAIR,
        THREE,
        ms.generators.random_problem((1,), seed=3, noise_variance=0.1),
        ms.generators.random_problem((2, 1), seed=5, output_dim=2, noise_variance=0.1),
    ],
    ids=["K=2", "K=3", "K=1", "m=2"],
)
def test_the_written_step_is_that_of_the_loop(
    problem: ms.LateFusionProblem, method: Solver, decay: float, momentum: float
) -> None:
    eta, steps, ceiling = 0.03, 7, limit(problem)
    packed, (excess, sigma, work, dZ) = stepped(problem, method)
    K, m, d, r = packed.sizes
    shape = Shape(K, m, d, r, decay > 0, momentum=momentum > 0)
    velocity = np.zeros_like(packed.Z)
    given: dict[str, Any] = {
        "Z": packed.Z.ravel().copy(),
        "velocity": velocity.ravel() if momentum else [],
        "base": np.where(packed.running, np.inf, packed.base),
        "sigma": np.full(K, np.nan),
        "change": np.full(K, np.nan),
        "flips": 0.0,
        "peak": np.zeros(K),
        "bad": 0.0,
        "S": packed.S.ravel(),
        "joint": packed.joint.ravel(),
        "uni": packed.uni.ravel(),
        "lam": packed.lam,
        "rate": 1 / packed.mu,
        "gradient": float(method.heads == "gradient"),
        "plain": eta * (method.heads == "plain"),
        "hold": 0.0 if packed.running else math.inf,
        "keep": 1 - eta * decay,
        "keep_head": 1.0 if method.heads == "frozen" else 1 - eta * decay,
        "eta": eta,
        "momentum": momentum,
        "ceiling": ceiling,
    }
    values: dict[str, float] = {}
    for name, value in given.items():
        if np.ndim(value):
            values |= {f"{name}{i}": float(one) for i, one in enumerate(value)}
        else:
            values[name] = float(value)
    assert set(values) == {*names(shape.state), *names(shape.constants)}
    found = written(shape, values, steps)
    peak = np.zeros(K)
    for _ in range(steps):
        squares = [np.sum(packed.Z[k, 2 * m :] ** 2) for k in range(K)]
        peak = np.maximum(peak, squares)
        gram.evaluate(packed.Z, *packed.model, excess, sigma, work, dZ)
        np.testing.assert_allclose(sigma, sigma_weights(excess - packed.base, packed.mu))
        frozen = method.heads == "frozen"
        gram.push(packed.Z, dZ, velocity, packed.sizes, eta, decay, frozen, momentum)

    def of(name: str, count: int) -> list[float]:
        return [found[f"{name}{i}"] for i in range(count)]

    np.testing.assert_allclose(of("Z", packed.Z.size), packed.Z.ravel(), rtol=1e-11, atol=1e-13)
    if momentum:
        last = eta * velocity.ravel()
        np.testing.assert_allclose(of("velocity", last.size), last, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(of("base", K), packed.base, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(of("sigma", K), sigma, rtol=1e-10)
    np.testing.assert_allclose(of("peak", K), peak, rtol=1e-12)
    assert (found["bad"], found["flips"]) == (0, 0)
    # Once the losses have reached the ceiling, `bad` stays.
    low = written(shape, values | {"ceiling": 1e-9}, 1)
    assert low["bad"] == 1
    assert written(shape, values | {"bad": 1.0}, 2)["bad"] == 1


@pytest.mark.parametrize("K", [2, 3])
def test_the_written_step_counts_flips_of_every_weight(K: int) -> None:
    problem = ms.generators.random_problem((1,) * K, seed=2, noise_variance=0.1)
    packed, (excess, sigma, work, dZ) = stepped(problem, ms.MIMO(lam=2.0, mu=0.1))
    gram.evaluate(packed.Z, *packed.model, excess, sigma, work, dZ)
    K, m, d, r = packed.sizes
    shape = Shape(K, m, d, r, False)
    values: dict[str, float] = dict.fromkeys([*names(shape.state), *names(shape.constants)], 0.0)
    for name, array in (
        ("Z", packed.Z),
        ("S", packed.S),
        ("joint", packed.joint),
        ("uni", packed.uni),
        ("base", packed.base),
    ):
        values |= {f"{name}{i}": float(one) for i, one in enumerate(array.ravel())}
    values |= {"rate": 10.0, "hold": math.inf, "ceiling": 1e9, "keep": 1.0, "keep_head": 1.0}
    for swing, back, counted in (
        (0.2, -0.3, True),
        (-0.2, 0.3, True),
        (0.2, 0.3, False),
        (0.05, -0.3, False),
        (0.3, -0.05, False),
        (0.0, 0.0, False),
    ):
        given = dict(values)
        for k in range(K):
            given |= {f"sigma{k}": float(sigma[k]) - swing, f"change{k}": back}
        found = written(shape, given, 1)
        assert found["flips"] == (K if counted else 0), (swing, back)
        for k in range(K):
            assert found[f"sigma{k}"] == pytest.approx(sigma[k])
            assert found[f"change{k}"] == pytest.approx(swing)


def test_rows_of_the_tables_stand_one_below_the_other() -> None:
    shape = Shape(2, 1, 3, 5, decay=True)
    assert shape.n == 5
    places = [*shape.state._asdict().values()]
    assert places == [
        *(slice(0, 50), slice(50, 50)),
        *(slice(50, 52), slice(52, 54), slice(54, 56), 56, slice(57, 59), 59),
    ]
    pushed = Shape(2, 1, 3, 5, decay=True, momentum=True).state
    assert (pushed.velocity, pushed.base) == (slice(50, 100), slice(100, 102))
    assert shape.state.height == 60
    constants = shape.constants
    assert (constants.S, constants.joint, constants.uni) == (
        slice(0, 36),
        slice(36, 42),
        slice(42, 48),
    )
    assert (constants.rule, constants.lam, constants.ceiling) == (slice(48, 48), 48, 57)
    assert constants.height == len(names(constants)) == 58
    of_rule = Shape(2, 1, 3, 5, True, ms.CAGrad().structure()).constants
    assert of_rule.rule == slice(48, 48 + 2 + 2 + 1)


def test_small_steps_are_written_out() -> None:
    """K (2m + d) r and m (K d)^2 up to 40."""
    for sizes, generated in (
        ((2, 1, 2, 5), True),
        ((2, 1, 3, 4), True),
        ((1, 1, 2, 10), True),
        ((1, 1, 39, 1), False),
        ((1, 1, 6, 5), True),
        ((1, 1, 6, 6), False),
        ((1, 1, 7, 1), False),
        ((41, 1, 1, 1), False),
        ((1, 10, 2, 1), True),
        ((1, 11, 2, 1), False),
    ):
        K, m, d, r = sizes
        assert Shape(K, m, d, r, False).generated is generated, sizes
