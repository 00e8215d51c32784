"""Where chunks are computed. A backend takes chunks and yields their results in any order."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any, TypeAlias

from mimo_sim._extras import explained
from mimo_sim.sweeps._design import Columns
from mimo_sim.sweeps._recipe import Part, Recipe, compute

Chunks: TypeAlias = Iterator[tuple[int, Columns]]
Results: TypeAlias = Generator[tuple[int, Part], None, None]
Backend: TypeAlias = Callable[[Recipe, Chunks, int | None, Any], Results]


def _in_threads(recipe: Recipe, chunks: Chunks, workers: int | None, _: Any) -> Results:
    for index, columns in chunks:
        yield compute(recipe, index, columns, workers)


def _in_processes(recipe: Recipe, chunks: Chunks, workers: int | None, _: Any) -> Results:
    joblib = _extra("joblib")
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    try:
        yield from joblib.Parallel(workers or -1, return_as="generator_unordered")(
            joblib.delayed(compute)(recipe, *chunk) for chunk in chunks
        )
    except TerminatedWorkerError:
        raise ChildProcessError(
            "A worker process ended unexpectedly (killed, or out of memory)."
        ) from None


def _in_dask(recipe: Recipe, chunks: Chunks, workers: int | None, cluster: Any) -> Results:
    distributed = _extra("distributed")
    with connected(cluster, workers) as client:
        # Enough to keep all workers busy, and few enough results and parameters on their way.
        ahead = 4 + 2 * sum(client.nthreads().values())
        running = distributed.as_completed(
            [client.submit(compute, recipe, *chunk, pure=False) for chunk in islice(chunks, ahead)],
            with_results=True,
        )
        for _, result in running:
            yield result
            for chunk in islice(chunks, 1):
                running.add(client.submit(compute, recipe, *chunk, pure=False))


@contextmanager
def connected(cluster: Any, workers: int | None = None) -> Iterator[Any]:
    """A client of dask.

    Parameters
    ----------
    cluster : str or object of dask
        ``"tcp://host:port"`` of a scheduler, or a cluster; ``"local"`` and ``"local:2"`` start
        processes here.
    workers : int, optional
        Number of processes for ``"local"``; by default as many as dask thinks good.
    """
    distributed = _extra("distributed")
    with ExitStack() as stack:
        if isinstance(cluster, str) and cluster.partition(":")[0] == "local":
            count = cluster.partition(":")[2] or workers
            cluster = stack.enter_context(
                distributed.LocalCluster(
                    n_workers=None if count is None else int(count),
                    threads_per_worker=1,
                    dashboard_address=None,
                    silence_logs="ERROR",
                )
            )
        yield stack.enter_context(distributed.Client(cluster))


def _extra(module: str) -> Any:
    with explained():
        return importlib.import_module(module)


BACKENDS: dict[str, Backend] = {
    "threads": _in_threads,
    "processes": _in_processes,
    "dask": _in_dask,
}
