"""What can go wrong around a search: other code, other processes, damaged files, failed trials."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mimo_sim import benchmark, datasets
from mimo_sim.benchmark import comparison, one_job, packed
from mimo_sim.benchmark.packed import Searched
from mimo_sim.errors import TrialError
from mimo_sim.training import origins
from mimo_sim.training.records import Record
from tests.benchmark.runs import command, small_plan

pytestmark = pytest.mark.usefixtures("tiny_data")


class KilledError(BaseException):
    """Nothing catches it."""


def searches(*names: str, **more: Any) -> list[benchmark.Search]:
    return [benchmark.Search(job, 2, **more) for job in small_plan(*names, seeds=1)]


def test_trials_of_different_code_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that other code goes on with is not the search of either."""

    def kill(done: int) -> None:
        if (tmp_path / "a/trials/digits/vanilla-tuned.json").is_file():
            raise KilledError

    assert benchmark.tune(searches("vanilla"), [7], tmp_path / "b") == []
    runs = benchmark.read(tmp_path / "b")
    assert [line for line in comparison.caveats(runs) if "trials of" in line] == []
    with pytest.raises(KilledError):
        benchmark.tune(searches("vanilla"), [7], tmp_path / "a", 1, kill)
    monkeypatch.setattr(origins, "here", lambda: origins.Origin("1.0", "ffff", clean=False))
    assert benchmark.tune(searches("vanilla"), [7], tmp_path / "a") == []
    told = "digits: trials of vanilla-tuned come from a1b2c3d4e5f6 and ffff-dirty"
    assert told in comparison.caveats(benchmark.read(tmp_path / "a"))


def test_what_a_killed_process_left_is_no_search_and_harms_no_stored_file(tmp_path: Path) -> None:
    assert benchmark.tune(searches("vanilla"), [7], tmp_path / "a") == []
    place, file = tmp_path / "a/trials/digits", tmp_path / "race.csv.gz"
    (place / ".mimo-tuned.4711.part.json").write_text('{"search": {}, "trials": []}')
    (place / ".umt-tuned.4711.part.json").write_text('{"sea')
    benchmark.pack(tmp_path / "a", file)
    assert [one.method for one in packed.load(file).searches] == ["vanilla-tuned"]
    content = packed.load(file).searches[0].content
    before = file.read_bytes()
    with pytest.raises(ValueError, match="is not the name of a folder"):
        packed.save([], file, [Searched("digits", ".mimo", content)])
    assert file.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "race.csv.gz"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is damaged"),
        ("{}", "no search, or no list of trials"),
        ('{"search": {}, "trials": [{}]}', "trial 0 has no values"),
        ('{"search": {}, "trials": [{"values": {}}]}', "trial 0 has no score"),
        ("[" * 10_000, "is damaged"),
    ],
)
def test_a_damaged_file_of_trials_is_named_and_no_other_is_to_be_deleted(
    content: str, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "trials/digits/vanilla-tuned.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    for use in (
        lambda: benchmark.tune(searches("vanilla"), [7], tmp_path),
        lambda: benchmark.pack(tmp_path, tmp_path / "race.csv.gz"),
    ):
        with pytest.raises(ValueError, match=words) as refused:
            use()
        assert str(path) in str(refused.value)
        assert str(refused.value).endswith("Delete this file and tune again.")


def test_a_trial_that_fails_ends_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise FileNotFoundError("there are no raw files in /nowhere")

    monkeypatch.setattr(datasets, "load", missing)
    with pytest.raises(TrialError, match=r"trial 0 failed: .*no raw files"):
        benchmark.tune(searches("vanilla"), [7], tmp_path / "a")
    options = "tune --method vanilla --trials 1 --epochs 1 --jobs 1"
    assert command(monkeypatch, f"{options} --out {tmp_path / 'b'}") == 2
    error = capsys.readouterr().err
    assert "mimo-sim: error: trial 0 failed" in error
    assert "Traceback" not in error


def test_fresh_runs_that_fail_are_told_though_there_is_nothing_to_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load = datasets.load

    def only_for_trials(name: str, seed: int = 0, **more: Any) -> Any:
        if seed:
            raise FileNotFoundError("no raw files")
        return load(name, seed=seed, **more)

    monkeypatch.setattr(datasets, "load", only_for_trials)
    options = "tune --method vanilla --trials 1 --seeds 1 --epochs 1 --width 8 --jobs 1"
    assert command(monkeypatch, f"{options} --out {tmp_path}") == 2
    assert "no raw files" in capsys.readouterr().err


def test_fresh_runs_of_another_configuration_are_refused_before_the_search(tmp_path: Path) -> None:
    (other,) = small_plan("vanilla", seeds=1, settings={"lr": 0.5})
    other = replace(other, settings=replace(other.settings, seed=7))
    assert benchmark.execute([other], tmp_path) == []
    with pytest.raises(ValueError, match=r"another configuration: settings\.lr is 0\.5 there"):
        benchmark.tune(searches("vanilla"), [7], tmp_path)
    assert not (tmp_path / "trials").exists()


def test_a_run_that_another_process_finished_is_no_failure(tmp_path: Path) -> None:
    (job,) = small_plan("vanilla", seeds=1)
    one_job.run_job(job, tmp_path)
    before = (tmp_path / job.place / "result.json").read_bytes()
    assert one_job.attempt(job, tmp_path, lambda _: None) == ""
    assert (tmp_path / job.place / "result.json").read_bytes() == before


def test_files_that_a_living_process_writes_are_left_alone(tmp_path: Path) -> None:
    living, dead = (tmp_path / f".config.{pid}.part.json" for pid in (os.getppid(), 2**22 + 1))
    living.write_text("")
    dead.write_text("")
    Record(tmp_path, {}).open()
    assert living.is_file()
    assert not dead.exists()


def test_the_words_of_a_command_make_no_other_search(tmp_path: Path) -> None:
    """``--width 64`` where 64 is the preset's asks for the same."""
    assert benchmark.tune(searches("vanilla", command="one"), [7], tmp_path) == []
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    assert benchmark.tune(searches("vanilla", command="other"), [7], tmp_path) == []
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before
    assert benchmark.tune(searches("vanilla", command="other"), [7, 8], tmp_path) == []
    assert len(benchmark.read(tmp_path)) == 4
    record = json.loads((tmp_path / "digits/vanilla-tuned/seed8/config.json").read_text())
    assert record["tuning"]["command"] == "other"


@pytest.mark.parametrize("option", ["--trials", "--trial-seeds", "--seeds"])
def test_counts_that_fill_the_memory_are_refused(
    option: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(monkeypatch, f"tune {option} 1000000000 --out {tmp_path}") == 2
    assert f"`{option}` must be" in capsys.readouterr().err


def test_a_setting_stands_once_in_the_recorded_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = "--method vanilla --trials 1 --seeds 1 --epochs 1 --width 8 --jobs 1 --quiet"
    words = f"tune --dataset avmnist --data setting=B --lr 0.0123456789 {options}"
    assert command(monkeypatch, f"{words} --out {tmp_path}") == 0
    run = benchmark.read(tmp_path)[-1]
    said = run.result["config"]["tuning"]["command"]
    assert "--setting B" in said
    assert "setting=B" not in said
    assert "--lr 0.0123456789" in said
