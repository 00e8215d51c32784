"""Training that is undone afterwards: a method tries something out on the run's own model."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from mimo_sim.methods._run import Run
    from mimo_sim.methods._step import Batch


@contextmanager
def rehearsal(run: Run) -> Iterator[None]:
    """Undo at the end what was trained inside.

    Model, optimizer and torch's random state are then as before, and all gradients are None.
    """
    model_state = {name: value.clone() for name, value in run.model.state_dict().items()}
    optimizer_state = copy.deepcopy(run.optimizer.state_dict())
    try:
        with torch.random.fork_rng(devices=[run.device] if run.device.type == "cuda" else []):
            yield
    finally:
        run.model.load_state_dict(model_state)
        run.optimizer.load_state_dict(optimizer_state)
        for parameter in run.model.parameters():
            parameter.grad = None


def practise(
    run: Run, optimizer: torch.optim.Optimizer, epochs: int, losses: Callable[[Batch], Tensor]
) -> Tensor:
    """Train the run's model on a sum of losses for some epochs.

    Parameters
    ----------
    run : Run
        Gives the batches, and the learning rates of the epochs to come.
    optimizer : torch.optim.Optimizer
        Takes the steps.
    epochs : int
        How many passes over the train split.
    losses : function
        Maps a batch to M losses (M,); their sum is minimised.

    Returns
    -------
    Tensor (epochs, M)
        Epoch means of the losses.
    """
    means = []
    for ahead in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = run.rate(run.epoch + ahead)
        values = []
        for batch in run.batches():
            each = losses(batch)
            optimizer.zero_grad(set_to_none=True)
            run.backward(each.sum())
            optimizer.step()
            values.append(each.detach())
        means.append(run.mean(torch.stack(values).mean(0)))
    return torch.stack(means)


def unimodal_losses(run: Run, batch: Batch) -> Tensor:
    """The losses l_k (K,) of the uni-modal heads on a batch, with gradient."""
    outputs = run.model.head_logits(run.model.features(batch.inputs))
    return torch.stack([run.loss_function(v, batch.target) for v in outputs])


def practise_alone(run: Run, epochs: int) -> Tensor:
    """Train every encoder with its own head alone, from the model as it is, with a new optimizer.

    One backward pass of the sum of the head losses trains all K at once, exactly as K separate
    runs would.

    Returns
    -------
    Tensor (epochs, K)
        Epoch means of the training losses.
    """
    masked = run.model.unimodal == "masked"  # uni-modal outputs then come from the joint head
    parts = [run.model] if masked else [run.model.encoders, run.model.heads]
    optimizer = run.new_optimizer(parts)
    return practise(run, optimizer, epochs, partial(unimodal_losses, run))
