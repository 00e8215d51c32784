"""PMR: a loss on distances to class prototypes helps the modality that learns more slowly."""

from __future__ import annotations

from itertools import islice
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mimo_sim._checks import check_choice, check_positive
from mimo_sim.methods._base import Family, Method, Search
from mimo_sim.methods._conformance import SAME_TENSORS, Conformance
from mimo_sim.methods._evaluation import evaluation_mode
from mimo_sim.methods._run import Run
from mimo_sim.methods._scores import true_class_probability
from mimo_sim.methods._step import Forward
from mimo_sim.methods._windows import Window, check_window, inside

Rule = Literal["step", "clip"]


def help_weights(scores: Tensor, alpha: float, rule: Rule) -> Tensor:
    """Weights beta (K,) of the prototype losses.

    Parameters
    ----------
    scores : Tensor (K,)
        How well the prototypes of each modality predict, > 0.
    alpha : float
        Largest weight, >= 0.
    rule : {"step", "clip"}
        ``"step"`` (released code): alpha for the modality of lowest score, unless all are equal;
        0 for the others. ``"clip"`` (paper): alpha min(best score / score - 1, 1).
    """
    best = scores.amax()
    if rule == "clip":
        return alpha * (best / scores.clamp_min(torch.finfo(scores.dtype).tiny) - 1).clamp(0, 1)
    return alpha * ((scores == scores.amin()) & (scores < best))


class PMR(Method):
    """Prototypical modal rebalance: draw features of the slow modality to their class prototypes.

    The prototype c_k of a class is the mean feature of its samples. The objective is
    L + sum_k beta_k CE(-|h_k - c_k|, y): a cross-entropy in which the nearest prototype wins.
    Prototypes are measured before every epoch, in evaluation mode over a tenth of the batches, and
    averaged with the old ones. A class that is missing there keeps its prototype; while it has
    none, its samples do not count.

    Parameters
    ----------
    alpha : float
        Largest weight beta_k, >= 0. Default 1. Zero is joint training, bit for bit.
    momentum : float
        Weight of the old prototypes in the average, in [0, 1]. Default 0.2.
    rule : {"step", "clip"}
        How the weights follow from the prototypes' true-class probabilities, see
        :func:`help_weights`. Default ``"step"``. For K > 2 both are extensions.
    window : (int, int), optional
        First and last zero-based epoch in which it acts. Default (0, 100). None: all epochs.

    Notes
    -----
    Fan, Xu, Wang, Wang, Guo (CVPR 2023), with the defaults of the released command line. The
    entropy term that the paper has in early epochs is neither in the released step nor here.
    """

    name: ClassVar[str] = "pmr"
    title: ClassVar[str] = "PMR"
    family: ClassVar[Family] = "objective"
    about: ClassVar[str] = "prototype loss for the slower modality (CVPR 2023)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Fan, Xu, Wang, Wang, Guo, CVPR 2023",
        follows="released code",
        code="fanyunfeng-bit/Modal-Imbalance-PMR",
        released=(
            "Helps the slower modality with a fixed weight and has no entropy term; the paper's "
            "weight is rule='clip'."
        ),
        compared=SAME_TENSORS,
        apart="round-off",
    )
    search: ClassVar[Search] = {"alpha": ("log", 0.1, 10.0)}
    min_modalities: ClassVar[int] = 2
    needs_classes: ClassVar[bool] = True
    known: Tensor
    """Which classes (C,) have prototypes."""
    weights: Tensor
    """Weights (K,) of the last step, for the report."""

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
        check_choice("rule", rule, get_args(Rule))
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

    def acts(self, run: Run) -> bool:
        """Whether it acts in this epoch."""
        return bool(self.alpha) and inside(self.window, run.epoch)

    def prototypes(self, k: int) -> Tensor:
        """The prototypes (C, d_k) of modality k."""
        return self.get_buffer(f"prototypes_{k}")

    @torch.no_grad()
    def begin_epoch(self, run: Run) -> None:
        """Renew the prototypes."""
        if not self.acts(run):
            return
        count, sums = self._class_sums(run)
        count = run.mean(count)
        seen = count[:, 0] > 0
        for k, total in enumerate(sums):
            old = self.prototypes(k)
            new = run.mean(total) / count.clamp_min(1e-9)
            mixed = torch.where(self.known[:, None], torch.lerp(new, old, self.momentum), new)
            old.copy_(torch.where(seen[:, None], mixed, old))
        self.known |= seen

    @staticmethod
    def _class_sums(run: Run) -> tuple[Tensor, list[Tensor]]:
        """Samples (C, 1) of each class in a tenth of the batches, and sums (C, d_k) of features."""
        model, classes = run.model, run.model.num_outputs
        count = torch.zeros(classes, 1, device=run.device)
        sums = [torch.zeros(classes, width, device=run.device) for width in model.widths]
        with evaluation_mode(model):
            for batch in islice(run.batches(), max(1, run.batches_per_epoch // 10)):
                members = F.one_hot(batch.target, classes).T.float()
                count += members.sum(1, keepdim=True)
                for total, h in zip(sums, model.features(batch.inputs), strict=True):
                    total += members @ h
        return count, sums

    def objective(self, run: Run, out: Forward) -> Tensor:
        """Joint loss and the weighted prototype losses."""
        if not self.acts(run):
            return out.loss
        target = out.batch.target
        near = [
            -torch.cdist(h, self.prototypes(k)).masked_fill(~self.known, torch.inf)
            for k, h in enumerate(out.features)
        ]
        counted = self.known[target].float()
        # A class without prototype would make the loss infinite; a known one stands in for it.
        safe = torch.where(self.known[target], target, self.known.int().argmax())
        each = [F.cross_entropy(logits, safe, reduction="none") for logits in near]
        losses = torch.stack([(loss * counted).sum() / counted.sum().clamp_min(1) for loss in each])
        scores = torch.stack([true_class_probability(z.detach(), target) for z in near])
        self.weights = help_weights(run.mean(scores), self.alpha, self.rule)
        return out.loss + (self.weights * losses).sum()

    def report(self) -> dict[str, Any]:
        """Weights (K,) of the prototype losses in the last step."""
        return {"prototype_weight": self.weights.tolist()}
