"""The file of a data set's runs: a table of text, one row per number, compressed.

Its columns are ``dataset, method, seed, file, epoch, name, value``. The rows of a run are the
entries of its three files, in their order:

===============  ==========================================================================
``config.json``  one row per entry; the name is the way to it, such as ``settings/lr``
``epochs.csv``   one row per epoch and column; the value is the cell as it stands there
``result.json``  as ``config.json``: ``metrics/test/accuracy``, ``origin/revision``, ...
===============  ==========================================================================

The trials of a search (:mod:`mimo_sim.benchmark.trials`) have no seed. Their file is ``trials``:
the search as ``config.json``, and a row per trial and value, with the trial's number as epoch.

Values from JSON files are written as JSON: text has quotes, a list is one value. Equal runs make
equal bytes. To read a file is to read text: nothing in it is executed.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mimo_sim._files import replacing
from mimo_sim.training.records import CONFIG, RESULT, TABLE, read_json

SUFFIX = ".csv.gz"
TRIALS = "trials"  # folder of searches, whose runs are no results; here the "file" of a search
COLUMNS = ["dataset", "method", "seed", "file", "epoch", "name", "value"]
MOST_BYTES = 2**29  # of text: over 20 times as long as the longest file in benchmarks/
DEEPEST = 50  # entries within entries
ESCAPES = {"~": "~0", "/": "~1"}  # of keys on the way to an entry, as in JSON pointers (RFC 6901)


@dataclass(frozen=True)
class Contents:
    """What the files of one run hold.

    Attributes
    ----------
    dataset, method : str
        As the run's folder names them: ``"avmnist-A"``, ``"mimo-lam=10"``.
    seed : int
    config, result : dict
        Of ``config.json`` and ``result.json``.
    epochs : list of dict
        Rows of ``epochs.csv``: column -> cell, as text.
    """

    dataset: str
    method: str
    seed: int
    config: dict[str, Any] = field(default_factory=dict)
    epochs: list[dict[str, str]] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> Path:
        """Folder of the run below a results folder."""
        return Path(self.dataset, self.method, f"seed{self.seed}")


@dataclass(frozen=True)
class Searched:
    """The trials of a search so far.

    Attributes
    ----------
    dataset, method : str
        As the folders of its runs are named: ``"avmnist-A"``, ``"mimo-tuned"``.
    content : dict
        ``"search"``: what is searched; ``"trials"``: a list of ``{"values": ..., "score": ...}``.
    """

    dataset: str
    method: str
    content: dict[str, Any] = field(default_factory=lambda: {"search": {}, "trials": []})


class Packed(NamedTuple):
    """What a file holds."""

    runs: list[Contents]
    searches: list[Searched]


def save(runs: Iterable[Contents], path: Path, searches: Iterable[Searched] = ()) -> None:
    """Write the file, whole or not at all; runs are sorted by data set, method and seed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for run in sorted(runs, key=lambda run: (run.dataset, run.method, run.seed)):
        writer.writerows((run.dataset, run.method, run.seed, *row) for row in _rows(run))
    for one in sorted(searches, key=lambda one: (one.dataset, one.method)):
        writer.writerows((one.dataset, one.method, "", *row) for row in _trial_rows(one.content))
    packed = io.BytesIO()
    with gzip.GzipFile("", "wb", fileobj=packed, mtime=0) as file:  # no name, time or system in it
        file.write(text.getvalue().encode())
    with replacing(path) as temporary:
        temporary.write_bytes(packed.getvalue())
        load(temporary)  # what cannot be read back takes no good file's place


def load(path: Path) -> Packed:
    """The runs and searches of a file that :func:`save` wrote.

    Raises
    ------
    ValueError
        If it is something else, or damaged. The message names the file.
    """
    try:
        with gzip.open(path) as packed:
            text = packed.read(MOST_BYTES + 1).decode()
        if len(text) > MOST_BYTES:
            raise ValueError(f"its text is longer than {MOST_BYTES:,} characters")
        rows = csv.reader(io.StringIO(text), strict=True)
        header = next(rows, [])
        if header != COLUMNS:
            raise ValueError(f"its columns are {header}")
        return _contents(rows)
    except (ValueError, RecursionError, EOFError, gzip.BadGzipFile, zlib.error, csv.Error) as error:
        raise ValueError(
            f"{path} is damaged, or not a file that `bench pack` wrote ({error}). "
            "Get it anew, or pack the runs again."
        ) from None


def _rows(run: Contents) -> Iterator[tuple[str, str, str, str]]:
    """File, epoch, name and value of every entry of a run."""
    for name, value in _leaves(run.config):
        yield CONFIG, "", name, value
    for number, cells in enumerate(run.epochs):
        for name, cell in cells.items():
            yield TABLE, str(number), name, cell
    for name, value in _leaves(run.result):
        yield RESULT, "", name, value


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """The way to every entry of a tree that is not a mapping with entries, and the entry."""
    for key, value in tree.items():
        name = above + "".join(ESCAPES.get(letter, letter) for letter in key)
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{name}/")
        else:
            yield name, json.dumps(value, ensure_ascii=False)


def _trial_rows(content: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """File, epoch, name and value of every entry of a search."""
    for name, value in _leaves(content["search"]):
        yield TRIALS, "", name, value
    for number, trial in enumerate(content["trials"]):
        for name, value in _leaves(trial):
            yield TRIALS, str(number), name, value


def _contents(rows: Iterable[list[str]]) -> Packed:
    """The way back from rows to runs and searches."""
    found: dict[tuple[str, str, str], Contents] = {}
    searches: dict[tuple[str, str], Searched] = {}
    for row in rows:
        if len(row) != len(COLUMNS):
            raise ValueError(f"a row has {len(row)} cells")
        dataset, method, seed, file, epoch, name, value = row
        if file == TRIALS:
            one = searches.setdefault((dataset, method), Searched(dataset, method))
            _refuse_bad_place(dataset, method, seed or "0")
            _add_to_search(one.content, epoch, name, json.loads(value))
            continue
        run = found.get((dataset, method, seed))
        if run is None:
            _refuse_bad_place(dataset, method, seed)
            run = found[dataset, method, seed] = Contents(dataset, method, int(seed))
        if file == TABLE:
            _add_cell(run.epochs, int(epoch), name, value)
        elif file in (CONFIG, RESULT):
            _add_entry(run.config if file == CONFIG else run.result, name, json.loads(value))
        else:
            raise ValueError(f"a row is of the file {file!r}")
    if not found and not searches:
        raise ValueError("it has no runs")
    for run in found.values():
        if not (run.config and run.epochs and run.result):
            raise ValueError(f"{run.place} lacks one of {CONFIG}, {TABLE}, {RESULT}")
    for one in searches.values():
        wrong = _wrong_with_trials(one.content)
        if wrong:
            raise ValueError(f"the trials of {one.dataset}/{one.method}: {wrong}")
    return Packed(list(found.values()), list(searches.values()))


def read_trials(path: Path) -> dict[str, Any]:
    """What a file of trials holds: ``"search"`` and ``"trials"``.

    Raises
    ------
    ValueError
        If it is damaged. The message names the file.
    """
    remedy = "Delete this file and tune again."
    content = read_json(path, remedy)
    wrong = _wrong_with_trials(content)
    if wrong:
        raise ValueError(f"{path} is damaged ({wrong}). {remedy}")
    return content


def _wrong_with_trials(content: Mapping[str, Any]) -> str:
    """What the trials of a search lack, in words; empty where they are whole."""
    trials = content.get("trials")
    if not isinstance(content.get("search"), dict) or not isinstance(trials, list):
        return "no search, or no list of trials"
    for number, trial in enumerate(trials):
        if not (isinstance(trial, dict) and isinstance(trial.get("values"), dict)):
            return f"trial {number} has no values"
        if not isinstance(trial.get("score", ""), int | float | None):
            return f"trial {number} has no score"
    return ""


def _refuse_bad_place(dataset: str, method: str, seed: str) -> None:
    """Names of folders come from the file, and must not lead elsewhere."""
    for name in (dataset, method):
        if not name or name.startswith(".") or "/" in name or "\\" in name or "\0" in name:
            raise ValueError(f"{name!r} is not the name of a folder")
    if not (seed.isascii() and seed.isdecimal()) or str(int(seed)) != seed:
        raise ValueError(f"{seed!r} is not a seed")


def _add_cell(epochs: list[dict[str, str]], epoch: int, name: str, cell: str) -> None:
    if epoch == len(epochs):
        epochs.append({})
    if epoch < 0 or epoch != len(epochs) - 1 or name in epochs[epoch]:
        raise ValueError(f"epoch {epoch} of {name!r} is out of order")
    epochs[epoch][name] = cell


def _add_to_search(content: dict[str, Any], epoch: str, name: str, value: Any) -> None:
    if not epoch:
        _add_entry(content["search"], name, value)
        return
    trials = content["trials"]
    if int(epoch) == len(trials):
        trials.append({})
    if int(epoch) < 0 or int(epoch) != len(trials) - 1:
        raise ValueError(f"trial {epoch} is out of order")
    _add_entry(trials[-1], name, value)


def _add_entry(tree: dict[str, Any], way: str, value: Any) -> None:
    if way.count("/") > DEEPEST:
        raise ValueError(f"an entry is more than {DEEPEST} deep")
    *above, last = [part.replace("~1", "/").replace("~0", "~") for part in way.split("/")]
    for key in above:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise ValueError(f"{way!r} is inside of a value")
    if last in tree:
        raise ValueError(f"{way!r} is there twice")
    tree[last] = value
