"""Grids of hyper-parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from mimo_sim.plots._style import style

if TYPE_CHECKING:
    from mimo_sim.benchmark.comparison import Row
    from mimo_sim.benchmark.records import Finished
from mimo_sim.plots.benchmark.looks import MARKERS, REFERENCES, VARIANTS, Look, handle
from mimo_sim.plots.benchmark.trade_off import draw_trade_off, worth_drawing


def find_grids(runs: Sequence[Finished]) -> dict[str, dict[str, dict[str, Any]]]:
    """The grids among runs: ``method-key-key`` -> name of each run -> the values it was given. At least three runs, and a number that varies, make a grid."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for run in runs:
        config = run.result["config"]
        given = {key: value for key, value in config["hyper"].items() if f"-{key}=" in run.method}
        if given:
            found.setdefault("-".join([config["method"], *given]), {})[run.method] = given
    return {
        name: members
        for name, members in found.items()
        if len(members) > 2 and _axes(members)[0] is not None
    }


def _axes(grid: Mapping[str, Mapping[str, Any]]) -> tuple[str | None, list[str]]:
    """The first number that varies over a grid, and the other keys that vary."""
    (first, *_) = grid.values()
    varying = [key for key in first if len({str(values[key]) for values in grid.values()}) > 1]
    along = next(
        (key for key in varying if all(_rank(values[key])[0] == 0 for values in grid.values())),
        None,
    )
    return along, [key for key in varying if key != along]


def _rank(value: Any) -> tuple[int, float, str]:
    """Numbers by size, then all else by its words."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return (0, float(value), "") if number else (1, 0.0, str(value))


def draw_grid(
    rows: Sequence[Row], grid: Mapping[str, Mapping[str, Any]], seen: Mapping[str, Look]
) -> Figure:
    """Accuracy against modality gap over a grid of hyper-parameters: a line along one of them, a colour for each value of the others.

    Parameters
    ----------
    rows : sequence of Row
        Of one data set; joint training and linear scalarization are shown beside the grid where they are there.
    grid : mapping
        One of :func:`find_grids`.
    seen : mapping
        Of :func:`method_looks`.
    """
    along, others = _axes(grid)
    assert along is not None
    lines: dict[str, list[str]] = {}
    for name, values in sorted(
        grid.items(), key=lambda item: [_rank(item[1][key]) for key in (*others, along)]
    ):
        lines.setdefault(", ".join(f"{key} = {values[key]}" for key in others), []).append(name)
    steps = sorted({grid[name][along] for name in grid})
    marker = {
        value: (*MARKERS, *VARIANTS)[i % (len(MARKERS) + len(VARIANTS))]
        for i, value in enumerate(steps)
    }
    colors = dict(
        zip(lines, mpl.colormaps["viridis"](np.linspace(0.0, 0.88, len(lines))), strict=True)
    )
    references = {
        name: seen[name] | {"fillstyle": "none"}
        for name in REFERENCES
        if any(row.method == name for row in rows)
    }
    shown = {
        m: {"color": colors[line], "marker": marker[grid[m][along]]}
        for line, members in lines.items()
        for m in members
    }
    drawn = worth_drawing(rows, shown | references)
    handles = [
        handle(line, {"color": color}, ls="-")
        for line, color in colors.items()
        if line and {*lines[line]} & {*drawn}
    ]
    reached = {grid[name][along] for name in drawn if name in grid}
    handles += [
        handle(f"{along} = {value}", {"color": "0.3", "marker": marker[value]})
        for value in steps
        if value in reached
    ]
    handles += [handle(name, references[name]) for name in drawn if name in references]
    with style():
        ax, points = draw_trade_off(
            rows,
            shown | references,
            handles,
            f"{next(iter(grid)).partition('-')[0]}, lines along {along}",
        )
        for line, members in lines.items():
            ax.plot(
                *np.array([points[m] for m in members if m in points]).reshape(-1, 2).T,
                color=colors[line],
                lw=1.2,
                alpha=0.8,
                zorder=2,
            )
    return ax.figure  # type: ignore[return-value]
