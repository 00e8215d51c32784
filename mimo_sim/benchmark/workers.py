"""Jobs done, in one process or in several: results do not depend on how many."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeAlias

import torch

from mimo_sim.benchmark.cluster import execute_on_cluster
from mimo_sim.benchmark.jobs import Job, pending
from mimo_sim.benchmark.one_job import attempt, data_key, environment, one_thread, prepare_data
from mimo_sim.sweeps._arguments import check_cluster

POLL_SECONDS = 0.3
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
    cluster: Any = None,
    say: bool = False,
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
    cluster : str or object of dask, optional
        ``"tcp://host:port"`` of a scheduler, or a cluster; ``"local:2"`` starts two processes here.
        Its workers, of one thread each, do the jobs. They must share the folder `out`, and have the
        versions of mimo_sim and torch that are here. Results do not depend on it.
    say : bool
        Write a line on stderr for every run that starts; with a `cluster`, that is over.

    Returns
    -------
    list of (job, message)
        The jobs that failed, each with its error message.

    Raises
    ------
    ValueError
        For a folder that holds a run of another configuration, or for several workers or a cluster
        when a job uses several devices; for another text than these as `cluster`.
    OSError
        If a worker process died.
    """
    out = Path(out)
    todo = pending(jobs, out)
    if workers < 1:
        raise ValueError(f"`jobs` must be >= 1. Got {workers}.")
    check_cluster(cluster)
    if (workers > 1 or cluster is not None) and any(job.settings.devices > 1 for job in todo):
        raise ValueError("runs with several devices need `jobs` = 1 and no `cluster`.")
    on_epochs(_num_epochs(jobs) - _num_epochs(todo))
    if cluster is not None and todo:
        return execute_on_cluster(todo, out, cluster, workers, on_epochs, say)
    workers = min(workers, len(todo))
    if workers > 1:
        return _execute_on_workers(todo, out, workers, on_epochs, say)
    failures = []
    with one_thread():
        for job in todo:
            message = attempt(job, out, on_epochs, say)
            if message:
                failures.append((job, message))
    return failures


def _num_epochs(jobs: Sequence[Job]) -> int:
    return sum(job.settings.epochs for job in jobs)


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


def _work(job: Job, out: Path, say: bool) -> str:
    return attempt(job, out, _count, say)


def _execute_on_workers(
    todo: Sequence[Job], out: Path, workers: int, on_epochs: Callable[[int], None], say: bool
) -> Failures:
    context = multiprocessing.get_context("spawn")
    counter = context.Value("q", 0)
    others = {process.pid for process in multiprocessing.active_children()}
    with (
        one_thread(),
        environment(KEEP_MEMORY),
        ProcessPoolExecutor(workers, context, _start_worker, (counter,)) as pool,
    ):
        try:
            distinct_data = {data_key(job): job for job in todo}
            for preparing in [pool.submit(prepare_data, job) for job in distinct_data.values()]:
                preparing.result()
            futures = {pool.submit(_work, job, out, say): job for job in todo}
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
