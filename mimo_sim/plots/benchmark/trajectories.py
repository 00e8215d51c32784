"""Encoder norms and losses over epochs, a column per method, as Figure 1 has them for the toy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mimo_sim.benchmark.records import FinishedRun
from mimo_sim.benchmark.tidy import JOINT, epochs_frame
from mimo_sim.benchmark.wording import dataset_words, method_words
from mimo_sim.plots._style import JOINT_COLOR, dashes, modality_color, style
from mimo_sim.plots.benchmark.bands import BAND, draw_bands, logarithmic
from mimo_sim.plots.benchmark.looks import wrapped

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MOST_METHODS = 5
NORM = "encoder_norm"
OWN, SLICED, WHOLE = "validation_heads_loss", "validation_sliced_loss", "validation_loss"
MEANING = {OWN: "alone: own heads", SLICED: "alone: split joint head"}
COLUMN, LEFT, RIGHT = 2.15, 0.6, 0.1  # inches
TOP, BOTTOM, HEIGHT = 0.62, 0.95, 4.7


def draw_trajectories_of_runs(runs: Sequence[FinishedRun], wanted: Sequence[str]) -> Figure:
    """Norms of the encoders' weights above the joint and uni-modal validation losses.

    A column per method, a colour and dashes per modality, a band over seeds. A uni-modal loss is
    that of the method's own heads, or of the joint head split by modality where it has none.
    Records without norms have no such row.

    Parameters
    ----------
    runs : sequence of FinishedRun
        Of one data set.
    wanted : sequence of str
        Methods; the first five are drawn.
    """
    shown = list(wanted)[:MOST_METHODS]
    frame = epochs_frame([run for run in runs if run.method in shown])
    modalities: list[str] = runs[0].result["data"]["modalities"]
    rows = [row for row in (NORM, WHOLE) if (frame["quantity"] == row).any()]
    width = LEFT + RIGHT + COLUMN * max(2, len(shown))
    height = TOP + BOTTOM + (HEIGHT - TOP - BOTTOM) * len(rows) / 2
    colors = {JOINT: JOINT_COLOR} | {name: modality_color(k) for k, name in enumerate(modalities)}
    lines: dict[str, Any] = {JOINT: ""} | {
        name: "" if k == 0 else dashes(k)[1] for k, name in enumerate(modalities)
    }
    with style():
        figure = Figure(figsize=(width, height))
        panels = figure.subplots(
            len(rows),
            len(shown),
            sharex="col",
            sharey="row",
            squeeze=False,
            gridspec_kw={
                "left": LEFT / width,
                "right": 1 - RIGHT / width,
                "top": 1 - TOP / height,
                "bottom": BOTTOM / height,
                "wspace": 0.08,
                "hspace": 0.14,
            },
        )
        for axes, quantity in zip(panels, rows, strict=True):
            for ax, method in zip(axes, shown, strict=True):
                of_method = frame[frame["method"] == method]
                chosen, meaning = _curves(of_method, quantity)
                draw_bands(ax, chosen, "modality", colors, lines)
                if meaning:
                    ax.set_title(meaning, loc="right", fontsize=7.5, fontweight="normal", y=0.9)
                    _make_room(ax)
            axes[0].set_ylabel("encoder norm" if quantity == NORM else "validation loss")
            if quantity == WHOLE and (chosen["value"] > 0).all():
                logarithmic(axes[0])
        for ax, method in zip(panels[0], shown, strict=True):
            ax.set_title(wrapped(method_words(method), COLUMN), fontsize=9)
        for ax in panels[-1]:
            ax.set_xlabel("epoch")
        entries = [
            Line2D([], [], color=colors[name], ls=dashes(max(0, k - 1)), lw=1.5, label=name)
            for k, name in enumerate(colors)
        ]
        figure.legend(
            handles=entries,
            loc="lower left",
            bbox_to_anchor=(LEFT / width, 0.22 / height),
            ncols=len(entries),
            borderaxespad=0,
        )
        figure.text(
            LEFT / width,
            0.07 / height,
            f"{dataset_words(runs[0].dataset)}; {BAND}",
            fontsize=7.5,
            color="0.3",
        )
    return figure


def _curves(frame: pd.DataFrame, quantity: str) -> tuple[pd.DataFrame, str]:
    """What a panel of one method shows, and what its uni-modal losses are."""
    if quantity != WHOLE:
        return frame[frame["quantity"] == quantity], ""
    for alone in (OWN, SLICED):
        if (frame["quantity"] == alone).any():
            return frame[frame["quantity"].isin([WHOLE, alone])], MEANING[alone]
    return frame[frame["quantity"] == WHOLE], ""


def _make_room(ax: Axes) -> None:
    """Keep curves below the words at the top of a panel."""
    ax.margins(y=0.12)
