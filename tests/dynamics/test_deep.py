"""Laws of deep fusion against their closed forms and against measurements."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim.dynamics.engines import early
from mimo_sim.dynamics.engines.layered import (
    simulate_layered,
)
from mimo_sim.dynamics.layered import Architecture, Network, aligned_weights, gaussian_weights
from mimo_sim.studies._fusion import correlated_preference, time_ratios
from mimo_sim.theory.deep import check_layers
from tests.dynamics.fusion_networks import PROBLEM

pytestmark = pytest.mark.usefixtures("dynamic_sizes")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@given(st.floats(0.01, 50))
def test_delay_factors_have_their_closed_forms(a: float) -> None:
    root = math.sqrt(2 * a)
    assert ms.theory.delay_factor(3, a) == pytest.approx(
        math.log((1 + a + root) / (1 + a - root)) / (2 * root), rel=1e-9
    )
    assert ms.theory.delay_factor(4, a) == pytest.approx(
        1 / (1 + a + math.sqrt(1 + a * a)), rel=1e-9
    )
    for depth in (3, 5, 8):
        # Heads that never help one another; always.
        assert (
            1 / (depth - 2) / math.hypot(1, a)
            > ms.theory.delay_factor(depth, a)
            > 1 / (depth - 2) / (1 + a)
        )


@settings(max_examples=20)
@given(st.floats(1.9, 6.0))
def test_thresholds_fall_with_depth_between_their_bounds(scale: float) -> None:
    problem = correlated_preference(0.0, scale)
    ratio = float(np.divide(*ms.theory.superficial_preference(problem).correlation))
    thresholds = [ms.theory.deep_order_threshold(problem, depth) for depth in (2, 3, 4, 6, 20)]
    assert thresholds[0] == pytest.approx(math.sqrt(ratio**2 - 1))
    assert (np.diff(thresholds) < 0).all()
    assert thresholds[-1] > ratio - 1
    assert ms.theory.deep_order_threshold(
        ms.generators.superficial_preference(scale=scale), 3
    ) == pytest.approx(thresholds[1], rel=1e-9)
    assert ms.theory.deep_order_threshold(early.joined(problem), 3) == 0


@pytest.mark.parametrize("depth", [3, 4])
def test_the_order_of_deep_late_fusion_turns_at_its_threshold(depth: int) -> None:
    """Emergence from the aligned start, 15% below and above the threshold.

    Finite u0 and mu move the threshold by a few per cent.
    """
    predicted = ms.theory.deep_order_threshold(PROBLEM, depth)
    methods = [ms.MIMO(lam=factor * predicted, mu=0.01) for factor in (0.85, 1.15)]
    scale = {3: 0.01, 4: 0.08}[depth]
    run = simulate_layered(
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
    """V + lam U grows like a joint head, at sqrt(1 + lam^2) times the rate.

    So with Gaussian starts the two-layer threshold holds at every depth.
    """
    lam, scale = 1.5, 0.01
    architecture = Architecture(depth, depth)
    network = gaussian_weights(PROBLEM, architecture, 12, scale, 0)
    speed = math.hypot(1, lam)
    rotated = [
        [*branch[:-1], (branch[-1] + lam * u) / speed]
        for branch, u in zip(network.branches, network.heads, strict=True)
    ]
    eta = {2: 0.02, 3: 0.5, 5: 2e3}[depth]  # the time scale is init_scale**(2 - depth)
    mimo = simulate_layered(
        PROBLEM,
        ms.MIMO(lam=lam, mu=0.005),
        architecture,
        initial=[network],
        step_size=eta,
        steps=60,
    )
    joint = simulate_layered(
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
    # Predictions are small but not zero; without the law they differ by a part of `grown`.
    np.testing.assert_allclose(mine, theirs, rtol=1e-3 * grown)


@pytest.mark.parametrize("own", [2, 3])
def test_the_time_ratio_of_deep_fusion_approaches_its_law(own: int) -> None:
    """[ZLS] at L = 3: late fusion keeps the two-layer ratio of times.

    Fusion one layer earlier shortens the uni-modal phase with u0.
    """
    architecture, scales = Architecture(3, own), (0.1, 0.03, 0.01)
    starts = [aligned_weights(PROBLEM, architecture, 1, scale) for scale in scales]
    run = simulate_layered(
        PROBLEM, ms.Vanilla(), architecture, initial=starts, step_size=0.1, steps=1100
    )
    measured = 1 / time_ratios(run)[0, 0].values - 1
    ratios = [ms.theory.deep_time_ratio(PROBLEM, 3, own, scale) for scale in scales]
    predicted = np.array(ratios) - 1
    error = np.abs(measured / predicted - 1)
    assert (np.diff(error) < 0).all()
    assert error[-1] < 0.15
    if own == 2:
        assert (np.diff(predicted) < 0).all()
    else:
        assert np.ptp(predicted) == 0


def test_time_ratios_where_they_are_known_without_integrals() -> None:
    assert ms.theory.deep_time_ratio(PROBLEM, 5, 1, 0.1) == 1
    assert ms.theory.deep_time_ratio(PROBLEM, 2, 2, 0.1) == ms.theory.time_ratio(PROBLEM)
    assert ms.theory.deep_time_ratio(PROBLEM, 5, 5, 0.1) == pytest.approx(
        ms.theory.time_ratio(PROBLEM), rel=1e-9
    )


# Correlated inputs, two of them in the first modality: |D|, |C| and |M| all differ from one.
PAIR = ms.LateFusionProblem.from_linear_model(
    [np.array([0.9, -0.3]), np.array([1.3])],
    [[np.diag([4.0, 1.0]), np.array([[0.5], [0.2]])], [np.array([[0.5, 0.2]]), np.eye(1)]],
)


@pytest.mark.parametrize(("depth", "own"), [(3, 2), (4, 2), (6, 2), (4, 3), (5, 3), (6, 4), (4, 4)])
def test_time_ratios_are_the_integrals_of_their_definition(depth: int, own: int) -> None:
    """By the trapezoidal rule in ln x, with the terms of the law written out once more."""
    u0 = 0.02
    c_a, c_b = (np.linalg.norm(cross) for cross in PAIR.sigma_yx)
    assert c_a > c_b
    s = c_b / c_a
    best = PAIR.sigma_yx[0] @ np.linalg.inv(PAIR.sigma[0][0])
    missing = np.linalg.norm(PAIR.sigma_yx[1] - best @ PAIR.sigma[0][1])
    log_x = np.linspace(0, 60, 400_001)
    x = np.exp(log_x)
    second = x**s if own == 2 else (s * x ** (2.0 - own) + 1 - s) ** (-1 / (own - 2))
    values = x ** (1.0 - own) * (x**2 + second**2 - 1) ** (-(depth - own) / 2)
    first_time = u0 ** (2 - depth) * np.trapezoid(values * x, log_x) / c_a
    shared = np.linalg.norm(best) ** ((depth - own) / depth)
    own_time = math.log(1 / u0) if own == 2 else u0 ** (2 - own) / (own - 2)
    expected = 1 + (1 - s) / (missing * shared) * own_time / first_time
    assert ms.theory.deep_time_ratio(PAIR, depth, own, u0) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("depth", [3, 4, 7])
def test_thresholds_solve_their_equation(depth: int) -> None:
    ratio = 1 / float(np.divide(*ms.theory.superficial_preference(PROBLEM).correlation))
    lam = ms.theory.deep_order_threshold(PROBLEM, depth)
    assert (depth - 2) * ms.theory.delay_factor(depth, lam) == pytest.approx(ratio, rel=1e-9)
    assert ms.theory.delay_factor(depth, 0.0) == pytest.approx(1 / (depth - 2), rel=1e-12)


def test_delays_are_the_integral_of_their_definition() -> None:
    log_x = np.linspace(-30, 60, 400_001)
    x = np.exp(log_x)
    for depth, a in ((5, 0.7), (6, 3.0), (9, 0.2)):
        values = (1 + 2 * (1 + a) * x + (1 + a * a) * x * x) ** (-(depth - 1) / 2)
        expected = np.trapezoid(values * x, log_x)
        assert ms.theory.delay_factor(depth, a) == pytest.approx(expected, rel=1e-7)


def test_fusion_in_the_first_layer_has_no_wait_and_limits_are_where_they_are_said() -> None:
    for depth in (2, 3, 5):
        assert ms.theory.deep_time_ratio(PAIR, depth, 1, 0.1) == 1
    assert ms.theory.deep_time_ratio(PAIR, 2, 2, 0.1) == ms.theory.time_ratio(PAIR)
    assert ms.theory.deep_time_ratio(PAIR, 5, 5, 1e-100) > 1  # u0**-3 = 1e300 is the largest
    with pytest.raises(ValueError, match=r"init_scale\*\*\(2 - depth\) is finite at depth=5"):
        ms.theory.deep_time_ratio(PAIR, 5, 5, 10**-100.2)
    alone = ms.LateFusionProblem([[1.0]], [0.5], 1.0)
    three = ms.generators.random_problem((1, 1, 1), seed=0)
    for problem in (alone, three):
        with pytest.raises(ValueError, match="is known for two modalities"):
            ms.theory.deep_time_ratio(problem, 3, 3, 0.1)


def test_layers_that_no_network_has_are_refused() -> None:
    for depth, own in ((2, 1), (2, 2), (7, 7)):
        check_layers(depth, own)
    for depth, own, words in (
        (1, 1, "`depth` must be >= 2"),
        (2, 0, "`fusion_layer` must be >= 1"),
        (2, 3, "`fusion_layer` must be at most depth=2"),
    ):
        with pytest.raises(ValueError, match=words):
            check_layers(depth, own)


def test_laws_of_deep_fusion_refuse_bad_input() -> None:
    with pytest.raises(ValueError, match="`depth` must be >= 2"):
        ms.theory.deep_order_threshold(PROBLEM, 1)
    with pytest.raises(ValueError, match="`depth` must be >= 3"):
        ms.theory.delay_factor(2, 1.0)
    with pytest.raises(ValueError, match="must not point away"):
        ms.theory.deep_time_ratio(correlated_preference(-0.9), 3, 3, 0.1)
