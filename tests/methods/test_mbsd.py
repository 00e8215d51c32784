"""MBSD."""

from __future__ import annotations

import torch

from mimo_sim import methods
from mimo_sim.methods.mbsd import distillation
from tests.methods.helpers import (
    noisy_means,
    set_up,
)


def test_distillation_is_zero_for_equal_logits_and_where_both_are_wrong() -> None:
    z = torch.tensor([[2.0, 0, 1], [0, 1, 0]])
    target = torch.tensor([0, 1])
    assert float(distillation(z, z.clone(), target)) == 0
    assert float(distillation(z, z.flip(1), torch.tensor([1, 2]))) == 0


def test_distillation_teaches_the_weak_side_only() -> None:
    first = torch.tensor([[3.0, 0, 0], [0, 0, 0.5]], requires_grad=True)
    second = torch.tensor([[1.0, 0, 0], [0, 0, 4.0]], requires_grad=True)
    loss = distillation(first, second, torch.tensor([0, 2]))
    grads = torch.autograd.grad(loss, [first, second])
    assert [[bool(row.any()) for row in grad] for grad in grads] == [[False, True], [True, False]]
    p, q = first.softmax(1)[0].detach(), second.softmax(1)[0].detach()
    only = distillation(first[:1], second[:1], torch.tensor([0]))
    torch.testing.assert_close(only, (p[0] - q[0]) * (4 / 3 + (p * (p / q).log()).sum()))


def test_mbsd_is_symmetric_and_without_distillation_a_sum_of_losses() -> None:
    run = set_up(methods.create("mbsd", lam=0.0), noisy_means(3))
    out = run.method.forward_pass(run, next(iter(run.batches())))
    total = out.loss + sum(
        (run.loss_function(a, out.batch.target) for a in run.model.sliced(out.features)),
        torch.zeros(()),
    )
    torch.testing.assert_close(run.method.objective(run, out), total)
    a, b = torch.randn(2, 8, 3, generator=torch.Generator().manual_seed(0))
    target = torch.arange(8) % 3
    torch.testing.assert_close(distillation(a, b, target), distillation(b, a, target))
