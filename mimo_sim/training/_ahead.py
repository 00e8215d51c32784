"""Batches made ahead of time, on threads of their own, and given in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Task = TypeVar("Task")
Made = TypeVar("Made")

WORKERS = 2  # threads that read
DEPTH = 4  # batches that are read or wait, at most


def made_ahead(
    tasks: Iterable[Task],
    make: Callable[[Task], Made],
    workers: int = WORKERS,
    depth: int = DEPTH,
) -> Iterator[Made]:
    """``map(make, tasks)``, but the next results are made while the last one is used.

    The order and the results do not depend on `workers` or `depth`.

    Parameters
    ----------
    tasks : iterable
        Taken one by one, on the thread that asks.
    make : callable
        Must be safe on several threads.
    workers, depth : int
        Threads, and results that are in the making or wait, at most.
    """
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for task in tasks:
                waiting.append(pool.submit(make, task))
                if len(waiting) >= depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
