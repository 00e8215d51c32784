"""MLA."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mimo_sim import methods
from mimo_sim.methods.mla import entropy_weights, shrink_projector
from mimo_sim.training import Settings, TrainingRun
from tests.methods.helpers import (
    entries,
    noisy_means,
    same_state,
    set_up,
)


@given(arrays(float, 4, elements=entries), arrays(float, 4, elements=entries), st.floats(1e-3, 1))
def test_projector_shrinks_along_what_it_has_seen(
    first: np.ndarray, second: np.ndarray, alpha: float
) -> None:
    P = shrink_projector(torch.eye(4, dtype=torch.float64), torch.from_numpy(first), alpha)
    r = torch.from_numpy(second)
    new = shrink_projector(P, r, alpha)
    torch.testing.assert_close(new, new.T)
    assert torch.linalg.eigvalsh(new).min() > -1e-9
    torch.testing.assert_close(new @ r, P @ r * alpha / (alpha + r @ P @ r), rtol=1e-6, atol=1e-9)


def test_a_projector_for_alpha_zero_forgets_the_direction() -> None:
    r = torch.tensor([3.0, 4.0, 0.0], dtype=torch.float64)
    assert (shrink_projector(torch.eye(3, dtype=torch.float64), r, 1e-14) @ r).norm() < 1e-12


def test_entropy_weights_favour_the_certain_modality() -> None:
    logits = torch.tensor([[[0.0, 0.0], [9.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]])
    weights = entropy_weights(logits)
    assert weights[:, 0].tolist() == [0.5, 0.5]
    assert weights[0, 1] > weights[1, 1]
    torch.testing.assert_close(weights.sum(0), torch.ones(2))
    assert torch.isfinite(entropy_weights(torch.tensor([[[1e4, 0.0]], [[0.0, 1e4]]]))).all()


def test_mla_without_projection_is_plain_alternation() -> None:
    run = set_up(methods.create("mla"), noisy_means(3))
    model = copy.deepcopy(run.model)
    head = model.heads[0]
    optimizer = run.new_optimizer([model])
    for batch in [next(iter(run.batches())) for _ in range(2)]:
        for encoder, x in zip(model.encoders, batch.inputs, strict=True):
            optimizer.zero_grad()
            run.loss_function(head(encoder(x)), batch.target).backward()
            optimizer.step()
        run.method.step(run, batch)
    assert same_state(model, run.model)
    assert not torch.equal(model.heads[0].weight, model.heads[1].weight)


@pytest.mark.parametrize("projection", ["batch", "run"])
def test_mla_keeps_later_modalities_off_what_earlier_ones_use(projection: Any) -> None:
    settings: dict[str, Any] = {"momentum": 0.0, "weight_decay": 0.0, "lr": 0.1}
    run, plain = (
        set_up(methods.create("mla", projection=kind), noisy_means(2), **settings)
        for kind in (projection, "off")
    )
    first = copy.deepcopy(plain.model)
    for one in (run, plain):
        one.method.batch_of_epoch = 9 * one.batches_per_epoch  # alpha = 1e-10: a clean projection
    batch = next(iter(run.batches()))
    out = run.method.step(run, batch)
    plain.method.step(plain, batch)
    optimizer = torch.optim.SGD(first.parameters(), lr=0.1)
    run.loss_function(first.heads[0](first.encoders[0](batch.inputs[0])), batch.target).backward()
    optimizer.step()
    r = out.features[0].mean(0)  # what the second step must not change
    along = [model.heads[0].weight.detach() @ r for model in (first, run.model, plain.model)]
    torch.testing.assert_close(along[1], along[0], rtol=1e-4, atol=1e-6)
    assert not torch.allclose(along[2], along[0], rtol=1e-2)


def test_mla_needs_one_width() -> None:
    run = TrainingRun(methods.create("mla"), noisy_means(), Settings(epochs=1))
    run.model.widths = (8, 9)
    with pytest.raises(ValueError, match=r"one width. Got widths \(8, 9\)"):
        run.method.setup(run)
