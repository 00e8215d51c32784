"""The sum of the joint loss and the uni-modal losses, with fixed weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mimo_sim._checks import check_positive
from mimo_sim.rules._base import Rule, Seen, Weights, of_network


@dataclass(frozen=True)
class LinearScalarization(Rule):
    r"""Gradient descent on :math:`f_{mm} + \sum_k w_k f_k`.

    Parameters
    ----------
    weight : float, or one per modality
        w_k >= 0. Default 1. Zero is joint training.

    Raises
    ------
    ValueError, TypeError
        If a weight is not a finite number >= 0.

    Notes
    -----
    Source: the uniform baseline of MMPareto (Wei and Hu, ICML 2024). MIMO tends to it as mu grows,
    with w_k = lam / K.
    """

    weight: float | tuple[float, ...] = 1.0
    name: ClassVar[str] = "linear_scalarization"
    about: ClassVar[str] = "joint loss plus uni-modal losses, fixed weights"

    def __post_init__(self) -> None:
        if isinstance(self.weight, list | tuple):
            if not self.weight:
                raise ValueError("`weight` must be a number, or one number per modality. Got ().")
            object.__setattr__(self, "weight", tuple(self.weight))
        for one in self.weight if isinstance(self.weight, tuple) else (self.weight,):
            check_positive("weight", one, allow_zero=True)

    def weight_sum(self, num_modalities: int) -> float:
        """1 plus all w_k."""
        given = self.weight
        return 1.0 + (sum(given) if isinstance(given, tuple) else num_modalities * given)

    def weights(self, seen: Seen) -> Weights:
        """1 and w_k."""
        given = self.weight
        return of_network(
            1.0, given if isinstance(given, tuple) else [given for _ in seen.modalities]
        )
