"""Curves over epochs: accuracy, uni-modal accuracy and MIMO's weights on the validation split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from mimo_sim.benchmark.records import FinishedRun
from mimo_sim.plots._style import dashes, grey_line, style
from mimo_sim.plots.benchmark.looks import (
    COLORS,
    LEGEND_TEXT,
    LETTER_WIDTH,
    MARKERS,
    Look,
    legend_entry,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CURVES = 7
DEFINITIONS = {"probe": "linear probe", "heads": "own heads", "sliced": "split joint head"}


@dataclass(frozen=True)
class Panel:
    """What one panel shows: for each method a curve, or a curve per modality."""

    title: str
    label: str
    curves: Mapping[str, Sequence[np.ndarray | None]]  # None where a method has no such column
    factor: float = 1.0
    unimodal: bool = False
    limits: tuple[float, float] | None = None
    logarithmic: bool = False

    def is_complete(self) -> bool:
        """Whether no curve is missing."""
        return all(curve is not None for curves in self.curves.values() for curve in curves)

    def is_empty(self) -> bool:
        """Whether all curves are missing."""
        return all(curve is None for curves in self.curves.values() for curve in curves)


def draw_epochs(
    runs: Sequence[FinishedRun], wanted: Sequence[str], looks: Mapping[str, Look]
) -> Figure:
    """Validation accuracy, uni-modal accuracy and MIMO's weights sigma against the epoch.

    For regression losses take the place of accuracies. Curves are means over seeds; a method has a
    colour and a marker, a modality has dashes. Uni-modal accuracy has a panel for each definition
    (linear probes, own heads, split joint head), with the methods that have it. If all methods were
    probed during training, the only panel is that of the linear probes.

    Parameters
    ----------
    runs : sequence of FinishedRun
        Of one data set.
    wanted : sequence of str
        Methods; the first seven are drawn.
    looks : mapping
        Of :func:`method_looks`.
    """
    shown = list(wanted)[:MOST_CURVES]
    if len({name.partition("-")[0] for name in shown}) == 1:
        looks = _looks_of_variants(shown)
    tables = {name: [run.table() for run in runs if run.method == name] for name in shown}
    modalities: list[str] = runs[0].result["data"]["modalities"]
    classify = "accuracy" in runs[0].result["metrics"]["test"]
    panels = _panels(tables, modalities, classify)
    width = 3.5 * len(panels)  # of the figure, in inches, as all lengths below
    longest_label = max(map(len, shown))
    columns = max(1, int((width - 1.7) / (0.6 + LETTER_WIDTH * longest_label)))
    legend_rows = max(-(-len(shown) // columns), len(modalities))
    height = 4.1 + 0.17 * legend_rows
    left, right, low = 0.6 / width, 1 - 0.1 / width, 1 - 3.3 / height
    margins = {
        "left": left,
        "right": right,
        "top": 1 - 0.35 / height,
        "bottom": low,
        "wspace": 0.25,
    }
    with style():
        figure = Figure(figsize=(width, height))
        (axes,) = figure.subplots(1, len(panels), squeeze=False, gridspec_kw=margins)
        for letter, ax, panel in zip("abcde", axes, panels, strict=False):
            _draw_panel(ax, panel, looks)
            ax.set_title(f"({letter}) {panel.title}")
        _share_limits([ax for ax, panel in zip(axes, panels, strict=True) if panel.unimodal])
        seeds = " or ".join(map(str, sorted({len(found) for found in tables.values()})))
        title = f"{runs[0].dataset}, seeds averaged: {seeds}"
        if len(wanted) > len(shown):
            title += f"; {len(shown)} of {len(wanted)}, `--curves` names others"
        figure.legend(
            handles=[legend_entry(name, looks[name], ls="-") for name in shown],
            loc="upper left",
            bbox_to_anchor=(left - 0.1 / width, low - 0.45 / height),
            ncols=columns,
            title=title,
            **LEGEND_TEXT,
        )
        figure.legend(
            handles=[grey_line(name, k) for k, name in enumerate(modalities)],
            loc="upper right",
            bbox_to_anchor=(right, low - 0.45 / height),
            title="modality",
            handlelength=3,
            **LEGEND_TEXT,
        )
    return figure


def _looks_of_variants(names: Sequence[str]) -> dict[str, Look]:
    """All colours for the variants of one method: no other method needs them."""
    return {
        name: {"color": COLORS[i % len(COLORS)], "marker": MARKERS[i % len(MARKERS)]}
        for i, name in enumerate(names)
    }


def _panels(
    tables: Mapping[str, Sequence[Mapping[str, list[float]]]],
    modalities: Sequence[str],
    classify: bool,
) -> list[Panel]:
    """The panels that have something to show."""

    def curves(*columns: str) -> dict[str, list[np.ndarray | None]]:
        return {
            name: [_mean_curve(found, column) for column in columns]
            for name, found in tables.items()
        }

    what, unit, factor = ("accuracy", "accuracy (%)", 100.0) if classify else ("loss", "loss", 1.0)
    joint = Panel(
        "joint",
        f"joint validation {unit}",
        curves(f"validation_{what}"),
        factor,
        logarithmic=not classify,
    )
    alone = [
        Panel(
            f"alone: {words}",
            f"uni-modal validation {unit}",
            curves(*(f"validation_{definition}_{what}_{name}" for name in modalities)),
            factor,
            unimodal=True,
            logarithmic=not classify,
        )
        for definition, words in DEFINITIONS.items()
    ]
    if alone[0].is_complete():
        alone = alone[:1]
    weights = Panel(
        r"weights $\sigma_k$",
        r"mean weight $\sigma_k$",
        curves(*(f"sigma_{name}" for name in modalities)),
        limits=(-0.02, 1.02),
    )
    return [panel for panel in (joint, *alone, weights) if not panel.is_empty()]


def _mean_curve(tables: Sequence[Mapping[str, list[float]]], column: str) -> np.ndarray | None:
    """Mean of a column over seeds, as far as every run has it.

    None where a run lacks the column, or the mean is nowhere finite.
    """
    given = [table[column] for table in tables if column in table]
    if len(given) < len(tables):
        return None
    shortest = min(map(len, given))
    values = np.mean([curve[:shortest] for curve in given], axis=0)
    return values if np.isfinite(values).any() else None


def _draw_panel(ax: Axes, panel: Panel, looks: Mapping[str, Look]) -> None:
    for rank, (name, curves) in enumerate(panel.curves.items()):
        for k, curve in enumerate(curves):
            if curve is None:
                continue
            epochs = np.flatnonzero(np.isfinite(curve))
            every = max(1, len(epochs) // 6)
            ax.plot(
                epochs + 1,
                panel.factor * curve[epochs],
                **looks[name],
                ls=dashes(k),
                lw=1.3,
                ms=4.5,
                markevery=(rank % every, every),  # so marks of equal curves lie side by side
            )
    if panel.logarithmic:
        ax.set_yscale("log")
    ax.set(xlabel="epoch", ylabel=panel.label)
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5, integer=True, min_n_ticks=1))
    if panel.limits is not None:
        ax.set_ylim(*panel.limits)


def _share_limits(axes: Sequence[Axes]) -> None:
    """Give panels one scale, so that two definitions can be told apart."""
    if axes:
        low = min(ax.get_ylim()[0] for ax in axes)
        high = max(ax.get_ylim()[1] for ax in axes)
        for ax in axes:
            ax.set_ylim(low, high)
