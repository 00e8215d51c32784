"""`mimo-sim` as a user calls it: in a process of its own, or in this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mimo_sim.cli import main
from tests import processes

TOOL = [sys.executable, "-m", "mimo_sim"]


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"MPLBACKEND": "Agg", "COLUMNS": "200", "NO_COLOR": "1"}
    return processes.tool(*arguments, cwd=cwd, env=environment)


def run_here(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The same entry point in this process, for speed; returns the exit code."""
    monkeypatch.setattr(sys, "argv", ["mimo-sim", *arguments])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)
