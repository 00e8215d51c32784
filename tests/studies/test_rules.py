"""The study of rules: what it measures is what single runs show, and what it says of them."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import xarray as xr

import mimo_sim as ms
from mimo_sim import plots
from mimo_sim.dynamics.ensemble import step
from mimo_sim.studies import rules
from mimo_sim.studies.race import ratio_pair
from mimo_sim.studies.rules import ORDERS, RULES
from tests.studies.figures import check_figure

CHOSEN = ("joint training", "linear scalarization", "MGDA", "MIMO")


@pytest.fixture(scope="module")
def data() -> xr.Dataset:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, "GENERATED_SIZE", 0)  # nothing to compile
        patch.setattr(rules, "ROWS", 64)
        return rules.compute(
            (1.5, 3.0), (16 / 9, 3.0), (-0.4, 0.4), rules={name: RULES[name] for name in CHOSEN}
        )


def test_the_grid_says_what_a_single_run_shows(data: xr.Dataset) -> None:
    problem = ratio_pair(3.0, 16 / 9, 0.4)
    scale = data.attrs["init_scale"]
    rule = RULES["MGDA"]
    end = 6.0 * ms.theory.learning_times(problem, scale).max()
    run = ms.simulate(problem, rule, step_size=end / 8192, steps=8192, init_scale=scale)
    part = run.encoder_norm.values / run.encoder_norm.values[-1]
    emerged = (part >= 0.1).argmax(axis=0) * end / 8192
    point = data.sel(rule="MGDA", explained_ratio=16 / 9, correlation_ratio=3.0, rho=0.4)
    np.testing.assert_allclose(point.emergence, emerged, rtol=0.02)
    assert math.isinf(point.loss_time)


def test_what_rules_do_to_the_order(data: xr.Dataset) -> None:
    said = rules.summarise(data)["rules"]
    assert said["joint training"]["order"]["keeps"] == 1
    assert said["MGDA"]["order"]["equalises"] == 1
    assert said["MGDA"]["finished"] == 0
    assert said["MGDA"]["gain"] == 0
    assert said["MIMO"]["order"]["reverses"] == 1
    assert said["linear scalarization"]["order"]["reverses"] == 0
    assert said["linear scalarization"]["wastes"] == 1
    for one in said.values():
        assert math.isclose(sum(one["order"].values()), 1)
        found = one["figure1"]
        np.testing.assert_allclose(found["growth"], found["predicted_growth"], rtol=1e-3)


def test_every_order_has_its_word() -> None:
    waits = np.array([2.0, 0.5, 1.05, 1.5, 1.9, 3.0, np.nan])
    shape = (len(waits), 1, 1, 1)
    made = xr.Dataset(
        {
            "wait": (("rule", "a", "b", "c"), waits.reshape(shape)),
            "loss_time": (("rule", "a", "b", "c"), np.ones(shape)),
        }
    )
    found = rules.order(made).values.ravel()
    assert [ORDERS[int(each)] for each in found[:-1]] == [
        "keeps",
        "reverses",
        "equalises",
        "shortens",
        "keeps",
        "lengthens",
    ]
    assert np.isnan(found[-1])


def test_the_figure_is_labelled_and_no_text_overlaps(data: xr.Dataset) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plots.draw_rules(data)
    check_figure(figure)


def test_empty_axes_and_scales_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="`rhos` must have at least one value"):
        rules.compute((2.0,), (2.0,), ())
    with pytest.raises(ValueError, match="`init_scale` must lie in"):
        rules.compute((2.0,), (2.0,), (0.0,), init_scale=2.0)
