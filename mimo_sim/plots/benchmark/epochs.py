"""Accuracies and MIMO's weights over epochs: a column for the joint head and each modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from mimo_sim.benchmark.records import FinishedRun
from mimo_sim.benchmark.tidy import JOINT, epochs_frame
from mimo_sim.benchmark.wording import dataset_words, method_words
from mimo_sim.plots._style import DASHES, style
from mimo_sim.plots.benchmark.bands import BAND, draw_bands, logarithmic
from mimo_sim.plots.benchmark.looks import (
    COLORS,
    LEGEND_TEXT,
    LETTER_WIDTH,
    Look,
    legend_entry,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MOST_CURVES = 7
DEFINITIONS = {"probe": "linear probe", "heads": "own heads", "sliced": "split joint head"}
WEIGHTS = "sigma"
JOINT_WORDS = {
    "validation_accuracy": "joint accuracy (%)",
    "train_accuracy": "joint training accuracy (%)",
    "validation_loss": "joint loss",
    "train_loss": "joint training loss",
}
PANEL_WIDTH, PANEL_HEIGHT = 2.25, 1.75  # inches, as all lengths below
LEFT, RIGHT, TOP, GAP = 0.55, 0.1, 0.35, 0.4


@dataclass(frozen=True)
class Panel:
    """What one panel shows."""

    quantity: str
    modality: str
    title: str


def draw_epochs(
    runs: Sequence[FinishedRun], wanted: Sequence[str], looks: Mapping[str, Look]
) -> Figure:
    """Accuracies and MIMO's weights sigma against the epoch, with a band over seeds.

    The first column is the joint head's, the others are the modalities'. Uni-modal accuracy has a
    row for each definition (linear probes, own heads, split joint head), with the methods that
    have it. If all methods were probed during training, the only such row is that of the linear
    probes. For regression losses take the place of accuracies.

    Parameters
    ----------
    runs : sequence of FinishedRun
        Of one data set.
    wanted : sequence of str
        Methods; the first seven are drawn.
    looks : mapping
        Of :func:`method_looks`. Where two methods have one colour, the figure chooses its own.
    """
    shown = list(wanted)[:MOST_CURVES]
    colors = {name: looks[name]["color"] for name in shown}
    if len(set(colors.values())) < len(shown):
        colors = dict(zip(shown, COLORS, strict=False))
    lines = {
        name: "" if k % len(DASHES) == 0 else DASHES[k % len(DASHES)][1]
        for k, name in enumerate(shown)
    }
    frame = epochs_frame([run for run in runs if run.method in shown])
    modalities: list[str] = runs[0].result["data"]["modalities"]
    classify = "accuracy" in runs[0].result["metrics"]["test"]
    grid = _grid(frame, shown, modalities, classify)
    labels = {name: method_words(name) for name in shown}
    width = LEFT + RIGHT + PANEL_WIDTH * (1 + len(modalities))
    columns = max(1, int((width - LEFT) / (0.6 + LETTER_WIDTH * max(map(len, labels.values())))))
    legend = 0.65 + 0.17 * -(-len(shown) // columns)
    height = TOP + legend + PANEL_HEIGHT * len(grid) + GAP * (len(grid) - 1)
    with style():
        figure = Figure(figsize=(width, height))
        panels = figure.subplots(
            len(grid),
            1 + len(modalities),
            sharex=True,
            squeeze=False,
            gridspec_kw={
                "left": LEFT / width,
                "right": 1 - RIGHT / width,
                "top": 1 - TOP / height,
                "bottom": (legend + 0.1) / height,
                "wspace": 0.22,
                "hspace": GAP / PANEL_HEIGHT,
            },
        )
        for axes, row in zip(panels, grid, strict=True):
            for ax, panel in zip(axes, row, strict=True):
                _draw_panel(ax, panel, frame, colors, lines)
            _share_limits(axes[1:], (-0.02, 1.02) if row[-1].quantity == WEIGHTS else None)
        _show_lowest_ticks(panels)
        handles = [
            legend_entry(labels[name], {"color": colors[name]}, ls=DASHES[k % len(DASHES)])
            for k, name in enumerate(shown)
        ]
        note = f"{dataset_words(runs[0].dataset)}; validation split where not said; {BAND}"
        if len(wanted) > len(shown):
            note += f"; {len(shown)} of {len(wanted)} methods, --curves names others"
        figure.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(LEFT / width, (legend - 0.4) / height),
            ncols=columns,
            borderaxespad=0,
            handlelength=2.6,
            **LEGEND_TEXT,
        )
        figure.text(LEFT / width, 0.06 / height, note, fontsize=7, color="0.3")
    return figure


def _grid(
    frame: pd.DataFrame, shown: Sequence[str], modalities: Sequence[str], classify: bool
) -> list[list[Panel]]:
    """The rows of panels: the joint head's first, then one for each modality."""
    figure = "accuracy" if classify else "loss"
    having = {kind: _methods(frame, f"validation_{kind}_{figure}") for kind in DEFINITIONS}
    kinds = ["probe"] if having["probe"] == set(shown) else [*DEFINITIONS]
    rows = {f"validation_{kind}_{figure}": DEFINITIONS[kind] for kind in kinds if having[kind]}
    if _methods(frame, WEIGHTS):
        rows[WEIGHTS] = r"weight $\sigma_k$"
    joint = [f"validation_{figure}", f"train_{figure}", *(["validation_loss"] if classify else [])]
    grid = []
    for place, (quantity, words) in enumerate((rows or {"": ""}).items()):
        first = joint[place] if place < len(joint) else ""
        grid.append(
            [
                Panel(first, JOINT, JOINT_WORDS.get(first, "")),
                *(Panel(quantity, name, f"{name}: {words}") for name in modalities),
            ]
        )
    return grid


def _methods(frame: pd.DataFrame, quantity: str) -> set[str]:
    return set(frame.loc[frame["quantity"] == quantity, "method"])


def _draw_panel(
    ax: Axes,
    panel: Panel,
    frame: pd.DataFrame,
    colors: Mapping[str, str],
    lines: Mapping[str, Any],
) -> None:
    here = (frame["quantity"] == panel.quantity) & (frame["modality"] == panel.modality)
    if not here.any():
        ax.set_axis_off()
        return
    chosen = frame[here]
    if "accuracy" in panel.quantity:
        chosen = chosen.assign(value=100 * chosen["value"])
    draw_bands(ax, chosen, "method", colors, lines)
    if "loss" in panel.quantity and (chosen["value"] > 0).all():
        logarithmic(ax)
    ax.set_title(panel.title, fontsize=8.5)


def _show_lowest_ticks(panels: Any) -> None:
    """Where the last row has no panel in a column, the one above it says the epochs."""
    for column in panels.T:
        drawn = [ax for ax in column if ax.axison]
        if drawn:
            drawn[-1].tick_params(labelbottom=True)
            drawn[-1].set_xlabel("epoch")


def _share_limits(axes: Sequence[Axes], limits: tuple[float, float] | None) -> None:
    """Give the modalities' panels of a row one scale, so that they can be compared."""
    drawn = [ax for ax in axes if ax.has_data()]
    if not drawn:
        return
    if limits is None:
        limits = min(ax.get_ylim()[0] for ax in drawn), max(ax.get_ylim()[1] for ax in drawn)
    for ax in drawn:
        ax.set_ylim(*limits)
