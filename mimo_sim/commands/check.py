"""The claims of the paper, checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from mimo_sim._progress import on_terminal, progress_bar
from mimo_sim.commands import app
from mimo_sim.commands._options import Quiet
from mimo_sim.commands._output import command_line, report, say_written


@app.command()
def check(
    claim: Annotated[
        list[str] | None,
        typer.Option(help="Id of a claim; may be repeated. All claims by default."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for ledger.json, ledger.md and ledger.html."
            " By default ./ledger when all claims are checked, and none with --claim."
        ),
    ] = None,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Draw ten times more cases.")
    ] = False,
    listing: Annotated[bool, typer.Option("--list", help="Name the claims and stop.")] = False,
    quiet: Quiet = False,
) -> None:
    """Check the claims of arXiv:2511.06686.

    Writes the ledger. Needs the extra `testing`. The exit code is 0 when every verdict is the
    recorded one, else 1.
    """
    try:
        from paper_checks import ledger, runner

        if listing:
            for name in runner.names():
                typer.echo(name)
            return
        ids = list(runner.discover(claim or None))
    except ModuleNotFoundError as error:
        remedy = (
            "reinstall mimo_sim"
            if str(error.name).startswith("paper_checks")
            else 'pip install -e ".[testing]" in a clone'
        )
        raise ValueError(
            f"`mimo-sim check` needs {error.name}, which is not installed: {remedy}."
        ) from None
    if out is None and not claim:
        out = Path("ledger")
    if out is not None and claim:
        _refuse_to_lose(out, ids)
    with progress_bar(len(ids), on_terminal(quiet), "checking") as advance:
        rows = runner.run_claims(ids, thorough=thorough, on_claim=lambda _: advance())
    command = command_line("check", claim=claim, out=out, thorough=thorough)
    if not quiet:
        report(
            [(row.claim.id, str(row.evidence.verdict), f"{row.seconds:.1f}") for row in rows],
            ("claim", "verdict", "seconds"),
            "Claims of arXiv:2511.06686",
        )
        if claim:
            for row in rows:
                _explain(row)
    if out is not None:
        paths = ledger.write(rows, out, command)
        if not quiet:
            say_written(paths)
    changed = [row for row in rows if not row.as_recorded]
    for row in changed:
        typer.echo(
            f"{row.claim.id}: recorded '{row.claim.recorded}', found '{row.evidence.verdict}'."
            f" {row.evidence.words}",
            err=True,
        )
    if changed:
        raise typer.Exit(1)


def _refuse_to_lose(out: Path, ids: list[str]) -> None:
    """Raise if the ledger in `out` has claims that are not among `ids`: it would be replaced."""
    ledger = out / "ledger.json"
    if not ledger.is_file():
        return
    there = {row["id"] for row in json.loads(ledger.read_text())["claims"]}
    lost = there - set(ids)
    if lost:
        raise ValueError(
            f"`--out` {out} holds a ledger with {len(lost)} other claims."
            " Choose another folder, or check all claims."
        )


def _explain(row: Any) -> None:
    """Print what a claim says, what was found, and the counter-example if there is one."""
    typer.echo(f"\n{row.claim.id}: {row.claim.says}\n  {row.evidence.words}")
    example = row.evidence.counterexample
    if example:
        typer.echo(f"  {example.case}\n  $ {example.command}")
