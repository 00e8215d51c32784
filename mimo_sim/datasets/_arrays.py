"""A user's own arrays as a data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mimo_sim._checks import check_count, check_within, shown
from mimo_sim.datasets._data import Dataset, Modality, Split
from mimo_sim.datasets._stratified import split_rows


def from_arrays(
    inputs: Mapping[str, Any],
    target: Any,
    *,
    name: str = "own",
    seed: int = 0,
    validation_share: float = 0.2,
    test_share: float = 0.2,
) -> Dataset:
    """Anyone's own data, ready for :func:`mimo_sim.training.train`.

    Parameters
    ----------
    inputs : mapping
        Name of a modality -> its samples (n, *shape): NumPy arrays or tensors of numbers.
    target : array (n,) or (n, m)
        Class labels (n,): whole numbers, booleans or text. Floating-point numbers are a regression.
    name : str
        Of the data set, in records.
    seed : int
        >= 0; draws the split. In classification every part keeps the shares of the classes.
    validation_share, test_share : float
        Parts of all samples, in (0, 1); the rest, which must not be empty, is for training.

    Returns
    -------
    Dataset
        Every modality is standardised by the mean and standard deviation of its train split.

    Raises
    ------
    TypeError
        If `inputs` is no mapping, or something is no array of numbers.
    ValueError
        For arrays of different lengths, numbers that are not finite, or shares out of range.

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
    arrays = {key: _numbers(f"inputs[{key!r}]", value) for key, value in inputs.items()}
    numbers, classes = _target(target)
    for key, array in arrays.items():
        if array.ndim < 2 or len(array) != len(numbers):
            raise ValueError(
                f"`inputs[{key!r}]` must have shape (n, ...) with n = {len(numbers)}, the number "
                f"of targets. Got shape {array.shape}."
            )
    labels = numbers if classes else np.zeros(len(numbers), dtype=np.int64)
    rest, test = split_rows(labels, test_share, seed)
    train, validation = split_rows(labels[rest], validation_share / (1 - test_share), seed)
    parts = [rest[train], rest[validation], test]
    modalities = []
    for key, array in arrays.items():
        seen = array[parts[0]]
        std = float(seen.std())
        modalities.append(
            Modality(key, array.shape[1:], mean=float(seen.mean()), std=std if std > 0 else 1.0)
        )
    splits = [
        Split(tuple(array[rows] for array in arrays.values()), numbers[rows]) for rows in parts
    ]
    return Dataset(
        name,
        tuple(modalities),
        train=splits[0],
        validation=splits[1],
        test=splits[2],
        task="classification" if classes else "regression",
        classes=classes,
        about={"seed": seed, "validation_share": validation_share, "test_share": test_share},
    )


def _numbers(name: str, value: Any) -> npt.NDArray[np.float32]:
    """An array of finite numbers as float32."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise TypeError(f"`{name}` must be one array. Got {shown(value)}: {error}.") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"`{name}` must be an array of numbers. Got dtype {array.dtype}.")
    with np.errstate(over="ignore"):
        narrow = array.astype(np.float32)
    if not np.isfinite(narrow).all():
        raise ValueError(f"`{name}` must be finite in float32. It holds NaN or infinite values.")
    return narrow


def _target(value: Any) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """The target as numbers, and the names of its classes: none for a regression."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise TypeError(f"`target` must be one array. Got {shown(value)}: {error}.") from None
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
