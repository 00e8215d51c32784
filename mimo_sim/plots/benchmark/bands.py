"""One panel of curves over epochs: a mean over seeds, and a band from the least to the largest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

from mimo_sim._extras import explained

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

BAND = "line: mean over seeds; band: smallest to largest seed"
WIDE = 4.0  # an axis that goes up by more than this factor has ticks at 1, 2, 5, 10, ...
LIGHT = 0.16  # how much a band covers


def draw_bands(
    ax: Axes, frame: pd.DataFrame, hue: str, colors: Mapping[str, str], dashes: Mapping[str, Any]
) -> None:
    """Curves of ``value`` against ``epoch``, one for each value of the column `hue`.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        Of :func:`mimo_sim.benchmark.tidy.epochs_frame`. Seeds that ended early are averaged as
        far as they go.
    hue : str
        ``"method"`` or ``"modality"``.
    colors, dashes : mapping
        Of every value of that column.
    """
    with explained():
        import seaborn as sns
    order = [name for name in colors if name in set(frame[hue])]
    sns.lineplot(
        frame,
        x="epoch",
        y="value",
        hue=hue,
        style=hue,
        hue_order=order,
        style_order=order,
        palette={name: colors[name] for name in order},
        dashes={name: dashes[name] for name in order},
        errorbar=("pi", 100),
        err_kws={"alpha": LIGHT, "lw": 0},
        lw=1.3,
        legend=False,
        ax=ax,
    )
    ax.set(xlabel="", ylabel="")
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5, integer=True, min_n_ticks=1))


def logarithmic(ax: Axes) -> None:
    """A logarithmic vertical axis with few ticks, written as plain numbers."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    is_wide = high > WIDE * low
    ax.yaxis.set_major_locator(
        mpl.ticker.LogLocator(subs=(1.0, 2.0, 5.0), numticks=20)
        if is_wide
        else mpl.ticker.MaxNLocator(4, steps=[1, 2, 5, 10])
    )
    ax.yaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_locator(mpl.ticker.NullLocator())
