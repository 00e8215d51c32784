"""Jobs on one process and on several: finished runs are kept, failures cost no other run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mimo_sim import benchmark
from mimo_sim.benchmark import one_job
from tests.benchmark.runs import command, small_plan

pytestmark = pytest.mark.usefixtures("tiny_data")


def test_finished_runs_are_kept_and_other_configurations_refused(results: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in results.rglob("result.json")}
    jobs, done = small_plan("vanilla", "mimo", "mmcosine", seeds=3), list[int]()
    assert benchmark.execute(jobs, results, on_epochs=done.append) == []
    assert sum(done) == 9 * 2
    assert before == {path: path.stat().st_mtime_ns for path in results.rglob("result.json")}
    words = r"another configuration: settings\.width is 8 there, 4 here"
    with pytest.raises(ValueError, match=words):
        benchmark.execute(small_plan("vanilla", settings={"width": 4}), results)


def test_one_failing_run_costs_no_other(tmp_path: Path) -> None:
    jobs = [*small_plan("vanilla", seeds=1, settings={"lr": 1e12}), *small_plan("mimo", seeds=1)]
    failures = benchmark.execute(jobs, tmp_path)
    assert [job.method for job, _ in failures] == ["vanilla"]
    assert failures[0][1].startswith("NonFiniteError: training diverged in epoch 0")
    assert [run.method for run in benchmark.read(tmp_path)] == ["mimo"]


def test_every_run_that_starts_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = small_plan("vanilla", "mimo", seeds=1)
    assert benchmark.execute(jobs[:1], tmp_path) == []
    assert capsys.readouterr().err == ""
    assert benchmark.execute(jobs, tmp_path, say=True) == []
    assert capsys.readouterr().err == f"started {tmp_path / 'digits/mimo/seed0'}\n"
    words = "run --method mmcosine --epochs 1 --jobs 1 --out"
    assert command(monkeypatch, words, tmp_path) == 0  # stderr is no terminal here
    assert capsys.readouterr().err == f"started {tmp_path / 'digits/mmcosine/seed0'}\n"
    assert command(monkeypatch, words.replace("mmcosine", "unimodal -q"), tmp_path) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_data_that_cannot_be_loaded_cost_no_other_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # workers load the true data
    names, settings = ["vanilla", "mimo"], {"epochs": 1, "width": 8}
    bad = benchmark.plan("synthetic", names, [0], settings, {"problem": "nowhere.json"})
    good = benchmark.plan("digits", names, [0], settings)
    failures = benchmark.execute([*bad, *good], tmp_path, 2)
    assert {str(job.place) for job, _ in failures} == {
        "synthetic/vanilla/seed0",
        "synthetic/mimo/seed0",
    }
    assert all(message.startswith("FileNotFoundError: ") for _, message in failures)
    assert [run.method for run in benchmark.read(tmp_path)] == ["mimo", "vanilla"]


@pytest.mark.slow
def test_workers_give_the_same_results_as_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # workers load the true data
    one_job._load_once.cache_clear()
    settings = {"epochs": 1, "width": 8, "accelerator": "cpu"}
    jobs = benchmark.plan("digits", ["vanilla", "ogm_ge"], [0, 1], settings)
    done: list[int] = []
    assert benchmark.execute(jobs, tmp_path / "two", 2, done.append) == []
    assert benchmark.execute(jobs, tmp_path / "one", 1) == []
    assert sum(done) == 4
    for job in jobs:
        one, two = (
            json.loads((tmp_path / folder / job.place / "result.json").read_text())
            for folder in ("one", "two")
        )
        assert one["metrics"] == two["metrics"]
