"""ARL: the encoder that the output depends on least, for its certainty, takes the largest steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from mimo_sim._checks import check_choice, check_count, check_positive
from mimo_sim.methods._base import Family, Method, Needs, Search
from mimo_sim.methods._buffers import EpochMean
from mimo_sim.methods._conformance import Conformance
from mimo_sim.methods._run import Run
from mimo_sim.methods._scaling import scale_gradients
from mimo_sim.methods._step import Forward
from mimo_sim.methods._windows import epochs_or_share

if TYPE_CHECKING:
    from mimo_sim.networks._base import FusionNetwork

Factors = Literal["asymmetric", "symmetric"]

LEAST_ENTROPY = 0.3
"""Least share of the entropy that counts, so that a certain modality has a finite weight."""


def dependence(outputs: Tensor) -> Tensor:
    """How much the joint output depends on each modality: shares (2,) of the mean size of outputs.

    Parameters
    ----------
    outputs : Tensor (2, B, C)
        Uni-modal outputs u_k.
    """
    size = outputs.abs().mean(1).sum(-1)
    return size / size.sum()


def certainty(outputs: Tensor) -> Tensor:
    """Shares (2,) of the inverse variance; the variance is the mean entropy of the predictions.

    Parameters
    ----------
    outputs : Tensor (2, B, C)
        Uni-modal outputs u_k.
    """
    log_p = outputs.log_softmax(-1)
    entropy = -(log_p.exp() * log_p).sum(-1).mean(-1)
    inverse = 1 / (entropy / entropy.sum()).clamp_min(LEAST_ENTROPY)
    return inverse / inverse.sum()


def asymmetric_weights(outputs: Tensor, temperature: float) -> Tensor:
    """Weights omega (2,), which add up to one: softmax of T times (D_2 v_1, D_1 v_2).

    D is the :func:`dependence` and v the :func:`certainty`. So a modality has a large weight if it
    is certain, but the output depends on the other one.

    Parameters
    ----------
    outputs : Tensor (2, B, C)
        Uni-modal outputs u_k.
    temperature : float
        T; a large one tells the modalities apart sharply.
    """
    return torch.softmax(temperature * dependence(outputs).flip(0) * certainty(outputs), 0)


class ARL(Method):
    """Asymmetric representation learning: dependence on a modality should match its certainty.

    The uni-modal output u_k is the fusion layer applied to h_k, the other feature being zero. The
    objective is L + gamma sum_k CE(u_k), from which encoders and fusion layer learn. The gradient
    of encoder k is multiplied by 1 + omega_k of :func:`asymmetric_weights`. In the first epochs it
    is not, and gamma is at most 1. The norm of the whole gradient is clipped.

    Parameters
    ----------
    gamma : float
        Weight of the uni-modal losses, >= 0. Default 4, as published for CREMA-D.
    temperature : float
        T >= 0. Default 8, as published for CREMA-D; 4 for AVE and Kinetics-Sounds.
    warm_up : int, optional
        How many epochs come first, >= 0. Default: the published share, 6 of 100. As many as the run
        has are joint training, bit for bit, if `gamma` is zero and `clip` is None.
    clip : float, optional
        Largest norm of the gradient, > 0. Default 40, as published. None: any.
    factors : {"asymmetric", "symmetric"}
        ``"asymmetric"`` (default): 1 + omega_k. ``"symmetric"`` (released code): 1.5 for
        both encoders.

    Notes
    -----
    Wei, Luo, Luo (ICCV 2025). The released code computes omega and has a place for it, but the two
    are not connected; connecting them is our reading. Optimizers of Adam's kind cancel most of a
    constant scaling; the authors use SGD.
    """

    name: ClassVar[str] = "arl"
    title: ClassVar[str] = "ARL"
    family: ClassVar[Family] = "gradient"
    about: ClassVar[str] = "larger steps for the certain but less used modality (ICCV 2025)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Wei, Luo, Luo, ICCV 2025, arXiv:2507.10203",
        follows="reading",
        code="shicaiwei123/ICCV2025-ARL",
        released=(
            "Computes the weights but does not hand them to the encoders, which train with 1.5 "
            "both."
        ),
    )
    search: ClassVar[Search] = {"gamma": ("uniform", 1.0, 8.0), "temperature": ("log", 2.0, 16.0)}
    needs: ClassVar[Needs] = "slices"
    needs_classes: ClassVar[bool] = True
    min_modalities: ClassVar[int] = 2
    max_modalities: ClassVar[int | None] = 2
    omega: EpochMean
    """Weights (2,), for the report."""

    def __init__(
        self,
        gamma: float = 4.0,
        temperature: float = 8.0,
        warm_up: int | None = None,
        clip: float | None = 40.0,
        factors: Factors = "asymmetric",
    ) -> None:
        check_positive("gamma", gamma, allow_zero=True)
        check_positive("temperature", temperature, allow_zero=True)
        if warm_up is not None:
            warm_up = check_count("warm_up", warm_up, 0)
        if clip is not None:
            check_positive("clip", clip)
        check_choice("factors", factors, get_args(Factors))
        super().__init__(
            gamma=gamma, temperature=temperature, warm_up=warm_up, clip=clip, factors=factors
        )
        self.gamma, self.temperature, self.warm_up = gamma, temperature, warm_up
        self.clip, self.factors = clip, factors

    def setup(self, run: Run) -> None:
        """Make the buffer of the report."""
        self.omega = EpochMean(2, run.device)

    def begin_epoch(self, run: Run) -> None:
        """Begin the mean of the report."""
        self.omega.reset()

    def warming_up(self, run: Run) -> bool:
        """Whether this is one of the first epochs."""
        return run.epoch < epochs_or_share(self.warm_up, run, 6 / 100)

    def objective(self, run: Run, out: Forward) -> Tensor:
        """L + gamma sum_k CE(u_k)."""
        gamma = min(self.gamma, 1.0) if self.warming_up(run) else self.gamma
        if not gamma:
            return out.loss
        outputs = self.unimodal_outputs(out.model, out.features)
        out.head_losses = torch.stack([run.loss_function(u, out.batch.target) for u in outputs])
        return out.loss + gamma * out.head_losses.sum()

    @torch.no_grad()
    def gradients(self, run: Run, out: Forward) -> None:
        """Scale the encoders' gradients, and clip the whole."""
        if not self.warming_up(run):
            outputs = torch.stack(self.unimodal_outputs(out.model, out.features))
            omega = run.mean(asymmetric_weights(outputs, self.temperature))
            self.omega.add(omega)
            if self.factors == "symmetric":
                omega = torch.full_like(omega, 0.5)
            scale_gradients(out.model.encoders, 1 + omega)
        if self.clip is not None:
            nn.utils.clip_grad_norm_(out.model.parameters(), self.clip)

    def unimodal_outputs(self, model: FusionNetwork, features: Sequence[Tensor]) -> list[Tensor]:
        """u_k (B, C): the fusion layer's output with the other feature at zero."""
        return model.alone(features)

    def report(self) -> dict[str, Any]:
        """Epoch mean of omega (2,), where it acted."""
        return {"omega": self.omega.mean().tolist()} if self.omega.count else {}
