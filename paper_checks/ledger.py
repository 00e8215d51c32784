"""The ledger: every claim with its verdict and evidence, as JSON, Markdown and one self-contained HTML page."""

from __future__ import annotations

import base64
import html
import io
import json
import platform
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from string import Template
from typing import Any

from matplotlib.figure import Figure

import mimo_sim as ms
from mimo_sim._files import replacing
from paper_checks.claim import Verdict
from paper_checks.faults import FAULTS
from paper_checks.runner import Row

PAPER = "arXiv:2511.06686"
COLORS = {  # of the verdict's label: text, background; contrast above 4.5 : 1
    Verdict.HOLDS: ("#05503a", "#d3f1e4"),
    Verdict.CONDITIONAL: ("#5c4400", "#fbeabf"),
    Verdict.REFUTED: ("#7a2200", "#fbdccd"),
    Verdict.OPEN: ("#123f66", "#d6e8f8"),
    Verdict.NEEDS_DATA: ("#444444", "#e6e6e6"),
}


def as_plain(row: Row) -> dict[str, Any]:
    """A row as plain values."""
    claim, evidence, example = row.claim, row.evidence, row.evidence.counterexample
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
        "numbers": evidence.numbers,
        "notices": notices(claim.id),
        "counterexample": None
        if example is None
        else {"case": example.case, "command": example.command},
        "seconds": round(row.seconds, 2),
    }


def notices(name: str) -> list[str]:
    """The planted faults that the claim called `name` is known to notice (`paper_checks/test_faults.py` holds it to that)."""
    return [fault.what for fault in FAULTS if name in fault.caught_by]


def counts(rows: Sequence[Row]) -> dict[str, int]:
    """How many rows have each verdict, those that occur."""
    return {
        str(verdict): n
        for verdict in Verdict
        if (n := sum(row.evidence.verdict == verdict for row in rows))
    }


def to_json(rows: Sequence[Row], command: str) -> str:
    """The ledger as JSON."""
    versions = {
        name: metadata.version(name) for name in ("numpy", "scipy", "torch", "numba", "hypothesis")
    } | {"python": platform.python_version()}
    origins = {
        name: counts([row for row in rows if row.claim.origin == name])
        for name in dict.fromkeys(row.claim.origin for row in rows)
    }
    stamp = {"date": datetime.now(UTC).date().isoformat(), "versions": versions, "origins": origins}
    head = {"paper": PAPER, "package_version": ms.__version__, "command": command, **stamp}
    body = {**head, "counts": counts(rows), "claims": [as_plain(row) for row in rows]}
    return json.dumps(body, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def to_markdown(rows: Sequence[Row], command: str) -> str:
    """The ledger as Markdown: a table, then the evidence claim by claim."""
    lines = [
        f"# The claims of {PAPER}, checked",
        "",
        f"{len(rows)} claims: "
        + ", ".join(f"{n} {name}" for name, n in counts(rows).items())
        + f". Written by `{command}` with mimo_sim {ms.__version__}. "
        "Statements of the paper are taken from a summary of it; some rows are laws of [ZLS] and of this project, as their sources say.",
        "",
        "| claim | says | verdict |",
        "|---|---|---|",
        *(
            f"| [{row.claim.id}](#{row.claim.id}) | {_cell(row.claim.says)} | **{row.evidence.verdict}** |"
            for row in rows
        ),
    ]
    for row in rows:
        claim, evidence = row.claim, row.evidence
        lines += [
            "",
            f"## {claim.id}",
            "",
            f"{claim.says}",
            "",
            f"- **Verdict: {evidence.verdict}.** {evidence.words}",
            f"- Source: {claim.source} ({claim.origin}). Assumptions: {claim.assumptions}",
            f"- Evidence: {claim.how}, {row.seconds:.1f} s."
            + (f" False alarms: {claim.false_alarm}" if claim.false_alarm else ""),
            *(f"  - {name}: {_number(value)}" for name, value in evidence.numbers.items()),
        ]
        if noticed := notices(claim.id):
            lines += [f"- Notices when, planted on purpose: {'; '.join(noticed)}."]
        if evidence.counterexample is not None:
            lines += [
                f"- Counter-example: {evidence.counterexample.case}",
                "",
                "```sh",
                evidence.counterexample.command,
                "```",
            ]
    return "\n".join(lines) + "\n"


def _number(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_number(part)}" for name, part in value.items())
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ", ".join(map(_number, value)) if isinstance(value, list | tuple) else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _picture(row: Row) -> str:
    """The claim's plot as an image tag, or nothing."""
    if row.evidence.plot is None:
        return ""
    from mimo_sim import plots

    with plots.style():
        figure = Figure(figsize=(5.2, 3.3), layout="constrained")
        row.evidence.plot(figure.add_subplot())
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="Plot of the evidence for {html.escape(row.claim.id)}" src="data:image/svg+xml;base64,{data}">'


def _card(row: Row) -> str:
    claim, evidence, example = row.claim, row.evidence, row.evidence.counterexample
    text = {name: html.escape(str(value)) for name, value in vars(claim).items()}
    numbers = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(_number(value))}</td></tr>"
        for name, value in evidence.numbers.items()
    )
    against = ""
    if example is not None:
        against = f"<h4>Counter-example</h4><p>{html.escape(example.case)}</p><pre>{html.escape(example.command)}</pre>"
    alarm = f"<br>False alarms: {text['false_alarm']}" if claim.false_alarm else ""
    teeth = (
        f"<br>Notices when, planted on purpose: {html.escape('; '.join(notices(claim.id)))}."
        if notices(claim.id)
        else ""
    )
    changed = (
        ""
        if row.as_recorded
        else f'<p class="changed">Recorded verdict: {html.escape(str(claim.recorded))}</p>'
    )
    return f"""<article id="{text["id"]}" data-verdict="{evidence.verdict}">
<h3><a href="#{text["id"]}">{text["id"]}</a><span class="verdict {str(evidence.verdict).replace(" ", "-")}">{evidence.verdict}</span></h3>
<p class="says">{text["says"]}</p>{changed}
<p>{html.escape(evidence.words)}</p>
<details><summary>Evidence: {text["how"]}, {row.seconds:.1f} s</summary>
<div class="evidence"><div><table>{numbers}</table>{against}
<p class="source">Source: {text["source"]} ({html.escape(claim.origin)})<br>Assumptions: {text["assumptions"]}{alarm}{teeth}</p></div>
{_picture(row)}</div></details>
</article>"""


def to_html(rows: Sequence[Row], command: str) -> str:
    """The ledger as one page that needs nothing else: search, filter by verdict, plots inline."""
    colors = "".join(
        f".{str(v).replace(' ', '-')}{{color:{fg};background:{bg}}}"
        for v, (fg, bg) in COLORS.items()
    )
    filters = "".join(
        f'<label><input type="checkbox" value="{name}" checked> {name} ({n})</label>'
        for name, n in counts(rows).items()
    )
    topics = dict.fromkeys(row.claim.topic for row in rows)
    sections = "".join(
        f"<section><h2>{html.escape(topic)}</h2>{''.join(_card(row) for row in rows if row.claim.topic == topic)}</section>"
        for topic in topics
    )
    page = Template((Path(__file__).parent / "ledger_page.html").read_text(encoding="utf-8"))
    return page.substitute(
        paper=PAPER,
        colors=colors,
        number=len(rows),
        command=html.escape(command),
        version=ms.__version__,
        filters=filters,
        sections=sections,
    )


def write(rows: Sequence[Row], out: Path, command: str) -> list[Path]:
    """Write ledger.json, ledger.md and ledger.html into `out`, all or none."""
    texts = {
        "ledger.json": to_json(rows, command),
        "ledger.md": to_markdown(rows, command),
        "ledger.html": to_html(rows, command),
    }
    with ExitStack() as stack:
        for name, text in texts.items():
            stack.enter_context(replacing(out / name)).write_text(text, encoding="utf-8")
    return [out / name for name in texts]
