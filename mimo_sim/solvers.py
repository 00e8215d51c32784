"""What the toy is trained by: joint training (`Vanilla`) and `MIMO`, as frozen hyper-parameters. Nothing is remembered on a solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NoReturn, TypeAlias, get_args

import numpy as np

from mimo_sim._checks import check_positive

HeadUpdate: TypeAlias = Literal["gradient", "plain"]
FStarRule: TypeAlias = Literal["exact", "zero", "running_minimum"]


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
            raise ValueError(
                f"`heads` of Vanilla must be 'frozen' or 'plain'. Got heads={self.heads!r}."
            )


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
            raise ValueError(
                f"`heads` of MIMO must be one of {get_args(HeadUpdate)}. Got heads={self.heads!r}."
            )
        if isinstance(self.f_star, str):
            if self.f_star not in get_args(FStarRule):
                raise ValueError(
                    f"`f_star` must be one of {get_args(FStarRule)}, a number, or one number per modality. Got f_star={self.f_star!r}."
                )
            return
        try:
            values = np.asarray(self.f_star, dtype=float)
        except (TypeError, ValueError):
            raise TypeError(
                f"`f_star` must be one of {get_args(FStarRule)}, a number, or one number per modality. Got f_star={self.f_star!r}."
            ) from None
        if values.ndim > 1 or not np.isfinite(values).all():
            raise ValueError(
                f"`f_star` must be finite: a number or one number per modality. Got f_star={self.f_star!r}."
            )
        object.__setattr__(
            self, "f_star", float(values) if values.ndim == 0 else tuple(map(float, values))
        )

    def __call__(self, *losses: object, **more: object) -> NoReturn:
        """Refuse to be used as a criterion: that is :class:`mimo_sim.MIMOLoss`."""
        raise TypeError(
            "`mimo_sim.MIMO` is a solver of the toy, for `mimo_sim.simulate`. The criterion to call "
            "with losses is `mimo_sim.MIMOLoss`."
        )


Solver: TypeAlias = Vanilla | MIMO


def initial_f_star(method: Solver, unimodal_optima: np.ndarray) -> np.ndarray:
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
        raise ValueError(
            f"`f_star` must hold one number per modality ({len(unimodal_optima)}). Got f_star={method.f_star!r}."
        )
    return np.full(len(unimodal_optima), values) if values.ndim == 0 else values.copy()
