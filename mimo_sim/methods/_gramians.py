"""Gramians: the inner products of gradients as small matrices, the last two axes of a tensor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

EPS = torch.finfo(torch.float32).eps


def gramian(u: Sequence[Tensor], g: Sequence[Tensor]) -> Tensor:
    """The Gramian (2, 2) of two gradients, each given as the parts of its parameters."""
    whole_u = torch.cat([part.flatten() for part in u])
    whole_g = torch.cat([part.flatten() for part in g])
    cross = whole_u @ whole_g
    return torch.stack([whole_u @ whole_u, cross, cross, whole_g @ whole_g]).view(2, 2)


def two_by_two(gram: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """u.u, u.g and g.g of Gramians (..., 2, 2)."""
    return gram[..., 0, 0], gram[..., 0, 1], gram[..., 1, 1]


def squared_norm(gram: Tensor, weights: Tensor) -> Tensor:
    """Squared norm (...) of the sum of m gradients with these weights (..., m)."""
    return torch.einsum("...i,...ij,...j->...", weights, gram, weights).clamp_min(0)


def block_gramian(gram: Tensor) -> Tensor:
    """The Gramian (K+1, K+1) of L and all l_k over all encoders together.

    It follows from the Gramians (K, 2, 2) of the single encoders, because l_k has no gradient
    outside encoder k.
    """
    joint, cross, own = two_by_two(gram)
    whole = torch.diag(torch.cat([joint.sum()[None], own]))
    whole[0, 1:] = whole[1:, 0] = cross
    return whole
