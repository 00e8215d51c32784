"""What claims read from the stored race is in the file, and decides their verdicts."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from paper_checks import Verdict, race
from paper_checks.claims import balance_improves_generalisation as claim
from paper_checks.claims import outperforms_on_seven_benchmarks as seven


def accuracies(method: str, dataset: str) -> dict[int, float]:
    """Test accuracy by seed, straight from the rows of the file."""
    text = gzip.decompress(race.FILE.read_bytes()).decode()
    return {
        int(row["seed"]): float(row["value"])
        for row in csv.DictReader(io.StringIO(text))
        if (row["dataset"], row["method"], row["name"])
        == (dataset, method, "metrics/test/accuracy")
    }


def test_leads_are_paired_by_seed() -> None:
    found = race.leads(race.SEARCHED, race.JOINT)
    mimo, joint = (accuracies(method, "grid--10") for method in (race.SEARCHED, race.JOINT))
    assert mimo.keys() == joint.keys()
    differences = 100 * np.array([mimo[seed] - joint[seed] for seed in mimo])
    half = stats.sem(differences) * stats.t.ppf(0.975, len(differences) - 1)
    assert found["grid -10"] == pytest.approx((differences.mean(), half, 8))


def test_without_the_file_there_are_no_leads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(race, "FILE", tmp_path / "race.csv.gz")
    assert race.leads(race.SEARCHED, race.JOINT) == {}
    evidence = claim.check(48)
    assert evidence.verdict == Verdict.NEEDS_DATA
    assert evidence.words.endswith("would decide it.")


def test_a_method_that_was_not_run_has_no_leads() -> None:
    assert race.leads("no such", race.JOINT) == {}
    assert race.leads(race.SEARCHED, "no such") == {}


def test_the_verdict_follows_the_race(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If joint training had MIMO's results and MIMO had its, there would be no support."""
    rows = gzip.decompress(race.FILE.read_bytes()).decode()
    swapped = rows.replace(f",{race.SEARCHED},", ",?,").replace(
        f",{race.JOINT},", f",{race.SEARCHED},"
    )
    assert swapped != rows
    path = tmp_path / "race.csv.gz"
    path.write_bytes(gzip.compress(swapped.replace(",?,", f",{race.JOINT},").encode()))
    assert claim.check(48).verdict == Verdict.CONDITIONAL
    before = race.leads(race.SEARCHED, race.JOINT)
    monkeypatch.setattr(race, "FILE", path)
    after = race.leads(race.SEARCHED, race.JOINT)
    for name, (mean, half, seeds) in before.items():
        assert after[name] == pytest.approx((-mean, half, seeds))
    assert claim.check(48).verdict == Verdict.NEEDS_DATA


def test_the_claim_of_the_seven_benchmarks_tells_of_avmnist_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = gzip.decompress(race.FILE.read_bytes()).decode().splitlines(keepends=True)
    grid = "".join([rows[0], *(row for row in rows if row.startswith("grid--10,"))])
    monkeypatch.setattr(race, "FILE", tmp_path / "race.csv.gz")
    race.FILE.write_bytes(gzip.compress(grid.encode()))
    assert "A first look" not in seven.check(1).words
    race.FILE.write_bytes(gzip.compress(grid.replace("grid--10,", "avmnist-A,").encode()))
    evidence = seven.check(1)
    (mean, half, _), *_ = race.leads(race.MIMO, race.JOINT).values()
    assert f"minus joint training: {mean:+.1f} ± {half:.1f} on avmnist A" in evidence.words
    assert evidence.verdict != Verdict.HOLDS
