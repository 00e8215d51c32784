"""Scaling gradients that are there already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor, nn


def scale_gradients(
    groups: Iterable[nn.Module | Iterable[nn.Parameter]], factors: Tensor | Sequence[Tensor]
) -> None:
    """Multiply the gradients of K modules, or groups of parameters, by factors (K,), in place."""
    for group, factor in zip(groups, factors, strict=True):
        for parameter in group.parameters() if isinstance(group, nn.Module) else group:
            if parameter.grad is not None:
                parameter.grad.mul_(factor)
