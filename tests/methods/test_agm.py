"""AGM."""

from __future__ import annotations

import math
from itertools import permutations
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mimo_sim import methods
from mimo_sim.methods import agm
from mimo_sim.methods._evaluation import evaluation_mode
from mimo_sim.methods._losses import cross_entropy
from mimo_sim.methods._step import Forward
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


def agm_by_the_book(run: TrainingRun, kappa: Tensor) -> list[Tensor]:
    """The gradient from hooks on the responses, with one pass of the network per coalition."""
    model, batch = run.model, one_batch(run)
    k = model.num_modalities
    z: dict[frozenset[int], Tensor] = {frozenset(range(k)): model(batch.inputs)}
    with evaluation_mode(model):
        for code in range(1, 2**k - 1):
            inside = frozenset(j for j in range(k) if code >> j & 1)
            z[inside] = model(
                [x if j in inside else torch.zeros_like(x) for j, x in enumerate(batch.inputs)]
            )
    z[frozenset()] = torch.zeros_like(z[frozenset(range(k))])
    responses: list[Any] = [0] * k
    orders = list(permutations(range(k)))
    for order in orders:
        for place, j in enumerate(order):
            responses[j] = responses[j] + (
                z[frozenset(order[: place + 1])] - z[frozenset(order[:place])]
            ) / len(orders)
    for phi, coefficient in zip(responses, kappa, strict=True):
        phi.register_hook(lambda g, c=coefficient: g * c)
    model.zero_grad()
    run.backward(cross_entropy(sum(responses), batch.target))
    return gradients(model)


@pytest.mark.parametrize("k", [2, 3])
def test_agm_is_the_books_with_fewer_passes(k: int) -> None:
    run = fitted(
        "vanilla", images_and_vectors(k)
    )  # running statistics that are not the initial ones
    method = methods.create("agm", alpha=2.0)
    method.setup(run)
    assert isinstance(method, agm.AGM)
    method.averages.copy_(torch.linspace(0.5, 1.5, k))
    method.steps.fill_(4)
    buffers = [b.clone() for b in run.model.buffers()]
    batch = one_batch(run)
    out = method.forward_pass(run, batch)
    phi = method.responses(
        run, Forward(run.model, batch, out.features, run.model.fuse(out.features), cross_entropy)
    )
    torch.testing.assert_close(phi.sum(-1), run.model.fuse(out.features))
    torch.testing.assert_close(out.logits, run.model.fuse(out.features))
    scores = torch.stack([cross_entropy(phi[..., j], batch.target) for j in range(k)]).detach()
    kappa = agm.modulation(scores, torch.linspace(0.5, 1.5, k), 2.0, 10.0)
    torch.testing.assert_close(method.averages, torch.linspace(0.5, 1.5, k) * 4 / 5 + scores / 5)
    run.model.zero_grad()
    run.backward(method.objective(run, out))
    found = gradients(run.model)
    for buffer, old in zip(run.model.buffers(), buffers, strict=True):
        buffer.copy_(old)
    torch.testing.assert_close(
        found,
        agm_by_the_book(run, kappa) + [torch.zeros_like(g) for g in found[len(found) :]],
        rtol=1e-4,
        atol=1e-6,
    )


def test_agm_touches_running_statistics_once_per_step() -> None:
    runs = [started(name) for name in ("vanilla", "agm")]
    for run in runs:
        run.method.forward_pass(run, one_batch(run))
    assert same([*runs[0].model.buffers()], [*runs[1].model.buffers()])


def test_agm_at_a_tiny_alpha_is_joint_training_up_to_round_off() -> None:
    for a, b in zip(
        body(fitted("agm", alpha=1e-12, clip=1e6)), body(fitted("vanilla")), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@given(st.lists(st.floats(0.0, 18.4), min_size=2, max_size=4), st.floats(0.0, 4.0))
def test_agm_coefficients(scores: list[float], alpha: float) -> None:
    s = torch.tensor(scores, dtype=torch.float64)
    kappa = agm.modulation(s, torch.zeros_like(s), alpha, 10.0)
    assert kappa.isfinite().all()
    assert (kappa <= math.exp(alpha * 1.0) * (1 + 1e-12)).all()  # r >= 0 = tau - 1
    ahead = agm.lead(s)
    for i in range(len(s)):
        for j in range(len(s)):
            if ahead[i] > ahead[j]:
                assert kappa[i] <= kappa[j]
    if len(set(scores)) == 1:
        torch.testing.assert_close(kappa, torch.ones_like(s))


def test_agm_amplification_is_capped() -> None:
    kappa = agm.modulation(torch.tensor([18.0, 0.0]), torch.tensor([0.0, 18.0]), 0.5, 10.0)
    assert kappa.tolist() == pytest.approx([math.exp(5.0), 0.0])


@pytest.mark.parametrize("clip", [1e-4, 1e4])
def test_agm_clips_by_the_largest_entry_of_the_fusion_layers_weight(clip: float) -> None:
    run = started("agm", clip=clip)
    out = run.method.forward_pass(run, one_batch(run))
    run.method.backward(run, out)
    before = gradients(run.model)
    run.method.gradients(run, out)
    norm = torch.cat([g.flatten() for g in before]).norm()
    factor = clip / norm if clip < 1 else 1.0
    torch.testing.assert_close(gradients(run.model), [g * factor for g in before])


@given(st.floats(0.0, 100.0), st.sampled_from([0.5, 0.999, 1.001, 3.0]))
def test_agm_asks_the_fusion_layers_weight_alone_whether_to_clip(
    of_bias: float, of_weight: float
) -> None:
    run = started("agm", clip=1.0)
    for p in run.model.parameters():
        p.grad = torch.full_like(p, 0.01)
    fusion = run.model.fusion
    assert fusion.weight.grad is not None
    fusion.weight.grad[1, 2] = -of_weight
    fusion.bias.grad = torch.full_like(fusion.bias, of_bias)
    before = gradients(run.model)
    run.method.gradients(run, None)  # type: ignore[arg-type]
    norm = torch.cat([g.flatten() for g in before]).norm()
    factor = min(1.0, 1.0 / float(norm)) if of_weight > 1 else 1.0
    torch.testing.assert_close(gradients(run.model), [g * factor for g in before])
