"""ReLU against linear networks on the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
import xarray as xr

from mimo_sim.dynamics.engines.layered import learning_steps, simulate_layered
from mimo_sim.dynamics.layered import Activation, Architecture
from mimo_sim.solvers import MIMO
from mimo_sim.studies._fusion import SCALE, Advance, correlated_preference, time_ratios
from mimo_sim.studies._fusion import summarise as summarise

NETWORKS = {  # name -> depth, fusion layer, initial scale
    "early, L = 2": (2, 1, 0.01),
    "late, L = 2": (2, 2, 0.01),
    "late, L = 3": (3, 3, 0.2),
}
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
STEPS = {2: 900, 3: 1100}  # depth -> steps of a linear network; ReLU takes depth times as many
RUNS = len(NETWORKS) * len(ACTIVATIONS)


def compute(
    lams: Sequence[float],
    *,
    seeds: int = 5,
    mu: float = 0.05,
    width: int = 16,
    samples: int = 64,
    on_run: Advance = lambda: None,
) -> xr.Dataset:
    """Train two-layer early and late fusion and three-layer late fusion, with and without ReLU.

    Parameters
    ----------
    lams : sequence of float
        Penalties, >= 0; the first is 0, joint training.
    seeds : int
        Gaussian starts of each network, >= 1.
    mu : float
        Smoothing, > 0.
    width : int
        Hidden width.
    samples : int
        Number of samples that all networks see.
    on_run : callable
        Called RUNS times.

    Returns
    -------
    xarray.Dataset
        ``ratio`` (network, activation, seed, lam) is the learning time of A over that of B.
        ``speed`` (network, activation, seed) is the learning time of A in joint training, in steps.
        ``final_excess`` (network, activation, seed, lam) is f_mm minus the linear optimum at the
        end, over its value at the start.
    """
    problem = correlated_preference(0.0)
    penalties = [MIMO(lam=lam, mu=mu) for lam in lams]
    shape = (len(NETWORKS), len(ACTIVATIONS), seeds, len(lams))
    ratio, excess, speed = np.empty(shape), np.empty(shape), np.empty(shape[:3])
    for i, (depth, fusion_layer, scale) in enumerate(NETWORKS.values()):
        for j, activation in enumerate(ACTIVATIONS):
            run = simulate_layered(
                problem,
                penalties,
                Architecture(depth, fusion_layer, activation),
                step_size=0.02,
                steps=STEPS[depth] * (1 if activation == "linear" else depth),
                width=width,
                init_scale=scale,
                seeds=seeds,
                samples=samples,
                record_every=2,
            )
            left = run.excess_mm.isel(step=-1) / run.excess_mm.isel(step=0)
            ratio[i, j] = time_ratios(run)[0].transpose("seed", "method")
            excess[i, j] = left[0].transpose("seed", "method")
            speed[i, j] = learning_steps(run, 0.1)[0, 0].isel(modality=0)
            on_run()
    over = ("network", "activation", "seed", "lam")
    return xr.Dataset(
        {"ratio": (over, ratio), "final_excess": (over, excess), "speed": (over[:3], speed)},
        {"network": list(NETWORKS), "activation": list(ACTIVATIONS), "lam": list(lams)},
        {"mu": mu, "width": width, "seeds": seeds, "samples": samples, "scale": SCALE},
    )
