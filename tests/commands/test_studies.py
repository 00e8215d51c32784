"""`mimo-sim study`: whole files that their summaries describe, and refusals in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import mimo_sim as ms
from mimo_sim.commands import fusion, studies
from mimo_sim.studies import zls
from tests.commands.tool import run_here


def test_the_command_writes_whole_files_that_its_summary_describes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run_here(
            monkeypatch,
            "study",
            "zls",
            "--out",
            str(tmp_path),
            "--seeds",
            "1",
            "--steps",
            "5000",
            "--init-scale",
            "1e-4",
        )
        == 0
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"phase_zls.{suffix}" for suffix in ("json", "nc", "pdf", "png", "svg")
    ]
    summary, data = (
        json.loads((tmp_path / "phase_zls.json").read_text()),
        ms.load(tmp_path / "phase_zls.nc"),
    )
    assert summary.items() >= zls.summarise(data).items()
    assert summary["command"].startswith("mimo-sim study zls --out")
    assert "largest error of the predicted time ratio" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("phase", "--grid", "1"), "`--grid` must be >= 2"),
        (("phase", "--init-scale", "0"), "`init_scale` must lie in (0, 1). Got init_scale=0.0."),
        (("score", "--problems", "3"), "`problems` must be"),
        (("score", "--init-scale", "-1"), "`init_scale` must lie in (0, 1). Got init_scale=-1.0."),
        (("zls", "--init-scale", "1"), "`init_scale` must lie in (0, 1). Got init_scale=1.0."),
        (("scatter", "--init-scale", "nan"), "`init_scale` must lie in (0, 1). Got"),
        (("k", "--problems", "0"), "`problems` must be >= 1. Got"),
        (("fstar", "--seeds", "0"), "`seeds` must be >= 1. Got"),
    ],
)
def test_the_commands_refuse_in_one_sentence(
    arguments: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_here(monkeypatch, "study", *arguments, "--out", str(tmp_path)) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("always::mimo_sim.UnconvergedWarning")
@pytest.mark.parametrize(
    ("arguments", "stem", "words", "unknown"),
    [
        (
            "zls --steps 50 --seeds 1",
            "phase_zls",
            "Only 14 of 36 runs learned both modalities in 50 steps. Raise `steps`",
            [],
        ),
        (
            "scatter --steps 4 --problems 3",
            "phase_scatter",
            "The earliest half-time is step 4, too few for ratios of times. Raise `steps`.",
            ["limit", "correlation"],
        ),
        (
            "score --problems 20 --init-scale 0.9",
            "phase_score",
            "In none of 20 races both modalities were learned: there are no gains in learning time."
            " Lower `init_scale`",
            ["learning_gain", "median"],
        ),
    ],
)
def test_a_number_that_could_not_be_measured_is_null_and_a_sentence_says_why(
    arguments: str,
    stem: str,
    words: str,
    unknown: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_here(monkeypatch, "study", *arguments.split(), "--out", str(tmp_path)) == 0
    said = capsys.readouterr().err
    assert said.startswith("mimo-sim: warning: ")
    assert words in said
    assert said.count("\n") == 1
    assert (tmp_path / f"{stem}.nc").is_file()
    found = json.loads((tmp_path / f"{stem}.json").read_text(), parse_constant=pytest.fail)
    for key in unknown[:-1]:
        found = found[key]
    assert not unknown or found[unknown[-1]] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            "zls --init-scale 0.99 --seeds 1 --steps 100",
            "None of 36 runs learned both modalities in 100 steps. Raise `steps`, or lower"
            " `init_scale`.",
        ),
        ("scatter --init-scale 0.99 --problems 3 --steps 100", "None of 3 runs learned both"),
        (
            "score --problems 20 --lam 1e8",
            "for any of these races to be run. Got max_steps=1,048,576. Raise it or `mu`, or lower"
            " `lam`.",
        ),
    ],
)
def test_a_study_of_which_nothing_would_be_left_says_what_to_change(
    arguments: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_here(monkeypatch, "study", *arguments.split(), "--out", str(tmp_path)) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_all_studies_are_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever `mimo-sim study --help` lists: a new study must not be forgotten."""
    assert run_here(monkeypatch, "study", "--help") == 0
    listed = capsys.readouterr().out.partition("Commands:")[2].split("\n  ")
    names = {line.split()[0] for line in listed if line.strip() and not line.startswith(" ")}
    assert names > {"all", "zls", "fusion"}
    ran: list[str] = []
    for name in names - {"all"}:
        module = fusion if name == "fusion" else studies

        def record(out: Path, *, quiet: bool, name: str = name) -> None:
            assert (out, quiet) == (tmp_path, True)
            ran.append(name)

        monkeypatch.setattr(module, name, record)
    assert run_here(monkeypatch, "study", "all", "--out", str(tmp_path), "--quiet") == 0
    assert sorted(ran) == sorted(names - {"all"})
