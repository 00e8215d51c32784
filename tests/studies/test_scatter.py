"""The study of random problems: they wait as predicted."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr

from mimo_sim import plots
from mimo_sim.studies import scatter
from tests.studies.figures import check_figure


@pytest.fixture(scope="module")
def scatter_data() -> xr.Dataset:
    return scatter.compute(20, (2, 2), steps=20_000)


def test_random_problems_wait_as_predicted(scatter_data: xr.Dataset) -> None:
    found = scatter.summarise(scatter_data)
    assert found["finite_u0"]["correlation"] > 0.99
    assert found["finite_u0"]["median_relative_error"] < 1 / math.log(1e9)
    assert np.ptp(scatter_data.time_ratio.values) > 1


def test_the_figure_is_labelled_and_no_text_overlaps(scatter_data: xr.Dataset) -> None:
    check_figure(plots.draw_scatter(scatter_data))


def test_too_few_problems_are_refused() -> None:
    with pytest.raises(ValueError, match="`problems` must be >= 3"):
        scatter.compute(2)
