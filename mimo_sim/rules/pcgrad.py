"""PCGrad: take out of every gradient what works against the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, get_args

from mimo_sim._checks import check_choice
from mimo_sim._symbols import maximum, minimum, total
from mimo_sim.rules._base import Rule, Scope, Seen, Weights, of_encoders, of_network
from mimo_sim.rules.mgda import TINY


def _along(cross: Any, square: Any) -> Any:
    """1 plus what a gradient loses that points against another one with this squared norm."""
    return 1.0 - minimum(cross, 0.0) / maximum(square, TINY)


@dataclass(frozen=True)
class PCGrad(Rule):
    """Projecting conflicting gradients: the sum of joint and uni-modal gradients without conflicts.

    Each gradient loses its component along every other one against which it points. Then they are
    added.

    Parameters
    ----------
    scope : {"network", "encoder"}
        ``"network"`` (default): K + 1 gradients over all parameters. ``"encoder"``: two gradients
        per encoder, and every head follows its own loss, as in ``mimo_sim.methods.PCGrad``.

    Raises
    ------
    ValueError
        If `scope` is neither.

    Notes
    -----
    Source: Yu et al. (NeurIPS 2020). There the order of the projections is random. It matters only
    where f_mm conflicts with two or more f_k. Here every gradient meets the joint one last, which
    is one of these orders and has a closed form.
    """

    scope: Scope = "network"
    name: ClassVar[str] = "pcgrad"
    about: ClassVar[str] = "sum of gradients without their conflicting parts (NeurIPS 2020)"

    def __post_init__(self) -> None:
        check_choice("scope", self.scope, get_args(Scope))

    def weight_sum(self, num_modalities: int) -> float:
        """K + 1: gradients without conflict are added."""
        return num_modalities + 1.0

    def weights(self, seen: Seen) -> Weights:
        """All ones where no two gradients conflict."""
        cross = seen.cross
        if self.scope == "network":
            whole, every = seen.whole, seen.modalities
            lost = total([_along(c, seen.whole_mm) - 1.0 for c in cross])
            return of_network(1.0 + lost, [_along(cross[k], whole[k]) for k in every])
        return of_encoders(
            [_along(cross[k], seen.joint[k]) for k in seen.modalities],
            [_along(cross[k], seen.own[k]) for k in seen.modalities],
        )
