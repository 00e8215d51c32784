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
    from collections.abc import Sequence

    from mimo_sim.datasets._record import Record

MOST_FAULTS = 10  # so many faulty files are named, the rest are counted
MOST_CLASSES = 10  # named in the list

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
        "classes": _first_classes(record.classes),
        "settings": "; ".join(f"{key}: {text}" for key, text in record.settings.items()),
        "raw files": raw_files,
        "licence": record.licence,
        "home": record.home,
    }


def _first_classes(names: Sequence[str]) -> str:
    """How many classes there are, and the names of the first ones."""
    if not names:
        return ""
    first = ("; " if any(" " in name for name in names) else " ").join(names[:MOST_CLASSES])
    return f"{len(names)}: {first}{' ...' if len(names) > MOST_CLASSES else ''}"


@data.command()
def verify(name: Name, root: Root = None, quiet: Quiet = False) -> None:
    """Check that every raw file, or file of a store, is there and undamaged: exit code 0 or 1."""
    from mimo_sim import datasets
    from mimo_sim.datasets import _files as files

    folder, _ = files.data_folder(root)
    record = datasets.get(name)
    if record.plan is not None:
        with files.located(root):
            _verify_stores(name, folder, quiet)
        return
    downloads = record.raw_files(folder)
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


def _verify_stores(name: str, folder: Path, quiet: bool) -> None:
    """Check the files of every finished store of a data set."""
    from mimo_sim.datasets import _store as store

    remedy = f"mimo-sim data prepare {name} --root {folder}"
    places = sorted(path.parent for path in folder.glob(f"stores/{name}-*/{store.MANIFEST}"))
    if not places:
        raise FileNotFoundError(
            f"there is no prepared store of {name} below {folder}. Make it with: {remedy}"
        )
    bad = 0
    for place in places:
        total = len(store.read_json(place / store.MANIFEST)["samples"])
        with progress_bar(total, on_terminal(quiet), "verifying") as advance:
            found = store.faults(place, advance)
        for fault in found[:MOST_FAULTS]:
            typer.echo(fault, err=True)
        bad += len(found)
        if not quiet and not found:
            typer.echo(f"{place}: all files of {total} samples are as expected")
    if bad:
        typer.echo(
            f"{bad} files are missing or damaged. Mend them with the options they have: {remedy}",
            err=True,
        )
        raise typer.Exit(1)


def _prepare_store(
    record: Record,
    folder: Path,
    chosen: dict[str, Any],
    jobs: int | None,
    allow_missing: bool,
    quiet: bool,
) -> None:
    """Write the store of a data set, and say how many samples were kept of those listed."""
    import os

    from mimo_sim.datasets import _store as store

    assert record.plan is not None
    plan = record.plan(folder, **chosen)
    workers = jobs if jobs is not None else os.cpu_count() or 1
    total, rate = len(plan.samples), (1.0, "a second")
    with progress_bar(total, on_terminal(quiet), "preparing", unit="samples", rate=rate) as advance:
        manifest = store.prepare(plan, workers, allow_missing, advance)
    if quiet:
        return
    counts = (f"{s['kept']} / {s['listed']} {name}" for name, s in manifest["splits"].items())
    for path, told in plan.lists.items():
        typer.echo(f"list {plan.root / path}: {told}")
    typer.echo(f"store {plan.folder}\nkept / listed: {', '.join(counts)}")
    for word, left in (("left out", manifest["left_out"]), ("dropped", manifest["dropped"])):
        if left:
            named = "; ".join(f"{key}: {why}" for key, why in list(left.items())[:MOST_FAULTS])
            more = "; ..." if len(left) > MOST_FAULTS else ""
            typer.echo(f"{len(left)} {word}: {named}{more}")
    if manifest["left_out"]:
        typer.echo(f"sha256 of the kept ids: {manifest['kept']}")


@data.command()
def prepare(
    name: Name,
    root: Root = None,
    options: Option = None,
    seed: Seed = 0,
    preset: Annotated[
        str,
        typer.Option(help="Of a data set with a store: the preset of `bench run` that it is for."),
    ] = "cpu",
    jobs: Annotated[
        int | None,
        typer.Option(
            help="Of a data set with a store: shards made at once; by default one per core."
        ),
    ] = None,
    allow_missing: Annotated[
        bool,
        typer.Option("--allow-missing", help="Leave out clips that are missing or unreadable."),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Get a data set ready: download its raw files and build it once, or write its store.

    Raw files that are missing or damaged are downloaded where that is possible. Media that you
    have to get yourself are decoded into a store below the data folder. It can be interrupted, and
    goes on from there. Later runs find what was made.
    """
    import inspect

    from mimo_sim import datasets
    from mimo_sim.datasets import _files as files

    record = datasets.get(name)
    chosen = settings(options)
    if record.plan is not None:
        chosen = record.preset(preset)[0] | chosen
    record.refuse_bad(chosen)
    folder, _ = files.data_folder(root)
    if record.plan is not None:
        with files.located(root):
            _prepare_store(record, folder, chosen, jobs, allow_missing, quiet)
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
