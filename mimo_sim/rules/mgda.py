"""MGDA: the convex combination of gradients with the smallest norm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

from mimo_sim._checks import check_choice
from mimo_sim._symbols import maximum, select, total
from mimo_sim.rules._base import Rule, Scope, Seen, Weights, of_encoders, of_network

TINY = 1e-300  # stands for a squared gradient of zero
SINGULAR = 1e-14  # gradients this close to linearly dependent, relative to their size, count as so


def least_norm_pair(u: Any, cross: Any, g: Any) -> Any:
    """Weight of the first of two gradients in their combination of least norm.

    `u` and `g` are their squared norms, `cross` is their inner product.
    """
    inside = (g - cross) / (u + g - 2.0 * cross)
    return select(cross >= u, 1.0, select(cross >= g, 0.0, inside))


def least_norm(joint: Any, cross: Sequence[Any], own: Sequence[Any]) -> tuple[Any, list[Any]]:
    r"""Weights of K + 1 gradients in their convex combination of least norm, exactly.

    All but the first gradient are orthogonal to each other. `joint` is the squared norm of the
    first, `own` (K,) are those of the others, `cross` (K,) their inner products with the first.

    Up to a common factor the weights are the w >= 0 with :math:`(Gw)_i \ge 1`, and = 1 where
    :math:`w_i > 0`. Here this means :math:`w_k = \max(0, 1 - c_k w_0) / e_k`. What is left is one
    equation for w_0. It is convex, increasing and linear in pieces. So Newton's method, begun at
    the last piece, ends after at most K + 1 steps.
    """
    e = [maximum(each, TINY) for each in own]
    share = [c / each for c, each in zip(cross, e, strict=True)]
    least = SINGULAR * joint + TINY
    taken = [select(c <= 0.0, 1.0, 0.0) for c in cross]
    w0: Any = 0.0
    for _ in range(len(e) + 1):
        missing = 1.0 - total([t * s for t, s in zip(taken, share, strict=True)])
        slope = joint - total([t * s * c for t, s, c in zip(taken, share, cross, strict=True)])
        w0 = maximum(missing / maximum(slope, least), 0.0)
        taken = [select(c * w0 < 1.0, 1.0, 0.0) for c in cross]
    rest = [maximum(1.0 - c * w0, 0.0) / each for c, each in zip(cross, e, strict=True)]
    whole = total([w0, *rest])
    return w0 / whole, [each / whole for each in rest]


@dataclass(frozen=True)
class MGDA(Rule):
    """Multiple-gradient descent: the shortest convex combination of joint and uni-modal gradients.

    A small step against it raises none of the losses.

    Parameters
    ----------
    scope : {"network", "encoder"}
        ``"network"`` (default): K + 1 gradients over all parameters, heads included. ``"encoder"``:
        one problem of two gradients per encoder, and every head follows its own loss, as in
        ``mimo_sim.methods.MGDA``.

    Raises
    ------
    ValueError
        If `scope` is neither.

    Notes
    -----
    Source: Desideri (2012); Sener and Koltun (NeurIPS 2018). The weights add up to one, per network
    or per encoder. Where one gradient vanishes it gets all the weight, and training stops.
    """

    scope: Scope = "network"
    name: ClassVar[str] = "mgda"
    about: ClassVar[str] = "least-norm combination of the gradients (NeurIPS 2018)"

    def __post_init__(self) -> None:
        check_choice("scope", self.scope, get_args(Scope))

    def weight_sum(self, num_modalities: int) -> float:
        """1 over the network, (K + 1) / 2 where every encoder shares 1 between two losses."""
        return 1.0 if self.scope == "network" else (num_modalities + 1) / 2

    def weights(self, seen: Seen) -> Weights:
        """Weights that add up to one."""
        if self.scope == "network":
            return of_network(*least_norm(seen.whole_mm, seen.cross, seen.whole))
        joint = [
            least_norm_pair(seen.joint[k], seen.cross[k], seen.own[k]) for k in seen.modalities
        ]
        return of_encoders(joint, [1.0 - each for each in joint])
