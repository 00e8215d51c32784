"""Deep linear networks: time ratios and order thresholds by depth and fusion layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from mimo_sim import theory
from mimo_sim.dynamics.engines.layered import (
    simulate_layered,
)
from mimo_sim.dynamics.layered import Architecture, Readout, aligned_weights
from mimo_sim.solvers import MIMO, Vanilla
from mimo_sim.studies._fusion import (
    SCALE,
    Advance,
    correlated_preference,
    first_crossing,
    time_ratios,
)


def depth_study(
    lams: Sequence[float],
    rhos: Sequence[float],
    *,
    seeds: int = 5,
    mu: float = 0.05,
    width: int = 16,
    wide: int = 64,
    on_run: Advance = lambda: None,
) -> xr.Dataset:
    r"""Linear networks of depth 3 to 5 and all fusion layers, joint training and the MIMO-like rule.

    Returns
    -------
    xarray.Dataset
        ``joint_ratio`` and ``predicted_joint_ratio`` (fusion_layer, init_scale): t_B/t_A of joint training at L = 3 from the aligned start;
        ``ratio`` (network, seed, lam): t_A/t_B at L = 4 from Gaussian starts, network = "L_f readout"; ``threshold`` (start, depth, seed) and
        ``predicted_threshold`` (start, depth), penalties that reverse the order in late fusion;
        ``rho_ratio`` (rho_fusion_layer, penalty, rho, seed): t_A/t_B at L = 3 from Gaussian starts.
        NaN: not learned in time, no reversal within the penalties, or (Gaussian starts at L = 5, all but the first seed of aligned ones) not run.
    """
    problem, penalties = correlated_preference(0.0), [MIMO(lam=lam, mu=mu) for lam in lams]
    grid = np.asarray(lams, dtype=float)
    scales = (0.2, 0.1, 0.05, 0.025)
    joint, predicted = np.empty((2, len(scales))), np.empty((2, len(scales)))
    for i, own in enumerate((2, 3)):
        architecture = Architecture(3, own)
        starts = [aligned_weights(problem, architecture, 1, scale) for scale in scales]
        run = simulate_layered(
            problem, Vanilla(), architecture, step_size=0.05, steps=1200, initial=starts
        )
        joint[i] = 1 / time_ratios(run)[0, 0]
        predicted[i] = [
            theory.deep_time_ratio(problem, architecture.depth, architecture.fusion_layer, scale)
            for scale in scales
        ]
        on_run()

    reads: list[tuple[int, Readout]] = [
        (1, "trunk"),
        (1, "encoder"),
        (2, "trunk"),
        (2, "encoder"),
        (3, "trunk"),
        (4, "trunk"),
    ]
    networks = [Architecture(4, own, readout=readout) for own, readout in reads]
    ratios = np.empty((len(networks), seeds, len(lams)))
    for i, network in enumerate(networks):
        run = simulate_layered(
            problem,
            penalties,
            network,
            step_size=0.02,
            steps=900,
            width=width,
            init_scale=0.3,
            seeds=seeds,
            record_every=2,
        )
        ratios[i] = time_ratios(run)[0].transpose("seed", "method")
        on_run()

    depths, thresholds = (3, 4, 5), np.full((2, 3, seeds), np.nan)
    for i, (depth, scale) in enumerate(zip(depths, (0.03, 0.12, 0.22), strict=True)):
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
        thresholds[0, i, 0] = first_crossing(grid, time_ratios(run)[0, :, 0].values)
        on_run()
    for i, (depth, scale) in enumerate(((3, 0.05), (4, 0.25))):
        run = simulate_layered(
            problem,
            penalties,
            Architecture(depth, depth),
            step_size=0.02,
            steps=1400,
            width=wide,
            init_scale=scale,
            seeds=seeds,
            record_every=2,
        )
        thresholds[1, i] = [
            first_crossing(grid, each)
            for each in time_ratios(run)[0].transpose("seed", "method").values
        ]
        on_run()

    correlated, chosen = [correlated_preference(rho) for rho in rhos], (0.0, 3.0)
    over_rho = np.empty((2, len(chosen), len(rhos), seeds))
    for i, own in enumerate((2, 3)):
        methods = [MIMO(lam=lam, mu=mu) for lam in chosen]
        run = simulate_layered(
            correlated,
            methods,
            Architecture(3, own),
            step_size=0.02,
            steps=1300,
            width=width,
            init_scale=0.1,
            seeds=seeds,
            record_every=2,
        )
        over_rho[i] = time_ratios(run).transpose("method", "problem", "seed")
        on_run()
    return xr.Dataset(
        {
            "joint_ratio": (("fusion_layer", "init_scale"), joint),
            "predicted_joint_ratio": (("fusion_layer", "init_scale"), predicted),
            "ratio": (("network", "seed", "lam"), ratios),
            "threshold": (("start", "depth", "seed"), thresholds),
            "predicted_threshold": (
                ("start", "depth"),
                [
                    [theory.deep_order_threshold(problem, depth) for depth in depths],
                    [theory.order_threshold(problem)] * len(depths),
                ],
            ),
            "rho_ratio": (("rho_fusion_layer", "penalty", "rho", "seed"), over_rho),
        },
        {
            "fusion_layer": [2, 3],
            "init_scale": list(scales),
            "network": [f"{network.fusion_layer} {network.readout}" for network in networks],
            "lam": list(lams),
            "start": ["aligned", "gaussian"],
            "depth": list(depths),
            "rho_fusion_layer": [2, 3],
            "penalty": list(chosen),
            "rho": list(rhos),
        },
        {"mu": mu, "width": width, "wide": wide, "seeds": seeds, "scale": SCALE},
    )
