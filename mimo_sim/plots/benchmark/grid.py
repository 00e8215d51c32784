"""Accuracy against modality gap over a grid of hyper-parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mimo_sim.benchmark.comparison import Row
from mimo_sim.benchmark.curves import CURVES
from mimo_sim.benchmark.grids import in_order, varying_keys
from mimo_sim.benchmark.wording import SYMBOLS, method_words, value_words
from mimo_sim.plots._style import style
from mimo_sim.plots.benchmark.looks import MARKERS, VARIANT_MARKERS, Look, legend_entry
from mimo_sim.plots.benchmark.trade_off import draw_trade_off, worth_drawing

REFERENCES = CURVES[:2]  # shown beside a grid


def draw_grid(
    rows: Sequence[Row], grid: Mapping[str, Mapping[str, Any]], looks: Mapping[str, Look]
) -> Figure:
    """Accuracy against modality gap: a line along one hyper-parameter of a grid.

    The hyper-parameter is the first number that varies; its values have markers. Values of the
    others have colours. Joint training and linear scalarization are shown too, if they were run.

    Parameters
    ----------
    rows : sequence of Row
        Of one data set.
    grid : mapping
        One of :func:`mimo_sim.benchmark.grids.find_grids`.
    looks : mapping
        Of :func:`method_looks`.
    """
    along, others = varying_keys(grid)
    assert along is not None

    def rank(name: str) -> list[tuple[bool, float, str]]:
        return [in_order(grid[name][key]) for key in (*others, along)]

    lines: dict[str, list[str]] = {}  # what the members of a line share -> the members in order
    for name in sorted(grid, key=rank):
        shared = ", ".join(value_words(key, grid[name][key]) for key in others)
        lines.setdefault(shared, []).append(name)
    markers = _markers(sorted({values[along] for values in grid.values()}))
    colors = mpl.colormaps["viridis"](np.linspace(0.0, 0.88, len(lines)))
    color_of_line = dict(zip(lines, colors, strict=True))
    shown: dict[str, Look] = {}
    for line, members in lines.items():
        for name in members:
            shown[name] = {"color": color_of_line[line], "marker": markers[grid[name][along]]}
    was_run = {row.method for row in rows}
    for name in REFERENCES:
        if name in was_run:
            shown[name] = looks[name] | {"fillstyle": "none"}
    drawn = worth_drawing(rows, shown)
    drawn_values = {grid[name][along] for name in drawn if name in grid}
    entries: list[Line2D] = []
    for line, members in lines.items():
        if line and not set(members).isdisjoint(drawn):
            entries.append(legend_entry(line, {"color": color_of_line[line]}, ls="-"))
    for value, marker in markers.items():
        if value in drawn_values:
            entries.append(
                legend_entry(value_words(along, value), {"color": "0.3", "marker": marker})
            )
    entries += [
        legend_entry(method_words(name), shown[name]) for name in drawn if name in REFERENCES
    ]
    method = next(iter(grid)).partition("-")[0]
    title = f"{method_words(method)}, lines along {SYMBOLS.get(along, along)}"
    with style():
        figure, ax, places = draw_trade_off(rows, shown, entries, title)
        for line, members in lines.items():
            path = np.array([places[name] for name in members if name in places]).reshape(-1, 2)
            ax.plot(*path.T, color=color_of_line[line], lw=1.2, alpha=0.8, zorder=2)
    return figure


def _markers(values: Sequence[Any]) -> dict[Any, str]:
    """A marker for each value; they begin again after the last one."""
    every = (*MARKERS, *VARIANT_MARKERS)
    return {value: every[i % len(every)] for i, value in enumerate(values)}
