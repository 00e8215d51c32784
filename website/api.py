"""Reference pages: one for every room, with every public name of its stub."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import mimo_sim as ms

TOP = "mimo_sim"


def public(module: ModuleType) -> list[str]:
    """The public names of a room or module: its ``__all__``, else what it defines itself."""
    named = getattr(module, "__all__", None)
    if named is not None:
        return [str(name) for name in named]
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


def rooms() -> list[str]:
    """The rooms that ``mimo_sim`` names, sorted."""
    return sorted(name for name in ms.__all__ if isinstance(getattr(ms, name), ModuleType))


def title(text: str) -> str:
    """A heading of reStructuredText."""
    return f"{text}\n{'=' * len(text)}\n"


def entry(path: str, value: Any) -> str:
    """The directive that documents one name."""
    if inspect.isclass(value):
        bases = "   :show-inheritance:\n" * (value.__bases__ != (object,))
        return f".. autoclass:: {path}\n   :members:\n{bases}"
    if callable(value):
        return f".. autofunction:: {path}\n"
    if isinstance(value, Mapping):
        words = f"A table with the keys {', '.join(f'``{key!r}``' for key in value)}."
    else:
        words = f"``{value!r:.200}``"
    return f".. py:data:: {path}\n\n   {words}\n"


def see(name: str, path: str) -> str:
    """A line that leads to where a name is documented."""
    return f"- ``{name}``: see :py:obj:`{path}`\n"


def room(name: str) -> str:
    """The page of one room."""
    module = getattr(ms, name)
    path = f"{TOP}.{name}"
    names = public(module)
    inner = [each for each in names if isinstance(getattr(module, each), ModuleType)]
    own = {id(getattr(ms, each)): each for each in ms.__all__ if callable(getattr(ms, each))}
    top = {
        each: own[id(getattr(module, each))] for each in names if id(getattr(module, each)) in own
    }
    parts = [f".. _room-{name}:\n", title(path), f".. automodule:: {path}\n"]
    parts += [
        entry(f"{path}.{each}", getattr(module, each))
        for each in names
        if each not in inner and each not in top
    ]
    if top:
        parts.append("Also here, and documented where you would import them from:\n")
        parts.append("".join(see(each, f"{TOP}.{other}") for each, other in top.items()))
    known = {id(getattr(module, each)) for each in names}
    for each in inner:
        parts += module_section(f"{path}.{each}", getattr(module, each), known)
    return "\n".join(parts)


def module_section(path: str, module: ModuleType, known: set[int]) -> list[str]:
    """A section for a module inside a room: what is public there and not yet in the room."""
    parts = [f"{path}\n{'-' * len(path)}\n", f".. automodule:: {path}\n"]
    for name in public(module):
        value = getattr(module, name)
        if not isinstance(value, ModuleType) and id(value) not in known:
            parts.append(entry(f"{path}.{name}", value))
    return parts


def start() -> str:
    """The page of ``mimo_sim`` itself, and the list of rooms."""
    own = [name for name in public(ms) if name not in rooms()]
    listed = "".join(
        f"- :doc:`mimo_sim.{name} </api/mimo_sim.{name}>`: {line}\n"
        for name, line in (
            (name, (inspect.getdoc(getattr(ms, name)) or "").split("\n")[0]) for name in rooms()
        )
    )
    hidden = ".. toctree::\n   :hidden:\n\n" + "".join(f"   mimo_sim.{name}\n" for name in rooms())
    parts = [
        title("Every function"),
        "Write ``import mimo_sim as ms``. A name is loaded when it is first used.\n",
        "Rooms:\n",
        listed,
        hidden,
        ".. py:module:: mimo_sim\n",
    ]
    parts += [entry(f"{TOP}.{name}", getattr(ms, name)) for name in own]
    return "\n".join(parts)


def pages() -> dict[str, str]:
    """Path on the site -> reStructuredText."""
    return {"api/index.rst": start()} | {f"api/mimo_sim.{name}.rst": room(name) for name in rooms()}
