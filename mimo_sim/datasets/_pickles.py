"""Pickles from the internet, read without running anything that they contain.

A pickle may call any function by its name. Here it gets NumPy arrays, numbers and plain containers;
every other name is refused.
"""

from __future__ import annotations

import codecs
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np


class RefusedError(pickle.UnpicklingError):
    """A pickle asks for something that it does not get."""


def _bytes_of(text: str, encoding: str) -> bytes:
    """How Python 2 arrays come with their numbers."""
    if encoding not in ("latin1", "latin-1"):
        raise RefusedError(f"encoding {encoding!r} is not admitted")
    return codecs.encode(text, "latin1")


def _from_buffer(buffer: Any, dtype: Any, shape: Any, order: str) -> Any:
    kind = np.dtype(dtype)
    if kind.hasobject:
        raise RefusedError("it holds an array of objects in raw bytes")
    return np.frombuffer(buffer, kind).reshape(shape, order=order)  # type: ignore[call-overload]


ADMITTED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _bytes_of,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
for builtins in ("builtins", "__builtin__"):  # of Python 3, of Python 2
    ADMITTED |= {(builtins, kind.__name__): kind for kind in (set, frozenset, bytearray, complex)}
for core in ("core", "_core"):  # of NumPy 1, of NumPy 2
    ADMITTED[f"numpy.{core}.multiarray", "_reconstruct"] = np.empty(0).__reduce__()[0]
    ADMITTED[f"numpy.{core}.multiarray", "scalar"] = np.float64(0).__reduce__()[0]
    ADMITTED[f"numpy.{core}.numeric", "_frombuffer"] = _from_buffer  # arrays of protocol 5


class _Restricted(pickle.Unpickler):
    """An unpickler that knows the names of :data:`ADMITTED` and no others."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return ADMITTED[module, name]
        except KeyError:
            raise RefusedError(f"it asks for {module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        raise RefusedError("it asks for a persistent object")


def read_pickle(path: Path) -> Any:
    """The content of a pickle of arrays, numbers, text and plain containers.

    Pickles of Python 2 and of NumPy 1 are read too; their text may come as bytes.

    Parameters
    ----------
    path : Path

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged, or asks for anything else; the message names it. Nothing was run then.
    """
    with path.open("rb") as file:
        try:
            return _Restricted(file, encoding="latin1").load()
        except RefusedError as error:
            raise ValueError(
                f"{path} must be a pickle of NumPy arrays and plain containers only: {error}."
            ) from None
        except BROKEN as error:
            raise ValueError(f"{path} is damaged or no pickle ({error!r:.120}).") from None


BROKEN = (  # what the unpickler raises for bytes that are no pickle
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
)


def text_of(value: Any) -> str:
    """Text that Python 2 may have left as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
