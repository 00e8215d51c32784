"""The arrays over all runs of an ensemble, filled group by group, and their labelled dataset."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import numpy as np
import xarray as xr

from mimo_sim.dynamics.ensemble.groups import BUDGET, CONVERGED, DIVERGED, Group, IntArray, View
from mimo_sim.dynamics.ensemble.on_batches import Trained
from mimo_sim.dynamics.ensemble.runs import Runs
from mimo_sim.dynamics.ensemble.step import Shape
from mimo_sim.dynamics.trajectory import LONG_NAMES
from mimo_sim.solvers import Vanilla

# The measures below exist at recorded steps and at the end of a run, those after them at the end.
MEASURES = ("loss_mm", "excess_mm", "objective")
MEASURES_UNI = (
    "loss_uni",
    "excess_uni",
    "gap",
    "sigma",
    "weight_mm",
    "weight_uni",
    "encoder_norm",
    "head_norm",
    "uni_head_norm",
)
AT_THE_END = ("worst_gap", "drift", "plateau_step", "step_size")
COUNTS = ("final_step", "diverged_at", "flips")
NAMES_OF_MEASURES = LONG_NAMES | {
    "worst_gap": "largest gap",
    "half_time": "first step at which |W_k|^2 reaches half of its final value",
    "drift": "largest relative change of |W_k|^2 over the last tenth",
    "plateau_step": "step midway between the two earliest half-times",
    "plateau_map": "joint map V_k W_k at the plateau step",
    "final_step": "steps taken",
    "diverged_at": "step of divergence, -1 if none",
    "flips": "flips of sigma",
    "status": "how the run ended",
    "step_size": "step size",
}


class Results:
    """Arrays with one entry for each run; NaN for modalities that a problem does not have."""

    def __init__(self, runs: Runs, recorded: list[int]) -> None:
        self.runs, self.recorded = runs, recorded
        N = runs.count
        self.K = max(problem.num_modalities for problem in runs.problems)
        outputs = max(problem.output_dim for problem in runs.problems)
        features = max(max(problem.dims) for problem in runs.problems)
        uni = ("half_time", *MEASURES_UNI)
        self.per_run: View = {name: np.full(N, np.nan) for name in (*MEASURES, *AT_THE_END)}
        self.per_modality: View = {name: np.full((N, self.K), np.nan) for name in uni}
        self.counts: dict[str, IntArray] = {name: np.zeros(N, dtype=np.int64) for name in COUNTS}
        self.status = np.zeros(N, dtype=np.int8)
        self.plateau_map = np.full((N, outputs, self.K, features), np.nan)
        # Trajectories, empty where none are asked for.
        shape = (N, len(recorded))
        kept, kept_uni = (MEASURES, MEASURES_UNI) if recorded else ((), ())
        self.paths: View = {name: np.full(shape, np.nan) for name in kept}
        self.paths_uni: View = {name: np.full((*shape, self.K), np.nan) for name in kept_uni}

    def _measured(self, members: IntArray, seen: View) -> tuple[View, View]:
        """:data:`MEASURES` (runs,) and :data:`MEASURES_UNI` (runs, K) of some runs, by name."""
        problems = [self.runs.problems[i] for i in members]
        joint = np.array([[isinstance(self.runs.methods[i], Vanilla)] for i in members])
        best = np.array([problem.joint_optimum for problem in problems])
        optima = np.array([problem.unimodal_optima for problem in problems])
        loss_mm = seen["excess_mm"] + best
        per_run = {
            "loss_mm": loss_mm,
            "excess_mm": seen["excess_mm"],
            "objective": loss_mm + seen["penalty"],
        }
        per_modality = {
            "loss_uni": seen["excess"].T + optima,
            "excess_uni": seen["excess"].T,
            "gap": seen["gap"].T,
            "sigma": np.where(joint, np.nan, seen["weight"].T),
            "weight_mm": seen["weight_mm"].T,
            "weight_uni": seen["weight_uni"].T,
            "head_norm": seen["head"].T,
            "uni_head_norm": seen["uni_head"].T,
            "encoder_norm": seen["encoder"].T,
        }
        return per_run, per_modality

    def record(self, row: int, members: IntArray, shape: Shape, seen: View) -> None:
        """Store one recorded step of some runs."""
        per_run, per_modality = self._measured(members, seen)
        for name, values in per_run.items():
            self.paths[name][members, row] = values
        for name, values in per_modality.items():
            self.paths_uni[name][members, row, : shape.K] = values

    def store(self, members: IntArray, group: Group, seen: View) -> None:
        """Store what is known of the runs of a group once they have ended."""
        shape = group.shape
        per_run, per_modality = self._measured(members, seen)
        times = group.half_times()
        middle, maps = group.plateau(times)
        per_run["worst_gap"] = seen["gap"].max(axis=0)
        per_run["drift"] = group.drift()
        per_run["plateau_step"] = middle
        per_run["step_size"] = group.constants[shape.constants.eta]
        per_modality["half_time"] = times.T
        for name, values in per_run.items():
            self.per_run[name][members] = values
        for name, values in per_modality.items():
            self.per_modality[name][members, : shape.K] = values
        maps = maps.reshape(shape.m, shape.K, shape.d, -1).transpose(3, 0, 1, 2)
        self.plateau_map[members, : shape.m, : shape.K, : shape.d] = maps
        diverged = group.status == DIVERGED
        self.status[members] = group.status
        self.counts["final_step"][members] = group.final_step
        self.counts["diverged_at"][members] = np.where(diverged, group.final_step, -1)
        self.counts["flips"][members] = group.last[shape.state.flips]
        for i in members[diverged]:
            after = bisect_left(self.recorded, self.counts["diverged_at"][i])
            for paths in (self.paths, self.paths_uni):
                for path in paths.values():
                    path[i, after:] = np.nan

    def store_trained(self, i: int, trained: Trained) -> None:
        """Store what is known of run i, which saw mini-batches."""
        path, problem = trained.path, self.runs.problems[i]
        self.status[i] = BUDGET if trained.diverged_at is None else DIVERGED
        self.counts["final_step"][i] = trained.final_step
        self.counts["diverged_at"][i] = -1 if trained.diverged_at is None else trained.diverged_at
        self.counts["flips"][i] = trained.flips()
        self.per_run["step_size"][i] = self.runs.step_size[i]
        if not path.sizes["step"]:
            return
        K, times = problem.num_modalities, trained.half_times()
        middle, joint_map = trained.plateau(times)
        self.per_run["worst_gap"][i] = path.gap.values[-1].max()
        self.per_run["drift"][i] = trained.drift()
        self.per_run["plateau_step"][i] = middle
        self.per_modality["half_time"][i, :K] = times
        for k, d in enumerate(problem.dims):
            self.plateau_map[i, : problem.output_dim, k, :d] = joint_map[:, problem.features(k)]
        kept = self.recorded[: bisect_left(self.recorded, path.sizes["step"])]
        for name in MEASURES:
            self.per_run[name][i] = path[name].values[-1]
            if kept:
                self.paths[name][i, : len(kept)] = path[name].values[kept]
        for name in MEASURES_UNI:
            self.per_modality[name][i, :K] = path[name].values[-1]
            if kept:
                self.paths_uni[name][i, : len(kept), :K] = path[name].values[kept]

    def dataset(self, settings: dict[str, Any]) -> xr.Dataset:
        """The labelled result, with `settings` as its attributes."""
        from mimo_sim import __version__

        runs = self.runs
        names = {problem.names for problem in runs.problems}
        modality = list(names.pop()) if len(names) == 1 else [f"m{k + 1}" for k in range(self.K)]
        ends = {
            "flag_values": [BUDGET, CONVERGED, DIVERGED],
            "flag_meanings": "budget converged diverged",
        }
        data: dict[str, Any] = {}
        for name, values in self.per_run.items():
            data[name] = (("run",), values)
        for name, counted in self.counts.items():
            data[name] = (("run",), counted)
        data["status"] = (("run",), self.status, ends)
        for name, values in self.per_modality.items():
            data[name] = (("run", "modality"), values)
        data["plateau_map"] = (("run", "output", "modality", "component"), self.plateau_map)
        for name, values in self.paths.items():
            data[f"path_{name}"] = (("run", "step"), values)
        for name, values in self.paths_uni.items():
            data[f"path_{name}"] = (("run", "step", "modality"), values)
        coords: dict[str, Any] = {"run": np.arange(runs.count), "modality": modality}
        for name in ("init_scale", "seed", "weight_decay", "momentum"):
            coords[name] = ("run", getattr(runs, name))
        if self.recorded:
            coords["step"] = self.recorded
        result = xr.Dataset(data, coords, attrs={**settings, "mimo_sim_version": __version__})
        for label, variable in result.data_vars.items():
            variable.attrs["long_name"] = NAMES_OF_MEASURES[str(label).removeprefix("path_")]
        return result.set_coords("step_size")
