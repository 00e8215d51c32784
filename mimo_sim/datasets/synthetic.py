"""Samples of a toy problem, so that the exact theory and the training of networks meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mimo_sim import generators
from mimo_sim._checks import check_count
from mimo_sim.datasets._record import Record
from mimo_sim.problem import LateFusionProblem

if TYPE_CHECKING:
    from pathlib import Path

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
    """Regression on Gaussian samples with the second moments of a late-fusion problem; K modalities (d_k,), targets (m,).

    With linear encoders without bias and half the squared error, a network on it is the toy of :func:`mimo_sim.simulate`, up to sampling.

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
    """
    import torch

    from mimo_sim.datasets._data import Dataset, Modality, Split

    if not isinstance(problem, str | LateFusionProblem):
        raise TypeError(
            f"`problem` must be one of {tuple(generators.NAMES)}, a file, or a LateFusionProblem. Got problem={problem!r}."
        )
    if isinstance(problem, str):
        problem = (
            generators.named(problem)
            if problem in generators.NAMES
            else LateFusionProblem.load(problem)
        )
    sizes = {"train": train_size, "validation": validation_size, "test": test_size}
    for name, size in sizes.items():
        check_count(f"{name}_size", size)
    inputs, target = problem.sample(sum(sizes.values()), seed)
    columns = [
        torch.split(torch.from_numpy(x.astype(np.float32)), list(sizes.values()))
        for x in (*inputs, target)
    ]
    train, validation, test = (
        Split(tuple(parts[:-1]), parts[-1]) for parts in zip(*columns, strict=True)
    )
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


RECORD = Record(
    name="synthetic",
    about="regression on samples of a toy problem (mimo_sim.generators)",
    modalities={},
    classes=(),
    build=build,
    licence="none: generated",
    home="https://arxiv.org/abs/2511.06686",
)
