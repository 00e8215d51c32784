"""What is true of every figure of a study."""

from __future__ import annotations

from matplotlib.figure import Figure

import tests.plots.test_figures as figure_checks


def check_figure(figure: Figure) -> None:
    """Fail unless every axis has a label and no text lies over other text."""
    figure_checks.test_no_text_overlaps_other_text(figure)
    for ax in figure.axes:
        assert ax.get_xlabel() or ax.get_ylabel()
