"""OPM: drop the features of the dominant modality, more often the more it dominates."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from mimo_sim._checks import check_count, check_positive
from mimo_sim.methods._base import Batch, Family, Method, Run
from mimo_sim.methods._shared import epochs_or_share, mean_of_others, true_class_probability


def drop_rates(scores: Tensor, q_base: float, lam: float) -> Tensor:
    """Drop rates q (K,) in [0, 1] from scores (K,) > 0: q_base (1 + lam tanh(rho_k - 1)) where rho_k > 1, else 0.

    rho_k is the score over the mean score of the other modalities: the paper's ratio for K = 2 and an extension for K > 2. The rate of at least one
    modality is 0.
    """
    ahead = scores / mean_of_others(scores).clamp_min(torch.finfo(scores.dtype).tiny) - 1
    return torch.where(ahead > 0, q_base * (1 + lam * torch.tanh(ahead)), 0.0).clamp(0, 1)


class OPM(Method):
    """On-the-fly prediction modulation by the batch's true-class probabilities of the sliced joint head.

    Every sample loses the feature of modality k with probability q_k; kept features are divided by one minus the mean drop rate, and samples that lose all
    do not count in the loss. Nothing is dropped or rescaled in evaluation.

    Parameters
    ----------
    q_base : float
        Drop rate at equal scores, in [0, 1]. Zero is joint training, bit for bit.
    lam : float
        Growth of the rate with the lead, >= 0.
    p_exe : float
        Probability that a batch is modulated at all, in [0, 1]. Zero is joint training, bit for bit.
    warm_up : int, optional
        Epochs of joint training first; None: the published share, 6 of 100.

    Notes
    -----
    Wei, Hu, Du, Wen (T-PAMI 2024); defaults of the authors' script, which drops from zero-based epoch 6 of 100 on. K > 2 is an extension. Where every
    sample of a batch loses all, the gradient is zero but momentum and weight decay act.
    """

    name: ClassVar[str] = "opm"
    family: ClassVar[Family] = "feed-forward"
    about: ClassVar[str] = "drops features of the modality that predicts better (T-PAMI 2024)"
    min_modalities: ClassVar[int] = 2
    needs_classes: ClassVar[bool] = True
    rate_sum: Tensor  # (K,) over the epoch, for the report
    count: Tensor

    def __init__(
        self, q_base: float = 0.5, lam: float = 0.5, p_exe: float = 0.7, warm_up: int | None = None
    ) -> None:
        for key, value in (("q_base", q_base), ("lam", lam), ("p_exe", p_exe)):
            check_positive(key, value, allow_zero=True)
            if key != "lam" and value > 1:
                raise ValueError(f"`{key}` must be in [0, 1]. Got {key}={value!r}.")
        if warm_up is not None:
            warm_up = check_count("warm_up", warm_up, 0)
        super().__init__(q_base=q_base, lam=lam, p_exe=p_exe, warm_up=warm_up)
        self.q_base, self.lam, self.p_exe, self.warm_up = q_base, lam, p_exe, warm_up

    def setup(self, run: Run) -> None:
        """Make buffers for the report."""
        self.register_buffer("rate_sum", torch.zeros(run.model.num_modalities, device=run.device))
        self.register_buffer("count", torch.zeros((), device=run.device))

    def begin_epoch(self, run: Run) -> None:
        """Start the averages of the report."""
        self.rate_sum.zero_()
        self.count.zero_()

    def features(
        self, run: Run, features: list[Tensor], batch: Batch
    ) -> tuple[list[Tensor], Tensor | None]:
        """Features after the drop, and which samples (B,) keep any."""
        if (
            not self.q_base
            or not self.p_exe
            or run.epoch < epochs_or_share(self.warm_up, run, 6 / 100)
        ):
            return features, None
        with torch.no_grad():
            sliced = run.model.sliced([h.detach() for h in features])
            scores = run.mean(
                torch.stack([true_class_probability(a, batch.target) for a in sliced])
            )
            modulated = torch.rand((), generator=run.generator, device=scores.device) < self.p_exe
            rates = drop_rates(scores, self.q_base, self.lam) * modulated
            draws = torch.rand(
                len(batch.target), len(features), generator=run.generator, device=scores.device
            )
            keep = (draws >= rates).to(scores.dtype)
            widths = torch.tensor(run.model.widths, dtype=scores.dtype, device=scores.device)
            scale = keep / (1 - (widths * rates).sum() / widths.sum())
            self.rate_sum += rates
            self.count += 1
        return [h * s[:, None] for h, s in zip(features, scale.unbind(1), strict=True)], keep.amax(
            1
        )

    def report(self) -> dict[str, Any]:
        """Epoch means of the drop rates (K,)."""
        return {"drop_rate": (self.rate_sum / self.count.clamp_min(1)).tolist()}
