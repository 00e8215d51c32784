"""The stored studies in `figures/`: their summaries, their numbers, their finding."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import mimo_sim as ms
from mimo_sim.studies import fstar, many, maps, rules, scatter, score, zls

FIGURES = Path(__file__).resolve().parent.parent.parent / "figures"
STORED: dict[str, Callable[[xr.Dataset], dict[str, Any]]] = {
    "zls": zls.summarise,
    "scatter": scatter.summarise,
    "map": maps.summarise,
    "correlation": maps.summarise,
    "penalty": maps.summarise_penalties,
    "score": score.summarise,
    "rules": rules.summarise,
    "k": many.summarise,
    "fstar": fstar.summarise,
}


@pytest.mark.parametrize("name", STORED)
def test_stored_summaries_describe_the_stored_numbers(name: str) -> None:
    summary = json.loads((FIGURES / f"phase_{name}.json").read_text())
    assert summary["package_version"] == ms.__version__
    assert summary["command"].startswith("mimo-sim study ")
    again = json.loads(json.dumps(STORED[name](ms.load(FIGURES / f"phase_{name}.nc"))))
    assert summary.items() >= again.items()


def test_stored_numbers_are_those_of_this_version() -> None:
    """One point of two figures, simulated again.

    Half-times are whole steps. Rounding on another processor may move them by one.
    """
    stored = ms.load(FIGURES / "phase_zls.nc").isel(sigma_ratio=[2], rho=[6], seed=[0])
    again = zls.compute(stored.sigma_ratio.values.tolist(), stored.rho.values.tolist(), seeds=1)
    np.testing.assert_allclose(again.time_ratio, stored.time_ratio, rtol=1e-3)
    stored = ms.load(FIGURES / "phase_map.nc").isel(explained_ratio=[20], correlation_ratio=[12])
    again = maps.compute_ratios(
        stored.correlation_ratio.values.tolist(), stored.explained_ratio.values.tolist()
    )
    for name in ("learning_gain", "balance_gain", "predicted_gain"):
        np.testing.assert_allclose(again[name], stored[name], rtol=1e-3)


def test_the_stored_score_finds_where_mimo_helps_before_training() -> None:
    found = json.loads((FIGURES / "phase_score.json").read_text())["learning_gain"]["scores"]
    best, naive = found["predicted gain"]["auc"], found["loss ratio"]["auc"]
    assert best["interval"][0] > 0.95
    assert best["interval"][0] > naive["interval"][1]


def test_the_stored_order_of_many_modalities_is_right() -> None:
    found = json.loads((FIGURES / "phase_k.json").read_text())
    for name in ("all", *(f"K = {count}" for count in range(3, 9))):
        assert min(found[name]["right"]) >= 0.95
        constants = [middle for middle, _ in found[name]["error_times_log"]]
        assert max(constants) < 1.4 * min(constants)  # the error falls like 1/ln(1/u0)
