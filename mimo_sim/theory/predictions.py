r"""All that theory predicts for one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mimo_sim.rules import Rule
from mimo_sim.solvers import MIMO, AnySolver, HeadUpdate, check_solver
from mimo_sim.theory.joint import time_ratio
from mimo_sim.theory.mimo import final_encoder_norms, order_threshold
from mimo_sim.theory.optimization import default_step_size
from mimo_sim.theory.preference import superficial_preference
from mimo_sim.theory.rules import rule_growth_rates

if TYPE_CHECKING:
    from mimo_sim.problem import LateFusionProblem


def summary(problem: LateFusionProblem, method: AnySolver) -> dict[str, Any]:
    """What theory predicts for a run, as plain values.

    Parameters
    ----------
    problem : LateFusionProblem
        Any K and m.
    method : Vanilla, MIMO or a rule

    Returns
    -------
    dict
        From the name of a quantity to its value. The value is None where a formula does not cover
        the problem or the method; ``inf`` stays ``inf``.
    """
    check_solver(method, with_rules=True)
    report = superficial_preference(problem)
    several = problem.output_dim == 1 and problem.num_modalities > 1
    timed = several and report.correlation.max() > 0
    known = {
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
        "default_step_size": default_step_size(problem, method),
    }
    if isinstance(method, Rule):
        method.check_modalities(problem.num_modalities)
        return known | {"growth_rates": _growth_rates(problem, method)}
    plain = method.lam > 0 and method.heads == "plain"
    heads: HeadUpdate = method.heads if isinstance(method, MIMO) else "gradient"
    exact = isinstance(method, MIMO) and method.f_star == "exact"
    return known | {
        "order_threshold": order_threshold(problem, method.mu, heads=heads) if exact else None,
        "order_threshold_small_mu": order_threshold(problem, heads=heads) if exact else None,
        "final_encoder_norms": None if plain else final_encoder_norms(problem, method).tolist(),
    }


def _growth_rates(problem: LateFusionProblem, rule: Rule) -> list[float] | None:
    try:
        return list(rule_growth_rates(problem, rule).tolist())
    except ValueError:  # no law covers this rule or this problem
        return None
