"""Data sets of the benchmark, one module each; a new module with a ``RECORD`` in it is found without editing anything.

>>> from mimo_sim import datasets
>>> datasets.available()
('avmnist', 'digits', 'synthetic')
>>> data = datasets.load("digits")
>>> [(m.name, m.shape) for m in data.modalities], data.num_outputs
([('top', (40,)), ('bottom', (40,))], 10)
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, Any

from mimo_sim._checks import check_count

if TYPE_CHECKING:
    from pathlib import Path

    from mimo_sim.datasets._data import Dataset
    from mimo_sim.datasets._record import Record

__all__ = ["available", "get", "load"]


@cache
def _registry() -> dict[str, Record]:
    from mimo_sim.datasets._record import Record

    found: dict[str, Record] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        try:
            record = getattr(importlib.import_module(f"{__name__}.{module}"), "RECORD", None)
        except Exception as error:  # somebody's new file: whatever is wrong with it, say where
            raise ImportError(
                f"the data set in {__name__}.{module} cannot be imported: {type(error).__name__}: {error}"
            ) from error
        if isinstance(record, Record):
            if record.name in found:
                raise ImportError(
                    f"two data sets are called {record.name!r}, one of them in {__name__}.{module}"
                )
            found[record.name] = record
    return found


def available() -> tuple[str, ...]:
    """Names of all registered data sets, sorted."""
    return tuple(sorted(_registry()))


def get(name: str) -> Record:
    """What is known of a data set.

    Raises
    ------
    ValueError
        If there is no such data set.
    """
    try:
        return _registry()[name]
    except KeyError:
        raise ValueError(f"`dataset` must be one of {available()}. Got {name!r}.") from None


def load(name: str, root: str | Path | None = None, seed: int = 0, **settings: Any) -> Dataset:
    """A data set by its name, ready for training.

    Parameters
    ----------
    name : str
        One of :func:`available`.
    root : path, optional
        Folder of the raw files. By default ``$MIMO_SIM_DATA``, else a folder in the cache that is filled from the network when it has to be.
    seed : int
        >= 0; draws the split, and whatever pairing and noise the data set has. Same seed and settings, same tensors.
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
    allowed = tuple(inspect.signature(record.build).parameters)[2:]
    unknown = [key for key in settings if key not in allowed]
    if unknown:
        raise TypeError(
            f"data set {name!r} takes {allowed or 'no settings'}. Got {', '.join(unknown)}."
        )
    return record.build(root, check_count("seed", seed, 0), **settings)
