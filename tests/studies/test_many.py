"""The study of many modalities: what it measures is what single runs show, and what it says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr

import mimo_sim as ms
from mimo_sim import plots
from mimo_sim.dynamics.ensemble import step
from mimo_sim.studies import many
from tests.studies.figures import check_figure


@pytest.fixture(scope="module")
def data() -> xr.Dataset:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, "GENERATED_SIZE", 0)  # nothing to compile
        patch.setattr(many, "MOST_STEPS", 2**14)
        return many.compute((2, 3), 4, init_scales=(1e-6, 1e-12))


def test_a_point_says_what_a_single_run_shows(data: xr.Dataset) -> None:
    one = data.sel(count=3, dim=2, init_scale=1e-12).isel(problem=0)
    problem = ms.generators.random_problem((2, 2, 2), int(one.seed))
    method = ms.MIMO(lam=float(one.lam), mu=float(one.mu))
    times = ms.theory.mimo_learning_times(problem, method.lam)
    np.testing.assert_array_equal(one.predicted, times)
    eta = 0.3 * ms.theory.chattering_threshold(problem, method.lam, method.mu)
    eta = min(eta, 0.01 / float(ms.theory.growth_rates(problem, method.lam, 1e-9).max()))
    steps = int(times.max() * (math.log(1e12) + many.LATER) / eta)
    run = ms.simulate(problem, method, step_size=eta, steps=steps, width=math.inf, init_scale=1e-12)
    part = run.encoder_norm.values / run.encoder_norm.values[-1]
    emerged = run.time.values[(part >= 0.1).argmax(axis=0)] / math.log(1e12)
    np.testing.assert_allclose(one.simulated, emerged, rtol=0.02)


def test_the_order_is_right_and_the_error_falls(data: xr.Dataset) -> None:
    assert np.isnan(data.predicted.sel(count=2).isel(modality=2)).all()
    found = many.summarise(data)
    assert found["all"]["problems"] == 16
    assert found["all"]["outside"] == parts_left_out(data, "outside")
    assert found["all"]["unseen"] == parts_left_out(data, "unseen")
    for name in ("all", "K = 2", "K = 3"):
        assert min(found[name]["right"]) == 1
        coarse, fine = found[name]["error"]
        assert 0.35 < fine / coarse < 0.65  # one half, like 1 / ln(1/u0)


def parts_left_out(data: xr.Dataset, why: str) -> list[float]:
    """The part of the draws with well-spaced gaps that was left out for this reason, for each d."""
    parts = []
    for dim in (1, 2):
        one = data.sel(dim=dim).sum("count")
        parts.append(float(one[why]) / (float(one.outside) + float(one.unseen) + 2 * 4))
    return parts


def test_a_wrong_prediction_is_seen(data: xr.Dataset) -> None:
    turned = data.assign(predicted=1 / data.predicted)
    found = many.summarise(turned)["all"]
    assert max(found["right"]) == 0
    assert min(found["error"]) > 0.3


def test_the_figure_is_labelled_and_no_text_overlaps(data: xr.Dataset) -> None:
    check_figure(plots.draw_many(data))


def test_refusals() -> None:
    with pytest.raises(ValueError, match="`modalities` must be >= 2"):
        many.compute((1, 3), 2)
    with pytest.raises(ValueError, match="`problems` must be >= 1"):
        many.compute((2,), 0)
    with pytest.raises(ValueError, match="`init_scales` must"):
        many.compute((2,), 1, init_scales=(2.0,))
