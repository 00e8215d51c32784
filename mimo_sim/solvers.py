"""What the toy is trained by: joint training (`Vanilla`), `MIMO`, and the rules of the field.

A solver holds hyper-parameters and nothing else. It is frozen and remembers nothing of a run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NoReturn, TypeAlias, get_args

import numpy as np

from mimo_sim._checks import check_choice, check_positive, finite_array, shown
from mimo_sim.rules._base import Rule

HeadUpdate: TypeAlias = Literal["gradient", "plain"]
VanillaHeads: TypeAlias = Literal["frozen", "plain"]
FStarRule: TypeAlias = Literal["exact", "zero", "running_minimum"]


@dataclass(frozen=True)
class Vanilla:
    """Joint training: gradient descent on the multi-modal loss alone.

    Parameters
    ----------
    heads : {"frozen", "plain"}
        What happens to the uni-modal heads, which never influence the encoders here. ``"frozen"``
        (default) leaves them at their initial values. ``"plain"`` lets each follow the gradient of
        its own loss. The recorded uni-modal losses then show how well each jointly trained encoder
        can predict alone.

    Raises
    ------
    ValueError
        If `heads` is neither.
    """

    heads: VanillaHeads = "frozen"
    name: ClassVar[str] = "vanilla"
    lam: ClassVar[float] = 0.0
    mu: ClassVar[float] = 1.0
    f_star: ClassVar[FStarRule] = "exact"

    def __post_init__(self) -> None:
        check_choice("heads", self.heads, get_args(VanillaHeads))


@dataclass(frozen=True)
class MIMO:
    r"""MIMO: gradient descent on the multi-modal loss and a smoothed maximum of the uni-modal gaps.

    .. math:: F = f_{mm} + \lambda\,\mu\log\sum_k e^{(f_k-f_k^*)/\mu}

    Parameters
    ----------
    lam : float
        Penalty, >= 0, no unit.
    mu : float
        Smoothing of the maximum, > 0, in units of the loss.
    f_star : {"exact", "zero", "running_minimum"}, float, or K floats
        Estimate of the uni-modal optima f*, in units of the loss. ``"exact"``: the closed form.
        ``"zero"``: 0. ``"running_minimum"``: the smallest full-batch loss so far
        (:func:`mimo_sim.objective.running_minimum`). Or constants.
    heads : {"gradient", "plain"}
        How a uni-modal head moves. ``"gradient"`` (default): by ``lam * sigma_k`` times the
        gradient of its loss. This is gradient descent on the objective, which Theorem 1 assumes.
        ``"plain"``: by the gradient of its own loss alone.

    Raises
    ------
    ValueError, TypeError
        If a value is outside its range.

    Notes
    -----
    Source: arXiv:2511.06686, Eq. 10, Algorithm 1. The largest safe step size shrinks as lam and
    1/mu grow (:func:`mimo_sim.theory.smoothness`).
    """

    lam: float = 10.0
    mu: float = 0.01
    f_star: FStarRule | float | Sequence[float] = "exact"
    heads: HeadUpdate = "gradient"
    name: ClassVar[str] = "mimo"

    def __post_init__(self) -> None:
        check_positive("lam", self.lam, allow_zero=True)
        check_positive("mu", self.mu)
        if not math.isfinite(1 / self.mu):
            raise ValueError(f"`mu` must be so large that 1 / mu is finite. Got mu={self.mu!r}.")
        check_choice("heads", self.heads, get_args(HeadUpdate))
        rules = get_args(FStarRule)
        allowed = f"`f_star` must be one of {rules}, a number, or one number per modality."
        if isinstance(self.f_star, str):
            if self.f_star not in rules:
                raise ValueError(f"{allowed} Got f_star={self.f_star!r}.")
            return
        if isinstance(self.f_star, bool):
            raise TypeError(f"{allowed} Got f_star={self.f_star}.")
        try:
            values = finite_array("f_star", math.nan if self.f_star is None else self.f_star)
        except TypeError:
            raise TypeError(f"{allowed} Got f_star={shown(self.f_star)}.") from None
        except ValueError:
            values = np.empty((0, 0))
        if values.ndim > 1 or not values.size:
            raise ValueError(
                "`f_star` must be finite: a number or one number per modality. "
                f"Got f_star={shown(self.f_star)}."
            )
        constants = tuple(map(float, values)) if values.ndim else float(values)
        object.__setattr__(self, "f_star", constants)  # the dataclass is frozen

    def __call__(self, *losses: object, **more: object) -> NoReturn:
        """Refuse to be used as a criterion: that is :class:`mimo_sim.MIMOLoss`."""
        raise TypeError(
            "`mimo_sim.MIMO` is a solver of the toy, for `mimo_sim.simulate`. "
            "The criterion to call with losses is `mimo_sim.MIMOLoss`."
        )


Solver: TypeAlias = Vanilla | MIMO
AnySolver: TypeAlias = Vanilla | MIMO | Rule
SOLVERS = "mimo_sim.Vanilla(), mimo_sim.MIMO(...) or a rule such as mimo_sim.MGDA()"


def default_solvers() -> dict[str, AnySolver]:
    """Every solver with default hyper-parameters, by its name."""
    from mimo_sim import rules

    named = {name: rules.create(name) for name in rules.available()}
    return {"vanilla": Vanilla(), "mimo": MIMO(), **named}


def check_solver(method: object, *, with_rules: bool = False) -> None:
    """Raise ``TypeError`` unless this is a solver of the toy; a rule only if `with_rules`."""
    if isinstance(method, Vanilla | MIMO) or (with_rules and isinstance(method, Rule)):
        return
    allowed = SOLVERS if with_rules else "mimo_sim.Vanilla() or mimo_sim.MIMO(...)"
    why = ": rules are simulated in late fusion only" if isinstance(method, Rule) else ""
    raise TypeError(f"`method` must be {allowed}{why}. Got {shown(method)}.")


def initial_f_star(method: Solver, unimodal_optima: np.ndarray) -> np.ndarray:
    """The estimate of f* that a run starts from.

    Parameters
    ----------
    method : Vanilla or MIMO
    unimodal_optima : (K,) array
        The exact optima, in units of the loss.

    Returns
    -------
    (K,) array
        ``inf`` for the running minimum: the first losses replace it.

    Raises
    ------
    ValueError
        If ``method.f_star`` holds constants, but not K of them.
    """
    rule = method.f_star
    count = len(unimodal_optima)
    if rule == "exact":
        return np.array(unimodal_optima, dtype=float)
    if rule == "running_minimum":
        return np.full(count, np.inf)
    if rule == "zero":
        return np.zeros(count)
    values = np.asarray(rule, dtype=float)
    if values.ndim == 0:
        return np.full(count, values)
    if len(values) != count:
        raise ValueError(
            f"`f_star` must hold one number per modality ({count}). Got f_star={method.f_star!r}."
        )
    return values.copy()
