"""The picture that a chat or a social network shows beside a link to the site."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

import mimo_sim as ms
from mimo_sim._files import replacing

STORED = Path(__file__).resolve().parent.parent / "figures" / "figure1.nc"
TITLES = {"vanilla": "Joint training", "mimo": "MIMO"}


def draw() -> Figure:
    """1200 x 630 pixels: the encoder norms of Figure 1, joint training beside MIMO."""
    data = ms.load(STORED)
    with ms.plots.style():
        figure = Figure(figsize=(12, 6.3), dpi=100, facecolor="white")
        figure.text(0.05, 0.87, "mimo_sim", fontsize=40, weight="bold", va="center")
        figure.text(
            0.05, 0.77, "The laboratory for modality imbalance in multi-modal learning", fontsize=21
        )
        for i, (solver, title) in enumerate(TITLES.items()):
            ax = figure.add_axes((0.08 + 0.47 * i, 0.13, 0.4, 0.52))
            run = data.encoder_norm.sel(solver=solver).median("seed")
            half = data.half_time.sel(solver=solver).median("seed").max().item()
            for k, modality in enumerate(data.modality.values):
                color, dash = ms.plots.MODALITY_COLORS[k], ms.plots.DASHES[k]
                ax.plot(run.step, run.sel(modality=modality), color=color, ls=dash, lw=4)
            ax.set_xlim(0, 1.5 * half)
            ax.set_title(title, fontsize=22)
            ax.set_xlabel("step", fontsize=16)
            ax.tick_params(labelsize=13)
        figure.axes[0].set_ylabel("encoder norm", fontsize=16)
    return figure


def write(path: Path) -> None:
    """Write the picture."""
    with replacing(path) as temporary:
        draw().savefig(temporary, format="png", metadata={"Software": None})
