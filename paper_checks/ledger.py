"""The ledger: every claim with its verdict and evidence, as JSON, as Markdown and as a page."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import mimo_sim as ms
from mimo_sim._files import replacing
from paper_checks.claim import Counterexample
from paper_checks.ledger_page import to_html
from paper_checks.ledger_values import PAPER, SYMBOLS, counts, notices, number, storable
from paper_checks.runner import Row

PACKAGES = ("numpy", "scipy", "torch", "numba", "hypothesis")  # whose versions are stored


# ------------------------------------------------------------------------------------- JSON


def _plain_example(example: Counterexample | None) -> dict[str, str] | None:
    if example is None:
        return None
    return {"case": example.case, "command": example.command}


def as_plain(row: Row) -> dict[str, Any]:
    """A row as plain values."""
    claim, evidence = row.claim, row.evidence
    return {
        "id": claim.id,
        "topic": claim.topic,
        "says": claim.says,
        "source": claim.source,
        "origin": claim.origin,
        "assumptions": claim.assumptions,
        "how": claim.how,
        "false_alarm": claim.false_alarm,
        "verdict": str(evidence.verdict),
        "recorded": str(claim.recorded),
        "evidence": evidence.words,
        "numbers": storable(evidence.numbers),
        "notices": notices(claim.id),
        "counterexample": _plain_example(evidence.counterexample),
        "seconds": round(row.seconds, 2),
    }


def to_json(rows: Sequence[Row], command: str) -> str:
    """The ledger as JSON."""
    versions = {name: metadata.version(name) for name in PACKAGES}
    versions["python"] = platform.python_version()
    origins: dict[str, dict[str, int]] = {}
    for row in rows:
        origin = row.claim.origin
        if origin not in origins:
            origins[origin] = counts([other for other in rows if other.claim.origin == origin])
    body = {
        "paper": PAPER,
        "package_version": ms.__version__,
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "versions": versions,
        "origins": origins,
        "counts": counts(rows),
        "claims": [as_plain(row) for row in rows],
    }
    return json.dumps(body, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


# --------------------------------------------------------------------------------- Markdown


def _cell(text: str) -> str:
    """Text for a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


def _table_line(row: Row) -> str:
    claim = row.claim
    return f"| [{claim.id}](#{claim.id}) | {_cell(claim.says)} | **{row.evidence.verdict}** |"


def _section(row: Row) -> list[str]:
    """Everything about one claim, as lines."""
    claim, evidence = row.claim, row.evidence
    alarms = f" False alarms: {claim.false_alarm}" if claim.false_alarm else ""
    lines = [
        "",
        f"## {claim.id}",
        "",
        claim.says,
        "",
        f"- **Verdict: {evidence.verdict}.** {evidence.words}",
        f"- Source: {claim.source} ({claim.origin}). Assumptions: {claim.assumptions}",
        f"- Evidence: {claim.how}, {row.seconds:.1f} s.{alarms}",
        *(f"  - {name}: {number(value)}" for name, value in evidence.numbers.items()),
    ]
    noticed = notices(claim.id)
    if noticed:
        lines.append(f"- Notices these faults, planted on purpose: {'; '.join(noticed)}.")
    example = evidence.counterexample
    if example is not None:
        lines += [f"- Counter-example: {example.case}", "", "```sh", example.command, "```"]
    return lines


def to_markdown(rows: Sequence[Row], command: str) -> str:
    """The ledger as Markdown: symbols, a table, then the evidence claim by claim."""
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts(rows).items())
    lines = [
        f"# The claims of {PAPER}, checked",
        "",
        f"{len(rows)} claims: {verdicts}. Written by `{command}` with mimo_sim {ms.__version__}. "
        "Statements of the paper are taken from a summary of it. Some rows are laws of [ZLS] and "
        "of this project, as their sources say.",
        "",
        "Symbols:",
        "",
        *(f"- `{symbol}`: {meaning}" for symbol, meaning in SYMBOLS.items()),
        "",
        "| claim | says | verdict |",
        "|---|---|---|",
        *(_table_line(row) for row in rows),
    ]
    for row in rows:
        lines += _section(row)
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------------------------ files


def write(rows: Sequence[Row], out: Path, command: str) -> list[Path]:
    """Write ledger.json, ledger.md and ledger.html into `out`, all or none.

    Parameters
    ----------
    rows : sequence of Row
        What the checks found.
    out : Path
        Folder; created if it is missing.
    command : str
        The command that made the ledger, to be told in it.
    """
    texts = {
        "ledger.json": to_json(rows, command),
        "ledger.md": to_markdown(rows, command),
        "ledger.html": to_html(rows, command),
    }
    with ExitStack() as stack:
        for name, text in texts.items():
            stack.enter_context(replacing(out / name)).write_text(text, encoding="utf-8")
    return [out / name for name in texts]
