"""The test split is measured once, after training; every figure is what its definition says."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import accuracy_score

from mimo_sim.methods.vanilla import Vanilla
from mimo_sim.training import metrics, train
from mimo_sim.training.definitions import DEFINITIONS
from mimo_sim.training.loop import EVALUATION_NUMBERS
from tests.networks import SETTINGS, new_run, same, state, tiny, without_seconds


def test_the_run_cannot_see_the_test_split_and_measures_it_once() -> None:
    data = tiny()
    run = new_run(Vanilla(), data)
    held = [value for value in vars(run).values() if isinstance(value, type(data.test))]
    assert len(held) == 2
    assert all(one is not data.test for one in held)
    with pytest.raises(RuntimeError, match="not finished"):
        run.test(data.test)
    run.fit()
    assert run.test(data.test)["test"]["samples"] == 33
    with pytest.raises(RuntimeError, match="measured once"):
        run.test(data.test)
    with pytest.raises(RuntimeError, match="finished"):
        run.fit()


@pytest.mark.parametrize("select", ["last", "best"])
def test_another_test_split_changes_the_test_figures_only(select: str) -> None:
    from dataclasses import replace

    data = tiny()
    other = replace(data, test=data.test.take(torch.arange(7)))
    first, second = (
        train("mimo", one, epochs=3, select=select, **SETTINGS) for one in (data, other)
    )
    assert same(state(first), state(second))
    assert without_seconds(first.table) == without_seconds(second.table)
    assert first.metrics["validation"] == second.metrics["validation"]
    assert (first.metrics["test"]["samples"], second.metrics["test"]["samples"]) == (33, 7)


def test_selection_takes_the_best_validation_epoch() -> None:
    result = train(
        "vanilla",
        tiny(),
        epochs=8,
        select="best",
        **(SETTINGS | {"lr": 0.8, "schedule": "constant"}),
    )
    accuracies = [row["validation_accuracy"] for row in result.table]
    assert result.metrics["selected_epoch"] == accuracies.index(max(accuracies))
    assert result.metrics["validation"]["accuracy"] == max(accuracies)
    assert min(accuracies) < max(accuracies)


def test_evaluation_sees_every_sample_once_and_leaves_no_trace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(EVALUATION_NUMBERS, "cpu", 256 * (8 * 8 + 5))
    data = tiny(train=300, shapes=((1, 8, 8), (5,)))
    run = new_run(Vanilla(), data)
    batches = list(run.evaluation_batches(data.train))
    assert torch.cat([batch.index for batch in batches]).tolist() == list(range(300))
    assert len(batches) == 2  # the last one is not full
    before = state(run)
    run.model.train()
    first, second = run.encode(data.train), run.encode(data.train)
    assert run.model.training
    assert all(module.training for module in run.model.modules())
    assert all(torch.equal(a, b) for a, b in zip(first.features, second.features, strict=True))
    assert same(before, state(run))
    assert not first.features[0].requires_grad


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
            own = result.model.head_logits(features)[k]
            for kind, output in (("sliced", sliced[k]), ("heads", own)):
                expected = accuracy_score(data.test.target, output.argmax(1))
                assert test["unimodal"][kind][name] == expected
        for how, blank in (
            ("zero_features", [torch.zeros_like(h) for h in features]),
            ("zero_inputs", result.model.features([0 * x for x in data.test.inputs])),
        ):
            none = accuracy_score(data.test.target, result.model.fuse(blank).argmax(1))
            assert sum(test["contribution"][how].values()) == pytest.approx(test["accuracy"] - none)
    for kind in ("sliced", "heads", "probe"):
        values = test["unimodal"][kind].values()
        assert test["gap"][kind] == max(values) - min(values)
    figures = {*test["unimodal"], "accuracy", "macro_f1", "gap", "contribution"}
    assert figures <= set(DEFINITIONS)


def test_contributions_of_two_modalities_are_the_written_formula() -> None:
    data = tiny()
    run = new_run(Vanilla(), data, epochs=3)
    run.fit()
    found = run.test(data.test)["test"]["contribution"]["zero_features"]
    with torch.no_grad():
        h = run.encode(data.test).features
        zero = [torch.zeros_like(x) for x in h]
        v = {}
        for present in ((), (0,), (1,), (0, 1)):
            shown = [h[k] if k in present else zero[k] for k in (0, 1)]
            v[present] = metrics.accuracy(run.model.fuse(shown), data.test.target)
    assert found["m1"] == pytest.approx(((v[0,] - v[()]) + (v[0, 1] - v[1,])) / 2)
    assert found["m2"] == pytest.approx(((v[1,] - v[()]) + (v[0, 1] - v[0,])) / 2)


def test_a_method_with_its_own_fusion_has_no_sliced_reading() -> None:
    class Own(Vanilla):
        name = ""

        def fuse(self, model, features):  # type: ignore[no-untyped-def]
            return model.fuse([2 * h for h in features])

    assert set(train(Own(), tiny(), epochs=1, **SETTINGS).metrics["test"]["unimodal"]) == {"probe"}


def test_a_trained_network_does_not_learn_from_what_it_is_shown() -> None:
    """Neither from the test split nor from a user's samples: dropout and batch norm are at rest."""
    result = train("vanilla", tiny(), epochs=1, **SETTINGS)
    assert not any(module.training for module in result.model.modules())
