"""What several methods need: epoch windows, small statistics, evaluation passes and rehearsals that leave no trace."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mimo_sim._checks import check_count

if TYPE_CHECKING:
    from mimo_sim.datasets._data import Split
    from mimo_sim.methods._base import Batch, Run

Window: TypeAlias = (
    tuple[int, int] | None
)  # zero-based epochs, both ends included; None: every epoch


def check_window(window: Sequence[int] | None) -> Window:
    """The window as a pair, or ValueError/TypeError unless it is None or two epochs 0 <= first <= last."""
    if window is None:
        return None
    if not isinstance(window, list | tuple) or len(window) != 2:
        raise TypeError(
            f"`window` must be None or (first epoch, last epoch). Got window={window!r}."
        )
    first, last = check_count("window[0]", window[0], 0), check_count("window[1]", window[1], 0)
    if first > last:
        raise ValueError(f"`window` must have first <= last. Got window={window!r}.")
    return first, last


def inside(window: Window, epoch: int) -> bool:
    """Whether a zero-based epoch lies in the window."""
    return window is None or window[0] <= epoch <= window[1]


def epochs_or_share(epochs: int | None, run: Run, share: float) -> int:
    """The number of epochs that was given, or for None this share of the run's, rounded."""
    return round(share * run.num_epochs) if epochs is None else epochs


def true_class_probability(logits: Tensor, target: Tensor) -> Tensor:
    """Sum over the batch of the softmax probabilities (0-dim) of the true classes (B,) under logits (B, C)."""
    return F.softmax(logits.float(), dim=1).gather(1, target[:, None]).sum()


def mean_of_others(scores: Tensor) -> Tensor:
    """For each modality the mean score (K,) of all others, K >= 2."""
    return torch.stack(
        [torch.cat([scores[:k], scores[k + 1 :]]).mean() for k in range(len(scores))]
    )


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, so batch-norm statistics stay as they are; every module's own mode is restored after."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def evaluation_losses(run: Run, split: Split) -> tuple[Tensor, Tensor]:
    """Mean losses over a whole split, model in evaluation mode, no gradient: the uni-modal heads' (K,) and the joint one (0-dim)."""
    model = run.model
    heads = torch.zeros(model.num_modalities, device=run.device, dtype=torch.float64)
    joint = torch.zeros((), device=run.device, dtype=torch.float64)
    with evaluation_mode(model), torch.no_grad():
        for batch in run.evaluation_batches(split):
            features = model.features(batch.inputs)
            heads += torch.stack(
                [
                    run.loss_function(v, batch.target, reduction="none").sum()
                    for v in model.head_logits(features)
                ]
            )
            joint += run.loss_function(model.fuse(features), batch.target, reduction="none").sum()
    return heads / len(split), joint / len(split)


@contextmanager
def rehearsal(run: Run) -> Iterator[None]:
    """Train inside at will: model, optimizer and torch's random state are as before when it ends."""
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
    """Train the run's model on the sum of some losses (M,), at the learning rates of the epochs to come. Their epoch means (epochs, M)."""
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
