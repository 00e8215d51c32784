"""Diagnosing & Re-learning: the more an encoder over-fits, the nearer it is moved to its start."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from mimo_sim._checks import check_count, check_positive
from mimo_sim.methods._base import Family, Method, Search
from mimo_sim.methods._conformance import SAME_TENSORS, Conformance
from mimo_sim.methods._evaluation import evaluation_mode
from mimo_sim.methods._run import Run
from mimo_sim.methods._windows import epochs_or_share

if TYPE_CHECKING:
    from mimo_sim.datasets._data import Split


def purity(features: np.ndarray, target: np.ndarray, num_classes: int) -> float:
    """How well clusters of features separate the classes.

    Features are scaled to [-1, 1] and put into as many clusters as there are classes (k-means).
    Purity is the share of samples that belong to the majority class of their cluster. It is one for
    separable classes, and never below the share of the largest class. It depends on its inputs
    alone: the start is fixed, and one thread computes it.

    Parameters
    ----------
    features : array (n, d)
        Features of the samples.
    target : array (n,)
        Classes.
    num_classes : int
        Number of classes.
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
    """Diagnosing & Re-learning: move encoders part of the way back to their initial weights.

    How far depends on over-fitting: an encoder over-fits if its features separate the classes
    better on the train split than on the validation split. This is measured by their
    :func:`purity`. After epochs `every`, 2 `every`, ... (zero-based), `times` in all, the
    parameters of each encoder become alpha_k theta_k(0) + (1 - alpha_k) theta_k with
    alpha_k = tanh(lam |purity_train - purity_validation|).

    Parameters
    ----------
    lam : float
        Strength, >= 0. Default 3. Zero is joint training, bit for bit.
    every : int, optional
        Epochs between events, >= 1. Default: the published share, 20 of 90.
    times : int
        Largest number of events, >= 0. Default 3.

    Notes
    -----
    Wei, Li, Feng, Hu (ECCV 2024). Only parameters are blended, as in the released code: batch-norm
    statistics, the fusion layer and the optimizer's momentum stay. The released code evaluates an
    epoch before it re-initialises. Here the figures of an epoch with an event are those after it,
    and so is what the selection of the best epoch sees.
    """

    name: ClassVar[str] = "relearning"
    title: ClassVar[str] = "Diagnosing & Re-learning"
    family: ClassVar[Family] = "multi-phase"
    about: ClassVar[str] = "re-initialises encoders softly, as far as they over-fit (ECCV 2024)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Wei, Li, Feng, Hu, ECCV 2024",
        follows="both",
        code="GeWu-Lab/Diagnosing_Relearning_ECCV2024",
        released="Evaluates an epoch before it re-initialises.",
        compared=SAME_TENSORS,
        apart="round-off",
    )
    search: ClassVar[Search] = {"lam": ("log", 0.5, 10.0)}
    needs_classes: ClassVar[bool] = True
    blend: Tensor
    """alpha_k of this epoch (K,); zero without an event."""

    def __init__(self, lam: float = 3.0, every: int | None = None, times: int = 3) -> None:
        check_positive("lam", lam, allow_zero=True)
        if every is not None:
            every = check_count("every", every)
        times = check_count("times", times, 0)
        super().__init__(lam=lam, every=every, times=times)
        self.lam, self.every, self.times = lam, every, times

    def setup(self, run: Run) -> None:
        """Remember the start weights. A run without validation split is refused."""
        if not len(run.validation):
            raise ValueError(
                "method 'relearning' compares train and validation split; "
                "the validation split is empty."
            )
        for k, encoder in enumerate(run.model.encoders):
            start = torch.cat([p.detach().flatten() for p in encoder.parameters()])
            self.register_buffer(f"start_{k}", start)
        self.register_buffer("blend", torch.zeros(run.model.num_modalities, device=run.device))

    @torch.no_grad()
    def end_epoch(self, run: Run) -> None:
        """Diagnose and blend, where it is time for an event."""
        self.blend.zero_()
        every = max(1, epochs_or_share(self.every, run, 20 / 90))
        event, rest = divmod(run.epoch, every)
        if not self.lam or rest or not 1 <= event <= self.times:
            return
        on_train = self._purities(run, run.train)
        on_validation = self._purities(run, run.validation)
        for k, (train, validation) in enumerate(zip(on_train, on_validation, strict=True)):
            alpha = math.tanh(self.lam * abs(train - validation))
            self.blend[k] = alpha
            parameters = list(run.model.encoders[k].parameters())
            sizes = [p.numel() for p in parameters]
            start = torch.split(self.get_buffer(f"start_{k}"), sizes)
            for p, p0 in zip(parameters, start, strict=True):
                p.lerp_(p0.view_as(p), alpha)

    def _purities(self, run: Run, split: Split) -> list[float]:
        """Purity of each modality's features on a split, K numbers."""
        with evaluation_mode(run.model):
            batches = [run.model.features(batch.inputs) for batch in run.evaluation_batches(split)]
        target = split.target.cpu().numpy()
        features = [torch.cat(parts).cpu().numpy() for parts in zip(*batches, strict=True)]
        return [purity(h, target, run.model.num_outputs) for h in features]

    def report(self) -> dict[str, Any]:
        """alpha_k of this epoch's event (K,); zero where there was none."""
        return {"reinitialised": self.blend.tolist()}
