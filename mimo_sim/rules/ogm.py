"""OGM: scale down the encoder gradient of the modality that predicts better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mimo_sim._checks import check_positive
from mimo_sim._symbols import exp, maximum, select, total
from mimo_sim.rules._base import Rule, Seen, Weights

NOTHING = 1e-150  # stands for a score of zero


@dataclass(frozen=True)
class OGM(Rule):
    r"""On-the-fly gradient modulation: joint training with a factor on each encoder's gradient.

    The factor is :math:`\kappa_k = 1 - \tanh(\alpha \rho_k)` where :math:`\rho_k > 1`, else 1.
    Here :math:`\rho_k` is the score of modality k over the mean score of the others. The paper's
    score is the probability of the true class, which a regression does not have. Here it is the
    error that modality k explains alone, :math:`E|y|^2/2 - f_k`, or 0 where that is negative. For
    this the uni-modal heads are trained by their own losses; they do not move the encoders.

    Parameters
    ----------
    alpha : float
        Strength, >= 0. Default 0.8, published for CREMA-D. Zero is joint training.

    Raises
    ------
    ValueError, TypeError
        If `alpha` is not a finite number >= 0.

    Notes
    -----
    Source: Peng et al. (CVPR 2022), Eq. 7-10. The ratio for K > 2 is an extension. kappa jumps at
    :math:`\rho_k = 1`; where training keeps it there, it flips from step to step.
    """

    alpha: float = 0.8
    name: ClassVar[str] = "ogm"
    about: ClassVar[str] = "scales down the better modality's encoder gradient (CVPR 2022)"

    def __post_init__(self) -> None:
        check_positive("alpha", self.alpha, allow_zero=True)

    def weight_sum(self, num_modalities: int) -> float:
        """1, that of joint training."""
        return 1.0

    def check_modalities(self, num_modalities: int) -> None:
        """Raise ``ValueError`` for one modality, which has nothing to be compared with."""
        if num_modalities < 2:
            raise ValueError(
                f"`OGM` compares modalities: it needs two or more. Got {num_modalities}."
            )

    def weights(self, seen: Seen) -> Weights:
        """kappa_k of f_mm in encoder k, and nothing of f_k."""
        score = [maximum(each, 0.0) for each in seen.explained]
        kappa = []
        for k in seen.modalities:
            others = [score[i] for i in seen.modalities if i != k]
            ratio = score[k] / maximum(total(others) / float(len(others)), NOTHING)
            falling = exp(-2.0 * self.alpha * ratio)
            kappa.append(select(ratio > 1.0, 2.0 * falling / (1.0 + falling), 1.0))
        nothing = [0.0 for _ in seen.modalities]
        return Weights(kappa, nothing, [1.0 for _ in seen.modalities], 1.0)
