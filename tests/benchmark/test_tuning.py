"""Tuning: equal budgets, choices on validation only, and a killed search that goes on alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mimo_sim import benchmark, methods
from mimo_sim.benchmark import comparison, one_job, tables, tuning
from mimo_sim.benchmark.remade import command_of
from mimo_sim.benchmark.search import Search
from mimo_sim.benchmark.trials import Trials
from mimo_sim.benchmark.wording import OF_TRAINING
from mimo_sim.datasets._data import Split
from mimo_sim.training.loop import TrainingRun
from tests.benchmark.runs import command, small_plan
from tests.networks import tiny

pytestmark = pytest.mark.usefixtures("tiny_data")
FRESH = (7, 8)


class KilledError(BaseException):
    """Nothing catches it: what is on disk is what a killed process leaves."""


def searches(
    *names: str, trials: int = 3, fusion: str = "late", **more: Any
) -> list[benchmark.Search]:
    plan = small_plan(*names, seeds=1, settings={"fusion": fusion})
    return [benchmark.Search(job, trials, **more) for job in plan]


def stored(out: Path) -> dict[str, Any]:
    return {
        path.stem: json.loads(path.read_text()) for path in (out / "trials").glob("digits/*.json")
    }


@pytest.fixture(scope="module")
def raced(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """A finished race of three methods, run at the first call."""
    out = tmp_path_factory.mktemp("race")

    def run() -> Path:
        if not (out / "trials").is_dir():
            assert benchmark.tune(searches("vanilla", "mimo", "umt"), FRESH, out) == []
        return out

    return run


def test_every_method_says_where_to_look_and_its_own_class_takes_it() -> None:
    for name in methods.available():
        (search,) = searches(name, fusion=methods.get(name).default_fusion())
        assert set(search.space) - set(OF_TRAINING) == set(methods.get(name).search)
        for key, (kind, *values) in methods.get(name).search.items():
            default = methods.create(name).hyper[key]
            inside = default in values if kind == "choice" else values[0] <= default <= values[1]
            assert inside, (name, key)
            for value in values:
                assert methods.create(name, **{key: value}).hyper[key] == value


def test_budgets_are_equal_and_stand_in_the_records(raced: Callable[[], Path]) -> None:
    out = raced()
    trials = stored(out)
    assert set(trials) == {"vanilla-tuned", "mimo-tuned", "umt-tuned"}
    for search in searches("vanilla", "mimo", "umt"):
        found = trials[f"{search.job.method}-tuned"]["trials"]
        assert len(found) == 3
        assert found[0]["values"] == search.defaults
        assert len({json.dumps(trial["values"]) for trial in found}) == 3
        for trial in found:
            for key, (_, low, high) in search.space.items():
                assert low <= trial["values"][key] <= high
    runs = benchmark.read(out)
    assert {(run.method, run.seed) for run in runs} == {
        (f"{name}{kind}", seed)
        for name in ("vanilla", "mimo", "umt")
        for kind in ("", "-tuned")
        for seed in FRESH
    }
    for run in runs:
        about = run.result["config"].get("tuning")
        assert (about is None) == ("tuned" not in run.method)
        if about:
            found = trials[run.method]["trials"]
            scores = [trial["score"] for trial in found]
            assert about["trials"] == 3
            assert about["trial_seeds"] == [0]
            assert about["score"] == max(scores)
            assert about["values"] == found[scores.index(max(scores))]["values"]
            config = run.result["config"]
            for key, value in about["values"].items():
                assert (config["settings"] | config["hyper"])[key] == value
    assert comparison.unequal_settings(runs) == []
    assert comparison.unequal_budgets(runs) == []


def test_scores_are_those_of_the_validation_split(
    raced: Callable[[], Path], tmp_path: Path
) -> None:
    found = stored(raced())["mimo-tuned"]["trials"]
    (search,) = searches("mimo")
    for trial in found:
        (tmp_path / "again").mkdir(exist_ok=True)
        job = search.trial(trial["values"], 0, 0)
        place = tmp_path / str(found.index(trial))
        assert benchmark.execute([job], place) == []
        (run,) = benchmark.read(place)
        assert run.metrics("validation")["accuracy"] == trial["score"]


def test_no_trial_measures_the_test_split(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[tuple[bool, bool]] = []
    measured = TrainingRun.test

    def watched(run: TrainingRun, split: Split | None) -> dict[str, Any]:
        found = measured(run, split)
        seen.append(("test" in found, "probe" in found["validation"]["unimodal"]))
        return found

    monkeypatch.setattr(TrainingRun, "test", watched)
    assert benchmark.tune(searches("vanilla", "mimo", trials=2), (7,), tmp_path) == []
    trials, fresh = seen[:4], seen[4:]
    assert trials == [(False, False)] * 4
    assert fresh == [(True, True)] * 4
    (search,) = searches("mimo")
    job = search.trial(search.defaults, 0, 0)
    other = replace(tiny(), test=tiny(seed=5).test)
    monkeypatch.setattr(one_job, "load_data", lambda job: other)
    assert benchmark.execute([job], tmp_path / "a") == []
    (run,) = benchmark.read(tmp_path / "a")
    assert set(run.result["metrics"]) == {"validation", "selected_epoch", "selection"}


def test_a_packed_search_goes_on_elsewhere(raced: Callable[[], Path], tmp_path: Path) -> None:
    """Killed in its second trial, packed, and continued on another machine."""
    calls = 0

    def kill(done: int) -> None:
        nonlocal calls
        calls += done
        if calls >= 9:
            raise KilledError

    here, there, file = tmp_path / "here", tmp_path / "there", tmp_path / "race.csv.gz"
    with pytest.raises(KilledError):
        benchmark.tune(searches("vanilla", "mimo", "umt"), FRESH, here, 1, kill)
    assert benchmark.pack(here, file) == 0
    partial = stored(here)
    assert [len(one["trials"]) for one in partial.values()] == [1, 1, 1]
    with pytest.raises(ValueError, match="has trials of a search and no finished run"):
        benchmark.read(file)
    assert benchmark.unpack(file, there) == ([], [])
    assert stored(there) == partial
    told = list[dict[str, Any]]()
    new = Trials.tell

    def tell(self: Trials, trial: Any, values: dict[str, Any], score: float | None) -> None:
        told.append(values) if self.told == len(self.stored) else None
        new(self, trial, values, score)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trials, "tell", tell)
        assert benchmark.tune(searches("vanilla", "mimo", "umt"), FRESH, there) == []
    assert len(told) == 6  # of nine: the first three were not trained again
    assert stored(there) == stored(raced())
    assert benchmark.pack(there, file) == 12
    again = tmp_path / "again.csv.gz"
    benchmark.pack(file, again)
    assert again.read_bytes() == file.read_bytes()
    benchmark.unpack(file, here)  # more trials of the same searches go over the fewer there
    assert stored(here) == stored(there)
    benchmark.unpack(file, tmp_path / "less", ["mimo-tuned"])
    assert set(stored(tmp_path / "less")) == {"vanilla-tuned", "umt-tuned"}
    other = {"search": {"another": 1}, "trials": []}
    (here / "trials/digits/umt-tuned.json").write_text(json.dumps(other))
    benchmark.unpack(file, here)
    assert stored(here)["umt-tuned"] == other  # another search is left alone


def test_a_killed_search_goes_on_to_the_same_trials_and_runs(
    raced: Callable[[], Path], tmp_path: Path
) -> None:
    epochs = 0

    def kill_at(last: int) -> Callable[[int], None]:
        def count(done: int) -> None:
            nonlocal epochs
            epochs += done
            if epochs >= last:
                raise KilledError

        return count

    for last in (1, 9, 17, 21):  # in the first trial, in the second, in the third, in a fresh run
        epochs = 0
        with pytest.raises(KilledError):
            benchmark.tune(searches("vanilla", "mimo", "umt"), FRESH, tmp_path, 1, kill_at(last))
        assert all("trial" not in str(run.folder.parent) for run in finished(tmp_path))
    assert benchmark.tune(searches("vanilla", "mimo", "umt"), FRESH, tmp_path) == []
    assert stored(tmp_path) == stored(raced())
    for one, other in zip(benchmark.read(tmp_path), benchmark.read(raced()), strict=True):
        assert (one.method, one.seed) == (other.method, other.seed)
        assert one.result["config"] == other.result["config"]
        assert one.result["metrics"] == other.result["metrics"]


def finished(out: Path) -> list[benchmark.FinishedRun]:
    try:
        return benchmark.read(out)
    except ValueError:
        return []


def test_defaults_and_tuned_stand_side_by_side(raced: Callable[[], Path]) -> None:
    runs = benchmark.read(raced())
    value = {(run.method, run.seed): run.metrics()["accuracy"] for run in runs}
    rows = {row.method: row for row in comparison.tuned_rows(runs)}
    assert set(rows) == {"vanilla", "mimo", "umt"}
    for name, row in rows.items():
        gains = [value[f"{name}-tuned", seed] - value[name, seed] for seed in FRESH]
        assert row.pairs == 2
        assert row.gain[0] == pytest.approx(sum(gains) / 2)
        if name != "vanilla":
            leads = [value[f"{name}-tuned", seed] - value["vanilla-tuned", seed] for seed in FRESH]
            assert row.lead[0] == pytest.approx(sum(leads) / 2)
    ((title, header, cells),) = tables.tuned_tables(runs)
    assert title.startswith("digits: tuned with equal budgets (trials x seeds of each), test split")
    assert header[:5] == ("method", "budget", "seeds", "defaults", "tuned")
    assert [line[1:3] for line in cells] == [("3 x 1", "2")] * 3
    assert list(tables.tuned_tables([run for run in runs if "tuned" not in run.method])) == []
    more = [
        replace(run, result=_with_trials(run.result, 5)) if run.method == "umt-tuned" else run
        for run in runs
    ]
    (words,) = comparison.unequal_budgets(more)
    assert "not tuned alike, 3 trials of 1 seeds for mimo-tuned, vanilla-tuned; 5 trials" in words


def _with_trials(result: dict[str, Any], trials: int) -> dict[str, Any]:
    config = result["config"]
    return result | {"config": config | {"tuning": config["tuning"] | {"trials": trials}}}


def test_a_trial_that_diverges_counts_and_is_not_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = searches("vanilla", trials=2)
    start = {"lr": 1e12, "weight_decay": 1e-4}
    wide = {"lr": ("log", 1e-3, 1e13), "weight_decay": ("log", 1e-5, 1e-2)}
    monkeypatch.setattr(Search, "defaults", start)
    one.__dict__["space"] = wide
    stored = Trials(one, tmp_path)
    tuning._round(0, [stored], tmp_path, 1, lambda _: None)
    assert stored.stored == [{"values": start, "score": None, "code": "a1b2c3d4e5f6"}]
    with pytest.raises(ValueError, match="every trial diverged"):
        stored.best()
    again = Trials(one, tmp_path)
    tuning._round(0, [again], tmp_path, 1, lambda _: None)
    again.tell(*again.ask(), 0.5)
    assert again.best()["trial"] == 1
    assert again.best()["diverged"] == 1


def test_what_is_unfair_or_another_search_is_refused(
    raced: Callable[[], Path], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"`seeds` must be fresh: trials use \[0\]"):
        benchmark.tune(searches("vanilla"), [0, 1], tmp_path)
    unequal = [*searches("vanilla"), *searches("mimo", trials=4)]
    with pytest.raises(ValueError, match="`searches` must have one budget"):
        benchmark.tune(unequal, FRESH, tmp_path)
    with pytest.raises(ValueError, match=r"another search: budget\.trials is 3 there, 4 here"):
        benchmark.tune(searches("mimo", trials=4), FRESH, raced())
    with pytest.raises(ValueError, match="`trials` must be"):
        searches("mimo", trials=0)


def test_a_space_is_searched_on_demand(tmp_path: Path) -> None:
    laws = benchmark.laws_of(
        ["vanilla", "mimo"],
        {
            "lr": ("log", 0.01, 0.1),
            "mimo.f_star": ("choice", "zero", "epoch_minimum"),
            "normalise": ("choice", True, False),
            "lam": ("uniform", 3.0, 4.0),
        },
    )
    assert laws["vanilla"] == {"lr": ("log", 0.01, 0.1)}
    plain, mimo = (
        benchmark.Search(job, 4, laws=laws[job.method])
        for job in small_plan("vanilla", "mimo", seeds=1)
    )
    assert set(mimo.space) == {"lr", "weight_decay", "lam", "mu", "f_star", "normalise"}
    first = mimo.defaults
    assert first["f_star"] == "zero"  # the default is not in the space
    assert first["normalise"] is False
    assert (first["lam"], first["mu"]) == (3.0, 0.1)
    own = searches("mimo", trials=4)
    assert benchmark.tune([plain, mimo, *own], (7,), tmp_path) == []
    runs = benchmark.read(tmp_path)
    name = "mimo-tuned-f_star=searched-normalise=searched"
    assert {run.method for run in runs} == {"vanilla", "vanilla-tuned", "mimo", "mimo-tuned", name}
    (run,) = (run for run in runs if run.method == name)
    assert run.result["config"]["hyper"]["f_star"] in ("zero", "epoch_minimum")
    assert 3 <= run.result["config"]["hyper"]["lam"] <= 4
    assert {trial["values"]["normalise"] for trial in stored(tmp_path)[name]["trials"]} <= {0, 1}
    value = {run.method: run.metrics()["accuracy"] for run in runs}
    rows = {row.method: row for row in comparison.tuned_rows(runs)}
    found = rows["mimo-f_star=searched-normalise=searched"]
    assert found.default[0] == value["mimo"]  # the defaults of MIMO stand beside it
    assert found.gain[0] == value[name] - value["mimo"]
    assert comparison.unequal_budgets(runs) == []


@pytest.mark.parametrize(
    ("laws", "words"),
    [
        ({"lam": ("log", 1, 2)}, "given twice: as one value and as a space"),
        ({"f_star": ("choice", "zero", "zeros")}, "f_star"),
        ({"mu": ("uniform", -1, 2)}, "`mu` must be"),
        ({"lr": ("uniform", 0, 1)}, "`lr` must be"),
        ({"f_star": ("choice", (1, 2), "zero")}, "the choices of 'f_star' must be numbers, words"),
    ],
)
def test_a_bad_space_is_refused(laws: dict[str, Any], words: str) -> None:
    (job,) = small_plan("mimo", seeds=1, hyper={"lam": 3})
    with pytest.raises((ValueError, TypeError), match=words):
        benchmark.Search(job, 2, laws=laws)


def test_the_command_tunes_and_names_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "tune --method linear_scalarization --trials 1 --epochs 1 --width 8 --jobs 1"
    words += " --set weight=2 --space lr=log:0.001:0.1 --seeds 2 --first-seed 5"
    assert command(monkeypatch, words + " --out", tmp_path) == 0
    shown = capsys.readouterr().out
    assert "tuned with equal budgets" in shown
    runs = benchmark.read(tmp_path)
    assert {run.method for run in runs} == {
        "linear_scalarization-weight=2",
        "linear_scalarization-tuned-weight=2",
    }
    again = command_of([run for run in runs if "tuned" in run.method])
    options = "--method linear_scalarization --set weight=2 --space lr=log:0.001:0.1"
    options += " --trials 1 --epochs 1 --width 8"
    assert again == f"mimo-sim bench tune --dataset digits {options} --seeds 2 --first-seed 5"
    page = tmp_path / "page.html"
    assert command(monkeypatch, f"compare {tmp_path} -q --html", page) == 0
    text = page.read_text(encoding="utf-8")
    assert "linear scalarization, tuned, weight = 2" in text
    assert "tuned with equal budgets" in text
    assert command(monkeypatch, f"tune --trials 0 --out {tmp_path}") == 2
    assert "`--trials` must be" in capsys.readouterr().err


def test_a_network_with_gates_is_tuned_without_the_test_split(tmp_path: Path) -> None:
    """Its figures hold how much each modality is used, on every split that is measured."""
    (search,) = searches("mimo", trials=1, fusion="mmtm")
    benchmark.tune([search], [7], tmp_path)
    (record,) = stored(tmp_path).values()
    assert "test" not in json.dumps(record["trials"])
    run, *_ = benchmark.read(tmp_path)
    assert {"validation", "test"} <= set(run.result["metrics"])
    assert any(name.startswith("utilisation/") for name in run.metrics("validation"))
