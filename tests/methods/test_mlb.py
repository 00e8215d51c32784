"""MLB."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mimo_sim import methods
from mimo_sim.methods.mlb import modulation
from tests.methods.helpers import (
    gradients,
    images_and_vectors,
    noisy_means,
    one_batch,
    same,
    same_state,
    set_up,
    started,
    trained,
)

probabilities = st.floats(0.01, 1.0)


def test_the_numbers_of_the_released_code() -> None:
    scores = torch.tensor([0.6, 0.3], dtype=torch.float64)
    for beta in (2.0, None):  # beta = 2 is the form without beta
        kappa = modulation(scores, 1.5) if beta is None else modulation(scores, 1.5, beta)
        assert kappa.tolist() == pytest.approx([0.364851, 1.905148], abs=1e-6)
    assert modulation(10 * scores, 1.5).tolist() == pytest.approx([0.364851, 1.905148], abs=1e-6)


@given(
    st.lists(probabilities, min_size=2, max_size=4), st.floats(0, 5), st.sampled_from([1.0, 1.5, 3])
)
def test_the_strong_are_damped_and_the_weak_accelerated(
    scores: list[float], alpha: float, beta: float
) -> None:
    s = torch.tensor(scores, dtype=torch.float64)
    kappa = modulation(s, alpha, beta)
    assert ((kappa >= 0) & (kappa <= beta)).all()
    others = (s.sum() - s) / (len(s) - 1)
    behind = others > s * (1 + 1e-9)
    assert (kappa[behind] >= 1).all()
    assert (kappa[others < s] <= 1).all()
    equal = modulation(torch.full_like(s, scores[0]), alpha, beta)
    assert equal.tolist() == pytest.approx([1.0] * len(s), abs=1e-9)
    assert modulation(s, 0.0, beta).tolist() == [1.0] * len(s)


@given(probabilities, probabilities)
def test_of_two_modalities_one_is_damped_where_the_other_is_accelerated(a: float, b: float) -> None:
    first, second = modulation(torch.tensor([a, b], dtype=torch.float64), 1.5).tolist()
    assert (first > 1) == (second < 1)


def test_a_score_of_zero_is_no_division_by_zero() -> None:
    assert modulation(torch.tensor([0.0, 0.5]), 1.5).tolist() == [
        2.0,
        1 - torch.tanh(torch.tensor(1.5)),
    ]


@pytest.mark.parametrize("k", [2, 3])
def test_encoders_and_weights_of_heads_are_scaled_and_nothing_else(k: int) -> None:
    run = set_up(methods.create("mlb", alpha=2.0, beta=1.5), noisy_means(k))
    out = run.method.forward_pass(run, one_batch(run))
    run.method.backward(run, out)
    model, target = run.model, out.batch.target
    raw: list[Any] = [
        [gradients(e), gradients(h)] for e, h in zip(model.encoders, model.heads, strict=True)
    ]
    fusion = gradients(model.fusion)
    run.method.gradients(run, out)
    outputs = model.head_logits(out.features)
    scores = torch.stack([v.softmax(1)[range(16), target].mean() for v in outputs]).detach()
    kappa = modulation(scores, 2.0, 1.5)
    torch.testing.assert_close(torch.tensor(run.method.report()["kappa"]), kappa)
    assert (kappa - 1).abs().min() > 1e-3
    for j, (encoder, (weight, bias)) in enumerate(raw):
        for mine, g in zip(gradients(model.encoders[j]), encoder, strict=True):
            torch.testing.assert_close(mine, kappa[j] * g)
        torch.testing.assert_close(model.heads[j].weight.grad, kappa[j] * weight)
        assert torch.equal(model.heads[j].bias.grad, bias)
    assert same(fusion, gradients(model.fusion))


@pytest.mark.parametrize("off", [{"alpha": 0.0}, {"window": (7, 9)}])
def test_without_modulation_it_is_linear_scalarization(off: dict[str, Any]) -> None:
    run = trained(methods.create("mlb", **off), noisy_means())
    plain = trained(methods.create("linear_scalarization"), noisy_means())
    assert same_state(run.model, plain.model)
    assert not run.method.report()
    assert not same_state(trained(methods.create("mlb"), noisy_means()).model, plain.model)


def test_what_it_is_not_defined_for_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'mlb' needs at least 2 modalities\. Got 1"):
        started("mlb", images_and_vectors(1))
    with pytest.raises(ValueError, match=r"'mlb' is defined for classification"):
        started("mlb", images_and_vectors(task="regression"))
