"""CGGM: uni-modal classifiers say how large, and in which direction, a gradient should be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mimo_sim._checks import check_choice, check_positive
from mimo_sim.methods._base import Family, Method, Needs, Search
from mimo_sim.methods._buffers import EpochMean
from mimo_sim.methods._conformance import Conformance
from mimo_sim.methods._run import Run
from mimo_sim.methods._scaling import scale_gradients
from mimo_sim.methods._step import Forward
from mimo_sim.methods._windows import Window, check_window, inside

Direction = Literal["gradients", "weights"]


def balance(gains: Tensor, bounded: bool = False) -> Tensor:
    """Coefficients B (K,): the share of the whole gain that the other modalities have.

    B_k = (sum_j gain_j - gain_k) / sum_j gain_j is small for the modality that improves most. The
    coefficients add up to K - 1. As in the released code 1e-8 is added to the sum, so all are 1
    where nobody gains.

    Parameters
    ----------
    gains : Tensor (K,)
        How much the score of each modality grew.
    bounded : bool
        Whether to cut B off at 0 and at 1. Where some scores fall, it has no bound of its own.
    """
    total = gains.sum() + 1e-8
    coefficients = (total - gains) / total
    return coefficients.clamp(0, 1) if bounded else coefficients


def misdirection(own: Sequence[Tensor], joint: Sequence[Tensor], coefficients: Tensor) -> Tensor:
    """How far directions are from what B (K,) asks for: mean_k of |B_k| - B_k cos, 0-dim.

    Parameters
    ----------
    own, joint : K tensors each, of one shape
        Directions of the classifier and of the fusion layer for each modality.
    coefficients : Tensor (K,)
        B.
    """
    cosines = [
        F.cosine_similarity(u.flatten(), g.flatten(), dim=0)
        for u, g in zip(own, joint, strict=True)
    ]
    return (coefficients.abs() - coefficients * torch.stack(cosines)).mean()


class CGGM(Method):
    """Classifier-guided gradient modulation: damp the modality whose classifier improves fastest.

    The uni-modal heads are the classifiers. They learn from features without gradient, so they
    never move an encoder. After every step their batch accuracies are compared with those of the
    step before. The growth gives B_k of :func:`balance`, and the gradient of encoder k is
    multiplied by rho B_k. The next step also minimises lam times the :func:`misdirection`, which
    turns the gradient of the fusion layer towards that of the classifiers. The norm of the gradient
    of encoders and fusion layer is clipped.

    Parameters
    ----------
    rho : float
        Scale of the coefficients, >= 0. Default 1.3, as published.
    lam : float
        Weight of the direction, >= 0. Default 0.2, as published for MOSI; 0.05 for Food-101.
    clip : float, optional
        Largest norm of the gradient, > 0. Default 0.8, as published. None: any.
    direction : {"gradients", "weights"}
        What is compared. ``"gradients"`` (default, the paper): the gradient of a classifier's
        weight, as a constant, with that of the same modality's block of the fusion weight.
        ``"weights"`` (released code): the weights themselves.
    memory : float
        Weight of the old accuracy in a running mean of accuracies, in [0, 1). Default 0, as
        published: only consecutive batches are compared.
    bounded : bool
        Whether B is cut off at 0 and 1. Default False, as published. B is a ratio of small
        differences of accuracies, so it may be huge, or negative.
    window : (int, int), optional
        First and last zero-based epoch in which it acts. Outside it is joint training, bit for bit.
        Default None: all epochs.

    Notes
    -----
    Guo, Jin, Chen, Zhao (NeurIPS 2024). In regression the score is minus the loss, in place of an
    accuracy. The classifiers are linear and the run's optimizer trains them; the authors give
    theirs an optimizer of their own. Their networks have one feature of one length for all
    modalities. With late fusion the fusion layer has a block of weights for each modality, which
    takes its place. With several processes each compares the directions of its part of the batch.
    """

    name: ClassVar[str] = "cggm"
    title: ClassVar[str] = "CGGM"
    family: ClassVar[Family] = "gradient"
    about: ClassVar[str] = "damps the modality whose classifier improves fastest (NeurIPS 2024)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Guo, Jin, Chen, Zhao, NeurIPS 2024, arXiv:2411.01409",
        follows="paper",
        code="zrguo/CGGM",
        released=(
            "Compares weights, where the paper compares gradients: an argument here. "
            "Classifiers have an optimizer of their own."
        ),
    )
    search: ClassVar[Search] = {"rho": ("uniform", 1.0, 2.0), "lam": ("log", 0.02, 1.0)}
    needs: ClassVar[Needs] = "slices"
    uses_heads: ClassVar[bool] = True
    min_modalities: ClassVar[int] = 2
    scores: Tensor
    """Scores (K,) of the classifiers up to the last step."""
    coefficients: Tensor
    """B (K,) of the last step; zero before the first."""
    mean: EpochMean
    """B (K,), for the report."""

    def __init__(
        self,
        rho: float = 1.3,
        lam: float = 0.2,
        clip: float | None = 0.8,
        direction: Direction = "gradients",
        memory: float = 0.0,
        bounded: bool = False,
        window: Window = None,
    ) -> None:
        for key, value in (("rho", rho), ("lam", lam), ("memory", memory)):
            check_positive(key, value, allow_zero=True)
        if memory >= 1:
            raise ValueError(f"`memory` must be in [0, 1). Got memory={memory!r}.")
        if clip is not None:
            check_positive("clip", clip)
        check_choice("direction", direction, get_args(Direction))
        check_choice("bounded", bounded, (True, False))
        self.window = check_window(window)
        super().__init__(
            rho=rho,
            lam=lam,
            clip=clip,
            direction=direction,
            memory=memory,
            bounded=bounded,
            window=self.window,
        )
        self.rho, self.lam, self.clip, self.direction = rho, lam, clip, direction
        self.memory, self.bounded = memory, bounded

    def setup(self, run: Run) -> None:
        """Make the buffers."""
        modalities = run.model.num_modalities
        self.register_buffer("scores", torch.zeros(modalities, device=run.device))
        self.register_buffer("coefficients", torch.zeros(modalities, device=run.device))
        self.mean = EpochMean(modalities, run.device)

    def begin_epoch(self, run: Run) -> None:
        """Begin the mean of the report."""
        self.mean.reset()

    def objective(self, run: Run, out: Forward) -> Tensor:
        """Joint loss, the classifiers' losses, and lam times the misdirection."""
        if not inside(self.window, run.epoch):
            return out.loss
        outputs = out.model.head_logits([h.detach() for h in out.features])
        losses = torch.stack([run.loss_function(v, out.batch.target) for v in outputs])
        out.head_losses = losses
        objective = out.loss + losses.sum()
        if not self.lam:
            return objective
        own, joint = self.directions(out)
        return objective + self.lam * misdirection(own, joint, self.coefficients)

    def directions(self, out: Forward) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """K directions (C, d_k) of the classifiers as constants, and K of the fusion layer."""
        weights = [head.get_parameter("weight") for head in out.model.heads]
        if self.direction == "weights":
            return [weight.detach() for weight in weights], out.model.weight_blocks()
        own = torch.autograd.grad(out.head_losses.sum(), weights, retain_graph=True)
        (residual,) = torch.autograd.grad(out.loss, out.logits, create_graph=True)
        return own, [residual.T @ h for h in out.features]

    @torch.no_grad()
    def gradients(self, run: Run, out: Forward) -> None:
        """Scale the encoders' gradients by rho B, and clip the whole."""
        if not inside(self.window, run.epoch):
            return
        outputs = out.model.head_logits(out.features)
        now = run.mean(torch.stack([score(run, v, out.batch.target) for v in outputs]))
        new = torch.lerp(now, self.scores, self.memory)
        self.coefficients = balance(new - self.scores, self.bounded)
        self.scores = new
        self.mean.add(self.coefficients)
        scale_gradients(out.model.encoders, self.rho * self.coefficients)
        if self.clip is not None:
            clipped = [*out.model.encoders.parameters(), *out.model.fusion.parameters()]
            nn.utils.clip_grad_norm_(clipped, self.clip)

    def report(self) -> dict[str, Any]:
        """Epoch mean of B (K,), where it acted."""
        return {"balance": self.mean.mean().tolist()} if self.mean.count else {}


def score(run: Run, output: Tensor, target: Tensor) -> Tensor:
    """How good outputs (B, C) are, 0-dim: their accuracy, or in regression minus their loss."""
    if target.is_floating_point():
        return -run.loss_function(output, target)
    return (output.argmax(1) == target).float().mean()
