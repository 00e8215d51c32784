"""A comparison as one page: tables to sort and filter, intervals, curves; it fetches nothing."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

from matplotlib.figure import Figure

from mimo_sim.benchmark.comparison import Row, caveats, rows_by_name, tuned_name
from mimo_sim.benchmark.published import published_tables
from mimo_sim.benchmark.records import FinishedRun
from mimo_sim.benchmark.remade import command_of
from mimo_sim.benchmark.tables import MARK, comparison_tables, notes, tuned_tables
from mimo_sim.benchmark.wording import known, method_words
from mimo_sim.plots._style import page_style, style
from mimo_sim.plots.benchmark.overview import draw_benchmark

TEMPLATE = Path(__file__).parent / "page.html"
DPI = 110
DIFFERENCE = 3  # the column of differences to the baseline
BAR = 110  # width of the drawn interval, in pixels
ABOVE, BELOW, UNCLEAR = "#0072B2", "#D55E00", "#777777"
CAPTIONS = {
    "gap": "Accuracy against the modality gap. At most a dozen methods have names.",
    "epochs": "Accuracies and weights over the epochs.",
    "trajectories": "Norms of the encoders, and losses, over the epochs.",
}


def comparison_page(
    runs: Sequence[FinishedRun],
    rows: Sequence[Row],
    baseline: str,
    command: str,
    curves: Sequence[str] | None = None,
) -> str:
    """A comparison as an HTML document that needs no network.

    Parameters
    ----------
    runs : sequence of FinishedRun
    rows : sequence of Row
        Of :func:`mimo_sim.benchmark.summary`.
    baseline : str
        The method that the differences are taken to.
    command : str
        What wrote the page; it is told in its head.
    curves : sequence of str, optional
        As in :func:`draw_benchmark`.
    """
    from mimo_sim import __version__

    names = list(dict.fromkeys(run.dataset for run in runs))
    pictures = {stem: _picture(figure) for stem, figure in draw_benchmark(runs, rows, curves)}
    tables = dict(zip(names, comparison_tables(rows, baseline), strict=True))
    sections = []
    for name in names:
        own = [run for run in runs if run.dataset == name]
        own_rows = [row for row in rows if row.dataset == name]
        title, header, cells = tables[name]
        parts = [
            f"<h2>{escape(title)}</h2><p>{escape(_setup(own))}</p>",
            _table(header, cells, own, own_rows, baseline),
            *_tuned(own, baseline, own_rows[0].split),
            _published(own, own_rows),
            _figures(name, pictures),
        ]
        sections.append(f'<section data-set="{escape(name)}">{"".join(parts)}</section>')
    filters = "".join(
        f'<label><input type="checkbox" value="{escape(name)}" checked> {escape(name)}</label>'
        for name in names
    )
    count = len({run.method for run in runs})
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=f"Balancing methods on {escape(', '.join(names))}",
        style=page_style(),
        about=f"{len(runs)} trainings of {count} methods. Differences are taken to "
        f"{escape(method_words(baseline))}, seed by seed.",
        command=escape(command),
        version=__version__,
        notes="".join(f"<li>{escape(line)}</li>" for line in _notes(runs, rows)),
        families="".join(f"<option>{escape(one)}</option>" for one in sorted(_families(runs))),
        filters=filters,
        sections="".join(sections),
    )


def _notes(runs: Sequence[FinishedRun], rows: Sequence[Row]) -> list[str]:
    meant = "± is half of a 95 % interval over seeds (Student's t)"
    drawn = "a drawn interval is blue above zero, orange below, grey where it holds zero"
    return [meant, drawn, *dict.fromkeys([*notes(runs, rows), *caveats(runs)])]


def _families(runs: Iterable[FinishedRun]) -> set[str]:
    return {_family(run.method) for run in runs}


def _family(name: str) -> str:
    """The family of a method, as `mimo-sim bench list` says it."""
    base = name.partition("-")[0]
    return known()[base].family if base in known() else "other"


def _setup(runs: Sequence[FinishedRun]) -> str:
    """How the runs of a data set were trained, in words."""
    config, data = runs[0].result["config"], runs[0].result["data"]
    sizes = data["sizes"]
    counts = list(sizes.values()) if isinstance(sizes, Mapping) else sizes
    settings = config["settings"]
    return (
        f"{' + '.join(data['modalities'])}; {counts[0]:,} samples to train, {counts[1]:,} to "
        f"validate, {counts[2]:,} to test. Without a remark: {settings['epochs']} epochs, batches "
        f"of {settings['batch_size']}, {settings['optimizer']} with a learning rate of "
        f"{settings['lr']:g} and weight decay of {settings['weight_decay']:g}."
    )


def _table(
    header: Sequence[str],
    cells: Sequence[Sequence[str]],
    runs: Sequence[FinishedRun],
    rows: Sequence[Row],
    baseline: str,
) -> str:
    """The comparison of one data set, with an interval and a command in each row."""
    found = rows_by_name(rows)
    main = "accuracy" if "accuracy" in {row.metric for row in rows} else "mse"
    differences = {row.method: row for row in rows if row.metric == main}
    scale = _scale(list(differences.values()))
    heads = "".join(
        f'<th scope="col"><button type="button">{escape(text)}</button></th>'
        for text in (
            text.replace(f"- {baseline}", f"− {method_words(baseline)}") for text in header
        )
    )
    lines = []
    for name, *others in cells:
        method = name.removesuffix(MARK)
        of_method = [run for run in runs if run.method == method]
        columns = [escape(text) for text in others]
        columns[DIFFERENCE - 1] += _interval(found[method, main], scale)
        shown = "".join(f"<td>{text}</td>" for text in columns)
        family = escape(_family(method))
        words = method_words(method) + MARK * (name != method)
        lines.append(
            f'<tr data-family="{family}" data-names="{escape(f"{words} {method} {family}")}"'
            f"{' class=baseline' * (method == baseline)}>"
            f'<td title="{escape(method)}">{escape(words)}</td>{shown}'
            f"<td><details><summary>show</summary><pre>{escape(command_of(of_method))}</pre>"
            "</details></td></tr>"
        )
    return (
        f'<div class="wide main"><table><thead><tr>{heads}<th scope="col">command</th></tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _scale(rows: Sequence[Row]) -> float:
    """The difference at the end of a drawn interval: what holds most of them."""
    ends = sorted(abs(row.difference) + _half(row) for row in rows if row.pairs)
    return ends[int(0.8 * (len(ends) - 1))] or 1.0 if ends else 1.0


def _half(row: Row) -> float:
    return 0.0 if math.isnan(row.difference_half_width) else row.difference_half_width


def _interval(row: Row, scale: float) -> str:
    """The paired difference and its interval, drawn; nothing for the baseline."""
    if not row.pairs:
        return ""
    low, high = row.difference - _half(row), row.difference + _half(row)
    color = ABOVE if low > 0 else BELOW if high < 0 else UNCLEAR
    left, middle, right = (
        BAR / 2 * (1 + max(-1.0, min(1.0, value / scale))) for value in (low, row.difference, high)
    )
    return (
        f'<svg width="{BAR}" height="14" aria-hidden="true"><path d="M{BAR / 2} 0V14" '
        f'stroke="#bbb"/><path d="M{left:.1f} 7H{right:.1f}" stroke="{color}" stroke-width="2"/>'
        f'<circle cx="{middle:.1f}" cy="7" r="3.5" fill="{color}"/></svg>'
    )


def _tuned(runs: Sequence[FinishedRun], baseline: str, split: str) -> Iterator[str]:
    """Tuned methods beside their defaults, where some were tuned."""
    for title, header, cells in tuned_tables(runs, baseline, split):
        words = [(method_words(name), *others) for name, *others in cells]
        heads = [
            text.replace(f"tuned {baseline}", method_words(tuned_name(baseline))) for text in header
        ]
        yield _plain_table(title, heads, words)


def _published(runs: Sequence[FinishedRun], rows: Sequence[Row]) -> str:
    """Numbers of others beside ours, where the record of the data set has some."""
    for _, header, cells in published_tables(runs, rows, all_methods=True):
        words = [(*line[:3], method_words(line[3]), *line[4:]) for line in cells]
        return _plain_table("Published beside ours", header, words, numbers=(1, 2))
    return ""


def _plain_table(
    title: str,
    header: Sequence[str],
    cells: Sequence[Sequence[str]],
    numbers: Sequence[int] | None = None,
) -> str:
    """A table with a heading; columns that are not `numbers` begin at the left."""
    kinds = [
        "" if place in (numbers or range(1, len(header) - 1)) else " class=text"
        for place in range(len(header))
    ]
    heads = "".join(
        f'<th scope="col"{kind}><button type="button">{escape(text)}</button></th>'
        for kind, text in zip(kinds, header, strict=True)
    )
    lines = (
        "".join(f"<td{kind}>{escape(text)}</td>" for kind, text in zip(kinds, line, strict=True))
        for line in cells
    )
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return (
        f"<h4>{escape(title)}</h4><div class=wide><table><thead><tr>{heads}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _figures(dataset: str, pictures: Mapping[str, str]) -> str:
    """The pictures of a data set."""
    found = []
    for stem, data in pictures.items():
        kind = stem.removeprefix(f"{dataset}-")
        if kind == stem:
            continue
        words = CAPTIONS.get(kind.partition("-")[0], f"A grid of hyper-parameters: {kind}.")
        alt = escape(f"{dataset}: {words}")
        broad = " class=broad" * kind.startswith("trajectories")
        found.append(
            f'<figure{broad}><img alt="{alt}" src="data:image/png;base64,{data}">'
            f"<figcaption>{escape(words)}</figcaption></figure>"
        )
    return f'<div class="figures">{"".join(found)}</div>'


def _picture(figure: Figure) -> str:
    """A figure as PNG, in base64."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return base64.b64encode(buffer.getvalue()).decode()
