r"""What mini-batch noise does to estimates of f*, and through them to the weights sigma.

The loss of modality k on a batch is f_k plus noise of standard deviation s_k. MIMO's gap is an
average of such losses (`decay` is the part of the average before that is kept) minus an estimate of
f_k*. A running minimum is such an estimate. It is a record set by luck: where f_k stands still, the
gap is not zero but :func:`minimum_bias` times s_k. Modalities with other noise get other gaps.

All formulas are for noise that is independent from batch to batch, and Gaussian but for its skew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr, ndtr

from mimo_sim._checks import FloatArray, check_count, check_positive, finite_array, shown
from mimo_sim.objective import sigma_weights

LEVELS = np.linspace(-12.0, 12.0, 4801)  # standard deviations, of the integrals below
TERMS = np.arange(1, 1001)  # of the series in `_independent`
FITTED = tuple(np.linspace(0.3, 0.95, 14))  # the decays r of `curve_limit`
NODES, MOST = 4096, 6  # of the quadrature in `noisy_sigma`; modalities in it
MANY = 1000  # terms that are added one by one
FAR = 40.0  # standard deviations: a loss so far above sets no record


def _check_decay(decay: float) -> None:
    check_positive("decay", decay, allow_zero=True)
    if decay >= 1:
        raise ValueError(f"`decay` must be in [0, 1). Got decay={decay!r}.")


def smoothed_noise(decay: float) -> float:
    r"""Standard deviation of an exponential average of independent noise, over that of the noise.

    .. math:: \sqrt{(1 - \beta) / (1 + \beta)}

    Parameters
    ----------
    decay : float
        :math:`\beta` in [0, 1): what is kept of the average before.

    Raises
    ------
    ValueError, TypeError
        If `decay` is outside its range.

    Notes
    -----
    In the stationary state, some 1/(1 - decay) steps after the start.
    """
    _check_decay(decay)
    return math.sqrt((1 - decay) / (1 + decay))


def minimum_bias(
    steps: int, decay: float = 0.0, *, progress: float = 0.0, skew: float = 0.0
) -> float:
    r"""How far, on average, a running minimum lies below the (averaged) loss: the false gap.

    In units of the noise s of a batch. Without averages and without progress it is the expected
    maximum of n standard normal numbers, near :math:`\sqrt{2 \ln n}`. Averages are smaller by
    :func:`smoothed_noise`, and come in clusters: n of them count like n theta independent ones. If
    the loss falls by `progress` in each step, only the last steps can set records.

    Parameters
    ----------
    steps : int
        n >= 1, the steps over which the minimum has run.
    decay : float
        Of the averages, in [0, 1).
    progress : float
        By how much the loss falls in a step, >= 0, in units of s. Only without averages.
    skew : float
        Skewness of the noise, >= 0 and at most 1. Means of b squared Gaussian residuals have
        :math:`\sqrt{8/b}`: they fall less deep than they rise. First order of Cornish and Fisher.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range, or both `decay` and `progress` are above zero.

    Notes
    -----
    Exact for ``decay=0``. For averages :math:`\theta(x) = \exp(-2\sum_j \Phi(-x\sqrt{j}/2)/j)` with
    :math:`x = u\sqrt{-2\ln\beta}` is the extremal index of a Gaussian autoregression at its record
    u (Siegmund, Sequential Analysis, 1985, ch. 10). It needs n (1 - decay) above 10 or so; the
    error is then below 3 %.

    Examples
    --------
    >>> round(minimum_bias(1000), 2)
    3.24
    >>> round(minimum_bias(1000, decay=0.95), 2)
    0.45
    """
    n = check_count("steps", steps, 1)
    _check_decay(decay)
    check_positive("progress", progress, allow_zero=True)
    check_positive("skew", skew, allow_zero=True, most=1.0)
    if decay == 0:
        return _skewed(_depth(n, progress), skew)
    if progress > 0:
        raise ValueError(
            "`progress` must be 0 for averages: their records have no law here. "
            f"Got progress={progress!r}, decay={decay!r}."
        )
    share = 1.0
    for _ in range(12):
        share = _independent(_depth(n, share=share) * math.sqrt(-2 * math.log(decay)))
    of_average = skew * (1 - decay**2) ** 1.5 / (1 - decay**3)
    return smoothed_noise(decay) * _skewed(_depth(n, share=share), of_average)


def _skewed(depth: float, skew: float) -> float:
    """The depth of a record of skewed noise, from that of Gaussian noise."""
    return depth - skew * max(depth**2 - 1, 0.0) / 6


def _independent(x: float) -> float:
    """theta(x): n neighbours in a Gaussian autoregression count like theta n independent ones."""
    if x < 0.5:  # where the series converges slowly; 0.5826 is -zeta(1/2) / sqrt(2 pi)
        return x**2 / 2 * math.exp(-0.5826 * x)
    return float(np.exp(-2 * np.sum(ndtr(-x * np.sqrt(TERMS) / 2) / TERMS)))


def _depth(n: int, drift: float = 0.0, share: float = 1.0) -> float:
    """Minus the expected least of z_0 and of z_j + j drift, j = 1 ... n - 1; z standard normal.

    Without drift each z_j counts like `share` independent ones.
    """
    survive = (1 + share * (n - 1)) * log_ndtr(-LEVELS)
    if drift > 0:
        end = min((n - 1) * drift, FAR)  # how far the last one that counts has been
        count = n - 1 if (n - 1) * drift <= FAR else int(FAR / drift) + 1
        places = np.linspace(0.0, end, min(count, MANY) + 1)
        if count <= MANY:
            places = drift * np.arange(count + 1)
        terms = np.array([log_ndtr(place - LEVELS) for place in places])
        survive = terms.sum(axis=0)
        if count > MANY:  # a sum over so many is an integral (Euler and Maclaurin)
            survive = count * np.trapezoid(terms, dx=1 / MANY, axis=0)
            survive = survive + (terms[0] + terms[-1]) / 2
    above = np.exp(survive)  # the probability that the least lies above a level
    mean = LEVELS[0] + np.trapezoid(above, LEVELS)
    return max(float(-mean), 0.0)


def noisy_sigma(
    noise: npt.ArrayLike, mu: float, steps: int, decay: float = 0.0, *, skew: float = 0.0
) -> FloatArray:
    r"""The mean weights sigma of gaps from a running minimum, where losses stand still.

    .. math:: E\,\mathrm{softmax}(s (b + c z) / \mu)

    with b of :func:`minimum_bias`, c of :func:`smoothed_noise`, and z (K,) standard normal: the
    weights flicker, which draws their mean towards 1/K.

    Parameters
    ----------
    noise : array (K,)
        s_k >= 0, the standard deviation of each uni-modal loss from batch to batch; K at most 6.
        The noise of different modalities is taken to be independent.
    mu : float
        Smoothing of the maximum, > 0, in the same units.
    steps, decay, skew
        As in :func:`minimum_bias`.

    Returns
    -------
    (K,) array

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range.
    """
    s = finite_array("noise", noise)
    if s.ndim != 1 or not 1 <= s.size <= MOST or (s < 0).any():
        raise ValueError(f"`noise` must hold 1 to {MOST} numbers >= 0. Got noise={shown(noise)}.")
    check_positive("mu", mu)
    depth = minimum_bias(steps, decay, skew=skew)
    nodes, chances = np.polynomial.hermite_e.hermegauss(int(NODES ** (1 / s.size)))
    z = np.stack(np.meshgrid(*[nodes] * s.size, indexing="ij")).reshape(s.size, -1).T
    chance = np.ones(1)
    for _ in s:
        chance = np.multiply.outer(chance, chances / chances.sum()).ravel()
    return np.asarray(chance @ sigma_weights(s * (depth + smoothed_noise(decay) * z), mu))


def sufficient_decay(difference: float, mu: float, steps: int, odds: float = 1.5) -> float:
    r"""The smallest `decay` with which noise shifts the odds of two modalities by at most `odds`.

    It solves :math:`b(\beta)\,|s_i - s_j| / \mu = \ln(\mathrm{odds})`. As a rule of thumb,
    :math:`1 - \beta = (\mu / \Delta s)^2 / 30` for odds of 1.5 and thousands of steps.

    Parameters
    ----------
    difference : float
        |s_i - s_j| >= 0: how much more the one loss scatters from batch to batch.
    mu : float
        Smoothing of the maximum, > 0, in the same units.
    steps : int
        Of training, >= 1.
    odds : float
        > 1.

    Returns
    -------
    float
        In [0, 1); 0 where no averages are needed.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range.
    """
    check_positive("difference", difference, allow_zero=True)
    check_positive("mu", mu)
    check_positive("odds", odds)
    if odds <= 1:
        raise ValueError(f"`odds` must be > 1. Got odds={odds!r}.")
    allowed = math.log(odds) * mu
    low, high = 0.0, 1.0  # of the averaging time 1 / (1 - decay), as a logarithm
    if minimum_bias(steps) * difference <= allowed:
        return 0.0
    while high < 30 and minimum_bias(steps, 1 - math.exp(-high)) * difference > allowed:
        high += 1.0
    for _ in range(30):
        middle = (low + high) / 2
        above = minimum_bias(steps, 1 - math.exp(-middle)) * difference > allowed
        low, high = (middle, high) if above else (low, middle)
    return 1 - math.exp(-high)


def extrapolation_reach(epochs: int, decays: Sequence[float] = FITTED) -> float:
    r"""How much of a falling curve its extrapolated limit can promise, over what it has fallen.

    Fit :math:`a + b r^e` by least squares to E losses that never rise and have fallen by D in all.
    Then the gap of the last loss above the limit a is at most this number times D. So a modality
    that has not made progress yet has no gap, however much it has still to learn.

    Parameters
    ----------
    epochs : int
        E >= 3, the points of the curve.
    decays : sequence of float
        The values of r in (0, 1) that are tried; by default those of ``f_star="extrapolation"``.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range.

    Notes
    -----
    The bound is tight for a single r: the gap is linear in the curve, so it is largest for one of
    the curves that fall in one step.
    """
    count = check_count("epochs", epochs, 3)
    r = finite_array("decays", decays)
    if r.ndim != 1 or not r.size or (r <= 0).any() or (r >= 1).any():
        raise ValueError(f"`decays` must hold numbers in (0, 1). Got decays={shown(decays)}.")
    powers = r[:, None] ** np.arange(count)
    centred = powers - powers.mean(1, keepdims=True)
    slope = np.cumsum(centred, axis=1) / (centred**2).sum(1, keepdims=True)
    gaps = slope * powers.mean(1, keepdims=True) - np.arange(1, count + 1) / count
    return float(gaps.max())
