"""UMT: features are drawn towards those of frozen encoders that were trained alone."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mimo_sim._checks import check_count, check_positive
from mimo_sim.methods._base import Family, Method, Search
from mimo_sim.methods._conformance import Conformance
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Forward
from mimo_sim.methods._teachers import Teachers


class UMT(Method):
    """Uni-modal teacher: every encoder also imitates an encoder that was trained alone.

    The objective is L + lam sum_k mean |h_k - t_k|^2, where t_k is the teacher's feature; the mean
    is over samples and features. The teachers have the form of the model's encoders. They are
    trained before the first epoch with the uni-modal heads, from the run's initial weights and with
    its optimizer settings. Then the model is put back as it was. Teachers stay frozen and in
    evaluation mode.

    Parameters
    ----------
    lam : float
        Weight of the distillation, >= 0. Default 10. Zero is joint training, bit for bit.
    epochs : int, optional
        Length of the teachers' training, >= 1. Default: that of the run.

    Notes
    -----
    Du et al. (ICML 2023). lam is that of a public benchmark and was not verified against the
    paper. The teachers' epochs come on top of the run's.
    """

    name: ClassVar[str] = "umt"
    title: ClassVar[str] = "UMT"
    family: ClassVar[Family] = "objective"
    about: ClassVar[str] = "distils features of uni-modal teachers (ICML 2023)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Du, Teng, Li, Liu, Yuan, Wang, Yuan, Zhao, ICML 2023",
        follows="benchmark",
        code="GeWu-Lab/BalanceBenchmark",
        released=(
            "No code of the authors. In the benchmark teachers are in training mode; its weight "
            "is not verified against the paper."
        ),
        compared="the benchmark's code on the same tensors",
    )
    search: ClassVar[Search] = {"lam": ("log", 1.0, 100.0)}

    def __init__(self, lam: float = 10.0, epochs: int | None = None) -> None:
        check_positive("lam", lam, allow_zero=True)
        if epochs is not None:
            epochs = check_count("epochs", epochs)
        super().__init__(lam=lam, epochs=epochs)
        self.lam, self.length = lam, epochs
        # The teachers' features (n, d_k) of the train split. They follow from the teachers, so
        # they are no state.
        self.targets: list[Tensor] = []

    def setup(self, run: Run) -> None:
        """Make room for the teachers."""
        self.teachers = Teachers(run.model)
        self.targets = []

    def begin_epoch(self, run: Run) -> None:
        """Train the teachers before the first epoch, and keep their features of all samples."""
        if self.lam and run.epoch == 0:
            self.teachers.learn(run, self.length or run.num_epochs)
        if self.lam and not self.targets:
            self.targets, _ = self.teachers.lesson(run)

    def objective(self, run: Run, out: Forward) -> Tensor:
        """Joint loss, and the distances to the teachers' features."""
        if not self.lam:
            return out.loss
        joint = out.loss
        distances = [
            F.mse_loss(h, t[out.batch.index])
            for h, t in zip(out.features, self.targets, strict=True)
        ]
        return joint + self.lam * torch.stack(distances).sum()
