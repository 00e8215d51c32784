"""Jobs on a dask cluster: the records of this machine, whoever made them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mimo_sim import benchmark
from mimo_sim.benchmark import cluster as on_cluster
from mimo_sim.benchmark import one_job
from tests.benchmark.runs import command, small_plan

distributed = pytest.importorskip("distributed")
UNEQUAL = ("seconds", "origin")  # of two records of one run


@contextmanager
def in_this_process(threads: int = 1) -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=threads,
        processes=False,
        dashboard_address=None,
        silence_logs="CRITICAL",
    ) as cluster:
        yield cluster


def records(out: Path) -> dict[str, Any]:
    found = {}
    for path in sorted(out.rglob("result.json")):
        result = json.loads(path.read_text())
        rows = (path.parent / "epochs.csv").read_text().splitlines()
        kept = [",".join(row.split(",")[:-1]) for row in rows]  # without the seconds
        assert rows[0].endswith(",seconds")
        result = {key: value for key, value in result.items() if key not in UNEQUAL}
        found[str(path.parent.relative_to(out))] = (result, kept)
    return found


@pytest.mark.usefixtures("tiny_data")
def test_a_cluster_gives_the_same_records(results: Path, tmp_path: Path) -> None:
    jobs, done = small_plan("vanilla", "mimo", "mmcosine", seeds=3), list[int]()
    with in_this_process() as cluster:
        assert benchmark.execute(jobs[:4], tmp_path, 1, done.append, cluster) == []
        assert len(records(tmp_path)) == 4
        assert benchmark.execute(jobs, tmp_path, 1, done.append, cluster) == []
    assert sum(done) == 2 * 4 + 2 * 9
    assert records(tmp_path) == records(results)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits"]  # no mark is left


@pytest.mark.usefixtures("tiny_data")
def test_a_failing_run_costs_no_other(tmp_path: Path) -> None:
    jobs = [*small_plan("vanilla", seeds=1, settings={"lr": 1e12}), *small_plan("mimo", seeds=1)]
    with in_this_process() as cluster:
        failures = benchmark.execute(jobs, tmp_path, cluster=cluster)
    assert [job.method for job, _ in failures] == ["vanilla"]
    assert failures[0][1].startswith("NonFiniteError: training diverged in epoch 0")
    assert [run.method for run in benchmark.read(tmp_path)] == ["mimo"]


@pytest.mark.usefixtures("tiny_data")
@pytest.mark.parametrize("wrong", ["threads", "versions", "folder"])
def test_workers_that_would_give_other_numbers_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    words = "workers must have one thread each"
    if wrong == "versions":
        told = iter([{"mimo_sim": "0.1"}])
        true = on_cluster.versions
        monkeypatch.setattr(on_cluster, "versions", lambda: next(told, true()))
        words = "workers must have the versions of this machine, {'mimo_sim': '0.1'}"
    elif wrong == "folder":
        monkeypatch.setattr(Path, "touch", lambda path: None)  # as on a machine that shares nothing
        words = "`out` must be a folder that all machines share"
    with in_this_process(2 if wrong == "threads" else 1) as cluster:
        ((_, message),) = benchmark.execute(small_plan("mimo", seeds=1), tmp_path, cluster=cluster)
    assert words in message
    assert records(tmp_path) == {}


@pytest.mark.usefixtures("tiny_data")
def test_bad_clusters_are_refused_before_any_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="`cluster` must be an address such as tcp://"):
        benchmark.execute(small_plan("mimo"), tmp_path, cluster="nowhere")
    words = "run --method mimo --epochs 1 --cluster local:many --out"
    assert command(monkeypatch, words, tmp_path) == 2
    assert "`cluster` must be an address such as tcp://" in capsys.readouterr().err
    twice = small_plan("mimo", settings={"devices": 2, "accelerator": "cpu"})
    with pytest.raises(ValueError, match="need `jobs` = 1 and no `cluster`"):
        benchmark.execute(twice, tmp_path, cluster="local:1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_command_on_two_processes_gives_the_same_as_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_job._load_once.cache_clear()
    words = "run --dataset digits --method vanilla --method mimo --seeds 2 --epochs 1 --width 8 -q"
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs="CRITICAL"
    ) as cluster:
        address = cluster.scheduler_address
        assert address.startswith("tcp://")
        there = tmp_path / "there"
        assert command(monkeypatch, words, "--cluster", address, "--out", there) == 0
    assert command(monkeypatch, words, "--jobs", 1, "--out", tmp_path / "here") == 0
    assert len(records(tmp_path / "here")) == 4
    assert records(tmp_path / "there") == records(tmp_path / "here")
