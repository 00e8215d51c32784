"""MLA: one modality at a time through a shared head, and entropy-weighted fusion at test time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import torch
from torch import Tensor

from mimo_sim._checks import check_choice
from mimo_sim.methods._base import Family, Method, Search
from mimo_sim.methods._conformance import SAME_TENSORS, Conformance
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Batch, Forward

if TYPE_CHECKING:
    from mimo_sim.networks._base import FusionNetwork

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
        > 0. As it goes to zero, P r goes to zero too.
    """
    along = projector @ direction
    return projector - torch.outer(along, along) / (alpha + direction @ along)


def entropy_weights(logits: Tensor) -> Tensor:
    """Weights (K, B) of the modalities of each sample, from their logits (K, B, C).

    They are a softmax of minus the entropies of the predictions: a sure modality weighs more.
    """
    log_probability = logits.log_softmax(-1)
    entropy = -(log_probability.exp() * log_probability).sum(-1)
    return torch.softmax(-entropy, dim=0)


class MLA(Method):
    """Multi-modal learning with alternating uni-modal adaptation: no two modalities share a step.

    Every batch makes K optimizer steps: modality k trains its encoder and the one shared head on
    its own loss. The joint output is a weighted sum of the shared head's outputs. The shared head
    is the model's first uni-modal head, and the fusion layer is not used.

    Parameters
    ----------
    projection : {"off", "batch", "run"}
        What protects the shared head from being overwritten. With ``"batch"`` or ``"run"`` its
        weight gradient is multiplied by a matrix P that shrinks along the mean features of the
        modalities stepped before, in this batch or in the whole run (:func:`shrink_projector`).
        ``"off"`` (default) is no protection; in effect, this is what the released code does.
    fusion : {"entropy", "mean"}
        Weights of the modalities in the joint output: by the entropy of each sample's predictions
        (default), or 1/K.

    Notes
    -----
    Zhang, Yoon, Bansal, Yao (CVPR 2024). At batch b of N the projection has
    alpha = 10^-(1 + b/N), as intended by the authors. The released code never resets P, as with
    ``"run"``. It also normalises P and divides element by element, which is left out here. The bias
    is not projected.

    In its own step an encoder moves, and in the steps of the others it rests. The results were
    published with torch 1.8.1, whose ``zero_grad`` leaves gradients of zero instead of none. There
    an encoder takes a second step, by momentum and weight decay alone, when a later modality of the
    batch has its turn.
    """

    name: ClassVar[str] = "mla"
    title: ClassVar[str] = "MLA"
    family: ClassVar[Family] = "multi-phase"
    about: ClassVar[str] = "alternating uni-modal steps through a shared head (CVPR 2024)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Zhang, Yoon, Bansal, Yao, CVPR 2024",
        follows="paper",
        code="Cecile-hi/Multimodal-Learning-with-Alternating-Unimodal-Adaptation",
        released=(
            "The projection looks for a parameter of another name, so it never runs. It would "
            "divide element by element and never reset P. With torch 1.8 encoders take a second "
            "step, by momentum alone."
        ),
        compared=SAME_TENSORS,
        apart="round-off",
    )
    search: ClassVar[Search] = {"fusion": ("choice", "entropy", "mean")}
    uses_heads: ClassVar[bool] = True
    needs_classes: ClassVar[bool] = True
    projector: Tensor
    """P (d, d); empty without projection."""

    def __init__(self, projection: Projection = "off", fusion: Fusion = "entropy") -> None:
        check_choice("projection", projection, get_args(Projection))
        check_choice("fusion", fusion, get_args(Fusion))
        super().__init__(projection=projection, fusion=fusion)
        self.projection, self.fusion = projection, fusion
        self.batch_of_epoch = 0

    def setup(self, run: Run) -> None:
        """Make P. Encoders of different widths are refused."""
        widths = run.model.widths
        if len(set(widths)) != 1:
            raise ValueError(
                "method 'mla' shares one head, so all encoders must have one width. "
                f"Got widths {widths}."
            )
        size = 0 if self.projection == "off" else widths[0]
        self.register_buffer("projector", torch.eye(size, device=run.device))

    def begin_epoch(self, run: Run) -> None:
        """Count batches anew."""
        self.batch_of_epoch = 0

    def step(self, run: Run, batch: Batch) -> Forward:
        """K optimizer steps, one per modality in order."""
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
                direction = run.mean(h.detach().mean(0))
                self.projector = shrink_projector(self.projector, direction, alpha)
            run.optimizer.step()
            features.append(h.detach())
            losses.append(loss.detach())
        self.batch_of_epoch += 1
        with torch.no_grad():
            logits = self.fuse(run.model, features)
            out = Forward(run.model, batch, features, logits, run.loss_function)
            out.head_losses = torch.stack(losses)
        return out

    def fuse(self, model: FusionNetwork, features: Sequence[Tensor]) -> Tensor:
        """Weighted sum (B, C) of the shared head's outputs."""
        logits = torch.stack(self.unimodal_outputs(model, features))
        if self.fusion == "mean":
            return logits.mean(0)
        return (entropy_weights(logits)[..., None] * logits).sum(0)

    def unimodal_outputs(self, model: FusionNetwork, features: Sequence[Tensor]) -> list[Tensor]:
        """Outputs (B, C) of the shared head for every modality."""
        return [model.heads[0](h) for h in features]
