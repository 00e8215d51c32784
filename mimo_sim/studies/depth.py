"""Deep linear networks: time ratios and order thresholds by depth and fusion layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from mimo_sim import theory
from mimo_sim._checks import FloatArray
from mimo_sim.dynamics.engines.layered import simulate_layered
from mimo_sim.dynamics.layered import Architecture, Readout, aligned_weights
from mimo_sim.solvers import MIMO, Vanilla
from mimo_sim.studies._fusion import (
    SCALE,
    Advance,
    correlated_preference,
    first_crossing,
    time_ratios,
)
from mimo_sim.studies._fusion import summarise as summarise

SCALES = (0.2, 0.1, 0.05, 0.025)  # initial scales of the aligned starts at L = 3
FUSION_LAYERS = (2, 3)  # of the networks with L = 3
READOUTS: tuple[tuple[int, Readout], ...] = (  # fusion layer and readout of networks with L = 4
    (1, "trunk"),
    (1, "encoder"),
    (2, "trunk"),
    (2, "encoder"),
    (3, "trunk"),
    (4, "trunk"),
)
ALIGNED = {3: 0.03, 4: 0.12, 5: 0.22}  # depth of late fusion -> scale of the aligned start
GAUSSIAN = {3: 0.05, 4: 0.25}  # depth of late fusion -> scale of the Gaussian starts
CHOSEN = (0.0, 3.0)  # penalties of the runs over correlation
RUNS = 2 * len(FUSION_LAYERS) + len(READOUTS) + len(ALIGNED) + len(GAUSSIAN)


def compute(
    lams: Sequence[float],
    rhos: Sequence[float],
    *,
    seeds: int = 5,
    mu: float = 0.05,
    width: int = 16,
    wide: int = 64,
    on_run: Advance = lambda: None,
) -> xr.Dataset:
    r"""Train linear networks of depth 3 to 5 by joint training and by the MIMO-like rule.

    Parameters
    ----------
    lams : sequence of float
        Penalties, >= 0, in increasing order.
    rhos : sequence of float
        Correlations of the two scalar inputs, in (-1, 1).
    seeds : int
        Gaussian starts of each network, >= 1.
    mu : float
        Smoothing, > 0.
    width, wide : int
        Hidden width; `wide` for the order thresholds from Gaussian starts.
    on_run : callable
        Called RUNS times.

    Returns
    -------
    xarray.Dataset
        With L the depth, L_f the fusion layer, and t_A, t_B the learning times of the modalities:

        ``joint_ratio`` and ``predicted_joint_ratio`` (fusion_layer, init_scale) are t_B/t_A of
        joint training at L = 3 from the aligned start.

        ``ratio`` (network, seed, lam) is t_A/t_B at L = 4 from Gaussian starts; a network is called
        "L_f readout".

        ``threshold`` (start, depth, seed) and ``predicted_threshold`` (start, depth) are the
        penalties that reverse the order in late fusion.

        ``rho_ratio`` (rho_fusion_layer, penalty, rho, seed) is t_A/t_B at L = 3 from Gaussian
        starts.

        NaN stands for: not learned in time, no reversal within the penalties, or not run (Gaussian
        starts at L = 5, and all but the first seed of aligned starts).
    """
    problem = correlated_preference(0.0)
    penalties = [MIMO(lam=lam, mu=mu) for lam in lams]
    grid = np.asarray(lams, dtype=float)

    joint, predicted = np.empty((2, len(FUSION_LAYERS), len(SCALES)))
    for i, fusion_layer in enumerate(FUSION_LAYERS):
        network = Architecture(3, fusion_layer)
        starts = [aligned_weights(problem, network, 1, scale) for scale in SCALES]
        run = simulate_layered(
            problem, Vanilla(), network, step_size=0.05, steps=1200, initial=starts
        )
        joint[i] = 1 / time_ratios(run)[0, 0]
        predicted[i] = [theory.deep_time_ratio(problem, 3, fusion_layer, scale) for scale in SCALES]
        on_run()

    networks = [Architecture(4, layer, readout=readout) for layer, readout in READOUTS]
    ratios = np.empty((len(networks), seeds, len(lams)))
    gaussian: dict[str, Any] = {"step_size": 0.02, "seeds": seeds, "record_every": 2}
    for i, network in enumerate(networks):
        run = simulate_layered(
            problem, penalties, network, steps=900, width=width, init_scale=0.3, **gaussian
        )
        ratios[i] = time_ratios(run)[0].transpose("seed", "method")
        on_run()

    thresholds = np.full((2, len(ALIGNED), seeds), np.nan)
    for i, (depth, scale) in enumerate(ALIGNED.items()):
        run = simulate_layered(
            problem,
            penalties,
            Architecture(depth, depth),
            step_size=0.02,
            steps=2200,
            width=1,
            init_scale=scale,
            start="aligned",
            record_every=2,
        )
        thresholds[0, i, 0] = _thresholds(grid, run)[0]
        on_run()
    for i, (depth, scale) in enumerate(GAUSSIAN.items()):
        network = Architecture(depth, depth)
        run = simulate_layered(
            problem, penalties, network, steps=1400, width=wide, init_scale=scale, **gaussian
        )
        thresholds[1, i] = _thresholds(grid, run)
        on_run()
    laws = [
        [theory.deep_order_threshold(problem, depth) for depth in ALIGNED],
        [theory.order_threshold(problem)] * len(ALIGNED),
    ]

    correlated = [correlated_preference(rho) for rho in rhos]
    chosen = [MIMO(lam=lam, mu=mu) for lam in CHOSEN]
    over_rho = np.empty((len(FUSION_LAYERS), len(CHOSEN), len(rhos), seeds))
    for i, fusion_layer in enumerate(FUSION_LAYERS):
        network = Architecture(3, fusion_layer)
        run = simulate_layered(
            correlated, chosen, network, steps=1300, width=width, init_scale=0.1, **gaussian
        )
        over_rho[i] = time_ratios(run).transpose("method", "problem", "seed")
        on_run()
    return xr.Dataset(
        {
            "joint_ratio": (("fusion_layer", "init_scale"), joint),
            "predicted_joint_ratio": (("fusion_layer", "init_scale"), predicted),
            "ratio": (("network", "seed", "lam"), ratios),
            "threshold": (("start", "depth", "seed"), thresholds),
            "predicted_threshold": (("start", "depth"), laws),
            "rho_ratio": (("rho_fusion_layer", "penalty", "rho", "seed"), over_rho),
        },
        {
            "fusion_layer": list(FUSION_LAYERS),
            "init_scale": list(SCALES),
            "network": [f"{network.fusion_layer} {network.readout}" for network in networks],
            "lam": list(lams),
            "start": ["aligned", "gaussian"],
            "depth": list(ALIGNED),
            "rho_fusion_layer": list(FUSION_LAYERS),
            "penalty": list(CHOSEN),
            "rho": list(rhos),
        },
        {"mu": mu, "width": width, "wide": wide, "seeds": seeds, "scale": SCALE},
    )


def _thresholds(lams: FloatArray, run: xr.Dataset) -> list[float]:
    """The penalty that reverses the order, from every start."""
    ratios = time_ratios(run)[0].transpose("seed", "method").values
    return [first_crossing(lams, each) for each in ratios]
