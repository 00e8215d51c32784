"""Small grids of tiny runs, for the tests that need finished ones."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mimo_sim import benchmark, datasets
from mimo_sim.benchmark import one_job
from mimo_sim.cli import main
from mimo_sim.datasets._data import Dataset
from mimo_sim.training import origins
from tests.networks import SETTINGS, tiny

COMMITTED = origins.Origin("1.0", "a1b2c3d4e5f6", clean=True)


def small_plan(*names: str, seeds: int = 2, **more: Any) -> list[benchmark.Job]:
    settings = {"epochs": 2, **SETTINGS} | more.pop("settings", {})
    return benchmark.plan("digits", names, range(seeds), settings, **more)


def load_tiny(name: str, root: str | None = None, seed: int = 0, **settings: Any) -> Dataset:
    """Stands in for `datasets.load`: the same tiny data under every name."""
    return tiny(seed=seed)


@pytest.fixture
def tiny_data(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every data set is the tiny one, and runs are as if this checkout had no changes."""
    one_job._load_once.cache_clear()
    monkeypatch.setattr(datasets, "load", load_tiny)
    monkeypatch.setattr(origins, "here", lambda: COMMITTED)
    yield
    one_job._load_once.cache_clear()  # no other test finds these data under a true name


@cache
def _train(out: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        one_job._load_once.cache_clear()
        patch.setattr(datasets, "load", load_tiny)
        patch.setattr(origins, "here", lambda: COMMITTED)
        assert benchmark.execute(small_plan("vanilla", "mimo", "mmcosine", seeds=3), out) == []
    return out


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nine finished runs, trained once for all tests; do not write in it."""
    return _train(tmp_path_factory.getbasetemp() / "results")


def command(monkeypatch: pytest.MonkeyPatch, line: str, *more: object) -> int:
    """The exit code of `mimo-sim bench` with the words of `line`, then `more`."""
    words = [*line.split(), *map(str, more)]
    monkeypatch.setattr(sys, "argv", ["mimo-sim", "bench", *words])
    monkeypatch.setenv("COLUMNS", "250")
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)
