"""CML."""

from __future__ import annotations

import pytest
import torch

from mimo_sim import methods
from mimo_sim.methods.cml import confidence_gain
from tests.methods.helpers import (
    noisy_means,
    same_state,
    set_up,
    trained,
)


def test_confidence_gain() -> None:
    larger = torch.tensor([[2.0, 0], [2, 0], [0.5, 0]])
    smaller = torch.tensor([[1.0, 0], [4, 0], [0, 3]])
    gain = confidence_gain(larger, smaller, torch.tensor([0, 0, 1]))
    sure = torch.sigmoid(torch.tensor([2.0, 4.0]))
    assert gain.tolist() == pytest.approx(
        [0, float(sure[1] - sure[0]), 0]
    )  # lower; higher; higher, but only the smaller set is right


def test_cml_trains_on_a_chain_of_subsets() -> None:
    run = set_up(methods.create("cml", lam=0.0), noisy_means(2))
    out = run.method.forward_pass(run, next(iter(run.batches())))
    weights, bias = run.model.weight_blocks(), run.model.fusion.bias
    alone = torch.stack([h @ w.T + bias for h, w in zip(out.features, weights, strict=True)])
    state = run.generator.get_state()
    objective = run.method.objective(run, out)
    run.generator.set_state(state)
    kept = torch.rand(2, len(alone[0]), generator=run.generator).argmax(
        0
    )  # the modality with the later place stays
    assert 0 < kept.sum() < len(kept)
    left = alone[kept, torch.arange(len(kept))]
    expected = (out.loss + run.loss_function(left, out.batch.target)) / 2
    torch.testing.assert_close(objective, expected)


def test_cml_of_one_modality_is_vanilla() -> None:
    dataset = noisy_means(1)
    assert same_state(
        trained(methods.create("vanilla"), dataset).model,
        trained(methods.create("cml"), dataset).model,
    )
