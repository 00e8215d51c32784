"""Samples that stay in the files of a store: a batch is read when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

CHUNK = 256  # samples that are read at once where all of them are looked at


class OnDisk:
    """One modality of a split, (n, *shape), in the shards of a store; used like a tensor.

    Only the samples of a batch are in the process's memory, and no file stays open. The operating
    system keeps what it has read while there is room. Copies of this object hold no samples.

    Parameters
    ----------
    files : sequence of Path
        The shards, in order.
    lengths : sequence of int
        Samples of each.
    rows : array (n,)
        The samples of this split among all of them.
    dtype, shape
        Of one sample.
    device : torch.device
        Where batches go.
    """

    def __init__(
        self,
        files: Sequence[Path],
        lengths: Sequence[int],
        rows: npt.NDArray[np.int64],
        dtype: str,
        shape: Sequence[int],
        device: torch.device | str = "cpu",
    ) -> None:
        self.files, self.lengths, self.rows = tuple(files), tuple(lengths), rows
        self.kind, self.sample_shape = dtype, tuple(shape)
        self.device = torch.device(device)
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int64)

    @property
    def shape(self) -> torch.Size:
        """(n, *shape)."""
        return torch.Size((len(self.rows), *self.sample_shape))

    @property
    def ndim(self) -> int:
        """Axes, the one of the samples among them."""
        return 1 + len(self.sample_shape)

    @property
    def dtype(self) -> torch.dtype:
        """Of the numbers."""
        return torch.from_numpy(np.empty(0, self.kind)).dtype

    def __len__(self) -> int:
        return len(self.rows)

    def is_floating_point(self) -> bool:
        """Whether the numbers are floats."""
        return self.dtype.is_floating_point

    def to(self, device: torch.device | str) -> OnDisk:
        """The same samples; their batches go to another device."""
        return OnDisk(
            self.files, self.lengths, self.rows, self.kind, self.sample_shape, torch.device(device)
        )

    def read(self, places: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """The samples at these places of the split."""
        rows = self.rows[places]
        shards = np.searchsorted(self.starts, rows, side="right") - 1
        found = np.empty((len(rows), *self.sample_shape), self.kind)
        numbers = found.reshape(len(rows), -1).view(np.uint8)
        size = numbers.shape[1]
        for shard in np.unique(shards):
            with self.files[shard].open("rb", buffering=0) as file:
                begin = file.seek(0, os.SEEK_END) - size * self.lengths[shard]  # after the header
                for place in np.flatnonzero(shards == shard):
                    file.seek(begin + size * int(rows[place] - self.starts[shard]))
                    if file.readinto(numbers[place].data) != size:
                        raise OSError(f"{self.files[shard]} ends too early: mimo-sim data verify")
        return found

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """The samples at `index` (n',), on the device."""
        if dim != 0:
            raise ValueError(f"`dim` must be 0. Got {dim}.")
        read = torch.from_numpy(self.read(index.cpu().numpy()))
        if self.device.type == "cuda":
            return read.pin_memory().to(self.device, non_blocking=True)
        return read.to(self.device)

    def __getitem__(self, index: int | slice | Tensor) -> Any:
        """One sample, or those of a slice, as a tensor; for a tensor (n',) a smaller OnDisk."""
        places = np.arange(len(self))
        if isinstance(index, Tensor):
            rows = self.rows[index.cpu().numpy()]
            return OnDisk(self.files, self.lengths, rows, self.kind, self.sample_shape, self.device)
        if isinstance(index, slice):
            return self.index_select(0, torch.from_numpy(places[index]))
        return self.index_select(0, torch.from_numpy(places[[index]]))[0]

    def chunks(self) -> Iterator[Tensor]:
        """All samples in order, some at a time."""
        for part in torch.split(torch.arange(len(self)), CHUNK):
            yield self.index_select(0, part)

    def sum(self, dtype: torch.dtype | None = None) -> Tensor:
        """The sum of all numbers."""
        return torch.stack([part.sum(dtype=dtype) for part in self.chunks()]).sum()


def stays_on_disk(value: Any) -> bool:
    """Whether this modality of a split is read batch by batch."""
    return isinstance(value, OnDisk)


def of_store(folder: Path, manifest: Mapping[str, Any], array: str, rows: Any) -> OnDisk:
    """Some samples of an array of a store."""
    kind, shape = manifest["arrays"][array]
    files = [folder / f"{array}-{shard['number']:05d}.npy" for shard in manifest["shards"]]
    lengths = [shard["samples"] for shard in manifest["shards"]]
    return OnDisk(files, lengths, np.asarray(rows, np.int64), kind, shape)
