"""Metrics against independent computations."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from sklearn.metrics import accuracy_score, f1_score

from mimo_sim.benchmark.comparison import interval
from mimo_sim.training import metrics


@given(seed=st.integers(0, 10_000), classes=st.integers(2, 6), n=st.integers(1, 40))
def test_accuracy_and_macro_f1_agree_with_scikit_learn(seed: int, classes: int, n: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    output = torch.randn(n, classes, generator=generator)
    target = torch.randint(classes, (n,), generator=generator)
    predicted = output.argmax(1)
    assert metrics.accuracy(output, target) == pytest.approx(accuracy_score(target, predicted))
    # scikit-learn averages over the labels that it is given: all of them; absent ones count as 0
    expected = f1_score(target, predicted, labels=range(classes), average="macro", zero_division=0)
    assert metrics.macro_f1(predicted, target, classes) == pytest.approx(expected)
    assert int(metrics.confusion_matrix(predicted, target, classes).sum()) == n


def test_the_confusion_matrix_has_true_classes_in_rows() -> None:
    counts = metrics.confusion_matrix(torch.tensor([1, 1, 0]), torch.tensor([0, 0, 2]), 3)
    assert counts.tolist() == [[0, 2, 0], [0, 0, 0], [1, 0, 0]]


@given(seed=st.integers(0, 10_000), m=st.integers(1, 3))
def test_correlation_agrees_with_numpy(seed: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(20, m)), rng.normal(size=(20, m))
    expected = np.mean([np.corrcoef(a[:, j], b[:, j])[0, 1] for j in range(m)])
    assert metrics.correlation(torch.tensor(a), torch.tensor(b)) == pytest.approx(
        expected, abs=1e-12
    )
    assert metrics.correlation(torch.ones(5, 1), torch.tensor(b[:5, :1])) == 0
    small = metrics.correlation(1e-6 * torch.tensor(a), 1e-6 * torch.tensor(b))
    assert small == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=6))
def test_intervals_agree_with_scipy(values: list[float]) -> None:
    from scipy import stats

    mean, half = interval(values)
    if len(set(values)) == 1:
        assert np.isnan(half)  # equal values do not show how much they scatter
    elif np.ptp(values) < 1e-9:
        assert not half > 1e-6
    else:
        np.testing.assert_allclose(
            (mean - half, mean + half),
            stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values)),
            rtol=1e-9,
            atol=1e-9,
        )
