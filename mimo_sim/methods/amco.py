"""AMCo: mask the modality that the output depends on, more and more of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from mimo_sim._checks import check_choice, check_positive, check_within
from mimo_sim.methods._base import Family, Method, Needs, Search
from mimo_sim.methods._buffers import EpochMean
from mimo_sim.methods._conformance import Conformance
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Batch, Forward

MaskOn = Literal["features", "logits"]


def mask_ratio(progress: float) -> float:
    """Which share p of the entries is masked: sin(pi/2 min(1, progress)).

    Parameters
    ----------
    progress : float
        How far the ramp has come, >= 0; from 1 on everything is masked.
    """
    return math.sin(math.pi / 2 * min(1.0, progress))


def mask(draws: Tensor, ratio: float) -> Tensor:
    """Zeros and ones (U,): floor(p U) zeros, at the places of the smallest draws.

    Parameters
    ----------
    draws : Tensor (U,)
        Random numbers that are all different.
    ratio : float
        p, in [0, 1].
    """
    rank = draws.argsort().argsort()
    return (rank >= math.floor(ratio * len(draws))).to(draws.dtype)


def shares(sliced: Sequence[Tensor]) -> Tensor:
    """How much of the output each modality makes up: shares (K,), which add up to one.

    They are the sums over classes of one softmax of all K C logits of a sample, averaged over
    the batch.

    Parameters
    ----------
    sliced : sequence of K tensors (B, C)
        Sliced logits a_k.
    """
    together = torch.stack(list(sliced), dim=1)
    p = together.flatten(1).softmax(1).view_as(together)
    return p.sum(2).mean(0)


class AMCo(Method):
    """Adaptive mask co-optimization: blank out a dominant modality, but keep its own loss alive.

    A modality is dominant if its share of the output (:func:`shares`) was above sigma in the step
    before. Then a share p of its features is set to zero, at random places that are the same for
    all samples of the batch. The objective is the loss of this masked output plus sum_k CE(a_k) of
    the unmasked sliced logits. p grows during the run (:func:`mask_ratio`). In evaluation nothing
    is masked.

    Parameters
    ----------
    sigma : float
        Share from which on a modality is dominant, in (0, 1). Default 0.5: at most one is.
    ramp : float
        Share of the run in which p rises from 0 to `p_max`, in [0, 1]. Default 0.5, our choice.
        Zero: p_max at once.
    p_max : float
        Largest p, in [0, 1]. Default 1: all of it. Zero leaves L + sum_k CE(a_k).
    mask_on : {"features", "logits"}
        What is masked. ``"features"`` (default): entries of h_k before the fusion layer.
        ``"logits"`` (public benchmark): classes of a_k, its share of the bias included.

    Notes
    -----
    Zhou, Liang, Zheng, Xuan, Kumada (ICASSP 2023). The authors have no public code, and the paper's
    equations were not at hand; the form is that of a public benchmark, BalanceBenchmark. There p
    begins at zero in every epoch and is 1 from the fourth batch of the second epoch on; `ramp` is
    our rule. Also there the losses and shares are those of masked logits, so a modality that is
    fully masked has no gradient at all, and a linear layer follows in training only. No
    modality is dominant in the first step of an epoch. Modalities of one width have one mask.
    """

    name: ClassVar[str] = "amco"
    title: ClassVar[str] = "AMCo"
    family: ClassVar[Family] = "feed-forward"
    about: ClassVar[str] = "masks the modality that the output depends on (ICASSP 2023)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Zhou, Liang, Zheng, Xuan, Kumada, ICASSP 2023",
        follows="benchmark",
        code="GeWu-Lab/BalanceBenchmark",
        released=(
            "No code of the authors; equations of the paper not at hand. The benchmark masks "
            "everything from the second epoch on, and takes the losses of masked logits; here "
            "the share grows once, and losses are unmasked."
        ),
    )
    search: ClassVar[Search] = {"sigma": ("uniform", 0.1, 0.9), "p_max": ("uniform", 0.3, 1.0)}
    needs: ClassVar[Needs] = "slices"
    needs_classes: ClassVar[bool] = True
    min_modalities: ClassVar[int] = 2
    dominant: Tensor
    """Which modalities (K,) the next step masks, as bool."""
    masked: EpochMean
    """Share (K,) of the steps in which each modality was dominant, for the report."""

    def __init__(
        self,
        sigma: float = 0.5,
        ramp: float = 0.5,
        p_max: float = 1.0,
        mask_on: MaskOn = "features",
    ) -> None:
        check_within("sigma", sigma, 0, 1)
        for key, value in (("ramp", ramp), ("p_max", p_max)):
            check_positive(key, value, allow_zero=True)
            if value > 1:
                raise ValueError(f"`{key}` must be in [0, 1]. Got {key}={value!r}.")
        check_choice("mask_on", mask_on, get_args(MaskOn))
        super().__init__(sigma=sigma, ramp=ramp, p_max=p_max, mask_on=mask_on)
        self.sigma, self.ramp, self.p_max, self.mask_on = sigma, ramp, p_max, mask_on
        self.batch_of_epoch = 0

    def setup(self, run: Run) -> None:
        """Make the buffers."""
        nobody = torch.zeros(run.model.num_modalities, dtype=torch.bool, device=run.device)
        self.register_buffer("dominant", nobody)
        self.masked = EpochMean(run.model.num_modalities, run.device)

    def begin_epoch(self, run: Run) -> None:
        """No modality is dominant yet."""
        self.dominant.zero_()
        self.masked.reset()
        self.batch_of_epoch = 0

    def ratio(self, run: Run) -> float:
        """p of this step."""
        step = run.epoch * run.batches_per_epoch + self.batch_of_epoch
        steps = self.ramp * run.num_epochs * run.batches_per_epoch
        return self.p_max * mask_ratio(step / steps if steps else 1.0)

    def forward_pass(self, run: Run, batch: Batch) -> Forward:
        """The features as they are, and the joint output of the masked ones."""
        out = super().forward_pass(run, batch)
        ratio = self.ratio(run)
        self.batch_of_epoch += 1
        self.masked.add(self.dominant)
        if ratio:
            out.logits = self.masked_output(run, out.features, ratio)
        return out

    def masked_output(self, run: Run, features: Sequence[Tensor], ratio: float) -> Tensor:
        """The joint output (B, C) with dominant modalities masked."""
        model = run.model
        logits = self.mask_on == "logits"
        parts = model.sliced(features) if logits else features
        draws = torch.rand(
            max(part.shape[1] for part in parts), generator=run.generator, device=run.device
        )
        kept = [
            part * torch.where(dominant, mask(draws[: part.shape[1]], ratio), 1.0)
            for part, dominant in zip(parts, self.dominant, strict=True)
        ]
        return torch.stack(kept).sum(0) if logits else model.fuse(kept)

    def objective(self, run: Run, out: Forward) -> Tensor:
        """The loss of the masked output, and those of the sliced logits."""
        sliced = out.model.sliced(out.features)
        out.head_losses = torch.stack([run.loss_function(a, out.batch.target) for a in sliced])
        return out.loss + out.head_losses.sum()

    def gradients(self, run: Run, out: Forward) -> None:
        """See which modalities are dominant; gradients stay."""
        self.dominant.copy_(run.mean(shares(out.sliced)) > self.sigma)

    def report(self) -> dict[str, Any]:
        """Share (K,) of the steps in which each modality was dominant."""
        return {"dominant": self.masked.mean().tolist()}
