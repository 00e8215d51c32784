"""Rows and runs that were never run, and what figures made of them show."""

from __future__ import annotations

import math
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mimo_sim import benchmark, methods, plots
from mimo_sim.benchmark import comparison


def look(**parts: Any) -> tuple[str, ...]:
    return tuple(map(str, parts.values()))


def a_row(method: str, figure: str, mean: float, half_width: float = 0.001) -> comparison.Row:
    return comparison.Row(
        "digits", "test", method, figure, 3, mean, half_width, 0, math.nan, math.nan
    )


def looks_of(figure: Figure) -> set[tuple[str, ...]]:
    """Colour, marker and fill of the single marks on the panel."""
    marks = [
        line
        for line in figure.axes[0].lines
        if np.size(line.get_xdata()) == 1 and line.get_markersize() == 6
    ]
    return {
        look(color=line.get_color(), marker=line.get_marker(), fill=line.get_fillstyle())
        for line in marks
    }


def refuse_cut_or_overlapping_words(figure: Figure) -> None:
    with plots.style():
        renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
        figure.canvas.draw()
        panels = [ax.get_tightbbox(renderer) for ax in figure.axes]
        legends = [legend.get_window_extent(renderer) for legend in figure.legends]
        words = [
            text.get_window_extent(renderer)
            for legend in figure.legends
            for text in legend.get_texts()
        ]
        boxes = [
            box
            for box in (
                *panels,
                *legends,
                *words,
                *(text.get_window_extent(renderer) for text in figure.texts),
            )
            if box is not None
        ]
    width, height = figure.canvas.get_width_height()
    assert all(0 <= box.x0 < box.x1 <= width and 0 <= box.y0 < box.y1 <= height for box in boxes)
    apart = [*legends, *(box for box in panels if box is not None)]
    assert not any(one.overlaps(other) for one, other in combinations(apart, 2))
    assert not any(one.overlaps(other) for one, other in combinations(words, 2))


def a_grid(*names: str, method: str = "mimo", **values: list[Any]) -> list[benchmark.Finished]:
    """Runs that were never run, of every combination of values; and of other methods."""
    given = [dict(zip(values, one, strict=True)) for one in product(*values.values())]
    runs = [
        (
            "-".join([method, *(f"{k}={v}" for k, v in hyper.items())]),
            method,
            methods.get(method)().hyper | hyper,
        )
        for hyper in given
    ]
    runs += [(name, name, methods.get(name)().hyper) for name in names]
    return [
        benchmark.Finished("digits", name, 0, {"config": {"method": base, "hyper": hyper}}, Path())
        for name, base, hyper in runs
    ]
