"""The smoothed maximum and its weights at the edges: tiny and huge mu and gaps, one modality."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim.objective import mimo_objective, running_minimum, sigma_weights, smoothed_maximum

ANY_GAP = st.sampled_from([0.0, 1.0, -1.0, 1e-300, 1e300, -1e300, 5e-324, 1e16]) | st.floats(
    -1e300, 1e300
)
ANY_MU = st.sampled_from([5e-324, 1e-300, 1e-12, 1.0, 1e12, 1e100]) | st.floats(1e-300, 1e100)


@settings(max_examples=60)
@given(st.lists(ANY_GAP, min_size=1, max_size=5), ANY_MU)
def test_every_legal_input_has_finite_values_and_weights_that_sum_to_one(
    gaps: list[float], mu: float
) -> None:
    smooth, sigma = float(smoothed_maximum(gaps, mu)), sigma_weights(gaps, mu)
    top, bound = max(gaps), mu * math.log(len(gaps))
    slack = 1e-14 * max(abs(top), bound)  # some roundings of the two terms of the sum
    assert top - slack <= smooth <= top + bound + slack + 1e-300  # mu below 1e-300 is raised
    assert abs(float(sigma.sum()) - 1) <= 1e-15 * len(gaps)
    assert math.isfinite(float(mimo_objective(1.0, gaps, 1.0, mu)))
    if len(gaps) == 1:
        assert (smooth, sigma.tolist()) == (gaps[0], [1.0])


@settings(max_examples=40)
@given(st.lists(st.sampled_from([0.0, 0.5, -0.5, 1.0, 1e30]), min_size=1, max_size=4), ANY_MU)
def test_torch_gives_the_same_weights_in_both_precisions(gaps: list[float], mu: float) -> None:
    for dtype, error in ((torch.float64, 1e-14), (torch.float32, 1e-6)):
        if mu > torch.finfo(dtype).max:
            continue
        tensor = torch.tensor(gaps, dtype=dtype, requires_grad=True)
        smoothed_maximum(tensor, mu).backward()
        sigma = sigma_weights(tensor.detach(), mu)
        assert tensor.grad is not None
        assert float(sigma.sum()) == pytest.approx(1, abs=2 * error)
        np.testing.assert_allclose(tensor.grad.numpy(), sigma.numpy(), rtol=0, atol=2 * error)


def test_a_mu_below_the_precision_of_the_losses_means_the_maximum() -> None:
    """In float32 a mu of 1e-300 is zero; the weights were NaN, and became zero without a word."""
    criterion = ms.MIMOLoss(lam=1.0, mu=1e-300, f_star="zero", decay=0.0)
    losses = torch.tensor([0.5, 0.9], requires_grad=True)
    criterion(torch.tensor(1.0), losses).backward()
    assert losses.grad is not None
    assert losses.grad.tolist() == [0.0, 1.0]
    equal = torch.tensor([0.5, 0.5], requires_grad=True)
    ms.MIMOLoss(lam=1.0, mu=1e-300, gap="relative")(torch.tensor(1.0), equal).backward()
    assert equal.grad is not None
    assert equal.grad.tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    "wrong", [[math.nan], [0.5, math.inf], [-math.inf, 0.5], np.array([np.nan])]
)
def test_gaps_must_be_finite(wrong: Any) -> None:
    for function in (smoothed_maximum, sigma_weights):
        with pytest.raises(ValueError, match="`gaps` must be finite"):
            function(wrong, 0.1)
    with pytest.raises(ValueError, match="`gaps` must be finite"):
        mimo_objective(1.0, wrong, 1.0, 0.1)
    # Tensors are not looked at: that would wait for the GPU.
    assert smoothed_maximum(torch.tensor([math.nan]), 0.1).isnan()


def test_arguments_of_the_objective_are_checked() -> None:
    for wrong in (math.nan, math.inf, [1.0, math.nan]):
        with pytest.raises(ValueError, match="`loss_mm` must be finite"):
            mimo_objective(wrong, [[0.1, 0.2], [0.1, 0.2]], 1.0, 0.1)
    with pytest.raises(ValueError, match="`lam` must be finite and >= 0"):
        mimo_objective(1.0, [0.1], -1.0, 0.1)
    for function in (smoothed_maximum, sigma_weights):
        with pytest.raises(ValueError, match="`mu` must be finite and > 0"):
            function([0.1], 0.0)
        empty: Any
        for empty in (0.5, [], np.zeros((3, 0))):
            with pytest.raises(
                ValueError, match=r"`gaps` must have shape \(\.\.\., K\) with K >= 1"
            ):
                function(empty, 0.1)
    for loss in ([1.0], np.ones((2, 1)), np.ones(3)):
        with pytest.raises(ValueError, match=r"`loss_mm` must have shape \(\) or \(2,\)"):
            mimo_objective(loss, [[0.1, 0.2], [0.1, 0.2]], 1.0, 0.1)
    assert mimo_objective([1.0, 2.0], [[0.0], [0.5]], 2.0, 0.1).tolist() == [1.0, 3.0]
    assert float(mimo_objective(1, [0.25], 0.0, 0.1)) == 1.0
    with pytest.raises(ValueError, match=r"must have the same shape\. Got \(2,\) and \(3,\)"):
        running_minimum([1.0, 2.0], [1.0, 2.0, 3.0])


def test_whole_numbers_are_gaps_too_and_lam_and_mu_may_be_tensors() -> None:
    whole = torch.tensor([3, 1])
    assert sigma_weights(whole, 2.0).tolist() == pytest.approx(
        [1 / (1 + math.exp(-1)), 1 / (1 + math.exp(1))]
    )
    assert sigma_weights(np.array([3, 1]), 2.0).tolist() == pytest.approx(
        sigma_weights([3.0, 1.0], 2.0).tolist()
    )
    gaps = torch.tensor([0.3, 0.1], dtype=torch.float64)
    mu: Any = torch.tensor(0.2, dtype=torch.float64)
    lam: Any = torch.tensor(3.0, dtype=torch.float64)
    expected = 1.0 + 3.0 * float(smoothed_maximum([0.3, 0.1], 0.2))
    assert float(mimo_objective(torch.tensor(1.0), gaps, lam, mu)) == pytest.approx(expected)
    least: Any = torch.tensor(0.0, dtype=torch.float64)  # raised to the smallest normal number
    assert float(smoothed_maximum(gaps, least)) == 0.3
    assert sigma_weights(gaps, least).tolist() == [1.0, 0.0]


def test_the_inverse_of_mu_must_be_finite() -> None:
    assert ms.MIMO(mu=1e-300).mu == 1e-300
    with pytest.raises(ValueError, match="`mu` must be so large that 1 / mu is finite"):
        ms.MIMO(mu=1e-310)
