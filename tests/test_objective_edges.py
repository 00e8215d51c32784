"""The smoothed maximum and its weights at the edges: tiny and huge mu and gaps, one modality."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim.objective import mimo_objective, sigma_weights, smoothed_maximum

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
