"""What the tests of ensembles share."""

from __future__ import annotations

import warnings

import numpy as np
import xarray as xr

import mimo_sim as ms
from tests.reference import every_rule

FIGURE_1 = ms.generators.superficial_preference()
METHODS = every_rule(f_star=0.1)
LAST = (
    "loss_mm",
    "excess_mm",
    "objective",
    "loss_uni",
    "excess_uni",
    "gap",
    "sigma",
    "encoder_norm",
    "head_norm",
    "uni_head_norm",
)
# Relative to the largest value of a variable, as between the engines of `simulate`.
ROUND_OFF = 1e-10


def half_times(run: xr.Dataset) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ms.UnconvergedWarning)
        return np.asarray(ms.half_times(run))


def assert_same_bytes(one: xr.Dataset, other: xr.Dataset) -> None:
    for name in one.data_vars:
        assert (
            np.ascontiguousarray(one[name]).tobytes() == np.ascontiguousarray(other[name]).tobytes()
        ), name
