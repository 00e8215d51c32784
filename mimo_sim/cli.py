"""The command line, `mimo-sim`: its commands live in :mod:`mimo_sim.commands`."""

from __future__ import annotations

import signal
import sys
import warnings
from typing import Annotated, Any, NoReturn

import typer

from mimo_sim._extras import explained
from mimo_sim.commands import load

app = load()


def _version(wanted: bool) -> None:
    if wanted:
        from mimo_sim import __version__

        typer.echo(f"mimo-sim {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def _terminated(*_: Any) -> NoReturn:
    sys.exit(143)  # unwinds the stack, so temporary files are removed


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    typer.echo(f"mimo-sim: warning: {message}", err=True)


def main() -> None:
    """Entry point: bad input ends with one sentence on stderr and exit code 2."""
    signal.signal(signal.SIGTERM, _terminated)
    warnings.showwarning = _warn
    try:
        with explained():
            app()
    except Exception as error:
        from mimo_sim import errors

        expected = (
            ValueError,
            TypeError,
            OSError,
            ImportError,
            errors.DivergenceError,
            errors.GenerationError,
            errors.NonFiniteError,
            errors.TrialError,
        )
        if not isinstance(error, expected):
            raise
        typer.echo(f"mimo-sim: error: {error}", err=True)
        sys.exit(2)
