"""Looking at a model without changing it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from mimo_sim.datasets._data import Split
    from mimo_sim.methods._run import Run


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode for a while.

    Batch-norm statistics stay as they are. Afterwards every module has its own mode again.
    """
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def evaluation_losses(run: Run, split: Split) -> tuple[Tensor, Tensor]:
    """Mean losses over a whole split, with the model in evaluation mode and without gradient.

    Returns
    -------
    heads : Tensor (K,)
        Losses of the uni-modal heads, float64.
    joint : Tensor ()
        Joint loss, float64.
    """
    model = run.model
    heads = torch.zeros(model.num_modalities, device=run.device, dtype=torch.float64)
    joint = torch.zeros((), device=run.device, dtype=torch.float64)
    with evaluation_mode(model), torch.no_grad():
        for batch in run.evaluation_batches(split):
            features = model.features(batch.inputs)
            each = [
                run.loss_function(v, batch.target, reduction="none").sum()
                for v in model.head_logits(features)
            ]
            heads += torch.stack(each)
            joint += run.loss_function(model.fuse(features), batch.target, reduction="none").sum()
    return heads / len(split), joint / len(split)
