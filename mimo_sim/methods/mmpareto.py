"""MMPareto: the Pareto direction where gradients conflict, their sum where they do not, and magnitude enhancement."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from mimo_sim._checks import check_positive
from mimo_sim.methods._pareto import EPS, GradientWeighting, squared_norm, two_by_two
from mimo_sim.methods.mgda import min_norm_weights


def mmpareto_weights(gram: Tensor, gamma: float = 1.5) -> Tensor:
    r"""Weights of u and g: (gamma, gamma) if u.g > 0, else those of the least-norm direction, scaled up to the length :math:`\gamma\|u+g\|` if shorter.

    Parameters
    ----------
    gram : Tensor (..., 2, 2)
        Inner products of u and g, float64.
    gamma : float
        Magnitude enhancement, > 0.

    Returns
    -------
    Tensor (..., 2)
        (gamma, gamma) also where the least-norm direction has no length worth scaling up, less than 3.5e-4 of sqrt(|u|^2 + |g|^2): (almost) a zero
        gradient, or (almost) opposite ones.
    """
    a, c, e = two_by_two(gram)
    weights = 2 * min_norm_weights(gram)
    length = squared_norm(gram, weights)
    scale = (
        ((a + 2 * c + e).clamp_min(0) / length.clamp_min(torch.finfo(gram.dtype).tiny))
        .sqrt()
        .clamp_min(1)
    )
    plain = (c > 0) | (length <= EPS * (a + e))
    return gamma * torch.where(plain[..., None], 1.0, scale[..., None] * weights)


class MMPareto(GradientWeighting):
    """Per encoder, the sum of the two gradients, replaced by their least-norm combination of no smaller length where they conflict.

    Parameters
    ----------
    gamma : float
        Factor on the encoder gradients, > 0.

    Notes
    -----
    Wei and Hu (ICML 2024). The length is that of an encoder's whole gradient, as in the paper; the released code takes every
    parameter tensor by itself, which no longer ensures a direction of common descent.
    """

    name: ClassVar[str] = "mmpareto"
    about: ClassVar[str] = (
        "least-norm direction where gradients conflict, length restored and enhanced (ICML 2024)"
    )

    def __init__(self, gamma: float = 1.5) -> None:
        check_positive("gamma", gamma)
        super().__init__(gamma=gamma)
        self.gamma = gamma

    def weights(
        self, gram: Tensor, losses: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Weights (..., 2) of u and g."""
        return mmpareto_weights(gram, self.gamma)
