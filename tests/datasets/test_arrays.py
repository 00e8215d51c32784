"""A user's own arrays: three modalities, labels of any kind, and refusals."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch

import mimo_sim as ms

N = 600
RNG = np.random.default_rng(0)
LABELS = RNG.integers(3, size=N)
INPUTS = {
    "vector": np.eye(3)[LABELS] + 0.3 * RNG.normal(size=(N, 3)),
    "picture": torch.from_numpy(RNG.normal(size=(N, 1, 8, 8))),
    "bytes": RNG.integers(255, size=(N, 5), dtype=np.uint8),
}


@pytest.mark.parametrize(
    ("target", "classes"),
    [
        pytest.param(LABELS, ("0", "1", "2"), marks=pytest.mark.slow),
        (np.array(["b", "a", "c"])[LABELS], ("a", "b", "c")),
        pytest.param(torch.from_numpy(LABELS), ("0", "1", "2"), marks=pytest.mark.slow),
        pytest.param(LABELS > 0, ("False", "True"), marks=pytest.mark.slow),
    ],
)
def test_labels_of_any_kind_train(target: Any, classes: tuple[str, ...]) -> None:
    data = ms.datasets.from_arrays(INPUTS, target)
    assert data.classes == classes
    assert [len(part) for part in (data.train, data.validation, data.test)] == [360, 120, 120]
    result = ms.training.train("mimo", data, epochs=12, width=8, lr=0.05, accelerator="cpu")
    assert result.metrics["test"]["accuracy"] > 0.6


def test_every_sample_is_in_one_part_and_the_train_part_is_standardised() -> None:
    rows = np.arange(N, dtype=float)[:, None]
    data = ms.datasets.from_arrays({"row": rows}, LABELS, seed=3)
    parts = [part.inputs[0].flatten().tolist() for part in (data.train, data.validation, data.test)]
    assert sorted(chain(*parts)) == list(range(N))
    assert data.modalities[0].mean == pytest.approx(np.mean(parts[0]))
    assert data.modalities[0].std == pytest.approx(np.std(parts[0]))
    again = ms.datasets.from_arrays({"row": rows}, LABELS, seed=3)
    other = ms.datasets.from_arrays({"row": rows}, LABELS, seed=4)
    assert data.checksum() == again.checksum() != other.checksum()


@pytest.mark.parametrize("named", [False, True])
def test_a_group_is_never_in_two_splits(named: bool) -> None:
    groups = RNG.integers(40, size=N)
    given = np.array([f"person {group}" for group in groups]) if named else groups
    rows = np.arange(N, dtype=float)[:, None]
    data = ms.datasets.from_arrays({"row": rows}, LABELS, groups=given, seed=1)
    parts = [part.inputs[0].flatten().int() for part in (data.train, data.validation, data.test)]
    seen = [set(groups[part].tolist()) for part in parts]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 40
    assert [len(one) for one in seen] == [24, 8, 8]
    assert sorted(chain(*(part.tolist() for part in parts))) == list(range(N))
    whole = ms.datasets.from_arrays({"row": rows}, LABELS, seed=1)
    assert data.checksum() != whole.checksum()


def test_the_groups_of_every_class_are_shared_out() -> None:
    labels = np.repeat([0, 1], [400, 200])
    groups = np.arange(N) // 10  # 40 groups of the one class, 20 of the other
    data = ms.datasets.from_arrays({"x": np.zeros((N, 1))}, labels, groups=groups)
    for part, size in ((data.train, 360), (data.validation, 120), (data.test, 120)):
        assert part.target.bincount().tolist() == [size * 2 // 3, size // 3]


def test_sequences_of_different_lengths_are_padded_after_standardising() -> None:
    steps = [RNG.normal(5, 2, size=(1 + n % 4, 3)) for n in range(N)]
    data = ms.datasets.from_arrays({"steps": steps}, LABELS)
    x = data.train.inputs[0]
    assert data.modalities[0].shape == (4, 3)
    real = (x != 0).any(2)
    assert real[:, 0].all()
    assert torch.equal(real, real.cummin(1).values)  # padding is at the end
    assert float(x[real].mean()) == pytest.approx(0, abs=1e-5)
    assert float(x[real].std()) == pytest.approx(1, abs=1e-3)
    assert torch.equal(data.prepare([x])[0], x)


def test_tensors_of_every_kind_are_arrays() -> None:
    x = torch.randn(N, 4, dtype=torch.float64, requires_grad=True)
    data = ms.datasets.from_arrays({"a": x, "b": x.bfloat16()}, list("ab" * (N // 2)))
    assert [part.dtype for part in data.train.inputs] == [torch.float32] * 2
    assert data.classes == ("a", "b")


@pytest.mark.parametrize("columns", [None, 2])
def test_numbers_are_a_regression(columns: int | None) -> None:
    target = RNG.normal(size=N if columns is None else (N, columns))
    data = ms.datasets.from_arrays(INPUTS, target)
    assert (data.task, data.classes, data.num_outputs) == ("regression", (), columns or 1)


@pytest.mark.parametrize(
    ("inputs", "target", "settings", "words"),
    [
        ([1.0], LABELS, {}, "`inputs` must be a mapping"),
        (
            {"a": np.array(["x"] * N)[:, None]},
            LABELS,
            {},
            "`inputs\\['a'\\]` must be an array",
        ),
        ({"a": np.full((N, 2), np.nan)}, LABELS, {}, "`inputs\\['a'\\]` must be finite"),
        ({"a": np.zeros((N - 1, 2))}, LABELS, {}, "n = 600, the number of targets"),
        ({"a": np.zeros((N, 2))}, LABELS[:, None], {}, "`target` must be labels"),
        ({"a": np.zeros((N, 2))}, LABELS, {"test_share": 0.9}, "`validation_share . test_share`"),
        ({"a": [np.zeros((2, 2)), np.zeros((3, 1))]}, LABELS, {}, "must have sequences"),
        (
            {"a": np.zeros((N, 2))},
            LABELS,
            {"groups": np.zeros(5)},
            r"`groups` must have one entry for each of the 600 targets. Got shape \(5,\)",
        ),
        (
            {"a": np.zeros((N, 2))},
            LABELS,
            {"groups": np.arange(N) % 2},
            "must each have at least one of the groups. Got 2 groups",
        ),
        ({"a": np.zeros((N, 2))}, LABELS, {"seed": -1}, "`seed` must be >= 0"),
    ],
)
def test_bad_arrays_are_refused(inputs: Any, target: Any, settings: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        ms.datasets.from_arrays(inputs, target, **settings)
