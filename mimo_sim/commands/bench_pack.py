"""`mimo-sim bench pack` and `unpack`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mimo_sim.commands import bench
from mimo_sim.commands._options import Quiet


@bench.command()
def pack(
    results: Annotated[
        Path, typer.Argument(help="Folder that `bench run` wrote.", exists=True)
    ] = Path("results"),
    out: Annotated[
        Path, typer.Option(help="File to write; ends in .csv.gz.", dir_okay=False)
    ] = Path("runs.csv.gz"),
    quiet: Quiet = False,
) -> None:
    """Store all finished runs of a folder in one file, which `bench compare` reads too.

    It is a table of text with one row per number. The trials of `bench tune` go there too, so that
    a search can go on elsewhere. Checkpoints are left out.
    """
    from mimo_sim import benchmark

    count = benchmark.pack(results, out)
    if not quiet:
        searches = len(benchmark.packed.load(out).searches)
        found = f"{count} {'run' if count == 1 else 'runs'}"
        if searches:
            found += f" and the trials of {searches} {'search' if searches == 1 else 'searches'}"
        typer.echo(f"packed {found} into {out}")


@bench.command()
def unpack(
    file: Annotated[Path, typer.Argument(help="File that `bench pack` wrote.", dir_okay=False)],
    out: Annotated[
        Path,
        typer.Option(help="Results folder; runs that are there already stay.", file_okay=False),
    ] = Path("results"),
    without: Annotated[
        list[str] | None,
        typer.Option(
            help="Runs to leave out, so that `bench run` makes them anew: mimo-lam=10, or "
            "avmnist-A/mimo-lam=10 on one data set; repeatable."
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write the runs and trials of a file as folders again, as they were before `bench pack`."""
    from mimo_sim import benchmark

    written, kept = benchmark.unpack(file, out, without or [])
    if not quiet:
        typer.echo(f"unpacked {len(written)} runs into {out}; {len(kept)} were there already")
