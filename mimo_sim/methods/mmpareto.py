"""MMPareto: the sum of the gradients, or where they conflict a direction that helps both losses."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from mimo_sim._checks import check_positive
from mimo_sim.methods._base import Search
from mimo_sim.methods._conformance import SAME_TENSORS, Conformance
from mimo_sim.methods._gradient_weighting import GradientWeighting
from mimo_sim.methods._gramians import EPS, squared_norm, two_by_two
from mimo_sim.methods.mgda import min_norm_weights


def mmpareto_weights(gram: Tensor, gamma: float = 1.5) -> Tensor:
    r"""Weights of u and g: (gamma, gamma) where u.g > 0, else those of the least-norm direction.

    The least-norm direction is made at least as long as the sum, :math:`\gamma\|u+g\|`.

    Parameters
    ----------
    gram : Tensor (..., 2, 2)
        Inner products of u and g, float64.
    gamma : float
        Factor on the length, > 0.

    Returns
    -------
    Tensor (..., 2)
        They are (gamma, gamma) also where the least-norm direction is too short to be scaled up,
        below 3.5e-4 of sqrt(|u|^2 + |g|^2). That happens where a gradient is almost zero, or the
        two are almost opposite.
    """
    a, c, e = two_by_two(gram)
    weights = 2 * min_norm_weights(gram)
    length = squared_norm(gram, weights)
    wanted = (a + 2 * c + e).clamp_min(0)
    scale = (wanted / length.clamp_min(torch.finfo(gram.dtype).tiny)).sqrt().clamp_min(1)
    plain = (c > 0) | (length <= EPS * (a + e))
    return gamma * torch.where(plain[..., None], 1.0, scale[..., None] * weights)


class MMPareto(GradientWeighting):
    """Add the two gradients of an encoder; where they conflict, take their least-norm combination.

    The least-norm combination lowers both losses but is short, so it is scaled up to the length of
    the sum. The result is multiplied by gamma.

    Parameters
    ----------
    gamma : float
        Factor on the encoder gradients, > 0. Default 1.5.

    Notes
    -----
    Wei and Hu (ICML 2024). The length is that of an encoder's whole gradient, as in the paper. The
    released code takes every parameter tensor by itself, which need not lower both losses.
    """

    name: ClassVar[str] = "mmpareto"
    title: ClassVar[str] = "MMPareto"
    about: ClassVar[str] = "scaled least-norm direction where gradients conflict (ICML 2024)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Wei, Hu, ICML 2024",
        follows="paper",
        code="GeWu-Lab/MMPareto_ICML2024",
        released=(
            "Scales every parameter tensor by itself, where the paper has the whole gradient of "
            "an encoder. K + 2 backward passes."
        ),
        compared=SAME_TENSORS,
        apart="round-off",
    )
    search: ClassVar[Search] = {"gamma": ("uniform", 1.0, 2.0)}

    def __init__(self, gamma: float = 1.5) -> None:
        check_positive("gamma", gamma)
        super().__init__(gamma=gamma)
        self.gamma = gamma

    def weights(
        self, gram: Tensor, losses: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Weights (..., 2) of u and g."""
        return mmpareto_weights(gram, self.gamma)
