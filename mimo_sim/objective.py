r"""MIMO's arithmetic, written once: smoothed maximum, sigma weights, f* estimators, and the two objectives.

Every function takes NumPy and torch arrays alike and keeps their type, dtype and device, so the same lines serve the theory,
the checks and the training of networks; torch gradients flow through :func:`smoothed_maximum` and give exactly the sigma weights.

Source: Fernando et al., arXiv:2511.06686, Eq. 8 and 10, Sec. 3.2, Algorithm 1.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias, get_args

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj

Array: TypeAlias = Any  # a numpy.ndarray or a torch.Tensor; what comes in goes out
HeadUpdate: TypeAlias = Literal["gradient", "plain"]
FStarRule: TypeAlias = Literal["exact", "zero", "running_minimum"]


def _as_array(values: Any) -> Array:
    return values if is_array_api_obj(values) else np.asarray(values, dtype=float)


def smoothed_maximum(gaps: Array, mu: float) -> Array:
    r"""The smoothed maximum :math:`g_\mu = \mu \log \sum_k \exp(\mathrm{gap}_k / \mu)` [MIMO, Sec. 3.2].

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
    gaps = _as_array(gaps)
    xp = array_namespace(gaps)
    top = xp.max(gaps, axis=-1, keepdims=True)
    return top[..., 0] + mu * xp.log(xp.sum(xp.exp((gaps - top) / mu), axis=-1))


def sigma_weights(gaps: Array, mu: float) -> Array:
    r"""The weights :math:`\sigma = \mathrm{softmax}(\mathrm{gap} / \mu)`, gradient of :func:`smoothed_maximum` [MIMO, Alg. 1].

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
    gaps = _as_array(gaps)
    xp = array_namespace(gaps)
    weights = xp.exp((gaps - xp.max(gaps, axis=-1, keepdims=True)) / mu)
    return weights / xp.sum(weights, axis=-1, keepdims=True)


def mimo_objective(loss_mm: Array, gaps: Array, lam: float, mu: float) -> Array:
    r"""MIMO's objective :math:`F = f_{mm} + \lambda g_\mu` [MIMO, Eq. 10 smoothed as in Sec. 3.2].

    Parameters
    ----------
    loss_mm : array (...)
        Multi-modal loss.
    gaps : array (..., K)
        Uni-modal optimality gaps, same units.
    lam, mu : float
        Penalty (>= 0, no unit) and smoothing (> 0, units of the loss).

    Returns
    -------
    array (...)
        F, differentiable where the inputs are: ``F.backward()`` is the whole step of Algorithm 1.
    """
    return loss_mm + lam * smoothed_maximum(gaps, mu)


def running_minimum(previous: Array, losses_uni: Array) -> Array:
    """One update of the running-minimum estimate of f*: the smallest loss seen so far, the current one included.

    On full-batch losses it never lies below the true minimum, so it can only under-state a gap; while every f_k decreases
    it equals the current loss, all gaps are zero and every sigma_k is 1/K.

    Parameters
    ----------
    previous, losses_uni : array (K,)
        The estimate so far (start with ``inf``) and the losses of this step.
    """
    previous = _as_array(previous)
    return array_namespace(previous).minimum(previous, _as_array(losses_uni))


def check_positive(name: str, value: float, *, allow_zero: bool = False) -> None:
    """Raise ``ValueError`` unless `value` is finite and > 0 (or >= 0)."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"`{name}` must be a number. Got {name}={value!r}.")
    if not (math.isfinite(value) and (value > 0 or (allow_zero and value == 0))):
        raise ValueError(f"`{name}` must be finite and {'>= 0' if allow_zero else '> 0'}. Got {name}={value!r}.")


def check_count(name: str, value: Any, least: int = 1) -> int:
    """`value` as an int; ``TypeError`` unless it is an integer, ``ValueError`` unless it is >= `least`."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"`{name}` must be an integer. Got {name}={value!r}.") from None
    if number < least:
        raise ValueError(f"`{name}` must be >= {least}. Got {name}={value!r}.")
    return number


@dataclass(frozen=True)
class Vanilla:
    """Joint training: gradient descent on the multi-modal loss alone. Hyper-parameters only; nothing is remembered here.

    Parameters
    ----------
    heads : {"frozen", "plain"}
        What happens to the uni-modal heads, which never influence the encoders here. ``"frozen"`` (default) leaves them at their
        initial values. ``"plain"`` lets each follow the gradient of its own loss, so that the recorded uni-modal losses say
        what can be read off the jointly trained encoders.
    """

    heads: Literal["frozen", "plain"] = "frozen"
    name: ClassVar[str] = "vanilla"
    lam: ClassVar[float] = 0.0
    mu: ClassVar[float] = 1.0
    f_star: ClassVar[FStarRule] = "exact"

    def __post_init__(self) -> None:
        if self.heads not in ("frozen", "plain"):
            raise ValueError(f"`heads` of Vanilla must be 'frozen' or 'plain'. Got heads={self.heads!r}.")


@dataclass(frozen=True)
class MIMO:
    r"""MIMO: gradient descent on :math:`f_{mm} + \lambda\,\mu\log\sum_k e^{(f_k-f_k^*)/\mu}`. Hyper-parameters only.

    Parameters
    ----------
    lam : float
        Penalty, >= 0.
    mu : float
        Smoothing of the maximum, > 0, in units of the loss.
    f_star : {"exact", "zero", "running_minimum"}, float, or K floats
        Estimate of the uni-modal optima: the closed form, zero, the smallest full-batch loss seen so far
        (:func:`running_minimum`), or the given constant(s).
    heads : {"gradient", "plain"}
        Reading of the head update. ``"gradient"`` (default) is gradient descent on the objective, which is what Theorem 1
        assumes, so a uni-modal head moves by ``lam * sigma_k`` times the gradient of its loss; ``"plain"`` moves every head by the
        gradient of its own loss alone.

    Raises
    ------
    ValueError, TypeError
        If a value is outside its range.

    Notes
    -----
    Source: arXiv:2511.06686, Eq. 10, Algorithm 1. The step size that is safe shrinks as lam and 1/mu grow (:func:`mimo_sim.theory.smoothness`).
    """

    lam: float = 10.0
    mu: float = 0.01
    f_star: FStarRule | float | Sequence[float] = "exact"
    heads: HeadUpdate = "gradient"
    name: ClassVar[str] = "mimo"

    def __post_init__(self) -> None:
        check_positive("lam", self.lam, allow_zero=True)
        check_positive("mu", self.mu)
        if self.heads not in get_args(HeadUpdate):
            raise ValueError(f"`heads` of MIMO must be one of {get_args(HeadUpdate)}. Got heads={self.heads!r}.")
        if isinstance(self.f_star, str):
            if self.f_star not in get_args(FStarRule):
                raise ValueError(f"`f_star` must be one of {get_args(FStarRule)}, a number, or one number per modality. Got f_star={self.f_star!r}.")
            return
        try:
            values = np.asarray(self.f_star, dtype=float)
        except (TypeError, ValueError):
            raise TypeError(f"`f_star` must be one of {get_args(FStarRule)}, a number, or one number per modality. Got f_star={self.f_star!r}.") from None
        if values.ndim > 1 or not np.isfinite(values).all():
            raise ValueError(f"`f_star` must be finite: a number or one number per modality. Got f_star={self.f_star!r}.")
        object.__setattr__(self, "f_star", float(values) if values.ndim == 0 else tuple(map(float, values)))


Method: TypeAlias = Vanilla | MIMO


def initial_f_star(method: Method, unimodal_optima: np.ndarray) -> np.ndarray:
    """The (K,) estimate of f* a run starts from; ``inf`` for the running minimum, which the first losses replace."""
    rule = method.f_star
    if rule == "exact":
        return np.array(unimodal_optima, dtype=float)
    if rule == "running_minimum":
        return np.full(len(unimodal_optima), np.inf)
    if rule == "zero":
        rule = 0.0
    values = np.asarray(rule, dtype=float)
    if values.ndim and len(values) != len(unimodal_optima):
        raise ValueError(f"`f_star` must hold one number per modality ({len(unimodal_optima)}). Got f_star={method.f_star!r}.")
    return np.full(len(unimodal_optima), values) if values.ndim == 0 else values.copy()
