"""What the methods are called and take, read from their source: torch need not be imported.

A list of names should not wait seconds for torch. A class says ``name``, ``family``, ``about``
and what it needs as plain text and numbers, and its constructor says the hyper-parameters with
their defaults. Both can be read without running the file.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BASE = "Method"  # the class that every method comes from
TEXTS = ("name", "title", "family", "about", "needs", "waits")
OTHERS = ("uses_heads", "needs_classes", "min_modalities", "max_modalities")
NETWORKS = {
    "joint": "any fusion network",
    "encoders": "encoders that do not look at each other",
    "slices": "a joint output that is a sum over modalities",
    "gates": "gates between the encoders (--fusion mmtm)",
    "query": "a class token that asks all modalities (--fusion attention)",
}  # what a method needs, in words


@dataclass(frozen=True)
class Entry:
    """A method in a list.

    Attributes
    ----------
    name, title, family, about, needs, waits : str
    uses_heads, needs_classes : bool
    min_modalities, max_modalities : int, the latter or None
        As in its class.
    hyper : dict
        Hyper-parameters with their defaults.
    """

    name: str
    title: str
    family: str
    about: str
    needs: str = "encoders"
    waits: str = ""
    uses_heads: bool = False
    needs_classes: bool = False
    min_modalities: int = 1
    max_modalities: int | None = None
    hyper: dict[str, Any] = field(default_factory=dict)

    def requirements(self) -> str:
        """What it needs of network and data, in words."""
        words = [NETWORKS[self.needs]]
        if self.uses_heads:
            words.append("heads on the encoders")
        if self.needs_classes:
            words.append("classes")
        least, most = self.min_modalities, self.max_modalities
        if least == most:
            words.append(f"{least} modalities")
        elif most is not None:
            words.append(f"at most {most} modalities")
        elif least > 1:
            words.append(f"{least} or more modalities")
        return ", ".join(words)


def read(folders: Iterable[str]) -> dict[str, Entry]:
    """The methods of the modules in some folders, sorted by name.

    Raises
    ------
    ValueError
        If that takes more than reading: two classes or methods of one name, a base class from
        elsewhere, or an entry that is no literal.
    TypeError
        If Python refuses the order of base classes.
    SyntaxError, OSError
        If a file cannot be read.
    """
    classes: dict[str, ast.ClassDef] = {}
    public = []
    for path in (path for folder in folders for path in sorted(Path(folder).glob("*.py"))):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                if node.name in classes:
                    raise ValueError(f"two classes are called {node.name}")
                classes[node.name] = node
                if not path.name.startswith("_"):
                    public.append(node.name)
    found: dict[str, Entry] = {}
    for name in public:
        line = _line(name, classes)
        if BASE not in [node.name for node in line]:
            if _value("name", line[:1]) is not None:
                raise ValueError(f"{name} may be a method by a base class from elsewhere")
            continue
        said = {key: _literal(key, line) for key in (*TEXTS, *OTHERS)}
        if said["name"] in found:
            raise ValueError(f"two methods are called {said['name']}")
        if said["name"]:
            found[said["name"]] = Entry(**said, hyper=_defaults(line))
    return {name: found[name] for name in sorted(found)}


def _line(name: str, classes: dict[str, ast.ClassDef]) -> list[ast.ClassDef]:
    """A class and those that it inherits from, nearest first, as far as they are in the folders."""
    hollow: dict[str, type] = {}
    making: set[str] = set()

    def make(name: str) -> type:
        """An empty class with the same bases: Python itself then says the order."""
        if name not in hollow:
            if name in making:
                raise ValueError(f"{name} is its own base class")
            making.add(name)
            bases = [base.id for base in classes[name].bases if isinstance(base, ast.Name)]
            hollow[name] = type(name, tuple(make(base) for base in bases if base in classes), {})
        return hollow[name]

    return [classes[one.__name__] for one in make(name).__mro__[:-1]]


def _literal(key: str, line: list[ast.ClassDef]) -> Any:
    """What the nearest class in the line gives to a name."""
    value = _value(key, line)
    if value is None:
        raise ValueError(f"{line[0].name} has no {key}")
    return ast.literal_eval(value)


def _value(key: str, line: list[ast.ClassDef]) -> ast.expr | None:
    """What stands behind ``key =`` in the nearest class in the line that has it."""
    for node in line:
        for entry in node.body:
            if isinstance(entry, ast.Assign):
                targets = entry.targets
            elif isinstance(entry, ast.AnnAssign):
                targets = [entry.target]
            else:
                continue
            if any(isinstance(target, ast.Name) and target.id == key for target in targets):
                return entry.value
    return None


def _defaults(line: list[ast.ClassDef]) -> dict[str, Any]:
    """Arguments of the nearest constructor in the line, each with its default."""
    for node in line:
        for entry in node.body:
            if isinstance(entry, ast.FunctionDef) and entry.name == "__init__":
                of = entry.args
                names = [one.arg for one in [*of.posonlyargs, *of.args][1:]]
                if len(of.defaults) != len(names) or None in of.kw_defaults:
                    raise ValueError(f"a hyper-parameter of {node.name} has no default")
                names += [one.arg for one in of.kwonlyargs]
                values = [*of.defaults, *(value for value in of.kw_defaults if value is not None)]
                return {
                    key: ast.literal_eval(value) for key, value in zip(names, values, strict=True)
                }
    return {}
