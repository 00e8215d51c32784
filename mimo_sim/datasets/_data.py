"""A data set in memory: named modalities, one target, three splits."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from mimo_sim._checks import check_choice, check_count
from mimo_sim.datasets._on_disk import CHUNK, stays_on_disk

Task = Literal["classification", "regression"]
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Modality:
    """One input of a network.

    Stored numbers become network inputs by ``(stored * scale - mean) / std``.

    Attributes
    ----------
    name : str
    shape : tuple of int
        Of one sample.
    scale, mean, std : float

    Raises
    ------
    TypeError
        If `name` is no text, or `shape` no tuple of integers.
    """

    name: str
    shape: tuple[int, ...]
    scale: float = 1.0
    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"`name` of a modality must be text. Got name={self.name!r}.")
        if not isinstance(self.shape, tuple | list):
            raise TypeError(
                f"`shape` of a modality must be a tuple of integers. Got shape={self.shape!r}."
            )
        shape = tuple(check_count("shape", side) for side in self.shape)
        object.__setattr__(self, "shape", shape)


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


def as_tensor(name: str, value: Any) -> Tensor:
    """A tensor as it is; a NumPy array as the tensor of the same numbers.

    What stays on the disk is used like a tensor (:class:`mimo_sim.datasets._on_disk.OnDisk`).

    Raises
    ------
    TypeError
        For anything else, an array of objects or words, or a single number.
    """
    if stays_on_disk(value):
        return value  # type: ignore[no-any-return]
    if isinstance(value, np.ndarray):
        try:
            value = torch.from_numpy(np.require(value, requirements=["C", "W"]))
        except TypeError:
            raise TypeError(
                f"`{name}` of a split must be an array of numbers. Got dtype {value.dtype}."
            ) from None
    if not isinstance(value, Tensor) or not value.ndim:
        raise TypeError(
            f"`{name}` of a split must be a tensor or NumPy array with one entry or row for each "
            f"sample. Got {type(value).__name__}."
        )
    return value


def _all_finite(x: Tensor) -> bool:
    """Whether no number is inf or nan; in parts, for `isfinite` makes copies as large as `x`."""
    return all(bool(part.isfinite().all()) for part in torch.split(x, CHUNK))


@dataclass(frozen=True)
class Split:
    """n samples.

    Attributes
    ----------
    inputs : K tensors (n, *shape_k)
        uint8 or float32. NumPy arrays become tensors.
    target : tensor
        Classes (n,) in int64, or numbers (n, m) in float32. A NumPy array becomes a tensor.

    Raises
    ------
    TypeError
        If `inputs` is no tuple or list of tensors or arrays, or `target` is neither.
    ValueError
        If the tensors do not have one length.
    """

    inputs: tuple[Tensor, ...]
    target: Tensor

    def __post_init__(self) -> None:
        if not isinstance(self.inputs, tuple | list):
            raise TypeError(
                "`inputs` of a split must be a tuple with one tensor for each modality. "
                f"Got {type(self.inputs).__name__}."
            )
        inputs = tuple(as_tensor("inputs", x) for x in self.inputs)
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "target", as_tensor("target", self.target))
        lengths = {len(x) for x in (*self.inputs, self.target)}
        if len(lengths) != 1:
            raise ValueError(
                f"`inputs` and `target` of a split must have one length. Got {sorted(lengths)}."
            )

    def __len__(self) -> int:
        return len(self.target)

    def __repr__(self) -> str:
        shapes = ", ".join(str(tuple(x.shape)) for x in self.inputs)
        return f"Split({len(self)} samples, inputs {shapes})"

    def to(self, device: torch.device | str) -> Split:
        """The same split on a device."""
        return Split(tuple(x.to(device) for x in self.inputs), self.target.to(device))

    def take(self, index: Tensor) -> Split:
        """The samples at `index` (n',)."""
        return Split(tuple(x[index] for x in self.inputs), self.target[index])


@dataclass(frozen=True)
class Dataset:
    """A data set that is ready for training.

    Training and the choice of an epoch use ``train`` and ``validation`` only. ``test`` is used
    once, at the end.

    Attributes
    ----------
    name : str
    modalities : tuple of Modality
    train, validation, test : Split
    task : {"classification", "regression"}
    classes : tuple of str
        In the order of the target's numbers; empty for regression.
    about : mapping
        Settings and origin, for the records of runs.

    Raises
    ------
    ValueError
        If two modalities share a name, there is none, or a split does not fit them; for an unknown
        task, or a classification without `classes`.
    TypeError
        If `modalities` holds something else, a split is no :class:`Split`, or `classes` no tuple.
    """

    name: str
    modalities: tuple[Modality, ...]
    train: Split
    validation: Split
    test: Split
    task: Task = "classification"
    classes: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice("task", self.task, get_args(Task))
        self._check_parts()
        names = [modality.name for modality in self.modalities]
        if not names or len(set(names)) < len(names):
            raise ValueError(
                "`modalities` of a data set must have names of their own, at least one. "
                f"Got {names}."
            )
        for where, split in self._splits():
            if len(split.inputs) != len(names):
                raise ValueError(
                    f"{where} must have one tensor for each of {names}. Got {len(split.inputs)}."
                )
            for modality, x in zip(self.modalities, split.inputs, strict=True):
                if tuple(x.shape[1:]) != modality.shape:
                    raise ValueError(
                        f"{modality.name!r} in {where} must be (n, *{modality.shape}). "
                        f"Got shape {tuple(x.shape)}."
                    )

    def _check_parts(self) -> None:
        """Refuse parts of a wrong type, and classes that were forgotten."""
        if not isinstance(self.modalities, tuple | list) or not all(
            isinstance(modality, Modality) for modality in self.modalities
        ):
            raise TypeError(
                "`modalities` of a data set must be a tuple of mimo_sim.datasets.Modality. "
                f"Got {self.modalities!r}."
            )
        for name in SPLITS:
            if not isinstance(getattr(self, name), Split):
                raise TypeError(
                    f"`{name}` of a data set must be a mimo_sim.datasets.Split. "
                    f"Got {type(getattr(self, name)).__name__}."
                )
        if not isinstance(self.classes, tuple | list):
            raise TypeError(
                "`classes` of a data set must be a tuple with the name of every class. "
                f"Got classes={self.classes!r}."
            )
        object.__setattr__(self, "modalities", tuple(self.modalities))
        object.__setattr__(self, "classes", tuple(self.classes))
        if self.task == "classification" and not self.classes:
            raise ValueError(
                "`classes` of a data set must name every class of the target, unless "
                f"task='regression'. Got classes={self.classes!r}."
            )

    def _splits(self) -> Iterator[tuple[str, Split]]:
        """Every split, and what messages call it."""
        for name in SPLITS:
            yield f"the {name} split of {self.name!r}", getattr(self, name)

    def check(self) -> None:
        """Look at every number of every split.

        Raises
        ------
        ValueError, TypeError
            If a split is empty, an input is not finite, or a target is not what the task asks for:
            classes 0 to C - 1 in int64 (n,), or finite floats (n, m).
        """
        for where, split in self._splits():
            if not len(split):
                raise ValueError(f"{where} must not be empty.")
            for modality, x in zip(self.modalities, split.inputs, strict=True):
                if stays_on_disk(x):
                    continue  # a store refuses them when it is written
                if x.is_floating_point() and not _all_finite(x):
                    bad = int((~x.isfinite()).flatten(1).any(1).sum())
                    raise ValueError(
                        f"{modality.name!r} in {where} must be finite. "
                        f"Got inf or nan in {bad} samples."
                    )
            if self.task == "classification":
                self._check_classes(split.target, where)
            else:
                self._check_numbers(split.target, where)

    def _check_classes(self, target: Tensor, where: str) -> None:
        if target.ndim != 1 or target.dtype != torch.int64:
            raise TypeError(
                f"the target of {where} must be classes (n,) in int64. "
                f"Got {target.dtype}, shape {tuple(target.shape)}."
            )
        least, most = int(target.min()), int(target.max())
        if least < 0 or most >= self.num_outputs:
            raise ValueError(
                f"the target of {where} must lie in 0..{self.num_outputs - 1}. "
                f"Got {least} to {most}."
            )

    def _check_numbers(self, target: Tensor, where: str) -> None:
        if target.ndim != 2 or not target.is_floating_point():
            raise TypeError(
                f"the target of {where} must be floats (n, m). "
                f"Got {target.dtype}, shape {tuple(target.shape)}."
            )
        if target.shape[1] != self.num_outputs or not target.isfinite().all():
            raise ValueError(
                f"the target of {where} must be finite and (n, {self.num_outputs}). "
                f"Got shape {tuple(target.shape)}."
            )

    def checksum(self) -> str:
        """Eight hexadecimal digits, made of every number and of how it becomes a network input."""
        parts: list[Any] = []  # tensors, or samples on the disk
        for _, split in self._splits():
            parts += [*split.inputs, split.target]
        kinds = [(x.dtype, x.shape) for x in parts]
        found = zlib.crc32(repr((self.modalities, self.task, self.classes, kinds)).encode())
        for x in parts:
            for part in x.to("cpu").chunks() if stays_on_disk(x) else [x]:
                content = part.detach().cpu().contiguous().view(torch.uint8).numpy().data
                found = zlib.crc32(content, found)
        return f"{found:08x}"

    @property
    def num_modalities(self) -> int:
        """K."""
        return len(self.modalities)

    @property
    def num_outputs(self) -> int:
        """Classes C, or target dimension m."""
        if self.task == "classification":
            return len(self.classes)
        return int(self.train.target.shape[1])

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
