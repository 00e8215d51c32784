"""A folder of runs, and of the trials of searches, as one file, and the way back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mimo_sim._checks import did_you_mean
from mimo_sim.benchmark import packed
from mimo_sim.benchmark.packed import TRIALS, Searched, read_trials
from mimo_sim.benchmark.records import NoRunsError, read
from mimo_sim.training.records import (
    CHECKPOINT,
    CONFIG,
    RESULT,
    write_json,
    write_table,
)


def pack(results: str | Path, out: str | Path) -> int:
    """Write all finished runs below a folder to one file (:mod:`mimo_sim.benchmark.packed`).

    The trials of searches go there too, whether the search is over or not. Checkpoints and runs
    that are not finished are left out.

    Parameters
    ----------
    results : path
        Folder of runs, or a packed file.
    out : path
        File to write; its name ends in ``.csv.gz``.

    Returns
    -------
    int
        Number of runs.

    Raises
    ------
    ValueError
        As :func:`mimo_sim.benchmark.read`; for another name of the file.
    """
    out = Path(out)
    if not out.name.endswith(packed.SUFFIX):
        raise ValueError(f"`out` must end in {packed.SUFFIX}. Got {str(out)!r}.")
    searches = list(_searches(Path(results)))
    try:
        runs = [run.contents() for run in read(results)]
    except NoRunsError:
        if not searches:
            raise
        runs = []  # the search is in its trials
    packed.save(runs, out, searches)
    return len(runs)


def _searches(results: Path) -> Iterator[Searched]:
    """What searches below a folder, or in a packed file, have found so far."""
    if results.is_file():
        yield from packed.load(results).searches
        return
    for path in sorted((results / TRIALS).glob("*/[!.]*.json")):  # no temporary files
        yield Searched(path.parent.name, path.name.removesuffix(".json"), read_trials(path))


def unpack(
    file: str | Path, out: str | Path, without: Sequence[str] = ()
) -> tuple[list[Path], list[Path]]:
    """Write the runs of a packed file as folders again, equal to those that were packed.

    Runs that are there already, finished or begun, stay as they are. The trials of a search are
    written where none are there, or fewer of the same.

    Parameters
    ----------
    file : path
        A file that :func:`pack` wrote.
    out : path
        Results folder.
    without : sequence of str
        Runs to leave out: ``"mimo-lam=10"``, or ``"avmnist-A/mimo-lam=10"`` on one data set only.

    Returns
    -------
    written, kept : lists of Path
        Folders of runs below `out`: new ones, and those that were there already.

    Raises
    ------
    ValueError
        If the file is damaged, or has no run that `without` names.
    """
    runs, searches = packed.load(Path(file))
    every: list[packed.Contents | Searched] = [*runs, *searches]
    names = {one.method for one in every} | {f"{one.dataset}/{one.method}" for one in every}
    for name in without:
        if name not in names:
            raise ValueError(
                f"`without` must name runs of {file}. Got {name!r}.{did_you_mean(name, names)}"
            )
    written, kept = [], []
    for run in runs:
        if {run.method, f"{run.dataset}/{run.method}"} & set(without):
            continue
        folder = Path(out) / run.place
        if (folder / RESULT).is_file() or (folder / CHECKPOINT).is_file():
            kept.append(run.place)
            continue
        write_json(folder / CONFIG, run.config)
        write_table(folder, run.epochs)
        write_json(folder / RESULT, run.result)  # last: with it the run counts as finished
        written.append(run.place)
    for search in searches:
        if not {search.method, f"{search.dataset}/{search.method}"} & set(without):
            _unpack_search(search, Path(out))
    return written, kept


def _unpack_search(search: Searched, out: Path) -> None:
    path = out / TRIALS / search.dataset / f"{search.method}.json"
    if path.is_file():
        there = read_trials(path)
        known = there["trials"]
        begun_alike = there["search"] == search.content["search"]
        if not begun_alike or search.content["trials"][: len(known)] != known:
            return
    write_json(path, search.content)
