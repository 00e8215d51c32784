"""Rows of the epoch table: sums over an epoch, and names of columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass
class Totals:
    """Sums over the samples of an epoch, kept on the device."""

    samples: int = 0
    sums: dict[str, Tensor] = field(default_factory=dict)

    def add(self, count: int, **values: Tensor) -> None:
        """Add the sums over a batch of `count` samples."""
        self.samples += count
        for name, value in values.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value

    def means(self, over_processes: Callable[[Tensor], Tensor]) -> dict[str, list[float]]:
        """Means over the samples, and over all processes."""
        return {
            name: (over_processes(total) / self.samples).flatten().tolist()
            for name, total in self.sums.items()
        }


def columns(name: str, values: Any, modalities: Sequence[str]) -> dict[str, float]:
    """The columns of a number, or of several numbers.

    A number has the column `name`. As many numbers as there are modalities have the columns
    ``name_<modality>``; any other count has ``name_0``, ``name_1``, ...
    """
    if isinstance(values, Tensor) and values.ndim:
        values = values.flatten().tolist()
    if not isinstance(values, list | tuple):
        return {name: float(values)}
    labels = list(modalities)
    if len(values) != len(labels):
        labels = [str(place) for place in range(len(values))]
    return {f"{name}_{label}": float(value) for label, value in zip(labels, values, strict=True)}
