"""The study of estimates of f*: exact SGD follows the laws, and the words describe the numbers."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from mimo_sim import plots, theory
from mimo_sim.studies import _estimates, fstar
from tests.studies.figures import check_figure


@pytest.fixture(scope="module")
def data() -> xr.Dataset:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mimo_sim.dynamics.engines.gram.STATIC_SIZE", 0)  # one loop to compile
        patch.setattr(_estimates, "MOST_STEPS", 3000)
        patch.setattr(fstar, "WINDOWS", 60)
        patch.setattr(fstar, "DIGITS_EPOCHS", 6)
        return fstar.compute(2, 1, 3, counts=(100, 1000), decays=(0.0, 0.9))


@pytest.mark.slow
def test_records_and_weights_follow_the_laws(data: xr.Dataset) -> None:
    found = fstar.summarise(data)
    assert found["largest_error_of_depth"] < 0.12  # 60 windows
    for values in found["sigma_of_the_noisier"].values():
        assert abs(values["measured"][0] - values["predicted"]) < 0.06
    raw, smooth = (found["sigma_of_the_noisier"][name]["measured"] for name in ("0", "0.9"))
    assert raw[1] > smooth[2]


def test_extrapolation_gives_its_weight_to_the_easiest_and_the_slow_ones_wait(
    data: xr.Dataset,
) -> None:
    rules = fstar.summarise(data)["rules"]
    extrapolated, soft = rules["extrapolation"], rules["soft zero"]
    assert extrapolated["largest_sigma_of_the_easiest"][1] > 0.95
    for name in ("middle", "slow"):
        assert extrapolated["half_time_over_fixed"][name][1] > 1.05
        assert soft["half_time_over_fixed"][name][2] < 1.0
    assert rules["fixed weights"]["half_time_over_fixed"]["slow"] == [1.0, 1.0, 1.0]
    assert rules["fixed weights"]["largest_sigma_of_the_easiest"][2] == pytest.approx(1 / 3)


@pytest.mark.slow
def test_a_run_of_a_rule_repeats_a_number(data: xr.Dataset) -> None:
    drawn = _estimates.sampled(_estimates.three_modalities(), 1000, 1, size=32)
    rule = _estimates.RULES["smoothed minimum"]
    records = _estimates.run_rule(drawn, rule, 0.01, 30 * drawn.per_pass, 1)
    stored = data.rule_sigma.sel(rule="smoothed minimum", epoch=5).isel(seed=1)
    own = records.sigma[5 * drawn.per_pass : 6 * drawn.per_pass].mean(axis=0)
    np.testing.assert_allclose(stored, own, rtol=1e-6)


def test_records_of_a_network_are_measured_against_its_own_noise() -> None:
    rng = np.random.default_rng(0)
    losses = np.array([0.2, 0.1]) * rng.standard_normal((3000, 2)) + [2.0, 1.0]
    sigmas = np.tile([0.7, 0.3], (9, 1))
    found = fstar.measured_records(losses, sigmas, 0.0)
    assert found["network_sigma"] == pytest.approx(0.7)
    np.testing.assert_allclose(found["network_depth"], theory.minimum_bias(2500), rtol=0.15)
    np.testing.assert_allclose(
        found["predicted_network_depth"], theory.minimum_bias(1000), rtol=0.3
    )


def test_the_figure_is_labelled_and_no_text_overlaps(data: xr.Dataset) -> None:
    check_figure(plots.draw_fstar(data))
    check_figure(plots.draw_fstar(data.isel(network_seed=slice(0, 0))))


def test_refusals() -> None:
    for change in ({"seeds": 0}, {"network_seeds": -1}, {"problems": -1}, {"counts": (1,)}):
        with pytest.raises(ValueError, match=f"`{next(iter(change))}` must be >= "):
            fstar.compute(**change)
