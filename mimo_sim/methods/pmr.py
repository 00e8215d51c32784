"""PMR: a loss on distances to class prototypes helps the modality that learns more slowly."""

from __future__ import annotations

from itertools import islice
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mimo_sim._checks import check_positive
from mimo_sim.methods._base import Family, Forward, Method, Run
from mimo_sim.methods._shared import (
    Window,
    check_window,
    evaluation_mode,
    inside,
    true_class_probability,
)

Rule = Literal["step", "clip"]


def help_weights(scores: Tensor, alpha: float, rule: Rule) -> Tensor:
    """Weights beta (K,) of the prototype losses from scores (K,) > 0.

    ``"step"`` (released code): alpha for the modality of lowest score, unless all are equal. ``"clip"`` (paper): alpha min(best score / score - 1, 1).
    """
    best = scores.amax()
    if rule == "clip":
        return alpha * (best / scores.clamp_min(torch.finfo(scores.dtype).tiny) - 1).clamp(0, 1)
    return alpha * ((scores == scores.amin()) & (scores < best))


class PMR(Method):
    """Prototypical modal rebalance: L + sum_k beta_k CE(-|h_k - c_k|, y), c_k the mean feature of every class.

    Prototypes are taken before every epoch in evaluation mode over a tenth of the batches, and averaged over epochs. A class that is missing there keeps its
    prototype; while it has none, its samples do not count.

    Parameters
    ----------
    alpha : float
        Largest weight, >= 0. Zero is joint training, bit for bit.
    momentum : float
        Weight of the old prototypes, in [0, 1].
    rule : {"step", "clip"}
        How the weights follow from the prototypes' true-class probabilities, :func:`help_weights`; for K > 2 an extension.
    window : (int, int), optional
        First and last zero-based epoch in which it acts; None: all.

    Notes
    -----
    Fan, Xu, Wang, Wang, Guo (CVPR 2023), defaults of the released command line. The entropy term that the paper has in early epochs is not in the released step
    and not here.
    """

    name: ClassVar[str] = "pmr"
    family: ClassVar[Family] = "objective"
    about: ClassVar[str] = "prototype loss for the slower modality (CVPR 2023)"
    min_modalities: ClassVar[int] = 2
    needs_classes: ClassVar[bool] = True
    known: Tensor  # (C,) classes that have prototypes

    def __init__(
        self,
        alpha: float = 1.0,
        momentum: float = 0.2,
        rule: Rule = "step",
        window: Window = (0, 100),
    ) -> None:
        check_positive("alpha", alpha, allow_zero=True)
        check_positive("momentum", momentum, allow_zero=True)
        if momentum > 1:
            raise ValueError(f"`momentum` must be in [0, 1]. Got momentum={momentum!r}.")
        if rule not in get_args(Rule):
            raise ValueError(f"`rule` must be one of {get_args(Rule)}. Got rule={rule!r}.")
        window = check_window(window)
        super().__init__(alpha=alpha, momentum=momentum, rule=rule, window=window)
        self.alpha, self.momentum, self.rule, self.window = alpha, momentum, rule, window

    def setup(self, run: Run) -> None:
        """Make buffers for the prototypes and the report."""
        classes = run.model.num_outputs
        for k, width in enumerate(run.model.widths):
            self.register_buffer(f"prototypes_{k}", torch.zeros(classes, width, device=run.device))
        self.register_buffer("known", torch.zeros(classes, dtype=torch.bool, device=run.device))
        self.register_buffer("weights", torch.zeros(run.model.num_modalities, device=run.device))

    @torch.no_grad()
    def begin_epoch(self, run: Run) -> None:
        """Renew the prototypes."""
        if not self.alpha or not inside(self.window, run.epoch):
            return
        model, classes = run.model, run.model.num_outputs
        count = torch.zeros(classes, 1, device=run.device)
        sums = [torch.zeros(classes, width, device=run.device) for width in model.widths]
        with evaluation_mode(model):
            for batch in islice(run.batches(), max(1, run.batches_per_epoch // 10)):
                members = F.one_hot(batch.target, classes).T.float()
                count += members.sum(1, keepdim=True)
                for total, h in zip(sums, model.features(batch.inputs), strict=True):
                    total += members @ h
        count = run.mean(count)
        seen = count[:, 0] > 0
        for k, total in enumerate(sums):
            old, new = self.get_buffer(f"prototypes_{k}"), run.mean(total) / count.clamp_min(1e-9)
            old.copy_(
                torch.where(
                    seen[:, None],
                    torch.where(self.known[:, None], torch.lerp(new, old, self.momentum), new),
                    old,
                )
            )
        self.known |= seen

    def objective(self, run: Run, out: Forward) -> Tensor:
        """Joint loss and the weighted prototype losses."""
        if not self.alpha or not inside(self.window, run.epoch):
            return out.loss
        target = out.batch.target
        near = [
            -torch.cdist(h, self.get_buffer(f"prototypes_{k}")).masked_fill(~self.known, torch.inf)
            for k, h in enumerate(out.features)
        ]
        counted = self.known[target].float()
        safe = torch.where(self.known[target], target, self.known.int().argmax())
        losses = torch.stack(
            [
                (F.cross_entropy(d, safe, reduction="none") * counted).sum()
                / counted.sum().clamp_min(1)
                for d in near
            ]
        )
        scores = run.mean(torch.stack([true_class_probability(d.detach(), target) for d in near]))
        self.weights = help_weights(scores, self.alpha, self.rule)
        return out.loss + (self.weights * losses).sum()

    def report(self) -> dict[str, Any]:
        """Weights (K,) of the prototype losses in the last step."""
        return {"prototype_weight": self.weights.tolist()}
