"""Which tests must notice a change of which files (:mod:`tests.mutants`)."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
METHODS, DYNAMICS, THEORY = "tests/methods", "tests/dynamics", "tests/theory"
PINNED = f"{METHODS}/test_pinned.py::test_a_method_does_what_it_did"
TOY = f"{DYNAMICS}/test_pinned.py::test_the_toy_does_what_it_did"
# Files -> the tests that must notice a change in them: files, folders, or how the names of tests
# begin. {stem} is the name of the file. Each line gets the same share of the sample.
ROOMS: dict[str, tuple[str, ...]] = {
    "mimo_sim/_checks.py": ("tests/test_checks.py", "tests/test_suggestions.py"),
    "mimo_sim/objective.py": ("tests/test_objective.py", "tests/test_objective_edges.py"),
    "mimo_sim/solvers.py": (
        "tests/test_objective.py",
        "tests/test_objective_edges.py",
        "tests/test_defaults.py",
    ),
    "mimo_sim/problem.py": ("tests/problem/",),
    "mimo_sim/_moments.py": ("tests/problem/",),
    "mimo_sim/_blocks.py": ("tests/problem/",),
    "mimo_sim/theory/[ejlmopr]*.py": (
        f"{THEORY}/test_{{stem}}.py",
        f"{THEORY}/test_predictions.py",
        f"{THEORY}/test_final_norms.py",
        f"{THEORY}/test_refusals.py",
        f"{TOY}[theory ",
    ),
    "mimo_sim/theory/deep.py": (f"{DYNAMICS}/test_deep.py", f"{TOY}[theory "),
    "mimo_sim/dynamics/trajectory.py": (f"{DYNAMICS}/test_trajectory.py",),
    # What is compiled is tried as plain Python first: compiling takes much longer than running.
    "mimo_sim/dynamics/engines/gram.py": (
        f"{DYNAMICS}/test_plain.py",
        f"{DYNAMICS}/test_bars.py",
        f"{DYNAMICS}/test_engines.py",
    ),
    "mimo_sim/dynamics/engines/[afr]*.py": (
        f"{DYNAMICS}/test_plain.py",
        f"{DYNAMICS}/test_bars.py",
        f"{DYNAMICS}/test_limits.py",
        f"{DYNAMICS}/test_simulate.py",
    ),
    "mimo_sim/dynamics/engines/early.py": (
        f"{DYNAMICS}/test_plain.py",
        f"{DYNAMICS}/test_bars.py",
        f"{DYNAMICS}/test_early.py",
        "tests/test_defaults.py",
        f"{TOY}[early",
    ),
    "mimo_sim/dynamics/engines/layered.py": (
        f"{DYNAMICS}/test_bars.py",
        f"{DYNAMICS}/test_layered.py",
    ),
    "mimo_sim/dynamics/ensemble/step.py": (
        f"{DYNAMICS}/test_plain.py",
        f"{DYNAMICS}/test_ensemble_input.py::test_exponential",
        f"{DYNAMICS}/test_ensemble.py::test_every_rule_agrees",
    ),
    "mimo_sim/rules/[a-z]*.py": ("tests/rules/", "tests/test_defaults.py"),
    "mimo_sim/methods/mimo.py": (
        f"{METHODS}/test_mimo_loss.py",
        f"{METHODS}/test_mimo_state.py",
        f"{METHODS}/test_mimo_in_a_run.py",
        f"{METHODS}/test_edges.py",
        f"{METHODS}/test_hyper_parameters.py",
        f"{PINNED}[mimo ",
    ),
    "mimo_sim/methods/_fstar.py": (
        f"{METHODS}/test_fstar.py",
        f"{METHODS}/test_mimo_in_a_run.py",
        "tests/test_defaults.py",
        f"{PINNED}[mimo f_star",
    ),
    "mimo_sim/methods/_gra*.py": (
        f"{METHODS}/test_gradient_weighting.py",
        *(f"{PINNED}[{name} " for name in ("mgda", "pcgrad")),
    ),
    **{
        f"mimo_sim/methods/{name}.py": (
            f"{METHODS}/test_{name}.py",
            f"{METHODS}/test_edges.py",
            f"{METHODS}/test_hyper_parameters.py",
            f"{PINNED}[{name}",
        )
        for name in ("agm", "cml", "g_blending", "mbsd", "ogm", "pmr", "reconboost", "smv")
    },
    "mimo_sim/methods/[a-z]*.py": (
        f"{METHODS}/test_{{stem}}.py",
        f"{METHODS}/test_gradient_weighting.py",
        f"{METHODS}/test_edges.py",
        f"{METHODS}/test_hyper_parameters.py",
        f"{PINNED}[{{stem}}",
    ),
    "mimo_sim/training/metrics.py": ("tests/training/test_metrics.py",),
    "mimo_sim/training/probes.py": ("tests/training/test_probes.py",),
    **{
        f"mimo_sim/benchmark/{name}.py": (
            "tests/benchmark/test_intervals.py",
            "tests/benchmark/test_tuned_tables.py",
            "tests/benchmark/test_comparison.py",
        )
        for name in ("comparison", "tables")
    },
}


def tests_of(room: str, path: Path) -> tuple[str, ...]:
    """What must notice a change in a file of a line of ROOMS."""
    names = [name.format(stem=path.stem) for name in ROOMS[room]]
    return tuple(name for name in names if (ROOT / name.partition("::")[0]).exists())
