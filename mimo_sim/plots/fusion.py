"""Figures of the studies of early, hybrid and deep fusion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from mimo_sim.plots._style import (
    JOINT_COLOR,
    MODALITY_COLORS,
    dashes,
    modality_line,
    note,
    plain_ticks,
    style,
)

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

TIME_RATIO = "learning time of A over that of B"
PENALTY = r"penalty $\lambda$"
CORRELATION = r"correlation $\rho$ of the inputs"
MARKERS = "osD^vP"
RATIO_TICKS = (0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.5, 2.0, 2.5)
BAR_TICKS = (0.5, 0.7, 1.0, 1.4, 2.0)
EARLY_MARGINS = {
    "left": 0.08,
    "right": 0.97,
    "top": 0.95,
    "bottom": 0.125,
    "wspace": 0.3,
    "hspace": 0.42,
}
DEPTH_MARGINS = {
    "left": 0.085,
    "right": 0.98,
    "top": 0.95,
    "bottom": 0.135,
    "wspace": 0.27,
    "hspace": 0.4,
}
RELU_MARGINS = {"left": 0.075, "right": 0.985, "top": 0.9, "bottom": 0.25, "wspace": 0.08}


# ----------------------------------------------------------------------------------- early fusion


def draw_early(data: xr.Dataset) -> Figure:
    """Early against late fusion: encoders, the first mode, and maps over penalty and correlation.

    Parameters
    ----------
    data : Dataset
        Of :func:`mimo_sim.studies.early_fusion.compute`.
    """
    with style():
        figure = Figure(figsize=(8.4, 6.8))
        axes = figure.subplots(2, 2, gridspec_kw=EARLY_MARGINS)
        _draw_encoders(axes[0, 0], data)
        _draw_first_mode(axes[0, 1], data)
        values = np.log2(data.time_ratio)
        bound = float(np.nanmax(np.abs(values)))
        for letter, ax, fusion in zip("cd", axes[1], data.fusion.values, strict=True):
            _draw_time_ratios(figure, ax, values.sel(fusion=fusion), bound)
            ax.set_title(f"({letter}) MIMO rule, {fusion} fusion")
            if fusion == "late":
                threshold = r"theory: $\lambda^*$"
                ax.plot(data.threshold, data.rho, color=JOINT_COLOR, lw=1.5, label=threshold)
                ax.legend(loc="upper right", frameon=True, edgecolor="none")
        note(
            figure,
            "Two scalar modalities, A correlates more with the target and B explains more; "
            "exact engine, infinite width, "
            rf"$u_0$ = {data.attrs['init_scale']:g}, $\mu$ = {data.attrs['mu']:g}."
            "\nLearning time: first step at which an encoder has a tenth of its final "
            "squared norm.",
        )
    return figure


def _draw_encoders(ax: Axes, data: xr.Dataset) -> None:
    """How encoders grow in joint training: a colour per modality, dashes per kind of fusion."""
    for i, fusion in enumerate(data.fusion.values):
        for k, name in enumerate(data.modality.values):
            part = data.part.sel(fusion=fusion)[:, k]
            label = f"{fusion}, {name}"
            ax.plot(data.time, part, color=MODALITY_COLORS[k], ls=dashes(i), label=label)
    ax.set(
        title="(a) Joint training",
        xlabel="flow time (step size × step)",
        ylabel="squared encoder norm / final",
        xlim=(0, float(data.time[-1]) * 0.8),
    )
    ax.legend(loc="upper right", title="fusion, modality", title_fontsize=8)


def _draw_first_mode(ax: Axes, data: xr.Dataset) -> None:
    """The part of modality A in the first mode, for the lowest, middle and highest correlation."""
    shown = data.isel(rho=[0, data.sizes["rho"] // 2, -1])
    for i, rho in enumerate(shown.rho.values):
        one = shown.isel(rho=i)
        label = rf"$\rho$ = {rho:.2g}"
        _draw_theory_and_points(ax, data.lam, one.predicted_share, one.share, i, label, ms=4)
    ax.set(
        title="(b) First mode of early fusion",
        xlabel=PENALTY,
        ylabel=r"$\|W_A\|^2 / \|W\|^2$ while small",
        ylim=(0, 1),
    )
    ax.legend(title="lines: singular vector", title_fontsize=8)


def _draw_time_ratios(figure: Figure, ax: Axes, values: xr.DataArray, bound: float) -> None:
    """A map of the logarithm of the time ratio over penalty and correlation."""
    mesh = ax.pcolormesh(
        values.lam,
        values.rho,
        values,
        cmap="PuOr",
        vmin=-bound,
        vmax=bound,
        shading="nearest",
        rasterized=True,
    )
    bar = figure.colorbar(mesh, ax=ax, pad=0.02)
    ticks = [tick for tick in BAR_TICKS if abs(np.log2(tick)) <= bound]
    bar.set_ticks(np.log2(ticks).tolist(), labels=[f"{tick:g}" for tick in ticks])
    bar.set_label("time of A / time of B")
    ax.set(
        xlabel=PENALTY,
        ylabel=CORRELATION,
        xlim=(float(values.lam[0]), float(values.lam[-1])),
        ylim=(float(values.rho[0]), float(values.rho[-1])),
    )


# ------------------------------------------------------------------------------------ deep fusion


def draw_depth(data: xr.Dataset) -> Figure:
    """Deep networks: joint training, the MIMO-like rule, thresholds over depth, and correlation.

    Parameters
    ----------
    data : Dataset
        Of :func:`mimo_sim.studies.depth.compute`.
    """
    with style():
        figure = Figure(figsize=(8.4, 7.0))
        axes = figure.subplots(2, 2, gridspec_kw=DEPTH_MARGINS)
        _draw_joint_training(axes[0, 0], data)
        _draw_rule(axes[0, 1], data)
        _draw_thresholds(axes[1, 0], data)
        _draw_correlation(axes[1, 1], data)
        attrs = data.attrs
        note(
            figure,
            rf"Linear networks, width {attrs['width']} (in (c) {attrs['wide']}; aligned start: 1), "
            rf"$\mu$ = {attrs['mu']:g}; "
            f"(b), (d): medians and single runs of {attrs['seeds']} Gaussian starts. "
            "$L_f$: layers up to fusion."
            "\nLearning time: first step at which the joint prediction from one modality alone "
            "has a tenth of its final mean square.",
        )
    return figure


def _draw_joint_training(ax: Axes, data: xr.Dataset) -> None:
    for i, layer in enumerate(data.fusion_layer.values):
        one = data.sel(fusion_layer=layer)
        predicted, measured = one.predicted_joint_ratio - 1, one.joint_ratio - 1
        label = rf"$L_f$ = {layer}"
        _draw_theory_and_points(ax, data.init_scale, predicted, measured, i, label, ms=5)
    ax.set(
        xscale="log",
        yscale="log",
        xlabel=r"initial scale $u_0$",
        ylabel=r"$t_B / t_A - 1$",
        title="(a) Joint training, L = 3",
    )
    plain_ticks(ax.xaxis, data.init_scale.values.tolist())
    plain_ticks(ax.yaxis, (0.05, 0.1, 0.2, 0.5, 1.0))
    ax.set_ylim(0.05, 1.0)
    ax.legend(title="lines: leading order", title_fontsize=8, loc="lower right")


def _draw_rule(ax: Axes, data: xr.Dataset) -> None:
    """Time ratios over the penalty, for every fusion layer and place of the heads."""
    for i, network in enumerate(data.network.values):
        name = network.replace(" trunk", "").replace(" encoder", ", heads at fusion")
        ratio = data.ratio.sel(network=network)
        _draw_medians(ax, data.lam.values, ratio, i, rf"$L_f$ = {name}")
    _set_ratio_axis(ax, 0.5, 1.9)
    ax.set(xlabel=PENALTY, title="(b) MIMO rule, L = 4")
    ax.legend(ncols=2, loc="upper left", fontsize=7, handlelength=2.6, columnspacing=1)


def _draw_thresholds(ax: Axes, data: xr.Dataset) -> None:
    """The penalty that reverses the order, over depth; the line begins at depth 2, in theory."""
    depth_two = float(data.predicted_threshold.sel(start="gaussian")[0])
    for i, start in enumerate(data.start.values):
        one, color = data.sel(start=start), MODALITY_COLORS[i]
        theory = np.r_[depth_two, one.predicted_threshold]
        ax.plot(np.r_[2, data.depth], theory, color=color, lw=1.2)
        runs = one.threshold.transpose("seed", "depth").values
        for seed, values in enumerate(runs):
            shift = 0.0 if start == "aligned" else 0.04 * (seed - (len(runs) - 1) / 2)
            label = f"{start} start".capitalize() if seed == 0 else None
            ax.plot(data.depth + shift, values, MARKERS[i], ms=4, color=color, label=label)
    ax.set(
        xlabel="depth L of late fusion",
        ylabel=r"penalty $\lambda^*$ that reverses the order",
        title="(c) Threshold and depth",
        ylim=(0, None),
        xlim=(1.9, 5.2),
    )
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
    ax.legend(title=r"lines: theory, $u_0 \to 0$", title_fontsize=8, loc="lower right")


def _draw_correlation(ax: Axes, data: xr.Dataset) -> None:
    """Time ratios over the correlation of the inputs, by fusion layer and penalty."""
    count = 0
    for layer in data.rho_fusion_layer.values:
        for penalty in data.penalty.values:
            ratio = data.rho_ratio.sel(rho_fusion_layer=layer, penalty=penalty)
            label = rf"$L_f$ = {layer}, $\lambda$ = {penalty:g}"
            _draw_medians(ax, data.rho.values, ratio, count, label)
            count += 1
    _set_ratio_axis(ax, 0.4, 2.5)
    ax.set(xlabel=CORRELATION, title="(d) Correlation, L = 3")
    ax.legend(ncols=2, loc="upper center", fontsize=7, handlelength=2.6)


# ------------------------------------------------------------------------------------------- ReLU


def draw_relu(data: xr.Dataset) -> Figure:
    """Time ratios of linear and ReLU networks over the penalty.

    Parameters
    ----------
    data : Dataset
        Of :func:`mimo_sim.studies.relu.compute`.
    """
    with style():
        figure = Figure(figsize=(8.4, 3.4))
        axes = figure.subplots(1, data.sizes["network"], sharey=True, gridspec_kw=RELU_MARGINS)
        for letter, ax, network in zip("abc", axes, data.network.values, strict=True):
            for i, activation in enumerate(data.activation.values):
                ratio = data.ratio.sel(network=network, activation=activation)
                label = str(activation).replace("relu", "ReLU")
                _draw_medians(ax, data.lam.values, ratio, i, label)
            speed = data.speed.sel(network=network).median("seed")
            ax.text(
                0.97,
                0.04,
                f"A takes {float(speed[1] / speed[0]):.2f} times as long\nwith ReLU (λ = 0)",
                transform=ax.transAxes,
                ha="right",
                fontsize=8,
            )
            _set_ratio_axis(ax, 0.5, 2.1)
            ax.set(xlabel=PENALTY, title=f"({letter}) {network}")
        for ax in axes[1:]:
            ax.set_ylabel("")
        axes[0].legend(loc="upper left")
        attrs = data.attrs
        note(
            figure,
            f"{attrs['samples']} samples in pairs (x, -x), scalar modalities, "
            f"width {attrs['width']}, $\\mu$ = {attrs['mu']:g}; "
            f"medians and single runs of {attrs['seeds']} Gaussian starts."
            "\nLearning time: as the joint prediction from one modality alone reaches a "
            "tenth of its final mean square.",
        )
    return figure


# ------------------------------------------------------------------------------------ all of them


def _set_ratio_axis(ax: Axes, low: float, high: float) -> None:
    """A logarithmic axis of time ratios, with a line where both modalities are learned at once."""
    ax.set(yscale="log", ylim=(low, high), ylabel=TIME_RATIO)
    plain_ticks(ax.yaxis, [tick for tick in RATIO_TICKS if low <= tick <= high])
    ax.axhline(1, color="0.6", lw=0.8, zorder=0)


def _draw_theory_and_points(
    ax: Axes,
    x: xr.DataArray,
    theory: xr.DataArray,
    measured: xr.DataArray,
    i: int,
    label: str,
    ms: float,
) -> None:
    """A line for what theory says, and markers for what was measured."""
    ax.plot(x, theory, color=MODALITY_COLORS[i], lw=1.2)
    ax.plot(x, measured, MARKERS[i], ms=ms, color=MODALITY_COLORS[i], label=label)


def _draw_medians(ax: Axes, x: np.ndarray, values: xr.DataArray, i: int, label: str) -> None:
    """The median over seeds as a line, every seed as a faint dot."""
    line: dict[str, Any] = modality_line(i)
    for run in values.transpose("seed", ...).values:
        ax.plot(x, run, ".", ms=2.5, color=line["color"], alpha=0.4)
    marker = MARKERS[i % len(MARKERS)]
    ax.plot(x, values.median("seed"), **line, marker=marker, ms=3.5, lw=1.3, label=label)
