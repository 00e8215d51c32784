"""The training loop, on Lightning Fabric: one :class:`TrainingRun` for every method."""

from __future__ import annotations

import copy
import math
import os
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from mimo_sim import methods
from mimo_sim._checks import check_count, check_positive
from mimo_sim._files import replacing
from mimo_sim._progress import steps_bar
from mimo_sim.datasets._data import Dataset, Split
from mimo_sim.errors import NonFiniteError
from mimo_sim.methods._base import Method
from mimo_sim.methods._evaluation import evaluation_mode
from mimo_sim.methods._losses import cross_entropy, half_squared_error
from mimo_sim.methods._step import Batch, Forward, Plan
from mimo_sim.networks.encoders import make_encoder
from mimo_sim.networks.late import LateFusion
from mimo_sim.training import metrics, records

EVALUATION_NUMBERS = {
    "cpu": 2**20,
    "cuda": 2**24,
}  # input numbers per batch of an evaluation: what the cache holds, what fills the device
Schedule = Literal["step", "cosine", "constant"]
OptimizerName = Literal["sgd", "adam", "adamw"]
Precision = Literal["32-true", "bf16-mixed"]
Select = Literal["last", "best"]


@dataclass(frozen=True)
class Settings:
    """How to train, apart from method and data.

    Parameters
    ----------
    epochs, batch_size : int
        Passes over the train split; samples per step over all processes together.
    lr, momentum, weight_decay : float
        Of the optimizer; ``momentum``, in [0, 1), is used by ``sgd`` only.
    optimizer : {"sgd", "adam", "adamw"}
    schedule : {"step", "cosine", "constant"}
        Learning rate x 0.1 after 70 % of the epochs; half a cosine down to zero, by epoch; or constant.
    seed : int
        Of the start weights, the order of samples, and the method's random draws.
    devices, accelerator, precision
        As in Lightning Fabric. Several devices are several processes that average gradients. ``bf16-mixed`` runs the encoders in bfloat16.
    encoder : str, or None
        Encoder of every modality (:func:`mimo_sim.networks.encoders.make_encoder`); None: by shape. Several names joined by commas: one for each modality.
    width : int
        Feature length of every encoder.
    select : {"last", "best"}
        Keep the last epoch, or the first of those with the best validation accuracy (regression: lowest validation loss).
    probes : bool
        Fit linear probes at the end.
    probe_every : int
        Also fit them, judged on validation, after every so many epochs; 0: never.
    """

    epochs: int
    batch_size: int = 64
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 1e-4
    optimizer: OptimizerName = "sgd"
    schedule: Schedule = "step"
    seed: int = 0
    devices: int = 1
    accelerator: str = "auto"
    precision: Precision = "32-true"
    encoder: str | None = None
    width: int = 64
    select: Select = "last"
    probes: bool = True
    probe_every: int = 0

    def __post_init__(self) -> None:
        for name, least in (
            ("epochs", 1),
            ("batch_size", 1),
            ("seed", 0),
            ("devices", 1),
            ("width", 1),
            ("probe_every", 0),
        ):
            object.__setattr__(self, name, check_count(name, getattr(self, name), least))
        check_positive("lr", self.lr)
        check_positive("weight_decay", self.weight_decay, allow_zero=True)
        check_positive("momentum", self.momentum, allow_zero=True)
        if self.momentum >= 1:
            raise ValueError(f"`momentum` must be in [0, 1). Got momentum={self.momentum!r}.")
        for name, allowed in (
            ("optimizer", OptimizerName),
            ("schedule", Schedule),
            ("precision", Precision),
            ("select", Select),
        ):
            if getattr(self, name) not in get_args(allowed):
                raise ValueError(
                    f"`{name}` must be one of {get_args(allowed)}. Got {name}={getattr(self, name)!r}."
                )
        if self.batch_size % self.devices:
            raise ValueError(
                f"`batch_size` must be a multiple of `devices`. Got batch_size={self.batch_size}, devices={self.devices}."
            )

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch."""
        if self.schedule == "step":
            return self.lr * (0.1 if epoch >= 0.7 * self.epochs else 1.0)
        return self.lr * (
            0.5 * (1 + math.cos(math.pi * epoch / self.epochs))
            if self.schedule == "cosine"
            else 1.0
        )


@dataclass
class Result:
    """What a run leaves: table (one dict per epoch), final ``metrics``, ``about`` (times, versions, device), and the trained model and method.

    ``metrics["test"]`` is measured once, after training, on the selected epoch; ``metrics["validation"]`` likewise.
    """

    table: list[dict[str, float]]
    metrics: dict[str, Any]
    about: dict[str, Any]
    model: LateFusion
    method: Method
    folder: Path | None = None


@dataclass
class _Totals:
    """Sums over an epoch, kept on the device."""

    samples: int = 0
    sums: dict[str, Tensor] = field(default_factory=dict)

    def add(self, count: int, **values: Tensor) -> None:
        self.samples += count
        for name, value in values.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value

    def means(self, reduce: Callable[[Tensor], Tensor]) -> dict[str, list[float]]:
        return {
            name: (reduce(total) / self.samples).flatten().tolist()
            for name, total in self.sums.items()
        }


class TrainingRun:
    """One training from start weights to the last epoch: what a method sees as its ``run`` (:class:`mimo_sim.methods._base.Run`).

    The run holds the train and validation splits only, so nothing that happens before its end can look at test data; :meth:`test` then takes
    the test split, once. Use :func:`train`, which does all of it.

    Parameters
    ----------
    method : Method
        A copy of it is trained; the given object stays as it is.
    dataset : Dataset
    settings : Settings
    fabric : lightning_fabric.Fabric or None
        A launched one; by default made from the settings.
    """

    def __init__(
        self, method: Method, dataset: Dataset, settings: Settings, fabric: Fabric | None = None
    ) -> None:
        _check(method, dataset)
        self.fabric = fabric or _fabric(settings)
        self.settings = settings
        self.device = self.fabric.device
        self.task, self.num_outputs = dataset.task, dataset.num_outputs
        self.modality_names = [m.name for m in dataset.modalities]
        self.loss_function = cross_entropy if self.task == "classification" else half_squared_error
        self._prepare = replace(
            dataset, train=dataset.validation, test=dataset.validation
        ).prepare  # keeps no other split alive
        self.train, self.validation = (
            dataset.train.to(self.device),
            dataset.validation.to(self.device),
        )
        self.num_epochs = settings.epochs
        self.batches_per_epoch = -(-len(self.train) // settings.batch_size)
        self.epoch = 0
        self.table: list[dict[str, float]] = []
        self.seconds = 0.0
        self.finished = False
        self._tested = False
        self._optimizers: list[weakref.ref[torch.optim.Optimizer]] = []
        self._extra_passes = 0
        self._best: tuple[float, int, dict[str, Any] | None] = (-math.inf, 0, None)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(
                _stream(settings.seed, "weights")
            )  # torch.manual_seed would also seed every CUDA device
            names = (
                [name.strip() for name in settings.encoder.split(",")]
                if settings.encoder
                else [None] * dataset.num_modalities
            )
            names = names * dataset.num_modalities if len(names) == 1 else names
            if len(names) != dataset.num_modalities:
                raise ValueError(
                    f"`encoder` must name one encoder, or one for each of {self.modality_names}. Got {settings.encoder!r}."
                )
            encoders = [
                make_encoder(m, name, settings.width)
                for m, name in zip(dataset.modalities, names, strict=True)
            ]
            self.model = LateFusion(encoders, [e.width for e in encoders], dataset.num_outputs)
        if settings.precision == "bf16-mixed":
            for encoder in encoders:
                encoder.autocast = torch.bfloat16
        self.model.to(self.device)
        self.method = copy.deepcopy(method).to(self.device)
        self.generator = torch.Generator(self.device)
        self.optimizer: torch.optim.Optimizer

    # -- what methods use ---------------------------------------------------------------------------------------------------------
    def new_optimizer(self, modules: Sequence[nn.Module]) -> torch.optim.Optimizer:
        """A fresh optimizer of the run's settings, at this epoch's learning rate, over the parameters of these modules."""
        s, parameters = self.settings, [p for module in modules for p in module.parameters()]
        optimizer: torch.optim.Optimizer
        if s.optimizer == "sgd":
            optimizer = torch.optim.SGD(
                parameters, lr=s.rate(self.epoch), momentum=s.momentum, weight_decay=s.weight_decay
            )
        else:
            kind = torch.optim.Adam if s.optimizer == "adam" else torch.optim.AdamW
            optimizer = kind(parameters, lr=s.rate(self.epoch), weight_decay=s.weight_decay)
        self._optimizers = [ref for ref in self._optimizers if ref() is not None] + [
            weakref.ref(optimizer)
        ]
        return optimizer

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch."""
        return self.settings.rate(epoch)

    def inputs(self, split: Split, index: Tensor, keep: Tensor | None = None) -> Batch:
        """The samples at `index` of a split as a batch, in that order."""
        stored = [x.index_select(0, index) for x in split.inputs]
        return Batch(self._prepare(stored), split.target.index_select(0, index), index, keep)

    def batches(self, plan: Plan | None = None) -> Iterator[Batch]:
        """Shuffled training batches of a plan; every call within an epoch draws another order."""
        self._extra_passes += 1
        return self._shuffled(plan, self._extra_passes)

    def _shuffled(self, plan: Plan | None, draw: int) -> Iterator[Batch]:
        """The order depends on seed, epoch and draw alone, so a method's random numbers cannot change it, nor can a resume.

        With several processes each takes its share of every batch; a last batch that cannot be shared evenly loses up to (processes - 1) samples.
        """
        size, world, rank = (
            self.settings.batch_size,
            self.fabric.world_size,
            self.fabric.global_rank,
        )
        total = len(self.train) if plan is None else len(plan.index)
        generator = torch.Generator().manual_seed(
            _stream(self.settings.seed, "order", self.epoch, draw)
        )
        order = torch.randperm(total, generator=generator).to(self.device)
        for start in range(0, total, size):
            chosen = order[start : start + size]
            if world > 1:
                chosen = chosen[: len(chosen) // world * world][rank::world]
                if not len(chosen):
                    continue
            if plan is None:
                yield self.inputs(self.train, chosen)
            else:
                yield self.inputs(
                    self.train, plan.index[chosen], None if plan.keep is None else plan.keep[chosen]
                )

    def evaluation_batches(self, split: Split) -> Iterator[Batch]:
        """Every sample of a split once, in order, nothing dropped; every process sees all of them."""
        size = max(
            1,
            EVALUATION_NUMBERS.get(self.device.type, 2**24)
            // sum(x[0].numel() for x in split.inputs),
        )
        for index in torch.split(torch.arange(len(split), device=self.device), size):
            yield self.inputs(split, index)

    def backward(self, loss: Tensor, retain_graph: bool = False) -> None:
        """Backward pass; with several processes all gradients that exist are averaged before it returns."""
        loss.backward(retain_graph=retain_graph)  # type: ignore[no-untyped-call]
        if self.fabric.world_size > 1:
            optimizers = [optimizer for ref in self._optimizers if (optimizer := ref()) is not None]
            grads = {
                id(p): p.grad
                for o in optimizers
                for group in o.param_groups
                for p in group["params"]
                if p.grad is not None
            }
            flat = self.mean(torch.cat([g.flatten() for g in grads.values()]))
            for gradient, part in zip(
                grads.values(), torch.split(flat, [g.numel() for g in grads.values()]), strict=True
            ):
                gradient.copy_(part.view_as(gradient))

    def mean(self, value: Tensor) -> Tensor:
        """Mean over processes; `value` itself when there is one."""
        if self.fabric.world_size == 1:
            return value
        return self.fabric.all_reduce(value.detach().clone(), reduce_op="mean")  # type: ignore[return-value]

    # -- the loop -----------------------------------------------------------------------------------------------------------------
    def fit(
        self, folder: Path | None = None, on_epoch: Callable[[int], None] = lambda _: None
    ) -> None:
        """Train to the end, from the checkpoint in `folder` when there is one.

        Raises
        ------
        NonFiniteError
            When a loss or a norm is inf or nan, after the first step or at an epoch's end.
        """
        if self.finished:
            raise RuntimeError("this run is finished; make a new one to train again.")
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            self._seed("setup")
            self.method.setup(self)
            self.optimizer = self.new_optimizer([self.model, self.method])
            if folder is not None and (folder / records.CHECKPOINT).is_file():
                self._load(folder / records.CHECKPOINT)
            on_epoch(len(self.table))
            for epoch in range(len(self.table), self.method.epochs(self)):
                self._epoch(epoch)
                if folder is not None and self.fabric.is_global_zero:
                    self._save(folder / records.CHECKPOINT)
                on_epoch(1)
        if self._best[2] is not None:
            self._restore(self._best[2])
        self.finished = True

    def _seed(self, purpose: str) -> None:
        """Fresh random streams for setup or for an epoch: they depend on seed and epoch alone, so a resumed run draws what it would have drawn."""
        self.generator.manual_seed(
            _stream(self.settings.seed, f"method {purpose}")
        )  # the same on every process
        torch.manual_seed(_stream(self.settings.seed, f"global {purpose}", self.fabric.global_rank))

    def _epoch(self, epoch: int) -> None:
        start = time.perf_counter()
        row: dict[str, float] = {"epoch": epoch, "lr": self.rate(epoch)}
        for name, values in self.train_epoch(epoch).items():
            row |= self._columns(f"train_{name}", values if name == "head_loss" else values[0])
        row |= self._validate()
        row |= {
            key: value
            for name, given in self.method.report().items()
            for key, value in self._columns(name, given).items()
        }
        row["seconds"] = time.perf_counter() - start
        self.seconds += row["seconds"]
        self._refuse_non_finite(
            {
                key: value
                for key, value in row.items()
                if "loss" in key or key.startswith("encoder_norm")
            }
        )
        self.table.append(row)

    def train_epoch(self, epoch: int) -> dict[str, list[float]]:
        """All steps of one epoch; means over its samples of ``loss``, ``accuracy`` and, where the method computes them, ``head_loss`` of every modality."""
        self.epoch, self._extra_passes = epoch, 0
        self._seed(f"epoch {epoch}")
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(epoch)
        method, totals = self.method, _Totals()
        self.model.train()
        method.train()
        method.begin_epoch(self)
        for batch in self._shuffled(method.samples(self), 0):
            out = method.step(self, batch)
            self._tally(totals, out)
            if not self.table and totals.samples == len(batch.target):
                self._refuse_non_finite(
                    {"the loss of the first step": float(self.mean(totals.sums["loss"]))}
                )
            del out, batch  # the next batch can have their memory while it is warm
        method.end_epoch(self)
        self._average_buffers()
        return totals.means(self.mean)

    @torch.no_grad()
    def _tally(self, totals: _Totals, out: Forward) -> None:
        target = out.batch.target
        count = len(target)
        found = {"loss": out.loss.detach() * count}
        if self.task == "classification":
            found["accuracy"] = (out.logits.detach().argmax(1) == target).sum()
        if "head_losses" in out.__dict__:
            found["head_loss"] = out.head_losses.detach() * count
        totals.add(count, **found)

    def _columns(self, name: str, values: Any) -> dict[str, float]:
        """Table columns of a number, or of one number per modality (named after it) or per place."""
        listed = values.flatten().tolist() if isinstance(values, Tensor) and values.ndim else values
        if not isinstance(listed, list | tuple):
            return {name: float(listed)}
        labels = (
            self.modality_names
            if len(listed) == len(self.modality_names)
            else [str(i) for i in range(len(listed))]
        )
        return {
            f"{name}_{label}": float(value) for label, value in zip(labels, listed, strict=True)
        }

    def _refuse_non_finite(self, values: dict[str, Any]) -> None:
        bad = [name for name, value in values.items() if not np.isfinite(value).all()]
        if bad:
            raise NonFiniteError(
                f"training diverged in epoch {self.epoch} (counted from 0) with method {self.method.name!r}: {', '.join(bad)} not finite. "
                f"Lower `lr` (now {self.settings.rate(self.epoch):g}), or weaken the method ({_pairs(self.method.hyper) or 'no hyper-parameters'}).",
                self.epoch,
            )

    def _average_buffers(self) -> None:
        if self.fabric.world_size > 1:
            for buffer in [*self.model.buffers(), *self.method.buffers()]:
                if buffer.is_floating_point():
                    buffer.copy_(self.mean(buffer))

    # -- evaluation -----------------------------------------------------------------------------------------------------------------
    @torch.no_grad()
    def encode(self, split: Split) -> metrics.Encoded:
        """Features of every sample of a split, in eval mode; modes are restored and batch-norm statistics stay."""
        with evaluation_mode(self.model):
            parts = [self.model.features(batch.inputs) for batch in self.evaluation_batches(split)]
        return metrics.Encoded([torch.cat(h) for h in zip(*parts, strict=True)], split.target)

    @torch.no_grad()
    def _blank(self) -> list[Tensor]:
        """Features (d_k,) of an all-zero network input, in eval mode."""
        with evaluation_mode(self.model):
            return [
                h[0]
                for h in self.model.features(
                    [torch.zeros(1, *x.shape[1:], device=self.device) for x in self.train.inputs]
                )
            ]

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        """This epoch's columns about the validation split, and whether it is the best epoch so far."""
        classify = self.task == "classification"
        with evaluation_mode(self.method):
            seen = self.encode(self.validation)
            joint = self.method.fuse(self.model, seen.features)
            outputs = {"": [joint], **metrics.readings(self, seen.features)}
        row: dict[str, float] = {}
        for kind, given in outputs.items():
            for name, output in zip(
                [""] if kind == "" else self.modality_names, given, strict=True
            ):
                measured = {"loss": float(self.loss_function(output, seen.target))}
                if classify:
                    measured["accuracy"] = metrics.accuracy(output, seen.target)
                row |= {
                    "_".join(filter(None, ("validation", kind, what, name))): value
                    for what, value in measured.items()
                }
        for name, encoder in zip(self.modality_names, self.model.encoders, strict=True):
            row[f"encoder_norm_{name}"] = float(
                torch.stack([p.square().sum() for p in encoder.parameters()]).sum().sqrt()
            )
        if self.settings.probe_every and (self.epoch + 1) % self.settings.probe_every == 0:
            (found,) = metrics.probe_scores(self, self.encode(self.train), seen, [seen])
            row |= {
                f"validation_probe_{'accuracy' if classify else 'loss'}_{name}": value
                for name, value in zip(self.modality_names, found, strict=True)
            }
        score = row["validation_accuracy"] if classify else -row["validation_loss"]
        if self.settings.select == "best" and score > self._best[0]:
            self._best = (
                score,
                self.epoch,
                copy.deepcopy(
                    {"model": self.model.state_dict(), "method": self.method.state_dict()}
                ),
            )
        return row

    def test(self, split: Split) -> dict[str, Any]:
        """Final figures on validation and test, for the selected epoch.

        Raises
        ------
        RuntimeError
            If the run is not finished, or was tested before: a test split that is looked at twice has become a validation split.
        """
        if not self.finished:
            raise RuntimeError(
                "the test split is measured after training: this run is not finished."
            )
        if self._tested:
            raise RuntimeError("this run was tested already; the test split is measured once.")
        self._tested = True
        self.method.eval()
        seen = {
            "validation": self.encode(self.validation),
            "test": self.encode(split.to(self.device)),
        }
        probes: list[list[float]] | list[None] = [None, None]
        if self.settings.probes:
            probes = metrics.probe_scores(
                self, self.encode(self.train), seen["validation"], list(seen.values())
            )
        blank = self._blank()
        found: dict[str, Any] = {
            name: metrics.measure(self, one, blank, fit)
            for (name, one), fit in zip(seen.items(), probes, strict=True)
        }
        selected = self._best[1] if self.settings.select == "best" else len(self.table) - 1
        return found | {"selected_epoch": selected, "selection": self.settings.select}

    # -- checkpoints ------------------------------------------------------------------------------------------------------------------
    def _state(self) -> dict[str, Any]:
        states = {
            name: getattr(self, name).state_dict() for name in ("model", "method", "optimizer")
        }
        return states | {"table": self.table, "seconds": self.seconds, "best": self._best}

    def _save(self, path: Path) -> None:
        with replacing(path) as temporary:
            torch.save(self._state(), temporary)

    def _load(self, path: Path) -> None:
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
        except Exception as error:  # what torch raises depends on where the damage is
            raise ValueError(
                f"{path} is damaged ({type(error).__name__}). Delete it: the run then starts again."
            ) from error
        self._restore(state)
        self.optimizer.load_state_dict(state["optimizer"])
        self.table, self.seconds, self._best = (
            state["table"],
            state["seconds"],
            tuple(state["best"]),
        )

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        for path, value in state[
            "method"
        ].items():  # buffers whose shape is found in training: made as they were stored
            owner, _, name = path.rpartition(".")
            if name in (buffers := self.method.get_submodule(owner)._buffers):
                buffers[name] = value.to(self.device, copy=True)
        self.method.load_state_dict(state["method"])


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())


def _stream(seed: int, purpose: str, *more: int) -> int:
    """A 63-bit seed for a purpose: streams of different purposes are independent."""
    words = np.random.SeedSequence([seed, *purpose.encode(), *more]).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))


def _check(method: Method, dataset: Dataset) -> None:
    if refusal := method.refusal(dataset.task, dataset.num_modalities):
        raise ValueError(f"{refusal} ({dataset.name}).")
    dataset.check()


def train(
    method: Method | str,
    dataset: Dataset,
    *,
    epochs: int,
    folder: str | Path | None = None,
    progress: bool = False,
    on_epoch: Callable[[int], None] | None = None,
    config: dict[str, Any] | None = None,
    **settings: Any,
) -> Result:
    """Train a method on a data set, then measure it on validation and, once, on test.

    Parameters
    ----------
    method : Method or str
        An object from :func:`mimo_sim.methods.create`, or a registered name with its published defaults. It is copied, not changed.
    dataset : Dataset
    epochs : int
    folder : path or None
        Where the run's record goes (:mod:`mimo_sim.training.records`). A checkpoint after every epoch makes a killed run continue, on a CPU to the
        same bytes; a finished run is refused.
    progress : bool
        A bar of epochs on stderr.
    on_epoch : function or None
        Called with the number of epochs that were just done.
    config : dict or None
        What the record's ``config.json`` says, when it is more than method, data set and settings.
    **settings
        The fields of :class:`Settings`.

    Returns
    -------
    Result

    Raises
    ------
    ValueError, TypeError
        For a bad argument, a method that is not defined for this number of modalities, a folder with another or a finished run.
    NonFiniteError
        When training diverges.
    """
    options = Settings(epochs=epochs, **settings)
    method = methods.create(method) if isinstance(method, str) else method
    for given, kind, how in (
        (method, Method, "a name or an object of mimo_sim.methods"),
        (dataset, Dataset, "what mimo_sim.datasets.load returns"),
    ):
        if not isinstance(given, kind):
            raise TypeError(f"`{kind.__name__.lower()}` must be {how}. Got {given!r}.")
    record = (
        None
        if folder is None
        else records.Record(Path(folder), config or records.describe(method, dataset, options))
    )
    if record is not None:
        record.open()
    fabric = _fabric(options)
    with steps_bar(epochs, progress, f"{method.name} on {dataset.name}") as advance:

        def tick(count: int) -> None:
            advance(count)
            if on_epoch is not None:
                on_epoch(count)

        if options.devices == 1:
            result = _train(
                fabric, method, dataset, options, None if record is None else record.folder, tick
            )
        else:
            result = _train_spawning(
                fabric, method, dataset, options, None if record is None else record.folder
            )
    if record is not None:
        record.close(result)
        result.folder = record.folder
    return result


def _train(
    fabric: Fabric,
    method: Method,
    dataset: Dataset,
    settings: Settings,
    folder: Path | None,
    on_epoch: Callable[[int], None] = lambda _: None,
) -> Result:
    run = TrainingRun(method, dataset, settings, fabric)
    run.fit(folder, on_epoch)
    measured = run.test(dataset.test)
    data = {
        "name": dataset.name,
        "modalities": run.modality_names,
        "sizes": [len(s) for s in (dataset.train, dataset.validation, dataset.test)],
    }
    about = {
        "seconds": run.seconds,
        "data": data | dict(dataset.about),
        "parameters": sum(p.numel() for p in run.model.parameters()),
        **records.environment(run.device),
    }
    return Result(run.table, measured, about, run.model, run.method)


def _train_spawning(
    fabric: Fabric, method: Method, dataset: Dataset, settings: Settings, folder: Path | None
) -> Result:
    """Train in processes of their own; process 0 leaves the result in a file, as queues of dead processes lose tensors."""
    environment = dict(os.environ)
    try:
        with tempfile.TemporaryDirectory() as place:
            work = partial(
                _one_of_several,
                method=method,
                dataset=dataset,
                settings=settings,
                folder=folder,
                place=place,
            )
            fabric.launch(
                work
            )  # not as arguments: the launcher walks through those and refuses frozen dataclasses
            found = torch.load(Path(place) / "result.pt", weights_only=False)
    finally:  # the launcher leaves its port there, which the next run may find taken
        for name in {*os.environ} - {*environment}:
            del os.environ[name]
    if isinstance(found, NonFiniteError):
        raise found
    return found  # type: ignore[no-any-return]


def _one_of_several(
    fabric: Fabric,
    *,
    method: Method,
    dataset: Dataset,
    settings: Settings,
    folder: Path | None,
    place: str,
) -> None:
    found: Result | NonFiniteError
    try:
        found = _train(fabric, method, dataset, settings, folder)
    except NonFiniteError as error:  # on every process alike
        found = error
    if fabric.is_global_zero:
        torch.save(found, Path(place) / "result.pt")


def _fabric(settings: Settings) -> Fabric:
    return Fabric(
        accelerator=settings.accelerator,
        devices=settings.devices,
        strategy="auto" if settings.devices == 1 else "ddp_spawn",
        precision=settings.precision,
    )
