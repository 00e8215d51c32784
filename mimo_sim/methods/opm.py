"""OPM: drop the features of the dominant modality, more often the more it dominates."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from mimo_sim._checks import check_count, check_positive
from mimo_sim.methods._base import Family, Method, Needs, Search
from mimo_sim.methods._buffers import EpochMean
from mimo_sim.methods._conformance import SAME_TENSORS, Conformance
from mimo_sim.methods._run import Run
from mimo_sim.methods._scores import mean_of_others, true_class_probability
from mimo_sim.methods._step import Batch
from mimo_sim.methods._windows import epochs_or_share


def drop_rates(scores: Tensor, q_base: float, lam: float) -> Tensor:
    """Drop rates q (K,) in [0, 1]: q_base (1 + lam tanh(rho_k - 1)) where rho_k > 1, else 0.

    rho_k is the score of a modality over the mean score of the others. For K = 2 this is the
    paper's ratio; for K > 2 it is an extension. At least one modality has rate 0.

    Parameters
    ----------
    scores : Tensor (K,)
        How well each modality predicts, > 0.
    q_base, lam : float
        Rate at equal scores, and its growth.
    """
    ahead = scores / mean_of_others(scores).clamp_min(torch.finfo(scores.dtype).tiny) - 1
    return torch.where(ahead > 0, q_base * (1 + lam * torch.tanh(ahead)), 0.0).clamp(0, 1)


class OPM(Method):
    """On-the-fly prediction modulation: drop features of the modality that predicts better.

    The sliced logits score each modality by the probability that it gives to the true classes,
    summed over the batch. Every sample then loses the feature of modality k with probability q_k of
    :func:`drop_rates`. The features that are kept are divided by one minus the mean drop rate. A
    sample that loses all features does not count in the loss. In evaluation nothing is dropped or
    rescaled.

    Parameters
    ----------
    q_base : float
        Drop rate at equal scores, in [0, 1]. Default 0.5. Zero is joint training, bit for bit.
    lam : float
        Growth of the rate with the lead, >= 0. Default 0.5.
    p_exe : float
        Probability that a batch is modulated at all, in [0, 1]. Default 0.7. Zero is joint
        training, bit for bit.
    warm_up : int, optional
        Epochs of joint training first, >= 0. Default: the published share, 6 of 100.

    Notes
    -----
    Wei, Hu, Du, Wen (T-PAMI 2024). The defaults are those of the authors' script, which drops from
    zero-based epoch 6 of 100 on. The ratio for K > 2 is an extension. Where every sample of a batch
    loses all its features, the gradient is zero, but momentum and weight decay still act.
    """

    name: ClassVar[str] = "opm"
    title: ClassVar[str] = "OPM"
    family: ClassVar[Family] = "feed-forward"
    about: ClassVar[str] = "drops features of the modality that predicts better (T-PAMI 2024)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Wei, Hu, Du, Wen, T-PAMI 2024",
        follows="paper",
        code="GeWu-Lab/BML_TPAMI2024",
        released=(
            "A stray bracket keeps the file from running. The drop rate carries a gradient that "
            "it should not have."
        ),
        compared=SAME_TENSORS,
        apart="round-off",
    )
    search: ClassVar[Search] = {"q_base": ("uniform", 0.1, 0.8), "lam": ("uniform", 0.1, 1.0)}
    needs: ClassVar[Needs] = "slices"
    min_modalities: ClassVar[int] = 2
    needs_classes: ClassVar[bool] = True
    rates: EpochMean
    """Drop rates (K,), for the report."""

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
        """Make the buffer of the report."""
        self.rates = EpochMean(run.model.num_modalities, run.device)

    def begin_epoch(self, run: Run) -> None:
        """Begin the mean of the report."""
        self.rates.reset()

    def features(
        self, run: Run, features: list[Tensor], batch: Batch
    ) -> tuple[list[Tensor], Tensor | None]:
        """The features after the drop, and which samples (B,) keep any."""
        warming_up = run.epoch < epochs_or_share(self.warm_up, run, 6 / 100)
        if warming_up or not self.q_base or not self.p_exe:
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
            self.rates.add(rates)
        kept = [h * s[:, None] for h, s in zip(features, scale.unbind(1), strict=True)]
        return kept, keep.amax(1)

    def report(self) -> dict[str, Any]:
        """Epoch means of the drop rates (K,)."""
        return {"drop_rate": self.rates.mean().tolist()}
