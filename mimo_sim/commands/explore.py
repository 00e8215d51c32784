"""The explorer: one page for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mimo_sim.commands import app
from mimo_sim.commands._options import Quiet
from mimo_sim.commands._output import say_written


@app.command()
def explore(
    out: Annotated[Path, typer.Option(help="The page to write (.html).", dir_okay=False)] = Path(
        "mimo_explorer.html"
    ),
    open_it: Annotated[
        bool, typer.Option("--open/--no-open", help="Open it in your browser afterwards.")
    ] = True,
    quiet: Quiet = False,
) -> None:
    """Write a page with sliders that trains the toy in your browser, and open it.

    The page is one file and needs no network. You can pass it on or put it on any web server.
    """
    from mimo_sim import explorer

    if out.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"`--out` must end in .html. Got {str(out)!r}.")
    explorer.write(out)
    if not quiet:
        say_written([out])
    if open_it:
        import webbrowser

        if not webbrowser.open(out.resolve().as_uri()) and not quiet:
            typer.echo("no browser was found here: open the file yourself")
