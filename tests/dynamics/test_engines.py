"""The engines agree with each other and with an independent network."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim.dynamics.engines import gram
from mimo_sim.dynamics.start import compact_factors
from mimo_sim.objective import mimo_objective, sigma_weights
from mimo_sim.solvers import Solver
from mimo_sim.testing import initial_weights, methods, mimo_methods, problems
from tests.dynamics.comparisons import FIGURE_1, METHODS, assert_identical, assert_same, safe_step
from tests.reference import Network, Parameters

pytestmark = pytest.mark.usefixtures("dynamic_sizes")


# ------------------------ against autograd


@given(st.data())
def test_gram_equals_autograd(data: st.DataObject) -> None:
    problem = data.draw(problems(num_modalities=st.integers(1, 4)))
    method = data.draw(methods(num_modalities=problem.num_modalities))
    # 12 is wider than any 2m + d drawn here.
    weights = data.draw(initial_weights(problem, width=st.sampled_from((2, 1, 5, 12)), scale=0.375))
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
    """The same comparison where the start is small and training goes all the way.

    So it is not about a network at rest.
    """
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


# ------------------------ against the raw network on samples


@pytest.mark.parametrize("engine", ["gram", "autograd"])
@given(data=st.data())
def test_engines_follow_the_raw_network_on_samples(engine: str, data: st.DataObject) -> None:
    """Losses, sigma, F, |grad F|^2, norms and maps, step by step.

    They are compared with complex-step derivatives of averages over a data set.
    """
    dims = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    m = data.draw(st.integers(1, 2))
    n = data.draw(st.integers(2, 9))  # fewer samples than inputs make singular moments
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
    if isinstance(method.f_star, str):
        network.f_star = estimate[method.f_star]
    else:
        network.f_star = np.broadcast_to(np.asarray(method.f_star), len(dims))
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
        # Losses are differences of averages of this size: their round-off is absolute.
        size = float(np.sum(y**2) / n) + 1
        for name, value in expected.items():
            np.testing.assert_allclose(
                row[name].values,
                value,
                rtol=1e-9,
                atol=1e-11 * size / min(method.mu, 1.0),
                err_msg=name,
            )
        parameters = network.step(parameters, eta, decay)


# ------------------------ the compiled loop against its sources


@given(st.data())
def test_compiled_arithmetic_equals_objective_and_its_own_python(data: st.DataObject) -> None:
    problem = data.draw(problems())
    method = data.draw(mimo_methods(num_modalities=problem.num_modalities))
    factors = compact_factors(problem, data.draw(initial_weights(problem)), 1.0)
    results = []
    for function in (gram.evaluate, gram.evaluate.py_func):
        packed = gram.Packed(problem, method, [z.copy() for z in factors])
        excess, sigma, work, dZ = packed.scratch()
        excess_mm, top = function(packed.Z, *packed.model, excess, sigma, work, dZ)
        results.append((excess_mm, top, excess, sigma, dZ, packed.base))
        gaps = excess - packed.base
        # Round-off of sums of some dozen terms of order one, divided by mu >= 1/8 in the softmax.
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
    # Another order of summation, 400 steps.
    assert_same(dynamic, ms.simulate(FIGURE_1, method, **settings), rtol=1e-12)


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
