"""Phase diagrams: maps of waiting times, of gaps that are left, and of MIMO's gains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from mimo_sim.plots._style import note, plain_ticks, style
from mimo_sim.studies.race import BUDGET, LEVELS, MARGIN

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

SIZE = (11.4, 6.4)
MARGINS = {
    "left": 0.055,
    "right": 0.985,
    "top": 0.95,
    "bottom": 0.125,
    "wspace": 0.26,
    "hspace": 0.36,
}
AXIS_LABELS = {
    "correlation_ratio": r"ratio of correlations, $|C_A| / |C_B|$",
    "explained_ratio": "explained alone, B over A",
    "rho": r"correlation of the inputs, $\rho$",
    "lam": r"penalty, $\lambda$",
    "mu": r"smoothing, $\mu$ (units of the loss)",
}
AXIS_TICKS: dict[str, tuple[float, ...]] = {  # of logarithmic axes; rho has a linear one
    "correlation_ratio": (0.3, 0.5, 1, 2, 3, 5),
    "explained_ratio": (0.3, 0.5, 1, 2, 3, 5),
    "lam": (0.1, 0.3, 1, 3, 10, 30),
    "mu": (0.003, 0.01, 0.03, 0.1, 0.3, 1),
}


@dataclass(frozen=True)
class Scale:
    """How a map shows one kind of value: its colours, and its colour bar."""

    label: str
    ticks: tuple[float, ...]
    norm: mpl.colors.Normalize
    cmap: str
    extend: str = "neither"  # the ends of the bar that stand for values beyond it


RATIO_TICKS = (0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5)
WAIT = Scale(
    "later over earlier half-time",
    (1, 2, 5, 10, 20),
    mpl.colors.LogNorm(1, 20),
    "viridis",
    extend="max",
)
GAP = Scale(
    "worst gap left / initial worst gap",
    (0, 0.25, 0.5, 0.75, 1),
    mpl.colors.Normalize(0, 1),
    "viridis",
)
GAIN = Scale(
    "joint training's time / MIMO's",
    RATIO_TICKS,
    mpl.colors.LogNorm(0.2, 5),
    "PuOr",
    extend="both",
)


def draw_map(data: xr.Dataset) -> Figure:
    """Where modalities wait and where MIMO helps, over two properties of the problem.

    Parameters
    ----------
    data : Dataset
        Of :func:`mimo_sim.studies.maps.compute_ratios` or
        :func:`mimo_sim.studies.maps.compute_correlations`.
    """
    y, x = (str(name) for name in data.learning_gain.dims)
    joint, mimo = (data.sel(solver=solver).transpose(..., y, x) for solver in ("vanilla", "mimo"))
    gap_joint, gap_mimo = (one.worst_gap.sel(comparison="matched") for one in (joint, mimo))
    loss_gain = data.loss_gain.sel(level=LEVELS[-1])
    level = f"{LEVELS[-1]:.0%}"
    with style():
        figure = Figure(figsize=SIZE)
        axes = figure.subplots(2, 3, gridspec_kw=MARGINS)
        panels = (
            (joint.half_time_ratio, WAIT, "(a) Joint training: the wait"),
            (mimo.half_time_ratio, WAIT, "(b) MIMO: the wait"),
            (data.learning_gain, GAIN, "(c) Gain: both modalities learned"),
            (gap_joint, GAP, "(d) Joint training: gap left"),
            (gap_mimo, GAP, "(e) MIMO: gap left"),
            (loss_gain, GAIN, f"(f) Gain: $f_{{mm}}$ settled at {level}"),
        )
        for ax, (values, scale, title) in zip(axes.flat, panels, strict=True):
            _draw_values(figure, ax, values, scale, title)
        _contour(axes[0, 2], data.predicted_gain, [1.0], linewidths=1.3, linestyles="--")
        if data.hidden.any():
            for ax in axes[0, :2]:
                _hatch(ax, data.hidden)
        if y == "explained_ratio":
            for ax in axes.flat:
                ax.axhline(1, color="w", lw=1.2, ls=":")
        unfinished = not np.isfinite(loss_gain).all()
        note(figure, _map_note(data, y == "explained_ratio", unfinished), height=0.008)
    return figure


def _map_note(data: xr.Dataset, with_border: bool, unfinished: bool) -> str:
    lam, mu, scale = (float(data.attrs[name]) for name in ("lam", "mu", "init_scale"))
    words = (
        rf"MIMO: $\lambda$ = {lam:g}, $\mu$ = {mu:g}; $u_0$ = {scale:g}. "
        r"(c)-(f) compare at matched gradient scale: MIMO's time counts $1 + \lambda$ fold. "
        rf"(d), (e): after {BUDGET:g} $\ln(1/u_0) / \max |C_k|$."
        f"\nBlack lines: gains of {MARGIN:g} and 1/{MARGIN:g}; dashed: predicted gain of 1."
    )
    if with_border:
        words += " White dots: above, the preference is superficial."
    if data.hidden.any():
        words += " Hatched: half-times miss the emergence of the first modality."
    if unfinished:
        words += " Grey: not finished within the run."
    return words


def draw_penalty(data: xr.Dataset) -> Figure:
    """Who is first and where MIMO helps, over lam and mu, with the predicted order threshold.

    Parameters
    ----------
    data : Dataset
        Of :func:`mimo_sim.studies.maps.compute_penalties`.
    """
    half = data.half_time.sel(solver="mimo")
    order = half.isel(modality=0, drop=True) / half.isel(modality=1, drop=True)
    one, other = (str(name) for name in data.modality.values)
    who_is_first = Scale(
        f"half-time of {one} / half-time of {other}",
        RATIO_TICKS,
        mpl.colors.LogNorm(0.5, 2),
        "PuOr",
        extend="both",
    )
    loss_gain = data.loss_gain.sel(level=LEVELS[-1])
    with style():
        figure = Figure(figsize=SIZE)
        axes = figure.subplots(2, 3, gridspec_kw=MARGINS)
        for row, letters, heads in zip(axes, ("abc", "def"), data.heads.values, strict=True):
            panels = (
                (order, who_is_first, f"Who is first ({heads} heads)"),
                (data.learning_gain, GAIN, "Gain: both modalities learned"),
                (loss_gain, GAIN, f"Gain: $f_{{mm}}$ settled at {LEVELS[-1]:.0%}"),
            )
            for ax, letter, (values, scale, title) in zip(row, letters, panels, strict=True):
                shown = values.sel(heads=heads).transpose("mu", "lam")
                _draw_values(figure, ax, shown, scale, f"({letter}) {title}")
            _contour(row[0], order.sel(heads=heads), [1.0], linewidths=1.1)
            threshold = data.order_threshold.sel(heads=heads)
            threshold = threshold.where(np.isfinite(threshold))
            row[0].plot(threshold, threshold.mu, color="k", ls="--", lw=1.6)
        note(
            figure,
            rf"Dashed: predicted order threshold $\lambda^*(\mu)$; to its right MIMO should learn "
            rf"{other} first. $u_0$ = {data.attrs['init_scale']:g}. "
            r"Gains at matched gradient scale: MIMO's time counts $1 + \lambda$ fold."
            "\nBlack lines: equal half-times in (a) and (d), "
            f"gains of {MARGIN:g} and 1/{MARGIN:g} elsewhere.",
            height=0.008,
        )
    return figure


def _draw_values(figure: Figure, ax: Axes, values: xr.DataArray, scale: Scale, title: str) -> None:
    """One map (y, x) with its colour bar.

    What is not a number stays grey. A gain also gets the borders of its neutral zone.
    """
    y, x = (str(name) for name in values.dims)
    place = ax.get_subplotspec()
    if place is not None and place.is_first_col():  # asked before the bar takes its share
        ax.set_ylabel(AXIS_LABELS[y])
    ax.set_facecolor("0.8")
    shown = values.where(np.isfinite(values) | (values == np.inf))
    mesh = ax.pcolormesh(
        values[x],
        values[y],
        shown,
        norm=scale.norm,
        cmap=scale.cmap,
        shading="nearest",
        rasterized=True,
    )
    bar = figure.colorbar(mesh, ax=ax, extend=scale.extend, pad=0.02, label=scale.label)
    plain_ticks(bar.ax.yaxis, scale.ticks)
    if scale is GAIN:
        borders = [1 / MARGIN, MARGIN]
        _contour(ax, shown, borders, linewidths=1.1, linestyles=["-", "-"])
    if x in AXIS_TICKS:
        ax.set_xscale("log")
        plain_ticks(ax.xaxis, AXIS_TICKS[x])
    if y in AXIS_TICKS:
        ax.set_yscale("log")
        plain_ticks(ax.yaxis, AXIS_TICKS[y])
    ax.set_xlabel(AXIS_LABELS[x])
    ax.set(title=title, xlim=(values[x][0], values[x][-1]), ylim=(values[y][0], values[y][-1]))


def _contour(ax: Axes, values: xr.DataArray, levels: list[float], **lines: Any) -> None:
    y, x = values.dims
    ax.contour(values[x], values[y], values, levels=levels, colors="k", **lines)


def _hatch(ax: Axes, where: xr.DataArray) -> None:
    y, x = where.dims
    shown = where.astype(float)
    ax.contourf(where[x], where[y], shown, levels=[0.5, 1.5], colors="none", hatches=["////"])
