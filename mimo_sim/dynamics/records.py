"""What an engine hands back: the recorded steps as plain arrays, in the coordinates that lose no digits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mimo_sim._checks import FloatArray
from mimo_sim.problem import LateFusionProblem


@dataclass(frozen=True)
class Options:
    """The settings an engine needs, already validated."""

    step_size: float
    weight_decay: float
    steps: np.ndarray  # (n,) recorded steps: 0, record_every, ..., always the last
    record_maps: bool
    progress: bool


@dataclass
class Records:
    """n recorded steps of a K-modality run; losses as excesses over the exact optima, which are sums of squares and never cancel."""

    excess_mm: FloatArray  # (n,)        f_mm - min f_mm
    excess_uni: FloatArray  # (n, K)     f_k - f_k*
    f_star_excess: FloatArray  # (n, K)  estimate of f_k* in use, minus f_k*
    sigma: FloatArray  # (n, K)
    norms: FloatArray  # (n, K, 3)       Frobenius norms of V_k, U_k, W_k
    grad_norm_sq: FloatArray  # (n,)     |grad F|^2
    joint_map: FloatArray | None  # (n, m, D)  V_k W_k side by side
    uni_map: FloatArray | None  # (n, m, D)    U_k W_k side by side
    diverged_at: int | None = None
    flips: int = 0
    first_flip: int = -1

    @classmethod
    def empty(cls, problem: LateFusionProblem, options: Options) -> Records:
        """Room for the recorded steps of a run."""
        n, k = len(options.steps), problem.num_modalities
        maps = (n, problem.output_dim, sum(problem.dims)) if options.record_maps else None
        return cls(
            np.empty(n),
            np.empty((n, k)),
            np.empty((n, k)),
            np.empty((n, k)),
            np.empty((n, k, 3)),
            np.empty(n),
            np.empty(maps) if maps else None,
            np.empty(maps) if maps else None,
        )


# A flip of sigma: it swings this far, and back again in the next step.
FLIP_SIZE = 0.1
MANY_FLIPS = 3  # a run whose step suits mu has none
BLOW_UP = 1e8  # losses beyond this multiple of the zero network's count as divergence


def limit(problem: LateFusionProblem) -> float:
    """The loss beyond which a run counts as diverged."""
    return BLOW_UP * max(problem.y_second_moment, np.finfo(float).tiny)
