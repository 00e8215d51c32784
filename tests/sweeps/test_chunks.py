"""Chunks, threads, processes and interruptions leave no trace in the result."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import mimo_sim as ms
from mimo_sim.generators import scalar_pair
from mimo_sim.sweeps import sweep
from tests.sweeps.designs import GRID, SETTINGS, interrupted


@pytest.mark.parametrize(("chunk", "workers"), [(1, 1), (5, 2), (7, 1), (24, 2), (100, None)])
def test_chunks_and_threads_leave_no_trace(
    reference: xr.Dataset, chunk: int, workers: int | None
) -> None:
    assert sweep("scalar-pair", GRID, **SETTINGS, chunk=chunk, workers=workers).identical(reference)


def test_processes_give_the_same(reference: xr.Dataset) -> None:
    assert sweep(
        "scalar-pair", GRID, **SETTINGS, chunk=5, backend="processes", workers=2
    ).identical(reference)


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_gives_the_same(
    reference: xr.Dataset, tmp_path: Path
) -> None:
    distributed = pytest.importorskip("distributed")
    out, killed = tmp_path / "sweep.nc", []

    def kill(pid: int) -> None:
        folder = tmp_path / "sweep.nc.chunks"
        while not list(folder.glob("[0-9]*.chunk")):
            time.sleep(0.001)
        os.kill(pid, signal.SIGKILL)
        killed.append(len(list(folder.glob("[0-9]*.chunk"))))

    axes, options = GRID | {"rho": np.linspace(-0.8, 0.8, 9)}, SETTINGS | {"steps": 5_000}
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs="CRITICAL"
    ) as cluster:
        victim = cluster.workers[0].pid
        killer = threading.Thread(target=kill, args=(victim,))
        killer.start()
        found = sweep(
            "scalar-pair",
            axes,
            **options,
            out=out,
            chunk=2,
            backend="dask",
            cluster=cluster.scheduler_address,
        )
        killer.join()
        assert victim not in [worker.pid for worker in cluster.workers.values()]
    assert 0 < killed[0] < 36  # midway
    assert found.identical(sweep("scalar-pair", axes, **options))
    assert ms.load(out).identical(found)


@pytest.mark.slow
def test_a_lost_process_is_an_error_that_says_how_to_go_on(tmp_path: Path) -> None:
    axes = {"rho": [0.0, 0.1, 0.2], "parent": os.getpid()}
    with pytest.raises(ChildProcessError, match="ended unexpectedly") as raised:
        sweep(
            _suicidal,
            axes,
            steps=2,
            step_size=1e-3,
            backend="processes",
            workers=2,
            chunk=1,
            out=tmp_path / "sweep.nc",
        )
    assert "of 3 chunks are kept in" in raised.value.__notes__[0]


def _suicidal(rho: float, parent: int) -> ms.LateFusionProblem:
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return scalar_pair(rho=rho)


def test_an_interrupted_sweep_computes_only_what_is_missing(
    reference: xr.Dataset, tmp_path: Path, computed: list[int]
) -> None:
    out = tmp_path / "deep" / "sweep.nc"
    stopped = interrupted(2, KeyboardInterrupt(), out=out, chunk=5)
    assert stopped.__notes__ == [
        f"2 of 5 chunks are kept in {out}.chunks; the same call continues from there."
    ]
    assert not out.exists()
    result = sweep("scalar-pair", GRID, **SETTINGS, out=out, chunk=5)
    assert computed == [2, 3, 4]
    assert result.identical(reference)
    assert ms.load(out).identical(reference)
    assert [path.name for path in out.parent.iterdir()] == ["sweep.nc"]
    again = sweep("scalar-pair", GRID, **SETTINGS, out=out, chunk=5)
    assert computed == [2, 3, 4]  # a finished sweep is read, not computed
    assert again.identical(reference)


def test_the_file_is_the_same_whatever_happened(tmp_path: Path) -> None:
    sweep("scalar-pair", GRID, **SETTINGS, out=tmp_path / "whole.nc")
    for after in (0, 3):
        interrupted(after, OSError("No space left on device"), out=tmp_path / "parts.nc", chunk=4)
    sweep("scalar-pair", GRID, **SETTINGS, out=tmp_path / "parts.nc", chunk=4, workers=2)
    assert (tmp_path / "whole.nc").read_bytes() == (tmp_path / "parts.nc").read_bytes()


def _emptied(content: bytes) -> bytes:
    return b""


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flipped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("damage", [_emptied, _cut, _flipped])
def test_a_damaged_chunk_is_computed_again(
    reference: xr.Dataset, tmp_path: Path, computed: list[int], damage: Callable[[bytes], bytes]
) -> None:
    interrupted(3, KeyboardInterrupt(), out=tmp_path / "sweep.nc", chunk=6)
    chunk = tmp_path / "sweep.nc.chunks" / "1.chunk"
    chunk.write_bytes(damage(chunk.read_bytes()))
    assert sweep("scalar-pair", GRID, **SETTINGS, out=tmp_path / "sweep.nc", chunk=6).identical(
        reference
    )
    assert computed == [1, 3]


def test_a_sweep_killed_before_its_first_chunk_starts_again(
    reference: xr.Dataset, tmp_path: Path
) -> None:
    folder = tmp_path / "sweep.nc.chunks"
    folder.mkdir()
    (folder / ".design.1.part.json").write_text('{"pro')
    assert sweep("scalar-pair", GRID, **SETTINGS, out=tmp_path / "sweep.nc").identical(reference)
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.nc"]


def test_the_progress_bar_says_how_fast(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "150")
    sweep("scalar-pair", GRID, **SETTINGS, chunk=6, progress=True)
    shown = capsys.readouterr()
    assert "run-steps/s" in shown.err
    assert "24/24" in shown.err
    assert shown.out == ""
