"""What every data set is to the rest of the package: named modalities, one target, three splits, all tensors in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Modality:
    """One input: its name, its shape without the batch axis, and how stored numbers become network inputs: ``(stored * scale - mean) / std``."""

    name: str
    shape: tuple[int, ...]
    scale: float = 1.0
    mean: float = 0.0
    std: float = 1.0


@dataclass(frozen=True)
class Split:
    """n samples: per modality a tensor (n, *shape), uint8 or float32, and the target (n,) int64 classes or (n, m) float32."""

    inputs: tuple[Tensor, ...]
    target: Tensor

    def __post_init__(self) -> None:
        lengths = {len(x) for x in (*self.inputs, self.target)}
        if len(lengths) != 1:
            raise ValueError(f"`inputs` and `target` of a split must have one length. Got {sorted(lengths)}.")

    def __len__(self) -> int:
        return len(self.target)

    def to(self, device: torch.device | str) -> Split:
        """The same split on a device."""
        return Split(tuple(x.to(device) for x in self.inputs), self.target.to(device))

    def take(self, index: Tensor) -> Split:
        """The samples at `index` (n',)."""
        return Split(tuple(x[index] for x in self.inputs), self.target[index])


@dataclass(frozen=True)
class Dataset:
    """A data set ready for training. Methods and selection see ``train`` and ``validation``; ``test`` is for the end."""

    name: str
    modalities: tuple[Modality, ...]
    train: Split
    validation: Split
    test: Split
    task: Task = "classification"
    classes: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)  # settings and origin, for records

    @property
    def num_modalities(self) -> int:
        """K."""
        return len(self.modalities)

    @property
    def num_outputs(self) -> int:
        """Classes C, or target dimension m."""
        return len(self.classes) if self.task == "classification" else int(self.train.target.shape[1])

    def prepare(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Stored inputs of a batch as float32 network inputs."""
        return [
            x.float() if (m.scale, m.mean, m.std) == (1, 0, 1) else (x.float() * (m.scale / m.std)).sub_(m.mean / m.std)
            for x, m in zip(inputs, self.modalities, strict=True)
        ]

    def to(self, device: torch.device | str) -> Dataset:
        """The same data set with its tensors on a device."""
        return replace(self, train=self.train.to(device), validation=self.validation.to(device), test=self.test.to(device))
