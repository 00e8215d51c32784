"""A data set out of a prepared store: its splits, in memory or left on the disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mimo_sim.datasets._stratified import split_rows

if TYPE_CHECKING:
    from mimo_sim.datasets._data import Dataset, Modality, Task

VALIDATION = 0.1  # of the train list, where a data set has no validation split of its own
MEMORY_SHARE = 0.25  # a data set that needs more of the machine's memory stays on the disk
GROUP_SHARES = {"test": 0.2, "validation": 0.1}  # of the groups, where they are split anew


def dataset_of(
    folder: Path,
    manifest: Mapping[str, Any],
    seed: int,
    modalities: Sequence[Modality],
    classes: Sequence[str],
    stream: bool | None = None,
    group: Callable[[str], str] | None = None,
) -> Dataset:
    """The data set in a finished store.

    Parameters
    ----------
    folder, manifest
        The store; its arrays are called as the modalities.
    seed : int
        Draws the validation split where the lists have none: 10 % of train, stratified. With
        `group` it draws all three.
    modalities : sequence of Modality
    classes : sequence of str
        Empty for regression.
    stream : bool or None
        Leave the samples on the disk and read each batch when it is needed. None does so where
        they would take more than a quarter of the machine's memory. The numbers are the same.
    group : callable, optional
        Id of a sample -> its group. The published split is then not used: 20 % of the groups are
        test, 10 % validation.
    """
    import torch

    from mimo_sim.datasets._data import Dataset, Split
    from mimo_sim.datasets._on_disk import of_store

    samples = manifest["samples"]
    rows = _split_by_group(samples, group, seed) if group else _splits(samples, seed, bool(classes))
    if stream is None:
        stream = _bytes(manifest) > MEMORY_SHARE * _memory()
    values = [sample[2] for sample in samples]
    target = torch.tensor(values) if classes else torch.tensor(values, dtype=torch.float32)[:, None]

    def split(name: str) -> Split:
        stored = [of_store(folder, manifest, m.name, rows[name]) for m in modalities]
        inputs = [x if stream else x.index_select(0, torch.arange(len(x))) for x in stored]
        return Split(tuple(inputs), target[torch.from_numpy(rows[name])])  # type: ignore[arg-type]

    about = {
        **manifest["about"],
        "seed": seed,
        "splits": manifest["splits"],
        "kept": manifest["kept"],
        "left_out": len(manifest["left_out"]),
        "dropped": len(manifest["dropped"]),
        "lists": manifest["lists"],
        "decoded_with": manifest["versions"],
    }
    task: Task = "classification" if classes else "regression"
    return Dataset(
        manifest["name"],
        tuple(modalities),
        split("train"),
        split("validation"),
        split("test"),
        task=task,
        classes=tuple(classes),
        about=about,
    )


Rows = dict[str, npt.NDArray[np.int64]]


def _splits(samples: Sequence[Any], seed: int, classification: bool) -> Rows:
    """The rows of every split by the lists; validation is cut from train where they have none."""
    listed = np.array([sample[1] for sample in samples])
    rows = {name: np.flatnonzero(listed == name) for name in ("train", "validation", "test")}
    if not len(rows["validation"]):
        train = rows["train"]
        labels = np.array([samples[int(row)][2] if classification else 0 for row in train])
        parts = split_rows(labels, VALIDATION, seed)
        rows["train"], rows["validation"] = (train[np.sort(part)] for part in parts)
    return rows


def _split_by_group(samples: Sequence[Any], group: Callable[[str], str], seed: int) -> Rows:
    """The rows of every split when no group may be in two of them."""
    groups = np.array([group(sample[0]) for sample in samples])
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    shares = [GROUP_SHARES["test"], sum(GROUP_SHARES.values())]
    test, validation, train = np.split(names, [round(share * len(names)) for share in shares])
    chosen = {"train": train, "validation": validation, "test": test}
    return {name: np.flatnonzero(np.isin(groups, part)) for name, part in chosen.items()}


def _bytes(manifest: Mapping[str, Any]) -> int:
    each = [np.dtype(kind).itemsize * prod(shape) for kind, shape in manifest["arrays"].values()]
    return int(sum(each)) * len(manifest["samples"])


def _memory() -> float:
    """Bytes of the machine's memory; without end where the system does not tell."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return float("inf")
