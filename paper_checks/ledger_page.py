"""The ledger as one page: search, filter by verdict, plots inline. It fetches nothing."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from string import Template

from matplotlib.figure import Figure

import mimo_sim as ms
from paper_checks.claim import Verdict
from paper_checks.ledger_values import PAPER, SYMBOLS, counts, notices, number
from paper_checks.runner import Row

TEMPLATE = Path(__file__).parent / "ledger_page.html"
# Of a verdict's label: text and background. Their contrast is above 4.5 : 1.
COLORS = {
    Verdict.HOLDS: ("#05503a", "#d3f1e4"),
    Verdict.CONDITIONAL: ("#5c4400", "#fbeabf"),
    Verdict.REFUTED: ("#7a2200", "#fbdccd"),
    Verdict.OPEN: ("#123f66", "#d6e8f8"),
    Verdict.NEEDS_DATA: ("#444444", "#e6e6e6"),
}


def _class(verdict: Verdict) -> str:
    """The name of a verdict's CSS class."""
    return str(verdict).replace(" ", "-")


def _picture(row: Row) -> str:
    """The claim's plot as an image tag, or nothing."""
    if row.evidence.plot is None:
        return ""
    with ms.plots.style():
        figure = Figure(figsize=(5.2, 3.3), layout="constrained")
        row.evidence.plot(figure.add_subplot())
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    data = base64.b64encode(buffer.getvalue()).decode()
    label = f"Plot of the evidence for {html.escape(row.claim.id)}"
    return f'<img alt="{label}" src="data:image/svg+xml;base64,{data}">'


def _numbers(row: Row) -> str:
    """The numbers of the evidence as a table."""
    lines = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(number(value))}</td></tr>"
        for name, value in row.evidence.numbers.items()
    )
    return f"<table>{lines}</table>"


def _example(row: Row) -> str:
    """The counter-example, or nothing."""
    example = row.evidence.counterexample
    if example is None:
        return ""
    return (
        f"<h4>Counter-example</h4><p>{html.escape(example.case)}</p>"
        f"<pre>{html.escape(example.command)}</pre>"
    )


def _source(row: Row) -> str:
    """Where the claim comes from, what it assumes, and which faults its check notices."""
    claim = row.claim
    parts = [
        f"Source: {claim.source} ({claim.origin})",
        f"Assumptions: {claim.assumptions}",
    ]
    if claim.false_alarm:
        parts.append(f"False alarms: {claim.false_alarm}")
    noticed = notices(claim.id)
    if noticed:
        parts.append(f"Notices these faults, planted on purpose: {'; '.join(noticed)}.")
    return "<br>".join(html.escape(part) for part in parts)


def _card(row: Row) -> str:
    """Everything about one claim."""
    claim, evidence = row.claim, row.evidence
    id = html.escape(claim.id)
    changed = ""
    if not row.as_recorded:
        changed = f'<p class="changed">Recorded verdict: {html.escape(str(claim.recorded))}</p>'
    label = f'<span class="verdict {_class(evidence.verdict)}">{evidence.verdict}</span>'
    return f"""<article id="{id}" data-verdict="{evidence.verdict}">
<h3><a href="#{id}">{id}</a>{label}</h3>
<p class="says">{html.escape(claim.says)}</p>{changed}
<p>{html.escape(evidence.words)}</p>
<details><summary>Evidence: {html.escape(claim.how)}, {row.seconds:.1f} s</summary>
<div class="evidence"><div>{_numbers(row)}{_example(row)}
<p class="source">{_source(row)}</p></div>
{_picture(row)}</div></details>
</article>"""


def _section(topic: str, rows: Sequence[Row]) -> str:
    """All claims of one topic."""
    cards = "".join(_card(row) for row in rows if row.claim.topic == topic)
    return f"<section><h2>{html.escape(topic)}</h2>{cards}</section>"


def verdict_style() -> str:
    """The CSS of the verdicts' labels."""
    return "".join(
        f".{_class(verdict)}{{color:{text};background:{background}}}"
        for verdict, (text, background) in COLORS.items()
    )


def to_html(rows: Sequence[Row], command: str) -> str:
    """The ledger as a page. `command`, which made it, is told in its head."""
    filters = "".join(
        f'<label><input type="checkbox" value="{verdict}" checked> {verdict} ({count})</label>'
        for verdict, count in counts(rows).items()
    )
    symbols = "".join(
        f"<tr><th>{html.escape(symbol)}</th><td>{html.escape(meaning)}</td></tr>"
        for symbol, meaning in SYMBOLS.items()
    )
    topics = dict.fromkeys(row.claim.topic for row in rows)
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        paper=PAPER,
        style=ms.plots.page_style(),
        colors=verdict_style(),
        number=len(rows),
        command=html.escape(command),
        version=ms.__version__,
        filters=filters,
        symbols=symbols,
        sections="".join(_section(topic, rows) for topic in topics),
    )
