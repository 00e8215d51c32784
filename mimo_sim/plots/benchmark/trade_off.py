"""Accuracy against modality gap: one mark per method, and the methods that none beats in both."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mimo_sim.benchmark.comparison import Row, rows_by_name
from mimo_sim.benchmark.curves import CURVES
from mimo_sim.benchmark.wording import dataset_words, method_words
from mimo_sim.plots._style import style
from mimo_sim.plots.benchmark.looks import LEGEND_TEXT, LETTER_WIDTH, Look, legend_entry

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BASELINE = CURVES[0]
FAR = 10.0  # points of accuracy; methods further below the best would squeeze all others
WIDEST = 2.5  # bars that would stretch a panel by more than this factor are cut
CLOUD: dict[str, Any] = {"color": "0.78", "marker": ".", "ms": 7}
FRONT: dict[str, Any] = {"color": "0.75", "lw": 1.0, "marker": "o", "mfc": "none", "mec": "0.45"}


@dataclass(frozen=True)
class Point:
    """Where a method stands, horizontally (gap) and vertically (accuracy), in percent."""

    place: tuple[float, float]
    half_widths: tuple[float, float]  # 0 where there is one seed only

    def ends(self, axis: int) -> tuple[float, float]:
        """The ends of the bar along an axis."""
        centre, half = self.place[axis], self.half_widths[axis]
        return centre - half, centre + half


def pareto_front(places: Mapping[str, tuple[float, float]]) -> list[str]:
    """The methods that no other one beats, sorted by their gap.

    A method beats another if its gap is not larger and its accuracy not lower, and one of them
    differs.

    Parameters
    ----------
    places : mapping
        Method -> (gap, accuracy).
    """

    def is_beaten(place: tuple[float, float]) -> bool:
        gap, accuracy = place
        return any(
            other != place and other[0] <= gap and other[1] >= accuracy for other in places.values()
        )

    best = [name for name, place in places.items() if not is_beaten(place)]
    return sorted(best, key=places.__getitem__)


def worth_drawing(rows: Sequence[Row], names: Iterable[str]) -> list[str]:
    """The methods among `names` that a panel has room for.

    They are within 10 points of the best accuracy, or at least as good as joint training.
    """
    accuracy = {row.method: row.mean for row in rows if row.metric == "accuracy"}
    names = list(names)
    least = max(accuracy[name] for name in names) - FAR / 100
    least = min(least, accuracy.get(BASELINE, least))
    return [name for name in names if accuracy[name] >= least]


def draw_gap(
    rows: Sequence[Row], looks: Mapping[str, Look], named: Sequence[str] | None = None
) -> Figure:
    """Joint accuracy against the modality gap of linear probes: one mark per method.

    Bars are intervals over seeds. A line joins the named methods that none of them beats in both.

    Parameters
    ----------
    rows : sequence of Row
        Of one data set.
    looks : mapping
        Of :func:`method_looks`.
    named : sequence of str, optional
        Methods with a mark and a name; the others are light dots. By default all are named.
    """
    accuracy = {row.method: row.mean for row in rows if row.metric == "accuracy"}
    with_gap = {row.method for row in rows if row.metric == "gap/probe"}
    best_first = sorted(accuracy, key=accuracy.__getitem__, reverse=True)
    both = [name for name in best_first if name in with_gap]
    shown = {name: looks[name] for name in both if named is None or name in named}
    cloud = [name for name in both if name not in shown]
    entries = [legend_entry(method_words(name), shown[name]) for name in worth_drawing(rows, shown)]
    with style():
        figure, _, _ = draw_trade_off(rows, shown, entries, "by accuracy", cloud)
    return figure


def draw_trade_off(
    rows: Sequence[Row],
    looks: Mapping[str, Look],
    entries: Sequence[Line2D],
    title: str,
    cloud: Sequence[str] = (),
) -> tuple[Figure, Axes, dict[str, tuple[float, float]]]:
    """A panel of accuracy against gap, with its legend beside it and its notes below.

    Parameters
    ----------
    rows : sequence of Row
        Of one data set.
    looks : mapping
        The methods to show. Those that are not :func:`worth_drawing` are named in the notes.
    entries : sequence of Line2D
        Of the legend.
    title : str
        Of the legend.
    cloud : sequence of str
        Methods that are light dots without a name; the notes count those that are far.

    Returns
    -------
    Figure, Axes, dict
        The dict holds the (gap, accuracy) of every mark, in percent.
    """
    metrics = rows_by_name(rows)
    shown = worth_drawing(rows, looks)
    points = {name: _point(metrics, name) for name in shown}
    places = {name: point.place for name, point in points.items()}
    far = [
        f"{method_words(name)} ({100 * metrics[name, 'accuracy'].mean:.1f} %)"
        for name in looks
        if name not in points
    ]
    best = legend_entry("none named is better in both", FRONT, ls="-", ms=9)
    entries = [*entries, best]
    near = [name for name in worth_drawing(rows, [*looks, *cloud]) if name in cloud]
    others = [Point(_point(metrics, name).place, (0.0, 0.0)) for name in near]
    if others:
        entries.append(legend_entry(_others(len(others)), CLOUD))
    longest_label = max(len(str(entry.get_label())) for entry in entries)
    width = 6.2 + LETTER_WIDTH * longest_label  # of the figure, in inches, as all lengths below
    if len(near) < len(cloud):
        far.append(_others(len(cloud) - len(near)))
    lines = []
    if far:
        words = f"not drawn, over {FAR:g} points below the best: {', '.join(far)}"
        lines = textwrap.wrap(words, int((width - 0.8) / LETTER_WIDTH), break_on_hyphens=False)
    low = 0.75 + 0.14 * len(lines)
    height = max(4.2, 0.185 * (len(entries) + 1) + 0.9) + low - 0.75
    figure = Figure(figsize=(width, height))
    ax = figure.add_axes((0.7 / width, low / height, 4.7 / width, 1 - (low + 0.35) / height))
    front = [places[name] for name in pareto_front(places)]
    ax.plot(*zip(*front, strict=True), **FRONT, ms=13, zorder=1)
    cut = []
    for axis, name in enumerate(("horizontal", "vertical")):
        go_on_beyond = _draw_bars(ax, axis, points, looks, others)
        if go_on_beyond:
            cut.append(name)
    for point in others:
        ax.plot(*point.place, **CLOUD, ls="", zorder=1)
    for name in shown:
        ax.plot(*places[name], **looks[name], ms=6, ls="", zorder=3)
    lines.insert(0, _about_bars({metrics[name, "accuracy"].n for name in shown}, cut))
    figure.text(0.7 / width, 0.1 / height, "\n".join(lines), fontsize=7.5, color="0.3")
    dataset, split = rows[0].dataset, rows[0].split
    ax.set(
        xlabel="modality gap: largest - smallest probe accuracy (points)",
        ylabel=f"joint {split} accuracy (%)",
        title=f"{dataset_words(dataset)}, {split} split",
    )
    figure.legend(
        handles=entries,
        loc="upper left",
        bbox_to_anchor=(5.6 / width, 1 - 0.3 / height),
        title=title,
        **LEGEND_TEXT,
    )
    return figure, ax, places


def _others(count: int) -> str:
    return f"{count} other {'method' if count == 1 else 'methods'}"


def _point(metrics: Mapping[tuple[str, str], Row], name: str) -> Point:
    rows = [metrics[name, "gap/probe"], metrics[name, "accuracy"]]
    gap, accuracy = (round(100 * row.mean, 9) for row in rows)  # so that equal counts are equal
    half_gap, half_accuracy = (
        0.0 if math.isnan(row.half_width) else 100 * row.half_width for row in rows
    )
    return Point((gap, accuracy), (half_gap, half_accuracy))


def _draw_bars(
    ax: Axes,
    axis: int,
    points: Mapping[str, Point],
    looks: Mapping[str, Look],
    others: Sequence[Point],
) -> bool:
    """Set the limits of an axis and draw the bars along it; `others` need room, too.

    Returns whether some bars go on beyond the limits.
    """
    low, high = _limits([*points.values(), *others], axis)
    if axis == 0:
        ax.set_xlim(low, high)
    else:
        ax.set_ylim(low, high)
    ends = [end for point in points.values() for end in point.ends(axis)]
    beyond = not low <= min(ends) <= max(ends) <= high
    for name, point in points.items():
        half_width = point.half_widths[axis]
        ax.errorbar(
            *point.place,
            xerr=half_width if axis == 0 else None,
            yerr=half_width if axis == 1 else None,
            ecolor=looks[name]["color"],
            alpha=0.15 if beyond else 0.4,
            fmt="none",
            elinewidth=0.6,
            zorder=2,
        )
    return beyond


def _limits(points: Sequence[Point], axis: int) -> tuple[float, float]:
    """Ends of an axis that holds all bars; only the marks if bars need far more room."""
    centres = [point.place[axis] for point in points]
    margin = max(1.0, 0.15 * (max(centres) - min(centres)))
    low, high = min(centres) - margin, max(centres) + margin
    lowest = min(low, *(point.ends(axis)[0] for point in points))
    highest = max(high, *(point.ends(axis)[1] for point in points))
    spread = highest - lowest
    if spread > WIDEST * (high - low):
        return low, high
    return lowest - 0.02 * spread, highest + 0.02 * spread


def _about_bars(seeds: set[int], cut: Sequence[str]) -> str:
    """What the bars of a panel are, and which of them are cut."""
    words = "one seed"
    if seeds != {1}:
        words = f"bars: 95 % interval over {' or '.join(map(str, sorted(seeds)))} seeds"
    if cut:
        words += f"; the {' and '.join(cut)} ones go on beyond the panel"
    return words
