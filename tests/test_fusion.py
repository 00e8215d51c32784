"""Early, hybrid and deep fusion: exact against autograd, batches against single networks, laws against measurements."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim import plots
from mimo_sim.dynamics.engines import early
from mimo_sim.dynamics.engines import layered as fusion
from mimo_sim.dynamics.engines.layered import Architecture, Network
from mimo_sim.dynamics.start import random_weights
from mimo_sim.solvers import Solver
from mimo_sim.testing import problems

pytestmark = pytest.mark.usefixtures("dynamic_sizes")

ROUND_OFF = (
    1e-10  # relative; contracting runs of some hundred steps on numbers of order one keep 1e-13
)
PROBLEM = fusion.correlated_preference(0.0)
MIXED = ms.generators.random_problem(dims=(2, 1, 3), seed=4, output_dim=2, noise_variance=0.1)
METHODS: list[Solver] = [
    ms.Vanilla(),
    ms.Vanilla(heads="plain"),
    ms.MIMO(lam=2.0, mu=0.25),
    ms.MIMO(lam=2.0, mu=0.25, heads="plain"),
    ms.MIMO(lam=3.0, mu=0.5, f_star="running_minimum"),
    ms.MIMO(lam=1.0, mu=0.5, f_star=(0.1, 0.2, 0.0)),
]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def close(mine: Any, theirs: Any, rtol: float = ROUND_OFF) -> None:
    np.testing.assert_allclose(
        mine, theirs, rtol=0, atol=rtol * max(float(np.max(np.abs(theirs))), 1e-6)
    )


# ------------------------------------------------------------------------------------------ independent networks


def samples_of(
    problem: ms.LateFusionProblem,
) -> tuple[ms.LateFusionProblem, list[torch.Tensor], torch.Tensor]:
    inputs, y = problem.sample(40, seed=3)
    return (
        ms.LateFusionProblem.from_samples(inputs, y),
        [torch.tensor(x) for x in inputs],
        torch.tensor(y),
    )


def half_mean_square(residual: torch.Tensor) -> torch.Tensor:
    return 0.5 * (residual**2).sum() / len(residual)


def total_objective(
    f_mm: torch.Tensor, f: list[torch.Tensor], method: Solver, f_star: torch.Tensor
) -> torch.Tensor:
    return (
        f_mm + method.lam * method.mu * torch.logsumexp((torch.stack(f) - f_star) / method.mu, 0)
        if method.lam
        else f_mm
    )


def train_early(
    problem: ms.LateFusionProblem,
    method: Solver,
    weights: Any,
    eta: float,
    steps: int,
    decay: float,
) -> tuple[list[float], list[Any], list[Any]]:
    """Early fusion as one torch network on samples with zeros for what a modality does not see. Returns f_mm, the f_k and |W_k| at every step."""
    exact, inputs, y = samples_of(problem)
    V, U, W = (
        torch.tensor(weights[0]),
        [torch.tensor(u) for u in weights[1]],
        torch.tensor(weights[2]),
    )
    parameters = [V, *U, W]
    for p in parameters:
        p.requires_grad_(True)
    x = torch.cat(inputs, 1)
    masked = [
        torch.cat(
            [other if j == k else torch.zeros_like(other) for j, other in enumerate(inputs)], 1
        )
        for k in range(len(inputs))
    ]
    f_star = torch.tensor(
        np.broadcast_to(
            exact.unimodal_optima if isinstance(method.f_star, str) else method.f_star, len(inputs)
        ).copy()
    )
    lowest = torch.full_like(f_star, math.inf)
    history: tuple[list[float], list[Any], list[Any]] = ([], [], [])
    for _ in range(steps + 1):
        f_mm, f = (
            half_mean_square(y - x @ W.T @ V.T),
            [half_mean_square(y - own @ W.T @ u.T) for own, u in zip(masked, U, strict=True)],
        )
        lowest = torch.minimum(lowest, torch.stack(f).detach())
        slopes = list(
            torch.autograd.grad(
                total_objective(
                    f_mm, f, method, lowest if method.f_star == "running_minimum" else f_star
                ),
                parameters,
                retain_graph=True,
                allow_unused=True,
            )
        )
        if method.heads == "plain":
            slopes[1:-1] = torch.autograd.grad(sum(f[1:], f[0]), U)
        history[0].append(float(f_mm.detach()))
        history[1].append([float(each.detach()) for each in f])
        history[2].append(
            [float(W[:, problem.features(k)].norm().detach()) for k in range(len(inputs))]
        )
        with torch.no_grad():
            for i, (p, slope) in enumerate(zip(parameters, slopes, strict=True)):
                if method.heads != "frozen" or not 1 <= i <= len(U):
                    p.mul_(1 - eta * decay)
                if slope is not None:
                    p.sub_(eta * slope)
    return history


def train_network(
    network: Network,
    inputs: list[torch.Tensor],
    y: torch.Tensor,
    architecture: Architecture,
    method: Solver,
    f_star: np.ndarray,
    eta: float,
    steps: int,
) -> tuple[list[float], list[Any]]:
    """One fusion network, modality by modality, fed with zeros for masked inputs. Returns f_mm and the f_k at every step."""
    branches = [
        [torch.tensor(w, requires_grad=True) for w in branch] for branch in network.branches
    ]
    trunk, heads = (
        [torch.tensor(w, requires_grad=True) for w in network.trunk],
        [torch.tensor(u, requires_grad=True) for u in network.heads],
    )
    act = torch.relu if architecture.activation == "relu" else (lambda z: z)
    every, parameters = (
        range(len(inputs)),
        [*[w for branch in branches for w in branch], *trunk, *heads],
    )
    f_starred = torch.tensor(f_star)

    def hidden(seen: list[torch.Tensor]) -> list[torch.Tensor]:
        """Activations from the fusion on; the last entry is the joint prediction."""
        ends = []
        for x, branch in zip(seen, branches, strict=True):
            z = x @ branch[0].T
            for w in branch[1:]:
                z = act(z) @ w.T
            ends.append(z)
        stages = [sum(ends[1:], ends[0])]
        for w in trunk:
            stages.append(act(stages[-1]) @ w.T)
        return stages

    def alone(k: int) -> torch.Tensor:
        if architecture.fusion_layer == architecture.depth:
            z = inputs[k] @ branches[k][0].T
            for w in branches[k][1:-1]:
                z = act(z) @ w.T
        else:
            stages = hidden([x if j == k else torch.zeros_like(x) for j, x in enumerate(inputs)])
            z = stages[-2] if architecture.readout == "trunk" else stages[0]
        return act(z) @ heads[k].T

    joint, uni = [], []
    for _ in range(steps + 1):
        f_mm, f = (
            half_mean_square(y - hidden(inputs)[-1]),
            [half_mean_square(y - alone(k)) for k in every],
        )
        joint.append(float(f_mm.detach()))
        uni.append([float(each.detach()) for each in f])
        slopes = torch.autograd.grad(
            total_objective(f_mm, f, method, f_starred), parameters, allow_unused=True
        )
        with torch.no_grad():
            for p, slope in zip(parameters, slopes, strict=True):
                if slope is not None:
                    p.sub_(eta * slope)
    return joint, uni


# ------------------------------------------------------------------------------------------ early fusion, exact


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("width", [3, 30])
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_early_fusion_equals_autograd_on_the_full_network(
    method: Solver, width: int, decay: float
) -> None:
    exact, _, _ = samples_of(MIXED)
    weights = early._random(MIXED, width, 0.5, 1)
    eta = 0.02
    run = early.simulate_early(
        exact, method, initial=weights, steps=150, step_size=eta, weight_decay=decay
    )
    f_mm, f, norms = train_early(MIXED, method, weights, eta, 150, decay)
    close(run.loss_mm, f_mm)
    close(run.loss_uni, f)
    close(run.encoder_norm, norms)
    assert f_mm[-1] - exact.joint_optimum < 0.5 * (f_mm[0] - exact.joint_optimum)


@given(st.data())
def test_joint_training_of_early_fusion_is_that_of_one_modality(data: st.DataObject) -> None:
    problem = data.draw(problems(num_modalities=st.integers(1, 3)))
    V, U, W = early._random(
        problem, data.draw(st.integers(1, 9)), 0.3, data.draw(st.integers(0, 99))
    )
    single = early.joined(problem)
    eta = early.default_step_size(problem, ms.Vanilla(), init_norm_squared=4.0)
    mine = early.simulate_early(problem, ms.Vanilla(), initial=(V, U, W), step_size=eta, steps=40)
    theirs = ms.simulate(single, ms.Vanilla(), initial=[(V, U[0], W)], step_size=eta, steps=40)
    close(mine.excess_mm, theirs.excess_mm)
    close(mine.grad_norm_sq, theirs.grad_norm_sq)
    close(np.linalg.norm(mine.encoder_norm, axis=1), theirs.encoder_norm[:, 0])


@pytest.mark.parametrize("lam", [0.0, 1.0, 4.0])
def test_the_default_step_decreases_the_objective_all_the_way(lam: float) -> None:
    run = early.simulate_early(
        fusion.correlated_preference(0.5), ms.MIMO(lam=lam, mu=0.02), init_scale=0.1, steps=3000
    )
    assert (np.diff(run.objective) <= 1e-12).all()
    descent = run.objective[:-1].values - run.objective[1:].values
    assert (
        descent >= 0.5 * run.attrs["step_size"] * run.grad_norm_sq[:-1] - 1e-12
    ).all()  # what eta <= 1/L guarantees; wrong gradients would break it
    assert run.excess_mm[-1] < 0.05 * run.excess_mm[0]


@pytest.mark.parametrize("lam", [0.0, 1.0, 3.0])
@pytest.mark.parametrize(
    "problem",
    [PROBLEM, fusion.correlated_preference(0.4), ms.generators.random_problem(dims=(3, 2), seed=1)],
    ids=["scalar", "rho", "vector"],
)
def test_early_fusion_grows_along_the_singular_directions(
    problem: ms.LateFusionProblem, lam: float
) -> None:
    """Rate and direction of the encoder while it is small; the second mode has died off by exp(-(s1 - s2) t)."""
    mu, eta, u0 = 1e-3, 1e-3, 1e-60
    matrix = early.growth_matrix(problem, lam, mu)
    _, rates, directions = np.linalg.svd(matrix)
    steps = int(60 / rates[0] / eta)
    run = early.simulate_early(
        problem,
        ms.MIMO(lam=lam, mu=mu),
        step_size=eta,
        steps=steps,
        width=math.inf,
        init_scale=u0,
        record_every=steps // 2,
    )
    norms = np.linalg.norm(run.encoder_norm, axis=1)
    grown = np.log(norms[2] / norms[1]) / (run.step[2] - run.step[1]).item()
    assert grown == pytest.approx(math.log1p(eta * rates[0]), rel=1e-6)
    share = np.array([np.linalg.norm(directions[0][problem.features(k)]) for k in range(2)])
    left = math.exp(-(rates[0] - rates[1]) / rates[0] * 60)
    np.testing.assert_allclose(run.encoder_norm[-1] / norms[-1], share, atol=1e-6 + left)


def test_early_fusion_has_no_unimodal_phase_and_late_fusion_has_one() -> None:
    """[ZLS]: the early-fusion ratio of learning times tends to 1 as 1/ln(1/u0), the late-fusion one to time_ratio."""
    distance, late = [], []
    for scale in (1e-6, 1e-12, 1e-24, 1e-48):
        settings: dict[str, Any] = {
            "step_size": 0.02,
            "steps": int(60 * math.log(1 / scale)),
            "width": math.inf,
            "init_scale": scale,
        }
        distance.append(
            abs(
                float(
                    fusion.time_ratios(
                        early.simulate_early(PROBLEM, ms.Vanilla(), **settings), of="encoder_norm"
                    )
                )
                - 1
            )
            * math.log(1 / scale)
        )
        late.append(
            1
            / float(
                fusion.time_ratios(
                    ms.simulate(PROBLEM, ms.Vanilla(), **settings), of="encoder_norm"
                )
            )
        )
    assert max(distance) < 1.1 * min(distance) < 3
    assert late[-1] == pytest.approx(ms.theory.time_ratio(PROBLEM), rel=0.02)


def test_a_penalty_brings_an_order_into_early_fusion() -> None:
    """Without it both encoders grow in one mode; a large one empties that mode of A as 1/lam^4."""
    shares = []
    for lam in (0.0, 10.0, 20.0):
        vector = np.linalg.svd(early.growth_matrix(PROBLEM, lam, 1e-3))[2][0]
        shares.append(vector[0] ** 2)
    C = [float(np.linalg.norm(cross)) for cross in PROBLEM.sigma_yx]
    assert shares[0] == pytest.approx(C[0] ** 2 / (C[0] ** 2 + C[1] ** 2))
    assert shares[1] / shares[2] == pytest.approx(16, rel=0.1)


BAD_EARLY: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"problem": 3}, TypeError, "`problem` must be a LateFusionProblem"),
    ({"method": "mimo"}, TypeError, "`method` must be"),
    ({"steps": 0}, ValueError, "`steps` must be >= 1"),
    ({"step_size": -1.0}, ValueError, "`step_size`"),
    ({"width": 0}, ValueError, "`width` must be >= 1"),
    ({"init_scale": 0.0}, ValueError, "`init_scale`"),
    ({"initial": (1, 2)}, TypeError, "`initial` must be"),
    (
        {"initial": (np.ones((1, 2)), [np.ones((1, 2))], np.ones((2, 2)))},
        ValueError,
        "`initial` must be .* of shapes",
    ),
]


@pytest.mark.parametrize(("change", "error", "words"), BAD_EARLY)
def test_early_fusion_refuses_bad_input(
    change: dict[str, Any], error: type[Exception], words: str
) -> None:
    arguments: dict[str, Any] = {"problem": PROBLEM, "method": ms.Vanilla(), "steps": 5}
    with pytest.raises(error, match=words):
        early.simulate_early(**(arguments | change))


def test_early_fusion_says_when_it_diverges_or_chatters() -> None:
    with pytest.raises(ms.DivergenceError, match="too large") as caught:
        early.simulate_early(PROBLEM, ms.Vanilla(), step_size=5.0, init_scale=0.5, steps=200)
    assert 0 < caught.value.step < 200
    assert np.isfinite(caught.value.trajectory.loss_mm).all()
    with pytest.warns(ms.ChatteringWarning, match="flips"):
        early.simulate_early(
            PROBLEM, ms.MIMO(lam=5.0, mu=1e-5), step_size=5e-3, init_scale=0.3, steps=3000
        )


# ------------------------------------------------------------------------------------------ any network, in batches

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
    run = fusion.train(
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
    sampled, data = fusion._data(problem, 20, 0)
    scale = math.sqrt(20)
    inputs = [
        torch.tensor(scale * x[:, :d]) for x, d in zip(data["inputs"], problem.dims, strict=True)
    ]
    network = fusion.gaussian_weights(problem, architecture, 5, 1.5, 1)
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
        assert not np.isclose(
            joint[-1], joint[0], rtol=0.01
        )  # a comparison of networks that learn, or at least move


@pytest.mark.parametrize(
    "method", [method for method in METHODS if method.heads != "plain"], ids=repr
)
def test_two_linear_layers_equal_the_exact_engines(method: Solver) -> None:
    settings: dict[str, Any] = {"step_size": 0.02, "steps": 150}
    late = random_weights(MIXED, 6, 0.4, 0)
    network = Network([[w, v] for v, _, w in late], [], [u for _, u, _ in late])
    mine, theirs = (
        fusion.train(MIXED, method, Architecture(), initial=[network], **settings)[
            {"problem": 0, "method": 0, "seed": 0}
        ],
        ms.simulate(MIXED, method, initial=late, **settings),
    )
    V, U, W = early._random(MIXED, 6, 0.4, 0)
    joined = Network([[W[:, MIXED.features(k)]] for k in range(3)], [V], U)
    mine_early, theirs_early = (
        fusion.train(MIXED, method, Architecture(2, 1), initial=[joined], **settings)[
            {"problem": 0, "method": 0, "seed": 0}
        ],
        early.simulate_early(MIXED, method, initial=(V, U, W), **settings),
    )
    for one, other in ((mine, theirs), (mine_early, theirs_early)):
        for name in ("loss_mm", "loss_uni", "encoder_norm", *(["sigma"] if method.lam else [])):
            close(one[name], other[name])


@pytest.mark.parametrize("own", [1, 2])
@pytest.mark.parametrize("method", [ms.Vanilla(), ms.MIMO(lam=2.0, mu=0.25)], ids=repr)
def test_a_symmetric_two_layer_relu_network_is_a_linear_one_at_half_the_speed(
    own: int, method: Solver
) -> None:
    problem = ms.generators.superficial_preference(dims=(2, 3), scale=2.0)
    sampled, _ = fusion._data(problem, 30, 0)
    network = fusion.gaussian_weights(problem, Architecture(2, own), 4, 0.1, 0)
    relu = fusion.train(
        problem,
        method,
        Architecture(2, own, "relu"),
        initial=[fusion.symmetric(network)],
        samples=30,
        step_size=0.04,
        steps=400,
    )
    linear = fusion.train(
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
    both = fusion.train(
        [PROBLEM, fusion.correlated_preference(0.3)],
        [ms.Vanilla(), ms.MIMO(lam=500.0, mu=0.1)],
        Architecture(3, 2),
        seeds=2,
        **settings,
    )
    assert both.diverged.values.tolist() == [[[False] * 2, [True] * 2]] * 2
    assert both.step.values.tolist() == [0, 30, 60, 90, 120, 150, 180, 200]
    alone = fusion.train(
        fusion.correlated_preference(0.3), ms.Vanilla(), Architecture(3, 2), seeds=2, **settings
    )
    close(both.loss_mm[1, 0], alone.loss_mm[0, 0])
    times = fusion.learning_steps(both)
    assert np.isnan(times[:, 1]).all()
    assert np.isfinite(times[:, 0]).all()


# ------------------------------------------------------------------------------------------ laws of deep fusion


@given(st.floats(0.01, 50))
def test_delay_factors_have_their_closed_forms(a: float) -> None:
    root = math.sqrt(2 * a)
    assert fusion.delay_factor(3, a) == pytest.approx(
        math.log((1 + a + root) / (1 + a - root)) / (2 * root), rel=1e-9
    )
    assert fusion.delay_factor(4, a) == pytest.approx(1 / (1 + a + math.sqrt(1 + a * a)), rel=1e-9)
    for depth in (3, 5, 8):
        assert (
            1 / (depth - 2) / math.hypot(1, a)
            > fusion.delay_factor(depth, a)
            > 1 / (depth - 2) / (1 + a)
        )  # heads that never help one another; always


@settings(max_examples=20)
@given(st.floats(1.9, 6.0))
def test_thresholds_fall_with_depth_between_their_bounds(scale: float) -> None:
    problem = fusion.correlated_preference(0.0, scale)
    ratio = float(np.divide(*ms.theory.superficial_preference(problem).correlation))
    thresholds = [fusion.deep_order_threshold(problem, depth) for depth in (2, 3, 4, 6, 20)]
    assert thresholds[0] == pytest.approx(math.sqrt(ratio**2 - 1))
    assert (np.diff(thresholds) < 0).all()
    assert thresholds[-1] > ratio - 1
    assert fusion.deep_order_threshold(
        ms.generators.superficial_preference(scale=scale), 3
    ) == pytest.approx(thresholds[1], rel=1e-9)
    assert fusion.deep_order_threshold(early.joined(problem), 3) == 0


@pytest.mark.parametrize("depth", [3, 4])
def test_the_order_of_deep_late_fusion_turns_at_its_threshold(depth: int) -> None:
    """Emergence from the aligned start, 15% on either side; finite u0 and mu move the threshold by a few per cent."""
    predicted = fusion.deep_order_threshold(PROBLEM, depth)
    methods = [ms.MIMO(lam=factor * predicted, mu=0.01) for factor in (0.85, 1.15)]
    scale = {3: 0.01, 4: 0.08}[depth]
    run = fusion.train(
        PROBLEM,
        methods,
        Architecture(depth, depth),
        step_size=0.1,
        steps=700,
        width=1,
        init_scale=scale,
        start="aligned",
    )
    response = run.response.values[0, :, 0]
    ahead = (response >= 0.2).any(-1).argmax(-1)
    first = [int(response[i, step].argmax()) for i, step in enumerate(ahead)]
    assert (ahead > 50).all()
    assert first == [0, 1]


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_near_the_origin_the_rule_is_joint_training_with_rotated_heads(depth: int) -> None:
    """V + lam U grows like a joint head at sqrt(1 + lam^2) times the rate, so with Gaussian starts the two-layer threshold holds at every depth."""
    lam, scale = 1.5, 0.01
    architecture = Architecture(depth, depth)
    network = fusion.gaussian_weights(PROBLEM, architecture, 12, scale, 0)
    speed = math.hypot(1, lam)
    rotated = [
        [*branch[:-1], (branch[-1] + lam * u) / speed]
        for branch, u in zip(network.branches, network.heads, strict=True)
    ]
    eta = {2: 0.02, 3: 0.5, 5: 2e3}[depth]  # the time scale is init_scale**(2 - depth)
    mimo = fusion.train(
        PROBLEM,
        ms.MIMO(lam=lam, mu=0.005),
        architecture,
        initial=[network],
        step_size=eta,
        steps=60,
    )
    joint = fusion.train(
        PROBLEM,
        ms.Vanilla(),
        architecture,
        initial=[Network(rotated, [], network.heads)],
        step_size=eta * speed,
        steps=60,
    )
    mine, theirs = (run.encoder_norm.values[0, 0, 0, :, 1] for run in (mimo, joint))
    grown = mine[-1] / mine[0] - 1
    assert grown > 0.02
    np.testing.assert_allclose(
        mine, theirs, rtol=1e-3 * grown
    )  # predictions are small but not zero; without the law they differ by a part of `grown`


@pytest.mark.parametrize("own", [2, 3])
def test_the_time_ratio_of_deep_fusion_approaches_its_law(own: int) -> None:
    """[ZLS] at L = 3: late fusion keeps the two-layer ratio, fusion one layer earlier shortens the uni-modal phase with u0."""
    architecture, scales = Architecture(3, own), (0.1, 0.03, 0.01)
    starts = [fusion.aligned_weights(PROBLEM, architecture, 1, scale) for scale in scales]
    run = fusion.train(
        PROBLEM, ms.Vanilla(), architecture, initial=starts, step_size=0.1, steps=1100
    )
    measured = 1 / fusion.time_ratios(run)[0, 0].values - 1
    predicted = (
        np.array([fusion.deep_time_ratio(PROBLEM, architecture, scale) for scale in scales]) - 1
    )
    error = np.abs(measured / predicted - 1)
    assert (np.diff(error) < 0).all()
    assert error[-1] < 0.15
    assert (np.diff(predicted) < 0).all() if own == 2 else np.ptp(predicted) == 0


def test_time_ratios_where_they_are_known_without_integrals() -> None:
    assert fusion.deep_time_ratio(PROBLEM, Architecture(5, 1), 0.1) == 1
    assert fusion.deep_time_ratio(PROBLEM, Architecture(2, 2), 0.1) == ms.theory.time_ratio(PROBLEM)
    assert fusion.deep_time_ratio(PROBLEM, Architecture(5, 5), 0.1) == pytest.approx(
        ms.theory.time_ratio(PROBLEM), rel=1e-9
    )


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"problems": []}, TypeError, "`problems` must be"),
    ({"problems": [PROBLEM, MIXED]}, ValueError, "`problems` must agree"),
    ({"methods": "mimo"}, TypeError, "`methods` must be"),
    ({"methods": ms.MIMO(heads="plain")}, ValueError, "heads='plain'"),
    ({"start": "zero"}, ValueError, "`start` must be one of"),
    ({"start": "aligned", "problems": MIXED}, ValueError, "needs scalar targets"),
    ({"step_size": 0.0}, ValueError, "`step_size`"),
    ({"seeds": 0}, ValueError, "`seeds` must be >= 1"),
    ({"samples": 5}, ValueError, "`samples` must be even"),
    ({"samples": 2}, ValueError, "`samples` must be >= 4"),
    ({"architecture": Architecture(activation="relu")}, ValueError, "`samples` is needed"),
    ({"architecture": "late"}, TypeError, "`architecture` must be an Architecture"),
    ({"initial": []}, ValueError, "`initial` must hold one Network or more"),
    (
        {"initial": [fusion.gaussian_weights(PROBLEM, Architecture(3, 3), 4, 0.1, 0)]},
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
        fusion.train(**(arguments | change))


def test_architectures_and_laws_refuse_bad_input() -> None:
    for bad, words in (
        ({"depth": 1}, "`depth`"),
        ({"fusion_layer": 3}, "at most depth=2"),
        ({"activation": "tanh"}, "`activation`"),
        ({"readout": "all"}, "`readout`"),
    ):
        with pytest.raises(ValueError, match=words):
            Architecture(**bad)
    with pytest.raises(ValueError, match="`depth` must be >= 3"):
        fusion.delay_factor(2, 1.0)
    with pytest.raises(ValueError, match="must not point away"):
        fusion.deep_time_ratio(fusion.correlated_preference(-0.9), Architecture(3, 3), 0.1)
    with pytest.raises(ValueError, match="two layers"):
        fusion.symmetric(fusion.gaussian_weights(PROBLEM, Architecture(3, 3), 2, 0.1, 0))
    with pytest.raises(ValueError, match="`fraction`"):
        fusion.learning_steps(xr.Dataset(), fraction=1.5)


# ------------------------------------------------------------------------------------------ studies, figures, command


@pytest.fixture
def small_studies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The studies with a few steps of tiny networks: their shapes, not their findings."""
    train, study = fusion.train, fusion.early_study
    monkeypatch.setattr(
        fusion, "train", lambda *args, **kwargs: train(*args, **(kwargs | {"steps": 3}))
    )
    monkeypatch.setattr(
        fusion,
        "early_study",
        lambda lams, rhos, **kwargs: study(
            [0.0, 2.0], [-0.3, 0.0, 0.3], **(kwargs | {"init_scale": 1e-3})
        ),
    )


@pytest.mark.slow
@pytest.mark.usefixtures("small_studies")
def test_the_command_writes_figures_and_strict_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import warnings

    from mimo_sim.commands.fusion import fusion as command

    monkeypatch.setenv("COLUMNS", "200")
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="All-NaN", category=RuntimeWarning
        )  # three steps learn nothing
        command(out=tmp_path, seeds=2, mu=0.05)
    names = [
        f"fusion_{name}{suffix}"
        for name in ("depth", "early", "relu")
        for suffix in (".json", ".png")
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    stored = json.loads((tmp_path / "fusion_depth.json").read_text())
    assert stored["command"].startswith("mimo-sim study fusion")
    assert stored["data"]["predicted_threshold"]["values"][1][0] == pytest.approx(
        ms.theory.order_threshold(PROBLEM)
    )
    assert "reverses the order" in capsys.readouterr().out
    with pytest.raises(ValueError, match="`seeds` must be >= 1"):
        command(out=tmp_path, seeds=0)


def test_the_early_study_measures_what_theory_predicts(tmp_path: Path) -> None:
    data = fusion.early_study([0.0, 3.0], [-0.3, 0.3], init_scale=1e-6)
    np.testing.assert_allclose(data.share, data.predicted_share, atol=0.01)
    ratio = data.time_ratio
    assert (ratio.sel(fusion="late", lam=0.0) < 0.9).all()
    assert (ratio.sel(fusion="late", lam=3.0) > 1.2).all()
    assert (abs(np.log(ratio.sel(fusion="early"))) < abs(np.log(ratio.sel(fusion="late")))).all()
    plots.write(plots.draw_early(data), tmp_path / "early.png")
    assert (tmp_path / "early.png").read_bytes().startswith(b"\x89PNG")


def test_crossings_are_interpolated() -> None:
    assert fusion.first_crossing(
        np.array([0.0, 1.0, 2.0]), np.array([0.5, 0.8, 1.25])
    ) == pytest.approx(1.5)
    assert math.isnan(fusion.first_crossing(np.array([0.0, 1.0]), np.array([0.5, 0.8])))
    assert math.isnan(fusion.first_crossing(np.array([0.0, 1.0]), np.array([1.5, np.nan])))
