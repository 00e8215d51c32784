"""Jobs done: on one process or several, each run on one CPU thread."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from mimo_sim import datasets, methods
from mimo_sim.benchmark.jobs import Job, pending
from mimo_sim.datasets._data import Dataset
from mimo_sim.training import train

POLL_SECONDS = 0.3
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
}  # glibc: give freed memory to the next step, not back


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
