"""Audio-visual data sets from bytes in their true formats: prepare, verify, train, table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mimo_sim.cli import app
from tests.datasets._clips import MAKERS

SMALL = {"size": 32, "frames": 2}
OPTIONS = [word for key, value in SMALL.items() for word in ("--option", f"{key}={value}")]
DATA = [word for key, value in SMALL.items() for word in ("--data", f"{key}={value}")]


def run(*words: Any, expect: int = 0) -> Any:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == expect, done.output + repr(done.exception)
    return done


def prepare(name: str, root: Path, *more: str, expect: int = 0) -> Any:
    words = ("data", "prepare", name, "--root", root, "--preset", "paper", *OPTIONS, *more)
    return run(*words, expect=expect)


SLOW = ("kinetics_sounds", "ave")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in MAKERS]
)
def test_raw_clips_are_prepared_verified_trained_and_compared(name: str, tmp_path: Path) -> None:
    clips = 40
    MAKERS[name](tmp_path, clips)
    done = prepare(name, tmp_path, "--jobs", "2")
    assert "8 / 8 test" in done.stdout
    assert "40 samples are as expected" in run("data", "verify", name, "--root", tmp_path).stdout
    done = run(
        *("bench", "run", "--dataset", name, "--method", "mimo", "--preset", "paper", *DATA),
        *("--root", tmp_path, "--out", tmp_path / "results", "--jobs", "1", "--epochs", "8"),
        *("--encoder", "audio=lenet,video=frames", "--lr", "0.003", "--batch-size", "8"),
        *("--accelerator", "cpu"),
    )
    (result,) = (tmp_path / "results").rglob("result.json")
    found = json.loads(result.read_text())
    assert found["metrics"]["test"]["accuracy"] >= 0.75  # chance is at most 1/4
    for accuracy in found["metrics"]["test"]["unimodal"]["probe"].values():
        assert accuracy >= 0.6
    assert found["data"]["splits"]["test"] == {"listed": 8, "kept": 8}
    assert "mimo" in run("bench", "compare", tmp_path / "results", "--mixed").stdout
