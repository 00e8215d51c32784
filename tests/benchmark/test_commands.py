"""`bench list`, `bench run` and `bench compare`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mimo_sim import benchmark, datasets, methods
from mimo_sim.commands import _grammar as grammar
from tests.benchmark.runs import command
from tests.commands.tool import run_here
from tests.networks import tiny_regression

pytestmark = pytest.mark.usefixtures("tiny_data")

QUICK = "--epochs 1 --jobs 1 --accelerator cpu"
Capture = pytest.CaptureFixture[str]


def test_bench_list_names_methods_and_data(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert command(monkeypatch, "list") == 0
    shown = capsys.readouterr().out
    for word in ("mimo", "lam=", "gradient", "vanilla", "digits", "avmnist"):
        assert word in shown


def test_bench_list_fits_a_terminal_and_shows_values_as_they_are_typed(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((80, 24)))
    assert command(monkeypatch, "list") == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert "\nogm (gradient): scales down the better modality's encoder gradient" in shown
    words = shown.split()
    for name in methods.available():
        method = methods.create(name)
        typed = [f"{key}={grammar.write(value)}" for key, value in method.hyper.items()]
        assert set(typed) <= set(words)
        read = dict(grammar.read_value("--set", word) for word in typed)
        for key, value in methods.create(name, **read).hyper.items():
            assert (tuple(value) if isinstance(value, list) else value) == method.hyper[key]


def test_a_word_means_the_same_to_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []

    def refuse(self: datasets.Record, settings: dict[str, Any]) -> None:
        seen.append(dict(settings))
        raise ValueError("enough")

    def load(*_: Any, **settings: Any) -> None:
        seen.append(settings)
        raise ValueError("enough")

    monkeypatch.setattr(datasets.Record, "refuse_bad", refuse)
    monkeypatch.setattr(datasets, "load", load)
    words = ["components=none", "snr=-6", "progress=true", "setting=B"]
    for line, option in (
        ("bench run --dataset avmnist --preset cpu", "--data"),
        ("data prepare avmnist", "--option"),
        ("diagnose --dataset avmnist", "--option"),
    ):
        given = [part for word in words for part in (option, word)]
        assert run_here(monkeypatch, *line.split(), *given) == 2
    wanted = {"components": None, "snr": -6, "progress": True, "setting": "B"}
    assert [{name: settings[name] for name in wanted} for settings in seen] == 3 * [wanted]


def test_bench_run_and_compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    foreign = tmp_path / "r" / "digits" / "old"
    (foreign / "seed0").mkdir(parents=True)
    (foreign / "seed0" / "result.json").write_text("{bad")
    run = (
        "run --method vanilla --method mimo --grid lam=1,10 --set mu=0.5 --seeds 2 --epochs 2 "
        "--width 8 --jobs 1 --accelerator cpu --out r"
    )
    assert command(monkeypatch, run) == 0
    assert "6 runs in" in capsys.readouterr().out
    made = {path.name for path in (tmp_path / "r" / "digits").iterdir()}
    assert made == {"old", "vanilla", "mimo-mu=0.5-lam=1", "mimo-mu=0.5-lam=10"}
    assert command(monkeypatch, run) == 0
    shown = capsys.readouterr().out
    assert "0 runs in" in shown
    assert "mimo-mu=0.5-lam=10" in shown

    assert command(monkeypatch, "compare r --out c") == 2
    assert "old/seed0/result.json is damaged" in capsys.readouterr().err
    shutil.rmtree(foreign)
    assert command(monkeypatch, "compare r --out c") == 0
    figures = {"digits-gap.png", "digits-epochs.png", "digits-trajectories.png"}
    written = tmp_path / "c"
    assert {path.name for path in written.iterdir()} == {"table.md", "table.csv", *figures}
    assert command(monkeypatch, "compare r --out d --format svg,pdf") == 0
    made = {path.name for path in (tmp_path / "d").glob("digits-*")}
    assert made == {name.replace("png", suffix) for name in figures for suffix in ("svg", "pdf")}
    assert command(monkeypatch, "compare r --out e --format gif") == 2
    assert "`--format` must be of png, pdf, svg" in capsys.readouterr().err
    assert not (tmp_path / "e").exists()
    assert command(monkeypatch, "compare r --out c --split validation") == 0
    assert "digits: validation split" in capsys.readouterr().out
    validation = (written / "table-validation.md").read_text()
    assert validation.startswith("## digits: validation split")
    assert (written / "table.md").read_text().startswith("## digits: test split")
    assert (written / "digits-gap-validation.png").is_file()
    assert command(monkeypatch, "compare r --split train") == 2
    assert "`split` must be one of ('validation', 'test'). Got 'train'." in capsys.readouterr().err
    assert command(monkeypatch, run, "--lr", 0.5) == 2
    place = Path("r", "digits", "vanilla", "seed0")
    assert capsys.readouterr().err == (
        f"mimo-sim: error: `--out` must be another folder: {place} holds a run with "
        "--lr 0.01 instead of 0.5 (or delete that run). Got --out r.\n"
    )
    assert command(monkeypatch, f"{run} --probe-every 3 --data noise=0.5") == 2
    words = "--probe-every 0 instead of 3, --data noise=the default instead of 0.5"
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("run --method nothing", "`method` must be one of"),
        ("run --set lam", "`--set` must look like name=value with one value. Got 'lam'."),
        ("run --set lam=1 --set lam=2", "Every name may be given once. Got 'lam' twice."),
        ("run --seeds 0", "`--seeds` must be >= 1"),
        ("run --first-seed -1", "`--first-seed` must be >= 0. Got -1."),
        ("run --preset tpu", "`preset` must be one of"),
        (
            "run --dataset synthetic --method ogm",
            "method 'ogm' is defined for classification. Got regression (synthetic).",
        ),
        ("run --jobs 0", "`jobs` must be >= 1"),
        (
            "run --dataset digit",
            "Got 'digit'. Did you mean 'digits'?",
        ),
        ("run --preset ful", "Got preset='ful'. Did you mean 'full'?"),
        (
            "run --dataset avmnist --setting A --setting Z",
            "`setting` must be one of ('A', 'B', 'C', 'D'). Got setting='Z'.",
        ),
        ("run --setting A", "data set 'digits' takes ('noise',). Got setting."),
        ("run --data noise=-1", "`noise` must be finite and >= 0. Got noise=-1."),
        ("run --encoder resnet50", "Got 'resnet50'. Did you mean 'resnet18' or 'lenet'?"),
        ("run --encoder lenet", "the encoder 'lenet' needs inputs (channels, height, width)."),
        ("run --dataset synthetic --encoder mpl,mlp", "Got 'mpl'. Did you mean 'mlp'?"),
        pytest.param(
            "run --accelerator cuda",
            "torch finds no cuda device. Got accelerator='cuda'.",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
        (
            "run --data noise=[1,2]",
            "`--data` must look like name=value with one number or word. Got 'noise=[1,2]'.",
        ),
        ("run --data seed=3", "`--data` must not have seed: that is what --seeds is for"),
        (
            "run --dataset avmnist --setting A --data setting=B",
            "`--data` must not have setting: that is what --setting is for",
        ),
        ("compare /nonexistent", "there is no folder"),
    ],
)
def test_bad_commands_end_with_a_sentence(
    line: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    out = ["--out", tmp_path] if line.startswith("run") else []
    assert command(monkeypatch, line, *out) == 2
    shown, error = capsys.readouterr()
    assert words in error
    assert "Traceback" not in error
    assert " in 0 s" not in shown  # nothing is said to have been done
    assert not list(tmp_path.iterdir())


def test_all_methods_run_on_regression(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(datasets, "load", lambda *_, **settings: tiny_regression())
    line = f"run --dataset synthetic --method all --width 8 {QUICK}"
    assert command(monkeypatch, line, "--out", tmp_path) == 0
    start = "left out, not defined for synthetic: "
    shown = capsys.readouterr().out.splitlines()
    (left_out,) = (text.removeprefix(start) for text in shown if text.startswith(start))
    refused = [
        name
        for name in methods.available()
        if methods.get(name).needs_classes or methods.get(name).default_fusion() != "late"
    ]
    assert left_out.split(", ") == refused
    done = {path.name for path in (tmp_path / "synthetic").iterdir()}
    assert done == set(methods.available()) - set(refused)


def test_a_grid_may_hold_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "run --method ogm --grid window=[0,0],none,[0,1] --epochs 1 --jobs 1"
    assert command(monkeypatch, line, "--out", tmp_path) == 0
    windows = [run.result["config"]["hyper"]["window"] for run in benchmark.read(tmp_path)]
    assert windows == [None, [0, 0], [0, 1]]


def test_one_reason_is_given_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    line = f"run --method vanilla --seeds 3 --lr 1e12 {QUICK}"
    assert command(monkeypatch, line, "--out", tmp_path) == 2
    told = capsys.readouterr().err.splitlines()
    (error,) = [line for line in told if not line.startswith("started ")]
    assert error.startswith(
        "mimo-sim: error: digits/vanilla/seed0 and 2 more: "
        "NonFiniteError: training diverged in epoch 0"
    )


def test_seeds_may_begin_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "run --method vanilla --seeds 2 --epochs 1 --jobs 1 --first-seed 8"
    assert command(monkeypatch, line, "--out", tmp_path) == 0
    runs = benchmark.read(tmp_path)
    assert [run.seed for run in runs] == [8, 9]
    assert [run.result["config"]["settings"]["seed"] for run in runs] == [8, 9]


def test_a_diverging_run_ends_with_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert command(monkeypatch, f"run --method vanilla --lr 1e12 {QUICK}", "--out", tmp_path) == 2
    error = "digits/vanilla/seed0: NonFiniteError: training diverged in epoch 0"
    assert error in capsys.readouterr().err


def test_without_a_setting_the_default_one_is_named_in_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[benchmark.Job] = []

    def note(jobs: list[benchmark.Job], *_: Any) -> list[Any]:
        seen.extend(jobs)
        return []

    monkeypatch.setattr(benchmark, "execute", note)
    for dataset in ("avmnist", "digits"):
        line = f"run --dataset {dataset} --method vanilla --quiet"
        assert command(monkeypatch, line, "--out", tmp_path) == 0
    assert [(str(job.place), job.data.get("setting")) for job in seen] == [
        ("avmnist-A/vanilla/seed0", "A"),
        ("digits/vanilla/seed0", None),
    ]
