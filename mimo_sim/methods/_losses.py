"""The two training losses: cross-entropy for classes, half the squared error for numbers."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor
from torch.nn import functional as F  # noqa: N812


class LossFunction(Protocol):
    """The form of a training loss: a mean over the batch, or one loss per sample."""

    def __call__(self, output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
        """Loss of outputs (B, C) against targets (B,) or (B, m).

        The result is the 0-dim batch mean, or (B,) with ``reduction="none"``.
        """
        ...


def cross_entropy(output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Cross-entropy of logits (B, C) and classes (B,)."""
    return F.cross_entropy(output, target, reduction=reduction)


def half_squared_error(output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The toy's loss 1/2 |y - yhat|^2: its batch mean, or one number per sample (B,)."""
    each = 0.5 * (output - target).square().sum(dim=1)
    return each if reduction == "none" else each.mean()
