"""The import graph of the package, read from the code: `make house` prints it.

An arrow runs from a file to every file of the package that it names: in an import at the top, an
import inside a function, an import for type checkers, or a module's name as a string.
The floors stand in the table of CONTRIBUTING.md.
"""

from __future__ import annotations

import ast
import re
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "mimo_sim"
MOST_LINES = 400
DOOR = frozenset({PACKAGE})  # the package's front door lists every room and belongs to no floor
Graph = dict[str, set[str]]


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Every module of the package by its full name."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py*")):
        if path.suffix in (".py", ".pyi"):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name + "|stub" * (path.suffix == ".pyi")] = path
    return found


def _named(node: ast.AST, module: str, is_package: bool, known: set[str]) -> set[str]:
    """The modules that one node of the syntax tree names."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names} & known
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value} & known
    if not isinstance(node, ast.ImportFrom):
        return set()
    source = node.module or ""
    if node.level:
        above = module.split(".")[: len(module.split(".")) - node.level + is_package]
        source = ".".join([*above, *filter(None, [node.module])])
    named = {f"{source}.{alias.name}" for alias in node.names}
    return {name if name in known else source for name in named} & known


def graph(root: Path = ROOT) -> Graph:
    """Module -> modules it names."""
    paths = modules(root)
    known = {name for name in paths if "|" not in name}
    found: Graph = {name: set() for name in known}
    for key, path in paths.items():
        name = key.partition("|")[0]
        for node in ast.walk(ast.parse(path.read_text())):
            found[name] |= _named(node, name, path.stem == "__init__", known) - {name}
    return {name: found[name] - DOOR for name in sorted(known - DOOR)}


def room(module: str) -> str:
    """The room of a module: the first name below the package."""
    return module.split(".")[1]


def rooms(imports: Graph) -> Graph:
    """Room -> other rooms it names."""
    found: Graph = {}
    for name, below in imports.items():
        found.setdefault(room(name), set()).update(room(other) for other in below)
    return {name: below - {name} for name, below in found.items()}


def floors(root: Path = ROOT) -> dict[str, int]:
    """Room -> floor, from the table in CONTRIBUTING.md."""
    found = {}
    for floor, cell in re.findall(
        r"^\| (\d) \| ([^|]+) \|", (root / "CONTRIBUTING.md").read_text(), re.MULTILINE
    ):
        for name in re.findall(r"`([\w]+)(?:\.py|/)`", cell):
            found[name] = int(floor)
    return found


def circle(imports: Graph) -> list[str]:
    """Modules that import each other in a circle; empty where there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def upward(imports: Graph, levels: dict[str, int]) -> list[str]:
    """Arrows from a lower floor to a higher one."""
    return [
        f"{name} (floor {levels[room(name)]}) -> {other} (floor {levels[room(other)]})"
        for name, below in imports.items()
        for other in sorted(below)
        if levels[room(other)] > levels[room(name)]
    ]


def long_files(root: Path = ROOT) -> list[str]:
    """Files of more than MOST_LINES lines."""
    tops = (PACKAGE, "paper_checks", "benchmarks", "tests")
    counted = {
        str(path.relative_to(root)): path.read_text().count("\n")
        for top in tops
        for path in sorted((root / top).rglob("*.py"))
    }
    return [f"{name}: {lines} lines" for name, lines in counted.items() if lines > MOST_LINES]


def main() -> int:
    """Print the house floor by floor, then what is wrong with it."""
    imports, levels = graph(), floors()
    by_room = rooms(imports)
    for floor in sorted(set(levels.values()), reverse=True):
        print(f"floor {floor}")
        for name in sorted(name for name in by_room if levels[name] == floor):
            print(f"  {name} -> {', '.join(sorted(by_room[name])) or 'nothing'}")
            files = [module for module in imports if room(module) == name and "." in module[9:]]
            for module in files:
                below = sorted(other.removeprefix(f"{PACKAGE}.") for other in imports[module])
                print(f"    {module.removeprefix(f'{PACKAGE}.')} -> {', '.join(below) or '-'}")
    faults = upward(imports, levels) + long_files()
    for kind, edges in (("files", imports), ("rooms", by_room)):
        if found := circle(edges):
            faults.append(f"circle of {kind}: {' -> '.join(found)}")
    print(f"{len(imports)} modules, {sum(map(len, imports.values()))} arrows")
    print("\n".join(faults) or "no arrow upwards, no circle, no long file")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
