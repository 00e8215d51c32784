"""Metrics against independent computations and against what their definitions force."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, f1_score

from mimo_sim.benchmark.comparison import interval
from mimo_sim.methods.vanilla import Vanilla
from mimo_sim.training import metrics, probes, train
from tests.networks import SETTINGS, new_run, tiny


@given(seed=st.integers(0, 10_000), classes=st.integers(2, 6), n=st.integers(1, 40))
def test_accuracy_and_macro_f1_agree_with_scikit_learn(seed: int, classes: int, n: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    output, target = (
        torch.randn(n, classes, generator=generator),
        torch.randint(classes, (n,), generator=generator),
    )
    predicted = output.argmax(1)
    assert metrics.accuracy(output, target) == pytest.approx(accuracy_score(target, predicted))
    # scikit-learn averages over the labels it is given: all of them, also those that nothing has, which count as 0
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
    np.testing.assert_allclose(
        torch.softmax(ours, 1), theirs.predict_proba(standard), atol=5e-3
    )  # LBFGS stops when a step gains less than 1e-6


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
    """Few samples and many useless features: the weakest penalty fits the train set, a strong one is right about others."""
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
    np.testing.assert_allclose(
        torch.softmax(chosen, 1), torch.softmax(alone[best][1], 1), atol=5e-3
    )  # reached from another start


def test_a_probe_ignores_units_and_features_that_never_move() -> None:
    x, y = _blobs(90, 2)
    scaled = torch.cat(
        [x * torch.tensor([1e3, 1e-3, 1.0, 5.0, 1.0]) + 7, torch.full((90, 1), 3.0)], 1
    )
    (first,), (second,) = (
        probes.linear_probe((x, y), (x, y), [x], 3),
        probes.linear_probe((scaled, y), (scaled, y), [scaled], 3),
    )
    np.testing.assert_allclose(
        torch.softmax(first, 1), torch.softmax(second, 1), atol=5e-3
    )  # and float32 features of size 1e3


def test_everything_measured_on_a_split_hangs_together() -> None:
    data = tiny(shapes=((6,), (5,), (4,)))
    result = train("linear_scalarization", data, epochs=3, **SETTINGS)
    test = result.metrics["test"]
    result.model.eval()
    with torch.no_grad():
        features = result.model.features(data.test.inputs)
        joint, sliced = result.model.fuse(features), result.model.sliced(features)
        torch.testing.assert_close(sum(sliced), joint, rtol=1e-5, atol=1e-5)
        assert test["accuracy"] == accuracy_score(data.test.target, joint.argmax(1))
        for k, name in enumerate(("m1", "m2", "m3")):
            assert test["unimodal"]["sliced"][name] == accuracy_score(
                data.test.target, sliced[k].argmax(1)
            )
            assert test["unimodal"]["heads"][name] == accuracy_score(
                data.test.target, result.model.head_logits(features)[k].argmax(1)
            )
        for how, blank in (
            ("zero_features", [torch.zeros_like(h) for h in features]),
            ("zero_inputs", result.model.features([0 * x for x in data.test.inputs])),
        ):
            none = accuracy_score(data.test.target, result.model.fuse(blank).argmax(1))
            assert sum(test["contribution"][how].values()) == pytest.approx(test["accuracy"] - none)
    for kind in ("sliced", "heads", "probe"):
        values = test["unimodal"][kind].values()
        assert test["gap"][kind] == max(values) - min(values)
    assert set(metrics.DEFINITIONS) >= {
        *test["unimodal"],
        "accuracy",
        "macro_f1",
        "gap",
        "contribution",
    }


def test_contributions_of_two_modalities_are_the_written_formula() -> None:
    data = tiny()
    run = new_run(Vanilla(), data, epochs=3)
    run.fit()
    found = run.test(data.test)["test"]["contribution"]["zero_features"]
    with torch.no_grad():
        h = run.encode(data.test).features
        zero = [torch.zeros_like(x) for x in h]
        v = {
            s: metrics.accuracy(
                run.model.fuse([h[k] if k in s else zero[k] for k in (0, 1)]), data.test.target
            )
            for s in ((), (0,), (1,), (0, 1))
        }
    assert found["m1"] == pytest.approx(((v[0,] - v[()]) + (v[0, 1] - v[1,])) / 2)
    assert found["m2"] == pytest.approx(((v[1,] - v[()]) + (v[0, 1] - v[0,])) / 2)


def test_a_method_with_its_own_fusion_has_no_sliced_reading() -> None:
    class Own(Vanilla):
        name = ""

        def fuse(self, model, features):  # type: ignore[no-untyped-def]
            return model.fuse([2 * h for h in features])

    assert set(train(Own(), tiny(), epochs=1, **SETTINGS).metrics["test"]["unimodal"]) == {"probe"}


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=6))
def test_intervals_agree_with_scipy(values: list[float]) -> None:
    from scipy import stats

    mean, half = interval(values)
    if np.ptp(values) < 1e-9:
        assert half < 1e-6
    else:
        np.testing.assert_allclose(
            (mean - half, mean + half),
            stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values)),
            rtol=1e-9,
            atol=1e-9,
        )
