"""How well scores that are known before training predict the gain of MIMO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from mimo_sim.plots._style import (
    LEGEND_BOX,
    METHOD_COLORS,
    modality_color,
    note,
    plain_ticks,
    style,
)
from mimo_sim.studies.race import MARGIN

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

MARKERS = ("o", "s")
SCORES = {"learning_gain": "predicted gain", "balance_gain": "predicted balance"}
OUTCOMES = {"learning_gain": "time until both are learned", "balance_gain": "ratio of half-times"}
TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
MARGINS = {"left": 0.055, "right": 0.6, "top": 0.92, "bottom": 0.19, "wspace": 0.25}


def draw_score(data: xr.Dataset, summary: Mapping[str, Any]) -> Figure:
    """Two scores against the gains they predict, and how well every score tells where MIMO helps.

    Parameters
    ----------
    data : Dataset
        Of :func:`mimo_sim.studies.score.compute`.
    summary : mapping
        Of :func:`mimo_sim.studies.score.summarise`.
    """
    judged = data.isel(problem=slice(data.sizes["problem"] // 2, None))
    with style():
        figure = Figure(figsize=(11.4, 4.4))
        axes = figure.subplots(1, 2, gridspec_kw=MARGINS)
        for i, (ax, outcome) in enumerate(zip(axes, SCORES, strict=True)):
            _draw_gains(ax, judged, outcome, summary[outcome], modality_color(i))
            ax.set_title(f"({'ab'[i]}) {OUTCOMES[outcome].capitalize()}")
        names = [str(name) for name in data.score.values][::-1]
        _draw_areas(figure.add_axes((0.725, 0.19, 0.265, 0.73)), names, summary)
        counts, attrs = summary["learning_gain"], data.attrs
        note(
            figure,
            f"Judged on {counts['judged_on']} random problems; thresholds and directions of "
            f"scores chosen on {counts['chosen_on']} others. "
            rf"$\lambda$ = {attrs['lam']:g}, $u_0$ = {attrs['init_scale']:g}. "
            "Grey band: neutral. Bars: 95% bootstrap.\n"
            "Time gains at matched gradient scale: MIMO's time counts $1 + \\lambda$ fold.",
            height=0.008,
        )
    return figure


def _draw_gains(
    ax: Axes, judged: xr.Dataset, outcome: str, summary: Mapping[str, Any], color: str
) -> None:
    """The measured gain of every problem against the score that predicts it."""
    score = SCORES[outcome]
    found = summary["scores"][score]
    ax.axhspan(1 / MARGIN, MARGIN, color="0.9", lw=0)
    threshold = found["threshold"]
    ax.axvline(threshold, color="0.3", lw=1, ls="--", label=f"threshold {threshold:.2f}")
    ax.scatter(
        judged.scores.sel(score=score),
        judged[outcome],
        s=10,
        edgecolors=color,
        facecolors=mpl.colors.to_rgba(color, 0.3),
        lw=0.6,
        label=f"rank correlation {found['rank_correlation']['value']:.2f}",
    )
    ax.set(xscale="log", yscale="log", xlabel=f"score: {score}")
    ax.set_ylabel("measured gain, joint training / MIMO")
    for axis in (ax.xaxis, ax.yaxis):
        low, high = axis.get_view_interval()
        plain_ticks(axis, [tick for tick in TICKS if low <= tick <= high])
    ax.legend(loc="upper left", **LEGEND_BOX)


def _draw_areas(ax: Axes, names: list[str], summary: Mapping[str, Any]) -> None:
    """The area under the curve of every score, with its interval, for both outcomes."""
    for i, (outcome, label) in enumerate(OUTCOMES.items()):
        found = [summary[outcome]["scores"][name]["auc"] for name in names]
        value = np.array([one["value"] for one in found])
        low, high = np.array([one["interval"] for one in found]).T
        ax.errorbar(
            value,
            np.arange(len(names)) + (0.14, -0.14)[i],
            xerr=[value - low, high - value],
            color=modality_color(i),
            marker=MARKERS[i],
            ms=4.5,
            ls="none",
            lw=1.2,
            label=label,
        )
    ax.axvline(0.5, color=METHOD_COLORS[0], lw=0.8, ls=":")
    ax.set(
        title="(c) Which score tells where?",
        xlabel="area under the curve (0.5: chance)",
        xlim=(0.3, 1.02),
        ylim=(-0.6, len(names) + 0.7),
    )
    ax.set_yticks(np.arange(len(names)), names)
    ax.legend(loc="upper left", **LEGEND_BOX)
