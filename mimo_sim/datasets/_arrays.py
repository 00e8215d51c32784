"""A user's own arrays as a data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from mimo_sim._checks import check_count, check_within, shown
from mimo_sim.datasets._data import Dataset, Modality, Split
from mimo_sim.datasets._stratified import Rows, split_rows


def from_arrays(
    inputs: Mapping[str, Any],
    target: Any,
    *,
    name: str = "own",
    groups: Any = None,
    seed: int = 0,
    validation_share: float = 0.2,
    test_share: float = 0.2,
) -> Dataset:
    """Anyone's own data, ready for :func:`mimo_sim.training.train`.

    Parameters
    ----------
    inputs : mapping
        Name of a modality -> its samples (n, *shape): NumPy arrays or tensors of numbers. Sequences
        of different lengths are a list of n arrays (steps, numbers); they are padded at the end
        with steps of zeros, which the encoder ``gru`` leaves out. In an array (n, steps, numbers)
        every step counts.
    target : array (n,) or (n, m)
        Class labels (n,): whole numbers, booleans or text. Floating-point numbers are a regression.
    name : str
        Of the data set, in records.
    groups : array (n,), optional
        What a sample belongs to, such as a person or a recording: labels of any kind. Samples of
        one group are never in two splits. The shares are then shares of the groups, and every part
        keeps the shares of the groups' most frequent classes.
    seed : int
        >= 0; draws the split. In classification every part keeps the shares of the classes.
    validation_share, test_share : float
        Parts of all samples, in (0, 1); the rest, which must not be empty, is for training.

    Returns
    -------
    Dataset
        In float32. Every modality is standardised by the mean and standard deviation of its train
        split.

    Raises
    ------
    TypeError
        If `inputs` is no mapping, or something is no array of numbers.
    ValueError
        For arrays of different lengths, numbers that are not finite, shares out of range, or fewer
        groups than splits.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.array(["cat", "dog"] * 50)
    >>> data = from_arrays({"sound": np.random.rand(100, 8), "picture": np.random.rand(100, 5)}, y)
    >>> data.classes, len(data.train), len(data.validation), len(data.test)
    (('cat', 'dog'), 60, 20, 20)
    """
    check_count("seed", seed, 0)
    check_within("validation_share", validation_share, 0, 1)
    check_within("test_share", test_share, 0, 1)
    check_within("validation_share + test_share", validation_share + test_share, 0, 1)
    if not isinstance(inputs, Mapping) or not inputs:
        raise TypeError(f"`inputs` must be a mapping from names to arrays. Got {inputs!r:.80}.")
    if not isinstance(name, str):
        raise TypeError(f"`name` must be text. Got name={shown(name)}.")
    if not all(isinstance(key, str) for key in inputs):
        raise TypeError(f"`inputs` must have names that are text. Got {shown(list(inputs))}.")
    columns = {key: _column(f"inputs[{key!r}]", value) for key, value in inputs.items()}
    numbers, classes = _target(target)
    for key, (array, _) in columns.items():
        if array.ndim < 2 or len(array) != len(numbers):
            raise ValueError(
                f"`inputs[{key!r}]` must have shape (n, ...) with n = {len(numbers)}, the number "
                f"of targets, and at least two axes (one number per sample: x[:, None]). "
                f"Got shape {array.shape}."
            )
    labels = numbers if classes else np.zeros(len(numbers), dtype=np.int64)
    parts = _split(labels, groups, validation_share, test_share, seed)
    modalities, ready = [], []
    for key, (array, real) in columns.items():
        seen = array[parts[0]] if real is None else array[parts[0]][real[parts[0]]]
        mean, std = float(seen.mean()), float(seen.std()) or 1.0
        if real is not None:  # padding must be zero in the network's input
            array = np.where(real[:, :, None], (array - mean) / std, 0).astype(np.float32)
            mean, std = 0.0, 1.0
        modalities.append(Modality(key, array.shape[1:], mean=mean, std=std))
        ready.append(array)
    splits = [
        Split(tuple(array[rows] for array in ready), numbers[rows])  # type: ignore[misc, arg-type]
        for rows in parts
    ]
    about: dict[str, Any] = {
        "seed": seed,
        "validation_share": validation_share,
        "test_share": test_share,
    }
    if groups is not None:
        about["grouped"] = True
    return Dataset(
        name,
        tuple(modalities),
        train=splits[0],
        validation=splits[1],
        test=splits[2],
        task="classification" if classes else "regression",
        classes=classes,
        about=about,
    )


def _split(
    labels: npt.NDArray[Any], groups: Any, validation_share: float, test_share: float, seed: int
) -> list[Rows]:
    """The rows of train, validation and test."""
    members = None
    if groups is not None:
        groups = _array("groups", groups)
        if groups.shape != labels.shape:
            raise ValueError(
                f"`groups` must have one entry for each of the {len(labels)} targets. "
                f"Got shape {groups.shape}."
            )
        _, members = np.unique(groups, return_inverse=True)
        votes = np.zeros((members.max() + 1, labels.max() + 1), dtype=np.int64)
        np.add.at(votes, (members, labels), 1)
        labels = votes.argmax(1)
    rest, test = split_rows(labels, test_share, seed)
    train, validation = split_rows(labels[rest], validation_share / (1 - test_share), seed)
    parts = [rest[train], rest[validation], test]
    if not all(map(len, parts)):
        units = "samples" if members is None else "groups"
        raise ValueError(
            f"train, validation and test must each have at least one of the {units}. "
            f"Got {len(labels)} {units}."
        )
    if members is None:
        return parts
    return [np.flatnonzero(np.isin(members, part)) for part in parts]


def _array(name: str, value: Any) -> npt.NDArray[Any]:
    """A NumPy array of the same values; tensors of any device and precision too."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = value.float() if value.is_floating_point() else value
    try:
        return np.asarray(value)
    except ValueError as error:
        raise TypeError(f"`{name}` must be one array. Got {shown(value)}: {error}.") from None


def _column(name: str, value: Any) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_] | None]:
    """The samples of a modality, and which of their steps are real where they were padded."""
    if not isinstance(value, list | tuple) or not value:
        return _numbers(name, value), None
    samples = [_array(name, sample) for sample in value]
    if len({sample.shape for sample in samples}) == 1:
        return _numbers(name, samples), None
    if any(sample.ndim != 2 for sample in samples) or len({s.shape[1] for s in samples}) > 1:
        raise ValueError(
            f"`{name}` must have sequences (steps, numbers) with the same numbers in each step. "
            f"Got shapes {sorted({sample.shape for sample in samples})[:3]}."
        )
    lengths = np.array([len(sample) for sample in samples])
    real = np.arange(lengths.max()) < lengths[:, None]
    padded = np.zeros((*real.shape, samples[0].shape[1]), dtype=np.float32)
    padded[real] = _numbers(name, np.concatenate(samples))
    return padded, real


def _numbers(name: str, value: Any) -> npt.NDArray[np.float32]:
    """An array of finite numbers as float32."""
    array = _array(name, value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"`{name}` must be an array of numbers. Got dtype {array.dtype}.")
    with np.errstate(over="ignore"):
        narrow = array.astype(np.float32)
    if not np.isfinite(narrow).all():
        raise ValueError(f"`{name}` must be finite in float32. It holds NaN or infinite values.")
    return narrow


def _target(value: Any) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """The target as numbers, and the names of its classes: none for a regression."""
    array = _array("target", value)
    if array.dtype.kind == "f" and array.ndim in (1, 2) and len(array):
        values = _numbers("target", array)
        return (values[:, None] if values.ndim == 1 else values), ()
    if array.dtype.kind not in "iubUSO" or array.ndim != 1 or not len(array):
        raise TypeError(
            "`target` must be labels (n,) or floating-point numbers (n,) or (n, m). "
            f"Got dtype {array.dtype} and shape {array.shape}."
        )
    names, numbers = np.unique(
        array.astype(str) if array.dtype.kind in "USO" else array, return_inverse=True
    )
    return numbers.astype(np.int64), tuple(map(str, names))
