"""Linear scalarization and uni-modal training."""

from __future__ import annotations

import torch
from torch import Tensor

from mimo_sim import methods
from mimo_sim.training import TrainingRun
from tests.methods.helpers import (
    gradients,
    images_and_vectors,
    one_batch,
    same,
    started,
)


def encoder_gradients(run: TrainingRun, weights: tuple[float, ...]) -> list[list[Tensor]]:
    method = methods.create("linear_scalarization", weight=weights)
    run.model.zero_grad()
    method.backward(run, method.forward_pass(run, one_batch(run)))
    return [gradients(encoder) for encoder in run.model.encoders]


def test_linear_scalarization_is_linear_in_its_own_weight_alone() -> None:
    run = started("vanilla", images_and_vectors(3))
    zero, one, three = (encoder_gradients(run, (w, 0.5, 0.0)) for w in (0.0, 1.0, 3.0))
    for g0, g1, g3 in zip(zero[0], one[0], three[0], strict=True):
        torch.testing.assert_close(g3 - g0, 3 * (g1 - g0), rtol=1e-3, atol=1e-6)
    assert same(zero[1], three[1])
    assert same(zero[2], three[2])


def test_unimodal_gives_every_branch_the_gradient_of_its_own_loss() -> None:
    run = started("unimodal", images_and_vectors(3))
    batch = one_batch(run)
    run.method.backward(run, run.method.forward_pass(run, batch))
    together = gradients(run.model)
    run.model.zero_grad()
    for k in range(3):
        run.backward(run.method.forward_pass(run, batch).head_losses[k])
    assert same(together, gradients(run.model))
    assert not any(g.any() for g in gradients(run.model.fusion))


def test_the_joint_output_of_unimodal_training_is_the_mean_of_the_heads() -> None:
    run = started("unimodal")
    out = run.method.forward_pass(run, one_batch(run))
    torch.testing.assert_close(out.logits, torch.stack(run.model.head_logits(out.features)).mean(0))
