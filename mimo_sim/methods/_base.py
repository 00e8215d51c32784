"""The interface of a balancing method: one training loop, and hooks that are identities unless a method overrides them.

The loop (:mod:`mimo_sim.training`) does::

    method.setup(run)                                  # once, before the first epoch; on a resume before the state is loaded
    for epoch in range(method.epochs(run)):
        method.begin_epoch(run)                        # prototypes, re-initialisation, blend weights
        plan = method.samples(run)                     # which samples, and which modalities of each, this epoch trains on
        for batch in shuffled(plan):
            method.step(run, batch)                    # one batch: forward, objective, backward, gradients, optimizer
        method.end_epoch(run)

and :meth:`Method.step` is made of the smaller hooks ``features``, ``fuse``, ``objective``, ``backward`` and ``gradients``. Whatever a method
keeps from one epoch to the next is a buffer or parameter of itself, so it is checkpointed, moves between devices, and never leaks into another run.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

if TYPE_CHECKING:
    from mimo_sim.datasets._data import Split
    from mimo_sim.networks.late import LateFusion

Family = Literal["reference", "data", "feed-forward", "objective", "gradient", "multi-phase"]


@dataclass(frozen=True)
class Batch:
    """B samples: network inputs (B, *shape_k) per modality, target (B,) or (B, m), position in the train split (B,), and which modalities are kept (B, K)."""

    inputs: list[Tensor]
    target: Tensor
    index: Tensor
    keep: Tensor | None = (
        None  # bool; None: all. A modality that is not kept has a zero feature and passes no gradient
    )


@dataclass(frozen=True)
class Plan:
    """An epoch's samples: positions in the train split (n',), repeats allowed, and the modalities kept of each (n', K) bool, None for all.

    The loop shuffles them.
    """

    index: Tensor
    keep: Tensor | None = None


@dataclass
class Forward:
    """One forward pass; losses are computed when first asked for."""

    model: LateFusion
    batch: Batch
    features: list[Tensor]  # h_k (B, d_k), after the method's changes
    logits: Tensor  # (B, C) joint output
    loss_function: LossFunction
    weight: Tensor | None = None  # (B,) sample weights of the joint loss, None: plain mean
    notes: dict[str, Any] = field(default_factory=dict)  # between hooks of one step

    @cached_property
    def loss(self) -> Tensor:
        """The joint loss L, 0-dim."""
        if self.weight is None:
            return self.loss_function(self.logits, self.batch.target)
        each = self.loss_function(self.logits, self.batch.target, reduction="none")
        return (self.weight * each).sum() / self.weight.sum().clamp_min(1)

    @cached_property
    def head_losses(self) -> Tensor:
        """l_k of the uni-modal heads, (K,)."""
        return torch.stack(
            [
                self.loss_function(v, self.batch.target)
                for v in self.model.head_logits(self.features)
            ]
        )

    @cached_property
    def sliced(self) -> list[Tensor]:
        """Sliced logits a_k (B, C), detached: for statistics."""
        with torch.no_grad():
            return self.model.sliced([h.detach() for h in self.features])


class LossFunction(Protocol):
    """Cross-entropy or half the mean squared error, by batch mean or (B,) with reduction="none"."""

    def __call__(self, output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
        """Loss of outputs (B, C) against targets (B,) or (B, m)."""
        ...


def cross_entropy(output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Cross-entropy of logits (B, C) and classes (B,)."""
    return F.cross_entropy(output, target, reduction=reduction)


def half_squared_error(output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """1/2 |y - yhat|^2 per sample (B,), or its batch mean: the toy's loss."""
    each = 0.5 * (output - target).square().sum(dim=1)
    return each if reduction == "none" else each.mean()


class Run(Protocol):
    """What a method may use of the run it is in. ``mimo_sim.training`` provides it; tests may provide a small one."""

    model: LateFusion
    optimizer: torch.optim.Optimizer
    loss_function: LossFunction
    epoch: int  # zero-based
    num_epochs: int
    batches_per_epoch: int
    device: torch.device
    generator: torch.Generator  # for a method's random draws (on `device`, alike on all processes); seeded anew in every epoch, so a resume draws the same
    train: Split
    validation: Split

    def new_optimizer(self, modules: Sequence[nn.Module]) -> torch.optim.Optimizer:
        """A fresh optimizer of the run's settings over the parameters of these modules."""
        ...

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch."""
        ...

    def inputs(self, split: Split, index: Tensor) -> Batch:
        """The samples at `index` of a split as a batch (without shuffling)."""
        ...

    def batches(self, plan: Plan | None = None) -> Any:
        """Iterate over shuffled training batches of a plan (the whole train split by default)."""
        ...

    def evaluation_batches(self, split: Split) -> Any:
        """Iterate over every sample of a split once, in order, nothing dropped."""
        ...

    def backward(self, loss: Tensor, retain_graph: bool = False) -> None:
        """Backward pass under the run's precision; gradients are averaged over processes before it returns."""
        ...

    def mean(self, value: Tensor) -> Tensor:
        """Mean of a statistic over processes (itself when there is one). Call it before a statistic becomes a coefficient."""
        ...


class Method(nn.Module):
    """A balancing method. Subclass it in a new module of this package: that is all it takes to register it.

    Class attributes: ``name`` (registry key), ``family``, ``about`` (one line with the source), ``uses_heads`` (trains the uni-modal heads of the model),
    ``needs_classes`` (not defined for regression), ``min_modalities``, ``max_modalities`` (None: no bound). The constructor takes the hyper-parameters as
    keyword arguments with the published defaults, checks them and hands them on to this one, ``super().__init__(alpha=alpha)``: they become ``self.hyper``,
    which records and tables show.

    Raises
    ------
    TypeError
        If what is handed on are not the constructor's hyper-parameters.
    """

    name: ClassVar[str] = ""
    family: ClassVar[Family] = "reference"
    about: ClassVar[str] = ""
    uses_heads: ClassVar[bool] = False
    needs_classes: ClassVar[bool] = False
    min_modalities: ClassVar[int] = 1
    max_modalities: ClassVar[int | None] = None

    def __init__(self, **hyper: Any) -> None:
        super().__init__()
        self.refuse_unknown(hyper)
        if missing := [
            key for key in self.hyper_names() if key not in hyper
        ]:  # runs that differ in them would be taken for the same
            where = f"method {self.name!r} in {type(self).__module__}"
            raise TypeError(
                f"{where} must hand all hyper-parameters to super().__init__. Missing: {', '.join(missing)}."
            )
        self.hyper = hyper

    @classmethod
    def hyper_names(cls) -> tuple[str, ...]:
        """Names of the hyper-parameters: the constructor's arguments."""
        return tuple(
            p.name
            for p in inspect.signature(cls).parameters.values()
            if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        )

    @classmethod
    def refuse_unknown(cls, hyper: Mapping[str, Any]) -> None:
        """Raise TypeError for a hyper-parameter that the method does not have."""
        allowed = cls.hyper_names()
        if unknown := [key for key in hyper if key not in allowed]:
            raise TypeError(
                f"method {cls.name!r} takes {allowed or 'no hyper-parameters'}. Got {', '.join(unknown)}."
            )

    def extra_repr(self) -> str:
        """The hyper-parameters."""
        return ", ".join(f"{key}={value!r}" for key, value in self.hyper.items())

    @classmethod
    def refusal(cls, task: str, num_modalities: int | None) -> str:
        """Why it is not defined for data of this task and number of modalities (None: not known); empty where it is."""
        if cls.needs_classes and task != "classification":
            return f"method {cls.name!r} is defined for classification. Got {task}"
        if num_modalities is not None and not cls.min_modalities <= num_modalities <= (
            cls.max_modalities or num_modalities
        ):
            most = "any number" if cls.max_modalities is None else f"at most {cls.max_modalities}"
            return f"method {cls.name!r} needs at least {cls.min_modalities} and {most} of modalities. Got {num_modalities}"
        return ""

    # -- once, per epoch ------------------------------------------------------------------------------------------------------------
    def setup(self, run: Run) -> None:
        """Make buffers for this model and data; refuse models the method is not defined for. Must not change the model."""

    def epochs(self, run: Run) -> int:
        """Number of epochs of the loop; methods that spend passes elsewhere may return fewer."""
        return run.num_epochs

    def begin_epoch(self, run: Run) -> None:
        """Before the first batch of epoch ``run.epoch``."""

    def samples(self, run: Run) -> Plan | None:
        """The samples of this epoch; None is the whole train split once."""
        return None

    def end_epoch(self, run: Run) -> None:
        """After the last batch of epoch ``run.epoch``."""

    # -- one batch --------------------------------------------------------------------------------------------------------------
    def step(self, run: Run, batch: Batch) -> Forward:
        """One optimizer step. Alternating methods override this; others override the hooks below."""
        out = self.forward_pass(run, batch)
        run.optimizer.zero_grad(set_to_none=True)
        self.backward(run, out)
        self.gradients(run, out)
        run.optimizer.step()
        return out

    def forward_pass(self, run: Run, batch: Batch) -> Forward:
        """Encode, let :meth:`features` change the features, fuse."""
        features = run.model.features(batch.inputs)
        if batch.keep is not None:
            features = [h * batch.keep[:, k, None] for k, h in enumerate(features)]
        features, weight = self.features(run, features, batch)
        return Forward(
            run.model, batch, features, self.fuse(run.model, features), run.loss_function, weight
        )

    def features(
        self, run: Run, features: list[Tensor], batch: Batch
    ) -> tuple[list[Tensor], Tensor | None]:
        """Features h_k (B, d_k) to train on, and sample weights (B,) of the joint loss (None: equal)."""
        return features, None

    def fuse(self, model: LateFusion, features: Sequence[Tensor]) -> Tensor:
        """Joint output (B, C) of features; used in training and in evaluation."""
        return model.fuse(features)

    def objective(self, run: Run, out: Forward) -> Tensor:
        """What is minimised, 0-dim."""
        return out.loss

    def backward(self, run: Run, out: Forward) -> None:
        """Fill ``.grad``; methods that weigh several gradients override this."""
        run.backward(self.objective(run, out))

    def gradients(self, run: Run, out: Forward) -> None:
        """Change ``.grad`` before the optimizer step."""

    # -- evaluation ------------------------------------------------------------------------------------------------------------
    def unimodal_outputs(
        self, model: LateFusion, features: Sequence[Tensor]
    ) -> list[Tensor] | None:
        """Outputs (B, C) of the method's own uni-modal predictors, or None when it trains none."""
        return model.head_logits(features) if self.uses_heads else None

    def report(self) -> dict[str, Any]:
        """Numbers worth a column in the epoch table (sigma, weights, coefficients); called once per epoch, after its last batch."""
        return {}
