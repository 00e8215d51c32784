"""Batches made ahead: the same ones in the same order, errors on the thread that asked."""

from __future__ import annotations

import random
import threading
import time

import pytest

from mimo_sim.training._ahead import made_ahead


def test_order_and_results_do_not_depend_on_threads() -> None:
    def slowly(task: int) -> int:
        time.sleep(random.Random(task).uniform(0, 0.002))
        return task**2

    expected = [task**2 for task in range(40)]
    for workers, depth in ((1, 1), (2, 4), (4, 3)):
        assert list(made_ahead(range(40), slowly, workers, depth)) == expected
    assert list(made_ahead([], slowly)) == []


def test_no_more_is_made_than_the_depth() -> None:
    started: list[int] = []

    def noted(task: int) -> int:
        started.append(task)
        return task

    results = made_ahead(range(100), noted, depth=3)
    assert next(results) == 0
    time.sleep(0.01)
    assert len(started) <= 3
    results.close()  # type: ignore[attr-defined]
    assert len(started) <= 3
    assert threading.active_count() < 10


def test_an_error_reaches_the_one_who_asks() -> None:
    def broken(task: int) -> int:
        if task == 2:
            raise OSError("the disk")
        return task

    results = made_ahead(range(5), broken)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(OSError, match="the disk"):
        next(results)
