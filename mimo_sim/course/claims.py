"""Lesson 7, what is true of a paper's claims: rows of the ledger told and drawn.

Claims, evidence and rows are those of the package ``paper_checks``.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from mimo_sim._checks import FloatArray
from mimo_sim.course._panels import lettered, step_axis
from mimo_sim.plots._style import (
    JOINT_COLOR,
    LEGEND_BOX,
    METHOD_COLORS,
    MODALITY_COLORS,
    dashes,
    modality_line,
    style,
)

if TYPE_CHECKING:
    import xarray as xr

WIDTH, INDENT = 105, 12  # of printed text, in characters
MARKS = {  # verdict -> marker and colour
    "holds": ("o", METHOD_COLORS[2]),
    "holds under conditions": ("^", METHOD_COLORS[3]),
    "refuted": ("X", MODALITY_COLORS[1]),
    "open": ("D", METHOD_COLORS[1]),
    "needs data": ("s", "0.7"),
}


def show(label: str, text: object) -> None:
    """Print a text behind a label, folded."""
    indents = {"initial_indent": f"{label:>10}  ", "subsequent_indent": INDENT * " "}
    unbroken = {"break_long_words": False, "break_on_hyphens": False}
    print(textwrap.fill(str(text), WIDTH, **indents, **unbroken))  # type: ignore[arg-type]


def tell(row: Any) -> None:
    """Print one row of the ledger: claim, assumptions, kind of check, verdict and reason."""
    show("claim", row.claim.says)
    show("assumes", row.claim.assumptions)
    show("how", row.claim.how)
    show("VERDICT", row.evidence.verdict)
    show("because", row.evidence.words)


def execute(example: Any) -> None:
    """Print a counter-example and run its command, ``python -c "..."``, in this process."""
    show("case", example.case)
    show("$", example.command)
    exec(shlex.split(example.command)[2], {})


def draw_ledger(claims: Sequence[Any]) -> Figure:
    """Every claim as a mark, a line per topic; the mark says the recorded verdict."""
    topics = list(dict.fromkeys(claim.topic for claim in claims))
    columns = [sum(other.topic == c.topic for other in claims[:i]) for i, c in enumerate(claims)]
    places = np.array([columns, [topics.index(claim.topic) for claim in claims]])
    recorded = np.array([str(claim.recorded) for claim in claims])
    with style():
        figure = Figure(figsize=(6.5, 0.27 * len(topics) + 0.3), layout="constrained")
        ax = figure.subplots()
        for verdict, (marker, color) in MARKS.items():
            chosen = recorded == verdict
            if chosen.any():
                look: dict[str, Any] = {"s": 55, "marker": marker, "color": color}
                ax.scatter(*places[:, chosen], label=f"{verdict} ({chosen.sum()})", **look)
        ax.set_yticks(range(len(topics)), topics)
        ax.set(xticks=[], ylim=(len(topics) - 0.4, -0.6), xlim=(-0.5, places[0].max() + 3))
        ax.spines[["left", "bottom"]].set_visible(False)
        ax.tick_params(left=False)
        ax.legend(loc="upper right")
    return figure


def bound_of_theorem1(run: xr.Dataset, lowest: float) -> tuple[FloatArray, FloatArray]:
    """Bound of Theorem 1 and smallest squared gradient so far, after each step of a run.

    Parameters
    ----------
    run : Dataset
        It recorded every step.
    lowest : float
        inf F, in units of the loss.
    """
    count, eta = run.step.values[1:], run.attrs["step_size"]
    bound = 2 * (run.objective.values[0] - lowest) / (eta * count)
    return bound, np.minimum.accumulate(run.grad_norm_sq.values[:-1])


def draw_bounds(evidence: Any, starts: Mapping[float, xr.Dataset], lowest: float) -> Figure:
    """The plot of a check beside runs of the toy from several starts, each with its bound."""
    with style():
        figure = Figure(figsize=(3.2 * (1 + len(starts)), 2.9), layout="constrained")
        axes = figure.subplots(1, 1 + len(starts))
        evidence.plot(axes[0])
        for ax, run in zip(axes[1:], starts.values(), strict=True):
            bound, least = bound_of_theorem1(run, lowest)
            ax.loglog(run.step[1:], bound, color=JOINT_COLOR, label="bound")
            ax.loglog(run.step[1:], least, color=MODALITY_COLORS[0], label="measured")
            ax.set(xlabel="steps T", ylim=(1e-18, 1e6))
            ax.legend(loc="center left")
        lettered(axes, ("Closest random run", *(f"The toy, $u_0$ = {u:g}" for u in starts)))
    return figure


def draw_objectives(runs: Mapping[float, xr.Dataset], lowest: float) -> Figure:
    """F above its minimum for several step sizes, given as multiples of 1/L."""
    with style():
        figure = Figure(figsize=(5.5, 2.8), layout="constrained")
        ax = figure.subplots()
        for i, (multiple, run) in enumerate(runs.items()):
            look = {"color": METHOD_COLORS[i + 1], "ls": dashes(i)}
            label = rf"$\eta$ = {multiple:.1f} / L"
            ax.semilogy(run.step, run.objective - lowest, label=label, **look)
        step_axis(ax, 60)
        ax.set(ylabel="$F - \\inf F$", ylim=(1e-4, 1e3))
        ax.legend(loc="center right")
    return figure


def draw_sign(evidence: Any, run: xr.Dataset, by_norms: float, with_sign: float) -> Figure:
    """The plot of the check beside one run, with the two predicted times of the second modality."""
    with style():
        figure = Figure(figsize=(9.4, 3.3), layout="constrained")
        axes = figure.subplots(1, 2)
        evidence.plot(axes[0])
        for k, name in enumerate("AB"):
            norm = run.encoder_norm.isel(modality=k)
            axes[1].semilogy(run.time, norm, label=f"$|W_{name}|$", **modality_line(k))
        axes[1].axvline(by_norms, color=MODALITY_COLORS[1], lw=1, ls="--", label="B, norms only")
        axes[1].axvline(with_sign, color=MODALITY_COLORS[0], lw=1, ls=":", label="B, with the sign")
        axes[1].set(xlabel="flow time", ylabel="encoder norm")
        axes[1].legend(loc="upper left", bbox_to_anchor=(0.17, 0.93))
        lettered(axes, ("The formula over correlation", "This case"))
    return figure


def draw_minima(losses: FloatArray, estimates: Mapping[str, FloatArray], evidence: Any) -> Figure:
    """Losses of batches at a fixed weight and running minima of them; then the check's own plot."""
    with style():
        figure = Figure(figsize=(9.4, 3.2), layout="constrained")
        axes = figure.subplots(1, 2)
        axes[0].plot(losses, ".", ms=4, color="0.75", label="loss of a batch")
        for i, (name, values) in enumerate(estimates.items()):
            look = {"color": METHOD_COLORS[i + 1], "ls": dashes(i)}
            label = f"running minimum, {name}"
            axes[0].step(np.arange(len(values)), values, where="post", label=label, **look)
        axes[0].set(xlabel="batch", ylabel="loss", ylim=(0, None))
        axes[0].legend(loc="upper right", **LEGEND_BOX)
        evidence.plot(axes[1])
        lettered(axes, ("No training, only noise", "With training"))
    return figure


def draw_ratios(bars: Mapping[str, tuple[float, float, float]], xlabel: str) -> Figure:
    """Horizontal bars; each has a value and the ends of its interval (NaN: none)."""
    with style():
        figure = Figure(figsize=(6.5, 1.7), layout="constrained")
        ax = figure.subplots()
        values, lows, highs = np.array(list(bars.values())).T
        places = np.arange(len(bars))
        ax.barh(places, values, color=("0.8", *METHOD_COLORS[1:])[: len(bars)], height=0.6)
        known = np.isfinite(lows)
        errors = np.array([values - lows, highs - values])[:, known]
        look: dict[str, Any] = {"color": JOINT_COLOR, "capsize": 3, "ls": ""}
        ax.errorbar(values[known], places[known], xerr=errors, **look)
        ax.set_yticks(places, list(bars))
        ax.set(xlabel=xlabel, xlim=(0, 1.05 * values.max()), ylim=(len(bars) - 0.5, -0.5))
    return figure


def draw_evidence(rows: Mapping[str, Any]) -> Figure:
    """The plots of several rows of the ledger, side by side."""
    with style():
        figure = Figure(figsize=(4.7 * len(rows), 3.1), layout="constrained")
        axes = figure.subplots(1, len(rows), sharey=True, squeeze=False)[0]
        for ax, row in zip(axes, rows.values(), strict=True):
            row.evidence.plot(ax)
        for ax in axes[1:]:
            ax.set_ylabel("")
        lettered(axes, list(rows))
    return figure
