r"""MIMO for networks: joint loss plus a smoothed maximum of the uni-modal optimality gaps, with the state that mini-batches need.

The arithmetic is that of :mod:`mimo_sim.objective`. In anyone's own loop:

>>> import torch
>>> mimo = MIMO(lam=10.0, mu=0.1)
>>> loss_mm, losses_uni = torch.tensor(1.2, requires_grad=True), torch.tensor([0.9, 2.1], requires_grad=True)
>>> mimo(loss_mm, losses_uni).backward()  # the whole step but for the optimizer's
>>> losses_uni.grad / mimo.lam  # sigma: both losses are the smallest seen so far
tensor([0.5000, 0.5000])
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from mimo_sim._checks import check_positive
from mimo_sim.methods._base import Family, Forward, Method, Run
from mimo_sim.methods._fstar import FStar, Numbers, Sized, make
from mimo_sim.objective import mimo_objective, sigma_weights
from mimo_sim.solvers import HeadUpdate

Gap = Literal["absolute", "relative"]


class MIMOLoss(Sized, Method):
    r"""MIMO: gradient descent on :math:`L + \lambda\,\mu\log\sum_k e^{(\ell_k - f_k^*)/\mu}`.

    Parameters
    ----------
    lam : float
        Penalty, >= 0. Zero is joint training, bit for bit. The encoders' step grows like 1 + lam / K: the default, 2, is that of linear
        scalarization of two modalities; the paper's 10 and more want a smaller step size, or `normalise`.
    mu : float
        Smoothing of the maximum, > 0, in units of the loss. As it grows every sigma_k tends to 1/K: linear scalarization of weight lam / K.
    f_star : {"running_minimum", "epoch_minimum", "extrapolation", "validation", "reference", "zero"}, float, K floats, or FStar
        Estimate of the best uni-modal losses, :mod:`mimo_sim.methods._fstar`. The default needs no epochs; on the validation data of AV-MNIST
        ``"extrapolation"`` with `normalise` did best (benchmarks/records/table-validation.md).
    heads : {"gradient", "plain"}
        ``"gradient"``: gradient descent on the objective, so a uni-modal head moves by lam * sigma_k times the gradient of its loss. ``"plain"``: every
        head moves by the gradient of its own loss alone; in your own loop feed the heads with ``mimo.gate(features)``.
    decay : float
        Of the exponential average of the uni-modal losses from which gaps and running minimum are taken, in [0, 1). Zero: the raw mini-batch losses,
        as in the paper. The gradient is always that of the batch's own losses, weighted by sigma of the averages.
    gap : {"absolute", "relative"}
        Gaps in units of the loss, or as fractions of the modality's first loss; the penalty is then multiplied by the mean of the first
        losses, so that `lam` keeps its meaning.
    adaptive_mu : float
        Smoothing used is the larger of `mu` and this fraction of the largest gap, so that no weight falls below exp(-1 / adaptive_mu) times
        the largest while gaps are >= 0. Zero: `mu` itself.
    normalise : bool
        Divide the objective by 1 + lam / K, so that the encoders' step does not grow with lam; that of the fusion layer then shrinks. Off: the
        paper's objective.

    Raises
    ------
    ValueError, TypeError
        If a value is outside its range.

    Notes
    -----
    Source: arXiv:2511.06686, Eq. 10, Algorithm 1. The minimum is updated before it is used, so a record loss has gap zero. A loss that is not finite
    gets weight zero in its step and leaves all state as it was. Nothing in a step waits for the device.
    """

    name: ClassVar[str] = "mimo"
    family: ClassVar[Family] = "objective"
    about: ClassVar[str] = "penalises the worst uni-modal optimality gap (arXiv:2511.06686)"
    uses_heads: ClassVar[bool] = True
    smoothed: Tensor  # (K,) exponential averages of the losses
    first: Tensor  # (K,) first losses
    weight_sum: Tensor  # (K,) of sigma over the epoch, for the report
    mu_sum: Tensor

    def __init__(
        self,
        lam: float = 2.0,
        mu: float = 0.1,
        f_star: str | Numbers | FStar = "running_minimum",
        heads: HeadUpdate = "gradient",
        decay: float = 0.95,
        gap: Gap = "absolute",
        adaptive_mu: float = 0.0,
        normalise: bool = False,
    ) -> None:
        check_positive("lam", lam, allow_zero=True)
        check_positive("mu", mu)
        check_positive("decay", decay, allow_zero=True)
        check_positive("adaptive_mu", adaptive_mu, allow_zero=True)
        if decay >= 1:
            raise ValueError(f"`decay` must be in [0, 1). Got decay={decay!r}.")
        for key, value, allowed in (
            ("heads", heads, get_args(HeadUpdate)),
            ("gap", gap, get_args(Gap)),
        ):
            if value not in allowed:
                raise ValueError(f"`{key}` must be one of {allowed}. Got {key}={value!r}.")
        if not isinstance(normalise, bool):  # 1 would be another name of the same run
            raise ValueError(
                f"`normalise` must be one of (True, False). Got normalise={normalise!r}."
            )
        rule = make(f_star)
        shown = rule.name if isinstance(f_star, FStar) else f_star
        super().__init__(
            lam=lam,
            mu=mu,
            f_star=shown,
            heads=heads,
            decay=decay,
            gap=gap,
            adaptive_mu=adaptive_mu,
            normalise=normalise,
        )
        self.lam, self.mu, self.heads, self.decay, self.gap, self.adaptive_mu, self.normalise = (
            lam,
            mu,
            heads,
            decay,
            gap,
            adaptive_mu,
            normalise,
        )
        self.f_star = rule
        for name in ("smoothed", "first", "weight_sum"):
            self.register_buffer(name, torch.empty(0))
        self.register_buffer("mu_sum", torch.zeros(()))
        self._gate: Tensor | None = None

    # -- in anyone's own loop -------------------------------------------------------------------------------------------------------
    def forward(self, loss_mm: Tensor, losses_uni: Tensor | Sequence[Tensor]) -> Tensor:
        """The objective of one step, 0-dim; its backward pass is the whole step of Algorithm 1.

        In eval mode averages and f* stay as they are: for a look at other data. Losses of half precision are averaged, weighted and added in float32.

        Parameters
        ----------
        loss_mm : Tensor ()
            Multi-modal loss L.
        losses_uni : Tensor (K,), or K tensors ()
            Losses l_k of the uni-modal heads.

        Raises
        ------
        ValueError, TypeError
            For other shapes, another K than before, what is not a tensor of floating point numbers, or ``heads="plain"`` without :meth:`gate`.
        """
        if not isinstance(losses_uni, Tensor) and not (
            losses_uni and all(isinstance(loss, Tensor) for loss in losses_uni)
        ):
            raise TypeError(
                f"`losses_uni` must be a tensor (K,) or K tensors (). Got {losses_uni!r}."
            )
        if not isinstance(loss_mm, Tensor):
            raise TypeError(f"`loss_mm` must be a tensor (). Got {loss_mm!r}.")
        if not isinstance(losses_uni, Tensor) and any(loss.ndim for loss in losses_uni):
            raise ValueError(
                f"`losses_uni` must be a tensor (K,) or K tensors (). Got shapes {[tuple(loss.shape) for loss in losses_uni]}."
            )
        losses = losses_uni if isinstance(losses_uni, Tensor) else torch.stack(tuple(losses_uni))
        if (
            loss_mm.ndim
            or losses.ndim != 1
            or len(losses) != (len(self.smoothed) or max(len(losses), 1))
        ):
            known = f" with K={len(self.smoothed)}" if len(self.smoothed) else ""
            raise ValueError(
                f"`loss_mm` must be 0-dim and `losses_uni` (K,){known}. Got shapes {tuple(loss_mm.shape)} and {tuple(losses.shape)}."
            )
        if not (loss_mm.is_floating_point() and losses.is_floating_point()):
            raise TypeError(
                f"`loss_mm` and `losses_uni` must be floating point tensors. Got {loss_mm.dtype} and {losses.dtype}."
            )
        losses = losses.to(torch.promote_types(losses.dtype, torch.float32))
        if not self.training:
            return self._as_if(loss_mm, losses)
        share = 1 + self.lam / len(losses) if self.normalise else 1.0
        with torch.no_grad():
            finite, gaps, unit = self._observe(losses.detach())
            mu: Any = self.mu * self.first.mean() if self.gap == "relative" else self.mu
            if self.adaptive_mu:
                mu = (self.adaptive_mu * gaps.abs().amax()).clamp_min(mu)
            gaps = torch.where(finite, gaps, -torch.inf)
            sigma = sigma_weights(gaps, mu).nan_to_num(0.0)  # nan where no loss is finite
            value: Tensor = mimo_objective(loss_mm.detach(), gaps, self.lam, mu) / share
            weights = self.lam / share * sigma if unit is None else self.lam / share * sigma * unit
            self.weight_sum += sigma
            self.mu_sum += mu
        if self.heads == "plain":
            if self._gate is None:
                raise ValueError(
                    "heads='plain' needs `mimo.gate(features)` as the input of the uni-modal heads, before every call."
                )
            self._gate.copy_(weights)
            self._gate, weights = None, torch.ones_like(weights)
        elif not self.lam:
            return loss_mm
        total = loss_mm / share + torch.dot(
            weights, torch.where(finite, losses, 0)
        )  # its gradient is the objective's
        return value + (total - total.detach())

    def _as_if(self, loss_mm: Tensor, losses: Tensor) -> Tensor:
        """The objective of such a step, which is not taken: a copy learns from it."""
        twin = copy.deepcopy(self).train()
        twin._gate, self._gate = self._gate, None
        return twin(loss_mm, losses)  # type: ignore[no-any-return]

    def gate(self, features: Sequence[Tensor]) -> list[Tensor]:
        """The features (B, d_k) to feed uni-modal heads with when ``heads="plain"``.

        Equal in value; their gradients are multiplied by what the next call of the method finds the weights lam * sigma_k to be.
        """
        dtype = torch.promote_types(features[0].dtype, torch.float32)
        weights = self._gate = torch.zeros(len(features), dtype=dtype, device=features[0].device)
        gated = [h.view_as(h) for h in features]
        for k, h in enumerate(gated):
            if h.requires_grad:
                h.register_hook(  # type: ignore[no-untyped-call]
                    lambda gradient, k=k: gradient * weights[k].to(gradient.dtype)
                )
        return gated

    def _observe(self, losses: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Update the averages and f*. Which losses (K,) are finite, the gaps (K,), and what a gap is per unit of its loss (K,), None for 1."""
        finite = losses.isfinite()
        before = self.smoothed if len(self.smoothed) else torch.where(finite, losses, torch.inf)
        known = torch.where(finite, losses, before)
        average = torch.lerp(before, known, 1 - self.decay) if self.decay else known
        smoothed = torch.where(
            average.isfinite(), average, known
        )  # one that began with a loss that was not finite begins again
        gaps = smoothed - self.f_star.observe(
            known, smoothed
        )  # may refuse this K: nothing is kept before it
        if not len(self.smoothed):
            self.first, self.weight_sum, self.mu_sum = (
                before,
                torch.zeros_like(before),
                self.mu_sum.to(before),
            )
        self.smoothed = smoothed
        if self.gap == "absolute":
            return finite, gaps, None
        self.first = torch.where(self.first.isfinite(), self.first, known)
        unit = self.first.mean() / self.first
        return finite, gaps * unit, unit

    # -- in the trainer ---------------------------------------------------------------------------------------------------------
    def begin_epoch(self, run: Run | None = None) -> None:
        """Start the averages that :meth:`report` gives. Rules that need one, such as "reference", use the run."""
        self.weight_sum.zero_()
        self.mu_sum.zero_()
        self.f_star.begin_epoch(run)

    def end_epoch(self, run: Run | None = None) -> None:
        """Tell the rules that go by epochs; call it in your own loop with ``f_star="epoch_minimum"`` or ``"extrapolation"``."""
        self.f_star.end_epoch(run)

    def objective(self, run: Run, out: Forward) -> Tensor:
        """The objective, with sigma from losses averaged over processes."""
        if self.heads == "plain":
            outputs = run.model.head_logits(self.gate(out.features))
            out.head_losses = torch.stack([run.loss_function(v, out.batch.target) for v in outputs])
        losses = out.head_losses
        own = losses.detach()
        mean = run.mean(own)
        return self.forward(out.loss, losses if mean is own else losses - own + mean)

    def report(self) -> dict[str, Any]:
        """Epoch means of sigma (K,) and mu, and f* (K,) at the end."""
        steps = self.weight_sum.sum().clamp_min(1)  # sigma adds up to one
        return {
            "sigma": (self.weight_sum / steps).tolist(),
            "mu": float(self.mu_sum / steps),
            "f_star": self.f_star.value.tolist(),
            **self.f_star.report(),
        }


MIMO = MIMOLoss
