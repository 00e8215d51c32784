r"""The gradient flow, the limit of small steps, integrated by LSODA (a solver of scipy).

:math:`\dot Z_k = A_k Z_k` on the same small factors as in the exact engine (:mod:`.gram`). Where a
small mu makes sigma change fast, LSODA switches to a method for stiff equations. It crosses the
long plateaus of a tiny initialisation in tens of steps.
"""

from __future__ import annotations

import numpy as np
from scipy.integrate import solve_ivp

from mimo_sim._checks import FloatArray
from mimo_sim._progress import progress_bar
from mimo_sim.dynamics.engines.gram import FROZEN, Packed, evaluate, observe
from mimo_sim.dynamics.records import Options, Records, limit
from mimo_sim.dynamics.start import Weights, compact_factors
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import Solver

RTOL = 1e-10  # of the integration


def run(
    problem: LateFusionProblem,
    method: Solver,
    weights: list[Weights] | None,
    init_scale: float,
    options: Options,
) -> Records:
    """Integrate to time step_size * steps; record at the times of the recorded steps."""
    if method.f_star == "running_minimum":
        raise ValueError(
            "`f_star='running_minimum'` depends on the history of discrete steps; engine='flow' "
            "has none. Use engine='gram'."
        )
    packed = Packed(problem, method, compact_factors(problem, weights, init_scale))
    shape, m = packed.Z.shape, problem.output_dim
    excess, sigma, work, dZ = packed.scratch()
    decaying = np.ones((1, shape[1], 1))
    if packed.heads == FROZEN:
        decaying[:, m : 2 * m] = 0.0

    def losses(flat: FloatArray) -> tuple[FloatArray, float, float]:
        """Z, f_mm minus its minimum, and the largest gap; fills the scratch arrays."""
        Z = flat.reshape(shape)
        excess_mm, top = evaluate(Z, *packed.model, excess, sigma, work, dZ)
        return Z, excess_mm, top

    def velocity(_: float, flat: FloatArray) -> FloatArray:
        Z, _, _ = losses(flat)
        return (dZ - options.weight_decay * decaying * Z).ravel()

    times = options.step_size * options.steps.astype(float)
    records = Records.empty(problem, options)
    sizes = np.sqrt(np.mean(packed.Z**2, axis=(1, 2)))
    atol = RTOL * sizes[sizes > 0].min(initial=1.0)
    with progress_bar(len(times), options.progress, "integrating") as advance:
        solution = solve_ivp(
            velocity,
            (0.0, times[-1]),
            packed.Z.ravel(),
            method="LSODA",
            t_eval=times,
            rtol=RTOL,
            atol=atol,
        )
        for row in range(len(times)):
            advance(1)
            if row >= solution.y.shape[1]:
                records.diverged_at = int(options.steps[row])
                break
            Z, records.excess_mm[row], top = losses(solution.y[:, row])
            if not (records.excess_mm[row] < limit(problem) and top < limit(problem)):
                records.diverged_at = int(options.steps[row])
                break
            records.excess_uni[row] = excess
            records.f_star_excess[row] = packed.base
            records.sigma[row] = sigma
            records.grad_norm_sq[row] = observe(
                Z, dZ, packed.sizes, packed.lam, packed.heads, sigma, records.norms[row]
            )
            if records.joint_map is not None and records.uni_map is not None:
                records.joint_map[row] = (packed.joint - work[0])[:, packed.features]
                records.uni_map[row] = (packed.uni - work[1])[:, packed.features]
    return records
