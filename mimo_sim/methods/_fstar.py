r"""Rules that estimate the best uni-modal losses :math:`f_k^*` of networks, one small class each.

On full-batch losses the paper's running minimum is harmless: it never lies below the true minimum.
On mini-batches it falls, by chance, to the lowest of many noisy losses. Zero has another fault. The
modality with the largest loss that no training can remove is then the worst one for ever. The rules
here differ in what they take the minimum of, and in what they cost:

===================  ===================================================  =========================
rule                 f_k^*                                                cost
===================  ===================================================  =========================
``running_minimum``  smallest (smoothed) training loss so far             none
``epoch_minimum``    smallest epoch mean of the training loss so far      none
``extrapolation``    where a decaying curve through the epoch means ends  none
``validation``       smallest validation loss of the head so far          a validation pass an epoch
``reference``        smallest epoch mean of the modality trained alone,   one uni-modal training
                     from the same initial weights
``zero``, numbers    constants                                            none
===================  ===================================================  =========================
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import torch
from torch import Tensor

from mimo_sim._checks import check_count, did_you_mean
from mimo_sim.methods import _references
from mimo_sim.methods._buffers import SizedByLosses
from mimo_sim.methods._curves import curve_limit
from mimo_sim.methods._evaluation import evaluation_losses
from mimo_sim.objective import running_minimum

if TYPE_CHECKING:
    from mimo_sim.methods._run import Run

Numbers: TypeAlias = float | Sequence[float]

PATIENCE = 1000
"""After so many steps without the end of an epoch, a rule that goes by epochs says so."""


class FStar(SizedByLosses):
    """An estimate of f* (K,), in units of the loss. Subclasses override the hooks they need.

    All state is in buffers, so a checkpoint holds it.
    """

    name: ClassVar[str] = ""
    value: Tensor
    """The estimate (K,); empty before the first losses."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value", torch.empty(0))

    def observe(self, losses: Tensor, smoothed: Tensor) -> Tensor:
        """The estimate (K,) to use in a step.

        Parameters
        ----------
        losses, smoothed : Tensor (K,)
            The losses of the step, which may not be finite, and their exponential averages, which
            are inf for a modality without a finite loss so far. Both are without gradient.
        """
        if not self.value.numel():
            self.value = torch.full_like(losses, torch.inf)
        return self.value

    def begin_epoch(self, run: Run | None) -> None:
        """Called before the first step of an epoch."""

    def end_epoch(self, run: Run | None) -> None:
        """Called after the last step of an epoch."""

    def report(self) -> dict[str, float]:
        """What the estimate cost, if anything."""
        return {}


class Constant(FStar):
    """Given numbers: one for all modalities, or one per modality.

    Raises
    ------
    TypeError
        If they are not numbers.
    ValueError
        If they are not finite.
    """

    def __init__(self, values: Numbers) -> None:
        super().__init__()
        try:
            if isinstance(values, bool):
                raise TypeError
            self.numbers = torch.as_tensor(values, dtype=torch.float64)
        except (TypeError, ValueError, RuntimeError):
            raise TypeError(f"{_allowed()} Got f_star={values!r}.") from None
        if self.numbers.ndim > 1 or not self.numbers.numel() or not self.numbers.isfinite().all():
            raise ValueError(
                "`f_star` must be finite: a number or one number per modality. "
                f"Got f_star={values!r}."
            )

    def observe(self, losses: Tensor, smoothed: Tensor) -> Tensor:
        """The numbers."""
        if not self.value.numel():
            if self.numbers.ndim and len(self.numbers) != len(losses):
                raise ValueError(
                    f"`f_star` must hold one number per modality ({len(losses)}). "
                    f"Got {self.numbers.tolist()}."
                )
            self.value = self.numbers.to(losses).expand(len(losses)).clone()
        return self.value


class Zero(Constant):
    """Zero for every modality."""

    name: ClassVar[str] = "zero"

    def __init__(self) -> None:
        super().__init__(0.0)


class RunningMinimum(FStar):
    """The smallest smoothed loss so far. The loss of the current step counts already."""

    name: ClassVar[str] = "running_minimum"

    def observe(self, losses: Tensor, smoothed: Tensor) -> Tensor:
        """The estimate after the smoothed losses of this step."""
        self.value = running_minimum(super().observe(losses, smoothed), smoothed)
        return self.value


class PerEpoch(RunningMinimum):
    """A rule that looks at one loss per modality and epoch.

    During the first epoch it is a running minimum. Subclasses say which loss an epoch gives
    (:meth:`summary`) and which estimate follows from all epochs so far (:meth:`estimate`). A loss
    that is not finite does not count. Without :meth:`end_epoch` the first epoch never ends; outside
    the trainer a warning says so after :data:`PATIENCE` steps.
    """

    history: Tensor
    """One row per epoch so far (epochs, K); inf where an epoch had no finite loss."""
    total: Tensor
    """Sum (K,) of the finite training losses of this epoch."""
    count: Tensor
    """How many they are (K,)."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("history", torch.empty(0, 0))
        self.register_buffer("total", torch.empty(0))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))
        self.steps = 0  # of the first epoch; counted here, so that nothing waits for the device
        self.in_trainer = False

    def begin_epoch(self, run: Run | None) -> None:
        """Remember whether the trainer runs the epochs."""
        self.in_trainer = run is not None

    def observe(self, losses: Tensor, smoothed: Tensor) -> Tensor:
        """The estimate from the epochs so far; in the first epoch the running minimum."""
        finite = losses.isfinite()
        counted = torch.where(finite, losses, 0)
        self.total = self.total + counted if self.total.numel() else counted
        self.count = self.count + finite
        if not torch.compiler.is_compiling():  # compiled code would be a new one in every step
            self._count_step()
        if not len(self.history):
            return super().observe(losses, smoothed)
        known = self.history.isfinite().any(0)
        self.value = torch.where(known, self.value, running_minimum(self.value, smoothed))
        return self.value

    def _count_step(self) -> None:
        """Warn once where nobody seems to end the epochs."""
        self.steps += 1
        if self.steps == PATIENCE and not len(self.history) and not self.in_trainer:
            warnings.warn(
                f"f_star={self.name!r} goes by epochs, but `end_epoch` was not called in "
                f"{PATIENCE} steps: until then f* is the running minimum. Call `end_epoch()` after "
                "every epoch; ignore this if your epochs have more steps.",
                stacklevel=2,
            )

    def summary(self, run: Run | None) -> Tensor:
        """The loss (K,) of the epoch that ends: the mean of its training losses."""
        return self.total / self.count

    def estimate(self, history: Tensor) -> Tensor:
        """f* (K,) from the losses (epochs, K) so far: the smallest of each column."""
        return history.amin(0)

    def end_epoch(self, run: Run | None) -> None:
        """Add this epoch to the history and renew the estimate."""
        if not self.total.numel():
            return
        row = self.summary(run).to(self.total)[None]
        row = torch.where(row.isfinite(), row, torch.inf)
        self.history = torch.cat([self.history, row]) if len(self.history) else row
        self.value = self.estimate(self.history)
        self.total = torch.zeros_like(self.total)
        self.count = torch.zeros_like(self.count)


class EpochMinimum(PerEpoch):
    """The smallest epoch mean of the training loss so far."""

    name: ClassVar[str] = "epoch_minimum"


class Validation(PerEpoch):
    """The smallest validation loss of the modality's head so far.

    Unlike a training loss it cannot fall by memorising the train split.
    """

    name: ClassVar[str] = "validation"

    def summary(self, run: Run | None) -> Tensor:
        """The validation losses (K,) of the heads."""
        run = _needed(run, self.name)
        return evaluation_losses(run, run.validation)[0]


class Extrapolation(PerEpoch):
    """Where the curve of epoch means will end.

    That is the limit a of a + b r^e, fitted to the epoch means so far. It lies between zero and
    the smallest of them.
    """

    name: ClassVar[str] = "extrapolation"

    def estimate(self, history: Tensor) -> Tensor:
        """The limits (K,) of the K curves."""
        curves = history.double().cpu().numpy()
        return torch.tensor([curve_limit(curve) for curve in curves.T]).to(history)


class Reference(FStar):
    """What each modality reaches when it is trained alone.

    The references are trained before the first epoch, from the run's initial weights and with its
    optimizer settings. Then the model gets its initial weights back. Other runs of this process
    from the same start use the same references. The report has the seconds that the training took.

    Parameters
    ----------
    epochs : int, optional
        Length of the uni-modal training, >= 1. Default: that of the run.
    """

    name: ClassVar[str] = "reference"
    cost: Tensor
    """Seconds spent on the references."""

    def __init__(self, epochs: int | None = None) -> None:
        super().__init__()
        self.epochs = None if epochs is None else check_count("epochs", epochs)
        self.register_buffer("cost", torch.zeros(()))

    def begin_epoch(self, run: Run | None) -> None:
        """Train the references, unless the state or this process has them already."""
        if self.value.numel():
            return
        run = _needed(run, self.name)
        best, seconds = _references.best_losses(run, self.epochs or run.num_epochs)
        self.value = best.to(run.device, copy=True)
        self.cost.fill_(seconds)

    def observe(self, losses: Tensor, smoothed: Tensor) -> Tensor:
        """The losses that the references reached."""
        if not self.value.numel():
            raise _needs_a_run(self.name)
        return self.value

    def report(self) -> dict[str, float]:
        """Seconds spent on the references."""
        return {"reference_seconds": float(self.cost)}


def _needed(run: Run | None, rule: str) -> Run:
    """The run; an error where a rule needs one and there is none."""
    if run is None:
        raise _needs_a_run(rule)
    return run


def _needs_a_run(rule: str) -> ValueError:
    return ValueError(
        f"f_star={rule!r} needs the trainer's run: call begin_epoch(run) and end_epoch(run), "
        "or give the numbers themselves as `f_star`."
    )


RULES: dict[str, type[FStar]] = {
    rule.name: rule
    for rule in (RunningMinimum, EpochMinimum, Extrapolation, Validation, Reference, Zero)
}


def _allowed() -> str:
    return f"`f_star` must be one of {tuple(RULES)}, a number, or one number per modality."


def make_rule(f_star: str | Numbers | FStar) -> FStar:
    """A rule from its name or from constants. A rule itself is given back.

    Raises
    ------
    ValueError
        For an unknown name, or numbers that are not finite.
    TypeError
        For anything else.
    """
    if isinstance(f_star, FStar):
        return f_star
    if not isinstance(f_star, str):
        return Constant(f_star)
    if f_star not in RULES:
        raise ValueError(f"{_allowed()} Got f_star={f_star!r}.{did_you_mean(f_star, RULES)}")
    return RULES[f_star]()
