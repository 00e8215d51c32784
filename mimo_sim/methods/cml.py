"""CML: confidence must not rise when a modality is taken away."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mimo_sim._checks import check_positive
from mimo_sim.methods._base import Family, Method, Needs, Search
from mimo_sim.methods._conformance import SAME_TENSORS, Conformance
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Forward


def confidence_gain(larger: Tensor, smaller: Tensor, target: Tensor) -> Tensor:
    """How much more confident (B,) the smaller set of modalities is than the larger one.

    Confidence is the largest probability. The gain is 0 where the larger set is at least as
    confident, and where only the smaller set is right: there more confidence is legitimate.

    Parameters
    ----------
    larger, smaller : Tensor (B, C)
        Logits of the two sets.
    target : Tensor (B,)
        Classes.
    """
    gain = (smaller.softmax(1).amax(1) - larger.softmax(1).amax(1)).clamp_min(0)
    rightly = (smaller.argmax(1) == target) & (larger.argmax(1) != target)
    return torch.where(rightly, 0.0, gain)


def ranking_loss(chain: Sequence[Tensor], target: Tensor) -> Tensor:
    """The confidence that removals gain, 0-dim: a sum over the removals and over the samples.

    So the gradient of a sample does not depend on how many others are in the batch.

    Parameters
    ----------
    chain : sequence of tensors (B, C)
        Logits of sets of modalities that get smaller: all, all but one, ..., one.
    target : Tensor (B,)
        Classes.
    """
    gains = [confidence_gain(larger, smaller, target) for larger, smaller in pairwise(chain)]
    return torch.stack(gains).sum()


class CML(Method):
    """Calibrating multi-modal learning: punish confidence that grows when a modality is removed.

    For every sample, modalities are removed one by one in random order until one is left. This
    gives K joint outputs from the one fusion layer, for smaller and smaller sets of modalities. The
    objective is the mean of their K losses, plus lam times the :func:`ranking_loss`. That is the
    confidence which the K - 1 removals gain, added up over the samples of the step.

    Parameters
    ----------
    lam : float
        Weight of the ranking loss, >= 0. Default 0.1, as published for this sum. The ranking loss
        is a sum over the batch and the other losses are means, so its share grows with the batch
        size B. As a batch mean it would have the weight lam B.

    Notes
    -----
    Ma, Zhang, Zhang, Wu, Fu, Zhou, Hu (ICML 2023), in the form for classifiers and with the lam of
    a public benchmark. The sum over the batch is that of the authors' code and of the benchmark.
    Orders are drawn and the gain is cut off at zero per sample, as in the authors' code; the
    benchmark draws one order per epoch and cuts off the sum. Both confidences carry gradient.
    """

    name: ClassVar[str] = "cml"
    title: ClassVar[str] = "CML"
    family: ClassVar[Family] = "objective"
    about: ClassVar[str] = "confidence must not grow when a modality is removed (ICML 2023)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Ma, Zhang, Zhang, Wu, Fu, Zhou, Hu, ICML 2023",
        follows="released code",
        code="QingyangZhang/CML",
        released=(
            "The released code is for other networks; the form for classifiers is that of a "
            "benchmark, which cuts off the sum over the batch instead of each sample."
        ),
        compared=SAME_TENSORS,
        apart="round-off",
    )
    search: ClassVar[Search] = {"lam": ("log", 0.01, 1.0)}
    needs: ClassVar[Needs] = "slices"
    needs_classes: ClassVar[bool] = True

    def __init__(self, lam: float = 0.1) -> None:
        check_positive("lam", lam, allow_zero=True)
        super().__init__(lam=lam)
        self.lam = lam

    def objective(self, run: Run, out: Forward) -> Tensor:
        """Mean loss over the chain of sets, plus lam times the ranking loss."""
        target = out.batch.target
        chain = self._chain(run, out)
        if len(chain) == 1:
            return out.loss
        losses = torch.stack([out.loss, *(run.loss_function(z, target) for z in chain[1:])])
        # The gradients of the processes are averaged; the sum goes over the samples of all.
        return losses.mean() + self.lam * run.num_processes * ranking_loss(chain, target)

    @staticmethod
    def _chain(run: Run, out: Forward) -> list[Tensor]:
        """K joint outputs (B, C): of all modalities, of all but one, ..., of one."""
        blocks = out.model.weight_blocks()
        parts = torch.stack([F.linear(h, w) for h, w in zip(out.features, blocks, strict=True)])
        draws = torch.rand(
            len(parts), out.batch.target.shape[0], generator=run.generator, device=parts.device
        )
        turn = draws.argsort(0).argsort(0)  # (K, B): when each modality of a sample is removed
        chain = [out.logits]
        for removed in range(1, len(parts)):
            kept = (turn >= removed)[..., None]
            chain.append((kept * parts).sum(0) + out.model.fusion.bias)
        return chain
