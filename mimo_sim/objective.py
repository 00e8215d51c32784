r"""MIMO's arithmetic, written once: smoothed maximum, sigma weights, objective, running minimum.

Every function takes NumPy and torch arrays alike, and keeps their type, dtype and device. So the
same lines serve theory, checks and the training of networks. Torch gradients flow through
:func:`smoothed_maximum`; they are exactly the sigma weights.

Source: Fernando et al., arXiv:2511.06686, Eq. 8 and 10, Sec. 3.2, Algorithm 1.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj

from mimo_sim import _moved
from mimo_sim._checks import check_positive, finite_array, real_array

Array: TypeAlias = Any  # a numpy.ndarray or a torch.Tensor; what comes in goes out

_PLAIN = (np.ndarray, np.generic, int, float, list, tuple)


def _is_tensor(values: Any) -> bool:
    """Whether `values` are an array of another library than NumPy, such as torch.

    Nothing looks at the values of a tensor: that would wait for the GPU.
    """
    return not isinstance(values, _PLAIN) and is_array_api_obj(values)


def as_array(values: Any, name: str = "values") -> Array:
    """`values` unchanged if they are a tensor or NumPy floats already, else as NumPy floats.

    Raises ``TypeError`` unless they are real numbers.
    """
    if _is_tensor(values) or (isinstance(values, np.ndarray) and values.dtype.kind == "f"):
        return values
    return real_array(name, values)


@cache
def _is_real(xp: Any, dtype: Any) -> bool:
    return bool(xp.isdtype(dtype, "real floating"))


@cache
def _smallest(xp: Any, dtype: Any) -> float:
    """The smallest number of this dtype that has all its digits."""
    return float(xp.finfo(dtype).smallest_normal)


def _check_finite(name: str, values: Any) -> None:
    """Raise ``ValueError`` unless `values` are finite; a tensor is not looked at."""
    if not _is_tensor(values) and not np.isfinite(values).all():
        finite_array(name, values)


def _checked(gaps: Any, mu: Any) -> tuple[Any, Array, Array | float]:
    """The library of the gaps, the gaps as an array, and a mu whose inverse is finite there.

    Below the smallest normal number of their dtype, mu is raised to it: the smoothed maximum is
    then the maximum, to the last digit.
    """
    gaps = as_array(gaps, "gaps")
    if gaps.ndim == 0 or gaps.shape[-1] == 0:
        raise ValueError(
            f"`gaps` must have shape (..., K) with K >= 1. Got shape {tuple(gaps.shape)}."
        )
    _check_finite("gaps", gaps)
    xp = array_namespace(gaps)
    if not _is_real(xp, gaps.dtype):
        gaps = gaps / 1  # whole numbers
    least = _smallest(xp, gaps.dtype)
    if _is_tensor(mu):
        return xp, gaps, xp.clip(mu, min=least)
    check_positive("mu", mu)
    return xp, gaps, max(float(mu), least)


def _shares(xp: Any, gaps: Array, top: Array, mu: Array | float) -> Array:
    """exp((gap - top) / mu): at most 1, and 0 where the exponent is beyond the range of floats."""
    with np.errstate(over="ignore"):
        return xp.exp((gaps - top) / mu)


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

    Raises
    ------
    ValueError, TypeError
        If gaps (of NumPy; those of tensors are not looked at) are no finite numbers, or `mu` is
        outside its range.

    Returns
    -------
    array (...)
        Between ``gaps.max(-1)`` and ``gaps.max(-1) + mu * log(K)``.

    Examples
    --------
    >>> round(float(smoothed_maximum([0.3, 0.3], mu=0.1)), 6)  # 0.3 + 0.1 log 2
    0.369315
    """
    xp, gaps, mu = _checked(gaps, mu)
    top = xp.max(gaps, axis=-1, keepdims=True)
    return top[..., 0] + mu * xp.log(xp.sum(_shares(xp, gaps, top, mu), axis=-1))


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
    xp, gaps, mu = _checked(gaps, mu)
    weights = _shares(xp, gaps, xp.max(gaps, axis=-1, keepdims=True), mu)
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
    if not _is_tensor(lam):
        check_positive("lam", lam, allow_zero=True)
    if not _is_tensor(loss_mm):
        array = as_array(loss_mm, "loss_mm")
        _check_finite("loss_mm", array)
        loss_mm = loss_mm if isinstance(loss_mm, int | float) else array
    smooth = smoothed_maximum(gaps, mu)
    if np.shape(loss_mm) not in ((), smooth.shape):
        raise ValueError(
            f"`loss_mm` must have shape () or {tuple(smooth.shape)}, that of `gaps` without its "
            f"last axis. Got {np.shape(loss_mm)}."
        )
    return loss_mm + lam * smooth


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
        Uni-modal losses of this step. The estimate of a loss that is NaN is NaN.

    Returns
    -------
    array (K,)
    """
    previous, losses_uni = as_array(previous, "previous"), as_array(losses_uni, "losses_uni")
    if previous.shape != losses_uni.shape:
        raise ValueError(
            "`previous` and `losses_uni` must have the same shape. "
            f"Got {tuple(previous.shape)} and {tuple(losses_uni.shape)}."
        )
    return array_namespace(previous).minimum(previous, losses_uni)


if not TYPE_CHECKING:  # a type checker must still see which names there are
    __getattr__ = _moved.hook(__name__)
