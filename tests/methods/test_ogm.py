"""OGM and OGM-GE."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mimo_sim.methods import ogm
from mimo_sim.training import TrainingRun
from tests.methods.helpers import (
    body,
    fitted,
    gradients,
    images_and_vectors,
    one_batch,
    same,
    started,
)


@given(st.lists(st.floats(0.0, 64.0), min_size=2, max_size=4), st.floats(0.0, 3.0))
def test_ogm_coefficients(scores: list[float], alpha: float) -> None:
    kappa = ogm.modulation(torch.tensor(scores), alpha)
    assert kappa.isfinite().all()
    assert ((kappa >= 0) & (kappa <= 1)).all()
    assert (kappa < 1).sum() < len(scores)  # not everybody is better than the others
    assert kappa[int(np.argmin(scores))] == 1
    if alpha == 0:
        assert (kappa == 1).all()


def test_ogm_is_the_papers_for_two_modalities() -> None:
    kappa = ogm.modulation(torch.tensor([6.0, 2.0], dtype=torch.float64), 0.8)
    assert kappa.tolist() == pytest.approx([1 - math.tanh(0.8 * 3), 1.0], rel=1e-6)
    assert ogm.modulation(torch.tensor([2.0, 2.0]), 0.8).tolist() == [1.0, 1.0]
    assert ogm.modulation(torch.tensor([0.0, 0.0]), 0.8).tolist() == [1.0, 1.0]


def ogm_step(
    name: str, k: int = 2, **hyper: Any
) -> tuple[TrainingRun, list[list[Tensor]], list[list[Tensor]], Tensor]:
    run = started(name, images_and_vectors(k), **hyper)
    out = run.method.forward_pass(run, one_batch(run))
    run.method.backward(run, out)
    before = [gradients(e) for e in run.model.encoders]
    run.method.gradients(run, out)
    after = [gradients(e) for e in run.model.encoders]
    assert torch.equal(run.model.fusion.weight.grad, gradients(run.model.fusion)[0])  # type: ignore[arg-type]
    scores = torch.stack(
        [a.softmax(1)[torch.arange(16), out.batch.target].sum() for a in out.sliced]
    )
    return run, before, after, ogm.modulation(scores, 0.8)


@pytest.mark.parametrize("k", [2, 3])
def test_ogm_scales_weights_of_encoders_and_nothing_else(k: int) -> None:
    _, before, after, kappa = ogm_step("ogm", k)
    assert (kappa < 1).any()
    for b, a, coefficient in zip(before, after, kappa, strict=True):
        for x, y in zip(b, a, strict=True):
            torch.testing.assert_close(y, x * coefficient if x.ndim > 1 else x)


def test_ogm_ge_adds_noise_of_the_gradients_size() -> None:
    draws: list[list[Tensor]] = []
    run, before, _, kappa = ogm_step("ogm_ge")
    out = run.method.forward_pass(run, one_batch(run))
    for _ in range(400):
        for encoder, gs in zip(run.model.encoders, before, strict=True):
            for p, g in zip(encoder.parameters(), gs, strict=True):
                p.grad = g.clone()
        run.method.gradients(run, out)
        draws.append([p.grad for e in run.model.encoders for p in e.parameters()])  # type: ignore[misc]
    flat = [g for gs in before for g in gs]
    owners = [float(c) for c, gs in zip(kappa, before, strict=True) for _ in gs]
    for g, coefficient, samples in zip(flat, owners, zip(*draws, strict=True), strict=True):
        noise = torch.stack(samples) - coefficient * g
        if g.ndim == 1:
            torch.testing.assert_close(noise + coefficient * g, g.expand_as(noise))
            continue
        s = g.std().item()
        assert noise.mean().abs().item() < 5 * s / math.sqrt(noise.numel())
        assert noise.std().item() == pytest.approx(s, rel=5 / math.sqrt(noise.numel()))


def test_ogm_ge_without_noise_is_ogm() -> None:
    assert same(body(fitted("ogm_ge", noise=0.0)), body(fitted("ogm")))


def test_ogm_ge_noise_of_a_single_number_is_not_nan() -> None:
    run = started("ogm_ge")
    gradient = torch.tensor([[2.0]])
    run.method.modulate(run, gradient, torch.tensor(0.5))  # type: ignore[operator]
    assert gradient.item() == pytest.approx(1.0, abs=1e-6)


def test_ogm_ge_noise_of_a_flat_gradient_is_tiny() -> None:
    run = started("ogm_ge")
    gradient = torch.zeros(2, 3)
    run.generator.manual_seed(5)
    run.method.modulate(run, gradient, torch.tensor(0.5))  # type: ignore[operator]
    run.generator.manual_seed(5)
    torch.testing.assert_close(gradient, 1e-8 * torch.randn(2, 3, generator=run.generator))


def test_a_modality_of_score_zero_holds_back_the_other_one() -> None:
    """Its ratio is as large as the small number in the divisor lets it become."""
    assert ogm.modulation(torch.tensor([1.0, 0.0]), 1e-8).tolist() == pytest.approx(
        [1 - math.tanh(1.0), 1.0], rel=1e-6
    )


@pytest.mark.parametrize(("alpha", "acts"), [(0.0, False), (1.0, True), (2.0, True)])
def test_every_strength_but_zero_acts(alpha: float, acts: bool) -> None:
    run = started("ogm", alpha=alpha)
    out = run.method.forward_pass(run, one_batch(run))
    run.method.backward(run, out)
    before = gradients(run.model)
    run.method.gradients(run, out)
    assert same(before, gradients(run.model)) is not acts
    assert bool(run.method.report()) is acts
