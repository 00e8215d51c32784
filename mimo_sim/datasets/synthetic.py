"""Samples of a toy problem: here the exact theory and the training of networks meet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mimo_sim import generators
from mimo_sim._checks import check_count, did_you_mean
from mimo_sim.datasets._record import Record
from mimo_sim.problem import LateFusionProblem

if TYPE_CHECKING:
    from mimo_sim.datasets._data import Dataset


def build(
    root: str | Path | None = None,
    seed: int = 0,
    *,
    problem: str | LateFusionProblem = "superficial",
    train_size: int = 4_096,
    validation_size: int = 1_024,
    test_size: int = 1_024,
) -> Dataset:
    """Regression on Gaussian samples of a late-fusion problem: K modalities (d_k,), targets (m,).

    The samples have the second moments of the problem, up to sampling error. A network with linear
    encoders without bias, trained on half the squared error, is then the toy of
    :func:`mimo_sim.simulate`.

    Parameters
    ----------
    root
        Not used.
    seed : int
        Draws the samples.
    problem : str or LateFusionProblem
        A name of :mod:`mimo_sim.generators`, the path of a problem file, or a problem.
    train_size, validation_size, test_size : int
        Samples, >= 1.

    Raises
    ------
    ValueError, TypeError
        For a size below 1, or a `problem` that is none of these.
    FileNotFoundError
        If `problem` is the path of a file that is not there.
    """
    import torch

    from mimo_sim.datasets._data import Dataset, Modality, Split

    sizes = {"train": train_size, "validation": validation_size, "test": test_size}
    check(
        problem=problem,
        train_size=train_size,
        validation_size=validation_size,
        test_size=test_size,
    )
    if isinstance(problem, str):
        known = problem in generators.NAMES
        problem = generators.named(problem) if known else LateFusionProblem.load(problem)
    inputs, target = problem.sample(sum(sizes.values()), seed)
    tensors = [torch.from_numpy(array.astype(np.float32)) for array in (*inputs, target)]
    splits: list[Split] = []
    start = 0
    for size in sizes.values():
        *parts, answers = (tensor[start : start + size] for tensor in tensors)
        splits.append(Split(tuple(parts), answers))
        start += size
    train, validation, test = splits
    modalities = tuple(
        Modality(name, (dim,)) for name, dim in zip(problem.names, problem.dims, strict=True)
    )
    return Dataset(
        "synthetic",
        modalities,
        train,
        validation,
        test,
        task="regression",
        about={"problem": problem.to_json(), "sizes": sizes, "seed": seed},
    )


def check(
    *,
    problem: str | LateFusionProblem = "superficial",
    train_size: int = 1,
    validation_size: int = 1,
    test_size: int = 1,
) -> None:
    """Refuse the settings that :func:`build` refuses; no file is opened."""
    names = tuple(generators.NAMES)
    if not isinstance(problem, str | LateFusionProblem):
        raise TypeError(
            f"`problem` must be one of {names}, a file, or a LateFusionProblem. "
            f"Got problem={problem!r:.80}."
        )
    known = not isinstance(problem, str) or problem in names
    if not known and not Path(str(problem)).suffix and not Path(str(problem)).is_file():
        raise ValueError(
            f"`problem` must be one of {names}, or the path of a problem file. "
            f"Got problem={problem!r}.{did_you_mean(problem, names)}"
        )
    check_count("train_size", train_size)
    check_count("validation_size", validation_size)
    check_count("test_size", test_size)


RECORD = Record(
    name="synthetic",
    about="regression on samples of a toy problem (mimo_sim.generators)",
    modalities={},
    classes=(),
    build=build,
    check=check,
    licence="none: generated",
    home="https://arxiv.org/abs/2511.06686",
)
