"""Machine code on disk that is never stale.

Compiling the loops takes tens of seconds, so numba keeps machine code on disk. The machine code of
a function contains that of the functions it calls. But numba checks only the file of the function
itself. After an edit of `gram.evaluate` it would go on using loops that contain the old `evaluate`.

Here the machine code carries a stamp of everything that went into it (:func:`fingerprint`), and it
is used only while that stamp is right.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Callable, Iterator
from dis import get_instructions
from functools import cache, cached_property
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numba
from numba.core.serialize import dumps

from mimo_sim._files import replacing

PACKAGE = __name__.partition(".")[0]

# For functions whose code is copied into their callers: a call would cost a fifth of a small step.
inlined: Any = numba.njit(inline="always")


def jit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function by ``numba.njit`` with these options; keep the machine code on disk."""

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            kernel = numba.njit(cache=True, error_model="numpy", **options)(function)
            file_digest(function.__code__.co_filename)  # as it is read now, before anyone edits it
        except (RuntimeError, OSError):  # numba can write nowhere, or the package is an archive
            return numba.njit(error_model="numpy", **options)(function)
        kernel._cache._cache_file = StampedFiles(function, Path(kernel.stats.cache_path))
        return kernel

    return compiled


class StampedFiles:
    """The machine code of one function, in one file for each signature.

    A new version replaces the file. This class takes the place of numba's `IndexDataCacheFile`,
    which numbers its files and keeps the numbers in an index. Two processes that write at the same
    time can mix up these numbers.
    """

    def __init__(self, function: Callable[..., Any], folder: Path) -> None:
        module = function.__module__.rpartition(".")[2]
        self._function, self._folder = function, folder
        self._name = f"{module}.{function.__qualname__}.{sys.implementation.cache_tag}"

    @cached_property
    def _stamp(self) -> str:
        return fingerprint(self._function)

    def _path(self, key: tuple[Any, ...]) -> Path:
        signature, target, _ = key
        short = hashlib.sha256(repr((signature, target)).encode()).hexdigest()[:16]
        return self._folder / f"{self._name}.{short}.nbc"

    def load(self, key: tuple[Any, ...]) -> Any:
        """The stored machine code for this key; None if there is none, or only an old one."""
        try:
            with self._path(key).open("rb") as file:
                if pickle.load(file) != self._stamp:
                    return None
                stored, data = pickle.load(file)
        except (OSError, EOFError, pickle.UnpicklingError):
            return None
        return data if stored == key else None

    def save(self, key: tuple[Any, ...], data: Any) -> None:
        """Store the machine code for this key of numba's."""
        with replacing(self._path(key)) as temporary:
            temporary.write_bytes(pickle.dumps(self._stamp) + dumps((key, data)))

    def flush(self) -> None:
        """Forget the machine code of all signatures."""
        for path in self._folder.glob(f"{self._name}.*.nbc"):
            path.unlink(missing_ok=True)


def fingerprint(function: Callable[..., Any]) -> str:
    """A digest of all that goes into the machine code of `function`.

    That is: the files of the function and of every function of this package that it calls, directly
    or not; the constants that these read from their modules; the versions of numba and Python.
    """
    files: set[str] = set()
    constants: set[str] = set()
    seen: set[Any] = set()
    pending: list[Any] = [function]
    while pending:
        reached = pending.pop()
        if reached in seen:
            continue
        seen.add(reached)
        files.add(file_digest(reached.__code__.co_filename))
        for name, value in _globals(reached):
            inner = getattr(value, "py_func", getattr(value, "_defn", value))
            if isinstance(value, bool | int | float | str):
                constants.add(f"{name}={value!r}")
            elif isinstance(inner, FunctionType) and _ours(inner.__module__):
                pending.append(inner)
    parts = [numba.__version__, sys.version, *sorted(files), *sorted(constants)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@cache
def file_digest(path: str) -> str:
    """A digest of a file as it is when first asked for."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _ours(module: str | None) -> bool:
    return module is not None and module.partition(".")[0] == PACKAGE


def _globals(function: Any) -> Iterator[tuple[str, Any]]:
    """The names that a function reads from its module, or from other modules of the package."""
    read: set[str] = set()
    attributes: set[str] = set()
    pending: list[CodeType] = [function.__code__]
    while pending:
        code = pending.pop()
        pending += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        attributes.update(code.co_names)
        read.update(each.argval for each in get_instructions(code) if each.opname == "LOAD_GLOBAL")
    for name in read & function.__globals__.keys():
        value = function.__globals__[name]
        yield name, value
        if isinstance(value, ModuleType) and _ours(value.__name__):
            for below in attributes & vars(value).keys():
                yield f"{name}.{below}", vars(value)[below]
