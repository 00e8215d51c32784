"""What an engine is given, and what it hands back: plain arrays over the recorded steps.

Losses are excesses over the exact optima. These are sums of squares, so they lose no digits by
cancellation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mimo_sim._checks import FloatArray, check_positive
from mimo_sim.dynamics.batches import Batches
from mimo_sim.problem import LateFusionProblem

# A flip of sigma: it swings by more than this, and back again in the next step.
FLIP_SIZE = 0.1
MANY_FLIPS = 3  # so many make a warning; a run whose step size suits mu has none
BLOW_UP = 1e8  # losses beyond this multiple of those of the zero network count as divergence


def limit(problem: LateFusionProblem) -> float:
    """The loss beyond which a run counts as diverged."""
    return BLOW_UP * max(problem.y_second_moment, np.finfo(float).tiny)


def recorded_steps(steps: int, record_every: int) -> np.ndarray:
    """Step 0, every so many steps, and always the last."""
    return np.append(np.arange(0, steps, record_every), steps)


def check_momentum(momentum: float, engine: str = "gram") -> None:
    """Raise unless `momentum` is in [0, 1), and 0 where there are no steps."""
    check_positive("momentum", momentum, allow_zero=True)
    if momentum >= 1:
        raise ValueError(f"`momentum` must be in [0, 1). Got momentum={momentum!r}.")
    if momentum > 0 and engine == "flow":
        raise ValueError(
            "`momentum` needs discrete steps; engine='flow' has none. Use engine='gram'. "
            f"Got momentum={momentum!r}."
        )


@dataclass(frozen=True)
class Options:
    """The settings that an engine needs, already checked."""

    step_size: float
    weight_decay: float
    steps: np.ndarray  # (n,) those of `recorded_steps`
    record_maps: bool
    progress: bool
    momentum: float = 0.0
    batches: Batches | None = None  # None: every step sees all data
    decay: float = 0.0  # of the averages of mini-batch losses that sigma follows


@dataclass
class Records:
    """n recorded steps of a run with K modalities, m outputs and D features."""

    excess_mm: FloatArray  # (n,)        f_mm - min f_mm
    excess_uni: FloatArray  # (n, K)     f_k - f_k*
    f_star_excess: FloatArray  # (n, K)  estimate of f_k* in use, minus f_k*
    sigma: FloatArray  # (n, K)
    weights: FloatArray  # (n, 2, K)      of f_mm and f_k in encoder k; of rules only
    norms: FloatArray  # (n, K, 3)       Frobenius norms of V_k, U_k, W_k
    grad_norm_sq: FloatArray  # (n,)     |grad F|^2
    joint_map: FloatArray | None  # (n, m, D)  V_k W_k side by side
    uni_map: FloatArray | None  # (n, m, D)    U_k W_k side by side
    batch_excess: FloatArray | None = None  # (n, 1 + K)  of f_mm and f_k on the batch of the step
    gap: FloatArray | None = None  # (n, K)  of mini-batches: what sigma follows from
    diverged_at: int | None = None  # step of divergence
    flips: int = 0  # how often sigma has flipped
    first_flip: int = -1  # step of the first flip

    @classmethod
    def empty(cls, problem: LateFusionProblem, options: Options) -> Records:
        """Room for the recorded steps of a run."""
        n, K = len(options.steps), problem.num_modalities
        maps = (n, problem.output_dim, sum(problem.dims))
        return cls(
            excess_mm=np.empty(n),
            excess_uni=np.empty((n, K)),
            f_star_excess=np.empty((n, K)),
            sigma=np.empty((n, K)),
            weights=np.empty((n, 2, K)),
            norms=np.empty((n, K, 3)),
            grad_norm_sq=np.empty(n),
            joint_map=np.empty(maps) if options.record_maps else None,
            uni_map=np.empty(maps) if options.record_maps else None,
        )
