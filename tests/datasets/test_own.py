"""What a data set of one's own may be, and what its checksum sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mimo_sim import datasets
from mimo_sim.datasets._data import Dataset, Modality, Split
from mimo_sim.training import train
from tests.networks import SETTINGS, tiny


def altered(**parts: Any) -> Dataset:
    """A small data set whose train split, or another part, is changed."""
    good = tiny()
    split = {key: parts.pop(key) for key in ("inputs", "target") if key in parts}
    return replace(good, **parts, train=replace(good.train, **split))


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (
            {"modalities": (Modality("a", (6,)), Modality("a", (5,)))},
            r"`modalities` .* names of their own.* Got \['a', 'a'\]",
        ),
        ({"modalities": ()}, "`modalities` .* at least one"),
        (
            {"inputs": (torch.zeros(72, 6),)},
            r"the train split of 'tiny' must have one tensor for each of \['m1', 'm2'\]\. Got 1",
        ),
        (
            {"inputs": (torch.zeros(72, 6), torch.zeros(72, 4))},
            r"'m2' in the train split of 'tiny' must be \(n, \*\(5,\)\)\. Got shape \(72, 4\)",
        ),
        (
            {"inputs": (torch.zeros(72, 6), torch.full((72, 5), torch.nan))},
            "'m2' in the train split of 'tiny' must be finite. Got inf or nan in 72 samples",
        ),
        (
            {"target": torch.full((72,), 7)},
            r"the target of the train split of 'tiny' must lie in 0\.\.2\. Got 7 to 7",
        ),
        ({"target": torch.full((72,), -1)}, r"must lie in 0\.\.2\. Got -1 to -1"),
        ({"target": torch.zeros(72)}, r"must be classes \(n,\) in int64\. Got torch\.float32"),
        (
            {"target": torch.zeros(72), "task": "regression"},
            r"must be floats \(n, m\)\. Got torch\.float32, shape \(72,\)",
        ),
        ({"target": torch.full((72, 1), torch.inf), "task": "regression"}, "must be finite and"),
    ],
)
def test_faults_of_a_data_set_are_named_before_training(parts: dict[str, Any], words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        train("vanilla", altered(**parts), epochs=1, **SETTINGS)


def test_the_checksum_sees_every_number_and_how_it_is_used() -> None:
    first = tiny()
    assert first.checksum() == tiny().checksum()
    one = first.test.target.clone()
    one[-1] = (one[-1] + 1) % 3
    other = [
        replace(first, test=replace(first.test, target=one)),
        replace(first, modalities=(Modality("m1", (6,), mean=0.1), Modality("m2", (5,)))),
        tiny(seed=1),
    ]
    assert len({first.checksum(), *(data.checksum() for data in other)}) == 4


def test_preparing_a_batch_leaves_the_stored_numbers_alone() -> None:
    data = datasets.load("digits")
    stored = [x.clone() for x in data.train.inputs]
    scaled = replace(
        data, modalities=tuple(replace(m, scale=2.0, mean=0.5, std=0.25) for m in data.modalities)
    )
    for x, made in zip(stored, scaled.prepare(data.train.inputs), strict=True):
        torch.testing.assert_close(made, (x.float() * 2.0 - 0.5) / 0.25)
    assert all(torch.equal(x, kept) for x, kept in zip(stored, data.train.inputs, strict=True))


def test_numpy_arrays_become_tensors_of_the_same_numbers() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (9, 2, 4), dtype=np.uint8)[:, :, ::-1]  # no memory of its own
    sounds = rng.standard_normal((9, 3), dtype=np.float32)
    sounds.flags.writeable = False
    split = Split([pixels, sounds], np.arange(9) % 2)  # type: ignore[arg-type]
    assert [x.dtype for x in (*split.inputs, split.target)] == [
        torch.uint8,
        torch.float32,
        torch.int64,
    ]
    assert np.array_equal(split.inputs[0], pixels)
    assert np.array_equal(split.inputs[1], sounds)
    modalities = (Modality("pixels", [2, 4], scale=1 / 255), Modality("sound", (3,)))  # type: ignore[arg-type]
    data = Dataset("mine", modalities, split, split, split, classes=["no", "yes"])  # type: ignore[arg-type]
    assert (
        train("vanilla", data, epochs=1, encoder="mlp", **SETTINGS).metrics["test"]["samples"] == 9
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: Split(torch.zeros(4, 2), torch.zeros(4)),  # type: ignore[arg-type]
            r"`inputs` of a split must be a tuple with one tensor .* Got Tensor\.",
        ),
        (
            lambda: Split(([1.0, 2.0],), torch.zeros(2)),  # type: ignore[arg-type]
            r"`inputs` of a split must be a tensor or NumPy array .* Got list\.",
        ),
        (
            lambda: Split((np.array([None, "a"]),), torch.zeros(2)),  # type: ignore[arg-type]
            r"`inputs` of a split must be an array of numbers\. Got dtype object\.",
        ),
        (lambda: Split((torch.zeros(2),), torch.tensor(1)), "`target` of a split must be a tensor"),
        (lambda: Modality("a", 3), r"`shape` of a modality must be .* Got shape=3\."),  # type: ignore[arg-type]
        (lambda: Modality("a", (2.5,)), "`shape` must be an integer"),  # type: ignore[arg-type]
        (lambda: Modality(0, (3,)), "`name` of a modality must be text"),  # type: ignore[arg-type]
        (
            lambda: altered(classes=()),
            r"`classes` of a data set must name every class .* Got .*\(\)",
        ),
        (lambda: altered(classes=10), r"`classes` of a data set must be a tuple .* classes=10\."),
        (lambda: altered(modalities=("m1", "m2")), "`modalities` of a data set must be a tuple of"),
        (lambda: altered(test=[1]), r"`test` of a data set must be a .*\.Split\. Got list\."),
        (
            lambda: altered(task="classify"),
            r"`task` must be one of .* Did you mean 'classification'\?",
        ),
    ],
)
def test_wrong_types_and_forgotten_classes_are_named(
    call: Callable[[], object], words: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        call()
