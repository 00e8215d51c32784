"""A user's own arrays in an .npz file, as a data set."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mimo_sim.datasets._record import Record

if TYPE_CHECKING:
    from mimo_sim.datasets._data import Dataset

SUFFIX = ".npz"
TARGET, GROUPS = "y", "groups"  # every other array of the file is a modality


def is_file(name: Any) -> bool:
    """Whether the name of a data set means a file."""
    return isinstance(name, str) and name.endswith(SUFFIX)


def checksum(path: str) -> str:
    """Of the file's content."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def record_of(path: str) -> Record:
    """What is known of a file: its arrays ``y``, perhaps ``groups``, and the modalities.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError, TypeError
        If it is no .npz file of plain arrays, has no ``y`` or no modality, or holds arrays that
        :func:`mimo_sim.datasets.from_arrays` refuses. Pickled objects are never loaded.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"`dataset` must be a name or an .npz file that is there: {path}.")
    return _record(path, Path(path).stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _record(path: str, changed: int) -> Record:
    arrays = _arrays(path)

    def build(root: Any = None, seed: int = 0) -> Dataset:
        return _dataset(path, arrays, seed)

    made = build()
    return Record(
        name=made.name,
        about=f"the arrays of {path}",
        modalities={modality.name: modality.shape for modality in made.modalities},
        classes=made.classes,
        build=build,
        licence="the user's own",
        home="",
        group=GROUPS if GROUPS in arrays else "sample",
    )


def _arrays(path: str) -> dict[str, npt.NDArray[Any]]:
    """All arrays of the file by name."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} must be an .npz file of plain arrays, as numpy.savez writes them ({error})."
        ) from None
    if TARGET not in arrays or not {*arrays} - {TARGET, GROUPS}:
        raise ValueError(
            f"{path} must hold the target {TARGET!r} and one array for each modality, and may hold "
            f"{GROUPS!r}. Got {sorted(arrays)}."
        )
    return arrays


def _dataset(path: str, arrays: Mapping[str, npt.NDArray[Any]], seed: int) -> Dataset:
    from mimo_sim.datasets._arrays import from_arrays

    inputs = {name: array for name, array in arrays.items() if name not in (TARGET, GROUPS)}
    return from_arrays(
        inputs, arrays[TARGET], name=Path(path).stem, groups=arrays.get(GROUPS), seed=seed
    )
