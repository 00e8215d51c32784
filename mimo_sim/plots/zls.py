"""The figure of [ZLS]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from mimo_sim.plots._style import (
    DASHES,
    MODALITY_COLORS,
    note,
    plain_ticks,
    style,
)

if TYPE_CHECKING:
    pass


MARKERS = ("o", "s", "^", "D")


def draw_zls(data: xr.Dataset) -> Figure:
    """Time ratio and mis-attribution over correlation, from :func:`mimo_sim.studies.zls.compute`: theory as lines, simulations as markers (every seed)."""
    with style():
        figure = Figure(figsize=(8.4, 3.8))
        left, right = figure.subplots(
            1,
            2,
            gridspec_kw={
                "left": 0.075,
                "right": 0.985,
                "top": 0.93,
                "bottom": 0.205,
                "wspace": 0.22,
            },
        )
        for i, ratio in enumerate(data.sigma_ratio.values):
            one, color = data.sel(sigma_ratio=ratio), MODALITY_COLORS[i % len(MODALITY_COLORS)]
            label = rf"$\sigma_A / \sigma_B$ = {ratio:g}"
            for ax, values, theory_x, theory_y in (
                (left, one.time_ratio, one.rho_theory, one.theory_curve),
                (right, one.misattribution, one.rho, one.predicted_misattribution),
            ):
                if not np.isfinite(values).any():
                    continue
                ax.plot(
                    theory_x, theory_y, color=color, ls=DASHES[i % len(DASHES)], lw=1.3, label=label
                )
                for hidden in (False, True):
                    shown = values.where(one.hidden == hidden)
                    x = np.broadcast_to(one.rho.values, shown.transpose("seed", "rho").shape)
                    face = "none" if hidden else mpl.colors.to_rgba(color, 0.45)
                    ax.scatter(
                        x,
                        shown.transpose("seed", "rho"),
                        s=22,
                        marker=MARKERS[i % len(MARKERS)],
                        edgecolors=color,
                        facecolors=face,
                        lw=0.8,
                        zorder=3,
                    )
        left.set(
            yscale="log",
            title="(a) How long B waits",
            ylabel="time ratio, $t_B / t_A$ (half-times)",
            ylim=(0.85, None),
        )
        plain_ticks(left.yaxis, (1, 2, 5, 10, 20, 50))
        right.set(
            title="(b) What A is wrongly credited with",
            ylabel=r"mis-attribution, $M_A(\mathrm{alone}) - M_A$",
        )
        right.axhline(0, color="0.8", lw=0.8, zorder=0)
        for ax in (left, right):
            ax.set_xlabel(r"correlation of the inputs, $\rho$")
        left.legend(loc="upper center")
        right.legend(loc="upper left")
        words = f"Lines: theory for $u_0 \\to 0$. Markers: {data.sizes['seed']} initialisations of scale {data.attrs['init_scale']:g}, "
        words += f"{data.attrs['steps']:,} steps each."
        if data.hidden.any():
            words += "\nOpen markers: A alone rests below half of its final squared norm, so its half-time misses its emergence."
        note(figure, words)
    return figure
