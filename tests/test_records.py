"""Records and grids of runs: whole files, skipped and refused folders, resumable grids, comparisons, the commands."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from mimo_sim import bench_plots, datasets, methods
from mimo_sim.cli import main
from mimo_sim.errors import NonFiniteError
from mimo_sim.training import benchmark, comparison, train
from tests.networks import SETTINGS, tiny, tiny_regression


@pytest.fixture(autouse=True)
def _tiny_data(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    benchmark._load.cache_clear()
    monkeypatch.setattr(datasets, "load", lambda name, root=None, seed=0, **settings: tiny(seed=seed))
    yield
    benchmark._load.cache_clear()  # no other test finds these data under a true name


def small_plan(*names: str, seeds: int = 2, **more: Any) -> list[benchmark.Job]:
    return benchmark.plan("digits", names, range(seeds), {"epochs": 2, **SETTINGS} | more.pop("settings", {}), **more)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        benchmark._load.cache_clear()
        patch.setattr(datasets, "load", lambda name, root=None, seed=0, **settings: tiny(seed=seed))
        assert benchmark.execute(small_plan("vanilla", "mimo", "mmcosine", seeds=3), out) == []
    return out


def test_a_record_says_what_was_done(tmp_path: Path) -> None:
    result = train("mimo", tiny(), epochs=2, folder=tmp_path / "run", **SETTINGS)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["config.json", "epochs.csv", "result.json"]
    config, found = (json.loads((tmp_path / "run" / name).read_text()) for name in ("config.json", "result.json"))
    assert found["config"] == config
    assert (config["method"], config["hyper"]["lam"], config["settings"]["epochs"], config["dataset"]) == ("mimo", result.method.hyper["lam"], 2, "tiny")
    assert found["metrics"] == result.metrics
    assert set(found) == {"config", "metrics", "definitions", "seconds", "data", "parameters", "versions", "device", "threads", "git"}
    assert found["versions"]["torch"] == torch.__version__
    assert found["parameters"] == sum(p.numel() for p in result.model.parameters())
    with (tmp_path / "run" / "epochs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [{key: float(value) for key, value in row.items()} for row in rows] == result.table


def test_finished_and_foreign_folders_are_refused(tmp_path: Path) -> None:
    train("vanilla", tiny(), epochs=1, folder=tmp_path, **SETTINGS)
    with pytest.raises(ValueError, match="holds a finished run"):
        train("vanilla", tiny(), epochs=1, folder=tmp_path, **SETTINGS)
    with pytest.raises(ValueError, match=r"another configuration: settings\.epochs is 1 there, 2 here"):
        train("vanilla", tiny(), epochs=2, folder=tmp_path, **SETTINGS)


def test_a_run_that_failed_before_its_first_checkpoint_can_be_tried_otherwise(tmp_path: Path) -> None:
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
    with pytest.raises(ValueError, match=r"another configuration: settings\.lr is 0\.05 there, 0\.1 here"):
        train("vanilla", tiny(), epochs=3, folder=tmp_path, **(SETTINGS | {"lr": 0.1}))


def test_plans_give_hyper_parameters_to_the_methods_that_take_them() -> None:
    jobs = small_plan("vanilla", "mimo", grid={"mimo.lam": [1, 10], "mu": [0.1, 1.0]}, hyper={"gap": "relative"}, seeds=1)
    assert [str(job.place) for job in jobs] == [
        "digits/vanilla/seed0",
        *(f"digits/mimo-gap=relative-lam={lam}-mu={mu}/seed0" for lam in (1, 10) for mu in (0.1, 1.0)),
    ]
    assert jobs[1].config["hyper"]["gap"] == "relative"
    every = small_plan("all", seeds=1)
    assert {job.method for job in every} == set(methods.available())


@pytest.mark.parametrize(
    ("names", "more", "error", "words"),
    [
        (["vanilla"], {"hyper": {"lam": 1}}, ValueError, r"'lam': none of the methods \('vanilla',\) takes it"),
        (["mimo", "opm"], {"hyper": {"lam": 1}}, ValueError, "'lam': mimo and opm both take it: write mimo.lam"),
        (["mimo"], {"hyper": {"lam": -1}}, ValueError, "`lam` must be"),
        (["mimmo"], {}, ValueError, "`method` must be one of"),
        (["mimo"], {"settings": {"lr": 0}}, ValueError, "`lr` must be"),
    ],
)
def test_bad_plans_are_refused_before_anything_runs(names: list[str], more: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        small_plan(*names, **more)


def test_presets_know_the_settings() -> None:
    assert benchmark.preset("cpu", "avmnist", "A") == ({"train_size": 5000, "validation_size": 1000, "test_size": 2000}, {"epochs": 12})
    assert benchmark.preset("cpu", "avmnist", "D")[0]["train_size"] == 15000
    assert benchmark.preset("cpu", "synthetic") == ({}, {"epochs": benchmark.FALLBACK_EPOCHS})
    with pytest.raises(ValueError, match="`preset` must be one of"):
        benchmark.preset("gpu", "avmnist")


def test_finished_runs_are_kept_and_other_configurations_refused(results: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in results.rglob("result.json")}
    done: list[int] = []
    assert benchmark.execute(small_plan("vanilla", "mimo", "mmcosine", seeds=3), results, on_epochs=done.append) == []
    assert sum(done) == 9 * 2
    assert before == {path: path.stat().st_mtime_ns for path in results.rglob("result.json")}
    with pytest.raises(ValueError, match=r"another configuration: settings\.width is 8 there, 4 here"):
        benchmark.execute(small_plan("vanilla", settings={"width": 4}), results)


def test_one_failing_run_costs_no_other(tmp_path: Path) -> None:
    jobs = [*small_plan("vanilla", seeds=1, settings={"lr": 1e12}), *small_plan("mimo", seeds=1)]
    failures = benchmark.execute(jobs, tmp_path)
    assert [job.method for job, _ in failures] == ["vanilla"]
    assert failures[0][1].startswith("NonFiniteError: training diverged in epoch 0")
    assert [run.method for run in benchmark.read(tmp_path)] == ["mimo"]


@pytest.mark.slow
def test_workers_give_the_same_results_as_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # workers load the true data
    benchmark._load.cache_clear()
    jobs = benchmark.plan("digits", ["vanilla", "ogm_ge"], [0, 1], {"epochs": 1, "width": 8, "accelerator": "cpu"})
    done: list[int] = []
    assert benchmark.execute(jobs, tmp_path / "two", 2, done.append) == []
    assert benchmark.execute(jobs, tmp_path / "one", 1) == []
    assert sum(done) == 4
    for job in jobs:
        first, second = (json.loads((tmp_path / where / job.place / "result.json").read_text()) for where in ("one", "two"))
        assert first["metrics"] == second["metrics"]


# ------------------------------------------------------------------------------------------ comparisons


def test_comparisons_pair_seeds(results: Path) -> None:
    runs = benchmark.read(results)
    rows = {(row.method, row.figure): row for row in comparison.summary(runs)}
    accuracy = {(run.method, run.seed): run.result["metrics"]["test"]["accuracy"] for run in runs}
    differences = [accuracy["mimo", seed] - accuracy["vanilla", seed] for seed in range(3)]
    row = rows["mimo", "accuracy"]
    assert (row.n, row.pairs) == (3, 3)
    assert (row.difference, row.difference_half_width) == comparison.interval(differences)
    assert (row.mean, row.half_width) == comparison.interval([accuracy["mimo", seed] for seed in range(3)])
    assert rows["vanilla", "accuracy"].pairs == 0
    fewer = {(r.method, r.figure): r for r in comparison.summary([run for run in runs if (run.method, run.seed) != ("vanilla", 1)])}
    assert fewer["mimo", "accuracy"].difference == comparison.interval([differences[0], differences[2]])[0]


def test_tables_as_markdown_and_csv(results: Path) -> None:
    rows = comparison.summary(benchmark.read(results))
    text = comparison.markdown(rows)
    lines = text.splitlines()
    header = next(line for line in lines if line.startswith("| method"))
    assert "accuracy - vanilla" in header
    assert {"heads m1", "probe m2", "sliced m1"} <= {cell.strip() for cell in header.split("|")}
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    assert lines[lines.index(header) + 2].startswith("| vanilla | 3 |")
    assert "- probe: (d) a linear probe" in text
    parsed = list(csv.DictReader(comparison.comma_separated(rows).splitlines()))
    assert len(parsed) == len(rows)
    assert float(next(r for r in parsed if r["method"] == "mimo" and r["figure"] == "probe/m1")["mean"]) == next(
        r.mean for r in rows if (r.method, r.figure) == ("mimo", "probe/m1")
    )


def test_losses_of_regression_are_not_shown_in_percent(tmp_path: Path) -> None:
    result = train("vanilla", tiny_regression(), epochs=1, folder=tmp_path / "line" / "vanilla" / "seed0", **SETTINGS)
    ((title, header, (row,)),) = comparison.tables(comparison.summary(benchmark.read(tmp_path)))
    assert "%" not in title.replace("95 %", "")
    shown = dict(zip(header, row, strict=True))
    assert float(shown["probe a"]) == pytest.approx(result.metrics["test"]["unimodal"]["probe"]["a"], abs=5e-4)
    assert float(shown["gap probe"]) == pytest.approx(result.metrics["test"]["gap"]["probe"], abs=5e-4)


def test_a_baseline_that_is_not_there_is_refused(results: Path) -> None:
    runs = benchmark.read(results)
    with pytest.raises(ValueError, match=r"`baseline` must be one of \('mimo', 'mmcosine', 'vanilla'\)\. Got 'agm'"):
        comparison.summary(runs, "agm")
    assert comparison.summary([run for run in runs if run.method != "vanilla"])  # nothing to compare with, but something to show


def test_figures_show_every_method(results: Path) -> None:
    runs = benchmark.read(results)
    figures = dict(bench_plots.draw_all(runs, comparison.summary(runs)))
    assert set(figures) == {"digits-gap", "digits-epochs"}
    (legend,) = figures["digits-gap"].legends
    assert {text.get_text() for text in legend.get_texts()} == {"no method is better in both", "vanilla", "mimo", "mmcosine"}
    joint, own, sigma = figures["digits-epochs"].axes
    assert [len(ax.lines) for ax in (joint, own, sigma)] == [2, 4, 2]  # vanilla and mimo by default; only mimo has weights
    total = sum(line.get_ydata() for line in sigma.lines)  # type: ignore[misc]
    assert total == pytest.approx([1.0, 1.0])
    with pytest.raises(ValueError, match="`curves` must name methods among"):
        list(bench_plots.draw_all(runs, comparison.summary(runs), ["agm"]))


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no finished run"):
        benchmark.read(tmp_path)


# ------------------------------------------------------------------------------------------ the commands


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["mimo-sim", "bench", *arguments])
    monkeypatch.setenv("COLUMNS", "250")
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_bench_list_names_methods_and_data(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(monkeypatch, "list") == 0
    shown = capsys.readouterr().out
    for word in ("mimo", "lam=", "gradient", "vanilla", "digits", "avmnist"):
        assert word in shown


def test_bench_run_and_compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "r")
    arguments = ["run", "--method", "vanilla", "--method", "mimo", "--grid", "lam=1,10", "--set", "mu=0.5", "--seeds", "2", "--epochs", "2"]
    arguments += ["--width", "8", "--jobs", "1", "--out", out, "--accelerator", "cpu"]
    assert command(monkeypatch, *arguments) == 0
    assert "6 runs in" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "r" / "digits").iterdir()} == {"vanilla", "mimo-mu=0.5-lam=1", "mimo-mu=0.5-lam=10"}
    assert command(monkeypatch, *arguments) == 0
    assert "0 runs in" in (shown := capsys.readouterr().out)
    assert "mimo-mu=0.5-lam=10" in shown
    assert command(monkeypatch, "compare", out, "--out", str(tmp_path / "c")) == 0
    assert {path.name for path in (tmp_path / "c").iterdir()} == {
        "table.md",
        "table.csv",
        *(f"digits-{figure}.{suffix}" for figure in ("gap", "epochs") for suffix in ("png", "svg")),
    }
    assert command(monkeypatch, *arguments, "--lr", "0.5") == 2
    assert "another configuration: settings.lr is 0.01 there, 0.5 here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--method", "nothing"], "`method` must be one of"),
        (["run", "--set", "lam"], "`--set` must be key=value"),
        (["run", "--seeds", "0"], "`--seeds` must be >= 1"),
        (["run", "--preset", "tpu"], "`preset` must be one of"),
        (["run", "--jobs", "0"], "`jobs` must be >= 1"),
        (["compare", "/nonexistent"], "no finished run"),
    ],
)
def test_bad_commands_end_with_a_sentence(arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    assert command(monkeypatch, *arguments, *(["--out", str(tmp_path)] if arguments[0] == "run" else [])) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error


def test_a_diverging_run_ends_with_exit_code_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        command(monkeypatch, "run", "--method", "vanilla", "--lr", "1e12", "--epochs", "1", "--jobs", "1", "--out", str(tmp_path), "--accelerator", "cpu") == 2
    )
    assert "digits/vanilla/seed0: NonFiniteError: training diverged in epoch 0" in capsys.readouterr().err


def test_without_a_setting_the_default_one_is_named_in_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[benchmark.Job] = []

    def note(jobs: list[benchmark.Job], *_: Any) -> list[Any]:
        seen.extend(jobs)
        return []

    monkeypatch.setattr(benchmark, "execute", note)
    assert command(monkeypatch, "run", "--dataset", "avmnist", "--method", "vanilla", "--out", str(tmp_path), "--quiet") == 0
    assert command(monkeypatch, "run", "--dataset", "digits", "--method", "vanilla", "--out", str(tmp_path), "--quiet") == 0
    assert [(str(job.place), job.data.get("setting")) for job in seen] == [("avmnist-A/vanilla/seed0", "A"), ("digits/vanilla/seed0", None)]
