"""Which places of a file are worth changing: those whose change can change what the code does.

:mod:`tests.mutants` changes operators, numbers and conditions. In some places such a change shows
in no result of the code: a test that notices it would test Python, a type checker or the wording of
a message. :data:`RULES` says which places these are, by syntax alone and each with its reason. No
rule knows a file, a line or what survived.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

Position = tuple[int, int]  # line, from 1, and character in it, from 0
Functions = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Rule:
    """Places that are left alone: a name, the reason, and the parts of the syntax tree."""

    name: str
    why: str
    places: Callable[[ast.AST], Iterable[ast.AST | None]]


def _annotations(node: ast.AST) -> Iterator[ast.AST | None]:
    if isinstance(node, ast.arg | ast.AnnAssign):
        yield node.annotation
    if isinstance(node, Functions):
        yield node.returns


def _aliases(node: ast.AST) -> Iterator[ast.AST | None]:
    if isinstance(node, ast.AnnAssign) and _named(node.annotation) == "TypeAlias":
        yield node.value
    if isinstance(node, ast.Call) and _named(node.func) == "TypeVar":
        yield node


def _for_type_checkers(node: ast.AST) -> Iterator[ast.AST | None]:
    if isinstance(node, ast.If) and _named(node.test) == "TYPE_CHECKING":
        yield from node.body


def _messages(node: ast.AST) -> Iterator[ast.AST | None]:
    warns = isinstance(node, ast.Call) and _named(node.func) == "warn"
    if isinstance(node, ast.Raise) or warns:
        yield from (part for part in ast.walk(node) if isinstance(part, ast.JoinedStr))


def _guards(node: ast.AST) -> Iterator[ast.AST | None]:
    if isinstance(node, ast.Call) and _named(node.func) == "zip":
        yield from (
            each
            for each in node.keywords
            if each.arg == "strict" and isinstance(each.value, ast.Constant) and each.value.value
        )


def _search_spaces(node: ast.AST) -> Iterator[ast.AST | None]:
    if isinstance(node, ast.AnnAssign) and _named(node.target) == "search":
        yield node.value


def _decorators(node: ast.AST) -> Iterator[ast.AST | None]:
    if isinstance(node, Functions | ast.ClassDef):
        yield from node.decorator_list


RULES = (
    Rule("annotation", "a type checker reads it, and that is a check of its own", _annotations),
    Rule("type alias", "the same: it gives a type a name", _aliases),
    Rule("if TYPE_CHECKING", "the body does not run", _for_type_checkers),
    Rule("message", "how a message is worded; whether it comes counts", _messages),
    Rule("zip(strict=True)", "a guard: nothing changes while the lengths agree", _guards),
    Rule("search = ...", "where a tuner looks; no training reads it", _search_spaces),
    Rule("decorator", "caching, immutability, compilation: the same results", _decorators),
)


def _named(node: ast.AST) -> str:
    """The name, or the last part of a dotted one; empty for anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


class LeftAlone:
    """The places of one file that the :data:`RULES` exclude."""

    def __init__(self, source: str) -> None:
        self._lines = source.splitlines()
        self._spans = [
            (self._position(place.lineno, place.col_offset), self._end(place), rule.name)
            for node in ast.walk(ast.parse(source))
            for rule in RULES
            for place in rule.places(node)
            if place is not None
        ]

    def rule(self, position: Position) -> str | None:
        """The rule that excludes a place; None for one that counts."""
        return next((name for start, end, name in self._spans if start <= position < end), None)

    def _position(self, line: int, offset: int) -> Position:
        """A place counted in characters; the syntax tree counts bytes."""
        return line, len(self._lines[line - 1].encode()[:offset].decode())

    def _end(self, place: ast.AST) -> Position:
        assert place.end_lineno is not None
        assert place.end_col_offset is not None
        return self._position(place.end_lineno, place.end_col_offset)
