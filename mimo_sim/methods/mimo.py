r"""MIMO for networks: a criterion for any training loop, and the trainer's method of that name.

The arithmetic is that of :mod:`mimo_sim.objective`. This module adds the state that mini-batches
need: averages of the losses, and estimates of the best uni-modal losses.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from mimo_sim._checks import check_choice, check_positive
from mimo_sim.methods._base import Family, Method, Needs, Search
from mimo_sim.methods._buffers import SizedByLosses
from mimo_sim.methods._conformance import Conformance
from mimo_sim.methods._criterion import checked_losses, gate
from mimo_sim.methods._fstar import FStar, Numbers, make_rule
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Forward
from mimo_sim.objective import mimo_objective, sigma_weights
from mimo_sim.solvers import HeadUpdate

Gap = Literal["absolute", "relative"]


class MIMOLoss(SizedByLosses, Method):
    r"""The loss of MIMO: joint loss plus a penalty on the modality that is furthest from its best.

    Every modality has a gap: its own loss l_k minus an estimate f_k^* of the best value that this
    loss can reach. MIMO adds the smoothed maximum of these gaps to the joint loss L:

    .. math:: F = L + \lambda\,\mu \log \sum_k e^{(\ell_k - f_k^*)/\mu}.

    Its gradient is that of L + lam sum_k sigma_k l_k, where sigma = softmax(gap / mu). So the
    modality with the largest gap gets the most weight, and ``loss.backward()`` is the whole step.

    Call it like any criterion, ``loss = mimo(loss_mm, losses_uni)``, once per step. The first call
    sets the number K of modalities. Like other modules it has ``state_dict``, ``to``, ``train`` and
    ``eval``. The state follows the losses to their device.

    Parameters
    ----------
    lam : float
        Penalty, >= 0. Default 2: with two modalities, the uni-modal losses then weigh as much as in
        linear scalarization. Zero is joint training, bit for bit. The step of an encoder grows like
        1 + lam / K, so the paper's 10 and more need a smaller step size, or `normalise`.
    mu : float
        Smoothing of the maximum, > 0, in units of the loss. Default 0.1. As it grows every sigma_k
        tends to 1/K, which is linear scalarization of weight lam / K.
    f_star : str, float, or K floats
        Estimate of the best uni-modal losses: ``"running_minimum"`` (default), ``"epoch_minimum"``,
        ``"extrapolation"``, ``"validation"``, ``"reference"``, ``"zero"``, or given numbers. The
        table in :mod:`mimo_sim.methods._fstar` says what each rule is and costs. The default needs
        no epochs. ``"epoch_minimum"``, ``"extrapolation"`` and ``"validation"`` need
        :meth:`end_epoch` after every epoch; before the first they are the running minimum.
        With equal tuning budgets no rule was ahead of linear scalarization everywhere
        (docs/fstar.md).
    heads : {"gradient", "plain"}
        How the uni-modal heads move. ``"gradient"`` (default) descends the objective, so head k
        moves by lam * sigma_k times the gradient of its loss. ``"plain"`` moves every head by the
        gradient of its own loss alone; in your own loop feed the heads with :meth:`gate`.
    decay : float
        Decay of the exponential averages of the losses, in [0, 1). Default 0.95. Gaps and running
        minimum are taken from these averages, but the gradient is always that of the batch's own
        losses. Zero takes the batch's losses themselves, as in the paper.
    gap : {"absolute", "relative"}
        ``"absolute"`` (default): gaps in units of the loss. ``"relative"``: as fractions of the
        first loss of the modality that is finite and not zero. The penalty is then multiplied by
        the mean of the first losses, so that `lam` keeps its meaning.
    adaptive_mu : float
        The smoothing used is the larger of `mu` and this fraction of the largest gap, >= 0. While
        gaps are >= 0, no weight then falls below exp(-1 / adaptive_mu) times the largest. Default
        0: `mu` itself.
    normalise : bool
        Divide the objective by 1 + lam / K. The step of an encoder then does not grow with lam,
        and that of the fusion layer shrinks. Default False: the paper's objective.

    Raises
    ------
    ValueError, TypeError
        If a value is outside its range.

    Notes
    -----
    Source: arXiv:2511.06686, Eq. 10 and Algorithm 1. The estimate is renewed before it is used, so
    a loss that is the smallest so far has gap zero. A loss that is not finite gets weight zero in
    its step and leaves the state as it was. No step waits for a result of the GPU.

    Examples
    --------
    A complete training loop with three modalities. The uni-modal heads exist during training only;
    their parameters must be in the optimizer too.

    >>> import torch
    >>> from torch import nn
    >>> from torch.nn.functional import cross_entropy
    >>> _ = torch.manual_seed(0)
    >>> target = torch.arange(60) % 3
    >>> inputs = [torch.randn(60, size) + target[:, None] for size in (4, 6, 8)]
    >>> encoders = nn.ModuleList(nn.Sequential(nn.Linear(d, 16), nn.ReLU()) for d in (4, 6, 8))
    >>> fusion_head = nn.Linear(3 * 16, 3)
    >>> unimodal_heads = nn.ModuleList(nn.Linear(16, 3) for _ in range(3))
    >>> network = nn.ModuleList([encoders, fusion_head, unimodal_heads])
    >>> optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    >>> mimo = MIMOLoss(lam=2.0, mu=0.1)
    >>> for epoch in range(20):
    ...     for rows in torch.randperm(60).split(20):
    ...         features = [encoder(x[rows]) for encoder, x in zip(encoders, inputs)]
    ...         joint = fusion_head(torch.cat(features, dim=1))
    ...         loss_mm = cross_entropy(joint, target[rows])
    ...         alone = [head(h) for head, h in zip(unimodal_heads, features)]
    ...         losses_uni = [cross_entropy(output, target[rows]) for output in alone]
    ...         loss = mimo(loss_mm, losses_uni)
    ...         optimizer.zero_grad()
    ...         loss.backward()
    ...         optimizer.step()
    ...     mimo.end_epoch()  # for the estimates that go by epochs; the others ignore it
    >>> bool(loss_mm < 0.5)
    True

    The gradient of the losses is lam * sigma. While both losses are the smallest so far, both gaps
    are zero and the weights are equal:

    >>> losses = torch.tensor([0.9, 2.1], requires_grad=True)
    >>> mimo = MIMOLoss(lam=10.0)
    >>> mimo(torch.tensor(1.2), losses).backward()
    >>> losses.grad / mimo.lam
    tensor([0.5000, 0.5000])
    """

    name: ClassVar[str] = "mimo"
    title: ClassVar[str] = "MIMO"
    family: ClassVar[Family] = "objective"
    about: ClassVar[str] = "penalises the worst uni-modal optimality gap (arXiv:2511.06686)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Fernando, Ram, Zhou, Dan, Samulowitz, Baracaldo, Chen, arXiv:2511.06686",
        follows="paper",
        released=(
            "The announced code, heshandevaka/MIMO, could not be had. Of the paper there was a "
            "summary of Eq. 8-11 and Algorithm 1."
        ),
    )
    search: ClassVar[Search] = {"lam": ("log", 0.5, 20.0), "mu": ("log", 0.01, 1.0)}
    needs: ClassVar[Needs] = "joint"
    uses_heads: ClassVar[bool] = True
    capturable: ClassVar[bool] = True
    smoothed: Tensor
    """Exponential averages (K,) of the losses; empty before the first step."""
    first: Tensor
    """First losses (K,) that are finite and not zero. It is inf, and the average 0, for a modality
    without a finite loss so far."""
    weight_sum: Tensor
    """Sum (K,) of sigma over the epoch, for the report."""
    mu_sum: Tensor
    """Sum of the smoothing over the epoch, for the report."""
    epoch_over: Tensor
    """Whether the epoch of these sums is over, so that the next step begins them anew."""

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
        check_choice("heads", heads, get_args(HeadUpdate))
        check_choice("gap", gap, get_args(Gap))
        if not isinstance(normalise, bool):  # 1 would be another name of the same run
            raise ValueError(
                f"`normalise` must be one of (True, False). Got normalise={normalise!r}."
            )
        rule = make_rule(f_star)
        super().__init__(
            lam=lam,
            mu=mu,
            f_star=rule.name if isinstance(f_star, FStar) else f_star,
            heads=heads,
            decay=decay,
            gap=gap,
            adaptive_mu=adaptive_mu,
            normalise=normalise,
        )
        self.lam = lam
        self.mu = mu
        self.f_star = rule
        self.heads = heads
        self.decay = decay
        self.gap = gap
        self.adaptive_mu = adaptive_mu
        self.normalise = normalise
        for name in ("smoothed", "first", "weight_sum"):
            self.register_buffer(name, torch.empty(0))
        self.register_buffer("mu_sum", torch.zeros(()))
        self.register_buffer("epoch_over", torch.tensor(False))
        self._gate: Tensor | None = None

    # -- in your own loop --------------------------------------------------------------------
    def forward(self, loss_mm: Tensor, losses_uni: Tensor | Sequence[Tensor]) -> Tensor:
        """The objective of one step, 0-dim. Its backward pass is the whole step of Algorithm 1.

        In eval mode the state does not change, so you can compute the objective of other data.
        Losses of half precision are averaged, weighted and added in float32.

        Parameters
        ----------
        loss_mm : Tensor ()
            Joint (multi-modal) loss L.
        losses_uni : Tensor (K,), or K tensors ()
            Losses l_k of the uni-modal heads.

        Raises
        ------
        TypeError
            For anything that is not a tensor of floating-point numbers.
        ValueError
            For other shapes, for another K than before, and for ``heads="plain"`` without
            :meth:`gate`.
        """
        losses = checked_losses(loss_mm, losses_uni, known=len(self.smoothed))
        if not self.training:
            return self._as_if(loss_mm, losses)
        if self.smoothed.device != losses.device or self.smoothed.dtype != losses.dtype:
            self.to(losses.device, losses.dtype)
        share = 1 + self.lam / len(losses) if self.normalise else 1.0
        with torch.no_grad():
            finite, gaps = self._observe(losses.detach())
            mu: Any = self.mu
            if self.gap == "relative":
                scale = self._scale()
                unit = scale.mean() / scale  # what a gap is per unit of its loss
                gaps = gaps * unit
                mu = self.mu * scale.mean()
            if self.adaptive_mu:
                known = torch.where(finite, gaps.abs(), 0)
                mu = (self.adaptive_mu * known.amax()).clamp_min(mu)
            gaps = torch.where(finite, gaps, -torch.inf)
            sigma = sigma_weights(gaps, mu).nan_to_num(0.0)  # nan where no loss is finite
            value: Tensor = mimo_objective(loss_mm.detach(), gaps, self.lam, mu) / share
            weights = self.lam / share * sigma
            if self.gap == "relative":
                weights = weights * unit
            self.weight_sum = torch.where(self.epoch_over, 0, self.weight_sum) + sigma
            self.mu_sum = torch.where(self.epoch_over, 0, self.mu_sum) + mu
            self.epoch_over = torch.zeros_like(self.epoch_over)
        if self.heads == "plain":
            self._open_gate(weights)
            weights = torch.ones_like(weights)
        elif not self.lam:
            return loss_mm
        # `value` is the objective. `total` has the same gradient, and gives only that.
        total = loss_mm / share + torch.dot(weights, torch.where(finite, losses, 0))
        return value + (total - total.detach())

    def gate(self, features: Sequence[Tensor]) -> list[Tensor]:
        """What to feed the uni-modal heads with when ``heads="plain"``; before every step.

        The result has the values of the features (B, d_k). On the way back, what reaches the
        encoders is multiplied by the weights lam * sigma_k of the next call. The heads themselves
        follow their own losses alone.

        Examples
        --------
        >>> features, target = [torch.randn(8, 4), torch.randn(8, 4)], torch.zeros(8).long()
        >>> heads = [torch.nn.Linear(4, 3), torch.nn.Linear(4, 3)]
        >>> mimo = MIMOLoss(heads="plain")
        >>> alone = [head(h) for head, h in zip(heads, mimo.gate(features))]
        >>> losses_uni = [torch.nn.functional.cross_entropy(output, target) for output in alone]
        >>> loss = mimo(torch.tensor(1.0), losses_uni)
        """
        dtype = torch.promote_types(features[0].dtype, torch.float32)
        self._gate = torch.zeros(len(features), dtype=dtype, device=features[0].device)
        return gate(features, self._gate)

    def _as_if(self, loss_mm: Tensor, losses: Tensor) -> Tensor:
        """The objective that a step would have. A copy takes the step, so nothing is learned."""
        twin = copy.deepcopy(self).train()
        twin._gate, self._gate = self._gate, None
        return twin(loss_mm, losses)  # type: ignore[no-any-return]

    def _open_gate(self, weights: Tensor) -> None:
        """Tell the gate of this step its weights."""
        if self._gate is None:
            raise ValueError(
                "heads='plain' needs `mimo.gate(features)` as the input of the uni-modal heads, "
                "before every call."
            )
        self._gate.copy_(weights)
        self._gate = None

    def _observe(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        """Renew the averages, the first losses and f*.

        Returns
        -------
        finite : Tensor (K,) of bool
            Which losses are finite.
        gaps : Tensor (K,)
            The optimality gaps, in units of the loss.
        """
        finite = losses.isfinite()
        if len(self.smoothed):
            before = torch.where(self.first.isfinite(), self.smoothed, torch.inf)
        else:
            before = torch.where(finite, losses, torch.inf)
        known = torch.where(finite, losses, before)
        average = torch.lerp(before, known, 1 - self.decay) if self.decay else known
        # An average that began with a loss that was not finite begins again.
        smoothed = torch.where(average.isfinite(), average, known)
        # A rule may refuse this K, so nothing is kept before it was asked.
        gaps = smoothed - self.f_star.observe(losses, smoothed)
        if not len(self.smoothed):
            self.first = before
            self.weight_sum = torch.zeros_like(before)
        self.smoothed = torch.where(smoothed.isfinite(), smoothed, 0)
        self.first = torch.where(_usable(self.first), self.first, known)
        return finite, gaps

    def _scale(self) -> Tensor:
        """What relative gaps are fractions of (K,): the first losses.

        A modality without a first loss so far takes the mean of the others, and 1 where there are
        none.
        """
        usable = _usable(self.first)
        mean = torch.where(usable, self.first, torch.nan).nanmean().nan_to_num(1.0)
        return torch.where(usable, self.first, mean)

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        with_default = {f"{prefix}epoch_over": torch.tensor(False), **state_dict}  # 0.2 had none
        super()._load_from_state_dict(with_default, prefix, *args, **kwargs)

    # -- by epochs, and in the trainer -------------------------------------------------------
    def begin_epoch(self, run: Run | None = None) -> None:
        """Begin the means of :meth:`report`. A rule such as ``"reference"`` uses the run."""
        self.weight_sum.zero_()
        self.mu_sum.zero_()
        self.epoch_over.zero_()
        self.f_star.begin_epoch(run)

    def end_epoch(self, run: Run | None = None) -> None:
        """Tell :meth:`report` and the estimates that go by epochs that one is over.

        Call it in your own loop after every epoch: ``f_star="epoch_minimum"`` and
        ``"extrapolation"`` need it. The rules ``"validation"`` and ``"reference"`` need the
        trainer's run.
        """
        self.f_star.end_epoch(run)
        self.epoch_over.fill_(True)

    def objective(self, run: Run, out: Forward) -> Tensor:
        """The objective, with sigma from losses that are averaged over processes."""
        if self.heads == "plain":
            outputs = run.model.head_logits(self.gate(out.features))
            out.head_losses = torch.stack([run.loss_function(v, out.batch.target) for v in outputs])
        losses = out.head_losses
        own = losses.detach()
        mean = run.mean(own)
        return self.forward(out.loss, losses if mean is own else losses - own + mean)

    def report(self) -> dict[str, Any]:
        """Epoch means of sigma (K,) and mu, and the estimate f* (K,) at the end.

        The epoch is the one that runs or, after :meth:`end_epoch`, the one that is over.
        """
        steps = self.weight_sum.sum().clamp_min(1)  # sigma adds up to one in every step
        return {
            "sigma": (self.weight_sum / steps).tolist(),
            "mu": float(self.mu_sum / steps),
            "f_star": self.f_star.value.tolist(),
            **self.f_star.report(),
        }


def _usable(first: Tensor) -> Tensor:
    """Which first losses (K,) something can be a fraction of: finite, and not zero in effect."""
    return first.isfinite() & (first.abs() > torch.finfo(first.dtype).eps)


MIMO = MIMOLoss
