"""Accuracy against modality gap."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mimo_sim.plots._style import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mimo_sim.benchmark.comparison import Row
from mimo_sim.plots.benchmark.looks import REFERENCES, WIDTH, Look, handle

FAR = 10.0  # points of accuracy below the best: such methods are named instead of drawn, they would squeeze all others
WIDE = 2.5  # bars that would stretch a panel by more than this are cut


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Names of the points (gap, accuracy) that no other one beats: at most the gap and at least the accuracy, and not the same; by rising gap."""
    free = [
        name
        for name, p in points.items()
        if not any(q != p and q[0] <= p[0] and q[1] >= p[1] for q in points.values())
    ]
    return sorted(free, key=points.__getitem__)


def _limits(means: Sequence[float], halves: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis that holds all bars, or, where that would leave the means too little room, the means."""
    margin = max(1.0, 0.15 * (max(means) - min(means)))
    low, high = min(means) - margin, max(means) + margin
    ends = (
        [m - h for m, h in zip(means, halves, strict=True)],
        [m + h for m, h in zip(means, halves, strict=True)],
    )
    spread = max(*ends[1], high) - min(*ends[0], low)
    return (
        (min(*ends[0], low) - 0.02 * spread, max(*ends[1], high) + 0.02 * spread)
        if spread <= WIDE * (high - low)
        else (low, high)
    )


def draw_trade_off(
    rows: Sequence[Row], shown: Mapping[str, Look], handles: Sequence[Line2D], title: str
) -> tuple[Axes, dict[str, tuple[float, float]]]:
    """The panel of accuracy against gap with its legend outside: axes, and points (gap, accuracy) in percent by name."""
    found = {(row.method, row.figure): row for row in rows}
    failed = [
        f"{m} ({100 * found[m, 'accuracy'].mean:.1f} %)"
        for m in shown
        if m not in worth_drawing(rows, shown)
    ]
    shown = {m: shown[m] for m in worth_drawing(rows, shown)}
    points = {
        m: (round(100 * found[m, "gap/probe"].mean, 9), round(100 * found[m, "accuracy"].mean, 9))
        for m in shown
    }  # so that equal counts are equal
    halves = {
        m: [
            0 if math.isnan(h) else 100 * h
            for h in (found[m, "gap/probe"].half_width, found[m, "accuracy"].half_width)
        ]
        for m in shown
    }
    best = pareto_front(points)
    ring = Line2D(
        [],
        [],
        color="0.75",
        lw=1.0,
        marker="o",
        ms=9,
        mfc="none",
        mec="0.45",
        label="none shown is better in both",
    )
    width = 6.2 + WIDTH * max(len(str(handle.get_label())) for handle in (*handles, ring))
    words = f"not drawn, over {FAR:g} points below the best: {', '.join(failed)}" if failed else ""
    lines = textwrap.wrap(words, int((width - 0.8) / WIDTH), break_on_hyphens=False)
    low = 0.75 + 0.14 * len(lines)
    height = max(4.2, 0.185 * (len(handles) + 2) + 0.9) + low - 0.75
    figure = Figure(figsize=(width, height))
    ax = figure.add_axes((0.7 / width, low / height, 4.7 / width, 1 - (low + 0.35) / height))
    ax.plot(
        *zip(*(points[m] for m in best), strict=True),
        color="0.75",
        lw=1.0,
        zorder=1,
        marker="o",
        ms=13,
        mfc="none",
        mec="0.45",
    )
    cut = []
    for axis, name in enumerate(("horizontal", "vertical")):
        ends = _limits([p[axis] for p in points.values()], [h[axis] for h in halves.values()])
        ax.set(**{f"{'xy'[axis]}lim": ends})
        beyond = any(
            not ends[0] <= points[m][axis] + sign * halves[m][axis] <= ends[1]
            for m in shown
            for sign in (-1, 1)
        )
        cut += [name] * beyond
        for m, look in shown.items():
            bar: dict[str, Any] = {
                f"{'xy'[axis]}err": halves[m][axis],
                "ecolor": look["color"],
                "alpha": 0.15 if beyond else 0.4,
            }
            ax.errorbar(*points[m], **bar, fmt="none", elinewidth=0.6, zorder=2)
    for m, look in shown.items():
        ax.plot(*points[m], **look, ms=6, ls="", zorder=3)
    seeds = sorted({found[m, "accuracy"].n for m in shown})
    bars = (
        f"bars: 95 % interval over {' or '.join(map(str, seeds))} seeds"
        if seeds != [1]
        else "one seed"
    )
    lines.insert(
        0, bars + (f"; the {' and '.join(cut)} ones go on beyond the panel" if cut else "")
    )
    figure.text(0.7 / width, 0.1 / height, "\n".join(lines), fontsize=7.5, color="0.3")
    ax.set(
        xlabel="modality gap: largest - smallest probe accuracy (points)",
        ylabel=f"joint {rows[0].split} accuracy (%)",
    )
    ax.set_title(f"{rows[0].dataset}, {rows[0].split} split")
    place = (5.6 / width, 1 - 0.3 / height)
    figure.legend(
        handles=[*handles, ring],
        loc="upper left",
        bbox_to_anchor=place,
        title=title,
        title_fontsize=7.5,
        alignment="left",
        fontsize=7.5,
    )
    return ax, points


def worth_drawing(rows: Sequence[Row], names: Iterable[str]) -> list[str]:
    """Those methods that are worth their room: within :data:`FAR` of the best accuracy, or at least as good as joint training."""
    height = {row.method: row.mean for row in rows if row.figure == "accuracy"}
    least = max(height[name] for name in names) - FAR / 100
    return [name for name in names if height[name] >= min(least, height.get(REFERENCES[0], least))]


def draw_gap(rows: Sequence[Row], seen: Mapping[str, Look]) -> Figure:
    """Joint accuracy against the modality gap of linear probes: one mark per method, bars over seeds, and the methods that none beats in both.

    Parameters
    ----------
    rows : sequence of Row
        Of one data set.
    seen : mapping
        Of :func:`method_looks`.
    """
    heights = {row.method: row.mean for row in rows if row.figure == "accuracy"}
    shown = {
        m: seen[m]
        for m in sorted(heights, key=lambda m: -heights[m])
        if any((row.method, row.figure) == (m, "gap/probe") for row in rows)
    }
    with style():
        ax, _ = draw_trade_off(
            rows, shown, [handle(m, shown[m]) for m in worth_drawing(rows, shown)], "by accuracy"
        )
    return ax.figure  # type: ignore[return-value]
