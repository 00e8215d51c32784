"""Data Remixing: every sample is practised with one modality alone, the one that is least sure."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from mimo_sim._checks import check_count, check_positive
from mimo_sim.methods._base import Family, Method, Search
from mimo_sim.methods._conformance import Conformance
from mimo_sim.methods._evaluation import evaluation_mode
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Batch, Forward, Plan
from mimo_sim.methods._windows import epochs_or_share

LEAST_PROBABILITY = 1e-9
"""Least probability that counts, so that logarithms are finite."""


def confidence(logits: Tensor) -> Tensor:
    """KL divergence (...) in bits of the predictions of logits (..., C) from the uniform one.

    It is log2 C minus the entropy: 0 for a guess, log2 C for certainty.
    """
    p = logits.softmax(-1).clamp_min(LEAST_PROBABILITY)
    return (p * torch.log2(p * p.shape[-1])).sum(-1)


def least_confident(confidences: Tensor) -> Tensor:
    """The modality (n,) of lowest confidence (n, K) for each sample; ties go to the last one."""
    last = confidences.shape[1] - 1
    return last - confidences.flip(1).argmin(1)


class DataRemixing(Method):
    """Data Remixing: give each sample to the modality whose own prediction is least sure of it.

    The first epochs minimise L + weight sum_k l_k on all samples. From then on, before every
    epoch, the uni-modal heads predict the train split in evaluation mode. Each sample is given to
    the modality of lowest :func:`confidence`. The epoch is then one modality after the other, each
    on the samples that were given to it: the features of the other modalities are zero, and
    L + gamma l_k is minimised. No batch mixes modalities. The encoders of the other modalities do
    not run.

    Parameters
    ----------
    weight : float
        Weight of the uni-modal losses in the first epochs, >= 0. Default 0.5. Zero leaves joint
        training there, bit for bit.
    gamma : float
        Weight of the uni-modal loss in the later epochs, >= 0. Default 1.
    warm_up : int, optional
        How many epochs come first, >= 0. Default: the published share, 10 of 60. As many as the run
        has are linear scalarization with `weight`, bit for bit.

    Notes
    -----
    Ma, Chen, Deng (ICML 2025). The modalities come in the order of the data set; the released code
    takes video before audio. There the encoders whose features are set to zero still run, so their
    batch-norm statistics move; here they rest.
    """

    name: ClassVar[str] = "data_remixing"
    title: ClassVar[str] = "Data Remixing"
    family: ClassVar[Family] = "data"
    about: ClassVar[str] = "samples go to the modality least sure of them (ICML 2025)"
    waits: ClassVar[str] = "which modality a batch keeps decides what is computed"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Ma, Chen, Deng, ICML 2025, arXiv:2506.11550",
        follows="both",
        code="MatthewMaxy/Remix_ICML2025",
        released=(
            "Takes pictures before sound. Resting encoders run, so that their batch-norm "
            "statistics move."
        ),
    )
    search: ClassVar[Search] = {"weight": ("uniform", 0.1, 0.9), "gamma": ("uniform", 0.5, 2.0)}
    uses_heads: ClassVar[bool] = True
    needs_classes: ClassVar[bool] = True
    shares: Tensor
    """Share (K,) of the samples that each modality was given last; NaN before the first time."""

    def __init__(self, weight: float = 0.5, gamma: float = 1.0, warm_up: int | None = None) -> None:
        check_positive("weight", weight, allow_zero=True)
        check_positive("gamma", gamma, allow_zero=True)
        if warm_up is not None:
            warm_up = check_count("warm_up", warm_up, 0)
        super().__init__(weight=weight, gamma=gamma, warm_up=warm_up)
        self.weight, self.gamma, self.warm_up = weight, gamma, warm_up

    def setup(self, run: Run) -> None:
        """Make the buffer of the report."""
        unknown = torch.full((run.model.num_modalities,), math.nan, device=run.device)
        self.register_buffer("shares", unknown)

    @torch.no_grad()
    def samples(self, run: Run) -> Plan | None:
        """After the first epochs, every sample with the modality that it is given to."""
        if run.epoch < epochs_or_share(self.warm_up, run, 10 / 60):
            return None
        parts = []
        with evaluation_mode(run.model):
            for batch in run.evaluation_batches(run.train):
                outputs = run.model.head_logits(run.model.features(batch.inputs))
                parts.append(least_confident(confidence(torch.stack(outputs, dim=1))))
        given = torch.cat(parts)
        keep = given[:, None] == torch.arange(run.model.num_modalities, device=run.device)
        self.shares.copy_(keep.float().mean(0))
        return Plan(torch.arange(len(given), device=run.device), keep, group=given)

    def forward_pass(self, run: Run, batch: Batch) -> Forward:
        """Run the encoder of the one kept modality; the other features are zero."""
        if batch.keep is None:
            return super().forward_pass(run, batch)
        model, kept = run.model, kept_modality(batch.keep)
        features = [
            encoder(x) if k == kept else x.new_zeros(len(x), width)
            for k, (encoder, x, width) in enumerate(
                zip(model.encoders, batch.inputs, model.widths, strict=True)
            )
        ]
        return Forward(model, batch, features, self.fuse(model, features), run.loss_function)

    def objective(self, run: Run, out: Forward) -> Tensor:
        """L + weight sum_k l_k at first, later L + gamma l_k of the kept modality."""
        if out.batch.keep is None:
            if not self.weight:
                return out.loss
            return out.loss + (self.weight * out.head_losses).sum()
        if not self.gamma:
            return out.loss
        k = kept_modality(out.batch.keep)
        own = run.loss_function(run.model.heads[k](out.features[k]), out.batch.target)
        return out.loss + self.gamma * own

    def report(self) -> dict[str, Any]:
        """Share (K,) of the samples that each modality was given last."""
        return {"share": self.shares.tolist()}


def kept_modality(keep: Tensor) -> int:
    """The modality that all samples of a batch keep, from their (B, K) of which one is True."""
    return int(keep[0].int().argmax())
