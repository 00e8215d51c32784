"""Grids of runs: methods x hyper-parameters x data settings x seeds, on several processes, resumable, and their records read back."""

from __future__ import annotations

import csv
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import torch

from mimo_sim import datasets, methods
from mimo_sim.datasets._data import Dataset
from mimo_sim.training import Settings, train
from mimo_sim.training.records import RESULT, TABLE, Record, differences, plain, read_json

POLL_SECONDS = 0.3
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
}  # glibc: give freed memory to the next step, not back
SPLITS = ("validation", "test")  # choose on the one, report on the other


@dataclass(frozen=True)
class Job:
    """One run to be done: a data set with its settings, a method with hyper-parameters, and the seed in ``settings``; ``root`` does not change the numbers."""

    dataset: str
    method: str
    settings: Settings
    data: Mapping[str, Any] = field(default_factory=dict)
    hyper: Mapping[str, Any] = field(default_factory=dict)
    root: str | None = None

    @property
    def place(self) -> Path:
        """Folder below the results folder; data set and method are named with what was asked for beyond the defaults."""
        setting = f"-{self.data['setting']}" if "setting" in self.data else ""
        name = "-".join([self.method, *(f"{key}={value}" for key, value in self.hyper.items())])
        return Path(
            self.dataset + setting,
            name.replace("/", "_").replace(" ", ""),
            f"seed{self.settings.seed}",
        )

    @property
    def config(self) -> dict[str, Any]:
        """What goes into ``config.json``."""
        hyper = methods.create(self.method, **self.hyper).hyper
        config: dict[str, Any] = plain(
            {
                "dataset": self.dataset,
                "data": dict(self.data),
                "method": self.method,
                "hyper": hyper,
                "settings": asdict(self.settings),
            }
        )
        return config


def preset(name: str, dataset: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Data settings and training settings of a preset for a data set.

    Raises
    ------
    ValueError
        If there is no such data set or preset.
    """
    return datasets.get(dataset).preset(name)


def unfit(dataset: str) -> dict[str, str]:
    """Methods that are not defined for a data set, and why: as far as its record tells before it is loaded."""
    record = datasets.get(dataset)
    task, count = (
        "classification" if record.classes else "regression",
        len(record.modalities) or None,
    )
    return {
        name: f"{refusal} ({dataset})."
        for name in methods.available()
        if (refusal := methods.get(name).refusal(task, count))
    }


def plan(
    dataset: str,
    names: Sequence[str],
    seeds: Sequence[int],
    settings: Mapping[str, Any],
    data: Mapping[str, Any] | None = None,
    hyper: Mapping[str, Any] | None = None,
    grid: Mapping[str, Sequence[Any]] | None = None,
    root: str | None = None,
) -> list[Job]:
    """The jobs of a grid, ordered by seed.

    Parameters
    ----------
    dataset : str
    names : sequence of str
        Methods; ``"all"`` stands for every registered one that is not :func:`unfit`.
    seeds : sequence of int
        Each draws the data (subset, pairing, noise) and the start weights.
    settings : mapping
        Fields of :class:`mimo_sim.training.Settings` except the seed.
    data : mapping, optional
        Settings of the data set.
    hyper, grid : mapping, optional
        Hyper-parameters and lists of them to go through. A key such as ``"lam"`` is given to the one method that takes it; ``"mimo.lam"`` says which.

    Raises
    ------
    ValueError, TypeError
        For an unknown method or one that is not defined for the data set, a hyper-parameter that none of the methods or more than one of them takes, or a
        value outside its range.
    """
    refused = unfit(dataset)
    everyone = [name for name in methods.available() if name not in refused]
    chosen = list(
        dict.fromkeys(one for name in names for one in (everyone if name == "all" else [name]))
    )
    choices = {key: [value] for key, value in (hyper or {}).items()} | {
        key: list(values) for key, values in (grid or {}).items()
    }
    if twice := {*(hyper or {})} & {*(grid or {})}:
        raise ValueError(
            f"hyper-parameter {min(twice)!r} is given twice: as one value and as a grid."
        )
    for key, listed in choices.items():
        if any(value in listed[:i] for i, value in enumerate(listed)):
            raise ValueError(
                f"the grid of hyper-parameter {key!r} has a value twice. Got {listed!r}."
            )
    takers: dict[str, list[str]] = {key: [] for key in choices}
    jobs = []
    for name in chosen:
        if name in refused:
            raise ValueError(refused[name])
        allowed = methods.get(name).hyper_names()
        fitting = [
            key
            for key in choices
            if key.rpartition(".")[2] in allowed and key.rpartition(".")[0] in ("", name)
        ]
        mine = {key.rpartition(".")[2]: key for key in fitting}
        if len(mine) < len(fitting):
            raise ValueError(
                f"a hyper-parameter of {name!r} is given twice, among {', '.join(map(repr, fitting))}."
            )
        for key in mine.values():
            takers[key].append(name)
        for values in product(*(choices[key] for key in mine.values())):
            given = dict(zip(mine, values, strict=True))
            methods.create(name, **given)  # refuses bad values before anything runs
            jobs += [
                Job(dataset, name, Settings(**settings, seed=seed), data or {}, given, root)
                for seed in seeds
            ]
    for key, found in takers.items():
        if len(found) != 1:
            who = (
                f"{' and '.join(found)} take it: write {found[0]}.{key} or the like"
                if found
                else f"none of the methods {tuple(chosen)} takes it"
            )
            raise ValueError(f"hyper-parameter {key!r}: {who}.")
    return sorted(jobs, key=lambda job: job.settings.seed)


def pending(jobs: Sequence[Job], out: Path) -> list[Job]:
    """The jobs that have no result yet.

    Raises
    ------
    ValueError
        If a job's folder holds a run of another configuration, or two jobs have one folder.
    """
    places = [job.place for job in jobs]
    doubled = {str(place) for place in places if places.count(place) > 1}
    if doubled:
        raise ValueError(f"two runs would share a folder: {', '.join(sorted(doubled))}.")
    return [job for job in jobs if not Record(out / job.place, job.config).finished()]


def execute(
    jobs: Sequence[Job],
    out: str | Path,
    workers: int = 1,
    on_epochs: Callable[[int], None] = lambda _: None,
) -> list[tuple[Job, str]]:
    """Do all jobs that have no result yet, each on one CPU thread; results do not depend on the number of workers.

    Parameters
    ----------
    jobs : sequence of Job
    out : path
        Results folder.
    workers : int
        Processes. A worker that dies with its parent, and an interrupted run, continue from their checkpoints next time.
    on_epochs : function
        Called now and then with the number of epochs done since the last call.

    Returns
    -------
    list of (job, message)
        Those that failed: the others are done all the same.

    Raises
    ------
    ValueError
        For a folder with another configuration, or several workers for runs that have several devices themselves.
    """
    out = Path(out)
    todo = pending(jobs, out)
    if workers < 1:
        raise ValueError(f"`jobs` must be >= 1. Got {workers}.")
    if workers > 1 and any(job.settings.devices > 1 for job in todo):
        raise ValueError("runs with several devices need `jobs` = 1.")
    on_epochs(sum(job.settings.epochs for job in jobs) - sum(job.settings.epochs for job in todo))
    if min(workers, len(todo)) <= 1:
        with one_thread():
            return [(job, message) for job in todo if (message := _attempt(job, out, on_epochs))]
    return _execute_on_workers(todo, out, min(workers, len(todo)), on_epochs)


def run_job(job: Job, out: Path, on_epochs: Callable[[int], None] = lambda _: None) -> None:
    """Do one job, from its checkpoint where there is one."""
    dataset = _load(job.dataset, job.root, job.settings.seed, tuple(sorted(job.data.items())))
    options = asdict(job.settings)
    train(
        methods.create(job.method, **job.hyper),
        dataset,
        folder=out / job.place,
        config=job.config,
        on_epoch=on_epochs,
        **options,
    )


@lru_cache(maxsize=1)
def _load(name: str, root: str | None, seed: int, data: tuple[tuple[str, Any], ...]) -> Dataset:
    return datasets.load(name, root=root, seed=seed, **dict(data))


def _attempt(job: Job, out: Path, on_epochs: Callable[[int], None]) -> str:
    try:
        run_job(job, out, on_epochs)
    except Exception as error:  # one run's failure must not cost the others
        return f"{type(error).__name__}: {error}"
    return ""


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for a while, for this process and those it starts."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextmanager
def one_thread() -> Iterator[None]:
    """One CPU thread in this process and in those it starts: the same sums in the same order, whatever the machine."""
    threads = torch.get_num_threads()
    with _environment(
        dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    ):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


# ------------------------------------------------------------------------------------------ worker processes

_counter: Any = None  # epochs done by all workers, shared


def _start_worker(counter: Any) -> None:
    global _counter
    import signal

    _counter = counter
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, and ends its workers
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:  # a killed parent ends nobody: see to it here
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _count(epochs: int) -> None:
    with _counter.get_lock():
        _counter.value += epochs


def _prepare(job: Job) -> None:
    with suppress(Exception):  # the runs on these data will say so, the others go on
        _load(job.dataset, job.root, job.settings.seed, tuple(sorted(job.data.items())))


def _work(job: Job, out: Path) -> str:
    return _attempt(job, out, _count)


def _execute_on_workers(
    todo: Sequence[Job], out: Path, workers: int, on_epochs: Callable[[int], None]
) -> list[tuple[Job, str]]:
    context = multiprocessing.get_context("spawn")
    counter, seen, failures = context.Value("q", 0), 0, []
    others = {process.pid for process in multiprocessing.active_children()}
    with (
        one_thread(),
        _environment(KEEP_MEMORY),
        ProcessPoolExecutor(workers, context, _start_worker, (counter,)) as pool,
    ):
        try:
            distinct = {
                (job.dataset, job.root, job.settings.seed, tuple(sorted(job.data.items()))): job
                for job in todo
            }
            for future in [pool.submit(_prepare, job) for job in distinct.values()]:
                future.result()
            waiting: dict[Future[str], Job] = {pool.submit(_work, job, out): job for job in todo}
            while waiting:
                done, _ = wait(waiting, POLL_SECONDS, FIRST_COMPLETED)
                failures += [
                    (job, message)
                    for future in done
                    for job in [waiting.pop(future)]
                    if (message := future.result())
                ]
                now = int(counter.value)
                on_epochs(now - seen)
                seen = now
        except BrokenProcessPool:
            raise OSError(
                "a worker process died (out of memory?). Run the same command again: finished runs are kept, others continue."
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                if process.pid not in others:
                    process.terminate()
            raise
    return failures


# ------------------------------------------------------------------------------------------ records read back


@dataclass(frozen=True)
class Finished:
    """One finished run: ``label`` of data and method are its folder names."""

    dataset: str
    method: str
    seed: int
    result: dict[str, Any]
    folder: Path

    @property
    def shared(self) -> dict[str, Any]:
        """The part of the configuration that all seeds of a method have in common."""
        config: dict[str, Any] = self.result["config"]
        return config | {
            "settings": {key: value for key, value in config["settings"].items() if key != "seed"},
            "data": {
                key: value
                for key, value in config["data"].items()
                if key not in ("seed", "checksum")
            },
        }

    @property
    def values(self) -> dict[str, float]:
        """Test figures by name: ``accuracy``, ``probe/<modality>``, ``gap/probe``, ``contribution/zero_features/<modality>``, ``seconds``, ..."""
        return self.figures("test")

    def figures(self, split: str) -> dict[str, float]:
        """The same of one of the :data:`SPLITS`.

        Raises
        ------
        ValueError
            For another split.
        """
        if split not in SPLITS:
            raise ValueError(f"`split` must be one of {SPLITS}. Got {split!r}.")
        return {**_flat(self.result["metrics"][split]), "seconds": self.result["seconds"]}

    def table(self) -> dict[str, list[float]]:
        """Columns of ``epochs.csv``; nan where a row has no entry."""
        path = self.folder / TABLE
        if not path.is_file():
            raise _damaged(path, "missing")
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        if not rows:
            raise _damaged(path, "no rows")
        return {name: [float(row[name] or "nan") for row in rows] for name in rows[0]}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    found: dict[str, float] = {}
    for key, value in tree.items():
        path = key if key == "unimodal" else f"{prefix}{key}"
        found |= (
            _flat(value, "" if key == "unimodal" else f"{path}/")
            if isinstance(value, Mapping)
            else {path: float(value)}
        )
    return found


def read(out: str | Path, jobs: Sequence[Job] | None = None) -> list[Finished]:
    """All finished runs below a folder, or those of some jobs, sorted.

    Raises
    ------
    ValueError
        If there is none, or one is damaged; if two are of one data set, method and seed; if runs of one method differ in more than their seed.
    """
    top = Path(out).resolve()
    found = (
        sorted(top.glob(f"**/seed*/{RESULT}"))
        if jobs is None
        else [top / job.place / RESULT for job in jobs]
    )
    paths = [path for path in found if path.parent.name[4:].isdecimal() and path.is_file()]
    if not paths:
        raise ValueError(f"no finished run (.../seed*/{RESULT}) below {str(out)!r}.")
    runs: dict[tuple[str, str, int], Finished] = {}
    for path in paths:
        run = Finished(
            path.parts[-4], path.parts[-3], int(path.parent.name[4:]), _result(path), path.parent
        )
        other = runs.setdefault((run.dataset, run.method, run.seed), run)
        if other is not run:
            raise ValueError(
                f"{other.folder} and {run.folder} are the same data set, method and seed. Compare one of them at a time."
            )
    first: dict[tuple[str, str], Finished] = {}
    for run in runs.values():
        other = first.setdefault((run.dataset, run.method), run)
        if differing := differences(other.shared, run.shared):
            raise ValueError(
                f"{other.folder} and {run.folder} are not of one experiment: {'; '.join(differing)}. Compare one of them at a time."
            )
    return sorted(runs.values(), key=lambda run: (run.dataset, run.method, run.seed))


def _result(path: Path) -> dict[str, Any]:
    result = read_json(path)
    if missing := [
        key for key in ("config", "metrics", "definitions", "data", "seconds") if key not in result
    ]:
        raise _damaged(path, f"lacks {', '.join(missing)}")
    return result


def _damaged(path: Path, how: str) -> ValueError:
    return ValueError(f"{path} is damaged ({how}). Delete the folder {path.parent} and run again.")
