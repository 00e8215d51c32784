"""What commands write and print: files, tables, and the command itself."""

from __future__ import annotations

import shlex
import shutil
import sys
import textwrap
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

FORMATS = (".png", ".pdf", ".svg")
WIDTH_IN_A_FILE, LONGEST_UNFOLDED_NAME = 10_000, 24  # of tables, in characters


def command_line(*words: Any, **options: Any) -> str:
    """The shell command that was given, for records: `words`, then `options` with their values.

    A number is written in short form. A list repeats its option. True stands for the option alone.
    Options that are None, False or an empty list are left out.
    """
    parts = list(words)
    for name, given in options.items():
        option = f"--{name.replace('_', '-')}"
        for value in given if isinstance(given, list) else [given]:
            if value is True:
                parts.append(option)
            elif value is not None and value is not False:
                parts += [option, _short(value) if isinstance(value, float) else value]
    return shlex.join(["mimo-sim", *map(str, parts)])


def _short(value: float) -> str:
    """Six digits where they are the number, else all of them."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def write_all(
    out: Path, stem: str, figure: Figure, data: xr.Dataset, summary: dict[str, Any] | None
) -> list[Path]:
    """Write the figure, its data and its summary under temporary names, then rename all files."""
    from mimo_sim import plots
    from mimo_sim._files import replacing
    from mimo_sim._json import to_json

    suffixes = [*FORMATS, ".nc"]
    if summary is not None:
        suffixes.append(".json")
    paths = [out / f"{stem}{suffix}" for suffix in suffixes]
    with ExitStack() as stack:
        temporaries = {path.suffix: stack.enter_context(replacing(path)) for path in paths}
        for suffix in FORMATS:
            plots.write(figure, temporaries[suffix])
        compressed = {
            name: {"zlib": True, "complevel": 4} for name in data.data_vars if data[name].ndim > 1
        }
        data.to_netcdf(temporaries[".nc"], engine="h5netcdf", encoding=compressed)
        if summary is not None:
            temporaries[".json"].write_text(to_json(summary) + "\n")
    return paths


def same_on_all_machines(data: xr.Dataset) -> xr.Dataset:
    """The numbers with 40 binary digits, about 12 decimal ones.

    Processors add up in different orders. The last digits would differ from one to the next, and
    with them the file.
    """
    import numpy as np

    def rounded(values: xr.DataArray) -> xr.DataArray:
        if values.dtype.kind != "f":
            return values
        digits, exponent = np.frexp(values.values)
        return values.copy(data=np.ldexp(np.round(digits * 2.0**40) / 2.0**40, exponent))

    return data.map(rounded, keep_attrs=True)


def read_formats(text: str) -> list[str]:
    """The suffixes that ``--format`` names: ``"png,svg"`` gives ``[".png", ".svg"]``.

    Raises
    ------
    ValueError
        If one of them is not in :data:`FORMATS`.
    """
    suffixes = [f".{word.strip()}" for word in text.split(",")]
    if not set(suffixes) <= set(FORMATS):
        allowed = ", ".join(suffix[1:] for suffix in FORMATS)
        raise ValueError(f"`--format` must be of {allowed}, joined by commas. Got {text!r}.")
    return list(dict.fromkeys(suffixes))


def say_written(paths: Sequence[Path]) -> None:
    """Print which files were written."""
    typer.echo("wrote " + " ".join(map(str, paths)))


def say_wrapped(text: str, indent: str = "") -> None:
    """Print a text behind an indent, nothing where it is empty.

    On a terminal it is broken at the width there, and the further lines are indented more.
    """
    if not text:
        return
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        text = textwrap.fill(
            text,
            width,
            subsequent_indent=" " * 8,
            initial_indent=indent,
            break_on_hyphens=False,
        )
    else:
        text = indent + text
    typer.echo(text)


def report(rows: Sequence[tuple[str, ...]], header: tuple[str, ...], title: str) -> None:
    """Print a table on stdout.

    On a terminal it is folded to the width there. In a file or a pipe it is as wide as it needs.
    """
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    short = max((len(row[0]) for row in rows), default=0) <= LONGEST_UNFOLDED_NAME
    table = Table(
        Column(Text(header[0]), overflow="fold", no_wrap=short),
        *(Column(Text(name)) for name in header[1:]),
        title=Text(title),
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for row in rows:
        table.add_row(*map(Text, row))  # names and values are no markup
    Console(width=None if sys.stdout.isatty() else WIDTH_IN_A_FILE).print(table)
