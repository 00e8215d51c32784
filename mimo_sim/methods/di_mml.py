"""DI-MML: encoders learn apart, but show each other the features that only one of them has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mimo_sim._checks import check_count, check_positive
from mimo_sim.methods._base import Family, Method, Search
from mimo_sim.methods._conformance import Conformance
from mimo_sim.methods._evaluation import evaluation_mode
from mimo_sim.methods._layers import new_linear
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Batch, Forward
from mimo_sim.methods._windows import epochs_or_share

if TYPE_CHECKING:
    from mimo_sim.networks._base import FusionNetwork

CHUNK = 256
"""Samples whose distances to all class means are in memory at once."""


def informative(features: Tensor, target: Tensor, classes: int) -> Tensor:
    """Which coordinates of the features (n, d) tell the classes apart better than the average one.

    A coordinate by itself is right about a sample if, of all class means, that of the true class is
    nearest. Its score is the share of samples that it is right about.

    Parameters
    ----------
    features : Tensor (n, d)
        Features of one modality.
    target : Tensor (n,)
        Classes.
    classes : int
        C.

    Returns
    -------
    Tensor (d,) of bool
        Which coordinates have a score above the mean score.
    """
    members = F.one_hot(target, classes).to(features.dtype)
    count = members.sum(0)[:, None]
    means = (members.T @ features / count).masked_fill(count == 0, torch.inf)
    right = torch.zeros_like(features[0])
    for h, y in zip(torch.split(features, CHUNK), torch.split(target, CHUNK), strict=True):
        nearest = (h[:, None] - means).abs().argmin(1)
        right += (nearest == y[:, None]).sum(0)
    return right > right.mean()


def one_way_contrast(learner: Tensor, teacher: Tensor, where: Tensor, temperature: float) -> Tensor:
    """How badly a feature finds its partner among those of the batch, 0-dim.

    It is the cross-entropy of softmax_j(h_i . t_j / T) against j = i, averaged over the batch. The
    teacher has no gradient.

    Parameters
    ----------
    learner, teacher : Tensor (B, d)
        h and t.
    where : Tensor (d,) of bool
        The coordinates that count.
    temperature : float
        T.
    """
    logits = (learner * where) @ teacher.detach().T / temperature
    return F.cross_entropy(logits, torch.arange(len(logits), device=logits.device))


def certainty_weights(logits: Tensor, temperature: float) -> Tensor:
    """Weights (M, B) of M predictors for each sample, from their logits (M, B, C).

    They are a softmax of the largest probabilities, divided by the temperature.
    """
    return torch.softmax(logits.softmax(-1).amax(-1) / temperature, dim=0)


class DIMML(Method):
    """Detached and interactive multi-modal learning: no joint loss, but a common feature space.

    In stage one each encoder learns with its own head, and with one head that all share:
    sum_k l_k + align sum_k CE(shared(h_k), y). After some epochs a contrast is added. The
    coordinates that are :func:`informative` in one modality only are a lesson for the other
    (:func:`one_way_contrast`). In stage two the encoders and heads are frozen and in evaluation
    mode, and the fusion layer learns. The joint output is a sum of the heads' outputs and, in stage
    two, of the fusion layer's, with :func:`certainty_weights`.

    Parameters
    ----------
    align : float
        Weight of the shared head's losses, >= 0. Default 1, as published.
    contrast : float
        Weight of the contrast, >= 0. Default 1, as published. With `align` and `contrast` of zero
        stage one is the method ``unimodal``, bit for bit.
    temperature : float
        T of the contrast, > 0. Default 50, as published for CREMA-D; 10 for AVE and UCF.
    start : int, optional
        Epochs before the contrast begins, >= 0. Default: the published share, 20 of 170.
    stage_two : int, optional
        Epochs of stage two, at the end of the run, >= 0. Default: the published share, 20 of 170.
    certainty : float
        Temperature of the certainty weights, > 0. Default 1, as published.

    Notes
    -----
    Fan, Xu, Wang, Liu, Guo (MM 2024). As in the released code, the coordinates are chosen once,
    when the contrast begins. There stage two is a training of its own, and its learning rate begins
    anew. Here it is the end of the run, and the run's schedule goes on.
    """

    name: ClassVar[str] = "di_mml"
    title: ClassVar[str] = "DI-MML"
    family: ClassVar[Family] = "multi-phase"
    about: ClassVar[str] = "detached encoders that teach each other, then fusion (MM 2024)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Fan, Xu, Wang, Liu, Guo, MM 2024",
        follows="released code",
        code="fanyunfeng-bit/DI-MML",
        released="Stage two is a training of its own.",
    )
    search: ClassVar[Search] = {"align": ("log", 0.1, 10.0), "contrast": ("log", 0.1, 10.0)}
    uses_heads: ClassVar[bool] = True
    needs_classes: ClassVar[bool] = True
    min_modalities: ClassVar[int] = 2
    max_modalities: ClassVar[int | None] = 2
    only: Tensor
    """Coordinates (2, d) that are informative in this modality only."""
    fused: Tensor
    """Whether the fusion layer takes part in the joint output."""

    def __init__(
        self,
        align: float = 1.0,
        contrast: float = 1.0,
        temperature: float = 50.0,
        start: int | None = None,
        stage_two: int | None = None,
        certainty: float = 1.0,
    ) -> None:
        check_positive("align", align, allow_zero=True)
        check_positive("contrast", contrast, allow_zero=True)
        check_positive("temperature", temperature)
        check_positive("certainty", certainty)
        if start is not None:
            start = check_count("start", start, 0)
        if stage_two is not None:
            stage_two = check_count("stage_two", stage_two, 0)
        super().__init__(
            align=align,
            contrast=contrast,
            temperature=temperature,
            start=start,
            stage_two=stage_two,
            certainty=certainty,
        )
        self.align, self.contrast, self.temperature = align, contrast, temperature
        self.start, self.stage_two, self.certainty = start, stage_two, certainty

    def setup(self, run: Run) -> None:
        """Make the shared head and the buffers. Encoders of different widths are refused."""
        width, *others = run.model.widths
        if others != [width]:
            raise ValueError(
                "method 'di_mml' compares features by coordinate, so all encoders must have one "
                f"width. Got widths {run.model.widths}."
            )
        self.shared = new_linear(run, width, run.model.num_outputs)
        self.register_buffer("only", torch.zeros(2, width, dtype=torch.bool, device=run.device))
        self.register_buffer("fused", torch.tensor(False, device=run.device))

    def first_contrast(self, run: Run) -> int:
        """The first epoch with the contrast."""
        return epochs_or_share(self.start, run, 20 / 170)

    def in_stage_two(self, run: Run) -> bool:
        """Whether the encoders are frozen."""
        return run.epoch >= run.num_epochs - epochs_or_share(self.stage_two, run, 20 / 170)

    @torch.no_grad()
    def begin_epoch(self, run: Run) -> None:
        """Choose the coordinates when the contrast begins; the fusion layer joins in stage two."""
        self.fused.fill_(self.in_stage_two(run))
        if not self.contrast or run.epoch != self.first_contrast(run):
            return
        with evaluation_mode(run.model):
            batches = [run.model.features(b.inputs) for b in run.evaluation_batches(run.train)]
        first, second = (
            informative(torch.cat(parts), run.train.target, run.model.num_outputs)
            for parts in zip(*batches, strict=True)
        )
        self.only = torch.stack([first & ~second, second & ~first])

    def forward_pass(self, run: Run, batch: Batch) -> Forward:
        """In stage two the encoders are in evaluation mode and have no gradient."""
        if not self.in_stage_two(run):
            return super().forward_pass(run, batch)
        with evaluation_mode(run.model.encoders), torch.no_grad():
            return super().forward_pass(run, batch)

    def objective(self, run: Run, out: Forward) -> Tensor:
        """Losses of the own heads and the shared head, and the contrast; later that of fusion."""
        target, (first, second) = out.batch.target, out.features
        if self.in_stage_two(run):
            return run.loss_function(out.model.fuse(out.features), target)
        objective = out.head_losses.sum()
        if self.align:
            shared = [run.loss_function(self.shared(h), target) for h in out.features]
            objective = objective + self.align * torch.stack(shared).sum()
        if self.contrast and run.epoch >= self.first_contrast(run):
            from_first = one_way_contrast(second, first, self.only[0], self.temperature)
            from_second = one_way_contrast(first, second, self.only[1], self.temperature)
            objective = objective + self.contrast * (from_first + from_second)
        return objective

    def fuse(self, model: FusionNetwork, features: Sequence[Tensor]) -> Tensor:
        """Sum (B, C) of the predictors' outputs with certainty weights."""
        logits = torch.stack([*model.head_logits(features), model.fuse(features)])
        weights = certainty_weights(logits, self.certainty)
        takes_part = torch.ones(3, 1, dtype=torch.bool, device=logits.device)
        takes_part[2] = self.fused
        weights = weights * takes_part
        return (weights[..., None] / weights.sum(0)[:, None] * logits).sum(0)

    def report(self) -> dict[str, Any]:
        """How many coordinates (2,) are informative in this modality only."""
        return {"taught": self.only.sum(1).tolist()}
