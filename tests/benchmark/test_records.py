"""Folders of runs: what is written, and what is refused, missing or damaged."""

from __future__ import annotations

import csv
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mimo_sim import benchmark, methods
from mimo_sim.errors import NonFiniteError
from mimo_sim.training import train
from mimo_sim.training.records import Record
from tests.benchmark.runs import small_plan
from tests.networks import SETTINGS, tiny

pytestmark = pytest.mark.usefixtures("tiny_data")


CONTENT = "config metrics definitions seconds data parameters versions device threads origin"


@pytest.fixture
def copied(results: Path, tmp_path: Path) -> Path:
    """A copy of the finished runs, to be damaged."""
    return Path(shutil.copytree(results, tmp_path, dirs_exist_ok=True))


def test_a_record_says_what_was_done(tmp_path: Path) -> None:
    result = train("mimo", tiny(), epochs=2, folder=tmp_path / "run", **SETTINGS)
    paths = {path.name: path for path in (tmp_path / "run").iterdir()}
    assert set(paths) == {"config.json", "epochs.csv", "result.json"}
    config = json.loads(paths["config.json"].read_text())
    found = json.loads(paths["result.json"].read_text())
    assert found["config"] == config
    assert (config["method"], config["dataset"]) == ("mimo", "tiny")
    assert config["hyper"]["lam"] == result.method.hyper["lam"]
    assert config["settings"]["epochs"] == 2
    assert set(found) == set(CONTENT.split())
    assert found["metrics"] == result.metrics
    assert found["versions"]["torch"] == torch.__version__
    assert found["parameters"] == sum(p.numel() for p in result.model.parameters())
    rows = list(csv.DictReader(paths["epochs.csv"].read_text().splitlines()))
    assert [{key: float(value) for key, value in row.items()} for row in rows] == result.table


def test_finished_and_foreign_folders_are_refused(tmp_path: Path) -> None:
    train("vanilla", tiny(), epochs=1, folder=tmp_path, **SETTINGS)
    with pytest.raises(ValueError, match="holds a finished run"):
        train("vanilla", tiny(), epochs=1, folder=tmp_path, **SETTINGS)
    words = r"another configuration: settings\.epochs is 1 there, 2 here"
    with pytest.raises(ValueError, match=words):
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
    words = r"another configuration: settings\.lr is 0\.05 there, 0\.1 here"
    with pytest.raises(ValueError, match=words):
        train("vanilla", tiny(), epochs=3, folder=tmp_path, **(SETTINGS | {"lr": 0.1}))


def test_a_run_without_the_test_split_can_be_read_and_is_not_compared_by_it(
    tmp_path: Path,
) -> None:
    (job,) = small_plan("vanilla", seeds=1)
    assert benchmark.execute([replace(job, measures_test=False)], tmp_path) == []
    (run,) = benchmark.read(tmp_path)
    assert "accuracy" in run.metrics("validation")
    with pytest.raises(ValueError, match="did not measure the test split"):
        run.metrics()


def test_infinite_settings_and_figures_that_are_not_numbers_can_be_stored(tmp_path: Path) -> None:
    folder = tmp_path / "tiny/greedy/seed0"
    made = methods.create("inforeg", threshold=math.inf)
    result = train(made, tiny(), epochs=1, folder=folder, **SETTINGS)
    stored = json.loads((folder / "result.json").read_text())
    assert float(stored["config"]["hyper"]["threshold"]) == math.inf
    result.metrics["test"]["rate"] = math.nan
    Record(tmp_path / "tiny/greedy/seed1", stored["config"]).close(result, {})
    first, second = benchmark.read(tmp_path)
    assert math.isnan(second.metrics()["rate"])
    assert second.metrics()["accuracy"] == first.metrics()["accuracy"]


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no finished run"):
        benchmark.read(tmp_path)


def test_two_runs_of_one_seed_are_never_taken_for_one(results: Path, tmp_path: Path) -> None:
    for name in "ab":
        shutil.copytree(results, tmp_path / name)
    words = r"a/digits/mimo/seed0 and .*b/digits/mimo/seed0 are the same data set, method and seed"
    with pytest.raises(ValueError, match=words):
        benchmark.read(tmp_path)


def test_runs_of_one_method_differ_in_their_seed_only(copied: Path) -> None:
    path = copied / "digits" / "mimo" / "seed1" / "result.json"
    content = json.loads(path.read_text())
    content["config"]["settings"]["epochs"] = 7
    path.write_text(json.dumps(content))
    words = r"seed0 and .*seed1 are not of one experiment: settings\.epochs is 2 there, 7 here"
    with pytest.raises(ValueError, match=words):
        benchmark.read(copied)


@pytest.mark.parametrize("content", ["", "{bad", "[]", "{}", "\x00"])
def test_a_damaged_result_is_named_with_what_to_do(content: str, copied: Path) -> None:
    (copied / "digits" / "mimo" / "seed1" / "result.json").write_text(content)
    words = r"mimo/seed1/result\.json is damaged .* Delete the folder"
    with pytest.raises(ValueError, match=words):
        benchmark.read(copied)
    if content != "{}":  # an object without entries is found when it is read
        with pytest.raises(ValueError, match=words):
            benchmark.execute(small_plan("vanilla", "mimo", "mmcosine", seeds=3), copied)


@pytest.mark.parametrize("content", ["", "{bad", "[]", "{}", "\x00"])
def test_a_damaged_configuration_is_named_with_what_to_do(content: str, copied: Path) -> None:
    (copied / "digits" / "mimo" / "seed1" / "config.json").write_text(content)
    words = r"mimo/seed1/config\.json is damaged .* Delete the folder"
    if content == "{}":
        words = "mimo/seed1 holds a run of another configuration"
    with pytest.raises(ValueError, match=words):
        benchmark.execute(small_plan("vanilla", "mimo", "mmcosine", seeds=3), copied)


@pytest.mark.parametrize("content", ["", None])
def test_a_damaged_table_is_named(content: str | None, copied: Path) -> None:
    path = copied / "digits" / "mimo" / "seed1" / "epochs.csv"
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    (run,) = (run for run in benchmark.read(copied) if (run.method, run.seed) == ("mimo", 1))
    with pytest.raises(ValueError, match=r"mimo/seed1/epochs\.csv is damaged .* Delete the folder"):
        run.table()


def test_names_come_from_the_true_folders_and_other_folders_are_left_alone(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mimo = copied / "digits" / "mimo"
    shutil.copytree(mimo / "seed1", mimo / "seed1_old")
    monkeypatch.chdir(mimo)
    found = {(run.dataset, run.method, run.seed) for run in benchmark.read(".")}
    assert found == {("digits", "mimo", seed) for seed in range(3)}
