"""The training loop, on Lightning Fabric: one :class:`TrainingRun` for every method."""

from __future__ import annotations

import copy
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from mimo_sim.datasets._data import Dataset, Split, prepare
from mimo_sim.datasets._on_disk import stays_on_disk
from mimo_sim.errors import NonFiniteError
from mimo_sim.methods._base import Method
from mimo_sim.methods._losses import LossFunction, cross_entropy, half_squared_error
from mimo_sim.methods._step import Batch, Forward, Plan
from mimo_sim.networks import get_network
from mimo_sim.training import checkpoint, evaluation, origins
from mimo_sim.training._ahead import made_ahead
from mimo_sim.training._augment import augmented, masked, masked_places
from mimo_sim.training._build import OwnEncoder, make_fabric, make_network, make_optimizer
from mimo_sim.training._capture import Steps
from mimo_sim.training._streams import order, stream
from mimo_sim.training._table import Totals, columns
from mimo_sim.training.records import CHECKPOINT
from mimo_sim.training.settings import Settings

if TYPE_CHECKING:
    from lightning_fabric import Fabric

EVALUATION_NUMBERS = {  # input numbers per batch of an evaluation
    "cpu": 2**20,  # what the cache holds
    "cuda": 2**24,  # what fills the device
}


class TrainingRun:
    """One training from start weights to the last epoch.

    It is what a method sees as its ``run`` (:class:`mimo_sim.methods._run.Run`). The run holds the
    train and validation splits only, so nothing can look at test data during training. After that,
    :meth:`test` takes the test split, once. :func:`mimo_sim.training.train` does all of this.

    Parameters
    ----------
    method : Method
        A copy of it is trained; the given object stays as it is.
    dataset : Dataset
    settings : Settings
    fabric : lightning_fabric.Fabric or None
        A launched one; None makes one from the settings.
    encoders : mapping
        Own encoders by modality; see :func:`mimo_sim.training.train`.

    Raises
    ------
    ValueError, TypeError
        For a method that is not defined for the data set, bad numbers in the data, or an encoder
        that does not fit.
    """

    def __init__(
        self,
        method: Method,
        dataset: Dataset,
        settings: Settings,
        fabric: Fabric | None = None,
        encoders: Mapping[str, OwnEncoder] = {},
    ) -> None:
        network = get_network(settings.fusion)
        refusal = method.refusal(dataset.task, dataset.num_modalities, network)
        if refusal:
            raise ValueError(f"{refusal} ({dataset.name}).")
        dataset.check()
        self.fabric = fabric or make_fabric(settings)
        self.settings = settings
        self.device = self.fabric.device
        self.origin = origins.here()
        self.num_processes = self.fabric.world_size
        self.task, self.num_outputs = dataset.task, dataset.num_outputs
        self.modalities = dataset.modalities
        self.recipe = repr((settings, dataset.modalities))
        self.modality_names = [modality.name for modality in dataset.modalities]
        shapes = {modality.name: modality.shape for modality in dataset.modalities}
        self.masked = masked_places(settings.masks, shapes)
        self.loss_function: LossFunction = (
            cross_entropy if self.task == "classification" else half_squared_error
        )
        self.train = dataset.train.to(self.device)
        self.validation = dataset.validation.to(self.device)
        self.num_epochs = settings.epochs
        self.batches_per_epoch = -(-len(self.train) // settings.batch_size)
        self.epoch = 0
        self.table: list[dict[str, float]] = []
        self.seconds = 0.0
        self.selection = evaluation.Selection(settings.select)
        self.finished = False
        self._tested = False
        self._optimizers: list[weakref.ref[torch.optim.Optimizer]] = []
        self._extra_passes = 0
        self.model = make_network(dataset, settings, encoders).to(self.device)
        self.method = copy.deepcopy(method).to(self.device)
        self.generator = torch.Generator(self.device)
        self.optimizer: torch.optim.Optimizer
        self.steps = Steps(self)

    # ------------------------------------------------------------------------ what methods use

    def new_optimizer(self, modules: Sequence[nn.Module]) -> torch.optim.Optimizer:
        """A fresh optimizer over the parameters of these modules.

        It has the run's settings and this epoch's learning rate.
        """
        optimizer = make_optimizer(self.settings, modules, self.epoch)
        alive = [reference for reference in self._optimizers if reference() is not None]
        self._optimizers = [*alive, weakref.ref(optimizer)]
        return optimizer

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch."""
        return self.settings.rate(epoch)

    def inputs(self, split: Split, index: Tensor, keep: Tensor | None = None) -> Batch:
        """The samples at `index` of a split as a batch, in that order."""
        stored = [x.index_select(0, index) for x in split.inputs]
        target = split.target.index_select(0, index)
        return Batch(prepare(self.modalities, stored), target, index, keep)

    def batches(self, plan: Plan | None = None) -> Iterator[Batch]:
        """Shuffled training batches of a plan; every call within an epoch draws another order."""
        self._extra_passes += 1
        return self._shuffled(plan, self._extra_passes)

    def _shuffled(self, plan: Plan | None, draw: int) -> Iterator[Batch]:
        """Training batches in the order of a draw."""
        batches = self._made(self.train, self._chosen(plan, draw))
        if self.settings.augment == "none" and not self.masked:
            return batches
        return (self._augmented(batch, draw) for batch in batches)

    def _augmented(self, batch: Batch, draw: int) -> Batch:
        kind, drawn = self.settings.augment, (self.settings.seed, self.epoch, draw)
        inputs = list(batch.inputs)
        if kind != "none":
            inputs = augmented(inputs, batch.index, kind, *drawn)
        inputs = masked(inputs, batch.index, self.masked, *drawn)
        return replace(batch, inputs=inputs)

    def _made(
        self, split: Split, wanted: Iterable[tuple[Tensor, Tensor | None]]
    ) -> Iterator[Batch]:
        """A batch for each index and `keep`; where the samples are on the disk it is read ahead."""

        def make(one: tuple[Tensor, Tensor | None]) -> Batch:
            return self.inputs(split, *one)

        if any(stays_on_disk(x) for x in split.inputs):
            return made_ahead(wanted, make)
        return map(make, wanted)

    def _chosen(self, plan: Plan | None, draw: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Index and `keep` of every training batch of a draw.

        The order depends on seed, epoch and draw alone, so neither a method's random numbers nor a
        resume can change it. With several processes each takes its share of every batch; a last
        batch that cannot be shared evenly loses up to (processes - 1) samples.
        """
        size, world = self.settings.batch_size, self.fabric.world_size
        total = len(self.train) if plan is None else len(plan.index)
        positions = order(total, self.settings.seed, self.epoch, draw).to(self.device)
        parts = [positions] if plan is None else plan.parts(positions)
        for chosen in chain.from_iterable(torch.split(part, size) for part in parts):
            if world > 1:
                even = len(chosen) // world * world
                chosen = chosen[:even][self.fabric.global_rank :: world]
            if not len(chosen):
                continue
            if plan is None:
                yield chosen, None
            else:
                yield plan.index[chosen], None if plan.keep is None else plan.keep[chosen]

    def evaluation_batches(self, split: Split) -> Iterator[Batch]:
        """Every sample of a split once, in order; every process sees all of them."""
        numbers_per_sample = sum(x[0].numel() for x in split.inputs)
        size = max(1, EVALUATION_NUMBERS.get(self.device.type, 2**24) // numbers_per_sample)
        parts = torch.split(torch.arange(len(split), device=self.device), size)
        return self._made(split, ((index, None) for index in parts))

    def backward(self, loss: Tensor, retain_graph: bool = False) -> None:
        """Backward pass; with several processes all gradients are averaged before it returns."""
        loss.backward(retain_graph=retain_graph)  # type: ignore[no-untyped-call]
        if self.fabric.world_size > 1:
            gradients = self._gradients()
            flat = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
            parts = torch.split(flat, [gradient.numel() for gradient in gradients])
            for gradient, part in zip(gradients, parts, strict=True):
                gradient.copy_(part.view_as(gradient))

    def _gradients(self) -> list[Tensor]:
        """The gradients that exist, of all parameters of all optimizers, each once."""
        found: dict[int, Tensor] = {}
        for reference in self._optimizers:
            optimizer = reference()
            if optimizer is None:
                continue
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        found[id(parameter)] = parameter.grad
        return list(found.values())

    def mean(self, value: Tensor) -> Tensor:
        """Mean over processes; `value` itself when there is one."""
        if self.fabric.world_size == 1:
            return value
        return self.fabric.all_reduce(value.detach().clone(), reduce_op="mean")  # type: ignore[return-value]

    # -------------------------------------------------------------------------------- the loop

    def fit(
        self, folder: Path | None = None, on_epoch: Callable[[int], None] = lambda _: None
    ) -> None:
        """Train to the end, from the checkpoint in `folder` when there is one.

        Parameters
        ----------
        folder : path or None
            Where a checkpoint is kept after every epoch.
        on_epoch : function
            Called with the number of epochs just done.

        Raises
        ------
        NonFiniteError
            When a loss or a norm is inf or nan, after the first step or at an epoch's end.
        RuntimeError
            If the run is finished.
        """
        if self.finished:
            raise RuntimeError("this run is finished; make a new one to train again.")
        path = None if folder is None else folder / CHECKPOINT
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            self._seed("setup")
            self.method.setup(self)
            self.optimizer = self.new_optimizer([self.model, self.method])
            if path is not None and path.is_file():
                checkpoint.load(self, path)
            on_epoch(len(self.table))
            for epoch in range(len(self.table), self.method.epochs(self)):
                self._epoch(epoch)
                if path is not None and self.fabric.is_global_zero:
                    checkpoint.save(self, path)
                on_epoch(1)
        _, _, best_state = self.selection.best
        if best_state is not None:
            checkpoint.restore(self, best_state)
        self.finished = True

    def _seed(self, purpose: str) -> None:
        """Fresh random streams for setup or for an epoch.

        They depend on the seed and the epoch alone, so a resumed run draws what it would have
        drawn. The method's generator is the same on every process.
        """
        seed = self.settings.seed
        self.generator.manual_seed(stream(seed, f"method {purpose}"))
        torch.manual_seed(stream(seed, f"global {purpose}", self.fabric.global_rank))

    def _epoch(self, epoch: int) -> None:
        """Train and validate one epoch; add its row to the table."""
        start = time.perf_counter()
        row: dict[str, float] = {"epoch": epoch, "lr": self.rate(epoch)}
        for name, values in self.train_epoch(epoch).items():
            value = values if name == "head_loss" else values[0]
            row.update(columns(f"train_{name}", value, self.modality_names))
        every = self.settings.probe_every
        probe = every > 0 and (epoch + 1) % every == 0
        row.update(evaluation.validate(self, probe=probe))
        self.selection.offer(evaluation.validation_score(self, row), epoch, self)
        for name, value in self.method.report().items():
            row.update(columns(name, value, self.modality_names))
        row["seconds"] = time.perf_counter() - start
        self.seconds += row["seconds"]
        judged = [name for name in row if "loss" in name or name.startswith("encoder_norm")]
        self._refuse_non_finite({name: row[name] for name in judged})
        self.table.append(row)

    def train_epoch(self, epoch: int) -> dict[str, list[float]]:
        """All steps of one epoch.

        Returns
        -------
        dict
            Means over the samples: ``loss``; for classification ``accuracy``; and where the method
            computes them ``head_loss``, one number for each modality.
        """
        self.epoch, self._extra_passes = epoch, 0
        self._seed(f"epoch {epoch}")
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(epoch)
        method, totals = self.method, Totals()
        self.model.train()
        method.train()
        method.begin_epoch(self)
        self.steps.begin_epoch()
        for batch in self._shuffled(method.samples(self), 0):
            out = self.steps.take(self, batch)
            self._tally(totals, out)
            if not self.table and totals.samples == len(batch.target):
                loss = float(self.mean(totals.sums["loss"]))
                self._refuse_non_finite({"the loss of the first step": loss})
            del out, batch  # the next batch can have their memory while it is warm
        self._average_buffers()  # before too: a method may look at the network
        method.end_epoch(self)
        self._average_buffers()
        return totals.means(self.mean)

    @torch.no_grad()
    def _tally(self, totals: Totals, out: Forward) -> None:
        """Add what a step has measured to the sums of its epoch."""
        target = out.batch.target
        count = len(target)
        sums = {"loss": out.loss.detach() * count}
        if self.task == "classification":
            sums["accuracy"] = (out.logits.detach().argmax(1) == target).sum()
        if "head_losses" in vars(out):  # computed, because the method asked for them
            sums["head_loss"] = out.head_losses.detach() * count
        totals.add(count, **sums)

    def _refuse_non_finite(self, values: dict[str, float]) -> None:
        bad = [name for name, value in values.items() if not np.isfinite(value)]
        if bad:
            hyper = ", ".join(f"{key}={value}" for key, value in self.method.hyper.items())
            raise NonFiniteError(
                f"training diverged in epoch {self.epoch} (counted from 0) with method "
                f"{self.method.name!r}: {', '.join(bad)} not finite. Lower `lr` (now "
                f"{self.rate(self.epoch):g}), or weaken the method "
                f"({hyper or 'no hyper-parameters'}).",
                self.epoch,
            )

    def _average_buffers(self) -> None:
        if self.fabric.world_size > 1:
            for buffer in [*self.model.buffers(), *self.method.buffers()]:
                if buffer.is_floating_point():
                    buffer.copy_(self.mean(buffer))

    # ------------------------------------------------------------------------------ evaluation

    def encode(self, split: Split) -> evaluation.Encoded:
        """Features of every sample of a split; see :func:`mimo_sim.training.evaluation.encode`."""
        return evaluation.encode(self, split)

    def test(self, split: Split | None) -> dict[str, Any]:
        """Final figures of the selected epoch: on validation and, if there is a `split`, on test.

        Raises
        ------
        RuntimeError
            If the run is not finished, or was tested before: a test split that is looked at twice
            has become a validation split.
        """
        if not self.finished:
            raise RuntimeError(
                "the test split is measured after training: this run is not finished."
            )
        if self._tested:
            raise RuntimeError("this run was tested already; the test split is measured once.")
        self._tested = True
        self.model.eval()
        self.method.eval()
        test = None if split is None else split.to(self.device)
        found = evaluation.final_figures(self, test, probes=self.settings.probes)
        found["selected_epoch"] = self.selection.epoch(len(self.table))
        found["selection"] = self.settings.select
        return found
