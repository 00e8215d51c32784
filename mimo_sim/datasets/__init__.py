"""Data sets of the benchmark, one module each; a new module with a ``RECORD`` is found by itself.

>>> from mimo_sim import datasets
>>> "digits" in datasets.available()
True
>>> data = datasets.load("digits")
>>> [(m.name, m.shape) for m in data.modalities], data.num_outputs
([('top', (40,)), ('bottom', (40,))], 10)
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import nullcontext
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mimo_sim import _moved
from mimo_sim import _registry as registry
from mimo_sim._checks import check_count, check_path, did_you_mean, shown
from mimo_sim._extras import explained
from mimo_sim.datasets._own_file import is_file, record_of

if TYPE_CHECKING:
    from pathlib import Path

    from mimo_sim.datasets._arrays import from_arrays
    from mimo_sim.datasets._data import Dataset, Modality, Split
    from mimo_sim.datasets._files import data_folder
    from mimo_sim.datasets._record import Record

__all__ = [
    "Dataset",
    "Modality",
    "Record",
    "Split",
    "available",
    "data_folder",
    "from_arrays",
    "get",
    "load",
]

_HOMES = {
    "Dataset": "mimo_sim.datasets._data",
    "Modality": "mimo_sim.datasets._data",
    "Split": "mimo_sim.datasets._data",
    "Record": "mimo_sim.datasets._record",
    "data_folder": "mimo_sim.datasets._files",
    "from_arrays": "mimo_sim.datasets._arrays",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        with explained():
            return getattr(importlib.import_module(_HOMES[name]), name)
    return _moved.hook(__name__)(name)


def _records(module: ModuleType) -> Iterator[tuple[str, Record]]:
    from mimo_sim.datasets._record import Record

    record = getattr(module, "RECORD", None)
    if isinstance(record, Record):
        yield record.name, record


@cache
def _registry() -> dict[str, Record]:
    return registry.scan(__name__, __path__, _records, one="the data set", several="data sets")


def available() -> tuple[str, ...]:
    """Names of all registered data sets, sorted."""
    return tuple(sorted(_registry()))


def get(name: str) -> Record:
    """What is known of a data set: one of :func:`available`, or an .npz file with an array ``y``.

    Raises
    ------
    ValueError, FileNotFoundError
        If there is no such data set.
    """
    if is_file(name):
        with explained():
            return record_of(name)
    if not isinstance(name, str) or name not in available():
        raise ValueError(
            f"`dataset` must be one of {available()}. Got {shown(name)}."
            f"{did_you_mean(name, available())}"
        )
    return _registry()[name]


def load(name: str, root: str | Path | None = None, seed: int = 0, **settings: Any) -> Dataset:
    """A data set by its name, ready for training.

    Parameters
    ----------
    name : str
        One of :func:`available`; or an .npz file with the target ``y``, one array for each
        modality, and perhaps ``groups``, as :func:`from_arrays` takes them.
    root : path, optional
        Folder of the raw files. By default it is ``$MIMO_SIM_DATA``, else a folder in the cache.
        Files that are missing in the cache are downloaded.
    seed : int
        >= 0; draws the split, and the pairs and the noise of a data set that has them. The same
        seed and settings give the same tensors.
    **settings
        The data set's own: keyword arguments of its ``build``.

    Raises
    ------
    ValueError, TypeError
        For an unknown name, an unknown setting, a value outside its range, or a damaged raw file.
    FileNotFoundError
        If a raw file is missing below `root`; the message says how to get it.
    """
    record = get(name)
    check_path("root", root)
    record.refuse_bad(settings)
    from mimo_sim.datasets._files import located

    needs_files = bool(record.downloads or record.plan)
    with explained(), located(root) if needs_files else nullcontext():
        return record.build(root, check_count("seed", seed, 0), **settings)
