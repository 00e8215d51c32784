"""Folders of runs: what is written, what is refused, and what is said of folders that are not as they were written."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch

from mimo_sim import benchmark
from mimo_sim.errors import NonFiniteError
from mimo_sim.training import train
from tests.benchmark.runs import small_plan
from tests.networks import SETTINGS, tiny

pytestmark = pytest.mark.usefixtures("tiny_data")


def test_a_record_says_what_was_done(tmp_path: Path) -> None:
    result = train("mimo", tiny(), epochs=2, folder=tmp_path / "run", **SETTINGS)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "config.json",
        "epochs.csv",
        "result.json",
    ]
    config, found = (
        json.loads((tmp_path / "run" / name).read_text()) for name in ("config.json", "result.json")
    )
    assert found["config"] == config
    assert (
        config["method"],
        config["hyper"]["lam"],
        config["settings"]["epochs"],
        config["dataset"],
    ) == ("mimo", result.method.hyper["lam"], 2, "tiny")
    assert found["metrics"] == result.metrics
    assert set(found) == {
        "config",
        "metrics",
        "definitions",
        "seconds",
        "data",
        "parameters",
        "versions",
        "device",
        "threads",
        "git",
    }
    assert found["versions"]["torch"] == torch.__version__
    assert found["parameters"] == sum(p.numel() for p in result.model.parameters())
    with (tmp_path / "run" / "epochs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [{key: float(value) for key, value in row.items()} for row in rows] == result.table


def test_finished_and_foreign_folders_are_refused(tmp_path: Path) -> None:
    train("vanilla", tiny(), epochs=1, folder=tmp_path, **SETTINGS)
    with pytest.raises(ValueError, match="holds a finished run"):
        train("vanilla", tiny(), epochs=1, folder=tmp_path, **SETTINGS)
    with pytest.raises(
        ValueError, match=r"another configuration: settings\.epochs is 1 there, 2 here"
    ):
        train("vanilla", tiny(), epochs=2, folder=tmp_path, **SETTINGS)


def test_a_run_that_failed_before_its_first_checkpoint_can_be_tried_otherwise(
    tmp_path: Path,
) -> None:
    with pytest.raises(NonFiniteError, match="Lower `lr`"):
        train("vanilla", tiny(), epochs=1, folder=tmp_path, **(SETTINGS | {"lr": 1e12}))
    train("vanilla", tiny(), epochs=1, folder=tmp_path, **SETTINGS)
    assert json.loads((tmp_path / "config.json").read_text())["settings"]["lr"] == SETTINGS["lr"]


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path: Path) -> None:
    def stop(count: int) -> None:
        if count:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("vanilla", tiny(), epochs=3, folder=tmp_path, on_epoch=stop, **SETTINGS)
    with pytest.raises(
        ValueError, match=r"another configuration: settings\.lr is 0\.05 there, 0\.1 here"
    ):
        train("vanilla", tiny(), epochs=3, folder=tmp_path, **(SETTINGS | {"lr": 0.1}))


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no finished run"):
        benchmark.read(tmp_path)


def test_two_runs_of_one_seed_are_never_taken_for_one(results: Path, tmp_path: Path) -> None:
    for name in "ab":
        shutil.copytree(results, tmp_path / name)
    with pytest.raises(
        ValueError,
        match=r"a/digits/mimo/seed0 and .*b/digits/mimo/seed0 are the same data set, method and seed",
    ):
        benchmark.read(tmp_path)


def test_runs_of_one_method_differ_in_their_seed_only(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "digits" / "mimo" / "seed1" / "result.json"
    content = json.loads(path.read_text())
    content["config"]["settings"]["epochs"] = 7
    path.write_text(json.dumps(content))
    with pytest.raises(
        ValueError,
        match=r"seed0 and .*seed1 are not of one experiment: settings\.epochs is 2 there, 7 here",
    ):
        benchmark.read(tmp_path)


@pytest.mark.parametrize("content", ["", "{bad", "[]", "{}", "\x00"])
@pytest.mark.parametrize("name", ["result.json", "config.json"])
def test_damaged_files_are_named_with_what_to_do(
    name: str, content: str, results: Path, tmp_path: Path
) -> None:
    shutil.copytree(results, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "digits" / "mimo" / "seed1" / name
    path.write_text(content)
    jobs = small_plan("vanilla", "mimo", "mmcosine", seeds=3)
    if name == "config.json":
        with pytest.raises(
            ValueError,
            match=r"mimo/seed1(/config\.json is damaged .* Delete the folder| holds a run of another configuration)",
        ):
            benchmark.execute(jobs, tmp_path)
        return
    with pytest.raises(
        ValueError, match=r"mimo/seed1/result\.json is damaged .* Delete the folder"
    ):
        benchmark.read(tmp_path)
    if content != "{}":  # an object without entries is found when it is read
        with pytest.raises(
            ValueError, match=r"mimo/seed1/result\.json is damaged .* Delete the folder"
        ):
            benchmark.execute(jobs, tmp_path)


@pytest.mark.parametrize("content", ["", None])
def test_a_damaged_table_is_named(content: str | None, results: Path, tmp_path: Path) -> None:
    shutil.copytree(results, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "digits" / "mimo" / "seed1" / "epochs.csv"
    path.unlink() if content is None else path.write_text(content)
    (run,) = (run for run in benchmark.read(tmp_path) if (run.method, run.seed) == ("mimo", 1))
    with pytest.raises(ValueError, match=r"mimo/seed1/epochs\.csv is damaged .* Delete the folder"):
        run.table()


def test_names_come_from_the_true_folders_and_other_folders_are_left_alone(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(results, tmp_path, dirs_exist_ok=True)
    shutil.copytree(
        tmp_path / "digits" / "mimo" / "seed1", tmp_path / "digits" / "mimo" / "seed1_old"
    )
    monkeypatch.chdir(tmp_path / "digits" / "mimo")
    assert {(run.dataset, run.method, run.seed) for run in benchmark.read(".")} == {
        ("digits", "mimo", seed) for seed in range(3)
    }
