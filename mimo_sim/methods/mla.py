"""MLA: one modality at a time through a shared head, and entropy-weighted fusion at test time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import torch
from torch import Tensor

from mimo_sim.methods._base import Batch, Family, Forward, Method, Run

if TYPE_CHECKING:
    from mimo_sim.networks.late import LateFusion

Projection = Literal["off", "batch", "run"]
Fusion = Literal["entropy", "mean"]


def shrink_projector(projector: Tensor, direction: Tensor, alpha: float) -> Tensor:
    r"""Orthogonal weight modification: :math:`P - P r r^\top P / (\alpha + r^\top P r)`.

    Parameters
    ----------
    projector : Tensor (d, d)
        P, symmetric positive semi-definite.
    direction : Tensor (d,)
        r: what later updates should leave alone.
    alpha : float
        > 0; as it goes to zero P r does too.
    """
    along = projector @ direction
    return projector - torch.outer(along, along) / (alpha + direction @ along)


def entropy_weights(logits: Tensor) -> Tensor:
    """Weights (K, B) of modalities, softmax of minus the entropies of their predictions (K, B, C)."""
    log_probability = logits.log_softmax(-1)
    entropy = -(log_probability.exp() * log_probability).sum(-1)
    return torch.softmax(-entropy, dim=0)


class MLA(Method):
    """Multi-modal learning with alternating uni-modal adaptation.

    Every batch makes K optimizer steps: modality k trains its encoder and the one shared head on its own loss. The shared head is the model's first
    uni-modal head; the fusion layer is not used, and the joint output is a weighted sum of the shared head's outputs.

    Parameters
    ----------
    projection : {"off", "batch", "run"}
        What protects the shared head from being overwritten: its weight gradient is multiplied by a matrix P that shrinks along the mean features
        of modalities stepped before, those of this batch or of the whole run. ``"off"``: nothing, which is what the released code does in effect.
    fusion : {"entropy", "mean"}
        Weights of the modalities in the joint output: by the entropy of each sample's predictions, or 1/K.

    Notes
    -----
    Zhang, Yoon, Bansal, Yao (CVPR 2024). P <- P - P r r' P / (alpha + r' P r) with alpha = 10^-(1 + b/N) at batch b of N, as intended; the released
    normalisation of P and its element-wise division are left out. The bias is not projected.
    """

    name: ClassVar[str] = "mla"
    family: ClassVar[Family] = "multi-phase"
    about: ClassVar[str] = "alternating uni-modal steps through a shared head (CVPR 2024)"
    uses_heads: ClassVar[bool] = True
    needs_classes: ClassVar[bool] = True
    projector: Tensor  # (d, d)

    def __init__(self, projection: Projection = "off", fusion: Fusion = "entropy") -> None:
        for key, value, allowed in (
            ("projection", projection, get_args(Projection)),
            ("fusion", fusion, get_args(Fusion)),
        ):
            if value not in allowed:
                raise ValueError(f"`{key}` must be one of {allowed}. Got {key}={value!r}.")
        super().__init__(projection=projection, fusion=fusion)
        self.projection, self.fusion = projection, fusion
        self.batch_of_epoch = 0

    def setup(self, run: Run) -> None:
        """Needs one width for all encoders."""
        widths = run.model.widths
        if len(set(widths)) != 1:
            raise ValueError(
                f"method 'mla' shares one head, so all encoders must have one width. Got widths {widths}."
            )
        self.register_buffer(
            "projector", torch.eye(widths[0] if self.projection != "off" else 0, device=run.device)
        )

    def begin_epoch(self, run: Run) -> None:
        """Count batches anew."""
        self.batch_of_epoch = 0

    def step(self, run: Run, batch: Batch) -> Forward:
        """K optimizer steps, one modality each, in order."""
        head = run.model.heads[0]
        alpha = 10.0 ** -(1 + self.batch_of_epoch / run.batches_per_epoch)
        if self.projection == "batch":
            self.projector = torch.eye(len(self.projector), device=run.device)
        features, losses = [], []
        for k, (encoder, x) in enumerate(zip(run.model.encoders, batch.inputs, strict=True)):
            h = encoder(x) if batch.keep is None else encoder(x) * batch.keep[:, k, None]
            loss = run.loss_function(head(h), batch.target)
            run.optimizer.zero_grad(set_to_none=True)
            run.backward(loss)
            if self.projection != "off":
                weight = head.get_parameter("weight")
                weight.grad = None if weight.grad is None else weight.grad @ self.projector
                self.projector = shrink_projector(
                    self.projector, run.mean(h.detach().mean(0)), alpha
                )
            run.optimizer.step()
            features.append(h.detach())
            losses.append(loss.detach())
        self.batch_of_epoch += 1
        with torch.no_grad():
            out = Forward(
                run.model, batch, features, self.fuse(run.model, features), run.loss_function
            )
            out.head_losses = torch.stack(losses)
        return out

    def fuse(self, model: LateFusion, features: Sequence[Tensor]) -> Tensor:
        """Weighted sum (B, C) of the shared head's outputs."""
        logits = torch.stack(self.unimodal_outputs(model, features))
        return (
            logits.mean(0)
            if self.fusion == "mean"
            else (entropy_weights(logits)[..., None] * logits).sum(0)
        )

    def unimodal_outputs(self, model: LateFusion, features: Sequence[Tensor]) -> list[Tensor]:
        """Outputs (B, C) of the shared head for every modality."""
        return [model.heads[0](h) for h in features]
