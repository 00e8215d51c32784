"""Runs of an ensemble that see mini-batches: what is measured on the way, from their trajectories.

Such a run is one of :func:`mimo_sim.simulate`. Its step is compiled for its sizes, and most of its
time goes into the samples of the batch, so nothing is written out here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mimo_sim._checks import FloatArray
from mimo_sim.dynamics.ensemble.groups import LEGS
from mimo_sim.dynamics.ensemble.runs import Runs
from mimo_sim.dynamics.records import FLIP_SIZE
from mimo_sim.dynamics.trajectory import first_halves
from mimo_sim.errors import DivergenceError

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Trained:
    """A finished run, recorded at every step up to the one before it diverged.

    Parameters
    ----------
    path : Dataset
        What :func:`mimo_sim.simulate` returned, with its maps.
    diverged_at : int or None
        As in :class:`mimo_sim.DivergenceError`.
    steps : int
        That were asked for.
    """

    path: xr.Dataset
    diverged_at: int | None
    steps: int

    @property
    def final_step(self) -> int:
        """Steps taken."""
        return self.steps if self.diverged_at is None else self.diverged_at

    def half_times(self) -> FloatArray:
        """(K,) as :meth:`.groups.Group.half_times` has them."""
        squared = self.path.encoder_norm.values**2
        if self.diverged_at is not None:
            return np.full(squared.shape[1], np.nan)
        return first_halves(self.path.step.values, squared)

    def plateau(self, times: FloatArray) -> tuple[float, FloatArray]:
        """The step midway between the two earliest half-times, and the joint map (m, D) there."""
        earliest = np.sort(times)  # NaN comes last
        if len(times) < 2 or np.isnan(earliest[1]):
            return np.nan, np.full(self.path.joint_map.shape[1:], np.nan)
        middle = int((earliest[0] + earliest[1]) // 2)
        return middle, self.path.joint_map.values[middle]

    def drift(self) -> float:
        """Largest relative change of a squared encoder norm over the last tenth of the run."""
        every, squared = -(-self.steps // LEGS), self.path.encoder_norm.values**2
        first = (9 * self.final_step // 10) // every * every
        late = np.concatenate([squared[first : self.final_step : every], squared[-1:]])
        return float(np.max(np.ptp(late, axis=0) / np.maximum(late[-1], np.finfo(float).tiny)))

    def flips(self) -> int:
        """How often a sigma_k swings by more than FLIP_SIZE, and back again in the next step."""
        change = np.diff(self.path.sigma.values, axis=0)
        before, after = change[:-1], change[1:]
        large = np.minimum(np.abs(before), np.abs(after)) > FLIP_SIZE
        return int(np.sum((before * after < 0) & large))


def train(runs: Runs, i: int, steps: int) -> Trained:
    """Take all steps of run i."""
    from mimo_sim.dynamics.driver import simulate

    diverged_at = None
    try:
        path = simulate(
            runs.problems[i],
            runs.methods[i],
            step_size=runs.step_size[i],
            steps=steps,
            width=runs.width,
            init_scale=runs.init_scale[i],
            seed=runs.seed[i],
            weight_decay=runs.weight_decay[i],
            momentum=runs.momentum[i],
            batches=runs.batches[i],
            decay=runs.decay[i],
            record_maps=True,
        )
    except DivergenceError as error:
        path, diverged_at = error.trajectory, error.step
    return Trained(path, diverged_at, steps)
