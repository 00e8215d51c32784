"""The study after [ZLS]: against single runs and against theory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

import mimo_sim as ms
from mimo_sim import plots, theory
from mimo_sim.studies import zls
from tests.studies.figures import check_figure


@pytest.fixture(scope="module")
def zls_data() -> xr.Dataset:
    return zls.compute((1.0, 1.5, 3.0), (-0.9, -0.45, 0.0, 0.45), seeds=2, steps=20_000)


def test_zls_repeats_single_runs_and_meets_theory(zls_data: xr.Dataset) -> None:
    point = zls_data.sel(sigma_ratio=3.0, rho=0.45)
    problem = ms.generators.scalar_pair(3.0, 0.45)
    end = (
        1.3 * theory.learning_times(problem, 1e-9).max()
        + 3 / np.linalg.eigvalsh(problem.input_moment)[0]
    )
    single = ms.simulate(
        problem,
        ms.Vanilla(),
        step_size=end / 20_000,
        steps=20_000,
        init_scale=1e-9,
        seed=1,
        record_maps=True,
    )
    half = ms.half_times(single).values
    assert point.time_ratio.sel(seed=1).item() == half[1] / half[0]
    alone = single.joint_map.sel(step=int(half.mean())).values[0, 0]
    assert point.misattribution.sel(seed=1).item() == pytest.approx(alone - 1, abs=1e-6)

    assert zls_data.hidden.values.tolist() == [
        [False] * 4,
        [True, False, False, False],
        [False] * 4,
    ]
    summary = zls.summarise(zls_data)
    assert summary["largest_error_finite_u0"] < 1 / math.log(
        1e9
    )  # the order of what the prediction leaves out
    assert summary["largest_error_misattribution"] < 1e-3
    assert np.isnan(zls_data.misattribution.sel(sigma_ratio=1.0)).all()


def test_the_figure_is_labelled_and_no_text_overlaps(zls_data: xr.Dataset) -> None:
    check_figure(plots.draw_zls(zls_data))


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: zls.compute(seeds=0), "`seeds` must be >= 1"),
    (lambda: zls.compute((0.5,)), "`sigma_ratios` must be >= 1"),
    (lambda: zls.compute(()), "`sigma_ratios` must be >= 1"),
    (lambda: zls.compute((math.nan,)), "`sigma_ratios` must be >= 1"),
]


@pytest.mark.parametrize(("call", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_refusals(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
