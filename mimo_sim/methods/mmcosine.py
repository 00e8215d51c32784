"""MMCosine: the joint output is a sum of cosines between features and class weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mimo_sim._checks import check_positive
from mimo_sim.methods._base import Family, Method, Needs, Search
from mimo_sim.methods._conformance import SAME_TENSORS, Conformance

if TYPE_CHECKING:
    from mimo_sim.networks._base import FusionNetwork

LEAST_NORM = 1e-6
"""Least length that features and weights are divided by. It bounds the gradient at zero."""


def cosine_logits(features: Tensor, weight: Tensor, scale: float) -> Tensor:
    """`scale` times the cosines (B, C) between features (B, d) and class weights (C, d)."""
    return scale * F.linear(
        F.normalize(features, dim=1, eps=LEAST_NORM), F.normalize(weight, dim=1, eps=LEAST_NORM)
    )


class MMCosine(Method):
    """Take the size of features and weights out of the fusion layer, so that none dominates by
    size.

    The joint output is z = s sum_k cos(h_k, W_k), where W_k are the fusion weights of modality k.
    There is no bias. Training and test use the same formula, and the uni-modal outputs are the
    summands.

    Parameters
    ----------
    scale : float
        s > 0. Default 10, the paper's value for CREMA-D.

    Notes
    -----
    Xu, Feng, Zhang, Hu, MMCosine (ICASSP 2023). The bias of the fusion layer exists but is not
    used.
    """

    name: ClassVar[str] = "mmcosine"
    title: ClassVar[str] = "MMCosine"
    family: ClassVar[Family] = "objective"
    about: ClassVar[str] = "normalised features and class weights (ICASSP 2023)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Xu, Feng, Zhang, Hu, ICASSP 2023",
        follows="both",
        code="GeWu-Lab/MMCosine_ICASSP23",
        compared=SAME_TENSORS,
        apart="round-off",
    )
    search: ClassVar[Search] = {"scale": ("log", 2.0, 30.0)}
    needs: ClassVar[Needs] = "slices"
    needs_classes: ClassVar[bool] = True

    def __init__(self, scale: float = 10.0) -> None:
        check_positive("scale", scale)
        super().__init__(scale=scale)
        self.scale = scale

    def unimodal_outputs(self, model: FusionNetwork, features: Sequence[Tensor]) -> list[Tensor]:
        """The summands (B, C) of the joint output."""
        return [
            cosine_logits(h, w, self.scale)
            for h, w in zip(features, model.weight_blocks(), strict=True)
        ]

    def fuse(self, model: FusionNetwork, features: Sequence[Tensor]) -> Tensor:
        """Joint output (B, C)."""
        return torch.stack(self.unimodal_outputs(model, features)).sum(0)
