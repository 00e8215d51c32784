"""MGDA: the convex combination of gradients with the smallest norm."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from mimo_sim._checks import check_choice
from mimo_sim.methods._conformance import SAME_TENSORS, Conformance
from mimo_sim.methods._gradient_weighting import GradientWeighting, Scope
from mimo_sim.methods._gramians import squared_norm, two_by_two

Normalisation = Literal["none", "l2", "loss", "loss+"]


def min_norm_weights(gram: Tensor) -> Tensor:
    r"""Weights alpha on the simplex that minimise :math:`\|\sum_m \alpha_m g_m\|`, exactly.

    Two gradients have a closed form. With more, the optimum lies on some face of the simplex and
    is stationary there. So the stationary point of every face is computed, and the best one inside
    the simplex is taken. Where the least norm is below 1e-4 of the largest norm of a gradient, it
    is not exact to all digits.

    Parameters
    ----------
    gram : Tensor (..., m, m)
        Inner products of the gradients, float64.

    Returns
    -------
    Tensor (..., m)
        Non-negative, adding up to one. Of two identical gradients the first gets all the weight.
    """
    m = gram.shape[-1]
    if m == 2:
        a, c, e = two_by_two(gram)
        first = torch.where(c >= a, 1.0, torch.where(c >= e, 0.0, (e - c) / (a + e - 2 * c)))
        return torch.stack([first, 1 - first], dim=-1)
    codes = torch.arange(1, 2**m, device=gram.device)[:, None]
    faces = (codes >> torch.arange(m, device=gram.device)) & 1  # (2^m - 1, m)
    scale = gram.diagonal(dim1=-2, dim2=-1).amax(-1)[..., None, None]
    one = torch.eye(m, dtype=gram.dtype, device=gram.device)
    # The small multiple of the identity keeps a face with dependent gradients solvable. Its
    # optimum is also found on a smaller face.
    relative = (gram / torch.where(scale > 0, scale, 1.0) + 1e-12 * one)[..., None, :, :]
    system = torch.where((faces[:, :, None] & faces[:, None, :]).bool(), relative, one)
    right = faces.to(gram.dtype).expand(system.shape[:-1])[..., None]
    solution = torch.linalg.solve_ex(system, right).result[..., 0] * faces
    weights = solution / solution.sum(-1, keepdim=True)
    value = squared_norm(relative, weights).masked_fill((weights < 0).any(-1), torch.inf)
    best = value.argmin(-1)[..., None, None].expand(*gram.shape[:-2], 1, m)
    return torch.gather(weights, -2, best)[..., 0, :]


class MGDA(GradientWeighting):
    """Multiple-gradient descent: the shortest convex combination of joint and uni-modal gradients.

    A small step against it raises none of the losses.

    Parameters
    ----------
    scope : {"encoder", "global"}
        ``"encoder"`` (default): one problem of two gradients per encoder. ``"global"``: one problem
        of K+1 gradients over all encoders.
    normalisation : {"none", "l2", "loss", "loss+"} or None
        What gradients are divided by before the least-norm point is taken: nothing (default, also
        None), their norm, their loss, or both.

    Notes
    -----
    Desideri (2012); Sener and Koltun (NeurIPS 2018). The weights add up to one. So steps shrink
    near Pareto points, where no loss can fall unless another rises. Elsewhere they are about half
    those of the plain sum. The smallest gradient gets the most weight. Often that is the gradient
    of an objective which is fitted already.
    """

    name: ClassVar[str] = "mgda"
    title: ClassVar[str] = "MGDA"
    about: ClassVar[str] = "least-norm combination of the gradients (NeurIPS 2018)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Desideri, 2012; Sener, Koltun, NeurIPS 2018",
        follows="paper",
        code="median-research-group/LibMTL",
        released=(
            "Weights .999 and .001 at the ends of the segment, where the definition has 1 and 0."
        ),
        compared=SAME_TENSORS,
        apart="round-off",
    )

    def __init__(
        self, scope: Scope = "encoder", normalisation: Normalisation | None = "none"
    ) -> None:
        normalisation = "none" if normalisation is None else normalisation
        check_choice("scope", scope, get_args(Scope))
        check_choice("normalisation", normalisation, get_args(Normalisation))
        super().__init__(scope=scope, normalisation=normalisation)
        self.scope, self.normalisation = scope, normalisation

    def weights(
        self, gram: Tensor, losses: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Weights (..., m) of the gradients as they came, without the normalisation."""
        if self.normalisation == "none":
            return min_norm_weights(gram)
        tiny = torch.finfo(gram.dtype).tiny
        norms = gram.diagonal(dim1=-2, dim2=-1).sqrt()
        size = {"l2": norms, "loss": losses, "loss+": losses * norms}[self.normalisation]
        scale = torch.where(size > tiny, 1 / size.clamp_min(tiny), 1.0)
        return min_norm_weights(gram * scale[..., :, None] * scale[..., None, :]) * scale
