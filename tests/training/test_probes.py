"""Linear probes against scikit-learn, and what their definition forces."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from mimo_sim.training import metrics, probes


def _blobs(n: int, seed: int, spread: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.arange(n) % 3
    return 2 * torch.eye(3, 5)[target] + spread * torch.randn(n, 5, generator=generator), target


@pytest.mark.parametrize("penalty", [1e-1, 1e-3])
def test_a_probe_is_the_optimum_that_scikit_learn_finds(
    penalty: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = _blobs(150, 0)
    monkeypatch.setattr(probes, "PENALTIES", (penalty,))
    (ours,) = probes.linear_probe((x, y), (x, y), [x], 3)
    standard = ((x - x.mean(0)) / x.std(0, correction=0)).double().numpy()
    theirs = LogisticRegression(C=1 / (penalty * len(x)), tol=1e-10, max_iter=5000).fit(
        standard, y.numpy()
    )
    # LBFGS stops when a step gains less than 1e-6
    np.testing.assert_allclose(torch.softmax(ours, 1), theirs.predict_proba(standard), atol=5e-3)


def test_a_ridge_probe_is_the_optimum_that_scikit_learn_finds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, _ = _blobs(60, 1)
    y = x[:, :2] @ torch.tensor([[1.0, 0.0], [2.0, -1.0]]) + 3
    monkeypatch.setattr(probes, "PENALTIES", (0.1,))
    (ours,) = probes.linear_probe((x, y), (x, y), [x], 2, "regression")
    standard = ((x - x.mean(0)) / x.std(0, correction=0)).double().numpy()
    np.testing.assert_allclose(
        ours,
        Ridge(alpha=0.1 * len(x)).fit(standard, y.double().numpy()).predict(standard),
        atol=1e-6,
    )


def test_a_probe_chooses_its_penalty_on_validation() -> None:
    """With few samples and many useless features a strong penalty predicts best."""
    generator = torch.Generator().manual_seed(0)

    def draw(n: int) -> tuple[torch.Tensor, torch.Tensor]:
        y = torch.arange(n) % 2
        return torch.cat(
            [
                (2.0 * y - 1)[:, None] + torch.randn(n, 1, generator=generator),
                torch.randn(n, 60, generator=generator),
            ],
            1,
        ), y

    train_, validation, other = draw(60), draw(2000), draw(2000)
    alone = {}
    for penalty in probes.PENALTIES:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(probes, "PENALTIES", (penalty,))
            alone[penalty] = probes.linear_probe(train_, validation, [validation[0], other[0]], 2)
    scores = {
        penalty: metrics.accuracy(seen, validation[1]) for penalty, (seen, _) in alone.items()
    }
    best = max(scores, key=lambda penalty: scores[penalty])
    assert scores[best] > min(scores.values())
    (chosen,) = probes.linear_probe(train_, validation, [other[0]], 2)
    # the same optimum, reached from another start
    np.testing.assert_allclose(
        torch.softmax(chosen, 1), torch.softmax(alone[best][1], 1), atol=5e-3
    )


def test_a_probe_ignores_units_and_features_that_never_move() -> None:
    x, y = _blobs(90, 2)
    scaled = torch.cat(
        [x * torch.tensor([1e3, 1e-3, 1.0, 5.0, 1.0]) + 7, torch.full((90, 1), 3.0)], 1
    )
    (first,) = probes.linear_probe((x, y), (x, y), [x], 3)
    (second,) = probes.linear_probe((scaled, y), (scaled, y), [scaled], 3)
    # LBFGS as above, and float32 features of size 1e3
    np.testing.assert_allclose(torch.softmax(first, 1), torch.softmax(second, 1), atol=5e-3)


def test_penalties_go_from_one_down_in_tenths() -> None:
    assert pytest.approx([1.0, 0.1, 0.01, 0.001, 0.0001], rel=1e-12) == probes.PENALTIES


def test_on_a_tie_the_stronger_penalty_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes that are far apart: every penalty gets all of the validation split right."""
    x, y = _blobs(90, 3, spread=0.05)
    (chosen,) = probes.linear_probe((x, y), (x, y), [x], 3)
    monkeypatch.setattr(probes, "PENALTIES", (1.0,))
    (strongest,) = probes.linear_probe((x, y), (x, y), [x], 3)
    assert torch.equal(chosen, strongest)
    assert metrics.accuracy(chosen, y) == 1


@pytest.mark.parametrize("noise", [0.0, 5.0])
def test_a_ridge_probe_chooses_its_penalty_by_the_error_on_validation(noise: float) -> None:
    generator = torch.Generator().manual_seed(0)
    x, x_new = (torch.randn(n, 20, generator=generator) for n in (25, 400))
    y, y_new = (z[:, :1] + noise * torch.randn(len(z), 1, generator=generator) for z in (x, x_new))
    errors = {}
    for penalty in probes.PENALTIES:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(probes, "PENALTIES", (penalty,))
            (alone,) = probes.linear_probe((x, y), (x_new, y_new), [x_new], 1, "regression")
        errors[penalty] = float((alone - y_new).square().mean()), alone
    best = min(errors, key=lambda penalty: errors[penalty][0])
    assert best == (1e-4 if noise == 0 else 1.0)
    (chosen,) = probes.linear_probe((x, y), (x_new, y_new), [x_new], 1, "regression")
    torch.testing.assert_close(chosen, errors[best][1], rtol=1e-12, atol=1e-12)


def test_a_feature_that_moves_by_less_than_1e_8_says_nothing() -> None:
    still, moving = (torch.tensor([[0.0], [2.0 * step]]).double() for step in (0.9e-8, 1.1e-8))
    assert probes._standardised(still, still)[1].abs().max() < 1e-7
    np.testing.assert_allclose(probes._standardised(moving, moving)[1], [[-1], [1]], rtol=1e-6)
