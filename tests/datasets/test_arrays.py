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
        (LABELS, ("0", "1", "2")),
        (np.array(["b", "a", "c"])[LABELS], ("a", "b", "c")),
        (torch.from_numpy(LABELS), ("0", "1", "2")),
        (LABELS > 0, ("False", "True")),
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
        ({"a": np.zeros((N, 2))}, LABELS, {"seed": -1}, "`seed` must be >= 0"),
    ],
)
def test_bad_arrays_are_refused(inputs: Any, target: Any, settings: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        ms.datasets.from_arrays(inputs, target, **settings)
