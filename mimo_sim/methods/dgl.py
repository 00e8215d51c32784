"""DGL: the fusion layer learns from the joint loss only, encoders from uni-modal losses only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from mimo_sim._checks import check_positive
from mimo_sim.methods._base import Family, Method, Search
from mimo_sim.methods._conformance import Conformance
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Forward

if TYPE_CHECKING:
    from mimo_sim.networks._base import FusionNetwork


class DGL(Method):
    """Disentangled gradient learning: the joint loss never reaches an encoder.

    The uni-modal output u_k is the joint output where all other modalities are absent: with late
    fusion, their features are zero. The fusion learns from L, in which the features are constants.
    Encoder k learns from alpha CE(u_k), in which the fusion is a constant. The norm of the whole
    gradient is clipped. The joint output is that of joint training.

    Parameters
    ----------
    alpha : float
        Weight of the uni-modal losses, >= 0. Default 4, published for CREMA-D (4 to 5); 2 to 3 for
        Kinetics-Sounds. At zero encoders have zero gradients.
    clip : float, optional
        Largest norm of the gradient, > 0. Default 40, as published. None: any.

    Notes
    -----
    Wei, Luo, Luo (ICCV 2025), arXiv:2507.10213; the gradients are those of the released code, which
    has two modalities. The formula holds for any number of them, and for any fusion whose encoders
    do not look at each other. In regression the losses are the run's own.
    """

    name: ClassVar[str] = "dgl"
    title: ClassVar[str] = "DGL"
    family: ClassVar[Family] = "gradient"
    about: ClassVar[str] = "joint loss for fusion, uni-modal losses for encoders (ICCV 2025)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Wei, Luo, Luo, ICCV 2025, arXiv:2507.10213",
        follows="both",
        code="shicaiwei123/ICCV2025-GDL",
        released="Two modalities.",
        compared="three steps of the released code",
        apart="3e-8",
    )
    search: ClassVar[Search] = {"alpha": ("log", 0.4, 40.0)}

    def __init__(self, alpha: float = 4.0, clip: float | None = 40.0) -> None:
        check_positive("alpha", alpha, allow_zero=True)
        if clip is not None:
            check_positive("clip", clip)
        super().__init__(alpha=alpha, clip=clip)
        self.alpha, self.clip = alpha, clip

    def backward(self, run: Run, out: Forward) -> None:
        """alpha sum_k CE(u_k) for the encoders, then L of constant features for the fusion."""
        model, target = out.model, out.batch.target
        outputs = self.unimodal_outputs(model, out.features)
        out.head_losses = torch.stack([run.loss_function(u, target) for u in outputs])
        run.backward(self.alpha * out.head_losses.sum())
        own = [[p.grad for p in encoder.parameters()] for encoder in model.encoders]
        model.zero_grad(set_to_none=True)
        run.backward(run.loss_function(model.fuse([h.detach() for h in out.features]), target))
        for encoder, gradients in zip(model.encoders, own, strict=True):
            for parameter, gradient in zip(encoder.parameters(), gradients, strict=True):
                parameter.grad = gradient

    def gradients(self, run: Run, out: Forward) -> None:
        """Clip the whole gradient."""
        if self.clip is not None:
            nn.utils.clip_grad_norm_(out.model.parameters(), self.clip)

    def unimodal_outputs(self, model: FusionNetwork, features: Sequence[Tensor]) -> list[Tensor]:
        """u_k (B, C): the joint output where all other modalities are absent."""
        return model.alone(features)
