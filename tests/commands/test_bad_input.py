"""What the command line refuses before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.tool import run_here

REFUSED = [
    ("sweep --axis rho=false --out s.nc", "`rho` must be a number. Got rho=False"),
    ("sweep --axis rho=0.1 --seeds -1 --out s.nc", "`seeds` must have at least one value"),
    ("sweep --axis rho=0.1 --seeds 1000000000000 --out s.nc", "`seeds` must be <= 10,000,000"),
    ("bench run --seeds -1", "`--seeds` must be >= 1 and <= 100,000. Got -1"),
    ("bench run --seeds 1000000000000", "`--seeds` must be >= 1 and <= 100,000. Got 1000000000000"),
    ("bench run --dataset synthetic --data problem=superficail", "Did you mean 'superficial'?"),
    ("bench run --accelerator tpu", "torch finds no tpu device"),
    (
        "bench run --accelerator cpu --devices 64000 --batch-size 64000",
        "`devices` must be at most",
    ),
    ("data prepare avmnist --option progress=3", "`progress` must be True or False"),
]


@pytest.mark.parametrize(("line", "words"), REFUSED)
def test_refused_before_any_work(
    line: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_here(monkeypatch, *line.split()) == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []
