"""`mimo-sim bench compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mimo_sim.commands import bench
from mimo_sim.commands._options import Quiet
from mimo_sim.commands._output import command_line, read_formats, report, say_written

if TYPE_CHECKING:
    from mimo_sim.benchmark import FinishedRun, Row


@bench.command()
def compare(
    results: Annotated[
        Path,
        typer.Argument(help="Folder that `bench run` wrote, or file that `bench pack` wrote."),
    ] = Path("results"),
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for tables and figures; by default none are written. "
            "With --split validation their names end in -validation.",
            file_okay=False,
        ),
    ] = None,
    split: Annotated[
        str, typer.Option(help="test, to report results; or validation, to choose.")
    ] = "test",
    baseline: Annotated[
        str, typer.Option(help="Method that all others are compared with, seed by seed.")
    ] = "vanilla",
    curves: Annotated[
        list[str] | None,
        typer.Option(help="Method to draw over epochs; repeatable. By default a few."),
    ] = None,
    format_: Annotated[
        str,
        typer.Option("--format", help="Of figures: png, pdf or svg, or several joined by commas."),
    ] = "png",
    html: Annotated[
        Path | None,
        typer.Option(
            help="Page to write: tables to sort and filter, intervals, curves, commands. "
            "It is one file and needs no network.",
            dir_okay=False,
        ),
    ] = None,
    mixed: Annotated[
        bool,
        typer.Option(
            "--mixed",
            help="Show rows whose runs are not of one committed code all the same, and mark them.",
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Compare methods: means and 95 % intervals over seeds, and differences to a baseline.

    With --out it writes tables and three kinds of figures: accuracy against modality gap, grids of
    hyper-parameters, and curves over epochs. Rows that mix runs of different code are refused.
    """
    from mimo_sim import benchmark, plots
    from mimo_sim._files import replacing

    suffixes = read_formats(format_)
    if html is not None and html.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"`--html` must end in .html. Got {str(html)!r}.")
    runs = benchmark.read(results)
    if not mixed:
        benchmark.refuse_doubtful(runs)
    rows = benchmark.summary(runs, baseline, split)
    if not quiet:
        show_results(runs, baseline, split)
    written = []
    if html is not None:
        words = command_line(
            *("bench", "compare", results),
            html=html,
            split=None if split == "test" else split,
            baseline=None if baseline == "vanilla" else baseline,
            curves=curves,
            mixed=mixed,
        )
        page = plots.comparison_page(runs, rows, baseline, words, curves)
        with replacing(html) as temporary:
            temporary.write_text(page, encoding="utf-8")
        written.append(html)
    if out is not None:
        written += _write(out, runs, rows, baseline, curves, suffixes)
    if written and not quiet:
        say_written(written)


def _write(
    out: Path,
    runs: Sequence[FinishedRun],
    rows: Sequence[Row],
    baseline: str,
    curves: Sequence[str] | None,
    suffixes: Sequence[str],
) -> list[Path]:
    """Write tables and figures into a folder."""
    from mimo_sim import benchmark, plots
    from mimo_sim._files import replacing
    from mimo_sim.benchmark import comparison, tables

    texts = {
        ".md": tables.markdown(
            rows,
            baseline,
            comparison.caveats(runs),
            [
                *tables.tuned_tables(runs, baseline, rows[0].split),
                *benchmark.published_tables(runs, rows),
            ],
        ),
        ".csv": tables.comma_separated(rows),
    }
    written = []
    for suffix, text in texts.items():
        path = out / f"table{comparison.split_suffix(rows)}{suffix}"
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        written.append(path)
    for name, figure in plots.draw_benchmark(runs, rows, curves):
        for suffix in suffixes:
            path = out / f"{name}{suffix}"
            with replacing(path) as temporary:
                plots.write(figure, temporary)
            written.append(path)
    return written


def show_results(
    runs: Sequence[FinishedRun], baseline: str = "vanilla", split: str = "test"
) -> None:
    """Print brief tables of every data set, tuned beside defaults, then what columns mean."""
    from mimo_sim import benchmark
    from mimo_sim.benchmark import tables

    rows = benchmark.summary(runs, baseline, split)
    for title, header, cells in (
        *benchmark.comparison_tables(rows, baseline, brief=True),
        *tables.tuned_tables(runs, baseline, split),
        *benchmark.published_tables(runs, rows),
    ):
        report(cells, header, title)
    for line in tables.notes(runs, rows):
        typer.echo(line)
