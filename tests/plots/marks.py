"""Rows and runs that were never run, and what figures made of them show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mimo_sim import benchmark, methods, plots


def rows_at(
    places: Mapping[str, tuple[float, float]], half_width: float = 0.001
) -> list[benchmark.Row]:
    """Rows of methods with this (gap, accuracy)."""
    rows = []
    for method, place in places.items():
        for metric, mean in zip(("gap/probe", "accuracy"), place, strict=True):
            row = benchmark.Row(
                dataset="digits",
                split="test",
                method=method,
                metric=metric,
                n=3,
                mean=mean,
                half_width=half_width,
                pairs=0,
                difference=math.nan,
                difference_half_width=math.nan,
                origin="",
                mixed=False,
            )
            rows.append(row)
    return rows


def finished(name: str, method: str, hyper: Mapping[str, Any]) -> benchmark.FinishedRun:
    """A run that was never run, with these hyper-parameters beside the defaults."""
    complete = {**methods.create(method).hyper, **hyper}
    config = {"method": method, "hyper": complete}
    return benchmark.FinishedRun("digits", name, 0, {"config": config}, Path())


def a_grid(*names: str, **values: list[Any]) -> list[benchmark.FinishedRun]:
    """Runs of mimo with every combination of values, and of the methods `names`."""
    runs = []
    for combination in product(*values.values()):
        given = dict(zip(values, combination, strict=True))
        name = "-".join(["mimo", *(f"{key}={value}" for key, value in given.items())])
        runs.append(finished(name, "mimo", given))
    return runs + [finished(name, name, {}) for name in names]


def legend_words(figure: Figure) -> list[str]:
    """The words of the first legend."""
    return [text.get_text() for text in figure.legends[0].get_texts()]


def note_of(figure: Figure) -> str:
    """The note of a figure, on one line."""
    return " ".join(figure.texts[0].get_text().split())


def as_words(look: Mapping[str, Any]) -> tuple[str, ...]:
    """A look as something to put into a set."""
    return tuple(str(look[part]) for part in ("color", "marker", "fillstyle"))


def looks_of(figure: Figure) -> set[tuple[str, ...]]:
    """Colour, marker and fill of the single marks on the panel."""
    found = set()
    for line in figure.axes[0].lines:
        if np.size(line.get_xdata()) == 1 and line.get_markersize() == 6:
            look = {
                "color": line.get_color(),
                "marker": line.get_marker(),
                "fillstyle": line.get_fillstyle(),
            }
            found.add(as_words(look))
    return found


def refuse_cut_or_overlapping_words(figure: Figure) -> None:
    """Everything lies within the figure, and no words, panels or legends overlap."""
    with plots.style():
        renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
        figure.canvas.draw()
        panels = [box for ax in figure.axes if (box := ax.get_tightbbox(renderer)) is not None]
        legends = [legend.get_window_extent(renderer) for legend in figure.legends]
        words = [
            text.get_window_extent(renderer)
            for legend in figure.legends
            for text in legend.get_texts()
        ]
        notes = [text.get_window_extent(renderer) for text in figure.texts]
    width, height = figure.canvas.get_width_height()
    for box in (*panels, *legends, *words, *notes):
        assert 0 <= box.x0 < box.x1 <= width
        assert 0 <= box.y0 < box.y1 <= height
    assert not any(one.overlaps(other) for one, other in combinations([*legends, *panels], 2))
    assert not any(one.overlaps(other) for one, other in combinations(words, 2))
