"""Diagnosing & Re-learning: pull every encoder back towards its start by how much less separable its features are on new data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from mimo_sim._checks import check_count, check_positive
from mimo_sim.methods._base import Family, Method, Run
from mimo_sim.methods._shared import epochs_or_share, evaluation_mode

if TYPE_CHECKING:
    from mimo_sim.datasets._data import Split


def purity(features: np.ndarray, target: np.ndarray, num_classes: int) -> float:
    """Share of samples in the majority class of their cluster: k-means of features (n, d), scaled to [-1, 1], with as many clusters as classes.

    One for separable classes and never below the share of the largest class. A function of its inputs alone: fixed start, one thread.
    """
    from sklearn.cluster import KMeans
    from sklearn.preprocessing import minmax_scale
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    scaled = minmax_scale(features, (-1, 1))
    distinct = len(np.unique(scaled, axis=0))
    with threadpool_limits(1):
        clusters = KMeans(min(num_classes, distinct), n_init=1, random_state=0).fit_predict(scaled)
    counts = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(counts, (clusters, target), 1)
    return float(counts.max(axis=1).sum() / len(target))


class Relearning(Method):
    """Diagnosing & Re-learning: soft re-initialisation by the gap of separability between train and validation split.

    After epochs `every`, 2 `every`, ... (zero-based), `times` in all, each encoder's parameters become alpha_k theta_k(0) + (1 - alpha_k) theta_k with
    alpha_k = tanh(lam |purity_train - purity_validation|).

    Parameters
    ----------
    lam : float
        Strength, >= 0. Zero is joint training, bit for bit.
    every : int, optional
        Epochs between events, >= 1; None: the published share, 20 of 90.
    times : int
        Largest number of events, >= 0.

    Notes
    -----
    Wei, Li, Feng, Hu (ECCV 2024). Only parameters are blended: batch-norm statistics, the fusion layer and the optimizer's momentum stay, as in the
    released code.
    """

    name: ClassVar[str] = "relearning"
    family: ClassVar[Family] = "multi-phase"
    about: ClassVar[str] = "re-initialises encoders softly by their overfitting (ECCV 2024)"
    needs_classes: ClassVar[bool] = True
    blend: Tensor  # (K,) alpha_k of this epoch

    def __init__(self, lam: float = 3.0, every: int | None = None, times: int = 3) -> None:
        check_positive("lam", lam, allow_zero=True)
        every, times = (
            None if every is None else check_count("every", every),
            check_count("times", times, 0),
        )
        super().__init__(lam=lam, every=every, times=times)
        self.lam, self.every, self.times = lam, every, times

    def setup(self, run: Run) -> None:
        """Remember the start weights. Needs a validation split."""
        if not len(run.validation):
            raise ValueError(
                "method 'relearning' compares train and validation split; the validation split is empty."
            )
        for k, encoder in enumerate(run.model.encoders):
            self.register_buffer(
                f"start_{k}", torch.cat([p.detach().flatten() for p in encoder.parameters()])
            )
        self.register_buffer("blend", torch.zeros(run.model.num_modalities, device=run.device))

    @torch.no_grad()
    def end_epoch(self, run: Run) -> None:
        """Diagnose and blend, if it is time."""
        event, rest = divmod(run.epoch, max(1, epochs_or_share(self.every, run, 20 / 90)))
        self.blend.zero_()
        if not self.lam or rest or not 1 <= event <= self.times:
            return
        for k, (train, validation) in enumerate(
            zip(self._purities(run, run.train), self._purities(run, run.validation), strict=True)
        ):
            self.blend[k] = alpha = math.tanh(self.lam * abs(train - validation))
            parameters = list(run.model.encoders[k].parameters())
            start = torch.split(self.get_buffer(f"start_{k}"), [p.numel() for p in parameters])
            for p, p0 in zip(parameters, start, strict=True):
                p.lerp_(p0.view_as(p), alpha)

    def _purities(self, run: Run, split: Split) -> list[float]:
        with evaluation_mode(run.model):
            parts = [run.model.features(batch.inputs) for batch in run.evaluation_batches(split)]
        target = split.target.cpu().numpy()
        return [
            purity(torch.cat(list(h)).cpu().numpy(), target, run.model.num_outputs)
            for h in zip(*parts, strict=True)
        ]

    def report(self) -> dict[str, Any]:
        """alpha_k of this epoch's event (K,); zero where there was none."""
        return {"reinitialised": self.blend.tolist()}
