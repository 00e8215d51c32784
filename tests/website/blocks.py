"""Fenced blocks of the pages, as tests run them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from mimo_sim.cli import app

ROOT = Path(__file__).resolve().parent.parent.parent
HOW_TO = sorted((ROOT / "docs" / "howto").glob("*.md"))
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def blocks(page: Path, *languages: str) -> list[str]:
    """The contents of the fenced blocks in these languages, in order."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [code for language, code in found if language in languages]


def commands(page: Path) -> list[str]:
    """The lines of the shell blocks that call `mimo-sim`, each as one line."""
    lines = "".join(blocks(page, "sh", "bash")).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("mimo-sim ")]


def parsed(line: str) -> typer.Context:
    """A call of `mimo-sim`, parsed and not run: unknown commands, options and bad values raise."""
    words = shlex.split(re.sub(r"\$\w+", "0", line), comments=True)[1:]
    command: Any = typer.main.get_command(app)
    context = command.context_class(command, info_name="mimo-sim")
    while isinstance(command, TyperGroup) and words[0] not in ("--help", "--version"):
        name, command, words = command.resolve_command(context, words)
        context = command.context_class(command, parent=context, info_name=name)
    if not isinstance(command, TyperGroup):
        command.parse_args(context, words)
    return context  # type: ignore[no-any-return]


def run(page: Path, names: dict[str, Any] | None = None) -> dict[str, Any]:
    """The Python blocks of a page as one program; its names."""
    space: dict[str, Any] = {"__name__": "__main__", **(names or {})}
    code = "\n".join(blocks(page, "python"))
    exec(compile(code, str(page), "exec", dont_inherit=True), space)
    return space
