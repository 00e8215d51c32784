"""UMT: features are drawn towards those of frozen encoders that were trained alone."""

from __future__ import annotations

import copy
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mimo_sim._checks import check_count, check_positive
from mimo_sim.methods._base import Batch, Family, Forward, Method, Run
from mimo_sim.methods._shared import practise, rehearsal


class UMT(Method):
    """Uni-modal teacher: L + lam sum_k mean |h_k - t_k|^2, t_k the feature of a uni-modal encoder of the same form.

    The teachers are trained before the first epoch, with the uni-modal heads, from the run's initial weights and with its optimizer settings; the model is then
    put back as it was. They stay frozen and in evaluation mode.

    Parameters
    ----------
    lam : float
        Weight of the distillation, >= 0; the mean is over samples and features. Zero is joint training, bit for bit.
    epochs : int, optional
        Length of the teachers' training; None: that of the run.

    Notes
    -----
    Du et al. (ICML 2023). lam is that of a public benchmark, not verified against the paper. The teachers' epochs are a cost on top of the run's.
    """

    name: ClassVar[str] = "umt"
    family: ClassVar[Family] = "objective"
    about: ClassVar[str] = "distils features of uni-modal teachers (ICML 2023)"

    def __init__(self, lam: float = 10.0, epochs: int | None = None) -> None:
        check_positive("lam", lam, allow_zero=True)
        if epochs is not None:
            epochs = check_count("epochs", epochs)
        super().__init__(lam=lam, epochs=epochs)
        self.lam, self.length = lam, epochs
        self.targets: list[
            Tensor
        ] = []  # the teachers' features (n, d_k) of the train split; no state: they follow from the teachers

    def setup(self, run: Run) -> None:
        """Make room for the teachers."""
        self.teachers = copy.deepcopy(run.model.encoders).requires_grad_(False)
        self.targets = []

    def begin_epoch(self, run: Run) -> None:
        """Train the teachers before the first epoch, and keep what they say of every sample."""
        if self.lam and run.epoch == 0:
            model = run.model

            def losses(batch: Batch) -> Tensor:
                return torch.stack(
                    [
                        run.loss_function(v, batch.target)
                        for v in model.head_logits(model.features(batch.inputs))
                    ]
                )

            with rehearsal(run):
                practise(
                    run,
                    run.new_optimizer([model.encoders, model.heads]),
                    self.length or run.num_epochs,
                    losses,
                )
                self.teachers.load_state_dict(model.encoders.state_dict())
        self.teachers.eval()
        if self.lam and not self.targets:
            with torch.no_grad():
                said = [
                    [teacher(x) for teacher, x in zip(self.teachers, batch.inputs, strict=True)]
                    for batch in run.evaluation_batches(run.train)
                ]
            self.targets = [torch.cat(each) for each in zip(*said, strict=True)]

    def objective(self, run: Run, out: Forward) -> Tensor:
        """Joint loss and distances to the teachers' features."""
        if not self.lam:
            return out.loss
        return (
            out.loss
            + self.lam
            * torch.stack(
                [
                    F.mse_loss(h, t[out.batch.index])
                    for h, t in zip(out.features, self.targets, strict=True)
                ]
            ).sum()
        )
