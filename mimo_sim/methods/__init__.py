"""Balancing methods for networks, one module each; a new module with a :class:`~mimo_sim.methods._base.Method` in it is found without editing anything.

>>> from mimo_sim import methods
>>> "mimo" in methods.available() and "vanilla" in methods.available()
True
>>> methods.create("mimo", lam=2.0).hyper["lam"]
2.0
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, Any

from mimo_sim._extras import explained

if TYPE_CHECKING:
    from mimo_sim.methods._base import Method
    from mimo_sim.methods.mimo import MIMO, MIMOLoss

__all__ = ["MIMO", "MIMOLoss", "available", "create", "get"]


@cache
@explained()
def _registry() -> dict[str, type[Method]]:
    from mimo_sim.methods._base import Method

    found: dict[str, type[Method]] = {}
    for module in sorted(f"{__name__}.{info.name}" for info in pkgutil.iter_modules(__path__)):
        try:
            members = vars(importlib.import_module(module))
        except Exception as error:  # somebody's new file: whatever is wrong with it, say where
            raise ImportError(
                f"the methods in {module} cannot be imported: {type(error).__name__}: {error}"
            ) from error
        for value in members.values():
            if (
                inspect.isclass(value)
                and issubclass(value, Method)
                and value.name
                and value.__module__ == module
            ):
                if found.get(value.name, value) is not value:
                    raise ImportError(
                        f"two methods are called {value.name!r}, in {found[value.name].__module__} and {module}: set `name` in the class."
                    )
                bare = [
                    key
                    for key in value.hyper_names()
                    if inspect.signature(value).parameters[key].default is inspect.Parameter.empty
                ]
                if bare:
                    raise ImportError(
                        f"method {value.name!r} in {module}: give {', '.join(bare)} a default value."
                    )
                found[value.name] = value
    return found


def available() -> tuple[str, ...]:
    """Names of all registered methods, sorted."""
    return tuple(sorted(_registry()))


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
        raise ValueError(f"`method` must be one of {available()}. Got {name!r}.") from None


def create(name: str, **hyper: Any) -> Method:
    """A fresh method by its name, with the published defaults where `hyper` does not say otherwise.

    Raises
    ------
    ValueError, TypeError
        For an unknown name, an unknown hyper-parameter, or a value outside its range.
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
    if name in ("MIMO", "MIMOLoss"):
        return get("mimo")
    for cls in _registry().values() if not name.startswith("_") else ():
        if cls.__name__ == name:
            return cls
    raise AttributeError(f"module 'mimo_sim.methods' has no attribute {name!r}")
