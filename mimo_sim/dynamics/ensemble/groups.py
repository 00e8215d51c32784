"""Runs of one shape, trained together, with what is measured on the way.

Nobody keeps trajectories: memory must not grow with the number of steps. A group is trained in legs
of equal length and keeps the state at the start of each. To find the step at which something
happened, it goes back to the start of that leg and takes it again.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mimo_sim._checks import FloatArray
from mimo_sim.dynamics.ensemble.cpu import view
from mimo_sim.dynamics.ensemble.step import Advance, Shape

LEGS = 64  # of a run
# Weights below this at the start of a leg are set to zero: their products would be subnormal
# numbers, which are slow.
NEGLIGIBLE = 1e-153
BUDGET, CONVERGED, DIVERGED = 0, 1, 2  # how a run ended

IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
View: TypeAlias = dict[str, FloatArray]  # what `view` says of some runs


@dataclass
class _Live:
    """The runs of a group that have not ended: their places in the group, and their tables."""

    runs: IntArray
    state: FloatArray
    constants: FloatArray

    def only(self, kept: BoolArray) -> _Live:
        """Some of these runs. Tables stay row by row: another layout would cost a compilation."""
        return _Live(
            self.runs[kept],
            self.state.compress(kept, axis=1),
            self.constants.compress(kept, axis=1),
        )


class Group:
    """Runs of one shape that are trained together.

    After :meth:`run`, `state` is the last state of every run, and `final_step` the step of that
    state. `status` says how the run ended. `last` is the state one step further: its ``peak`` and
    ``bad`` are those of the final step.
    """

    def __init__(
        self, shape: Shape, state: FloatArray, constants: FloatArray, advance: Advance, steps: int
    ) -> None:
        self.shape, self.rows = shape, shape.state
        self.state, self.constants = state, constants
        self._advance, self.steps = advance, steps
        self.every = -(-steps // LEGS)
        self.legs = -(-steps // self.every)
        runs = state.shape[1]
        self._replayed = slice(0, self.rows.peak.start)  # what a leg starts from
        self.starts = np.zeros((self.legs, self.rows.peak.start, runs))
        self.peaks = np.zeros((self.legs, shape.K, runs))
        self.status = np.full(runs, BUDGET, dtype=np.int8)
        self.final_step = np.full(runs, steps)
        self.last = state

    # -------------------------------------------------------------------- forwards

    def run(
        self,
        tolerance: float | None,
        recorded: Sequence[int],
        record: Callable[[int, IntArray, View], None],
        tick: Callable[[int], None],
    ) -> None:
        """Train all runs to their ends.

        `record` (row, runs, view) is called at the `recorded` steps, and `tick` with the number of
        steps of all runs after every leg.
        """
        live = _Live(np.arange(self.state.shape[1]), self.state, self.constants)
        small = np.minimum(NEGLIGIBLE, 1e-30 * np.max(np.abs(self.state[self.rows.Z]), axis=0) ** 2)
        zero_speed = view(self.shape, self._zero_network(), self.constants)["speed"]
        still = (tolerance or 0.0) * (tolerance or 0.0) * zero_speed
        table_rows = {step: row for row, step in enumerate(recorded)}

        def record_now(live: _Live, step: int) -> None:
            if step in table_rows and len(live.runs):
                seen = view(self.shape, live.state, live.constants)
                record(table_rows[step], live.runs, seen)

        for leg in range(self.legs):
            start, stop = leg * self.every, min((leg + 1) * self.every, self.steps)
            weights = live.state[self.rows.Z.start : self.rows.velocity.stop]
            weights[np.abs(weights) < small[live.runs]] = 0.0
            record_now(live, start)
            if tolerance is not None and leg > 0:
                speed = view(self.shape, live.state, live.constants)["speed"]
                done = speed <= still[live.runs]
                final = live.state.compress(done, axis=1)
                live = self._retired(live, done, CONVERGED, final, start)
            self.starts[leg][:, live.runs] = live.state[self._replayed]
            within = recorded[bisect_right(recorded, start) : bisect_left(recorded, stop)]
            bad = self._take_leg(live, leg, [start, *within, stop], record_now)
            if bad.any():
                final, taken = self._seek(
                    np.full(bad.sum(), leg),
                    live.runs[bad],
                    stop - start,
                    lambda trial, _: trial[self.rows.bad] > 0,
                )
                live = self._retired(live, bad, DIVERGED, final, start + taken)
            tick(self.state.shape[1] * (stop - start))
        record_now(live, self.steps)
        self.state[:, live.runs] = live.state
        self.last = self._advanced(self.state, self.constants, 1)
        self.status[(self.status == BUDGET) & (self.last[self.rows.bad] > 0)] = DIVERGED

    def _take_leg(
        self,
        live: _Live,
        leg: int,
        stops: Sequence[int],
        record_now: Callable[[_Live, int], None],
    ) -> BoolArray:
        """Take the live runs from the first of these steps to the last, and record those between.

        Returns which of the runs have met the ceiling.
        """
        bad = np.zeros(len(live.runs), dtype=bool)
        if not len(live.runs):
            return bad
        for t, until in itertools.pairwise(stops):
            if t > stops[0]:
                record_now(live, t)
            live.state = self._advanced(live.state, live.constants, until - t)
            peak = live.state[self.rows.peak]
            self.peaks[leg][:, live.runs] = np.maximum(self.peaks[leg][:, live.runs], peak)
            bad |= live.state[self.rows.bad] > 0
        return bad

    def _zero_network(self) -> FloatArray:
        """The state of networks that compute zero."""
        state = np.zeros_like(self.state)
        state[self.rows.base] = self.state[self.rows.base]
        return state

    def _advanced(self, state: FloatArray, constants: FloatArray, steps: int) -> FloatArray:
        """These runs so many steps on, with the `peak` and `bad` of these steps alone."""
        state = state.copy()
        state[self.rows.peak] = 0.0
        state[self.rows.bad] = 0.0
        self._advance(state, constants, steps)
        return state

    def _retired(
        self, live: _Live, ended: BoolArray, status: int, last: FloatArray, step: Any
    ) -> _Live:
        """End the marked runs at `step` in their `last` states; returns the others."""
        if not ended.any():
            return live
        runs = live.runs[ended]
        self.state[:, runs], self.status[runs], self.final_step[runs] = last, status, step
        return live.only(~ended)

    # -------------------------------------------------------------------- back again

    def _seek(
        self,
        legs: IntArray,
        runs: IntArray,
        span: int,
        passed: Callable[[FloatArray, IntArray], Any],
    ) -> tuple[FloatArray, IntArray]:
        """Take legs again, up to the last step before something has happened.

        `legs` and `runs` say where each search starts. ``passed(state, taken)`` gets the state
        after so many steps, and says for each run whether it has happened by then. The step is at
        most `span` - 1 steps from the start of the leg. Bisection finds it, and takes as many steps
        as the leg has.

        Returns the states there and the steps taken.
        """
        state = np.zeros((self.rows.height, len(runs)))
        state[self._replayed] = self.starts[legs, :, runs].T
        constants = self.constants.take(runs, axis=1)
        taken = np.zeros(len(runs), dtype=np.int64)
        for exponent in reversed(range((span - 1).bit_length())):
            stretch = 1 << exponent
            trial = self._advanced(state, constants, stretch)
            further = ~passed(trial, taken + stretch)
            state[:, further] = trial[:, further]
            taken[further] += stretch
        return state, taken

    def half_times(self) -> FloatArray:
        """(K, runs) first step at which |W_k|^2 reaches half of its final value.

        NaN for an encoder that was never learned.
        """
        first = np.zeros((self.rows.height, self.state.shape[1]))
        first[self._replayed] = self.starts[0]
        first = self._advanced(first, self.constants, 1)
        initial, final = _squared(first[self.rows.peak]), _squared(self.last[self.rows.peak])
        learned = (final >= 2 * initial) & (final > 0) & (self.status != DIVERGED)
        reached = _squared(self.peaks) >= final / 2
        times = np.where(learned, self.final_step.astype(float), np.nan)
        # One search for each pair (k, run) that reached the half within a leg.
        k, runs = np.nonzero(learned & reached.any(axis=0))
        legs, half, each = reached.argmax(axis=0)[k, runs], final[k, runs] / 2, np.arange(len(runs))
        _, taken = self._seek(
            legs,
            runs,
            self.every,
            lambda trial, _: _squared(trial[self.rows.peak][k, each]) >= half,
        )
        times[k, runs] = legs * self.every + taken
        return times

    def plateau(self, times: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The step midway between the two earliest half-times, and the joint map there.

        Of shapes (runs,) and (m K d, runs); NaN where fewer than two modalities are learned.
        """
        middle = np.full(times.shape[1], np.nan)
        if len(times) > 1:
            earliest = np.sort(times, axis=0)
            middle = np.floor((earliest[0] + earliest[1]) / 2)
        maps = np.full((self.shape.m * self.shape.K * self.shape.d, times.shape[1]), np.nan)
        runs = np.flatnonzero(~np.isnan(middle))
        step = middle[runs].astype(np.int64)
        legs = np.minimum(step, self.final_step[runs] - 1) // self.every
        there, _ = self._seek(
            legs, runs, self.every + 1, lambda _, taken: taken > step - legs * self.every
        )
        maps[:, runs] = view(self.shape, there, self.constants.take(runs, axis=1))["joint_map"]
        return middle, maps

    def drift(self) -> FloatArray:
        """(runs,) largest relative change of a squared encoder norm over the last tenth of a run.

        It is seen at the starts of legs and at the end.
        """
        shape, final = self.shape, self.last[self.rows.peak]
        Z = self.starts[:, self.rows.Z].reshape(self.legs, shape.K, shape.n, shape.r, -1)
        squared = np.zeros((1, 1, 1))
        for i in range(2 * shape.m, shape.n):
            for j in range(shape.r):
                squared = squared + Z[:, :, i, j] ** 2
        start = np.arange(self.legs)[:, None] * self.every
        tenth = (9 * self.final_step // 10) // self.every * self.every
        late = (start >= tenth) & (start < self.final_step)
        squared = np.where(late[:, None], squared, final)
        change = np.maximum(squared.max(axis=0), final) - np.minimum(squared.min(axis=0), final)
        return np.asarray(np.max(change / np.maximum(final, np.finfo(float).tiny), axis=0))


def _squared(peak: FloatArray) -> FloatArray:
    """Squared norms, rounded as :func:`mimo_sim.half_times` rounds them: it squares the norms."""
    return np.sqrt(peak) ** 2
