"""Mean ranks of methods over data sets, with the distance below which they are not told apart."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mimo_sim.benchmark.ranking import Ranking
from mimo_sim.benchmark.wording import dataset_words, method_words
from mimo_sim.plots._style import MODALITY_COLORS, style

LINE = 0.19  # inches of height for each method
MARKERS = "osD^vPX*<>"


def draw_ranks(ranking: Ranking) -> Figure:
    """One line per method: its mean rank, and its rank on each data set.

    Parameters
    ----------
    ranking : Ranking
        Of :func:`mimo_sim.benchmark.rank`.
    """
    k = len(ranking.methods)
    height = 1.5 + LINE * k
    lines = np.arange(k)
    best = ranking.mean_ranks[0]
    with style():
        figure = Figure(figsize=(7.2, height), layout="constrained")
        ax = figure.subplots()
        ax.axvspan(
            best,
            best + ranking.critical_distance,
            color="0.93",
            label="not told from the best (Nemenyi, 5 %)",
        )
        for j, dataset in enumerate(ranking.datasets):
            ax.plot(
                ranking.ranks[:, j],
                lines,
                MARKERS[j % len(MARKERS)],
                ms=3.5,
                mfc="none",
                mec=MODALITY_COLORS[j % len(MODALITY_COLORS)],
                mew=0.8,
                ls="none",
                label=dataset_words(dataset),
            )
        ax.plot(ranking.mean_ranks, lines, "|", color="k", ms=9, mew=2, label="mean rank")
        ax.set_yticks(lines, [method_words(name) for name in ranking.methods], fontsize=7)
        ax.set(
            ylim=(k - 0.4, -0.6),
            xlim=(0.3, k + 0.7),
            xlabel=f"rank by {ranking.metric} of the test split (1 = best)",
        )
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.grid(axis="y", color="0.9", lw=0.5)
        ax.set_axisbelow(True)
        figure.legend(loc="outside upper center", ncols=3, fontsize=7)
    return figure
