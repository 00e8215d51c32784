"""PCGrad: take out of every gradient what works against the others."""

from __future__ import annotations

from typing import ClassVar, get_args

import torch
from torch import Tensor

from mimo_sim._checks import check_choice
from mimo_sim.methods._conformance import SAME_TENSORS, Conformance
from mimo_sim.methods._gradient_weighting import GradientWeighting, Scope
from mimo_sim.methods._gramians import two_by_two


def pcgrad_weights(gram: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Weights of the sum of projected gradients.

    Each gradient meets the others in random order. Where it points against another one, it loses
    its component along that one.

    Parameters
    ----------
    gram : Tensor (..., m, m)
        Inner products of the gradients, float64.
    generator : torch.Generator, optional
        Draws the orders when m > 2. Two gradients have only one order.

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
    # (..., m, m - 1): row i has the others in random order, without i, which is sorted last.
    orders = draws.masked_fill(itself, torch.inf).argsort(-1)[..., :-1]
    rows = torch.eye(m, dtype=gram.dtype, device=gram.device).expand(gram.shape).clone()
    diagonal = gram.diagonal(dim1=-2, dim2=-1)[..., None, :].expand_as(gram)
    for j in torch.split(orders, 1, dim=-1):
        along = (rows @ gram).gather(-1, j).clamp_max(0) / diagonal.gather(-1, j).clamp_min(tiny)
        rows = rows.scatter_add(-1, j, -along)
    return rows.sum(-2)


class PCGrad(GradientWeighting):
    """Projecting conflicting gradients: the sum of joint and uni-modal gradients without conflicts.

    Each gradient is projected so that it does not point against the others; then they are added.

    Parameters
    ----------
    scope : {"encoder", "global"}
        ``"encoder"`` (default): one problem of two gradients per encoder. ``"global"``: one problem
        of K+1 gradients over all encoders; the order of the projections is drawn in every step.

    Notes
    -----
    Yu et al. (NeurIPS 2020). Without conflict it is linear scalarization.
    """

    name: ClassVar[str] = "pcgrad"
    title: ClassVar[str] = "PCGrad"
    about: ClassVar[str] = "sum of gradients without their conflicting parts (NeurIPS 2020)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Yu, Kumar, Gupta, Levine, Hausman, Finn, NeurIPS 2020",
        follows="both",
        code="median-research-group/LibMTL",
        compared=SAME_TENSORS,
        apart="round-off",
    )

    def __init__(self, scope: Scope = "encoder") -> None:
        check_choice("scope", scope, get_args(Scope))
        super().__init__(scope=scope)
        self.scope = scope

    def weights(
        self, gram: Tensor, losses: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Weights (..., m) of the gradients."""
        return pcgrad_weights(gram, generator)
