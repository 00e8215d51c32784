"""The names of 0.2 and where they are now: an old spelling fails with a sentence that names the new one."""

from __future__ import annotations

import sys
from collections.abc import Sequence

MOVED = {  # below `mimo_sim.`
    "files": "_files",
    "trajectory": "dynamics.trajectory",
    "experiments": "studies",
    "phase": "studies",
    "fusion": "dynamics.layered",
    "phase_plots": "plots",
    "fusion_plots": "plots",
    "bench_plots": "plots",
    "dynamics.progress": "_progress",
    "dynamics.gram": "dynamics.engines.gram",
    "dynamics.autograd": "dynamics.engines.autograd",
    "dynamics.flow": "dynamics.engines.flow",
    "dynamics.early": "dynamics.engines.early",
    "dynamics.batch": "dynamics.ensemble.cpu",
    "dynamics.cuda": "dynamics.ensemble.cuda",
    "training.encoders": "networks.encoders",
    "training.benchmark": "benchmark",
    "training.comparison": "benchmark.comparison",
    "training.timing": "benchmark.timing",
    "training.diagnose": "benchmark.diagnose",
    "methods.base": "methods._base",
    "methods.shared": "methods._evaluation",
    "methods.pareto": "methods._gradient_weighting",
    "methods.shapley": "methods._shapley",
    "methods.fstar": "methods._fstar",
    "datasets.data": "datasets._data",
    "datasets.files": "datasets._files",
    "datasets.record": "datasets._record",
    "objective.MIMO": "MIMO",
    "objective.Vanilla": "Vanilla",
    "objective.Method": "solvers.Solver",
    "objective.initial_f_star": "solvers.initial_f_star",
    "objective.check_positive": "_checks.check_positive",
    "objective.check_count": "_checks.check_count",
}


def sentence(name: str) -> str | None:
    """What to say of a full name of 0.2 that is gone; None for any other name."""
    new = MOVED.get(name.removeprefix("mimo_sim."))
    return new and f"`{name}` of 0.2 is now `mimo_sim.{new}`; CHANGELOG.md has the whole map."


class _Watch:
    """Asked by Python's import only for modules that are nowhere else to be found."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: object = None) -> None:
        if text := sentence(name):
            raise ModuleNotFoundError(text, name=name)


def watch_imports() -> None:
    """From now on ``import`` of an old module says where it went."""
    if _Watch not in sys.meta_path:
        sys.meta_path.append(_Watch)
