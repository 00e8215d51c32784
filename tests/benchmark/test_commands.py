"""`bench list`, `bench run` and `bench compare`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from mimo_sim import benchmark, datasets, methods
from tests.benchmark.runs import command
from tests.networks import tiny_regression

pytestmark = pytest.mark.usefixtures("tiny_data")


def test_bench_list_names_methods_and_data(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "list") == 0
    shown = capsys.readouterr().out
    for word in ("mimo", "lam=", "gradient", "vanilla", "digits", "avmnist"):
        assert word in shown


def test_bench_run_and_compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = "r"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r" / "digits" / "old" / "seed0").mkdir(parents=True)
    (tmp_path / "r" / "digits" / "old" / "seed0" / "result.json").write_text(
        "{bad"
    )  # somebody else's
    arguments = [
        "run",
        "--method",
        "vanilla",
        "--method",
        "mimo",
        "--grid",
        "lam=1,10",
        "--set",
        "mu=0.5",
        "--seeds",
        "2",
        "--epochs",
        "2",
    ]
    arguments += ["--width", "8", "--jobs", "1", "--out", out, "--accelerator", "cpu"]
    assert command(monkeypatch, *arguments) == 0
    assert "6 runs in" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "r" / "digits").iterdir()} == {
        "old",
        "vanilla",
        "mimo-mu=0.5-lam=1",
        "mimo-mu=0.5-lam=10",
    }
    assert command(monkeypatch, *arguments) == 0
    assert "0 runs in" in (shown := capsys.readouterr().out)
    assert "mimo-mu=0.5-lam=10" in shown
    assert command(monkeypatch, "compare", out, "--out", str(tmp_path / "c")) == 2
    assert "old/seed0/result.json is damaged" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "r" / "digits" / "old")
    assert command(monkeypatch, "compare", out, "--out", str(tmp_path / "c")) == 0
    assert {path.name for path in (tmp_path / "c").iterdir()} == {
        "table.md",
        "table.csv",
        *(f"digits-{figure}.{suffix}" for figure in ("gap", "epochs") for suffix in ("png", "svg")),
    }
    assert (
        command(monkeypatch, "compare", out, "--out", str(tmp_path / "c"), "--split", "validation")
        == 0
    )
    assert "digits: validation split" in capsys.readouterr().out
    assert (
        (tmp_path / "c" / "table-validation.md")
        .read_text()
        .startswith("## digits: validation split")
    )
    assert (tmp_path / "c" / "table.md").read_text().startswith("## digits: test split")
    assert (tmp_path / "c" / "digits-gap-validation.png").is_file()
    assert command(monkeypatch, "compare", out, "--split", "train") == 2
    assert "`split` must be one of ('validation', 'test'). Got 'train'." in capsys.readouterr().err
    assert command(monkeypatch, *arguments, "--lr", "0.5") == 2
    assert "another configuration: settings.lr is 0.01 there, 0.5 here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--method", "nothing"], "`method` must be one of"),
        (["run", "--set", "lam"], "`--set` must be key=value"),
        (["run", "--seeds", "0"], "`--seeds` must be >= 1"),
        (["run", "--first-seed", "-1"], "`--first-seed` must be >= 0. Got -1."),
        (["run", "--preset", "tpu"], "`preset` must be one of"),
        (
            ["run", "--dataset", "synthetic", "--method", "ogm"],
            "method 'ogm' is defined for classification. Got regression (synthetic).",
        ),
        (["run", "--jobs", "0"], "`jobs` must be >= 1"),
        (
            ["run", "--data", "noise=[1,2]"],
            "`--data` takes one number or word for each key. Got noise=[1, 2].",
        ),
        (["run", "--data", "seed=3"], "`--data` must not have seed"),
        (
            ["run", "--dataset", "avmnist", "--setting", "A", "--data", "setting=B"],
            "`--data` must not have setting",
        ),
        (["compare", "/nonexistent"], "no finished run"),
    ],
)
def test_bad_commands_end_with_a_sentence(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    assert (
        command(
            monkeypatch, *arguments, *(["--out", str(tmp_path)] if arguments[0] == "run" else [])
        )
        == 2
    )
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error


def test_all_methods_run_on_regression(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        datasets, "load", lambda name, root=None, seed=0, **settings: tiny_regression()
    )
    arguments = [
        "run",
        "--dataset",
        "synthetic",
        "--method",
        "all",
        "--epochs",
        "1",
        "--width",
        "8",
        "--jobs",
        "1",
        "--accelerator",
        "cpu",
    ]
    assert command(monkeypatch, *arguments, "--out", str(tmp_path)) == 0
    (line,) = (
        line
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("left out, not defined for synthetic: ")
    )
    left_out = line.partition(": ")[2].split(", ")
    assert left_out == [name for name in methods.available() if methods.get(name).needs_classes]
    assert {path.name for path in (tmp_path / "synthetic").iterdir()} == set(
        methods.available()
    ) - {*left_out}


def test_a_grid_may_hold_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [
        "run",
        "--method",
        "ogm",
        "--grid",
        "window=[0,0],none,[0,1]",
        "--epochs",
        "1",
        "--jobs",
        "1",
        "--out",
        str(tmp_path),
    ]
    assert command(monkeypatch, *arguments) == 0
    assert [run.result["config"]["hyper"]["window"] for run in benchmark.read(tmp_path)] == [
        None,
        [0, 0],
        [0, 1],
    ]


def test_one_reason_is_given_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "run",
        "--method",
        "vanilla",
        "--seeds",
        "3",
        "--lr",
        "1e12",
        "--epochs",
        "1",
        "--jobs",
        "1",
        "--accelerator",
        "cpu",
    ]
    assert command(monkeypatch, *arguments, "--out", str(tmp_path)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "mimo-sim: error: digits/vanilla/seed0 and 2 more: NonFiniteError: training diverged in epoch 0"
    )


def test_seeds_may_begin_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [
        "run",
        "--method",
        "vanilla",
        "--seeds",
        "2",
        "--epochs",
        "1",
        "--jobs",
        "1",
        "--out",
        str(tmp_path),
    ]
    assert command(monkeypatch, *arguments, "--first-seed", "8") == 0
    assert {
        (run.seed, run.result["config"]["settings"]["seed"]) for run in benchmark.read(tmp_path)
    } == {(8, 8), (9, 9)}


def test_a_diverging_run_ends_with_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        command(
            monkeypatch,
            "run",
            "--method",
            "vanilla",
            "--lr",
            "1e12",
            "--epochs",
            "1",
            "--jobs",
            "1",
            "--out",
            str(tmp_path),
            "--accelerator",
            "cpu",
        )
        == 2
    )
    assert (
        "digits/vanilla/seed0: NonFiniteError: training diverged in epoch 0"
        in capsys.readouterr().err
    )


def test_without_a_setting_the_default_one_is_named_in_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[benchmark.Job] = []

    def note(jobs: list[benchmark.Job], *_: Any) -> list[Any]:
        seen.extend(jobs)
        return []

    monkeypatch.setattr(benchmark, "execute", note)
    assert (
        command(
            monkeypatch,
            "run",
            "--dataset",
            "avmnist",
            "--method",
            "vanilla",
            "--out",
            str(tmp_path),
            "--quiet",
        )
        == 0
    )
    assert (
        command(
            monkeypatch,
            "run",
            "--dataset",
            "digits",
            "--method",
            "vanilla",
            "--out",
            str(tmp_path),
            "--quiet",
        )
        == 0
    )
    assert [(str(job.place), job.data.get("setting")) for job in seen] == [
        ("avmnist-A/vanilla/seed0", "A"),
        ("digits/vanilla/seed0", None),
    ]
