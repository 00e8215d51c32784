"""Figures of the studies in :mod:`mimo_sim.studies`, drawn from their datasets. Nothing is computed here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from mimo_sim.plots.figures import DASHES, METHOD_COLORS, MODALITY_COLORS, style
from mimo_sim.studies.race import BUDGET, LEVELS, MARGIN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = ("o", "s", "^", "D")
AXES = {
    "correlation_ratio": r"ratio of correlations, $|C_A| / |C_B|$",
    "explained_ratio": "explained alone, B over A",
    "rho": r"correlation of the inputs, $\rho$",
    "lam": r"penalty, $\lambda$",
    "mu": r"smoothing, $\mu$ (units of the loss)",
}
TICKS: dict[str, tuple[float, ...]] = {
    "lam": (0.1, 0.3, 1, 3, 10, 30),
    "mu": (0.003, 0.01, 0.03, 0.1, 0.3, 1),
}
WAIT = {"norm": mpl.colors.LogNorm(1, 20), "cmap": "viridis", "extend": "max"}
GAIN = {"norm": mpl.colors.LogNorm(0.2, 5), "cmap": "PuOr", "extend": "both"}
ORDER = {"norm": mpl.colors.LogNorm(0.5, 2), "cmap": "PuOr", "extend": "both"}
PART = {"norm": mpl.colors.Normalize(0, 1), "cmap": "viridis"}


def _ticks(axis: Any, values: tuple[float, ...]) -> None:
    axis.set_major_locator(mpl.ticker.FixedLocator(values))
    axis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(mpl.ticker.NullLocator())


def _note(figure: Figure, text: str) -> None:
    figure.text(0.5, 0.008, text, ha="center", va="bottom", fontsize=7.5, color="0.3")


# ------------------------------------------------------------------------------------------ reproductions


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
        _ticks(left.yaxis, (1, 2, 5, 10, 20, 50))
        right.set(
            title="(b) What A is wrongly credited with",
            ylabel=r"mis-attribution, $M_A(\mathrm{alone}) - M_A$",
        )
        right.axhline(0, color="0.8", lw=0.8, zorder=0)
        for ax in (left, right):
            ax.set_xlabel(r"correlation of the inputs, $\rho$")
        left.legend(loc="upper center")
        right.legend(loc="upper left")
        note = f"Lines: theory for $u_0 \\to 0$. Markers: {data.sizes['seed']} initialisations of scale {data.attrs['init_scale']:g}, "
        note += f"{data.attrs['steps']:,} steps each."
        if data.hidden.any():
            note += "\nOpen markers: A alone rests below half of its final squared norm, so its half-time misses its emergence."
        _note(figure, note)
    return figure


def draw_scatter(data: xr.Dataset) -> Figure:
    """Predicted against simulated time ratios on random problems, from :func:`mimo_sim.studies.scatter.compute`."""
    with style():
        figure = Figure(figsize=(8.4, 4.2))
        panels = figure.subplots(
            1,
            2,
            sharex=True,
            sharey=True,
            gridspec_kw={
                "left": 0.075,
                "right": 0.985,
                "top": 0.93,
                "bottom": 0.17,
                "wspace": 0.08,
            },
        )
        ends = np.array(
            [
                0.95,
                1.08
                * float(max(data.time_ratio.max(), data.predicted.max(), data.predicted_u0.max())),
            ]
        )
        titles = {
            "predicted": r"(a) Theory for $u_0 \to 0$",
            "predicted_u0": rf"(b) Theory for $u_0$ = {data.attrs['init_scale']:g}",
        }
        for ax, (name, title), color in zip(panels, titles.items(), MODALITY_COLORS, strict=False):
            ax.plot(ends, ends, color="0.6", lw=1, label="equal")
            label = f"{data.sizes['problem']} problems, correlation {np.corrcoef(data[name], data.time_ratio)[0, 1]:.4f}"
            ax.scatter(
                data[name],
                data.time_ratio,
                s=16,
                edgecolors=color,
                facecolors=mpl.colors.to_rgba(color, 0.3),
                lw=0.8,
                label=label,
            )
            ax.set(
                xscale="log",
                yscale="log",
                title=title,
                xlabel="predicted time ratio",
                xlim=ends,
                ylim=ends,
            )
            for axis in (ax.xaxis, ax.yaxis):
                _ticks(axis, tuple(value for value in (1, 2, 3, 5, 10, 20, 50) if value < ends[1]))
            ax.legend(loc="upper left")
        panels[0].set_ylabel("simulated ratio of half-times")
        size = " + ".join(map(str, np.atleast_1d(data.attrs["dims"])))
        _note(
            figure,
            f"Random problems with superficial modality preference, {size} input dimensions; joint training.",
        )
    return figure


# ------------------------------------------------------------------------------------------ phase diagrams


def _map(
    figure: Figure,
    ax: Axes,
    values: xr.DataArray,
    look: dict[str, Any],
    title: str,
    label: str,
    ticks: tuple[float, ...],
) -> None:
    """One coloured map with its bar; NaN stays grey. A gain also gets the borders of its neutral zone."""
    x, y = values.dims[1], values.dims[0]
    spec = ax.get_subplotspec()
    if spec is not None and spec.is_first_col():  # asked before the colour bar takes its share
        ax.set_ylabel(AXES[str(y)])
    ax.set_facecolor("0.8")
    shown = values.where(np.isfinite(values) | (values == np.inf))
    mesh = ax.pcolormesh(
        values[x],
        values[y],
        shown,
        norm=look["norm"],
        cmap=look["cmap"],
        shading="nearest",
        rasterized=True,
    )
    bar = figure.colorbar(mesh, ax=ax, extend=look.get("extend", "neither"), pad=0.02, label=label)
    _ticks(bar.ax.yaxis, ticks)
    if look is GAIN:
        ax.contour(
            values[x],
            values[y],
            shown,
            levels=[1 / MARGIN, MARGIN],
            colors="k",
            linewidths=1.1,
            linestyles=["-", "-"],
        )
    for axis, name, set_scale in ((ax.xaxis, x, ax.set_xscale), (ax.yaxis, y, ax.set_yscale)):
        if name != "rho":
            set_scale("log")
            _ticks(axis, TICKS.get(str(name), (0.3, 0.5, 1, 2, 3, 5)))
    ax.set_xlabel(AXES[str(x)])
    ax.set(title=title, xlim=(values[x][0], values[x][-1]), ylim=(values[y][0], values[y][-1]))


GAIN_TICKS = (0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5)


def draw_map(data: xr.Dataset) -> Figure:
    """The phase diagram of :func:`mimo_sim.studies.maps.compute_ratios` or :func:`mimo_sim.studies.maps.compute_correlations`."""
    y, x = (str(name) for name in data.learning_gain.dims)
    joint, mimo = data.sel(solver="vanilla"), data.sel(solver="mimo")
    with style():
        figure = Figure(figsize=(11.4, 6.4))
        axes = figure.subplots(
            2,
            3,
            gridspec_kw={
                "left": 0.055,
                "right": 0.985,
                "top": 0.95,
                "bottom": 0.125,
                "wspace": 0.26,
                "hspace": 0.36,
            },
        )
        wait, left = "later over earlier half-time", "worst gap left / initial worst gap"
        ticks = (1.0, 2.0, 5.0, 10.0, 20.0)
        _map(
            figure,
            axes[0, 0],
            joint.half_time_ratio.transpose(y, x),
            WAIT,
            "(a) Joint training: the wait",
            wait,
            ticks,
        )
        _map(
            figure,
            axes[0, 1],
            mimo.half_time_ratio.transpose(y, x),
            WAIT,
            "(b) MIMO: the wait",
            wait,
            ticks,
        )
        _map(
            figure,
            axes[0, 2],
            data.learning_gain,
            GAIN,
            "(c) Gain: both modalities learned",
            "joint training's time / MIMO's",
            GAIN_TICKS,
        )
        parts = (0.0, 0.25, 0.5, 0.75, 1.0)
        matched = {"comparison": "matched"}
        _map(
            figure,
            axes[1, 0],
            joint.worst_gap.sel(matched).transpose(y, x),
            PART,
            "(d) Joint training: gap left",
            left,
            parts,
        )
        _map(
            figure,
            axes[1, 1],
            mimo.worst_gap.sel(matched).transpose(y, x),
            PART,
            "(e) MIMO: gap left",
            left,
            parts,
        )
        gain = data.loss_gain.sel(level=LEVELS[-1])
        _map(
            figure,
            axes[1, 2],
            gain,
            GAIN,
            f"(f) Gain: $f_{{mm}}$ settled at {LEVELS[-1]:.0%}",
            "joint training's time / MIMO's",
            GAIN_TICKS,
        )
        axes[0, 2].contour(
            data[x],
            data[y],
            data.predicted_gain,
            levels=[1.0],
            colors="k",
            linewidths=1.3,
            linestyles="--",
        )
        if data.hidden.any():
            for ax in axes[0, :2]:
                ax.contourf(
                    data[x],
                    data[y],
                    data.hidden.astype(float),
                    levels=[0.5, 1.5],
                    colors="none",
                    hatches=["////"],
                )
        if y == "explained_ratio":
            for ax in axes.flat:
                ax.axhline(1, color="w", lw=1.2, ls=":")
        lam, mu, scale = (float(data.attrs[name]) for name in ("lam", "mu", "init_scale"))
        lines = [
            rf"MIMO: $\lambda$ = {lam:g}, $\mu$ = {mu:g}; $u_0$ = {scale:g}. (c)-(f) compare at matched gradient scale: MIMO's time counts $1 + \lambda$ fold. "
            rf"(d), (e): after {BUDGET:g} $\ln(1/u_0) / \max |C_k|$.",
            f"Black lines: gains of {MARGIN:g} and 1/{MARGIN:g}; dashed: predicted gain of 1."
            + (
                " White dots: above, the preference is superficial."
                if y == "explained_ratio"
                else ""
            )
            + (
                " Hatched: half-times miss the emergence of the first modality."
                if data.hidden.any()
                else ""
            )
            + (" Grey: not finished within the run." if not np.isfinite(gain).all() else ""),
        ]
        _note(figure, "\n".join(lines))
    return figure


def draw_penalty(data: xr.Dataset) -> Figure:
    """The phase diagram over lam and mu with the predicted order threshold, from :func:`mimo_sim.studies.maps.compute_penalties`."""
    with style():
        figure = Figure(figsize=(11.4, 6.4))
        axes = figure.subplots(
            2,
            3,
            gridspec_kw={
                "left": 0.055,
                "right": 0.985,
                "top": 0.95,
                "bottom": 0.125,
                "wspace": 0.26,
                "hspace": 0.36,
            },
        )
        half = data.half_time.sel(solver="mimo")
        order = half.isel(modality=0, drop=True) / half.isel(modality=1, drop=True)
        names = [str(name) for name in data.modality.values]
        for row, heads in enumerate(data.heads.values):
            one = data.sel(heads=heads)
            letters = "abc" if row == 0 else "def"
            panels = (
                (
                    order.sel(heads=heads),
                    f"Who is first ({heads} heads)",
                    f"half-time of {names[0]} / half-time of {names[1]}",
                ),
                (
                    one.learning_gain,
                    "Gain: both modalities learned",
                    "joint training's time / MIMO's",
                ),
                (
                    one.loss_gain.sel(level=LEVELS[-1]),
                    f"Gain: $f_{{mm}}$ settled at {LEVELS[-1]:.0%}",
                    "joint training's time / MIMO's",
                ),
            )
            for ax, letter, (values, title, label) in zip(axes[row], letters, panels, strict=True):
                look = ORDER if letter in "ad" else GAIN
                _map(
                    figure,
                    ax,
                    values.transpose("mu", "lam"),
                    look,
                    f"({letter}) {title}",
                    label,
                    GAIN_TICKS,
                )
            finite = one.where(np.isfinite(one.order_threshold), drop=False)
            axes[row, 0].contour(
                order.lam,
                order.mu,
                order.sel(heads=heads),
                levels=[1.0],
                colors="k",
                linewidths=1.1,
            )
            axes[row, 0].plot(finite.order_threshold, finite.mu, color="k", ls="--", lw=1.6)
        _note(
            figure,
            rf"Dashed: predicted order threshold $\lambda^*(\mu)$; to its right MIMO should learn {names[1]} first. $u_0$ = {data.attrs['init_scale']:g}. "
            "Gains at matched gradient scale: MIMO's time counts $1 + \\lambda$ fold.\n"
            f"Black lines: equal half-times in (a) and (d), gains of {MARGIN:g} and 1/{MARGIN:g} elsewhere.",
        )
    return figure


# ------------------------------------------------------------------------------------------ score


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
                _ticks(
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
        _note(
            figure,
            f"Judged on {summary['learning_gain']['judged_on']} random problems; thresholds and directions of scores chosen on "
            rf"{summary['learning_gain']['chosen_on']} others. $\lambda$ = {data.attrs['lam']:g}, $u_0$ = {data.attrs['init_scale']:g}. "
            "Grey band: neutral. Bars: 95% bootstrap."
            + "\nTime gains at matched gradient scale: MIMO's time counts $1 + \\lambda$ fold.",
        )
    return figure
