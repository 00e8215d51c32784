"""Lesson 1, why one modality waits: the pictures of one race on the problem of Figure 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mimo_sim import objective
from mimo_sim._checks import FloatArray
from mimo_sim.course._panels import lettered, plot_joint_loss, plot_modalities, step_axis
from mimo_sim.plots._style import METHOD_COLORS, dashes, modality_color, style
from mimo_sim.plots.figure1 import draw_architecture

if TYPE_CHECKING:
    import xarray as xr

    from mimo_sim.theory import PreferenceReport


def draw_network(names: Sequence[str] = ("A", "B"), *, unimodal_heads: bool = False) -> Figure:
    """The network of the toy, without or with the heads that MIMO adds while training."""
    with style():
        figure = Figure(figsize=(5.5, 3.2 if unimodal_heads else 2.2))
        ax = figure.subplots()
        draw_architecture(ax, list(names), unimodal_heads=unimodal_heads)
        if not unimodal_heads:
            ax.set_ylim(0.17, 0.9)
    return figure


def draw_conditions(report: PreferenceReport) -> Figure:
    """Who is louder, and who explains more (:func:`mimo_sim.theory.superficial_preference`)."""
    with style():
        figure = Figure(figsize=(7, 2.5), layout="constrained")
        axes = figure.subplots(1, 2)
        colors = [modality_color(k) for k in range(len(report.names))]
        for ax, values in zip(axes, (report.correlation, report.explained), strict=True):
            bars = ax.bar(report.names, values, color=colors, width=0.55)
            ax.bar_label(bars, fmt="{:.2f}", padding=2)
            ax.set(xlabel="modality", ylim=(0, 1.2 * values.max()))
        axes[0].set_ylabel("covariance $|C_k|$")
        axes[1].set_ylabel("explained alone, of $E[y^2]$")
        lettered(axes, ("Who is louder?", "Who explains more?"))
    return figure


def draw_waiting(run: xr.Dataset, predicted: FloatArray, rates: FloatArray) -> Figure:
    r"""Joint training: encoders, the same on a log scale beside their growth law, and the loss.

    Parameters
    ----------
    run : Dataset
        A run of joint training from tiny weights.
    predicted : array (K,)
        Predicted learning times, in flow time.
    rates : array (K,)
        Predicted growth rates :math:`|C_k|`, per flow time.
    """
    start, step_size = run.attrs["init_scale"], run.attrs["step_size"]
    with style():
        figure = Figure(figsize=(9.6, 2.9), layout="constrained")
        axes = figure.subplots(1, 3)
        for ax in axes[:2]:
            plot_modalities(ax, run, "encoder_norm", "|W_{}|")
        plot_joint_loss(axes[2], run)
        for k, name in enumerate(run.modality.values):
            law = {"color": modality_color(k), "ls": ":", "lw": 1}
            growth = start / np.sqrt(2) * np.exp(np.minimum(rates[k] * run.time, 100))
            axes[1].plot(run.step, growth, label=f"$e^{{|C_{{{name}}}| t}}$", **law)
            for ax in (axes[0], axes[2]):
                ax.axvline(predicted[k] / step_size, **law)
        axes[0].set_ylabel("encoder norm")
        axes[1].set(yscale="log", ylim=(start / 3, 30), ylabel="encoder norm")
        axes[2].set(ylabel="loss", ylim=(0, None))
        for ax in axes:
            step_axis(ax)
            ax.legend(loc="lower right" if ax is axes[1] else "best")
        lettered(axes, ("Encoders", "The same, log scale", "Joint loss"))
    return figure


def draw_smoothing(widths: Sequence[float] = (0.01, 0.1, 1.0)) -> Figure:
    """The smoothed maximum of two gaps, and the weight of the second, for several mu."""
    difference = np.linspace(-0.5, 0.5, 401)
    gaps = np.stack([np.zeros_like(difference), difference], axis=-1)
    with style():
        figure = Figure(figsize=(8, 2.9), layout="constrained")
        axes = figure.subplots(1, 2)
        axes[0].plot(difference, gaps.max(axis=-1), color="0.8", lw=5, label="maximum")
        for i, mu in enumerate(widths):
            line = {"color": METHOD_COLORS[i + 1], "ls": dashes(i), "label": rf"$\mu$ = {mu:g}"}
            axes[0].plot(difference, objective.smoothed_maximum(gaps, mu), **line)
            axes[1].plot(difference, objective.sigma_weights(gaps, mu)[:, 1], **line)
        axes[0].set_ylabel("value (units of the loss)")
        axes[1].set_ylabel(r"$\sigma_B$")
        for ax in axes:
            ax.set_xlabel("gap$_B$ − gap$_A$ (units of the loss)")
            ax.legend()
        lettered(axes, ("Smoothed maximum, if gap$_A$ = 0", "Weight of modality B"))
    return figure


def draw_race(vanilla: xr.Dataset, mimo: xr.Dataset, *, last_step: float) -> Figure:
    """Encoder norms and losses of joint training and of MIMO, side by side.

    Parameters
    ----------
    vanilla, mimo : Dataset
        Two runs of one problem, at one step size. Their uni-modal heads are trained.
    last_step : float
        Where the step axis of MIMO ends.
    """
    with style():
        figure = Figure(figsize=(8.4, 4.8))
        axes = figure.subplots(2, 2, sharex="col", sharey="row")
        for (top, bottom), run in zip(axes.T, (vanilla, mimo), strict=True):
            plot_modalities(top, run, "encoder_norm", "|W_{}|")
            plot_modalities(bottom, run, "loss_uni", "f_{}")
            plot_joint_loss(bottom, run)
            step_axis(bottom, float(run.step[-1]))
        highest = 1.08 * max(float(run.loss_uni.max()) for run in (vanilla, mimo))
        axes[1, 0].set(ylim=(0, highest), ylabel="loss")
        axes[0, 0].set(ylim=(0, None), ylabel="encoder norm")
        axes[1, 1].set_xlim(0, last_step)
        settings = rf"$\lambda$ = {mimo.attrs['lam']:g}, $\mu$ = {mimo.attrs['mu']:g}"
        lettered(axes[0], ("Vanilla", f"MIMO, {settings}"))
        figure.tight_layout(h_pad=1.5, w_pad=2)
        axes[0, 1].legend(loc="lower right")
        axes[1, 1].legend(loc="upper right")
    return figure


def draw_weights(mimo: xr.Dataset, *, last_step: float) -> Figure:
    """The gaps of a run of MIMO, and the weights sigma that they lead to, up to `last_step`."""
    with style():
        figure = Figure(figsize=(8.4, 2.8), layout="constrained")
        axes = figure.subplots(1, 2)
        plot_modalities(axes[0], mimo, "gap", r"\mathrm{{gap}}_{}")
        plot_modalities(axes[1], mimo, "sigma", r"\sigma_{}")
        axes[0].set(ylabel="$f_k - f_k^*$ (units of the loss)", ylim=(0, None))
        axes[1].set(ylabel=r"weight $\sigma_k$", ylim=(-0.03, 1.03))
        for ax in axes:
            step_axis(ax, last_step)
        axes[0].legend(loc="center right")
        axes[1].legend(loc="upper right", bbox_to_anchor=(1, 0.9))
        lettered(axes, ("Gaps", "Who is pushed"))
    return figure
