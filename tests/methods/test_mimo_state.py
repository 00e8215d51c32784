"""The state of ms.MIMOLoss: averages, checkpoints, eval mode, and losses that are not finite."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mimo_sim.methods import MIMOLoss
from tests.methods.helpers import leaves


@pytest.mark.parametrize("heads", ["gradient", "plain"])
def test_a_loss_that_is_not_finite_poisons_nothing_else(heads: Any) -> None:
    mimo = MIMOLoss(lam=3.0, f_star="running_minimum", decay=0.5, heads=heads)
    features = [torch.ones(4, 2, requires_grad=True) for _ in range(3)]
    for values in ([1.0, 2.0, 3.0], [1.0, math.nan, 2.0], [1.0, 2.0, math.inf]):
        mimo.gate(features)
        before = mimo.smoothed.clone()
        joint, losses = leaves(values)
        loss = mimo(joint, losses)
        loss.backward()
        assert loss.isfinite()
        assert losses.grad is not None
        bad = ~losses.detach().isfinite()
        assert losses.grad.isfinite().all()
        assert not losses.grad[bad].any()
        if bad.any():
            assert torch.equal(mimo.smoothed[bad], before[bad])
            torch.testing.assert_close(
                losses.grad[~bad],
                torch.full((2,), 1.0 if heads == "plain" else 1.5, dtype=torch.float64),
            )
    assert np.isfinite(mimo.report()["f_star"]).all()


@pytest.mark.parametrize("decay", [0.0, 0.5])
@pytest.mark.parametrize("first", [[math.nan, math.nan], [math.inf, 1.0]])
def test_first_losses_that_are_not_finite_are_forgotten(first: list[float], decay: float) -> None:
    mimo = MIMOLoss(lam=3.0, decay=decay)
    for values in (first, [1.0, 2.0], [1.2, 1.0]):
        joint, losses = leaves(values)
        mimo(joint, losses).backward()
        assert losses.grad is not None
        assert losses.grad.isfinite().all()
    fresh = MIMOLoss(lam=3.0, decay=decay)
    for values in ([1.0, 2.0], [1.2, 1.0]):
        same_joint, same_losses = leaves(values)
        fresh(same_joint, same_losses).backward()
    if not np.isfinite(first).any():
        assert torch.equal(mimo.smoothed, fresh.smoothed)
        assert torch.equal(mimo.f_star.value, fresh.f_star.value)
        torch.testing.assert_close(losses.grad, same_losses.grad, rtol=0, atol=0)
    assert mimo.smoothed.isfinite().all()
    assert np.isfinite(mimo.report()["f_star"]).all()


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("rule", ["running_minimum", "extrapolation"])
def test_losses_of_half_precision_are_averaged_in_float32(rule: str, kind: torch.dtype) -> None:
    half, single = MIMOLoss(f_star=rule, normalise=True), MIMOLoss(f_star=rule, normalise=True)
    draw = torch.Generator().manual_seed(0)
    for _ in range(3):
        for _ in range(400):
            given = (torch.tensor([0.7, 1.5]) + torch.rand(2, generator=draw)).to(kind)
            joint, losses = (
                torch.ones((), dtype=kind, requires_grad=True),
                given.clone().requires_grad_(),
            )
            value = half(joint, losses)
            same = given.float().requires_grad_()
            expected = single(joint.detach().float().requires_grad_(), same)
            value.backward()
            expected.backward()
            assert losses.grad is not None
            assert same.grad is not None
            assert torch.equal(losses.grad, same.grad.to(kind))
            torch.testing.assert_close(value, expected)
        half.end_epoch()
        single.end_epoch()
    assert half.report() == single.report()


@pytest.mark.parametrize("heads", ["gradient", "plain"])
def test_in_eval_mode_nothing_is_learned_from_a_call(heads: Any) -> None:
    mimo, twin = MIMOLoss(heads=heads, decay=0.5), MIMOLoss(heads=heads, decay=0.5)

    def call(method: MIMOLoss, values: list[float]) -> Tensor:
        joint, losses = leaves(values)
        method.gate([torch.zeros(1, 1)] * len(values))
        return method.forward(joint, losses)

    for method in (mimo, twin):
        call(method, [1.0, 2.0])
    before = {key: value.clone() for key, value in mimo.state_dict().items()}
    seen = call(mimo.eval(), [0.1, 5.0])
    assert all(torch.equal(value, before[key]) for key, value in mimo.state_dict().items())
    assert torch.equal(seen, call(twin, [0.1, 5.0]))  # the objective that such a step would have
    assert any(not torch.equal(value, before[key]) for key, value in twin.state_dict().items())


@pytest.mark.parametrize("rule", ["running_minimum", "epoch_minimum", "extrapolation", "zero"])
def test_state_goes_through_a_checkpoint(rule: str) -> None:
    stream = np.random.default_rng(0).uniform(0.5, 2.0, (9, 2))
    whole, first, second = (MIMOLoss(f_star=rule, gap="relative") for _ in range(3))

    def feed(mimo: Any, rows: np.ndarray) -> list[float]:
        found = []
        for i, row in enumerate(rows):
            found.append(mimo(*leaves(row.tolist())).item())
            if i % 2:
                mimo.end_epoch()
                mimo.begin_epoch()
        return found

    expected = feed(whole, stream)
    feed(first, stream[:6])
    second.load_state_dict(first.state_dict())
    assert feed(second, stream[6:]) == expected[6:]
