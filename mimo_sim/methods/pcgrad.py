"""PCGrad: every gradient loses its components against the others."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from mimo_sim.methods._pareto import GradientWeighting, Scope, check_scope, two_by_two


def pcgrad_weights(gram: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Weights of the sum of projected gradients: each loses, in random order, its component along every other one that it then points against.

    Parameters
    ----------
    gram : Tensor (..., m, m)
        Inner products of the gradients, float64.
    generator : torch.Generator, optional
        Draws the orders when m > 2; with two gradients there is only one.

    Returns
    -------
    Tensor (..., m)
        All ones where no two gradients conflict.
    """
    m = gram.shape[-1]
    tiny = torch.finfo(gram.dtype).tiny
    if m == 2:
        a, c, e = two_by_two(gram)
        return 1 - c.clamp_max(0)[..., None] / torch.stack([a, e], dim=-1).clamp_min(tiny)
    draws = torch.rand(gram.shape, generator=generator, device=gram.device)
    itself = torch.eye(m, device=gram.device, dtype=torch.bool)
    orders = draws.masked_fill(itself, torch.inf).argsort(-1)[
        ..., :-1
    ]  # (..., m, m - 1): for row i the others, in random order
    rows = torch.eye(m, dtype=gram.dtype, device=gram.device).expand(gram.shape).clone()
    diagonal = gram.diagonal(dim1=-2, dim2=-1)[..., None, :].expand_as(gram)
    for j in torch.split(orders, 1, dim=-1):
        along = (rows @ gram).gather(-1, j).clamp_max(0) / diagonal.gather(-1, j).clamp_min(tiny)
        rows = rows.scatter_add(-1, j, -along)
    return rows.sum(-2)


class PCGrad(GradientWeighting):
    """Sum of joint and uni-modal gradients, each projected so that it does not point against the other.

    Parameters
    ----------
    scope : {"encoder", "global"}
        One problem of two gradients per encoder, or one of K+1 over all encoders, where projections go in an order drawn anew at every step.

    Notes
    -----
    Yu et al. (NeurIPS 2020). Without conflict it is linear scalarization.
    """

    name: ClassVar[str] = "pcgrad"
    about: ClassVar[str] = (
        "joint and uni-modal gradients, conflicting components projected away (NeurIPS 2020)"
    )

    def __init__(self, scope: Scope = "encoder") -> None:
        check_scope(scope)
        super().__init__(scope=scope)
        self.scope = scope

    def weights(
        self, gram: Tensor, losses: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Weights (..., m) of the gradients."""
        return pcgrad_weights(gram, generator)
