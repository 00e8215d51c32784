"""The study of scores for imbalance, and the rank statistics that judge them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from mimo_sim import plots
from mimo_sim.studies import _statistics, race, score
from tests.studies.figures import check_figure


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=30))
def test_area_threshold_and_accuracy_against_their_definitions(
    cases: list[tuple[int, bool]],
) -> None:
    scored, helps = np.array([float(s) for s, _ in cases]), np.array([h for _, h in cases])
    pairs = [(s > t) + 0.5 * (s == t) for s, t in itertools.product(scored[helps], scored[~helps])]
    area = float(_statistics.area_under_curve(scored, helps))
    assert area == pytest.approx(np.mean(pairs)) if pairs else math.isnan(area)
    if pairs:

        def accuracy(threshold: float) -> float:
            return float(
                np.mean([np.mean(scored[helps] > threshold), np.mean(scored[~helps] <= threshold)])
            )

        threshold = _statistics.best_threshold(scored, helps)
        assert _statistics.balanced_accuracy(scored > threshold, helps) == pytest.approx(
            accuracy(threshold)
        )
        if len(set(scored)) > 1:
            assert accuracy(threshold) == pytest.approx(
                max(accuracy(s + 0.5) for s in sorted(set(scored))[:-1])
            )


def test_rank_correlation_is_spearmans() -> None:
    first, second = np.random.default_rng(0).integers(0, 9, (2, 5, 40)).astype(float)
    np.testing.assert_allclose(
        _statistics.rank_correlation(first, second),
        [spearmanr(a, b).statistic for a, b in zip(first, second, strict=True)],
        rtol=1e-12,
    )


def test_scores_are_judged_on_problems_that_chose_nothing() -> None:
    gain = np.tile([0.5, 2.0], 40)
    raw = {
        "honest": gain,
        "turned": np.where(np.arange(80) < 40, gain, 1 / gain),
        "backwards": 1 / gain,
    }
    data = xr.Dataset(
        {
            **dict.fromkeys(score.OUTCOMES, ("problem", gain)),
            "scores": (("problem", "score"), np.array(list(raw.values())).T),
        },
        {"score": list(raw)},
        {"lam": 1.0, "relative_mu": 0.1, "init_scale": 1e-3},
    )
    found = score.summarise(data, resamples=20)["learning_gain"]
    assert (found["chosen_on"], found["judged_on"], found["helps"], found["costs"]) == (
        40,
        40,
        0.5,
        0.5,
    )
    area = {name: one["auc"]["value"] for name, one in found["scores"].items()}
    assert area == {"honest": 1.0, "turned": 0.0, "backwards": 1.0}
    assert {name: one["direction"] for name, one in found["scores"].items()} == {
        "honest": 1,
        "turned": 1,
        "backwards": -1,
    }
    assert found["scores"]["backwards"]["threshold"] == pytest.approx(1.25)


@pytest.fixture(scope="module")
def score_data() -> xr.Dataset:
    return score.compute(20, relative_mu=0.3)


def test_scores_before_training(score_data: xr.Dataset) -> None:
    assert score_data.sizes == {
        "problem": 20,
        "solver": 2,
        "modality": 2,
        "level": 2,
        "comparison": 2,
        "score": 7,
    }
    problem = race.ratio_pair(3.0, 2.0, 0.5)
    found = score.scores(problem, 10.0, 1e-6)
    assert found["predicted gain"] == race.predicted_gain(problem, 10.0)
    np.testing.assert_allclose([found["correlation ratio"], found["explained ratio"]], [3, 2])
    assert found["order threshold"] == pytest.approx(math.sqrt(8))
    known = np.isfinite(score_data.learning_gain.values)
    assert known.sum() >= 15
    assert (
        _statistics.rank_correlation(
            score_data.scores.sel(score="predicted gain").values[known],
            score_data.learning_gain.values[known],
        )
        > 0.5
    )


def test_the_figure_is_labelled_and_no_text_overlaps(score_data: xr.Dataset) -> None:
    check_figure(plots.draw_score(score_data, score.summarise(score_data, resamples=20)))


def test_too_few_problems_are_refused() -> None:
    with pytest.raises(ValueError, match="`problems` must be >= 20"):
        score.compute(5)
