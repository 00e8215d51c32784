"""Processes of their own that start at once: forked from one that has imported the package.

A fresh interpreter needs a second or two to import numba, xarray and matplotlib. A forked one has
them already, and is otherwise a process like any other: its own memory, output and exit code.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.preloaded"])


def python(code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """``python -c code``; options as in :func:`forked`."""
    return forked(_execute, code, **options)


def tool(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """``mimo-sim`` with these arguments; options as in :func:`forked`."""
    return forked(_main, *arguments, **options)


def forked(
    work: Callable[..., None],
    *arguments: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Do `work` in a process of its own; what it printed, and its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        process = CONTEXT.Process(
            target=_child, args=(work, arguments, place, cwd, dict(env or os.environ))
        )
        process.start()
        process.join()
        texts = [(place / name).read_text() for name in ("stdout", "stderr")]
        return subprocess.CompletedProcess(arguments, process.exitcode or 0, *texts)


def _child(
    work: Callable[..., None],
    arguments: tuple[str, ...],
    place: Path,
    cwd: Path | None,
    env: dict[str, str],
) -> None:
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(place / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd or Path.cwd())
    try:
        work(*arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _execute(code: str) -> None:
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})


def _main(*arguments: str) -> None:
    from mimo_sim.cli import main

    sys.argv = ["mimo-sim", *arguments]
    main()
