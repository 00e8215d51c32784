"""Data sets of the benchmark: what there is, getting it, checking it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Annotated, Any

import typer

from mimo_sim._progress import on_terminal, progress_bar
from mimo_sim.commands import data
from mimo_sim.commands._options import Quiet, Seed
from mimo_sim.commands._output import report

Name = Annotated[str, typer.Argument(help="A name of `mimo-sim data list`.")]
Root = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the raw files; $MIMO_SIM_DATA or a folder in the cache by default."
    ),
]
Option = Annotated[
    list[str] | None,
    typer.Option(
        "--option", help="A setting of the data set as name=value, e.g. setting=B; may be repeated."
    ),
]


def settings(options: list[str] | None) -> dict[str, Any]:
    """Settings from name=value words; values that are Python literals are read as such."""
    found: dict[str, Any] = {}
    for word in options or ():
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise ValueError(f"`--option` must be name=value. Got {word!r}.")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = value
    return found


@data.command("list")
def list_() -> None:
    """What data sets there are, their size and licence."""
    from mimo_sim import datasets

    for name in datasets.available():
        record = datasets.get(name)
        raw = sum(download.size for download in record.downloads)
        views = ", ".join(
            f"{view} {'x'.join(map(str, shape))}" for view, shape in record.modalities.items()
        )
        typer.echo(f"{name}: {record.about}")
        for label, text in {
            "modalities": views,
            "classes": " ".join(record.classes),
            "settings": "; ".join(f"{key}: {text}" for key, text in record.settings.items()),
            "raw files": f"{sum(len(download.files) for download in record.downloads)}, {raw / 1e6:.0f} MB to download"
            if raw
            else "",
            "licence": record.licence,
            "home": record.home,
        }.items():
            if text:
                typer.echo(f"  {label:<10} {text}")


@data.command()
def verify(name: Name, root: Root = None, quiet: Quiet = False) -> None:
    """Check that every raw file is there and unharmed. Exit code 0 when so, 1 when not."""
    from mimo_sim import datasets
    from mimo_sim.datasets import _files as files

    downloads = datasets.get(name).downloads
    folder, _ = files.data_folder(root)
    total = sum(len(download.files) for download in downloads)
    with progress_bar(total, on_terminal(quiet), "verifying") as advance:
        bad = files.faults(folder, downloads, advance)
    for fault in bad[:10]:
        typer.echo(f"{fault}", err=True)
    if len(bad) > 10:
        typer.echo(f"... and {len(bad) - 10} more", err=True)
    if bad:
        typer.echo(
            f"{len(bad)} of {total} raw files of {name} are missing or damaged. Mend them with: mimo-sim data prepare {name} --root {folder}",
            err=True,
        )
        raise typer.Exit(1)
    if not quiet:
        typer.echo(
            f"{name}: all {total} raw files in {folder} are as expected"
            if total
            else f"{name} needs no raw files"
        )


@data.command()
def prepare(
    name: Name, root: Root = None, options: Option = None, seed: Seed = 0, quiet: Quiet = False
) -> None:
    """Download what raw files are missing or damaged, then build the data set once, so that later runs find it in the cache."""
    import inspect

    from mimo_sim import datasets
    from mimo_sim.datasets import _files as files

    record = datasets.get(name)
    chosen = settings(options)
    folder, _ = files.data_folder(root)
    with progress_bar(len(record.downloads), on_terminal(quiet), "downloading") as advance:
        written = files.fetch(folder, record.downloads, advance)
    if "progress" in inspect.signature(record.build).parameters:
        chosen.setdefault("progress", not quiet)
    made = datasets.load(name, folder, seed, **chosen)
    if quiet:
        return
    if record.downloads:
        typer.echo(
            f"{len(written)} raw files downloaded to {folder}"
            if written
            else f"all raw files are in {folder}"
        )
    parts = {"train": made.train, "validation": made.validation, "test": made.test}
    rows = [
        (
            part,
            str(len(split)),
            *(f"{tuple(x.shape[1:])} {str(x.dtype).removeprefix('torch.')}" for x in split.inputs),
        )
        for part, split in parts.items()
    ]
    report(rows, ("split", "samples", *(modality.name for modality in made.modalities)), name)
