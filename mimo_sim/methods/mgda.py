"""MGDA: the least-norm convex combination of gradients."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from mimo_sim.methods._pareto import GradientWeighting, Scope, check_scope, squared_norm, two_by_two

Normalisation = Literal["none", "l2", "loss", "loss+"]


def min_norm_weights(gram: Tensor) -> Tensor:
    r"""argmin of :math:`\|\sum_m \alpha_m g_m\|` over the simplex, exactly.

    Two gradients have a closed form. With more, the optimum is stationary on the face of the simplex that it lies in, so every face's stationary point
    is solved for and the best of those inside the simplex is taken; of norms below 1e-4 of the largest it does not have all digits.

    Parameters
    ----------
    gram : Tensor (..., m, m)
        Inner products of the gradients, float64.

    Returns
    -------
    Tensor (..., m)
        Non-negative, adding up to one. Of two identical gradients the first gets all.
    """
    m = gram.shape[-1]
    if m == 2:
        a, c, e = two_by_two(gram)
        first = torch.where(c >= a, 1.0, torch.where(c >= e, 0.0, (e - c) / (a + e - 2 * c)))
        return torch.stack([first, 1 - first], dim=-1)
    faces = (
        torch.arange(1, 2**m, device=gram.device)[:, None] >> torch.arange(m, device=gram.device)
    ) & 1  # (2^m - 1, m)
    scale = gram.diagonal(dim1=-2, dim2=-1).amax(-1)[..., None, None]
    one = torch.eye(m, dtype=gram.dtype, device=gram.device)
    # A trace of the identity keeps faces with dependent gradients solvable; their optimum is also found on a smaller face.
    relative = (gram / torch.where(scale > 0, scale, 1.0) + 1e-12 * one)[..., None, :, :]
    system = torch.where((faces[:, :, None] & faces[:, None, :]).bool(), relative, one)
    solution = (
        torch.linalg.solve_ex(
            system, faces.to(gram.dtype).expand(system.shape[:-1])[..., None]
        ).result[..., 0]
        * faces
    )
    weights = solution / solution.sum(-1, keepdim=True)
    value = squared_norm(relative, weights).masked_fill((weights < 0).any(-1), torch.inf)
    best = value.argmin(-1)[..., None, None].expand(*gram.shape[:-2], 1, m)
    return torch.gather(weights, -2, best)[..., 0, :]


class MGDA(GradientWeighting):
    """Least-norm direction in the convex hull of the joint and the uni-modal gradients.

    Parameters
    ----------
    scope : {"encoder", "global"}
        One problem of two gradients per encoder, or one of K+1 over all encoders.
    normalisation : {"none", "l2", "loss", "loss+"}
        Gradients are divided by nothing, their norm, their loss, or both, before the least-norm point is taken.

    Notes
    -----
    Desideri (2012); Sener and Koltun (NeurIPS 2018). The weights add up to one, so steps shrink near Pareto points and are about half those of the plain
    sum elsewhere; the smallest gradient, often that of an objective already fitted, gets the most weight.
    """

    name: ClassVar[str] = "mgda"
    about: ClassVar[str] = "least-norm combination of joint and uni-modal gradients (NeurIPS 2018)"

    def __init__(self, scope: Scope = "encoder", normalisation: Normalisation = "none") -> None:
        check_scope(scope)
        if normalisation not in get_args(Normalisation):
            raise ValueError(
                f"`normalisation` must be one of {get_args(Normalisation)}. Got normalisation={normalisation!r}."
            )
        super().__init__(scope=scope, normalisation=normalisation)
        self.scope, self.normalisation = scope, normalisation

    def weights(
        self, gram: Tensor, losses: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Weights (..., m) of the gradients as they came."""
        if self.normalisation == "none":
            return min_norm_weights(gram)
        tiny = torch.finfo(gram.dtype).tiny
        norms = gram.diagonal(dim1=-2, dim2=-1).sqrt()
        size = {"l2": norms, "loss": losses, "loss+": losses * norms}[self.normalisation]
        scale = torch.where(size > tiny, 1 / size.clamp_min(tiny), 1.0)
        return min_norm_weights(gram * scale[..., :, None] * scale[..., None, :]) * scale
