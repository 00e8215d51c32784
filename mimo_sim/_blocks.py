"""What a user gives as blocks, samples or weights, turned into checked arrays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mimo_sim._checks import LARGEST, FloatArray, check_sequence, finite_array, is_sequence, shown
from mimo_sim._moments import check_size

Blocks: TypeAlias = (
    Sequence[Sequence[npt.ArrayLike]] | npt.NDArray[Any]
)  # [k][l] of shape (d_k, d_l)

ROOT = LARGEST**0.5  # of a sample or a weight, whose squares make moments


def sized_array(name: str, value: Any, most: float = LARGEST) -> FloatArray:
    """`value` as an array of float64 within +-`most`."""
    array = finite_array(name, value)
    check_size(name, array, most)
    return array


def columns(dims: Sequence[int]) -> list[slice]:
    """The columns of each modality in the stacked input."""
    ends = [int(end) for end in np.cumsum(dims)]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def split_columns(matrix: FloatArray, dims: Sequence[int]) -> list[FloatArray]:
    """The blocks (..., d_k) of a matrix (..., D)."""
    return np.split(matrix, np.cumsum(dims)[:-1], axis=1)


def split_both(matrix: FloatArray, dims: Sequence[int]) -> list[list[FloatArray]]:
    """The blocks [k][l] (d_k, d_l) of a matrix (D, D)."""
    return [split_columns(rows, dims) for rows in np.split(matrix, np.cumsum(dims)[:-1])]


def checked_names(names: Sequence[str] | None, count: int) -> tuple[str, ...]:
    """Names of `count` modalities; ``m1, m2, ...`` where none are given."""
    if names is None:
        return tuple(f"m{k + 1}" for k in range(count))
    if not is_sequence(names) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"`names` must be a sequence of names. Got names={shown(names)}.")
    names = tuple(names)
    if len(names) != count or len(set(names)) != count:
        raise ValueError(f"`names` must be {count} different names. Got names={names}.")
    return names


def checked_noise(noise_variance: Any) -> FloatArray:
    """One variance, or several, as an array; each must be finite and >= 0."""
    noise = finite_array("noise_variance", noise_variance)
    if (noise < 0).any():
        raise ValueError(
            f"`noise_variance` must be finite and >= 0. Got noise_variance={shown(noise_variance)}."
        )
    return noise


def moment_blocks(sigma: Blocks, dims: tuple[int, ...]) -> list[list[FloatArray]]:
    """`sigma` as arrays; each block must have shape (d_k, d_l)."""
    count = len(dims)
    rows = list(sigma) if is_sequence(sigma) else []
    if len(rows) != count or any(not is_sequence(row) or len(row) != count for row in rows):
        raise ValueError(
            f"`sigma` must be {count} x {count} blocks, `sigma[k][l]` of shape (d_k, d_l) "
            f"for dims {dims}. Got {shown(sigma)}."
        )
    blocks = [
        [np.atleast_2d(sized_array(f"sigma[{k}][{j}]", block)) for j, block in enumerate(row)]
        for k, row in enumerate(rows)
    ]
    for k, row in enumerate(blocks):
        for j, block in enumerate(row):
            if block.shape != (dims[k], dims[j]):
                raise ValueError(
                    f"`sigma[{k}][{j}]` must have shape {(dims[k], dims[j])}. "
                    f"Got shape {block.shape}."
                )
    return blocks


def cross_blocks(sigma_yx: Any) -> list[FloatArray]:
    """`sigma_yx` as arrays (m, d_k), all with the same m."""
    if not is_sequence(sigma_yx):
        raise TypeError(
            f"`sigma_yx` must be a list of blocks, one per modality. Got {shown(sigma_yx)}."
        )
    blocks = [
        np.atleast_2d(finite_array(f"sigma_yx[{k}]", block)) for k, block in enumerate(sigma_yx)
    ]
    if not blocks:
        raise ValueError("`sigma_yx` must hold one block per modality. Got none.")
    m = len(blocks[0])
    for k, block in enumerate(blocks):
        if block.ndim != 2 or 0 in block.shape or len(block) != m:
            raise ValueError(
                f"`sigma_yx[{k}]` must have shape (m, d_k) or (d_k,) with m = {m} and d_k >= 1. "
                f"Got shape {block.shape}."
            )
    return blocks


def output_moment(y_second_moment: Any, m: int) -> FloatArray:
    """`y_second_moment` as a number or an array (m, m)."""
    output = finite_array("y_second_moment", y_second_moment)
    if output.ndim and output.shape != (m, m):
        raise ValueError(
            f"`y_second_moment` must be a number or have shape {(m, m)}. Got shape {output.shape}."
        )
    return output


def true_weights(weights: Sequence[npt.ArrayLike]) -> list[FloatArray]:
    """`weights` as arrays (m, d_k), all with the same m."""
    check_sequence("weights", weights, "arrays, one per modality")
    true = [np.atleast_2d(sized_array(f"weights[{k}]", w, ROOT)) for k, w in enumerate(weights)]
    if not true or any(w.ndim != 2 or len(w) != len(true[0]) for w in true):
        raise ValueError(
            "`weights` must be arrays (m, d_k), all with the same m. "
            f"Got shapes {[w.shape for w in true]}."
        )
    return true


def many_weights(weights: Sequence[npt.ArrayLike]) -> list[FloatArray]:
    """`weights` of many problems at once, as arrays (N, m, d_k)."""
    check_sequence("weights", weights, "arrays, one per modality")
    return [sized_array(f"weights[{k}]", w, ROOT) for k, w in enumerate(weights)]


def refuse_unequal_stacks(
    weights: Sequence[FloatArray],
    sigma: Sequence[Sequence[FloatArray]],
    noise_variance: FloatArray,
) -> None:
    """Refuse stacks of many problems that do not belong together, by the name of the argument."""
    count = noise_variance.shape
    if len(count) != 1:
        raise ValueError(f"`noise_variance` must have shape (N,). Got shape {count}.")
    outputs = weights[0].shape[1:2]
    for k, w in enumerate(weights):
        if w.ndim != 3 or w.shape[0] not in (1, *count) or w.shape[1:2] != outputs:
            raise ValueError(
                f"`weights[{k}]` must have shape (N, m, d_k) with N = {count[0]}, as in "
                f"`noise_variance`, or 1, and m as in `weights[0]`. Got shape {w.shape}."
            )
    K = len(weights)
    if len(sigma) != K or any(len(row) != K for row in sigma):
        raise ValueError(f"`sigma` must hold {K} x {K} blocks, as `weights` has {K} arrays.")
    for k, row in enumerate(sigma):
        for j, block in enumerate(row):
            wanted = (*count, weights[k].shape[2], weights[j].shape[2])
            if np.shape(block) != wanted:
                raise ValueError(
                    f"`sigma[{k}][{j}]` must have shape {wanted}: N as in `noise_variance`, d as "
                    f"in `weights`. Got shape {np.shape(block)}."
                )


def sample_columns(inputs: Any, y: npt.ArrayLike) -> tuple[list[FloatArray], FloatArray]:
    """Samples as K arrays (n, d_k) and an array (n, m)."""
    target = sized_array("y", y, ROOT)
    check_sequence("inputs", inputs, "arrays, one per modality")
    if isinstance(inputs, np.ndarray) and inputs.ndim == 2 and inputs.shape[:1] == target.shape[:1]:
        raise ValueError(
            "`inputs` must hold one array per modality; wrap a single modality in a list. "
            f"Got one array of shape {inputs.shape}."
        )
    columns = [sized_array(f"inputs[{k}]", x, ROOT) for k, x in enumerate(inputs)]
    columns = [x[:, None] if x.ndim == 1 else x for x in columns]
    target = target[:, None] if target.ndim == 1 else target
    if not columns or target.ndim != 2 or len(target) == 0:
        raise ValueError(
            "`inputs` must hold at least one array and `y` at least one sample. "
            f"Got {len(columns)} arrays, y of shape {target.shape}."
        )
    for k, x in enumerate(columns):
        if x.ndim != 2 or len(x) != len(target):
            raise ValueError(
                f"`inputs[{k}]` must have shape (n, d_k) with n = {len(target)} as in `y`. "
                f"Got shape {x.shape}."
            )
    return columns, target


def centred(samples: FloatArray, standardize: bool) -> FloatArray:
    """Samples (n, d) minus their means; with `standardize` also scaled to unit variance.

    Constant columns become zero.
    """
    samples = samples - samples.mean(0)
    if standardize:
        samples = samples / np.where(samples.std(0) > 0, samples.std(0), 1.0)
    return samples


def parsed_json(
    text: str,
) -> tuple[list[list[FloatArray]], list[FloatArray], Any, Sequence[str] | None]:
    """The constructor's arguments, from the JSON of a problem."""
    try:
        fields = json.loads(text)
        dims = fields["dims"]
        sigma = split_both(np.array(fields["input_moment"], dtype=float), dims)
        cross = split_columns(np.array(fields["cross_moment"], dtype=float), dims)
        return sigma, cross, fields["y_second_moment"], fields.get("names")
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ValueError(
            "`text` must be a problem as written by `to_json`: an object with dims, input_moment, "
            f"cross_moment, y_second_moment. Got {text[:60]!r} ({type(error).__name__}: {error})."
        ) from None
