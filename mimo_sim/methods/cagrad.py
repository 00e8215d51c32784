"""CAGrad: improve the worse of two objectives, but stay near the mean gradient."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from mimo_sim._checks import check_choice, check_positive
from mimo_sim.methods._base import Search
from mimo_sim.methods._conformance import SAME_TENSORS, Conformance
from mimo_sim.methods._gradient_weighting import GradientWeighting
from mimo_sim.methods._gramians import EPS, squared_norm, two_by_two

RESCALES = ("none", "c2", "c")


def cagrad_weights(gram: Tensor, c: float = 0.5) -> Tensor:
    r"""Weights of the direction :math:`d = g_0 + c\|g_0\|\, g_w / \|g_w\|`.

    g_0 is the mean of u and g, and :math:`g_w = w u + (1-w) g`. The w in [0, 1] minimises the
    convex function :math:`g_w \cdot g_0 + c \|g_0\| \|g_w\|`. It has a closed form: with
    :math:`\|g_w\|^2 = A (w - w_0)^2 + D` the derivative has one root at most.

    Parameters
    ----------
    gram : Tensor (..., 2, 2)
        Inner products of u and g, float64.
    c : float
        Radius of the ball around the mean gradient, relative to its norm, in [0, 1).

    Returns
    -------
    Tensor (..., 2)
        Weights of u and g. They are (1/2, 1/2), the mean gradient, where g_w vanishes: there
        neither objective can gain more without loss to the other.
    """
    a, b, e = two_by_two(gram)
    tiny = torch.finfo(gram.dtype).tiny
    slope = (a - e) / 2  # (u - g) . g_0
    radius = c / 2 * (a + 2 * b + e).clamp_min(0).sqrt()
    curvature = (a + e - 2 * b).clamp_min(tiny)
    rest = ((a * e - b * b) / curvature).clamp_min(0)
    room = curvature * radius * radius - slope * slope
    inside = (e - b) / curvature - slope * (rest / (curvature * room).clamp_min(tiny)).sqrt()
    different = curvature > 1e-14 * (a + e)  # of equal gradients every w gives the same g_w
    w = torch.where(different & (room > 0), inside.clamp(0, 1), (slope < 0).to(gram.dtype))
    pair = torch.stack([w, 1 - w], dim=-1)
    square = squared_norm(gram, pair)
    gain = torch.where(square > EPS**2 * (a + e), radius / square.clamp_min(tiny).sqrt(), 0.0)
    return 0.5 + gain[..., None] * pair


class CAGrad(GradientWeighting):
    """Conflict-averse gradient: the direction near the mean that improves the worse objective most.

    Each encoder has two objectives, the joint loss and its own uni-modal loss. The direction lies
    in a ball around the mean of their gradients; see :func:`cagrad_weights`.

    Parameters
    ----------
    c : float
        Radius of the ball as a fraction of the norm of the mean gradient, in [0, 1). Default 0.5.
        Zero: the mean gradient.
    rescale : {"c2", "c", "none"}
        What the direction is divided by: 1 + c^2 (default, as in the authors' code), 1 + c, or
        nothing.

    Notes
    -----
    Liu et al. (NeurIPS 2021).
    """

    name: ClassVar[str] = "cagrad"
    title: ClassVar[str] = "CAGrad"
    about: ClassVar[str] = "improves the worse of two losses, near the mean gradient (NeurIPS 2021)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Liu, Liu, Jin, Stone, Liu, NeurIPS 2021",
        follows="both",
        code="median-research-group/LibMTL",
        compared=SAME_TENSORS,
        apart="round-off",
    )
    search: ClassVar[Search] = {"c": ("uniform", 0.1, 0.9)}

    def __init__(self, c: float = 0.5, rescale: str = "c2") -> None:
        check_positive("c", c, allow_zero=True)
        if c >= 1:
            raise ValueError(f"`c` must be in [0, 1). Got c={c!r}.")
        check_choice("rescale", rescale, RESCALES)
        super().__init__(c=c, rescale=rescale)
        self.c = c
        self.divisor = {"none": 1.0, "c2": 1 + c * c, "c": 1 + c}[rescale]

    def weights(
        self, gram: Tensor, losses: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Weights (..., 2) of u and g."""
        return cagrad_weights(gram, self.c) / self.divisor
