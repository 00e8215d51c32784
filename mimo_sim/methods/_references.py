"""What each modality reaches when it is trained alone: uni-modal runs from a run's own start.

A process keeps the results. A grid over `lam` and `mu` therefore trains them once per seed.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mimo_sim.methods._rehearsal import practise_alone, rehearsal

if TYPE_CHECKING:
    from mimo_sim.methods._run import Run

_KEPT: dict[str, tuple[Tensor, float]] = {}
"""Fingerprint of a start -> best losses (K,), and the seconds that they took."""


def best_losses(run: Run, epochs: int) -> tuple[Tensor, float]:
    """The smallest epoch mean (K,) of the losses of each modality trained alone.

    Returns
    -------
    losses : Tensor (K,)
        On the CPU.
    seconds : float
        What the training took, also where this process had the result already.
    """
    key = _fingerprint(run, epochs)
    if key not in _KEPT:
        start = time.perf_counter()
        best = unimodal_references(run, epochs).amin(0).cpu()
        _KEPT[key] = best, time.perf_counter() - start
    return _KEPT[key]


def unimodal_references(run: Run, epochs: int) -> Tensor:
    """Train every encoder with its own head alone, then put the model back as it was.

    Returns
    -------
    Tensor (epochs, K)
        Epoch means of the training losses.
    """
    with rehearsal(run):
        return practise_alone(run, epochs)


def _fingerprint(run: Run, epochs: int) -> str:
    """A digest of all that the references depend on: start weights, data and settings."""
    optimizer = type(run.optimizer).__name__
    precision = [getattr(encoder, "autocast", None) for encoder in run.model.encoders]
    rates = [run.rate(run.epoch + ahead) for ahead in range(epochs)]
    training = (optimizer, precision, run.optimizer.defaults, rates, run.batches_per_epoch)
    described = (training, run.recipe, run.num_processes)
    weights = run.model.state_dict().values()
    sums_of_samples = [x.flatten(1).sum(1, dtype=torch.float64) for x in run.train.inputs]
    digest = hashlib.sha256(repr(described).encode())
    for value in (*weights, run.train.target, *sums_of_samples):
        digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()
