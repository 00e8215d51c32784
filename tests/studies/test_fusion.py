"""Studies of early, hybrid and deep fusion: what they measure, their figures, and the command."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import mimo_sim as ms
from mimo_sim import plots
from mimo_sim.studies import depth, early_fusion, relu
from mimo_sim.studies._fusion import first_crossing
from tests.dynamics.fusion_networks import PROBLEM

pytestmark = pytest.mark.usefixtures("dynamic_sizes")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def small_studies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The studies with a few steps of tiny networks: their shapes, not their findings."""
    train, study = ms.dynamics.simulate_layered, early_fusion.compute
    for module in (depth, relu):
        monkeypatch.setattr(
            module,
            "simulate_layered",
            lambda *args, **kwargs: train(*args, **(kwargs | {"steps": 3})),
        )
    monkeypatch.setattr(
        early_fusion,
        "compute",
        lambda lams, rhos, **kwargs: study(
            [0.0, 2.0], [-0.3, 0.0, 0.3], **(kwargs | {"init_scale": 1e-3})
        ),
    )


@pytest.mark.slow
@pytest.mark.usefixtures("small_studies")
def test_the_command_writes_figures_and_strict_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import warnings

    from mimo_sim.commands.fusion import fusion as command

    monkeypatch.setenv("COLUMNS", "200")
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="All-NaN", category=RuntimeWarning
        )  # three steps learn nothing
        command(out=tmp_path, seeds=2, mu=0.05)
    names = [
        f"fusion_{name}{suffix}"
        for name in ("depth", "early", "relu")
        for suffix in (".json", ".png")
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    stored = json.loads((tmp_path / "fusion_depth.json").read_text())
    assert stored["command"].startswith("mimo-sim study fusion")
    assert stored["data"]["predicted_threshold"]["values"][1][0] == pytest.approx(
        ms.theory.order_threshold(PROBLEM)
    )
    assert "reverses the order" in capsys.readouterr().out
    with pytest.raises(ValueError, match="`seeds` must be >= 1"):
        command(out=tmp_path, seeds=0)


def test_the_early_study_measures_what_theory_predicts(tmp_path: Path) -> None:
    data = early_fusion.compute([0.0, 3.0], [-0.3, 0.3], init_scale=1e-6)
    np.testing.assert_allclose(data.share, data.predicted_share, atol=0.01)
    ratio = data.time_ratio
    assert (ratio.sel(fusion="late", lam=0.0) < 0.9).all()
    assert (ratio.sel(fusion="late", lam=3.0) > 1.2).all()
    assert (abs(np.log(ratio.sel(fusion="early"))) < abs(np.log(ratio.sel(fusion="late")))).all()
    plots.write(plots.draw_early(data), tmp_path / "early.png")
    assert (tmp_path / "early.png").read_bytes().startswith(b"\x89PNG")


def test_crossings_are_interpolated() -> None:
    assert first_crossing(np.array([0.0, 1.0, 2.0]), np.array([0.5, 0.8, 1.25])) == pytest.approx(
        1.5
    )
    assert math.isnan(first_crossing(np.array([0.0, 1.0]), np.array([0.5, 0.8])))
    assert math.isnan(first_crossing(np.array([0.0, 1.0]), np.array([1.5, np.nan])))
