"""Balancing methods for networks, one module each.

A new module with a subclass of :class:`Method` is found without editing anything. Method classes
can be used by their class names, ``methods.OGM``, or made by their names, ``create("ogm")``.

>>> from mimo_sim import methods
>>> "mimo" in methods.available() and "vanilla" in methods.available()
True
>>> methods.create("mimo", lam=2.0).hyper["lam"]
2.0
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mimo_sim._checks import did_you_mean
from mimo_sim._extras import explained
from mimo_sim._registry import from_elsewhere, scan
from mimo_sim.methods import _catalogue

if TYPE_CHECKING:
    from mimo_sim.methods._base import Method
    from mimo_sim.methods._catalogue import Entry
    from mimo_sim.methods.mimo import MIMO, MIMOLoss

__all__ = ["MIMO", "MIMOLoss", "Method", "available", "catalogue", "create", "get"]


@cache
def _registry() -> dict[str, type[Method]]:
    return scan(
        __name__,
        __path__,
        _methods_of,
        one="the methods",
        several="methods",
        remedy=": set `name` in the class.",
    )


def _methods_of(module: ModuleType) -> Iterator[tuple[str, type[Method]]]:
    """The named methods that a module defines."""
    from mimo_sim.methods._base import Method

    for cls in vars(module).values():
        if not inspect.isclass(cls) or not issubclass(cls, Method):
            continue
        if not cls.name or cls.__module__ != module.__name__:
            continue
        parameters = inspect.signature(cls.__init__).parameters
        bare = [
            key for key in cls.hyper_names() if parameters[key].default is inspect.Parameter.empty
        ]
        if bare:
            raise ImportError(
                f"method {cls.name!r} in {module.__name__}: give {', '.join(bare)} a default value."
            )
        yield cls.name, cls


def available() -> tuple[str, ...]:
    """Names of all registered methods, sorted."""
    return tuple(sorted(_registry()))


def catalogue() -> dict[str, Entry]:
    """Name, family, one line and default hyper-parameters of all registered methods, by name.

    They are read from the source, so torch stays outside. Where that does not do, such as for a
    default that is computed or methods of another package, the modules are imported.
    """
    if not from_elsewhere(__name__):
        with suppress(ValueError, TypeError, SyntaxError, OSError):
            return _catalogue.read(__path__)
    keys = (*_catalogue.TEXTS, *_catalogue.OTHERS)
    return {
        name: _catalogue.Entry(
            **{key: getattr(get(name), key) for key in keys}, hyper=create(name).hyper
        )
        for name in available()
    }


def get(name: str) -> type[Method]:
    """The class of a method by its name.

    Raises
    ------
    ValueError
        If there is no such method.
    """
    try:
        return _registry()[name]
    except KeyError:
        raise ValueError(
            f"`method` must be one of {available()}. Got {name!r}.{did_you_mean(name, available())}"
        ) from None


def create(name: str, **hyper: Any) -> Method:
    """A fresh method by its name. Hyper-parameters that are not given have published defaults.

    Raises
    ------
    ValueError
        For an unknown name, or a value outside its range.
    TypeError
        For an unknown hyper-parameter, or a value of the wrong type.
    """
    cls = get(name)
    cls.refuse_unknown(hyper)
    method = cls(**hyper)
    if "hyper" not in vars(method):
        raise TypeError(
            f"method {name!r} in {cls.__module__} must call super().__init__ in its constructor."
        )
    return method


def __getattr__(name: str) -> Any:
    if name == "Method":
        with explained():
            from mimo_sim.methods._base import Method

        return Method
    if name == "MIMO":
        return get("mimo")
    if not name.startswith("_"):
        for cls in _registry().values():
            if cls.__name__ == name:
                return cls
    raise AttributeError(f"module 'mimo_sim.methods' has no attribute {name!r}")
