"""Diagnosing & Re-learning."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from mimo_sim import methods
from mimo_sim.methods.relearning import purity
from tests.methods.helpers import (
    noisy_means,
    set_up,
)


def test_purity() -> None:
    rng = np.random.default_rng(0)
    target = np.arange(90) % 3
    separate = np.eye(3)[target] + 0.01 * rng.standard_normal((90, 3))
    assert purity(separate, target, 3) == 1
    share = np.r_[np.zeros(60, int), np.ones(30, int)]
    assert 60 / 90 <= purity(rng.standard_normal((90, 4)), share, 3) < 1
    assert purity(np.ones((90, 4)), share, 3) == 60 / 90  # features that say nothing


@pytest.mark.parametrize("lam", [0.7, 1e9])
def test_relearning_blends_towards_the_start(lam: float) -> None:
    dataset = noisy_means(shape=(1, 8, 8), noise=2.0)
    run = set_up(methods.create("relearning", lam=lam, every=2), dataset)
    initial = copy.deepcopy(run.model.state_dict())
    for epoch in range(3):
        run.epoch = epoch
        for batch in run.batches():
            run.method.step(run, batch)
        trained = copy.deepcopy(run.model.state_dict())
        run.method.end_epoch(run)
        if epoch < 2:
            assert all(
                torch.equal(a, b)
                for a, b in zip(trained.values(), run.model.state_dict().values(), strict=True)
            )
    alpha = run.method.report()["reinitialised"]
    assert max(alpha) > 0
    for key, value in run.model.state_dict().items():
        if key.startswith("encoders") and key in dict(run.model.named_parameters()):
            k = int(key.split(".")[1])
            torch.testing.assert_close(
                value, alpha[k] * initial[key] + (1 - alpha[k]) * trained[key], rtol=1e-5, atol=1e-7
            )
            if lam > 1 and alpha[k]:
                assert torch.equal(value, initial[key])
        else:
            assert torch.equal(
                value, trained[key]
            )  # fusion layer, heads and batch-norm statistics stay
