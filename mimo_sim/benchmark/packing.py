"""A folder of runs as one file, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mimo_sim._checks import did_you_mean
from mimo_sim.benchmark import packed
from mimo_sim.benchmark.records import read
from mimo_sim.training.records import CHECKPOINT, CONFIG, RESULT, write_json, write_table


def pack(results: str | Path, out: str | Path) -> int:
    """Write all finished runs below a folder to one file (:mod:`mimo_sim.benchmark.packed`).

    Checkpoints and runs that are not finished are left out.

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
    runs = [run.contents() for run in read(results)]
    packed.save(runs, out)
    return len(runs)


def unpack(
    file: str | Path, out: str | Path, without: Sequence[str] = ()
) -> tuple[list[Path], list[Path]]:
    """Write the runs of a packed file as folders again, equal to those that were packed.

    Runs that are there already, finished or begun, stay as they are.

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
    runs = packed.load(Path(file))
    names = {run.method for run in runs} | {f"{run.dataset}/{run.method}" for run in runs}
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
    return written, kept
