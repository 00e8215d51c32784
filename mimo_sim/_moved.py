"""The names of 0.2 and where they are now.

Using an old name fails with a sentence that says the new one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

MOVED = {  # below `mimo_sim.`
    "files": "_files",
    "trajectory": "dynamics.trajectory",
    "experiments": "studies",
    "experiments.figure1": "studies.figure1.compute",
    "experiments.figure1_summary": "studies.figure1.summarise",
    "experiments.convergence": "studies.convergence.compute",
    "phase": "studies",
    "phase.ratio_pair": "studies.race.ratio_pair",
    "phase.plateau_hidden": "studies.race.plateau_hidden",
    "phase.predicted_gain": "studies.race.predicted_gain",
    "phase.settling_times": "studies.race.settling_times",
    "phase.gains": "studies.race.gains",
    "phase.race": "studies.race.compute",
    "phase.zls": "studies.zls.compute",
    "phase.zls_summary": "studies.zls.summarise",
    "phase.scatter": "studies.scatter.compute",
    "phase.scatter_summary": "studies.scatter.summarise",
    "phase.ratio_map": "studies.maps.compute_ratios",
    "phase.correlation_map": "studies.maps.compute_correlations",
    "phase.penalty_map": "studies.maps.compute_penalties",
    "phase.map_summary": "studies.maps.summarise",
    "phase.penalty_summary": "studies.maps.summarise_penalties",
    "phase.scores": "studies.score.scores",
    "phase.score": "studies.score.compute",
    "phase.score_summary": "studies.score.summarise",
    "fusion": "dynamics.layered",
    "dynamics.early.growth_matrix": "theory.growth_matrix",
    "fusion.train": "dynamics.simulate_layered",
    "fusion.learning_steps": "dynamics.engines.layered.learning_steps",
    "fusion.Architecture": "dynamics.Architecture",
    "fusion.Network": "dynamics.layered.Network",
    "fusion.gaussian_weights": "dynamics.layered.gaussian_weights",
    "fusion.aligned_weights": "dynamics.layered.aligned_weights",
    "fusion.symmetric": "dynamics.layered.symmetric",
    "fusion.delay_factor": "theory.delay_factor",
    "fusion.deep_order_threshold": "theory.deep_order_threshold",
    "fusion.deep_time_ratio": "theory.deep_time_ratio",
    "fusion.early_study": "studies.early_fusion.compute",
    "fusion.depth_study": "studies.depth.compute",
    "fusion.relu_study": "studies.relu.compute",
    "phase_plots": "plots",
    "fusion_plots": "plots",
    "bench_plots": "plots",
    "bench_plots.draw_all": "plots.draw_benchmark",
    "bench_plots.looks": "plots.method_looks",
    "bench_plots.front": "plots.pareto_front",
    "bench_plots.near": "plots.worth_drawing",
    "bench_plots.grids": "benchmark.find_grids",
    "dynamics.progress": "_progress",
    "dynamics.gram": "dynamics.engines.gram",
    "dynamics.autograd": "dynamics.engines.autograd",
    "dynamics.flow": "dynamics.engines.flow",
    "dynamics.early": "dynamics.engines.early",
    "dynamics.batch": "dynamics.ensemble.cpu",
    "dynamics.batch.Shape": "dynamics.ensemble.step.Shape",
    "dynamics.batch.step_source": "dynamics.ensemble.step.step_source",
    "dynamics.cuda": "dynamics.ensemble.cuda",
    "training.encoders": "networks.encoders",
    "training.benchmark": "benchmark",
    "training.benchmark.unfit": "benchmark.refused_methods",
    "training.benchmark.Finished": "benchmark.FinishedRun",
    "training.comparison": "benchmark.comparison",
    "training.comparison.tables": "benchmark.comparison_tables",
    "training.comparison.unlike": "benchmark.comparison.unequal_settings",
    "training.comparison.notes": "benchmark.tables.notes",
    "training.comparison.markdown": "benchmark.tables.markdown",
    "training.comparison.comma_separated": "benchmark.tables.comma_separated",
    "training.timing": "benchmark.timing",
    "training.timing.measure": "benchmark.time_methods",
    "training.diagnose": "benchmark.diagnosis",
    "training.diagnose.linear_view": "benchmark.linear.linear_view",
    "training.diagnose.predict": "benchmark.prediction.predict",
    "training.diagnose.measure": "benchmark.diagnosis.observed_runs",
    "training.run": "training",
    "training.NonFiniteError": "NonFiniteError",
    "training.metrics.PENALTIES": "training.probes.PENALTIES",
    "training.metrics.probe": "training.probes.linear_probe",
    "training.metrics.Encoded": "training.evaluation.Encoded",
    "training.metrics.readings": "training.evaluation.unimodal_outputs",
    "training.metrics.probe_scores": "training.evaluation.probe_scores",
    "training.metrics.measure": "training.evaluation.measure",
    "methods.base": "methods._base",
    "methods.shared": "methods._evaluation",
    "methods.pareto": "methods._gradient_weighting",
    "methods.shapley": "methods._shapley",
    "methods.fstar": "methods._fstar",
    "datasets.data": "datasets._data",
    "datasets.files": "datasets._files",
    "datasets.record": "datasets._record",
    "datasets.avmnist.spectrogram": "datasets._avmnist_recipe.spectrogram",
    "datasets.avmnist.principal_components": "datasets._avmnist_recipe.principal_components",
    "datasets.avmnist.reduce_energy": "datasets._avmnist_recipe.reduce_energy",
    "datasets.avmnist.noisy_waves": "datasets._avmnist_recipe.noisy_waves",
    "datasets.avmnist.noisy_spectrograms": "datasets._avmnist_recipe.noisy_spectrograms",
    "objective.MIMO": "MIMO",
    "objective.Vanilla": "Vanilla",
    "objective.Method": "solvers.Solver",
    "objective.initial_f_star": "solvers.initial_f_star",
    "objective.check_positive": "_checks.check_positive",
    "objective.check_count": "_checks.check_count",
    "sweeps.FAMILIES": "generators.FAMILIES",
    "sweeps.families": "generators",
    "sweeps.backends": "sweeps._backends",
    "sweeps.design": "sweeps._design",
    "sweeps.recipe": "sweeps._recipe",
    "sweeps.store": "sweeps._store",
}


def sentence(name: str) -> str | None:
    """Where the full name `name` of 0.2 is now, in words; None for a name that has not moved."""
    new = MOVED.get(name.removeprefix("mimo_sim."))
    if new is None:
        return None
    return f"`{name}` of 0.2 is now `mimo_sim.{new}`; CHANGELOG.md has the whole map."


def hook(module: str) -> Callable[[str], NoReturn]:
    """A ``__getattr__`` for a module that has lost some of its names of 0.2."""

    def missing(name: str) -> NoReturn:
        raise AttributeError(
            sentence(f"{module}.{name}") or f"module {module!r} has no attribute {name!r}"
        )

    return missing


class _Watch:
    """The last of Python's module finders: it is asked when no other has found a module."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: object = None) -> None:
        text = sentence(name)
        if text is not None:
            raise ModuleNotFoundError(text, name=name)


def watch_imports() -> None:
    """Make ``import`` of an old module say where it is now."""
    if _Watch not in sys.meta_path:
        sys.meta_path.append(_Watch)
