"""Curves over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mimo_sim.plots._style import DASHES, style

if TYPE_CHECKING:
    from mimo_sim.benchmark.records import Finished

    pass
from mimo_sim.plots.benchmark.looks import COLORS, MARKERS, WIDTH, Look, handle

MOST_CURVES = 7


def _curve(tables: Sequence[Mapping[str, list[float]]], column: str) -> np.ndarray | None:
    """Mean over seeds of a column, as far as every run has it; None where it is missing or empty."""
    given = [table[column] for table in tables if column in table]
    if len(given) < len(tables):
        return None
    values = np.mean([one[: min(map(len, given))] for one in given], axis=0)
    return values if np.isfinite(values).any() else None


def draw_epochs(
    runs: Sequence[Finished], wanted: Sequence[str], seen: Mapping[str, Look]
) -> Figure:
    """Validation accuracy (regression: loss), uni-modal accuracy and MIMO's weights sigma against the epoch: means over seeds, a colour and marker per method.

    Uni-modal accuracy has a panel for each definition: linear probes where all were probed during training, else the methods' own heads and the split joint
    head, each with the methods that have it.

    Parameters
    ----------
    runs : sequence of Finished
        Of one data set.
    wanted : sequence of str
        Methods; the first few are drawn.
    seen : mapping
        Of :func:`method_looks`.
    """
    shown = list(wanted)[:MOST_CURVES]
    if (
        len({method.partition("-")[0] for method in shown}) == 1
    ):  # variants of one method: nothing else needs the other colours
        seen = {
            method: {"color": COLORS[i % len(COLORS)], "marker": MARKERS[i % len(MARKERS)]}
            for i, method in enumerate(shown)
        }
    tables = {method: [run.table() for run in runs if run.method == method] for method in shown}
    names: list[str] = runs[0].result["data"]["modalities"]
    classify = "accuracy" in runs[0].result["metrics"]["test"]
    what, scale, unit = ("accuracy", 100.0, "accuracy (%)") if classify else ("loss", 1.0, "loss")
    words = {"probe": "linear probe", "heads": "own heads", "sliced": "split joint head"}

    def panel(
        title: str, label: str, scale: float, *columns: str
    ) -> tuple[str, str, float, dict[str, list[np.ndarray | None]]]:
        return (
            title,
            label,
            scale,
            {m: [_curve(tables[m], column) for column in columns] for m in shown},
        )

    alone = [
        panel(
            f"alone: {how}",
            f"uni-modal validation {unit}",
            scale,
            *(f"validation_{k}_{what}_{n}" for n in names),
        )
        for k, how in words.items()
    ]
    if not any(one is None for curves in alone[0][3].values() for one in curves):
        alone = alone[:1]
    panels = [panel("joint", f"joint validation {unit}", scale, f"validation_{what}"), *alone]
    panels += [
        panel(
            r"weights $\sigma_k$",
            r"mean weight $\sigma_k$",
            1.0,
            *(f"sigma_{name}" for name in names),
        )
    ]
    panels = [
        one
        for one in panels
        if any(curve is not None for curves in one[3].values() for curve in curves)
    ]
    width = 3.5 * len(panels)
    columns = max(1, int((width - 1.7) / (0.6 + WIDTH * max(map(len, shown)))))
    height = 4.1 + 0.17 * max(-(-len(shown) // columns), len(names))
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
        for letter, ax, (title, label, factor, curves) in zip("abcde", axes, panels, strict=False):
            for rank, (method, values) in enumerate(curves.items()):
                for k, one in enumerate(values):
                    if one is not None:
                        epochs = np.flatnonzero(np.isfinite(one))
                        every = max(1, len(epochs) // 6)
                        marks = (rank % every, every)  # those of equal curves lie side by side
                        ax.plot(
                            epochs + 1,
                            factor * one[epochs],
                            **seen[method],
                            ls=DASHES[k % len(DASHES)],
                            lw=1.3,
                            ms=4.5,
                            markevery=marks,
                        )
            if label.endswith("loss"):
                ax.set_yscale("log")
            ax.set(title=f"({letter}) {title}", xlabel="epoch", ylabel=label)
            ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5, integer=True, min_n_ticks=1))
        middle = [ax for ax in axes if "alone" in ax.get_title("left")]
        for ax in middle:  # one scale: only so can two definitions be told apart
            ax.set_ylim(
                min(one.get_ylim()[0] for one in middle), max(one.get_ylim()[1] for one in middle)
            )
        if "sigma" in axes[-1].get_ylabel():
            axes[-1].set_ylim(-0.02, 1.02)
        seeds = " or ".join(map(str, sorted({len(one) for one in tables.values()})))
        more = (
            f"; {len(shown)} of {len(wanted)}, `--curves` names others"
            if len(wanted) > len(shown)
            else ""
        )
        legend: dict[str, Any] = {"fontsize": 7.5, "title_fontsize": 7.5, "alignment": "left"}
        handles = [handle(m, seen[m], ls="-") for m in shown]
        place = (left - 0.1 / width, low - 0.45 / height)
        figure.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=place,
            ncols=columns,
            title=f"{runs[0].dataset}, seeds averaged: {seeds}{more}",
            **legend,
        )
        lines = [
            Line2D([], [], color="0.3", ls=DASHES[k % len(DASHES)], label=name)
            for k, name in enumerate(names)
        ]
        figure.legend(
            handles=lines,
            loc="upper right",
            bbox_to_anchor=(right, low - 0.45 / height),
            title="modality",
            handlelength=3,
            **legend,
        )
    return figure
