"""A small part of Python as JavaScript: the lines that the generated step is written in.

The lines assign numbers to names. They are parsed by :mod:`ast`, so what the translator does not
know is refused, never guessed.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.USub: "-",
    ast.And: "&&",
    ast.Or: "||",
    ast.Lt: "<",
    ast.Gt: ">",
    ast.LtE: "<=",
    ast.GtE: ">=",
}
FUNCTIONS = ("abs", "exp", "max", "min")


def assigned(lines: Sequence[str]) -> list[str]:
    """The names that these lines assign to, each once, in their order."""
    stored = [
        node.id
        for statement in ast.parse("\n".join(lines)).body
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ]
    return list(dict.fromkeys(stored))


def javascript(lines: Sequence[str]) -> list[str]:
    """The same assignments in JavaScript.

    Every operation stays one operation, in the same order. So both languages round alike, but for
    `exp`, whose last bit differs between libraries.

    Raises
    ------
    ValueError
        For a construct that has no translation here.
    """
    return [line for node in ast.parse("\n".join(lines)).body for line in _statement(node)]


def _statement(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        return [f"{node.target.id} {_operator(node.op)}= {_expression(node.value)};"]
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
        if isinstance(target, ast.Name):
            return [f"{target.id} = {_expression(node.value)};"]
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            names = [_expression(each) for each in target.elts]
            values = [_expression(each) for each in node.value.elts]
            new = ", ".join(f"new_{n} = {v}" for n, v in zip(names, values, strict=True))
            return ["{", f"const {new};", *(f"{name} = new_{name};" for name in names), "}"]
    raise _unknown(node)


def _expression(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return repr(node.value)
    if isinstance(node, ast.BinOp):
        left, right = _expression(node.left), _expression(node.right)
        return f"({left} {_operator(node.op)} {right})"
    if isinstance(node, ast.UnaryOp):
        return f"({_operator(node.op)}{_expression(node.operand)})"
    if isinstance(node, ast.BoolOp):
        return f"({f' {_operator(node.op)} '.join(map(_expression, node.values))})"
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        left, right = _expression(node.left), _expression(node.comparators[0])
        return f"({left} {_operator(node.ops[0])} {right})"
    if isinstance(node, ast.IfExp):
        parts = (_expression(each) for each in (node.test, node.body, node.orelse))
        return "({} ? {} : {})".format(*parts)
    if isinstance(node, ast.Call) and not node.keywords and _expression(node.func) in FUNCTIONS:
        return f"Math.{_expression(node.func)}({', '.join(map(_expression, node.args))})"
    raise _unknown(node)


def _operator(node: ast.AST) -> str:
    if type(node) not in OPERATORS:
        raise _unknown(node)
    return OPERATORS[type(node)]


def _unknown(node: ast.AST) -> ValueError:
    name = type(node).__name__
    text = ast.unparse(node) if isinstance(node, ast.expr | ast.stmt) else name
    return ValueError(f"`lines` must be assignments of plain arithmetic. Got {text!r} ({name}).")
