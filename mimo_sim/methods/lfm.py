"""LFM: first draw the modalities together, then fit the labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mimo_sim._checks import check_choice, check_positive
from mimo_sim.methods._base import Family, Method, Search
from mimo_sim.methods._conformance import Conformance
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Forward
from mimo_sim.methods.mmcosine import cosine_logits

if TYPE_CHECKING:
    from mimo_sim.networks._base import FusionNetwork

Schedule = Literal["heuristic", "fitted"]
Match = Literal["contrastive", "posterior"]

FITTED = (
    2.04623704e-1,
    3.35472727e-3,
    1.22989557e-4,
    -2.92947416e-6,
    2.23835486e-8,
    -5.39717505e-11,
)
"""Coefficients of the released polynomial, lowest power first."""
FITTED_EPOCHS = 200
"""The length of the run that it was fitted to."""


def heuristic_weight(epoch: int) -> float:
    """exp(-1/t) in epoch t, counted from 1; `epoch` is zero-based."""
    return math.exp(-1 / (epoch + 1))


def fitted_weight(epoch: float, epochs: int = FITTED_EPOCHS) -> float:
    """The released polynomial of degree 5 at a zero-based epoch, cut off at 0 and at 1.

    It belongs to a run of 200 epochs. Epochs of other runs are scaled to that length.
    """
    at = epoch * FITTED_EPOCHS / epochs
    return min(max(sum(c * at**power for power, c in enumerate(FITTED)), 0.0), 1.0)


def posterior_gap(outputs: Sequence[Tensor]) -> Tensor:
    """How far the predictions of modalities are apart: mean over the pairs, and the batch, 0-dim.

    A pair has 1/2 [KL(m || p_j) + KL(m || p_k)], where m is the mean of its predictions p. The mean
    comes first, so this is not the Jensen-Shannon divergence.

    Parameters
    ----------
    outputs : sequence of K tensors (B, C)
        Uni-modal logits; K >= 2.
    """
    gaps = []
    for p, q in combinations([v.log_softmax(-1) for v in outputs], 2):
        middle = torch.logaddexp(p, q) - math.log(2)
        gaps.append((middle.exp() * (middle - (p + q) / 2)).sum(-1).mean())
    return torch.stack(gaps).mean()


def contrastive_gap(features: Sequence[Tensor], temperature: float) -> Tensor:
    """How badly the features of one sample find each other in the batch: mean over pairs, 0-dim.

    A pair of modalities has the symmetric InfoNCE loss. It is the cross-entropy of the
    cosines over the temperature against the true partner, averaged over both directions.

    Parameters
    ----------
    features : sequence of K tensors (B, d)
        Features of one length; K >= 2.
    temperature : float
        > 0.
    """
    partner = torch.arange(len(features[0]), device=features[0].device)
    gaps = []
    for g, h in combinations(features, 2):
        logits = cosine_logits(g, h, 1 / temperature)
        gaps.append(F.cross_entropy(logits, partner) + F.cross_entropy(logits.T, partner))
    return torch.stack(gaps).mean() / 2


class LFM(Method):
    """Label fitting and matching: a weight moves from matching modalities to fitting labels.

    The objective is c CE(z) + (1 - c) A. The joint output z is the mean of the uni-modal heads'
    outputs, in training and in evaluation; the fusion layer is not used. A is small if the
    modalities of a sample match. The weight c of the labels grows during the run.

    Parameters
    ----------
    weight : {"heuristic", "fitted"} or float
        c. ``"heuristic"`` (default, the paper's rule): :func:`heuristic_weight`. ``"fitted"``
        (released code): :func:`fitted_weight`. A number in [0, 1] stays the same; at 1 only the
        mean of the heads is trained.
    match : {"contrastive", "posterior"}
        A. ``"contrastive"`` (default, the paper): :func:`contrastive_gap` of the features, which
        must have one length. ``"posterior"`` (released code): :func:`posterior_gap` of the
        predictions.
    temperature : float
        Of the contrastive match, > 0. Default 0.1, our choice.
    scale : float
        Factor of the whole objective, > 0. Default 1. The released code has 2.

    Notes
    -----
    Yang, Wan, Jiang, Xu (NeurIPS 2024). The paper's form is known to us at second hand. That of the
    released code is ``weight="fitted"``, ``match="posterior"``, ``scale=2``. Its other variant,
    which learns c from .05 on, is left out: it moves c by 1e-4 times a mean over one parameter
    tensor, so c hardly moves. K > 2 is the mean over pairs of modalities, an extension. With
    several processes each contrasts the samples of its part of the batch.
    """

    name: ClassVar[str] = "lfm"
    title: ClassVar[str] = "LFM"
    family: ClassVar[Family] = "objective"
    about: ClassVar[str] = "first matches modalities, then fits labels (NeurIPS 2024)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Yang, Wan, Jiang, Xu, NeurIPS 2024",
        follows="paper",
        code="njustkmg/NeurIPS24-LFM",
        released=(
            "Has no contrastive term: it compares posteriors, with KL(m, p) in place of the "
            "Jensen-Shannon divergence. This is match='posterior'."
        ),
    )
    search: ClassVar[Search] = {"temperature": ("log", 0.02, 1.0), "scale": ("log", 0.1, 10.0)}
    uses_heads: ClassVar[bool] = True
    needs_classes: ClassVar[bool] = True
    min_modalities: ClassVar[int] = 2

    def __init__(
        self,
        weight: Schedule | float = "heuristic",
        match: Match = "contrastive",
        temperature: float = 0.1,
        scale: float = 1.0,
    ) -> None:
        if isinstance(weight, str):
            check_choice("weight", weight, get_args(Schedule))
        else:
            check_positive("weight", weight, allow_zero=True)
            if weight > 1:
                raise ValueError(f"`weight` must be in [0, 1]. Got weight={weight!r}.")
        check_choice("match", match, get_args(Match))
        check_positive("temperature", temperature)
        check_positive("scale", scale)
        super().__init__(weight=weight, match=match, temperature=temperature, scale=scale)
        self.weight, self.match = weight, match
        self.temperature, self.scale = temperature, scale
        self.c = math.nan  # set anew in every epoch

    def setup(self, run: Run) -> None:
        """Refuse to contrast features of different lengths."""
        widths = run.model.widths
        if self.match == "contrastive" and len(set(widths)) != 1:
            raise ValueError(
                "method 'lfm' contrasts features, so all encoders must have one width; "
                f"match='posterior' takes any. Got widths {widths}."
            )

    def begin_epoch(self, run: Run) -> None:
        """Set the weight c of this epoch."""
        if self.weight == "heuristic":
            self.c = heuristic_weight(run.epoch)
        elif self.weight == "fitted":
            self.c = fitted_weight(run.epoch, run.num_epochs)
        else:
            self.c = float(self.weight)

    def fuse(self, model: FusionNetwork, features: Sequence[Tensor]) -> Tensor:
        """Mean (B, C) of the uni-modal heads' outputs."""
        return torch.stack(model.head_logits(features)).mean(0)

    def objective(self, run: Run, out: Forward) -> Tensor:
        """scale [c CE(z) + (1 - c) A]."""
        if self.c == 1:
            return self.scale * out.loss
        if self.match == "contrastive":
            gap = contrastive_gap(out.features, self.temperature)
        else:
            gap = posterior_gap(out.model.head_logits(out.features))
        return self.scale * (self.c * out.loss + (1 - self.c) * gap)

    def report(self) -> dict[str, Any]:
        """c of the epoch."""
        return {"class_weight": self.c}
