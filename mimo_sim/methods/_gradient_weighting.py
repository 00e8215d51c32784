r"""Methods that weigh the gradient of the joint loss against those of the uni-modal losses.

Encoder k has two gradients: u_k of the joint loss L, and g_k of the loss l_k of its own head.
Because l_k depends on no other encoder, one backward pass of sum_k l_k gives every g_k. A step
therefore costs one forward and two backward passes.

What a method does with the gradients depends on their inner products alone. These stand in a
Gramian, a matrix (m, m). So a method maps Gramians (..., m, m) to weights (..., m), and the encoder
moves along the weighted sum of the m gradients. The fusion layer follows L, and every head follows
its own loss, both unchanged. No step waits for a result of the GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn

from mimo_sim.methods._base import Family, Method
from mimo_sim.methods._buffers import EpochMean
from mimo_sim.methods._gramians import block_gramian, gramian
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Forward

Scope: TypeAlias = Literal["encoder", "global"]


class GradientWeighting(Method):
    """Base class of the methods that weigh gradients. A subclass gives :meth:`weights`.

    ``scope`` says what is weighed: ``"encoder"`` poses one problem of two objectives (L and l_k)
    for each encoder, ``"global"`` one problem of K+1 objectives (L and every l_k) for all.
    """

    family: ClassVar[Family] = "gradient"
    uses_heads: ClassVar[bool] = True
    scope: Scope = "encoder"
    used: EpochMean
    """Weights (K, 2) of u_k and g_k, for the report."""

    def weights(
        self, gram: Tensor, losses: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Weights (..., m) of m gradients, the joint one first.

        Parameters
        ----------
        gram : Tensor (..., m, m)
            Inner products of the gradients, float64.
        losses : Tensor (..., m)
            The losses that they belong to, float64.
        generator : torch.Generator, optional
            For methods that draw at random.
        """
        raise NotImplementedError

    def setup(self, run: Run) -> None:
        """Make the buffers of the report."""
        self.used = EpochMean((run.model.num_modalities, 2), run.device)

    def begin_epoch(self, run: Run) -> None:
        """Begin the means of the report."""
        self.used.reset()

    def backward(self, run: Run, out: Forward) -> None:
        """Two backward passes, then the weighted sum in ``.grad`` of every encoder."""
        run.backward(out.head_losses.sum(), retain_graph=True)
        parameters = [
            [p for p in encoder.parameters() if p.grad is not None]
            for encoder in out.model.encoders
        ]
        own = [_take_gradients(group) for group in parameters]
        run.backward(out.loss)
        joint = [[p.grad for p in group if p.grad is not None] for group in parameters]
        grams = torch.stack([gramian(u, g) for u, g in zip(joint, own, strict=True)])
        weights = self.combine(run, out, grams.double())
        for u, g, w in zip(joint, own, weights.to(out.loss.dtype).unbind(), strict=True):
            torch._foreach_mul_(u, w[0])
            torch._foreach_mul_(g, w[1])
            torch._foreach_add_(u, g)
        self.used.add(weights)

    def combine(self, run: Run, out: Forward, gram: Tensor) -> Tensor:
        """Weights (K, 2) of u_k and g_k from the Gramians (K, 2, 2) of the single encoders."""
        joint = run.mean(out.loss.detach()).double()
        own = run.mean(out.head_losses.detach()).double()
        if self.scope == "encoder":
            losses = torch.stack([joint.expand_as(own), own], dim=1)
            return self.weights(gram, losses, run.generator)
        losses = torch.cat([joint[None], own])
        weights = self.weights(block_gramian(gram), losses, run.generator)
        return torch.stack([weights[0].expand_as(own), weights[1:]], dim=1)

    def report(self) -> dict[str, Any]:
        """Epoch means of the weights of u_k and of g_k, (K,) each."""
        joint, own = self.used.mean().unbind(1)
        return {"weight_joint": joint.tolist(), "weight_unimodal": own.tolist()}


def _take_gradients(parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    """The gradients of these parameters, which then have none."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    for p in parameters:
        p.grad = None
    return gradients
