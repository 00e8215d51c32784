"""Every verdict is the recorded one, every counter-example shows itself, the ledger tells all."""

from __future__ import annotations

import json
import math
import re
import shlex
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import mimo_sim as ms
import paper_checks
from mimo_sim.cli import main
from paper_checks import Row, Verdict, ledger
from paper_checks.ledger_page import to_html
from paper_checks.runner import run_claim
from tests import processes

ROOT = Path(__file__).resolve().parents[2]
CLAIMS = paper_checks.discover()
pytestmark = pytest.mark.usefixtures("dynamic_sizes")
FEW = 60  # random cases of a check; the ledger, and a slow test, take all


@pytest.fixture(scope="session")
def rows() -> dict[str, Row]:
    return {}


def row_of(name: str, rows: dict[str, Row]) -> Row:
    """The claim's row, checked once per session with few random cases."""
    if name not in rows:
        rows[name] = run_claim(CLAIMS[name], FEW)
    return rows[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", CLAIMS)
def test_the_verdict_of_all_cases_is_the_recorded_one(name: str) -> None:
    (row,) = paper_checks.run_claims([name])
    assert row.evidence.verdict == row.claim.recorded, row.evidence.words


@pytest.mark.parametrize("name", CLAIMS)
def test_the_verdict_is_the_recorded_one(name: str, rows: dict[str, Row]) -> None:
    row = row_of(name, rows)
    assert row.evidence.verdict == row.claim.recorded, row.evidence.words
    assert row.evidence.words
    assert row.evidence.numbers


@pytest.mark.parametrize("name", CLAIMS)
def test_a_counter_example_shows_itself_in_one_line(name: str, rows: dict[str, Row]) -> None:
    example = row_of(name, rows).evidence.counterexample
    if example is None:
        assert CLAIMS[name].CLAIM.recorded not in (Verdict.REFUTED, Verdict.CONDITIONAL)
        return
    assert "\n" not in example.command
    words = shlex.split(example.command)
    assert words[:2] == ["python", "-c"]
    done = processes.python(words[2])
    assert done.returncode == 0, done.stderr
    assert re.search(r"\d", done.stdout)


def test_every_topic_of_the_paper_has_a_claim() -> None:
    topics = {int(module.CLAIM.topic.split()[0]) for module in CLAIMS.values()}
    assert set(range(1, 13)) <= topics
    assert all(
        module.CLAIM.says.endswith(".") and module.CLAIM.source and module.CLAIM.assumptions
        for module in CLAIMS.values()
    )


@pytest.mark.parametrize("name", CLAIMS)
def test_statistical_checks_state_their_false_alarm_rate(name: str) -> None:
    claim = CLAIMS[name].CLAIM
    assert bool(claim.false_alarm) == (claim.how == "statistical")
    assert not claim.false_alarm or re.search(r"\d", claim.false_alarm)


class Outline(HTMLParser):
    """What a browser would need and find."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.articles: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.fetched += [
            str(values[name])
            for name in ("src", "href")
            if name in values and not str(values[name]).startswith(("data:", "#"))
        ]
        if tag == "article":
            self.articles.append(str(values["id"]))
        if tag not in ("meta", "input", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_ledger_tells_every_claim_in_three_formats(
    rows: dict[str, Row], tmp_path: Path
) -> None:
    every = [row_of(name, rows) for name in CLAIMS]
    json_path, markdown, page = ledger.write(every, tmp_path, "mimo-sim check")
    stored = json.loads(json_path.read_text())
    assert [claim["id"] for claim in stored["claims"]] == list(CLAIMS)
    assert sum(stored["counts"].values()) == len(CLAIMS)
    outline = Outline()
    outline.feed(page.read_text())
    assert outline.articles == list(CLAIMS)
    assert outline.fetched == []  # self-contained
    assert outline.open == []
    text = markdown.read_text()
    assert all(f"\n## {name}\n" in text for name in CLAIMS)
    assert any(row.evidence.plot is not None for row in every)


def test_numbers_that_are_not_finite_do_not_cost_the_ledger(
    rows: dict[str, Row], tmp_path: Path
) -> None:
    row = row_of("smoothed-maximum-bounds", rows)
    odd = {"nothing": math.nan, "endless": [math.inf, 1.0], "deep": {"minus": -math.inf}}
    evidence = replace(row.evidence, numbers=odd)
    json_path, markdown, _ = ledger.write([replace(row, evidence=evidence)], tmp_path, "check")
    stored = json.loads(json_path.read_text(), parse_constant=pytest.fail)["claims"][0]["numbers"]
    assert stored == {"nothing": None, "endless": ["inf", 1.0], "deep": {"minus": "-inf"}}
    assert "nothing: nan" in markdown.read_text()


def test_text_in_the_page_is_escaped(rows: dict[str, Row]) -> None:
    row = row_of("smoothed-maximum-bounds", rows)
    page = to_html(
        [replace(row, claim=replace(row.claim, says="<script>alert(1)</script> & $x"))],
        "mimo-sim check",
    )
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; $x" in page


def test_a_changed_verdict_is_told_and_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = CLAIMS["smoothed-maximum-bounds"]
    monkeypatch.setattr(module, "CLAIM", replace(module.CLAIM, recorded=Verdict.REFUTED))
    monkeypatch.setattr(sys, "argv", ["mimo-sim", "check", "--claim", "smoothed-maximum-bounds"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    assert "smoothed-maximum-bounds: recorded 'refuted', found 'holds'." in capsys.readouterr().err


def test_recorded_verdicts_exit_with_0_and_an_unknown_claim_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, code in (("smoothed-maximum-bounds", 0), ("no-such-claim", 2)):
        monkeypatch.setattr(sys, "argv", ["mimo-sim", "check", "--claim", name, "--quiet"])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert (stopped.value.code or 0) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert "`claim` must be the id of a claim" in told.err


def test_checks_are_the_same_every_time() -> None:
    module = CLAIMS["smoothed-maximum-bounds"]
    assert run_claim(module, 50).evidence.numbers == run_claim(module, 50).evidence.numbers


def test_claims_can_be_listed_and_a_slip_is_answered_with_a_guess(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["mimo-sim", "check", "--list"])
    with pytest.raises(SystemExit):
        main()
    assert sorted(capsys.readouterr().out.split()) == sorted(CLAIMS)
    with pytest.raises(ValueError, match="did you mean twenty-times-headline"):
        paper_checks.discover(["twenty-times-headlin"])


def test_a_part_does_not_overwrite_a_whole_ledger(
    rows: dict[str, Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.write(
        [row_of(name, rows) for name in ("smoothed-maximum-bounds", "twenty-times-headline")],
        tmp_path,
        "mimo-sim check",
    )
    before = (tmp_path / "ledger.json").read_bytes()
    monkeypatch.setattr(
        sys,
        "argv",
        ["mimo-sim", "check", "--claim", "twenty-times-headline", "--out", str(tmp_path)],
    )
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert (tmp_path / "ledger.json").read_bytes() == before


def test_the_stored_ledger_is_of_this_version_and_has_the_recorded_verdicts() -> None:
    stored = json.loads((ROOT / "paper_checks" / "ledger" / "ledger.json").read_text())
    assert stored["package_version"] == ms.__version__
    found = {row["id"]: row["verdict"] for row in stored["claims"]}
    assert found == {name: module.CLAIM.recorded.value for name, module in CLAIMS.items()}
