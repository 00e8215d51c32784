"""The one progress bar. It costs nothing when it is not shown."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Advance(Protocol):
    """Moves a progress bar forward."""

    def __call__(self, count: int = 1, /) -> None: ...


def on_terminal(quiet: bool) -> bool:
    """Whether a command shows a bar: stderr must be a terminal, and `quiet` not be asked for."""
    return not quiet and sys.stderr.isatty()


def in_lines(quiet: bool) -> bool:
    """Whether a command says what it begins line by line: where it could say it and has no bar."""
    return not quiet and not sys.stderr.isatty()


@contextmanager
def progress_bar(
    total: int,
    visible: bool,
    description: str = "training",
    *,
    done: int = 0,
    unit: str = "",
    rate: tuple[float, str] | None = None,
) -> Iterator[Advance]:
    """Show a progress bar on stderr while the block runs.

    Parameters
    ----------
    total : int
        Count at which the bar is full.
    visible : bool
        Without it nothing is shown.
    description : str
        What is going on.
    done : int
        Count at the start, left by an earlier attempt.
    unit : str
        What is counted.
    rate : (float, str), optional
        Also show the speed: the counts per second times the number, with the unit.

    Yields
    ------
    callable
        ``advance(count=1)`` moves the bar forward.
    """
    from mimo_sim._checks import check_flag  # here: `mimo-sim --help` needs no NumPy

    check_flag("progress", visible)
    if not visible:
        yield lambda count=1, /: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    if unit or rate:
        columns.append(TextColumn("{task.fields[detail]}"))
    columns += [TimeElapsedColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total, completed=done, detail=unit)
        start, counted = time.perf_counter(), 0

        def advance(count: int = 1, /) -> None:
            nonlocal counted
            counted += count
            detail = unit
            if rate is not None:
                factor, of = rate
                speed = counted * factor / (time.perf_counter() - start)
                detail = f"{unit}  {speed:.3g} {of}"
            bar.update(task, advance=count, detail=detail)

        yield advance
