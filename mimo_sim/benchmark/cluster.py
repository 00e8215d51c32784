"""Jobs done by the workers of a dask cluster: the same records as on this machine.

A worker trains a run in the results folder, which all machines must share, so that an interrupted
run continues from its checkpoint wherever it goes on.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from mimo_sim import __version__
from mimo_sim.benchmark.jobs import Job
from mimo_sim.benchmark.one_job import attempt, data_key, one_thread, prepare_data
from mimo_sim.sweeps._backends import connected

MARK = ".cluster-"  # begins the name of a file by which workers see that the folder is shared


def execute_on_cluster(
    todo: Sequence[Job],
    out: Path,
    cluster: Any,
    workers: int | None,
    on_epochs: Callable[[int], None],
    say: bool = False,
) -> list[tuple[Job, str]]:
    """Do jobs on a cluster.

    Parameters
    ----------
    todo : sequence of Job
    out : Path
        Results folder, which the workers share.
    cluster : str or object of dask
        As :func:`mimo_sim.benchmark.execute`.
    workers : int or None
        Number of processes where `cluster` is ``"local"``.
    on_epochs : function
        Called with the number of epochs of every job that is over.
    say : bool
        Write a line on stderr for every job that is over.

    Returns
    -------
    list of (job, message)
        The jobs that failed, each with its error message.
    """
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    mark = out / f"{MARK}{uuid.uuid4().hex}"
    mark.touch()
    failures = []
    try:
        with connected(cluster, workers) as client:
            import distributed

            distinct = {data_key(job): job for job in todo}
            preparing = [client.submit(prepare_data, job, pure=False) for job in distinct.values()]
            distributed.wait(preparing)
            jobs = {
                client.submit(_work, job, out, mark, versions(), pure=False): job for job in todo
            }
            for future, message in distributed.as_completed(list(jobs), with_results=True):
                job = jobs[future]
                if message:
                    failures.append((job, message))
                on_epochs(job.settings.epochs)
                if say:
                    print(f"finished {out / job.place}", file=sys.stderr, flush=True)
    finally:
        mark.unlink(missing_ok=True)
    return failures


def versions() -> dict[str, str]:
    """What must be the same on all machines, or their numbers may differ."""
    return {"mimo_sim": __version__, "torch": torch.__version__}


def _work(job: Job, out: Path, mark: Path, wanted: dict[str, str]) -> str:
    """What a worker does: one job, whose error message it returns."""
    wrong = _whats_wrong(mark, wanted)
    if wrong:
        return wrong
    with one_thread():
        return attempt(job, out, lambda _: None)


def _whats_wrong(mark: Path, wanted: dict[str, str]) -> str:
    """Why a worker cannot do jobs; empty where it can."""
    import distributed

    worker = distributed.get_worker()
    if worker.state.nthreads != 1:  # torch has one random stream per process
        return (
            f"ValueError: workers must have one thread each, `dask worker --nthreads 1`. "
            f"{worker.address} has {worker.state.nthreads}."
        )
    if not mark.is_file():
        return (
            f"ValueError: `out` must be a folder that all machines share. "
            f"{worker.address} does not see {mark.parent}."
        )
    if versions() != wanted:
        return (
            f"ValueError: workers must have the versions of this machine, {wanted}. "
            f"{worker.address} has {versions()}."
        )
    return ""
