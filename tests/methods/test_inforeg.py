"""InfoReg."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from mimo_sim import methods
from mimo_sim.methods.inforeg import leads, window_open
from tests.methods.helpers import (
    noisy_means,
    set_up,
)


def test_leads() -> None:
    assert leads(torch.tensor([-1.0, -3.0])).tolist() == [2, 0]
    assert leads(torch.tensor([-1.0, -2.0, -4.0])).tolist() == pytest.approx([2, 2, 0])
    assert leads(torch.zeros(3)).tolist() == [0, 0, 0]


def test_the_window_opens_where_information_grows() -> None:
    traces = torch.tensor([[1.0, 2.0, math.nan, 0.0], [2.0, 2.05, 3.0, 0.0]])
    assert window_open(traces, 0.04).tolist() == [True, False, False, False]


def test_the_pull_is_exact_and_spares_the_weakest() -> None:
    run = set_up(methods.create("inforeg", threshold=0.0, beta=0.5), noisy_means(noise=0.1))
    run.method.traces = torch.tensor([[1.0, 1.0], [2.0, 2.0]])
    run.method.begin_epoch(run)
    begin = copy.deepcopy(run.model.encoders)
    batches = list(run.batches())
    for number, batch in enumerate(batches[:2]):
        out = run.method.forward_pass(run, batch)
        run.optimizer.zero_grad()
        run.method.backward(run, out)
        plain = [p.grad.clone() for p in run.model.encoders.parameters()]
        run.method.gradients(run, out)
        scores = -torch.stack([run.loss_function(a, batch.target) for a in out.sliced])
        weak = int(scores.argmin())
        alpha = torch.exp(0.5 * torch.tanh(scores.max() - scores.min()))
        for k, encoder in enumerate(run.model.encoders):
            names = [name for name, _ in run.model.encoders.named_parameters()]
            for (name, p), p0 in zip(
                encoder.named_parameters(), begin[k].parameters(), strict=True
            ):
                expected = (
                    plain[names.index(f"{k}.{name}")]
                    + (0 if k == weak else alpha) * (p - p0).detach()
                )
                torch.testing.assert_close(p.grad, expected)
                assert number or torch.equal(
                    p.grad, plain[names.index(f"{k}.{name}")]
                )  # the first step is vanilla's
        run.optimizer.step()
