"""What every data set is to the rest of the package: named modalities, one target, three splits, all tensors in memory."""

from __future__ import annotations

import zlib
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


def prepare(modalities: Sequence[Modality], inputs: Sequence[Tensor]) -> list[Tensor]:
    """Stored inputs of a batch as float32 network inputs; the stored tensors stay as they are."""
    prepared = []
    for modality, stored in zip(modalities, inputs, strict=True):
        scale, mean, std = modality.scale, modality.mean, modality.std
        x = stored.float()
        if (scale, mean, std) != (1, 0, 1):
            x = (x * (scale / std)).sub_(mean / std)
        prepared.append(x)
    return prepared


@dataclass(frozen=True)
class Split:
    """n samples: per modality a tensor (n, *shape), uint8 or float32, and the target (n,) int64 classes or (n, m) float32."""

    inputs: tuple[Tensor, ...]
    target: Tensor

    def __post_init__(self) -> None:
        lengths = {len(x) for x in (*self.inputs, self.target)}
        if len(lengths) != 1:
            raise ValueError(
                f"`inputs` and `target` of a split must have one length. Got {sorted(lengths)}."
            )

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

    def __post_init__(self) -> None:
        names = [m.name for m in self.modalities]
        if not names or len(set(names)) < len(names):
            raise ValueError(
                f"`modalities` of a data set must have names of their own, at least one. Got {names}."
            )
        for split in ("train", "validation", "test"):
            inputs = getattr(self, split).inputs
            if len(inputs) != len(names):
                raise ValueError(
                    f"the {split} split of {self.name!r} must have one tensor for each of {names}. Got {len(inputs)}."
                )
            for modality, x in zip(self.modalities, inputs, strict=True):
                if tuple(x.shape[1:]) != modality.shape:
                    raise ValueError(
                        f"{modality.name!r} in the {split} split of {self.name!r} must be (n, *{modality.shape}). Got shape {tuple(x.shape)}."
                    )

    def check(self) -> None:
        """Look at every number of every split.

        Raises
        ------
        ValueError, TypeError
            If a split is empty, an input is not finite, or a target is not what the task says: classes 0 to C - 1 in int64 (n,), or finite floats (n, m).
        """
        for split in ("train", "validation", "test"):
            data, where = getattr(self, split), f"the {split} split of {self.name!r}"
            if not len(data):
                raise ValueError(f"{where} must not be empty.")
            for modality, x in zip(self.modalities, data.inputs, strict=True):
                if x.is_floating_point() and not x.isfinite().all():
                    raise ValueError(
                        f"{modality.name!r} in {where} must be finite. Got inf or nan in {int((~x.isfinite()).flatten(1).any(1).sum())} samples."
                    )
            target, classify = data.target, self.task == "classification"
            if target.ndim != (1 if classify else 2) or (
                target.dtype != torch.int64 if classify else not target.is_floating_point()
            ):
                wanted = "classes (n,) in int64" if classify else "floats (n, m)"
                raise TypeError(
                    f"the target of {where} must be {wanted}. Got {target.dtype}, shape {tuple(target.shape)}."
                )
            if classify and not 0 <= int(target.min()) <= int(target.max()) < self.num_outputs:
                raise ValueError(
                    f"the target of {where} must lie in 0..{self.num_outputs - 1}. Got {int(target.min())} to {int(target.max())}."
                )
            if not classify and not (
                target.isfinite().all() and target.shape[1] == self.num_outputs
            ):
                raise ValueError(
                    f"the target of {where} must be finite and (n, {self.num_outputs}). Got shape {tuple(target.shape)}."
                )

    def checksum(self) -> str:
        """Of every number in it, and of how they become network inputs: 8 hexadecimal digits."""
        parts = [
            x
            for split in (self.train, self.validation, self.test)
            for x in (*split.inputs, split.target)
        ]
        found = zlib.crc32(
            repr(
                (self.modalities, self.task, self.classes, [(x.dtype, x.shape) for x in parts])
            ).encode()
        )
        for x in parts:
            found = zlib.crc32(x.detach().cpu().contiguous().view(torch.uint8).numpy().data, found)
        return f"{found:08x}"

    @property
    def num_modalities(self) -> int:
        """K."""
        return len(self.modalities)

    @property
    def num_outputs(self) -> int:
        """Classes C, or target dimension m."""
        return (
            len(self.classes) if self.task == "classification" else int(self.train.target.shape[1])
        )

    def prepare(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Stored inputs of a batch as float32 network inputs."""
        return prepare(self.modalities, inputs)

    def to(self, device: torch.device | str) -> Dataset:
        """The same data set with its tensors on a device."""
        return replace(
            self,
            train=self.train.to(device),
            validation=self.validation.to(device),
            test=self.test.to(device),
        )
