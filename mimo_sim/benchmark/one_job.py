"""One job done in this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from mimo_sim import datasets, methods
from mimo_sim.benchmark.jobs import Job
from mimo_sim.datasets._data import Dataset
from mimo_sim.training import train
from mimo_sim.training.records import Record

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def run_job(job: Job, out: Path, on_epochs: Callable[[int], None] = lambda _: None) -> None:
    """Do one job, from its checkpoint if there is one; nothing if another process has done it."""
    if Record(out / job.place, job.config).finished():
        return
    train(
        methods.create(job.method, **job.all_hyper),
        load_data(job),
        folder=out / job.place,
        config=job.config,
        on_epoch=on_epochs,
        measure_test=job.measures_test,
        **asdict(job.settings),
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """One CPU thread, in this process and in those it starts.

    So sums are taken in the same order on every machine.
    """
    threads = torch.get_num_threads()
    with environment(dict.fromkeys(THREAD_VARIABLES, "1")):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


@contextmanager
def environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for the duration of a block."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def attempt(job: Job, out: Path, on_epochs: Callable[[int], None], say: bool = False) -> str:
    """Do one job; return its error message, empty if it went well.

    With `say` a line on stderr names the folder of the run when it begins.
    """
    if say:
        print(f"started {out / job.place}", file=sys.stderr, flush=True)
    try:
        run_job(job, out, on_epochs)
    except Exception as error:  # the other jobs are done all the same
        return f"{type(error).__name__}: {error}"
    return ""


def data_key(job: Job) -> tuple[str, str | None, int, tuple[tuple[str, Any], ...]]:
    """What the data of a job depend on: name, folder, seed and settings of the data set."""
    return job.dataset, job.root, job.settings.seed, tuple(sorted(job.data.items()))


def load_data(job: Job) -> Dataset:
    """The data of a job."""
    return _load_once(*data_key(job))


@lru_cache(maxsize=1)
def _load_once(
    name: str, root: str | None, seed: int, data: tuple[tuple[str, Any], ...]
) -> Dataset:
    """The data set; kept, because jobs are ordered by seed and the next one often needs it."""
    return datasets.load(name, root=root, seed=seed, **dict(data))


def prepare_data(job: Job) -> None:
    """Build the data of a job once, so that workers find them in the cache on disk."""
    with suppress(Exception):  # the jobs that need these data will report the error
        load_data(job)
