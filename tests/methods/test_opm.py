"""OPM."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mimo_sim import methods
from mimo_sim.methods.opm import drop_rates
from tests.methods.helpers import (
    noisy_means,
    set_up,
)


def test_drop_rates() -> None:
    assert drop_rates(torch.tensor([0.4, 0.4]), 0.5, 0.5).tolist() == [0, 0]
    rates = drop_rates(torch.tensor([20.0, 10.0]), 0.4, 0.5)
    assert rates.tolist() == pytest.approx([0.4 * (1 + 0.5 * np.tanh(1)), 0])
    assert drop_rates(torch.tensor([1.0, 0.0]), 0.9, 5.0).tolist() == [
        1,
        0,
    ]  # clipped, no division by zero
    assert (drop_rates(torch.tensor([0.9, 0.5, 0.1]), 0.5, 0.5) > 0).tolist() == [
        True,
        False,
        False,
    ]


def test_dropped_features_are_zero_and_kept_ones_rescaled() -> None:
    run = set_up(methods.create("opm", p_exe=1.0, warm_up=0), noisy_means(noise=0.1))
    with torch.no_grad():
        run.model.weight_blocks()[0].mul_(50)  # modality 0 dominates
    batch = next(iter(run.batches()))
    features = [h.detach() for h in run.model.features(batch.inputs)]
    sliced = [a.detach() for a in run.model.sliced(features)]
    scores = torch.stack([a.softmax(1).gather(1, batch.target[:, None]).mean() for a in sliced])
    rates = drop_rates(scores, 0.5, 0.5)
    rates = rates if rates.any() else pytest.fail("no modality leads")
    total = torch.zeros(2)
    for _ in range(400):
        changed, weight = run.method.features(run, features, batch)
        ratio = [(new / old)[old != 0] for new, old in zip(changed, features, strict=True)]
        scale = 1 / (1 - float(rates.mean()))
        assert all(torch.isclose(r, torch.tensor(scale)).logical_or(r == 0).all() for r in ratio)
        assert weight is not None
        assert weight.tolist() == [
            float(any(h[i].any() for h in changed)) for i in range(len(weight))
        ]
        total += torch.stack([r.mean() for r in ratio]) / 400
    expected = (1 - rates) / (1 - rates.mean())
    torch.testing.assert_close(
        total, expected, rtol=0.1, atol=0
    )  # 6400 draws: five standard errors are under 7 %


def test_opm_sends_no_gradient_through_its_scores_and_skips_batches() -> None:
    run = set_up(methods.create("opm", p_exe=0.5, warm_up=0, q_base=1.0), noisy_means(noise=0.1))
    batch = next(iter(run.batches()))
    kinds = set()
    for _ in range(20):
        features = [h.detach().requires_grad_() for h in run.model.features(batch.inputs)]
        changed, _ = run.method.features(run, features, batch)
        torch.autograd.backward(torch.stack([h.sum() for h in changed]).sum())
        kinds.add(all(torch.equal(h, old) for h, old in zip(changed, features, strict=True)))
        assert all(
            len(h.grad.unique()) <= 2 for h in features if h.grad is not None
        )  # zero or one over (1 - mean rate), nothing else
    assert kinds == {True, False}
