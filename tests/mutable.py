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
Span = tuple[Position, Position]
Functions = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Rule:
    """Places that are left alone: a name, the reason, and where they are in a syntax tree."""

    name: str
    why: str
    places: Callable[[ast.AST], Iterable[Span]]


def _span(node: ast.expr | ast.stmt | ast.keyword) -> Span:
    """Where a part of the syntax tree begins and ends."""
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


def _annotations(node: ast.AST) -> Iterator[Span]:
    if isinstance(node, ast.AnnAssign):
        yield _span(node.annotation)


def _signatures(node: ast.AST) -> Iterator[Span]:
    if isinstance(node, Functions):
        given = [each for each in (*node.args.defaults, *node.args.kw_defaults) if each]
        begin = (node.lineno, node.col_offset)
        for start, end in sorted(map(_span, given)):
            yield begin, start
            begin = end
        yield begin, _span(node.body[0])[0]


def _aliases(node: ast.AST) -> Iterator[Span]:
    if isinstance(node, ast.AnnAssign) and _named(node.annotation) == "TypeAlias" and node.value:
        yield _span(node.value)
    if isinstance(node, ast.Call) and _named(node.func) == "TypeVar":
        yield _span(node)


def _for_type_checkers(node: ast.AST) -> Iterator[Span]:
    if isinstance(node, ast.If) and _named(node.test) == "TYPE_CHECKING":
        yield from map(_span, node.body)


def _messages(node: ast.AST) -> Iterator[Span]:
    warns = isinstance(node, ast.Call) and _named(node.func) == "warn"
    if isinstance(node, ast.Raise) or warns:
        yield from (_span(part) for part in ast.walk(node) if isinstance(part, ast.JoinedStr))


def _guards(node: ast.AST) -> Iterator[Span]:
    if isinstance(node, ast.Call) and _named(node.func) == "zip":
        yield from (
            _span(each)
            for each in node.keywords
            if each.arg == "strict" and isinstance(each.value, ast.Constant) and each.value.value
        )


def _search_spaces(node: ast.AST) -> Iterator[Span]:
    if isinstance(node, ast.AnnAssign) and _named(node.target) == "search" and node.value:
        yield _span(node.value)


def _decorators(node: ast.AST) -> Iterator[Span]:
    if isinstance(node, Functions | ast.ClassDef):
        yield from map(_span, node.decorator_list)


RULES = (
    Rule("annotation", "a type checker reads it, and that is a check of its own", _annotations),
    Rule("signature", "the same for types; a bare * between arguments is no product", _signatures),
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
            (self._characters(start), self._characters(end), rule.name)
            for node in ast.walk(ast.parse(source))
            for rule in RULES
            for start, end in rule.places(node)
        ]

    def rule(self, position: Position) -> str | None:
        """The rule that excludes a place; None for one that counts."""
        return next((name for start, end, name in self._spans if start <= position < end), None)

    def _characters(self, position: Position) -> Position:
        """A place counted in characters; the syntax tree counts bytes."""
        line, offset = position
        return line, len(self._lines[line - 1].encode()[:offset].decode())
