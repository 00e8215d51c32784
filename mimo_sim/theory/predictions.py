r"""All that theory predicts for one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mimo_sim.solvers import MIMO, HeadUpdate, Solver, check_solver
from mimo_sim.theory.joint import time_ratio
from mimo_sim.theory.mimo import final_encoder_norms, order_threshold
from mimo_sim.theory.optimization import default_step_size
from mimo_sim.theory.preference import superficial_preference

if TYPE_CHECKING:
    from mimo_sim.problem import LateFusionProblem


def summary(problem: LateFusionProblem, method: Solver) -> dict[str, Any]:
    """What theory predicts for a run, as plain values.

    Parameters
    ----------
    problem : LateFusionProblem
        Any K and m.
    method : Vanilla or MIMO

    Returns
    -------
    dict
        From the name of a quantity to its value. The value is None where a formula does not cover
        the problem or the method; ``inf`` stays ``inf``.
    """
    check_solver(method)
    report = superficial_preference(problem)
    several = problem.output_dim == 1 and problem.num_modalities > 1
    timed = several and report.correlation.max() > 0
    plain = method.lam > 0 and method.heads == "plain"
    heads: HeadUpdate = method.heads if isinstance(method, MIMO) else "gradient"
    exact = isinstance(method, MIMO) and method.f_star == "exact"
    return {
        "superficial_preference": {
            "holds": report.holds,
            "first_learned": report.first_learned,
            "most_explaining": report.most_explaining,
        },
        "correlation": report.correlation.tolist(),
        "explained": report.explained.tolist(),
        "unimodal_optima": problem.unimodal_optima.tolist(),
        "joint_optimum": problem.joint_optimum,
        "time_ratio": time_ratio(problem) if timed else None,
        "order_threshold": order_threshold(problem, method.mu, heads=heads) if exact else None,
        "order_threshold_small_mu": order_threshold(problem, heads=heads) if exact else None,
        "final_encoder_norms": None if plain else final_encoder_norms(problem, method).tolist(),
        "default_step_size": default_step_size(problem, method),
    }
