r"""Estimates of the best uni-modal losses :math:`f_k^*` of networks: one small class per rule, all state in buffers.

On full-batch losses the paper's running minimum is harmless: it never lies below the true minimum. On mini-batches the minimum over noisy losses drifts
to the noise floor, and zero makes the modality with the largest irreducible loss the worst one for ever. The rules here differ in what they take the
minimum of, and in what they cost:

===================  ================================================================================  ==============================
rule                 f_k^*                                                                             cost
===================  ================================================================================  ==============================
``running_minimum``  smallest of the (smoothed) training losses so far                                 none
``epoch_minimum``    smallest epoch mean of the training loss so far                                   none
``extrapolation``    where a decaying curve through the epoch means would end                          none
``validation``       smallest validation loss of the head so far                                       one pass over validation per epoch
``reference``        smallest epoch mean of the modality trained alone, from the same initial weights  one uni-modal training
``zero``, numbers    constants                                                                         none
===================  ================================================================================  ==============================
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from mimo_sim._checks import check_count
from mimo_sim.methods._shared import evaluation_losses, practise, rehearsal
from mimo_sim.objective import running_minimum

if TYPE_CHECKING:
    from mimo_sim.methods._base import Batch, Run

Numbers: TypeAlias = float | Sequence[float]


class Sized(nn.Module):
    """A module whose buffers take their sizes from the first losses, or from the checkpoint that is loaded into it."""

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        for name, buffer in list(self.named_buffers(recurse=False)):
            if prefix + name in state_dict:
                setattr(
                    self, name, torch.empty_like(state_dict[prefix + name], device=buffer.device)
                )
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class FStar(Sized):
    """An estimate of f* (K,), in units of the loss. Subclasses override the hooks they need."""

    name: ClassVar[str] = ""
    value: Tensor  # (K,), empty before the first losses

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value", torch.empty(0))

    def observe(self, losses: Tensor, smoothed: Tensor) -> Tensor:
        """The estimate to use in a step with these losses (K,) and smoothed losses (K,), both finite and without gradient."""
        if not self.value.numel():
            self.value = torch.full_like(losses, torch.inf)
        return self.value

    def begin_epoch(self, run: Run | None) -> None:
        """Before the first step of an epoch."""

    def end_epoch(self, run: Run | None) -> None:
        """After the last step of an epoch."""

    def report(self) -> dict[str, float]:
        """What the estimate cost, if anything."""
        return {}


class Constant(FStar):
    """Given numbers: one for all modalities, or one per modality."""

    def __init__(self, values: Numbers) -> None:
        super().__init__()
        try:
            if isinstance(values, bool):
                raise TypeError
            self.numbers = torch.as_tensor(values, dtype=torch.float64)
        except (TypeError, ValueError, RuntimeError):
            raise TypeError(
                f"`f_star` must be one of {tuple(RULES)}, a number, or one number per modality. Got f_star={values!r}."
            ) from None
        if self.numbers.ndim > 1 or not self.numbers.numel() or not self.numbers.isfinite().all():
            raise ValueError(
                f"`f_star` must be finite: a number or one number per modality. Got f_star={values!r}."
            )

    def observe(self, losses: Tensor, smoothed: Tensor) -> Tensor:
        """The numbers."""
        if not self.value.numel():
            if self.numbers.ndim and len(self.numbers) != len(losses):
                raise ValueError(
                    f"`f_star` must hold one number per modality ({len(losses)}). Got {self.numbers.tolist()}."
                )
            self.value = self.numbers.to(losses).expand(len(losses)).clone()
        return self.value


class Zero(Constant):
    """Zero for every modality."""

    name: ClassVar[str] = "zero"

    def __init__(self) -> None:
        super().__init__(0.0)


class RunningMinimum(FStar):
    """Smallest smoothed loss so far, this step's included (:func:`mimo_sim.objective.running_minimum`)."""

    name: ClassVar[str] = "running_minimum"

    def observe(self, losses: Tensor, smoothed: Tensor) -> Tensor:
        """The estimate after this step's smoothed losses."""
        self.value = running_minimum(super().observe(losses, smoothed), smoothed)
        return self.value


class PerEpoch(RunningMinimum):
    """A rule that looks at one loss per modality and epoch; a running minimum until the first epoch has ended.

    Subclasses say which loss (:meth:`summary`) and what follows from all so far (:meth:`estimate`).
    """

    history: Tensor  # (epochs so far, K)
    total: Tensor  # (K,) sum of this epoch's training losses
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("history", torch.empty(0, 0))
        self.register_buffer("total", torch.empty(0))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def observe(self, losses: Tensor, smoothed: Tensor) -> Tensor:
        """The estimate from the epochs so far; the running minimum in the first."""
        self.total = losses.clone() if not self.total.numel() else self.total + losses
        self.count += 1
        return self.value if len(self.history) else super().observe(losses, smoothed)

    def summary(self, run: Run | None) -> Tensor:
        """The loss (K,) of the epoch that ends: the mean of its training losses."""
        return self.total / self.count

    def estimate(self, history: Tensor) -> Tensor:
        """f* (K,) from the losses (epochs, K) so far: the smallest."""
        return history.amin(0)

    def end_epoch(self, run: Run | None) -> None:
        """Add this epoch to the history."""
        if not self.total.numel():
            return
        row = self.summary(run).to(self.total)[None]
        self.history = torch.cat([self.history, row]) if len(self.history) else row
        self.value = self.estimate(self.history)
        self.total = torch.zeros_like(self.total)
        self.count.zero_()


class EpochMinimum(PerEpoch):
    """Smallest epoch mean of the training loss so far."""

    name: ClassVar[str] = "epoch_minimum"


class Validation(PerEpoch):
    """Smallest validation loss of the modality's head so far: never below what generalises."""

    name: ClassVar[str] = "validation"

    def summary(self, run: Run | None) -> Tensor:
        """The validation loss of the heads."""
        return evaluation_losses(_needed(run, self.name), _needed(run, self.name).validation)[0]


class Extrapolation(PerEpoch):
    """Where the curve of epoch means would end: the limit a of a + b r^e fitted to it, between zero and the smallest so far."""

    name: ClassVar[str] = "extrapolation"

    def estimate(self, history: Tensor) -> Tensor:
        """The limits of the K curves."""
        curves = history.double().cpu().numpy()
        return torch.tensor([curve_limit(curve) for curve in curves.T]).to(history)


def curve_limit(
    curve: np.ndarray, decays: Sequence[float] = tuple(np.linspace(0.3, 0.95, 14))
) -> float:
    r"""The limit a of :math:`a + b r^e` fitted by least squares to a learning curve, clipped to [0, smallest value].

    Parameters
    ----------
    curve : array (E,)
        One loss per epoch; only from the third on is there anything to extrapolate, before that the smallest value is returned.
    decays : sequence of float
        The r in (0, 1) that are tried; for each, a and b follow in closed form.

    Examples
    --------
    >>> round(curve_limit(0.5 + 1.5 * 0.6 ** np.arange(6)), 6)
    0.5
    """
    curve = np.asarray(curve, dtype=float)
    least = float(curve.min())
    if len(curve) < 3 or not np.isfinite(curve).all():
        return least
    r = np.asarray(decays)[:, None] ** np.arange(len(curve))
    centred = r - r.mean(1, keepdims=True)
    slope = centred @ (curve - curve.mean()) / (centred**2).sum(1)
    limit = curve.mean() - slope * r.mean(1)
    error = ((limit[:, None] + slope[:, None] * r - curve) ** 2).sum(1)
    best = int(np.argmin(np.where(slope > 0, error, np.inf)))
    return float(np.clip(limit[best], 0.0, least)) if slope[best] > 0 else least


class Reference(FStar):
    """What each modality reaches alone: trained before the first epoch from the run's initial weights, with its optimizer, then put back.

    Kept for other runs of this process from the same start; the report has the seconds that the training took.

    Parameters
    ----------
    epochs : int, optional
        Length of the uni-modal training; by default that of the run.
    """

    name: ClassVar[str] = "reference"
    cost: Tensor

    def __init__(self, epochs: int | None = None) -> None:
        super().__init__()
        self.epochs = None if epochs is None else check_count("epochs", epochs)
        self.register_buffer("cost", torch.zeros(()))

    def begin_epoch(self, run: Run | None) -> None:
        """Train the references, unless they are in the state already or this process has trained them before."""
        if self.value.numel():
            return
        run = _needed(run, self.name)
        epochs = self.epochs or run.num_epochs
        key = _fingerprint(run, epochs)
        if key not in _REFERENCES:
            start = time.perf_counter()
            best = unimodal_references(run, epochs).amin(0).cpu()
            _REFERENCES[key] = best, time.perf_counter() - start
        best, seconds = _REFERENCES[key]
        self.value = best.to(run.device, copy=True)
        self.cost.fill_(seconds)

    def observe(self, losses: Tensor, smoothed: Tensor) -> Tensor:
        """The losses the references reached."""
        _needed(self.value.numel() or None, self.name)
        return self.value

    def report(self) -> dict[str, float]:
        """Seconds spent on the references."""
        return {"reference_seconds": float(self.cost)}


_REFERENCES: dict[
    str, tuple[Tensor, float]
] = {}  # by fingerprint: f* (K,), and the seconds it took


def _fingerprint(run: Run, epochs: int) -> str:
    """What the references follow from: start weights, data, and optimizer. A grid over lam and mu trains them once per seed."""
    kind = (
        type(run.optimizer).__name__,
        [getattr(encoder, "autocast", None) for encoder in run.model.encoders],
    )
    rates = [run.rate(run.epoch + e) for e in range(epochs)]
    digest = hashlib.sha256(
        repr((kind, run.optimizer.defaults, rates, run.batches_per_epoch)).encode()
    )
    for value in (
        *run.model.state_dict().values(),
        run.train.target,
        *(x.sum(dtype=torch.float64) for x in run.train.inputs),
    ):
        digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def unimodal_references(run: Run, epochs: int) -> Tensor:
    """Train every encoder with its own head alone and put the model back as it was.

    One backward pass of the sum of the head losses trains all K at once, exactly as K separate runs would.

    Returns
    -------
    Tensor (epochs, K)
        Epoch means of the training losses.
    """
    model = run.model

    def losses(batch: Batch) -> Tensor:
        return torch.stack(
            [
                run.loss_function(v, batch.target)
                for v in model.head_logits(model.features(batch.inputs))
            ]
        )

    with rehearsal(run):
        return practise(run, run.new_optimizer([model.encoders, model.heads]), epochs, losses)


def _needed(value: Any, rule: str) -> Any:
    if value is None:
        raise ValueError(
            f"f_star={rule!r} needs the trainer's run: call begin_epoch(run) and end_epoch(run), or give the numbers themselves as `f_star`."
        )
    return value


RULES: dict[str, type[FStar]] = {
    rule.name: rule
    for rule in (RunningMinimum, EpochMinimum, Extrapolation, Validation, Reference, Zero)
}


def make(f_star: str | Numbers | FStar) -> FStar:
    """The estimator of a rule's name, of constants, or itself.

    Raises
    ------
    ValueError, TypeError
        For an unknown rule or values that are not finite numbers.
    """
    if isinstance(f_star, FStar):
        return f_star
    if isinstance(f_star, str):
        if f_star not in RULES:
            raise ValueError(
                f"`f_star` must be one of {tuple(RULES)}, a number, or one number per modality. Got f_star={f_star!r}."
            )
        return RULES[f_star]()
    return Constant(f_star)
