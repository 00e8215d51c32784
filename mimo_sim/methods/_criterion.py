"""What a criterion over K uni-modal losses needs: checks of the losses, and the gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def checked_losses(
    loss_mm: Tensor, losses_uni: Tensor | Sequence[Tensor], known: int = 0
) -> Tensor:
    """The uni-modal losses as one tensor (K,) of float32 or more.

    Parameters
    ----------
    loss_mm : Tensor ()
        Joint loss.
    losses_uni : Tensor (K,), or K tensors ()
        Uni-modal losses.
    known : int
        The K of the losses before; 0 where these are the first.

    Raises
    ------
    TypeError
        For anything that is not a tensor of floating-point numbers.
    ValueError
        For other shapes, and for another K than `known`.
    """
    wanted = "`losses_uni` must be a tensor (K,) or K tensors ()."
    if isinstance(losses_uni, Tensor):
        losses = losses_uni
    elif (
        isinstance(losses_uni, Sequence)
        and losses_uni
        and all(isinstance(loss, Tensor) for loss in losses_uni)
    ):
        shapes = [tuple(loss.shape) for loss in losses_uni]
        if any(shapes):
            raise ValueError(f"{wanted} Got shapes {shapes}.")
        losses = torch.stack(tuple(losses_uni))
    else:
        raise TypeError(f"{wanted} Got {losses_uni!r}.")
    if not isinstance(loss_mm, Tensor):
        raise TypeError(f"`loss_mm` must be a tensor (). Got {loss_mm!r}.")
    if loss_mm.ndim or losses.ndim != 1 or not len(losses) or known not in (0, len(losses)):
        count = f" with K={known}" if known else ""
        raise ValueError(
            f"`loss_mm` must be 0-dim and `losses_uni` (K,){count}. "
            f"Got shapes {tuple(loss_mm.shape)} and {tuple(losses.shape)}."
        )
    if not (loss_mm.is_floating_point() and losses.is_floating_point()):
        raise TypeError(
            "`loss_mm` and `losses_uni` must be floating point tensors. "
            f"Got {loss_mm.dtype} and {losses.dtype}."
        )
    return losses.to(torch.promote_types(losses.dtype, torch.float32))


def gate(features: Sequence[Tensor], weights: Tensor) -> list[Tensor]:
    """The same features (B, d_k), whose gradients are multiplied by weights (K,) on the way back.

    The weights are read in the backward pass, so they may be filled in after this call.
    """
    gated = [h.view_as(h) for h in features]
    for k, h in enumerate(gated):
        if h.requires_grad:
            h.register_hook(_multiplied(weights, k))  # type: ignore[no-untyped-call]
    return gated


def _multiplied(weights: Tensor, k: int) -> Callable[[Tensor], Tensor]:
    def multiplied(gradient: Tensor) -> Tensor:
        return gradient * weights[k].to(gradient.dtype)

    return multiplied
