"""MIMO in a run: on the toy it is the exact engine, and its limits are linear scalarization."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mimo_sim as ms
from mimo_sim.dynamics.start import random_weights
from mimo_sim.methods import MIMOLoss
from mimo_sim.methods._losses import half_squared_error
from mimo_sim.methods._step import Batch
from mimo_sim.networks.late import LateFusion
from tests.methods.helpers import (
    fitted,
    images_and_vectors,
)


class SmallRun:
    """The least that a method's step needs."""

    def __init__(self, model: LateFusion, step_size: float) -> None:
        self.model, self.loss_function = model, half_squared_error
        self.optimizer = torch.optim.SGD(model.parameters(), lr=step_size)
        self.epoch = 0

    def mean(self, value: Tensor) -> Tensor:
        return value

    def backward(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("rule", ["exact", "running_minimum"])
@pytest.mark.parametrize("heads", ["gradient", "plain"])
def test_on_the_toy_the_method_takes_the_steps_of_the_exact_engines(heads: Any, rule: Any) -> None:
    inputs, target = ms.generators.superficial_preference().sample(60, seed=1)
    inputs, target = (
        [np.vstack([x, -x]) for x in inputs],
        np.concatenate([target, -target]),
    )  # centred: the biases of the network have no gradient
    problem = ms.LateFusionProblem.from_samples(inputs, target)
    weights = random_weights(problem, width=6, init_scale=0.3, seed=0)
    steps, step_size = 150, 0.02
    toy = ms.simulate(
        problem,
        ms.MIMO(lam=10.0, mu=0.1, f_star=rule, heads=heads),
        engine="autograd",
        step_size=step_size,
        steps=steps,
        initial=weights,
    )

    model = LateFusion(
        [nn.Linear(d, 6, bias=False) for d in problem.dims],
        [6] * problem.num_modalities,
        problem.output_dim,
    ).double()
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
        model.fusion.weight.copy_(torch.from_numpy(np.hstack([v for v, _, _ in weights])))
        for head, encoder, (_, u, w) in zip(model.heads, model.encoders, weights, strict=True):
            head.weight.copy_(torch.from_numpy(u))  # type: ignore[operator]
            encoder.weight.copy_(torch.from_numpy(w))  # type: ignore[operator]
    run: Any = SmallRun(model, step_size)
    f_star = problem.unimodal_optima.tolist() if rule == "exact" else rule
    method = MIMOLoss(lam=10.0, mu=0.1, f_star=f_star, heads=heads, decay=0.0)
    batch = Batch(
        [torch.from_numpy(x) for x in inputs],
        torch.from_numpy(target).reshape(len(target), -1),
        torch.arange(len(target)),
    )
    losses_mm, losses_uni, sigma, norms = [], [], [], []
    for _ in range(steps + 1):
        norms.append([float(encoder.weight.detach().norm()) for encoder in model.encoders])  # type: ignore[operator]
        method.begin_epoch()
        out = method.step(run, batch)
        losses_mm.append(out.loss.item())
        losses_uni.append(out.head_losses.tolist())
        sigma.append(method.report()["sigma"])
    assert np.ptp(toy.sigma.values) > 0.3 or rule == "running_minimum"
    np.testing.assert_allclose(losses_mm, toy.loss_mm, rtol=1e-10)
    np.testing.assert_allclose(losses_uni, toy.loss_uni, rtol=1e-10)
    np.testing.assert_allclose(norms, toy.encoder_norm, rtol=1e-10)
    np.testing.assert_allclose(sigma, toy.sigma, atol=1e-8)


def test_mimo_at_large_mu_takes_linear_scalarizations_steps() -> None:
    runs = [fitted("mimo", lam=2.0, mu=1e8), fitted("linear_scalarization")]
    for a, b in zip(*(run.model.parameters() for run in runs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_mimo_with_one_modality_adds_lam_times_its_loss() -> None:
    runs = [
        fitted("mimo", images_and_vectors(1), lam=3.0),
        fitted("linear_scalarization", images_and_vectors(1), weight=3.0),
    ]
    for a, b in zip(*(run.model.parameters() for run in runs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
