"""Gradient blending: loss weights from how much each branch would gain, and over-fit, in the next epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from mimo_sim._checks import check_count, check_positive
from mimo_sim.methods._base import Batch, Family, Forward, Method, Run
from mimo_sim.methods._shared import (
    Window,
    check_window,
    evaluation_losses,
    inside,
    practise,
    rehearsal,
)

LEAST_OVERFITTING = 1e-2  # of O, in units of the loss


def blend_weights(
    train_before: Tensor, train_after: Tensor, held_before: Tensor, held_after: Tensor
) -> Tensor:
    """Weights (M,) >= 0 with sum 1, proportional to G / O^2, from mean losses (M,) on training and held-out data before and after some epochs.

    G = fall of the held-out loss; O = growth of the difference between held-out and training loss. A branch that got worse has weight zero, |O| is at
    least 0.01, and where no branch gained all weights are equal.
    """
    gain = (held_before - held_after).clamp_min(0)
    overfitting = (held_after - train_after) - (held_before - train_before)
    raw = gain / overfitting.square().clamp_min(LEAST_OVERFITTING**2)
    total = raw.sum()
    return torch.where(
        total > 0,
        raw / total.clamp_min(torch.finfo(raw.dtype).tiny),
        torch.full_like(raw, 1 / len(raw)),
    )


class GBlending(Method):
    """sum_m w_m loss_m over the K uni-modal heads and the joint output.

    Parameters
    ----------
    super_epoch : int
        The weights are estimated again every so many epochs, by training each branch for as many from the current model and optimizer, which
        are then put back. Cost: as many epochs again of the joint network, twice (the K uni-modal branches train in one backward pass).
    weights : K + 1 floats, optional
        Fixed weights, uni-modal ones first and the joint one last, instead of estimated ones ("offline").
    window : (int, int), optional
        First and last zero-based epoch in which it acts; outside it is joint training. None: all.

    Notes
    -----
    Wang, Tran, Feiszli, CVPR 2020. The held-out data are the run's validation split, which is taken from the training data.
    """

    name: ClassVar[str] = "g_blending"
    family: ClassVar[Family] = "multi-phase"
    about: ClassVar[str] = "loss weights from over-fitting to generalisation ratios (CVPR 2020)"
    uses_heads: ClassVar[bool] = True
    blend: Tensor  # (K + 1,)
    extra: Tensor  # epochs of the network spent on estimates

    def __init__(
        self, super_epoch: int = 10, weights: Sequence[float] | None = None, window: Window = None
    ) -> None:
        self.super_epoch, self.window = (
            check_count("super_epoch", super_epoch),
            check_window(window),
        )
        self.given = None if weights is None else tuple(weights)
        for w in self.given or ():
            check_positive("weights", w, allow_zero=True)
        super().__init__(super_epoch=super_epoch, weights=self.given, window=self.window)

    def setup(self, run: Run) -> None:
        """Equal weights until the first estimate."""
        branches = run.model.num_modalities + 1
        if self.given is not None and len(self.given) != branches:
            raise ValueError(
                f"`weights` must hold K + 1 = {branches} numbers. Got weights={self.given!r}."
            )
        start = (
            torch.full((branches,), 1 / branches)
            if self.given is None
            else torch.tensor(self.given)
        )
        self.register_buffer("blend", start.to(run.device))
        self.register_buffer("extra", torch.zeros((), dtype=torch.long, device=run.device))

    def begin_epoch(self, run: Run) -> None:
        """Estimate the weights at the start of every super-epoch."""
        if (
            self.given is None
            and inside(self.window, run.epoch)
            and run.epoch % self.super_epoch == 0
        ):
            self.blend.copy_(run.mean(self.estimate(run)))

    def estimate(self, run: Run) -> Tensor:
        """Blend weights (K + 1,) at the current model."""
        model, epochs = run.model, min(self.super_epoch, run.num_epochs - run.epoch)

        def head_losses(batch: Batch) -> Tensor:
            return torch.stack(
                [
                    run.loss_function(v, batch.target)
                    for v in model.head_logits(model.features(batch.inputs))
                ]
            )

        def joint_loss(batch: Batch) -> Tensor:
            return run.loss_function(model(batch.inputs), batch.target)[None]

        def measure() -> Tensor:  # (train and held-out, K + 1)
            return torch.stack(
                [
                    torch.cat([heads, joint[None]])
                    for heads, joint in (
                        evaluation_losses(run, split) for split in (run.train, run.validation)
                    )
                ]
            )

        before, k = measure(), model.num_modalities
        after = []
        for losses in (head_losses, joint_loss):
            with rehearsal(run):
                practise(run, run.optimizer, epochs, losses)
                after.append(measure())
        self.extra += epochs * len(after)
        trained = torch.cat([after[0][:, :k], after[1][:, k:]], dim=1)
        return blend_weights(before[0], trained[0], before[1], trained[1]).to(self.blend)

    def objective(self, run: Run, out: Forward) -> Tensor:
        """sum_m w_m loss_m."""
        return (
            (self.blend[:-1] * out.head_losses).sum() + self.blend[-1] * out.loss
            if inside(self.window, run.epoch)
            else out.loss
        )

    def report(self) -> dict[str, Any]:
        """Blend weights (K + 1,), and the epochs spent on estimates so far."""
        return {"blend": self.blend.tolist(), "extra_epochs": int(self.extra)}
