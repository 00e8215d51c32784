r"""Methods that weigh the gradient of the joint loss against those of the uni-modal losses: one forward and two backward passes a step.

For encoder k with parameters theta_k, u_k is the gradient of the joint loss L and g_k that of the loss l_k of its own head. l_k depends on no other
encoder, so one backward pass of sum_k l_k gives every g_k. What a method does with them is a function of their inner products alone:
it maps Gramians (..., m, m) to weights (..., m), and the encoder moves along the weighted sum of the m gradients. The fusion layer follows L and
every head its own loss, untouched. Everything stays on the device and nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from mimo_sim.methods._base import Family, Forward, Method, Run

Scope: TypeAlias = Literal["encoder", "global"]
EPS = torch.finfo(torch.float32).eps


def two_by_two(gram: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """u.u, u.g and g.g of Gramians (..., 2, 2)."""
    return gram[..., 0, 0], gram[..., 0, 1], gram[..., 1, 1]


def squared_norm(gram: Tensor, weights: Tensor) -> Tensor:
    """Squared norm (...) of the weighted sums (..., m) of gradients with Gramians (..., m, m)."""
    return torch.einsum("...i,...ij,...j->...", weights, gram, weights).clamp_min(0)


def block_gramian(gram: Tensor) -> Tensor:
    """One Gramian (K+1, K+1) of L and all l_k over all encoders together, from those (K, 2, 2) of the single encoders."""
    joint, cross, own = two_by_two(gram)
    whole = torch.diag(torch.cat([joint.sum()[None], own]))
    whole[0, 1:] = whole[1:, 0] = cross
    return whole


def check_scope(scope: str) -> None:
    """Raise ``ValueError`` unless it is a scope."""
    if scope not in get_args(Scope):
        raise ValueError(f"`scope` must be one of {get_args(Scope)}. Got scope={scope!r}.")


class GradientWeighting(Method):
    """Base of the methods that work so: a subclass gives :meth:`weights`.

    ``scope`` says whether each encoder has a problem of two objectives, L and l_k, or all have one of K+1, L and every l_k.
    """

    family: ClassVar[Family] = "gradient"
    uses_heads: ClassVar[bool] = True
    scope: Scope = "encoder"
    weight_sum: Tensor  # (K, 2) over the epoch, for the report
    count: Tensor

    def __init__(self, **hyper: Any) -> None:
        super().__init__(**hyper)
        self.register_buffer("weight_sum", torch.zeros(0, 2))
        self.register_buffer("count", torch.zeros(()))

    def weights(
        self, gram: Tensor, losses: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Weights (..., m) of gradients with Gramians (..., m, m) and losses (..., m), the joint one first. float64 in and out."""
        raise NotImplementedError

    def setup(self, run: Run) -> None:
        """Make the buffers."""
        self.weight_sum = torch.zeros(run.model.num_modalities, 2, device=run.device)
        self.count = torch.zeros((), device=run.device)

    def begin_epoch(self, run: Run) -> None:
        """Start the averages that :meth:`report` gives."""
        self.weight_sum.zero_()
        self.count.zero_()

    def backward(self, run: Run, out: Forward) -> None:
        """Two backward passes, then the weighted sum in ``.grad`` of every encoder."""
        run.backward(out.head_losses.sum(), retain_graph=True)
        parameters = [
            [p for p in encoder.parameters() if p.grad is not None]
            for encoder in out.model.encoders
        ]
        own = [_take(group) for group in parameters]
        run.backward(out.loss)
        joint = [[p.grad for p in group if p.grad is not None] for group in parameters]
        weights = self.combine(
            run,
            out,
            torch.stack([_gramian(u, g) for u, g in zip(joint, own, strict=True)]).double(),
        )
        for u, g, w in zip(joint, own, weights.to(out.loss.dtype).unbind(), strict=True):
            torch._foreach_mul_(u, w[0])
            torch._foreach_mul_(g, w[1])
            torch._foreach_add_(u, g)
        self.weight_sum += weights
        self.count += 1

    def combine(self, run: Run, out: Forward, gram: Tensor) -> Tensor:
        """Weights (K, 2) of u_k and g_k from the Gramians (K, 2, 2) of the single encoders."""
        joint, own = (
            run.mean(out.loss.detach()).double(),
            run.mean(out.head_losses.detach()).double(),
        )
        if self.scope == "encoder":
            return self.weights(
                gram, torch.stack([joint.expand_as(own), own], dim=1), run.generator
            )
        weights = self.weights(block_gramian(gram), torch.cat([joint[None], own]), run.generator)
        return torch.stack([weights[0].expand_as(own), weights[1:]], dim=1)

    def report(self) -> dict[str, Any]:
        """Epoch means of the weights of u_k and of g_k, (K,) each."""
        joint, own = (self.weight_sum / self.count.clamp_min(1)).unbind(1)
        return {"weight_joint": joint.tolist(), "weight_unimodal": own.tolist()}


def _take(parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    """The gradients, removed from the parameters."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    for p in parameters:
        p.grad = None
    return gradients


def _gramian(u: Sequence[Tensor], g: Sequence[Tensor]) -> Tensor:
    first, second = (torch.cat([part.flatten() for part in parts]) for parts in (u, g))
    cross = first @ second
    return torch.stack([first @ first, cross, cross, second @ second]).view(2, 2)
