"""DGL: the fusion layer learns from the joint loss only, encoders from uni-modal losses only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from mimo_sim._checks import check_positive
from mimo_sim.methods._base import Family, Method, Needs
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Forward

if TYPE_CHECKING:
    from mimo_sim.networks._base import FusionNetwork


class DGL(Method):
    """Disentangled gradient learning: the joint loss never reaches an encoder.

    The uni-modal output u_k is the fusion layer applied to h_k, all other features being zero. The
    objective is L + alpha sum_k CE(u_k). In L the features are constants, so only the fusion layer
    learns from it. In u_k the fusion layer is a constant, so only encoder k learns from it. One
    forward and one backward pass do both. The norm of the whole gradient is clipped. The joint
    output is that of joint training.

    Parameters
    ----------
    alpha : float
        Weight of the uni-modal losses, >= 0. Default 4, published for CREMA-D (4 to 5); 2 to 3 for
        Kinetics-Sounds. At zero encoders have zero gradients.
    clip : float, optional
        Largest norm of the gradient, > 0. Default 40, as published. None: any.

    Notes
    -----
    Wei, Luo, Luo (ICCV 2025), arXiv:2507.10213. The released code makes two backward passes and
    deletes what must not act; the gradients are the same. It has two modalities; the formula holds
    for any number. In regression the losses are the run's own.
    """

    name: ClassVar[str] = "dgl"
    family: ClassVar[Family] = "gradient"
    about: ClassVar[str] = "joint loss for fusion, uni-modal losses for encoders (ICCV 2025)"
    needs: ClassVar[Needs] = "slices"

    def __init__(self, alpha: float = 4.0, clip: float | None = 40.0) -> None:
        check_positive("alpha", alpha, allow_zero=True)
        if clip is not None:
            check_positive("clip", clip)
        super().__init__(alpha=alpha, clip=clip)
        self.alpha, self.clip = alpha, clip

    def objective(self, run: Run, out: Forward) -> Tensor:
        """L of constant features, and alpha sum_k CE(u_k) of a constant fusion layer."""
        target = out.batch.target
        joint = run.loss_function(out.model.fuse([h.detach() for h in out.features]), target)
        outputs = out.model.alone(out.features, frozen=True)
        out.head_losses = torch.stack([run.loss_function(u, target) for u in outputs])
        return joint + self.alpha * out.head_losses.sum()

    def gradients(self, run: Run, out: Forward) -> None:
        """Clip the whole gradient."""
        if self.clip is not None:
            nn.utils.clip_grad_norm_(out.model.parameters(), self.clip)

    def unimodal_outputs(self, model: FusionNetwork, features: Sequence[Tensor]) -> list[Tensor]:
        """u_k (B, C): the fusion layer's output with all other features at zero."""
        return model.alone(features)
