"""Laws of mini-batch noise in estimates of f*, against draws of that noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from mimo_sim import theory
from mimo_sim.methods._curves import curve_limit


def settled(noise: np.ndarray, decay: float, steps: int) -> np.ndarray:
    """Averages of noise (runs, T) in the stationary state: the last `steps` of them."""
    return np.asarray(lfilter([1 - decay], [1.0, -decay], noise, axis=1))[:, -steps:]


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 0.99])
def test_averages_scatter_less(decay: float) -> None:
    noise = np.random.default_rng(0).standard_normal((4000, 1000))
    last = settled(noise, decay, 1)
    # 4,000 draws: a standard error of 1.1 %
    assert last.std() == pytest.approx(theory.smoothed_noise(decay), rel=0.05)


@pytest.mark.parametrize(("n", "expected"), [(1, 0.0), (2, 1 / math.sqrt(math.pi))])
def test_the_maximum_of_one_and_two_normals(n: int, expected: float) -> None:
    assert theory.minimum_bias(n) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("n", [10**3, 10**5, 10**8])
def test_the_bias_tends_to_the_textbook_value(n: int) -> None:
    """sqrt(2 ln n) minus (ln ln n + ln 4 pi - 2 gamma) / (2 sqrt(2 ln n)); gamma is Euler's."""
    root = math.sqrt(2 * math.log(n))
    known = root - (math.log(math.log(n)) + math.log(4 * math.pi) - 2 * np.euler_gamma) / (2 * root)
    assert theory.minimum_bias(n) == pytest.approx(known, rel=0.5 / math.log(n) ** 1.5)


@pytest.mark.parametrize(
    ("steps", "decay", "progress"),
    [
        (100, 0.0, 0.0),
        (2000, 0.0, 0.0),
        (1000, 0.0, 0.003),
        (1000, 0.0, 0.03),
        (1000, 0.0, 0.3),
        (1000, 0.0, 3.0),
        (300, 0.5, 0.0),
        (300, 0.9, 0.0),
        (1000, 0.95, 0.0),
        (3000, 0.99, 0.0),
    ],
)
def test_the_false_gap(steps: int, decay: float, progress: float) -> None:
    noise = np.random.default_rng(1).standard_normal((2000, steps + int(8 / (1 - decay))))
    losses = settled(noise, decay, steps) - progress * np.arange(steps)
    gaps = losses[:, -1] - losses.min(axis=1)
    error = gaps.std() / math.sqrt(len(gaps))
    law = theory.minimum_bias(steps, decay, progress=progress)
    assert gaps.mean() == pytest.approx(law, abs=4 * error + (0.03 * law if decay else 0))


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9])
def test_the_false_gap_of_squared_residuals(decay: float) -> None:
    """Losses that are means of 32 squares: their skewness makes records less deep."""
    rng = np.random.default_rng(2)
    noise = (rng.chisquare(32, (1000, 1000 + int(8 / (1 - decay)))) - 32) / 8
    losses = settled(noise, decay, 1000)
    gap = float((losses[:, -1] - losses.min(axis=1)).mean())
    law = theory.minimum_bias(1000, decay, skew=math.sqrt(8 / 32))
    assert gap == pytest.approx(law, rel=0.06)
    gaussian = theory.minimum_bias(1000, decay)
    assert abs(gap - law) < abs(gap - gaussian)


@pytest.mark.parametrize("noise", [[0.16, 0.09], [0.05, 0.2, 0.1]])
@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_mean_weights(noise: list[float], decay: float) -> None:
    rng = np.random.default_rng(3)
    steps, mu, runs, scale = 500, 0.1, 1500, np.array(noise)
    drawn = rng.standard_normal((runs * len(noise), steps + int(8 / (1 - decay))))
    losses = settled(drawn, decay, steps).reshape(runs, len(noise), steps) * scale[:, None]
    gaps = losses[..., -1] - losses.min(axis=2)
    weights = np.exp(gaps / mu)
    found = (weights / weights.sum(axis=1, keepdims=True)).mean(axis=0)
    # what the record itself scatters is left out
    np.testing.assert_allclose(theory.noisy_sigma(noise, mu, steps, decay), found, atol=0.03)


@settings(max_examples=8)
@given(st.floats(0.01, 0.2), st.sampled_from((1000, 3000)))
def test_a_sufficient_decay_is_just_enough(difference: float, steps: int) -> None:
    decay = theory.sufficient_decay(difference, 0.1, steps)
    allowed = 0.1 * math.log(1.5)
    assert theory.minimum_bias(steps, decay) * difference <= allowed * (1 + 1e-6)
    if decay > 0:
        less = 1 - 1.2 * (1 - decay)
        assert theory.minimum_bias(steps, max(less, 0.0)) * difference > allowed


@pytest.mark.parametrize("steps", [1000, 10_000])
@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0])
def test_the_rule_of_thumb(steps: int, ratio: float) -> None:
    """1 - decay within a factor of two of (mu / difference)^2 / 30."""
    decay = theory.sufficient_decay(ratio * 0.1, 0.1, steps)
    assert 0.5 < (1 - decay) * 30 * ratio**2 < 2


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.floats(0, 3))
def test_an_extrapolated_limit_promises_at_most_a_multiple_of_progress(
    falls: list[float], floor: float
) -> None:
    curve = floor + np.concatenate([[0.0], np.cumsum(falls)])[::-1]
    gap = curve[-1] - curve_limit(curve)
    reach = theory.extrapolation_reach(len(curve))
    assert gap <= reach * (curve[0] - curve[-1]) * (1 + 1e-9) + 1e-12


@pytest.mark.parametrize("epochs", [3, 10, 30])
def test_the_reach_is_reached(epochs: int) -> None:
    """By one r, one of the curves that fall in one step comes to the bound."""
    steps = [np.r_[np.ones(j), np.zeros(epochs - j)] + 100 for j in range(1, epochs)]
    gaps = [curve[-1] - curve_limit(curve, (r,)) for curve in steps for r in (0.3, 0.95)]
    assert max(gaps) == pytest.approx(theory.extrapolation_reach(epochs, (0.3, 0.95)), rel=1e-9)


BAD: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], str]] = [
    (theory.smoothed_noise, (1.0,), {}, r"`decay` must be in \[0, 1\)"),
    (theory.minimum_bias, (0,), {}, "`steps` must be >= 1"),
    (theory.minimum_bias, (10, 0.5), {"progress": 0.1}, "`progress` must be 0 for averages"),
    (theory.minimum_bias, (10,), {"skew": 1.5}, "`skew` must be at most 1"),
    (theory.noisy_sigma, ([], 0.1, 10), {}, "`noise` must hold 1 to 6 numbers"),
    (theory.noisy_sigma, ([0.1] * 7, 0.1, 10), {}, "`noise` must hold 1 to 6 numbers"),
    (theory.sufficient_decay, (0.1, 0.1, 10), {"odds": 1.0}, "`odds` must be > 1"),
    (theory.extrapolation_reach, (2,), {}, "`epochs` must be >= 3"),
    (theory.extrapolation_reach, (5, [1.0]), {}, r"`decays` must hold numbers in \(0, 1\)"),
]


@pytest.mark.parametrize(("function", "arguments", "options", "message"), BAD)
def test_refusals(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(ValueError, match=message):
        function(*arguments, **options)
