"""The smoothed maximum and its weights: bounds, derivatives, types; the frozen hyper-parameters."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import mimo_sim as ms
from mimo_sim.objective import mimo_objective, running_minimum, sigma_weights, smoothed_maximum
from mimo_sim.solvers import initial_f_star
from mimo_sim.testing import eighths

GAPS = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=5),
    elements=eighths(-80, 80),
)
MU = eighths(1, 80)


@given(GAPS, MU)
def test_between_the_maximum_and_mu_log_k_above_it(gaps: np.ndarray, mu: float) -> None:
    smooth, top = smoothed_maximum(gaps, mu), gaps.max(-1)
    slack = 1e-14 * (1 + np.abs(top))  # one rounding of numbers up to 10 + 10 log 5
    assert smooth.shape == gaps.shape[:-1]
    assert (smooth >= top - slack).all()
    assert (smooth <= top + mu * math.log(gaps.shape[-1]) + slack).all()


@given(GAPS, MU)
def test_sigma_is_a_distribution_that_favours_the_largest_gap(gaps: np.ndarray, mu: float) -> None:
    sigma = sigma_weights(gaps, mu)
    assert sigma.shape == gaps.shape
    assert (sigma >= 0).all()
    np.testing.assert_allclose(sigma.sum(-1), 1, rtol=1e-14)
    assert (
        np.take_along_axis(sigma, gaps.argmax(-1, keepdims=True), -1)
        == sigma.max(-1, keepdims=True)
    ).all()


@pytest.mark.parametrize("ratio", [1.0, 500.0, 709.0, 710.0, 1e4, 1e6, 1e300])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_no_overflow(ratio: float, sign: float) -> None:
    """exp(gap / mu) alone overflows beyond 709; pytest turns any overflow warning into an error."""
    mu = 0.01
    gaps = np.array([sign * ratio * mu, 0.0])
    smooth, sigma = smoothed_maximum(gaps, mu), sigma_weights(gaps, mu)
    expected = max(gaps) + mu * math.log1p(math.exp(-ratio))
    # the logarithm of 1 + exp(-ratio) keeps what exceeds 1e-16 of mu
    np.testing.assert_allclose(smooth, expected, rtol=1e-14, atol=1e-17)
    shares = np.array([1.0, math.exp(-ratio)])[:: int(sign)] / (1 + math.exp(-ratio))
    # ratios round; numbers below 1e-300 are denormal
    np.testing.assert_allclose(sigma, shares, rtol=1e-11, atol=1e-300)
    tensor = torch.tensor(gaps, requires_grad=True)
    smoothed_maximum(tensor, mu).backward()
    assert tensor.grad is not None
    np.testing.assert_allclose(tensor.grad.numpy(), sigma, rtol=1e-14, atol=1e-300)


@given(GAPS, MU)
def test_sigma_is_the_gradient_by_autograd(gaps: np.ndarray, mu: float) -> None:
    tensor = torch.tensor(gaps, requires_grad=True)
    smoothed_maximum(tensor, mu).sum().backward()
    assert tensor.grad is not None
    np.testing.assert_allclose(tensor.grad.numpy(), sigma_weights(gaps, mu), rtol=1e-13, atol=1e-15)


@given(hnp.arrays(np.float64, st.integers(1, 5), elements=eighths(-16, 16)), eighths(2, 16))
def test_sigma_is_the_gradient_by_central_differences(gaps: np.ndarray, mu: float) -> None:
    h = 1e-4 * mu
    slopes = [
        (smoothed_maximum(gaps + h * e, mu) - smoothed_maximum(gaps - h * e, mu)) / (2 * h)
        for e in np.eye(len(gaps))
    ]
    # The third derivative is at most 1 / mu^2, so the error is below (h / mu)^2 / 6 = 2e-9.
    # Round-off is below 4e-16 / h = 2e-11.
    np.testing.assert_allclose(slopes, sigma_weights(gaps, mu), rtol=0, atol=1e-8)


@given(GAPS, MU)
def test_numpy_and_torch_agree(gaps: np.ndarray, mu: float) -> None:
    for function in (smoothed_maximum, sigma_weights):
        np.testing.assert_allclose(
            function(torch.tensor(gaps), mu).numpy(), function(gaps, mu), rtol=1e-13, atol=1e-15
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_comes_in_goes_out(dtype: str) -> None:
    values = [[0.1, 0.2], [0.3, 0.0]]
    array, tensor = np.array(values, dtype=dtype), torch.tensor(values, dtype=getattr(torch, dtype))
    assert running_minimum(array, array).dtype == array.dtype
    for function in (smoothed_maximum, sigma_weights):
        assert function(array, 0.1).dtype == array.dtype
    for result in (
        smoothed_maximum(tensor, 0.1),
        sigma_weights(tensor, 0.1),
        running_minimum(tensor, tensor),
    ):
        assert (result.dtype, result.device) == (tensor.dtype, tensor.device)
    on_meta = torch.zeros(3, 2, device="meta")  # without data: nothing may be moved to the CPU
    assert sigma_weights(on_meta, 0.1).device.type == "meta"
    assert mimo_objective(torch.zeros(3, device="meta"), on_meta, 1.0, 0.1).shape == (3,)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_stays_on_cuda() -> None:
    gaps = torch.tensor([0.1, 0.2], device="cuda", requires_grad=True)
    value = smoothed_maximum(gaps, 0.1)
    value.backward()
    assert value.is_cuda
    assert gaps.grad is not None
    assert gaps.grad.is_cuda


def test_lists_are_taken_as_arrays() -> None:
    assert float(smoothed_maximum([0.3, 0.3], 0.1)) == pytest.approx(
        0.3 + 0.1 * math.log(2), rel=1e-15
    )
    assert sigma_weights([1, 1, 1], 0.1).tolist() == pytest.approx([1 / 3] * 3, rel=1e-15)


@given(hnp.arrays(np.float64, (4, 3), elements=eighths(-80, 80)), MU)
def test_batches_are_rows(gaps: np.ndarray, mu: float) -> None:
    assert smoothed_maximum(gaps, mu).tolist() == [float(smoothed_maximum(row, mu)) for row in gaps]
    assert sigma_weights(gaps, mu).tolist() == [sigma_weights(row, mu).tolist() for row in gaps]


@given(GAPS, MU, eighths(-800, 800))
def test_a_common_shift_moves_the_value_and_not_the_weights(
    gaps: np.ndarray, mu: float, shift: float
) -> None:
    # sums and differences of eighths are exact
    assert (sigma_weights(gaps + shift, mu) == sigma_weights(gaps, mu)).all()
    np.testing.assert_allclose(
        smoothed_maximum(gaps + shift, mu),
        smoothed_maximum(gaps, mu) + shift,
        rtol=1e-13,
        atol=1e-13,
    )


@given(
    hnp.arrays(np.float64, st.integers(2, 5), elements=eighths(-16, 16)), eighths(2, 16), st.data()
)
def test_monotone_in_every_gap(gaps: np.ndarray, mu: float, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, len(gaps) - 1))
    larger = gaps.copy()
    larger[k] += data.draw(eighths(1, 8))
    # sigma_k >= exp(-4 / 0.25) / 5 = 2e-8 and the increase 1/8: far above round-off
    assert smoothed_maximum(larger, mu) > smoothed_maximum(gaps, mu)
    assert sigma_weights(larger, mu)[k] > sigma_weights(gaps, mu)[k]


@given(st.integers(1, 7), eighths(-80, 80), MU)
def test_equal_gaps_share_equally(count: int, gap: float, mu: float) -> None:
    np.testing.assert_allclose(sigma_weights(np.full(count, gap), mu), 1 / count, rtol=1e-15)
    np.testing.assert_allclose(
        smoothed_maximum(np.full(count, gap), mu),
        gap + mu * math.log(count),
        rtol=1e-14,
        atol=1e-14,
    )


@given(GAPS)
def test_large_mu_is_the_mean_and_small_mu_the_maximum(gaps: np.ndarray) -> None:
    count, spread = gaps.shape[-1], np.ptp(gaps, axis=-1).max()
    mean = smoothed_maximum(gaps, 1e6) - 1e6 * math.log(count)
    # the second cumulant over mu, and the round-off of 1e6
    np.testing.assert_allclose(mean, gaps.mean(-1), rtol=0, atol=spread**2 / 1e6 + 1e-8)
    np.testing.assert_allclose(smoothed_maximum(gaps, 1e-12), gaps.max(-1), rtol=0, atol=1e-11)


@given(GAPS, MU, eighths(0, 80))
def test_objective_is_loss_plus_penalty(gaps: np.ndarray, mu: float, lam: float) -> None:
    loss = np.ones(gaps.shape[:-1])
    assert (mimo_objective(loss, gaps, lam, mu) == loss + lam * smoothed_maximum(gaps, mu)).all()


def test_one_backward_pass_is_the_whole_step() -> None:
    """grad F = grad f_mm + lam sum_k sigma_k grad f_k, with sigma treated as constants."""
    theta = torch.tensor([0.3, -0.7], dtype=torch.float64, requires_grad=True)
    losses = torch.stack([(theta**2).sum(), (theta - 1).pow(4).sum()])
    loss_mm = theta.prod()
    (whole,) = torch.autograd.grad(
        mimo_objective(loss_mm, losses, 3.0, 0.5), theta, retain_graph=True
    )
    sigma = sigma_weights(losses.detach(), 0.5)
    (pieces,) = torch.autograd.grad(loss_mm + 3.0 * (sigma * losses).sum(), theta)
    np.testing.assert_allclose(whole.numpy(), pieces.numpy(), rtol=1e-13)


@given(st.lists(hnp.arrays(np.float64, 3, elements=eighths(-80, 80)), min_size=1, max_size=6))
def test_running_minimum_is_the_smallest_seen_so_far(losses: list[np.ndarray]) -> None:
    estimate: Any = np.full(3, np.inf)
    tensor: Any = torch.full((3,), torch.inf, dtype=torch.float64)
    for t, each in enumerate(losses):
        estimate, tensor = (
            running_minimum(estimate, each),
            running_minimum(tensor, torch.tensor(each)),
        )
        assert estimate.tolist() == tensor.tolist() == np.min(losses[: t + 1], axis=0).tolist()


# ---------------------------------------------------------------- hyper-parameters


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"lam": -1.0}, ValueError, r"`lam` must be finite and >= 0. Got lam=-1.0"),
        ({"lam": math.nan}, ValueError, r"`lam` must be finite and >= 0"),
        ({"lam": math.inf}, ValueError, r"`lam` must be finite and >= 0"),
        ({"lam": "10"}, TypeError, r"`lam` must be a number. Got lam='10'"),
        ({"lam": None}, TypeError, r"`lam` must be a number"),
        ({"lam": True}, TypeError, r"`lam` must be a number"),
        ({"mu": 0.0}, ValueError, r"`mu` must be finite and > 0. Got mu=0.0"),
        ({"mu": -0.1}, ValueError, r"`mu` must be finite and > 0"),
        ({"mu": math.nan}, ValueError, r"`mu` must be finite and > 0"),
        ({"mu": math.inf}, ValueError, r"`mu` must be finite and > 0"),
        ({"mu": [0.1]}, TypeError, r"`mu` must be a number"),
        (
            {"heads": "frozen"},
            ValueError,
            r"`heads` must be one of .*gradient.*plain.*Got heads='frozen'",
        ),
        ({"heads": None}, ValueError, r"`heads` must be"),
        (
            {"f_star": "best"},
            ValueError,
            r"`f_star` must be one of .*running_minimum.*Got f_star='best'",
        ),
        ({"f_star": math.nan}, ValueError, r"`f_star` must be finite"),
        ({"f_star": (0.1, math.inf)}, ValueError, r"`f_star` must be finite"),
        (
            {"f_star": [[0.1, 0.2]]},
            ValueError,
            r"`f_star` must be finite: a number or one number per modality",
        ),
        ({"f_star": None}, ValueError, r"`f_star` must be finite"),
    ],
)
def test_mimo_refuses(arguments: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        ms.MIMO(**arguments)


@pytest.mark.parametrize("heads", ["gradient", "", None, 1])
def test_vanilla_refuses(heads: Any) -> None:
    with pytest.raises(ValueError, match=r"`heads` must be one of .*frozen.*plain.*Got heads="):
        ms.Vanilla(heads=heads)


def test_methods_are_frozen_values() -> None:
    method = ms.MIMO(lam=2, mu=0.1, f_star=[0.1, 0.2])
    assert method == ms.MIMO(lam=2.0, mu=0.1, f_star=(0.1, 0.2))
    assert hash(method) == hash(ms.MIMO(lam=2.0, mu=0.1, f_star=np.array([0.1, 0.2])))  # type: ignore[arg-type]
    assert method.f_star == (0.1, 0.2)
    assert eval(repr(method), {"MIMO": ms.MIMO}) == method
    for frozen in (method, ms.Vanilla()):
        with pytest.raises(dataclasses.FrozenInstanceError):
            frozen.heads = "plain"  # type: ignore[misc]
    assert (ms.Vanilla.name, ms.MIMO.name, ms.Vanilla().lam) == ("vanilla", "mimo", 0.0)


def test_initial_f_star() -> None:
    optima = np.array([0.64, 0.36])
    expected: list[tuple[Any, list[float]]] = [
        ("exact", [0.64, 0.36]),
        ("zero", [0, 0]),
        ("running_minimum", [np.inf, np.inf]),
        (0.5, [0.5, 0.5]),
        ((0.1, 0.2), [0.1, 0.2]),
    ]
    for rule, values in expected:
        result = initial_f_star(ms.MIMO(f_star=rule), optima)
        assert result.tolist() == values
        result[:] = 7  # a fresh array: the estimate is updated in place by a run
        assert optima.tolist() == [0.64, 0.36]
    with pytest.raises(ValueError, match=r"`f_star` must hold one number per modality \(2\)"):
        initial_f_star(ms.MIMO(f_star=(0.1, 0.2, 0.3)), optima)


def test_calling_the_solver_like_a_criterion_names_the_criterion() -> None:
    with pytest.raises(
        TypeError, match=r"The criterion to call with losses is `mimo_sim\.MIMOLoss`"
    ):
        ms.MIMO(lam=2.0)(1.0, [0.5, 0.6])
