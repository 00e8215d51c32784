"""The figure of Zhang, Latham and Saxe (ICML 2024): joint training over correlation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from mimo_sim.plots._style import modality_color, modality_line, note, plain_ticks, style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

MARKERS = ("o", "s", "^", "D")
MARGINS = {"left": 0.075, "right": 0.985, "top": 0.93, "bottom": 0.205, "wspace": 0.22}


def draw_zls(data: xr.Dataset) -> Figure:
    """Time ratio and mis-attribution over correlation.

    Lines are theory; every marker is one simulated run.

    Parameters
    ----------
    data : Dataset
        Of :func:`mimo_sim.studies.zls.compute`.
    """
    with style():
        figure = Figure(figsize=(8.4, 3.8))
        left, right = figure.subplots(1, 2, gridspec_kw=MARGINS)
        for i, ratio in enumerate(data.sigma_ratio.values):
            one = data.sel(sigma_ratio=ratio)
            label = rf"$\sigma_A / \sigma_B$ = {ratio:g}"
            if np.isfinite(one.time_ratio).any():
                left.plot(one.rho_theory, one.theory_curve, **modality_line(i), lw=1.3, label=label)
                _draw_runs(left, one.time_ratio, one, i)
            if np.isfinite(one.misattribution).any():
                theory = one.predicted_misattribution
                right.plot(one.rho, theory, **modality_line(i), lw=1.3, label=label)
                _draw_runs(right, one.misattribution, one, i)
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
        words = (
            f"Lines: theory for $u_0 \\to 0$. Markers: {data.sizes['seed']} initialisations "
            f"of scale {data.attrs['init_scale']:g}, {data.attrs['steps']:,} steps each."
        )
        if data.hidden.any():
            words += (
                "\nOpen markers: A alone rests below half of its final squared norm, "
                "so its half-time misses its emergence."
            )
        note(figure, words, height=0.008)
    return figure


def _draw_runs(ax: Axes, values: xr.DataArray, one: xr.Dataset, i: int) -> None:
    """A marker for every run; open where the half-time misses the emergence."""
    color = modality_color(i)
    for hidden, face in ((False, mpl.colors.to_rgba(color, 0.45)), (True, "none")):
        shown = values.where(one.hidden == hidden).transpose("seed", "rho")
        ax.scatter(
            np.broadcast_to(one.rho.values, shown.shape),
            shown,
            s=22,
            marker=MARKERS[i % len(MARKERS)],
            edgecolors=color,
            facecolors=face,
            lw=0.8,
            zorder=3,
        )
