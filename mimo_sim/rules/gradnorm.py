"""GradNorm: weights that make gradients equally long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mimo_sim._checks import check_positive
from mimo_sim._symbols import maximum, sqrt, total
from mimo_sim.rules._base import Rule, Seen, Weights, of_network
from mimo_sim.rules.mgda import TINY


@dataclass(frozen=True)
class GradNorm(Rule):
    r"""Weights for which :math:`w_i |g_i| \propto r_i^\alpha`, adding up to K + 1.

    g_i is the gradient of objective i by the encoders, which the objectives share. r_i is its loss
    over the loss of a network that computes zero: an objective that lags behind has a larger r_i.

    GradNorm itself moves its weights by small gradient steps towards this condition. This rule
    fulfils it in every step, so it needs no memory and no step size of its own.

    Parameters
    ----------
    alpha : float
        How strongly lagging objectives are favoured, >= 0. Default 1.5, as in the paper; 0 makes
        all weighted gradients equally long.

    Raises
    ------
    ValueError, TypeError
        If `alpha` is not a finite number >= 0.

    Notes
    -----
    Source: Chen et al. (ICML 2018), Eq. 1 and 2.
    """

    alpha: float = 1.5
    name: ClassVar[str] = "gradnorm"
    about: ClassVar[str] = "weights that make gradients equally long (ICML 2018)"

    def __post_init__(self) -> None:
        check_positive("alpha", self.alpha, allow_zero=True)

    def weight_sum(self, num_modalities: int) -> float:
        """K + 1."""
        return num_modalities + 1.0

    def weights(self, seen: Seen) -> Weights:
        """Weights that add up to K + 1."""
        squares = [total(list(seen.joint)), *seen.own]
        losses = [seen.optimum_mm + seen.excess_mm]
        losses += [seen.optimum[k] + seen.excess[k] for k in seen.modalities]
        start = maximum(seen.start, TINY)
        raw = [
            (maximum(loss, 0.0) / start) ** self.alpha / sqrt(maximum(square, TINY))
            for loss, square in zip(losses, squares, strict=True)
        ]
        factor = float(len(raw)) / maximum(total(raw), TINY)
        return of_network(factor * raw[0], [factor * each for each in raw[1:]])
