"""Data sets of the benchmark: what there is, getting it, checking it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mimo_sim._progress import on_terminal, progress_bar
from mimo_sim.commands import _grammar as grammar
from mimo_sim.commands import data
from mimo_sim.commands._options import Quiet, Seed
from mimo_sim.commands._output import report

if TYPE_CHECKING:
    from mimo_sim.datasets._record import Record

MOST_FAULTS = 10  # so many faulty files are named, the rest are counted

Name = Annotated[str, typer.Argument(help="A name of `mimo-sim data list`.")]
Root = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the raw files; by default $MIMO_SIM_DATA, or a folder in the cache."
    ),
]
Option = Annotated[
    list[str] | None,
    typer.Option(
        "--option", help="A setting of the data set as name=value, e.g. setting=B; repeatable."
    ),
]


def settings(given: list[str] | None, option: str = "--option") -> dict[str, Any]:
    """The settings of a data set, from the words of `option`."""
    return grammar.once(grammar.read_word(option, text) for text in given or [])


@data.command("list")
def list_() -> None:
    """List the data sets, with their size and licence."""
    from mimo_sim import datasets

    for name in datasets.available():
        record = datasets.get(name)
        typer.echo(f"{name}: {record.about}")
        for label, text in _facts(record).items():
            if text:
                typer.echo(f"  {label:<10} {text}")


def _facts(record: Record) -> dict[str, str]:
    """What the list says of a data set; an empty text is not shown."""
    shapes = [f"{name} {'x'.join(map(str, shape))}" for name, shape in record.modalities.items()]
    raw_files = ""
    size = sum(download.size for download in record.downloads)
    if size:
        count = sum(len(download.files) for download in record.downloads)
        raw_files = f"{count}, {size / 1e6:.0f} MB to download"
    return {
        "modalities": ", ".join(shapes),
        "classes": " ".join(record.classes),
        "settings": "; ".join(f"{key}: {text}" for key, text in record.settings.items()),
        "raw files": raw_files,
        "licence": record.licence,
        "home": record.home,
    }


@data.command()
def verify(name: Name, root: Root = None, quiet: Quiet = False) -> None:
    """Check that every raw file is there and undamaged. Exit code 0 if so, else 1."""
    from mimo_sim import datasets
    from mimo_sim.datasets import _files as files

    folder, _ = files.data_folder(root)
    downloads = datasets.get(name).raw_files(folder)
    total = sum(len(download.files) for download in downloads)
    with progress_bar(total, on_terminal(quiet), "verifying") as advance:
        bad = files.faults(folder, downloads, advance)
    for fault in bad[:MOST_FAULTS]:
        typer.echo(f"{fault}", err=True)
    if len(bad) > MOST_FAULTS:
        typer.echo(f"... and {len(bad) - MOST_FAULTS} more", err=True)
    if bad:
        typer.echo(
            f"{len(bad)} of {total} raw files of {name} are missing or damaged. "
            f"Mend them with: mimo-sim data prepare {name} --root {folder}",
            err=True,
        )
        raise typer.Exit(1)
    if not quiet and total:
        typer.echo(f"{name}: all {total} raw files in {folder} are as expected")
    elif not quiet:
        typer.echo(f"{name} needs no raw files")


@data.command()
def prepare(
    name: Name, root: Root = None, options: Option = None, seed: Seed = 0, quiet: Quiet = False
) -> None:
    """Download the raw files that are missing or damaged, and build the data set once.

    Later runs find it in the cache.
    """
    import inspect

    from mimo_sim import datasets
    from mimo_sim.datasets import _files as files

    record = datasets.get(name)
    chosen = settings(options)
    record.refuse_bad(chosen)
    folder, _ = files.data_folder(root)
    downloads = record.raw_files(folder)
    with progress_bar(len(downloads), on_terminal(quiet), "downloading") as advance:
        written = files.fetch(folder, downloads, advance)
    if "progress" in inspect.signature(record.build).parameters:
        chosen.setdefault("progress", not quiet)
    made = datasets.load(name, folder, seed, **chosen)
    if quiet:
        return
    if written:
        typer.echo(f"{len(written)} raw files downloaded to {folder}")
    elif downloads:
        typer.echo(f"all raw files are in {folder}")
    rows = []
    for part in ("train", "validation", "test"):
        split = getattr(made, part)
        inputs = [
            f"{tuple(x.shape[1:])} {str(x.dtype).removeprefix('torch.')}" for x in split.inputs
        ]
        rows.append((part, str(len(split)), *inputs))
    report(rows, ("split", "samples", *(modality.name for modality in made.modalities)), name)
