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


def relu_study(
    lams: Sequence[float],
    *,
    seeds: int = 5,
    mu: float = 0.05,
    width: int = 16,
    samples: int = 64,
    on_run: Advance = lambda: None,
) -> xr.Dataset:
    """ReLU against linear networks on the same samples: two-layer early and late fusion, three-layer late fusion.

    Returns
    -------
    xarray.Dataset
        ``ratio`` (network, activation, seed, lam): t_A/t_B; ``speed`` (network, activation, seed): learning time of A in joint training, in steps;
        ``final_excess`` (network, activation, seed, lam): f_mm minus the linear optimum at the end over its value at the start.
    """
    problem = correlated_preference(0.0)
    penalties = [MIMO(lam=lam, mu=mu) for lam in lams]
    shapes = {"early, L = 2": (2, 1, 0.01), "late, L = 2": (2, 2, 0.01), "late, L = 3": (3, 3, 0.2)}
    shape = (len(shapes), 2, seeds, len(lams))
    ratio, excess, speed = np.empty(shape), np.empty(shape), np.empty(shape[:3])
    for i, (depth, own, scale) in enumerate(shapes.values()):
        for j, activation in enumerate(get_args(Activation)):
            network = Architecture(depth, own, activation)
            steps = {2: 900, 3: 1100}[depth] * (1 if activation == "linear" else depth)
            run = simulate_layered(
                problem,
                penalties,
                network,
                step_size=0.02,
                steps=steps,
                width=width,
                init_scale=scale,
                seeds=seeds,
                samples=samples,
                record_every=2,
            )
            ratio[i, j] = time_ratios(run)[0].transpose("seed", "method")
            excess[i, j] = (run.excess_mm.isel(step=-1) / run.excess_mm.isel(step=0))[0].transpose(
                "seed", "method"
            )
            speed[i, j] = learning_steps(run, 0.1)[0, 0].isel(modality=0)
            on_run()
    over = ("network", "activation", "seed", "lam")
    return xr.Dataset(
        {"ratio": (over, ratio), "final_excess": (over, excess), "speed": (over[:3], speed)},
        {"network": list(shapes), "activation": list(get_args(Activation)), "lam": list(lams)},
        {"mu": mu, "width": width, "seeds": seeds, "samples": samples, "scale": SCALE},
    )
