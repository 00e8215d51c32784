"""MMPareto: the sum of the gradients, or where they conflict a direction that helps both losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from mimo_sim._checks import check_positive
from mimo_sim._symbols import maximum, select, sqrt
from mimo_sim.rules._base import Rule, Seen, Weights, of_encoders
from mimo_sim.rules.mgda import TINY, least_norm_pair

EPS = 2.0**-23  # a squared norm this much shorter than the sum's cannot be scaled up


@dataclass(frozen=True)
class MMPareto(Rule):
    """Add the two gradients of an encoder; where they conflict, take their least-norm combination.

    The least-norm combination lowers both losses but is short, so it is scaled up to the length of
    the sum. The result is multiplied by gamma. Every head follows its own loss.

    Parameters
    ----------
    gamma : float
        Factor on the encoder gradients, > 0. Default 1.5.

    Raises
    ------
    ValueError, TypeError
        If `gamma` is not a finite number > 0.

    Notes
    -----
    Source: Wei and Hu (ICML 2024). As in ``mimo_sim.methods.MMPareto``, the length is that of an
    encoder's whole gradient.
    """

    gamma: float = 1.5
    name: ClassVar[str] = "mmpareto"
    about: ClassVar[str] = "scaled least-norm direction where gradients conflict (ICML 2024)"

    def __post_init__(self) -> None:
        check_positive("gamma", self.gamma)

    def weight_sum(self, num_modalities: int) -> float:
        """gamma for each of K + 1 losses."""
        return (num_modalities + 1) * self.gamma

    def weights(self, seen: Seen) -> Weights:
        """(gamma, gamma) where the gradients agree."""
        pairs = [self._pair(seen.joint[k], seen.cross[k], seen.own[k]) for k in seen.modalities]
        return of_encoders([u for u, _ in pairs], [g for _, g in pairs])

    def _pair(self, u: Any, cross: Any, g: Any) -> tuple[Any, Any]:
        first = 2.0 * least_norm_pair(u, cross, g)
        second = 2.0 - first
        length = first * first * u + 2.0 * first * second * cross + second * second * g
        scale = maximum(sqrt(maximum(u + 2.0 * cross + g, 0.0) / maximum(length, TINY)), 1.0)
        scale = select(length > EPS * (u + g), scale, 0.0)  # 0: take the plain sum

        def weight(one: Any) -> Any:
            shortest = select(scale > 0.0, scale * one, 1.0)
            return self.gamma * select(cross > 0.0, 1.0, shortest)

        return weight(first), weight(second)
