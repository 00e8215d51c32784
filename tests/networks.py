"""Small data for tests of training: random vectors whose classes are learned in milliseconds."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mimo_sim.datasets._data import Dataset, Modality, Split
from mimo_sim.training import Settings, TrainingRun

SETTINGS: dict[str, Any] = {"batch_size": 16, "width": 8, "lr": 0.05, "accelerator": "cpu"}


def tiny(
    train: int = 72,
    shapes: tuple[tuple[int, ...], ...] = ((6,), (5,)),
    classes: int = 3,
    seed: int = 0,
) -> Dataset:
    """K modalities of noisy class means; later modalities are noisier."""
    generator = torch.Generator().manual_seed(seed)
    means = [torch.randn(classes, *shape, generator=generator) for shape in shapes]

    def split(n: int) -> Split:
        target = torch.arange(n) % classes
        return Split(
            tuple(
                m[target] + (0.5 + k) * torch.randn(n, *m.shape[1:], generator=generator)
                for k, m in enumerate(means)
            ),
            target,
        )

    modalities = tuple(Modality(f"m{k + 1}", shape) for k, shape in enumerate(shapes))
    return Dataset(
        "tiny",
        modalities,
        split(train),
        split(30),
        split(33),
        classes=tuple(map(str, range(classes))),
        about={"train_size": train},
    )


def tiny_regression(train: int = 64) -> Dataset:
    """Two modalities and a target (n, 1) that is linear in both."""
    generator = torch.Generator().manual_seed(0)

    def split(n: int) -> Split:
        x, y = torch.randn(n, 3, generator=generator), torch.randn(n, 2, generator=generator)
        return Split(
            (x, y), x[:, :1] + 0.5 * y[:, 1:] + 0.1 * torch.randn(n, 1, generator=generator)
        )

    return Dataset(
        "line",
        (Modality("a", (3,)), Modality("b", (2,))),
        split(train),
        split(32),
        split(33),
        task="regression",
    )


def new_run(
    method: Any, dataset: Dataset | None = None, epochs: int = 2, **settings: Any
) -> TrainingRun:
    """An unfitted run."""
    return TrainingRun(method, dataset or tiny(), Settings(epochs, **(SETTINGS | settings)))


def state(run: Any) -> dict[str, Tensor]:
    """All weights and buffers of the model and the method of a run or result."""
    return {
        f"{name}.{key}": value.clone()
        for name in ("model", "method")
        for key, value in getattr(run, name).state_dict().items()
    }


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Equal to the last bit."""
    return first.keys() == second.keys() and all(
        torch.equal(first[key], second[key]) for key in first
    )


def without_seconds(table: list[dict[str, float]]) -> list[dict[str, float]]:
    """The rows of an epoch table without what differs between equal runs."""
    return [{key: value for key, value in row.items() if key != "seconds"} for row in table]
