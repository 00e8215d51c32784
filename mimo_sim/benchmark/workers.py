"""Jobs done, in one process or in several: results do not depend on how many."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import torch

from mimo_sim import datasets, methods
from mimo_sim.benchmark.jobs import Job, pending
from mimo_sim.datasets._data import Dataset
from mimo_sim.training import train

POLL_SECONDS = 0.3
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
KEEP_MEMORY = {  # glibc, the C library: keep freed memory for the next step
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
}

Failures: TypeAlias = list[tuple[Job, str]]  # jobs that failed, each with its error message


def execute(
    jobs: Sequence[Job],
    out: str | Path,
    workers: int = 1,
    on_epochs: Callable[[int], None] = lambda _: None,
) -> list[tuple[Job, str]]:
    """Do all jobs that have no result yet, each on one CPU thread.

    A job that fails does not stop the others. A job that was interrupted continues from its
    checkpoint when `execute` is called again.

    Parameters
    ----------
    jobs : sequence of Job
        As :func:`plan` makes them.
    out : path
        Results folder.
    workers : int
        Number of processes, >= 1. Results do not depend on it.
    on_epochs : function
        Called now and then with the number of epochs done since the last call.

    Returns
    -------
    list of (job, message)
        The jobs that failed, each with its error message.

    Raises
    ------
    ValueError
        For a folder that holds a run of another configuration, or for several workers when a job
        uses several devices.
    OSError
        If a worker process died.
    """
    out = Path(out)
    todo = pending(jobs, out)
    if workers < 1:
        raise ValueError(f"`jobs` must be >= 1. Got {workers}.")
    if workers > 1 and any(job.settings.devices > 1 for job in todo):
        raise ValueError("runs with several devices need `jobs` = 1.")
    on_epochs(_num_epochs(jobs) - _num_epochs(todo))
    workers = min(workers, len(todo))
    if workers > 1:
        return _execute_on_workers(todo, out, workers, on_epochs)
    failures = []
    with one_thread():
        for job in todo:
            message = _attempt(job, out, on_epochs)
            if message:
                failures.append((job, message))
    return failures


def run_job(job: Job, out: Path, on_epochs: Callable[[int], None] = lambda _: None) -> None:
    """Do one job, from its checkpoint if there is one."""
    train(
        methods.create(job.method, **job.all_hyper),
        _load(job),
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
    with _environment(dict.fromkeys(THREAD_VARIABLES, "1")):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
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


def _num_epochs(jobs: Sequence[Job]) -> int:
    return sum(job.settings.epochs for job in jobs)


def _attempt(job: Job, out: Path, on_epochs: Callable[[int], None]) -> str:
    """Do one job; return its error message, empty if it went well."""
    try:
        run_job(job, out, on_epochs)
    except Exception as error:  # the other jobs are done all the same
        return f"{type(error).__name__}: {error}"
    return ""


# ---------------------------------------------------------------------------------- data of a job


def _data_key(job: Job) -> tuple[str, str | None, int, tuple[tuple[str, Any], ...]]:
    """What the data of a job depend on: name, folder, seed and settings of the data set."""
    return job.dataset, job.root, job.settings.seed, tuple(sorted(job.data.items()))


def _load(job: Job) -> Dataset:
    return _load_once(*_data_key(job))


@lru_cache(maxsize=1)
def _load_once(
    name: str, root: str | None, seed: int, data: tuple[tuple[str, Any], ...]
) -> Dataset:
    """The data set; kept, because jobs are ordered by seed and the next one often needs it."""
    return datasets.load(name, root=root, seed=seed, **dict(data))


# ------------------------------------------------------------------------------- worker processes

_counter: Any = None  # epochs done by all workers together; shared memory, set in each worker


def _start_worker(counter: Any) -> None:
    """Make a new worker process ready."""
    global _counter
    _counter = counter
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted and ends its workers
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    """End this worker when its parent ends: a parent that is killed cannot end its workers."""
    parent.join()
    os._exit(1)


def _count(epochs: int) -> None:
    with _counter.get_lock():
        _counter.value += epochs


def _prepare(job: Job) -> None:
    """Build the data of a job once, so that workers find them in the cache on disk."""
    with suppress(Exception):  # the jobs that need these data will report the error
        _load(job)


def _work(job: Job, out: Path) -> str:
    return _attempt(job, out, _count)


def _execute_on_workers(
    todo: Sequence[Job], out: Path, workers: int, on_epochs: Callable[[int], None]
) -> Failures:
    context = multiprocessing.get_context("spawn")
    counter = context.Value("q", 0)
    others = {process.pid for process in multiprocessing.active_children()}
    with (
        one_thread(),
        _environment(KEEP_MEMORY),
        ProcessPoolExecutor(workers, context, _start_worker, (counter,)) as pool,
    ):
        try:
            distinct_data = {_data_key(job): job for job in todo}
            for preparing in [pool.submit(_prepare, job) for job in distinct_data.values()]:
                preparing.result()
            futures = {pool.submit(_work, job, out): job for job in todo}
            return _collect(futures, counter, on_epochs)
        except BrokenProcessPool:
            raise OSError(
                "a worker process died (out of memory?). Run the same command again: "
                "finished runs are kept, others continue."
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                if process.pid not in others:
                    process.terminate()
            raise


def _collect(
    waiting: dict[Future[str], Job], counter: Any, on_epochs: Callable[[int], None]
) -> Failures:
    """Wait for all futures, report epochs meanwhile, and return what failed."""
    failures: Failures = []
    reported = 0
    while waiting:
        done, _ = wait(waiting, POLL_SECONDS, FIRST_COMPLETED)
        for future in done:
            job = waiting.pop(future)
            message = future.result()
            if message:
                failures.append((job, message))
        now = int(counter.value)
        on_epochs(now - reported)
        reported = now
    return failures
