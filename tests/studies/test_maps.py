"""Phase diagrams: every point is a race, and theory finds where MIMO helps."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

import mimo_sim as ms
from mimo_sim import plots
from mimo_sim.studies import maps, race
from tests.studies.figures import check_figure


@pytest.fixture(scope="module")
def ratio_data() -> xr.Dataset:
    return maps.compute_ratios((1.5, 2.5, 4.0), (0.8, 2.0), mu=0.1)


@pytest.fixture(scope="module")
def correlation_data() -> xr.Dataset:
    return maps.compute_correlations((1.5, 4.0), (-0.6, 0.0, 0.5), mu=0.1)


@pytest.fixture(scope="module")
def penalty_data() -> xr.Dataset:
    return maps.compute_penalties((0.5, 8.0), (0.05, 0.5))


def test_every_point_of_a_map_is_the_race_at_its_labels(
    ratio_data: xr.Dataset, correlation_data: xr.Dataset, penalty_data: xr.Dataset
) -> None:
    default = penalty_data.attrs["problem"]
    for data, at, problem, method in (
        (
            ratio_data,
            {"explained_ratio": 2.0, "correlation_ratio": 4.0},
            race.ratio_pair(4.0, 2.0, 0.5),
            ms.MIMO(10.0, 0.1),
        ),
        (
            correlation_data,
            {"correlation_ratio": 4.0, "rho": -0.6},
            race.ratio_pair(4.0, 16 / 9, -0.6),
            ms.MIMO(10.0, 0.1),
        ),
        (
            penalty_data,
            {"heads": "plain", "mu": 0.5, "lam": 0.5},
            ms.LateFusionProblem.from_json(default),
            ms.MIMO(0.5, 0.5, heads="plain"),
        ),
    ):
        runs, point = race.compute([problem], method).isel(problem=0), data.sel(at)
        for name in ("half_time", "settling_time", "worst_gap", "steps", "penalty"):
            np.testing.assert_array_equal(point[name].transpose(*runs[name].dims), runs[name])
        np.testing.assert_array_equal(point.learning_gain, race.gains(runs).learning_gain)


def test_the_closed_form_of_the_gain_finds_where_mimo_helps(ratio_data: xr.Dataset) -> None:
    found = maps.summarise(ratio_data)
    assert found["matched"]["both learned"]["helps"] > 0
    assert found["matched"]["both learned"]["costs"] > 0
    assert found["equal step size"]["both learned"]["helps"] == 1
    assert found["predicted_gain"]["right_side_where_not_neutral"] == 1
    assert found["predicted_gain"]["median_relative_error"] < 1 / math.log(
        1 / ratio_data.attrs["init_scale"]
    )  # its order


def test_the_order_threshold_separates_who_is_learned_first(penalty_data: xr.Dataset) -> None:
    limit = math.sqrt(2.25**2 - 1)  # for mu -> 0, above it otherwise
    assert limit < penalty_data.order_threshold.sel(heads="gradient", mu=0.05).item() < 1.01 * limit
    assert maps.summarise_penalties(penalty_data)["order_as_predicted"] == {
        "gradient": 1.0,
        "plain": 1.0,
    }
    order = penalty_data.half_time.sel(solver="mimo", heads="gradient", mu=0.05)
    assert (order.sel(modality="A") < order.sel(modality="B")).values.tolist() == [True, False]


@pytest.mark.parametrize(
    ("name", "draw"),
    [
        ("ratio", plots.draw_map),
        ("correlation", plots.draw_map),
        ("penalty", plots.draw_penalty),
    ],
)
def test_figures_are_labelled_and_no_text_overlaps(
    name: str, draw: Callable[[xr.Dataset], Figure], request: pytest.FixtureRequest
) -> None:
    check_figure(draw(request.getfixturevalue(f"{name}_data")))


def test_a_map_without_points_is_refused() -> None:
    with pytest.raises(ValueError, match="`correlation_ratios` must have at least one value"):
        maps.compute_ratios((), (1.0,))


def test_a_map_on_which_nothing_is_learned_has_a_summary_and_a_figure(tmp_path: Path) -> None:
    with pytest.warns(ms.UnconvergedWarning, match="In none of 4 races both modalities were"):
        data = maps.compute_ratios((1.5, 4.0), (0.8, 2.0), mu=0.5, init_scale=0.99)
    summary = maps.summarise(data)
    assert math.isnan(summary["predicted_gain"]["median_relative_error"])
    assert summary["matched"]["both learned"]["finished"] == 0
    assert math.isnan(summary["matched"]["both learned"]["helps"])
    plots.write(plots.draw_map(data), tmp_path / "map.png")


def test_where_mimo_changes_nothing_all_gains_are_neutral() -> None:
    data = maps.compute_ratios((1.5, 4.0), (0.8, 2.0), lam=0.0)
    summary = maps.summarise(data)
    assert summary["matched"]["both learned"]["neutral"] == 1.0
    assert math.isnan(summary["predicted_gain"]["right_side_where_not_neutral"])
