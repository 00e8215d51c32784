"""Every method finishes on real data by one command, and learns."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mimo_sim import benchmark, methods
from tests.commands.tool import run_here

CHANCE = 0.1  # ten digits


@pytest.mark.slow
def test_every_method_learns_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = f"bench run --dataset digits --method all --seeds 1 --jobs {os.cpu_count() or 1}"
    assert run_here(monkeypatch, *words.split(), "--out", str(tmp_path), "--quiet") == 0
    runs = benchmark.read(tmp_path)
    found = {run.method: run.metrics()["accuracy"] for run in runs}
    late = {name for name in methods.available() if methods.get(name).default_fusion() == "late"}
    assert set(found) == late
    assert len(late) >= 36
    dull = {name: accuracy for name, accuracy in found.items() if accuracy < 8 * CHANCE}
    assert not dull
