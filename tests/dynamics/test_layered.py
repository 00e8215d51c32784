"""Networks of any depth and fusion layer, against single networks and the exact engines."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import mimo_sim as ms
from mimo_sim.dynamics.engines import _members, early
from mimo_sim.dynamics.engines.layered import learning_steps, simulate_layered
from mimo_sim.dynamics.layered import Architecture, Network, gaussian_weights, symmetric
from mimo_sim.dynamics.start import random_weights
from mimo_sim.solvers import Solver
from mimo_sim.studies._fusion import correlated_preference
from tests.dynamics.fusion_networks import METHODS, MIXED, PROBLEM, close, train_network

pytestmark = pytest.mark.usefixtures("dynamic_sizes")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


NETWORKS = [
    Architecture(depth, own, activation, readout)  # type: ignore[arg-type]
    for depth, own, readout in (
        (2, 1, "trunk"),
        (2, 2, "trunk"),
        (4, 1, "trunk"),
        (4, 1, "encoder"),
        (4, 2, "encoder"),
        (4, 3, "trunk"),
        (4, 4, "trunk"),
        (3, 3, "encoder"),
    )
    for activation in ("linear", "relu")
]


@pytest.mark.parametrize("architecture", NETWORKS, ids=str)
def test_a_member_of_the_batch_equals_its_own_autograd_run(architecture: Architecture) -> None:
    problem = ms.generators.random_problem(dims=(2, 1), seed=2, output_dim=2, noise_variance=0.05)
    methods: list[Solver] = [
        ms.Vanilla(),
        ms.MIMO(lam=2.0, mu=0.3),
        ms.MIMO(lam=1.0, mu=0.5, f_star="zero"),
    ]
    run = simulate_layered(
        problem,
        methods,
        architecture,
        step_size=0.05,
        steps=30,
        width=5,
        init_scale=1.5,
        seeds=2,
        samples=20,
    )
    sampled, data = _members.training_data(problem, 20, 0)
    scale = math.sqrt(20)
    inputs = [
        torch.tensor(scale * x[:, :d]) for x, d in zip(data["inputs"], problem.dims, strict=True)
    ]
    network = gaussian_weights(problem, architecture, 5, 1.5, 1)
    for i, method in enumerate(methods):
        f_star = np.zeros(2) if method.f_star == "zero" else sampled.unimodal_optima
        joint, uni = train_network(
            network,
            inputs,
            torch.tensor(scale * data["target"]),
            architecture,
            method,
            f_star,
            0.05,
            30,
        )
        close(run.loss_mm[0, i, 1], joint)
        close(run.loss_uni[0, i, 1], uni)
        # A comparison of networks that learn, or at least move.
        assert not np.isclose(joint[-1], joint[0], rtol=0.01)


@pytest.mark.parametrize(
    "method", [method for method in METHODS if method.heads != "plain"], ids=repr
)
def test_two_linear_layers_equal_the_exact_engines(method: Solver) -> None:
    settings: dict[str, Any] = {"step_size": 0.02, "steps": 150}
    late = random_weights(MIXED, 6, 0.4, 0)
    network = Network([[w, v] for v, _, w in late], [], [u for _, u, _ in late])
    mine = simulate_layered(MIXED, method, Architecture(), initial=[network], **settings)
    theirs = ms.simulate(MIXED, method, initial=late, **settings)
    V, U, W = early._random(MIXED, 6, 0.4, 0)
    joined = Network([[W[:, MIXED.features(k)]] for k in range(3)], [V], U)
    mine_early = simulate_layered(MIXED, method, Architecture(2, 1), initial=[joined], **settings)
    theirs_early = early.simulate_early(MIXED, method, initial=(V, U, W), **settings)
    for batch, other in ((mine, theirs), (mine_early, theirs_early)):
        one = batch.isel(problem=0, method=0, seed=0)
        for name in ("loss_mm", "loss_uni", "encoder_norm", *(["sigma"] if method.lam else [])):
            close(one[name], other[name])


@pytest.mark.parametrize("own", [1, 2])
@pytest.mark.parametrize("method", [ms.Vanilla(), ms.MIMO(lam=2.0, mu=0.25)], ids=repr)
def test_a_symmetric_two_layer_relu_network_is_a_linear_one_at_half_the_speed(
    own: int, method: Solver
) -> None:
    problem = ms.generators.superficial_preference(dims=(2, 3), scale=2.0)
    sampled, _ = _members.training_data(problem, 30, 0)
    network = gaussian_weights(problem, Architecture(2, own), 4, 0.1, 0)
    relu = simulate_layered(
        problem,
        method,
        Architecture(2, own, "relu"),
        initial=[symmetric(network)],
        samples=30,
        step_size=0.04,
        steps=400,
    )
    linear = simulate_layered(
        sampled, method, Architecture(2, own), initial=[network], step_size=0.02, steps=400
    )
    close(relu.loss_mm, linear.loss_mm)
    close(relu.loss_uni, linear.loss_uni)
    close(relu.response, linear.response)
    assert linear.excess_mm[0, 0, 0, -1] < 0.1 * linear.excess_mm[0, 0, 0, 0]


def test_members_do_not_depend_on_the_batch_and_one_that_diverges_does_so_alone() -> None:
    settings: dict[str, Any] = {
        "step_size": 0.15,
        "steps": 200,
        "width": 4,
        "init_scale": 0.5,
        "record_every": 30,
    }
    both = simulate_layered(
        [PROBLEM, correlated_preference(0.3)],
        [ms.Vanilla(), ms.MIMO(lam=500.0, mu=0.1)],
        Architecture(3, 2),
        seeds=2,
        **settings,
    )
    assert both.diverged.values.tolist() == [[[False] * 2, [True] * 2]] * 2
    assert both.step.values.tolist() == [0, 30, 60, 90, 120, 150, 180, 200]
    alone = simulate_layered(
        correlated_preference(0.3), ms.Vanilla(), Architecture(3, 2), seeds=2, **settings
    )
    close(both.loss_mm[1, 0], alone.loss_mm[0, 0])
    times = learning_steps(both)
    assert np.isnan(times[:, 1]).all()
    assert np.isfinite(times[:, 0]).all()


def test_the_record_of_given_weights_says_what_they_are() -> None:
    network = Architecture(3, 2)
    settings: dict[str, Any] = {"step_size": 0.05, "steps": 2}
    given = [gaussian_weights(PROBLEM, network, 7, 0.1, seed) for seed in (4, 2)]
    run = simulate_layered(PROBLEM, ms.Vanilla(), network, initial=given, **settings)
    assert run.attrs["width"] == 7
    assert np.isnan(run.attrs["init_scale"])
    assert run.attrs["start"] == "given"
    assert run.sizes["seed"] == 2
    assert "seed" not in run.coords  # their places in the list are no seeds
    drawn = simulate_layered(PROBLEM, ms.Vanilla(), network, width=7, init_scale=0.1, **settings)
    assert (drawn.attrs["width"], drawn.attrs["init_scale"]) == (7, 0.1)
    assert drawn.seed.values.tolist() == [0]


def test_given_weights_without_one_width_have_none_in_the_record() -> None:
    rng = np.random.default_rng(0)
    branches = [[rng.normal(size=(5, 1)), rng.normal(size=(3, 5))] for _ in range(2)]
    network = Network(branches, [rng.normal(size=(1, 3))], [rng.normal(size=(1, 3))] * 2)
    run = simulate_layered(
        PROBLEM, ms.Vanilla(), Architecture(3, 2), step_size=0.01, steps=1, initial=[network]
    )
    assert np.isnan(run.attrs["width"])


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"problems": []}, TypeError, "`problems` must be"),
    ({"problems": [PROBLEM, MIXED]}, ValueError, "`problems` must agree"),
    ({"methods": "mimo"}, TypeError, "`methods` must be"),
    ({"methods": ms.MIMO(heads="plain")}, ValueError, "heads='plain'"),
    ({"start": "zero"}, ValueError, "`start` must be one of"),
    ({"start": "aligned", "problems": MIXED}, ValueError, "needs scalar targets"),
    ({"step_size": 0.0}, ValueError, "`step_size`"),
    ({"seeds": 0}, ValueError, "`seeds` must be >= 1"),
    ({"seeds": 1_000_001}, ValueError, "`seeds` must be <= 1,000,000"),
    ({"steps": 0}, ValueError, "`steps` must be >= 1"),
    ({"width": 0}, ValueError, "`width` must be >= 1"),
    ({"record_every": 0}, ValueError, "`record_every` must be >= 1"),
    ({"init_scale": 0.0}, ValueError, "`init_scale` must be finite and > 0"),
    ({"progress": 1}, TypeError, "`progress` must be True or False"),
    ({"initial": 3}, TypeError, "`initial` must be a Network"),
    ({"samples": 5}, ValueError, "`samples` must be even"),
    ({"samples": 2}, ValueError, "`samples` must be >= 4"),
    ({"architecture": Architecture(activation="relu")}, ValueError, "`samples` is needed"),
    ({"architecture": "late"}, TypeError, "`architecture` must be an Architecture"),
    ({"initial": []}, ValueError, "`initial` must hold one Network or more"),
    (
        {"initial": [gaussian_weights(PROBLEM, Architecture(3, 3), 4, 0.1, 0)]},
        ValueError,
        r"with the layers of Architecture\(depth=2",
    ),
]


@pytest.mark.parametrize(("change", "error", "words"), BAD)
def test_training_refuses_bad_input(
    change: dict[str, Any], error: type[Exception], words: str
) -> None:
    arguments: dict[str, Any] = {
        "problems": PROBLEM,
        "methods": ms.Vanilla(),
        "architecture": Architecture(),
        "step_size": 0.1,
        "steps": 2,
    }
    with pytest.raises(error, match=words):
        simulate_layered(**(arguments | change))


def test_defaults_of_deep_training() -> None:
    parameters = inspect.signature(simulate_layered).parameters
    defaults = {n: p.default for n, p in parameters.items() if p.default is not p.empty}
    assert defaults == {
        "width": 32,
        "init_scale": 0.05,
        "seeds": 1,
        "start": "gaussian",
        "samples": None,
        "record_every": 1,
        "initial": None,
        "progress": False,
    }
    parameters = inspect.signature(learning_steps).parameters
    assert [parameters[name].default for name in ("fraction", "of", "converged")] == [
        0.5,
        "response",
        0.05,
    ]


def test_learning_needs_the_loss_to_have_fallen() -> None:
    """To a twentieth of its first value, or below."""
    excess = xr.DataArray([[1.0, 0.4, 0.0499], [1.0, 0.4, 0.0501]], dims=("seed", "step"))
    norm = xr.DataArray([[0.0, 0.8, 1.0]] * 2, dims=("seed", "step"))
    run = xr.Dataset({"response": norm, "excess_mm": excess}, {"step": [0, 5, 10]})
    first, second = learning_steps(run).values
    assert first == 5
    assert math.isnan(second)
    assert learning_steps(run, converged=0.06).values.tolist() == [5, 5]


def test_architectures_refuse_bad_input() -> None:
    for bad, words in (
        ({"depth": 1}, "`depth`"),
        ({"fusion_layer": 3}, "at most depth=2"),
        ({"activation": "tanh"}, "`activation`"),
        ({"readout": "all"}, "`readout`"),
    ):
        with pytest.raises(ValueError, match=words):
            Architecture(**bad)
    with pytest.raises(ValueError, match="two layers"):
        symmetric(gaussian_weights(PROBLEM, Architecture(3, 3), 2, 0.1, 0))
    with pytest.raises(ValueError, match="`fraction`"):
        learning_steps(xr.Dataset(), fraction=1.5)


def test_learning_is_measured_against_the_last_value() -> None:
    run = xr.Dataset(
        {
            "encoder_norm": (
                ("step", "modality"),
                [[0.1, 0.1], [0.5, 0.9], [0.8, 1.0], [1.0, 1.0]],
            ),
            "excess_mm": ("step", [1.0, 0.5, 0.1, 1e-5]),
        },
        {"step": [0, 10, 20, 30]},
    )
    assert learning_steps(run, of="encoder_norm").values.tolist() == [20, 10]
    assert learning_steps(run, fraction=0.2, of="encoder_norm").values.tolist() == [10, 10]
