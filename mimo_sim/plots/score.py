"""How well scores predict gains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from mimo_sim.plots._style import (
    METHOD_COLORS,
    MODALITY_COLORS,
    note,
    plain_ticks,
    style,
)
from mimo_sim.studies.race import MARGIN

if TYPE_CHECKING:
    pass


MARKERS = ("o", "s", "^", "D")


def draw_score(data: xr.Dataset, summary: dict[str, Any]) -> Figure:
    """How well scores predict gains, from :func:`mimo_sim.studies.score.compute` and :func:`mimo_sim.studies.score.summarise`."""
    held = data.isel(problem=slice(data.sizes["problem"] // 2, None))
    predictor = {"learning_gain": "predicted gain", "balance_gain": "predicted balance"}
    says = {"learning_gain": "time until both are learned", "balance_gain": "ratio of half-times"}
    with style():
        figure = Figure(figsize=(11.4, 4.4))
        room = {"top": 0.92, "bottom": 0.19}
        axes = [
            *figure.subplots(
                1, 2, gridspec_kw={**room, "left": 0.055, "right": 0.6, "wspace": 0.25}
            ),
            figure.add_axes((0.725, 0.19, 0.265, 0.73)),
        ]
        frame = {"loc": "upper left", "frameon": True, "edgecolor": "none", "framealpha": 0.85}
        for ax, letter, (outcome, name), color in zip(
            axes, "ab", predictor.items(), MODALITY_COLORS, strict=False
        ):
            found = summary[outcome]["scores"][name]
            ax.axhspan(1 / MARGIN, MARGIN, color="0.9", lw=0)
            ax.axvline(
                found["threshold"],
                color="0.3",
                lw=1,
                ls="--",
                label=f"threshold {found['threshold']:.2f}",
            )
            label = f"rank correlation {found['rank_correlation']['value']:.2f}"
            ax.scatter(
                held.scores.sel(score=name),
                held[outcome],
                s=10,
                edgecolors=color,
                facecolors=mpl.colors.to_rgba(color, 0.3),
                lw=0.6,
                label=label,
            )
            ax.set(
                xscale="log",
                yscale="log",
                title=f"({letter}) {says[outcome].capitalize()}",
                xlabel=f"score: {name}",
            )
            ax.set_ylabel("measured gain, joint training / MIMO")
            for axis in (ax.xaxis, ax.yaxis):
                low, high = axis.get_view_interval()
                plain_ticks(
                    axis,
                    tuple(
                        value
                        for value in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
                        if low <= value <= high
                    ),
                )
            ax.legend(**frame)
        bars = axes[2]
        names = [str(name) for name in data.score.values][::-1]
        for outcome, color, shift, marker in zip(
            predictor, MODALITY_COLORS, (0.14, -0.14), MARKERS, strict=False
        ):
            found = [summary[outcome]["scores"][name]["auc"] for name in names]
            value, (low, high) = (
                np.array([one["value"] for one in found]),
                np.array([one["interval"] for one in found]).T,
            )
            places = np.arange(len(names)) + shift
            bars.errorbar(
                value,
                places,
                xerr=[value - low, high - value],
                color=color,
                marker=marker,
                ms=4.5,
                ls="none",
                lw=1.2,
                label=says[outcome],
            )
        bars.axvline(0.5, color=METHOD_COLORS[0], lw=0.8, ls=":")
        bars.set(
            title="(c) Which score tells where?",
            xlabel="area under the curve (0.5: chance)",
            xlim=(0.3, 1.02),
        )
        bars.set_yticks(np.arange(len(names)), names)
        bars.set_ylim(-0.6, len(names) + 0.7)
        bars.legend(**frame)
        note(
            figure,
            f"Judged on {summary['learning_gain']['judged_on']} random problems; thresholds and directions of scores chosen on "
            rf"{summary['learning_gain']['chosen_on']} others. $\lambda$ = {data.attrs['lam']:g}, $u_0$ = {data.attrs['init_scale']:g}. "
            "Grey band: neutral. Bars: 95% bootstrap."
            + "\nTime gains at matched gradient scale: MIMO's time counts $1 + \\lambda$ fold.",
        )
    return figure
