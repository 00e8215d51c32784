"""What is true of every figure of a study."""

from __future__ import annotations

from matplotlib.figure import Figure

from tests.plots.texts import refuse_overlapping_texts


def check_figure(figure: Figure) -> None:
    """Fail unless every axis has a label and no text lies over other text."""
    refuse_overlapping_texts(figure)
    for ax in figure.axes:
        assert ax.get_xlabel() or ax.get_ylabel()
