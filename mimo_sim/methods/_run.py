"""The run as a method sees it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from mimo_sim.datasets._data import Split
    from mimo_sim.methods._losses import LossFunction
    from mimo_sim.methods._step import Batch, Plan
    from mimo_sim.networks._base import FusionNetwork


class Run(Protocol):
    """What a method may use of the run that it is in.

    ``mimo_sim.training`` provides the real one. A test may provide a small one.

    Attributes
    ----------
    model : FusionNetwork
        The network: encoders, fusion layer, uni-modal heads.
    optimizer : torch.optim.Optimizer
        Takes the steps, over the parameters of the model and of the method.
    loss_function : LossFunction
        Cross-entropy for classes, half the squared error for regression.
    epoch, num_epochs : int
        The current epoch, the first being 0, and how many the run has.
    batches_per_epoch : int
        Batches in a pass over the train split.
    device : torch.device
        Where everything lives.
    num_processes : int
        How many processes share a step. Each has its part of the batch.
    recipe : str
        All settings of the training and the units of the inputs: to tell one run from another.
    train, validation : Split
        The data that a method may see. The test split is not among them.
    generator : torch.Generator
        For a method's random draws: on `device`, and alike on all processes. It is seeded anew
        in every epoch, so that a resumed run draws the same numbers.
    """

    model: FusionNetwork
    optimizer: torch.optim.Optimizer
    loss_function: LossFunction
    epoch: int
    num_epochs: int
    batches_per_epoch: int
    device: torch.device
    num_processes: int
    recipe: str
    generator: torch.Generator
    train: Split
    validation: Split

    def new_optimizer(self, modules: Sequence[nn.Module]) -> torch.optim.Optimizer:
        """A fresh optimizer with the run's settings over the parameters of these modules."""
        ...

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch."""
        ...

    def inputs(self, split: Split, index: Tensor) -> Batch:
        """The samples of a split at these positions as one batch, in this order."""
        ...

    def batches(self, plan: Plan | None = None) -> Iterator[Batch]:
        """Iterate over shuffled training batches of a plan; None is the whole train split."""
        ...

    def evaluation_batches(self, split: Split) -> Iterator[Batch]:
        """Iterate over a split in order. Every sample comes once, and none is left out."""
        ...

    def backward(self, loss: Tensor, retain_graph: bool = False) -> None:
        """Backward pass in the run's precision. Gradients are then averaged over processes."""
        ...

    def mean(self, value: Tensor) -> Tensor:
        """Mean of a statistic over processes; the value itself where there is only one.

        Call it before a statistic becomes a coefficient, so that all processes use the same.
        """
        ...
