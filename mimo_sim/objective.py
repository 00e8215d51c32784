r"""MIMO's arithmetic, written once: smoothed maximum, sigma weights, objective, running minimum.

Every function takes NumPy and torch arrays alike, and keeps their type, dtype and device. So the
same lines serve theory, checks and the training of networks. Torch gradients flow through
:func:`smoothed_maximum`; they are exactly the sigma weights.

Source: Fernando et al., arXiv:2511.06686, Eq. 8 and 10, Sec. 3.2, Algorithm 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj

from mimo_sim import _moved

Array: TypeAlias = Any  # a numpy.ndarray or a torch.Tensor; what comes in goes out


def as_array(values: Any) -> Array:
    """`values` unchanged if they are an array already, else as a NumPy array of floats."""
    return values if is_array_api_obj(values) else np.asarray(values, dtype=float)


def smoothed_maximum(gaps: Array, mu: float) -> Array:
    r"""The smoothed maximum of the gaps [MIMO, Sec. 3.2].

    .. math:: g_\mu = \mu \log \sum_k \exp(\mathrm{gap}_k / \mu)

    Never overflows: the largest gap is subtracted before the exponential.

    Parameters
    ----------
    gaps : array (..., K)
        Uni-modal optimality gaps :math:`f_k - f_k^*`, in units of the loss.
    mu : float
        Smoothing, > 0, in units of the loss.

    Returns
    -------
    array (...)
        Between ``gaps.max(-1)`` and ``gaps.max(-1) + mu * log(K)``.

    Examples
    --------
    >>> round(float(smoothed_maximum([0.3, 0.3], mu=0.1)), 6)  # 0.3 + 0.1 log 2
    0.369315
    """
    gaps = as_array(gaps)
    xp = array_namespace(gaps)
    top = xp.max(gaps, axis=-1, keepdims=True)
    return top[..., 0] + mu * xp.log(xp.sum(xp.exp((gaps - top) / mu), axis=-1))


def sigma_weights(gaps: Array, mu: float) -> Array:
    r"""The weights :math:`\sigma = \mathrm{softmax}(\mathrm{gap} / \mu)` [MIMO, Alg. 1].

    They are the gradient of :func:`smoothed_maximum` with respect to the gaps.

    Parameters
    ----------
    gaps : array (..., K)
        Uni-modal optimality gaps, in units of the loss.
    mu : float
        Smoothing, > 0, in units of the loss.

    Returns
    -------
    array (..., K)
        Non-negative, summing to one over the last axis.

    Examples
    --------
    >>> sigma_weights([0.3, 0.3], mu=0.1)
    array([0.5, 0.5])
    """
    gaps = as_array(gaps)
    xp = array_namespace(gaps)
    weights = xp.exp((gaps - xp.max(gaps, axis=-1, keepdims=True)) / mu)
    return weights / xp.sum(weights, axis=-1, keepdims=True)


def mimo_objective(loss_mm: Array, gaps: Array, lam: float, mu: float) -> Array:
    r"""MIMO's objective :math:`F = f_{mm} + \lambda g_\mu` [MIMO, Eq. 10, smoothed as in Sec. 3.2].

    Parameters
    ----------
    loss_mm : array (...)
        Multi-modal loss.
    gaps : array (..., K)
        Uni-modal optimality gaps, same units.
    lam, mu : float
        Penalty (>= 0, no unit) and smoothing (> 0, in units of the loss).

    Returns
    -------
    array (...)
        F. With torch inputs, one ``F.backward()`` gives every gradient that Algorithm 1 needs.
    """
    return loss_mm + lam * smoothed_maximum(gaps, mu)


def running_minimum(previous: Array, losses_uni: Array) -> Array:
    """Update an estimate of f*: the smallest loss so far, the one of this step included.

    On full-batch losses it never lies below the true minimum, so a gap can only come out too small.
    While every f_k decreases, the estimate equals the current loss. Then all gaps are zero, and
    every sigma_k is 1/K.

    Parameters
    ----------
    previous : array (K,)
        The estimate so far; start with ``inf``.
    losses_uni : array (K,)
        Uni-modal losses of this step.

    Returns
    -------
    array (K,)
    """
    previous = as_array(previous)
    return array_namespace(previous).minimum(previous, as_array(losses_uni))


if not TYPE_CHECKING:  # a type checker must still see which names there are
    __getattr__ = _moved.hook(__name__)
