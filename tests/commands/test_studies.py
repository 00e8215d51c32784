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
