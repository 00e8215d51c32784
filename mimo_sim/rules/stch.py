"""STCH: gradient descent on the smoothed worst of all objectives, the joint one included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mimo_sim._checks import check_positive
from mimo_sim._symbols import exp, largest, total
from mimo_sim.rules._base import Rule, Seen, Weights, of_network


@dataclass(frozen=True)
class STCH(Rule):
    r"""Smooth Tchebycheff scalarization: :math:`\mu \log \sum_i e^{(f_i - f_i^*)/\mu}`.

    The sum runs over f_mm and all f_k, with equal preferences. MIMO takes the same smoothed maximum
    over the f_k alone, and adds f_mm.

    Parameters
    ----------
    mu : float
        Smoothing, > 0, in units of the loss. Default 0.1.

    Raises
    ------
    ValueError, TypeError
        If `mu` is not a finite number > 0.

    Notes
    -----
    Source: Lin et al. (ICML 2024). The reference point is the exact optimum of every objective. The
    weights add up to one.
    """

    mu: float = 0.1
    name: ClassVar[str] = "stch"
    about: ClassVar[str] = "smoothed worst of all objectives (ICML 2024)"

    def __post_init__(self) -> None:
        check_positive("mu", self.mu)

    def weight_sum(self, num_modalities: int) -> float:
        """1."""
        return 1.0

    def weights(self, seen: Seen) -> Weights:
        """A softmax of the gaps."""
        gaps = [seen.excess_mm, *seen.excess]
        top = largest(gaps)
        raw = [exp((each - top) / self.mu) for each in gaps]
        whole = total(raw)
        return of_network(raw[0] / whole, [each / whole for each in raw[1:]])
