"""The command line as a whole: quick help, help on everything, errors without traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import mimo_sim as ms
from tests.commands.tool import run

HEAVY = ("torch", "numba", "seaborn", "matplotlib", "xarray", "scipy", "pandas")


@pytest.mark.parametrize(
    "statement",
    [
        "import mimo_sim",
        "import sys; sys.argv = ['mimo-sim', '--help']; from mimo_sim.cli import main; main()",
    ],
)
def test_importing_and_asking_for_help_load_nothing_heavy(statement: str) -> None:
    report = f"print('LOADED', [name for name in {HEAVY} if name in sys.modules])"
    code = f"import atexit, sys; atexit.register(lambda: {report}); {statement}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("LOADED []")


@pytest.mark.parametrize("command", ["figure1", "convergence", "simulate", "theory"])
def test_every_option_has_help(command: str) -> None:
    shown = run(command, "--help").stdout
    assert "--" in shown
    import typer.main

    from mimo_sim.cli import app

    group = typer.main.get_command(app)
    parameters = group.commands[command].params  # type: ignore[attr-defined]
    assert all(
        getattr(parameter, "help", None) for parameter in parameters if parameter.name != "help"
    )


def test_version() -> None:
    assert run("--version").stdout.strip() == f"mimo-sim {ms.__version__}"


def test_a_real_process_shows_no_traceback(tmp_path: Path) -> None:
    done = run("simulate", "--steps", "0", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "mimo-sim: error: `steps` must be >= 1. Got steps=0.\n"
