"""`simulate_ensemble`: thousands of runs at once, with streaming statistics, so that memory grows neither with steps nor with trajectories nobody asked for."""

from __future__ import annotations

import importlib
import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event, Lock
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr
from numba import get_num_threads

from mimo_sim import theory
from mimo_sim._checks import FloatArray, check_count, check_positive
from mimo_sim._progress import progress_bar
from mimo_sim.dynamics.driver import _norm_squared
from mimo_sim.dynamics.engines.gram import Packed
from mimo_sim.dynamics.ensemble.cpu import LANES, Advance, Shape, view
from mimo_sim.dynamics.records import limit
from mimo_sim.dynamics.start import compact, random_blocks
from mimo_sim.dynamics.trajectory import LONG_NAMES
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO, Solver, Vanilla, initial_f_star

ENGINES = {"batch": "mimo_sim.dynamics.ensemble.cpu", "cuda": "mimo_sim.dynamics.ensemble.cuda"}
LEGS = 64  # a run is divided into so many legs; its state at the start of each is kept until it ends, to find half-times by going back
MEMORY = {
    "batch": 2**24,
    "cuda": 2**30,
}  # bytes for those states; sets how many runs a thread trains together
KEPT_STARTS = 20_000  # initial weights remembered, as many runs share them
NEGLIGIBLE = 1e-153  # at the start of a leg weights below this, whose products would be subnormal and slow, are set to zero
BUDGET, CONVERGED, DIVERGED = 0, 1, 2
ENDS = ("loss_uni", "excess_uni", "gap", "sigma", "encoder_norm", "head_norm", "uni_head_norm")
MORE_NAMES = {
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

IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
View: TypeAlias = dict[str, FloatArray]


def _each(name: str, value: Any, kind: type | tuple[type, ...], allowed: str) -> list[Any]:
    """`value` as a list: of one element when it is a single `kind`."""
    values = (
        [value]
        if isinstance(value, kind)
        else list(value)
        if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
        else []
    )
    if not values or not all(isinstance(each, kind) for each in values):
        wrong = next((each for each in values if not isinstance(each, kind)), value)
        raise TypeError(
            f"`{name}` must be {allowed}, or a sequence of them, one per run. Got {wrong!r:.80}."
        )
    return values


def _numbers(name: str, value: Any, check: Callable[[str, Any], object]) -> list[Any]:
    values = (
        np.asarray(value).tolist()
        if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
        else [value]
    )
    if not isinstance(values, list) or not values:
        raise ValueError(f"`{name}` must be a number, or one number per run. Got {value!r:.80}.")
    for each in values:
        check(name, each)
    return values


class _Runs:
    """The validated arguments of every run, broadcast."""

    def __init__(
        self,
        problems: Any,
        methods: Any,
        step_size: Any,
        init_scale: Any,
        seed: Any,
        weight_decay: Any,
        width: float,
    ) -> None:
        columns: dict[str, list[Any]] = {
            "problems": _each("problems", problems, LateFusionProblem, "a LateFusionProblem"),
            "methods": _each(
                "methods", methods, (Vanilla, MIMO), "mimo_sim.Vanilla() or mimo_sim.MIMO(...)"
            ),
            "step_size": [None]
            if step_size is None
            else _numbers("step_size", step_size, check_positive),
            "init_scale": _numbers("init_scale", init_scale, check_positive),
            "seed": _numbers("seed", seed, lambda name, each: check_count(name, each, 0)),
            "weight_decay": _numbers(
                "weight_decay",
                weight_decay,
                lambda name, each: check_positive(name, each, allow_zero=True),
            ),
        }
        self.count = max(map(len, columns.values()))
        for name, column in columns.items():
            if len(column) not in (1, self.count):
                raise ValueError(
                    f"`{name}` must hold one entry, or one per run ({self.count}). Got {len(column)}."
                )
            columns[name] = column * self.count if len(column) == 1 else column
        self.problems, self.methods = columns["problems"], columns["methods"]
        self.step_size, self.init_scale, self.seed, self.weight_decay = (
            columns[name] for name in ("step_size", "init_scale", "seed", "weight_decay")
        )
        self.width, self.default_steps = width, step_size is None
        for problem, method in {
            (id(p), method): (p, method)
            for p, method in zip(self.problems, self.methods, strict=True)
        }.values():
            initial_f_star(method, problem.unimodal_optima)  # one f* per modality

        self._starts: dict[tuple[Any, ...], tuple[FloatArray, float]] = {}

    def shape(self, i: int) -> Shape:
        """Runs of one shape are trained by one compiled loop."""
        problem = self.problems[i]
        d = max(problem.dims)
        return Shape(
            problem.num_modalities,
            problem.output_dim,
            d,
            int(min(self.width, 2 * problem.output_dim + d)),
            self.weight_decay[i] > 0,
        )

    def _start(self, members: list[int], shape: Shape) -> list[tuple[FloatArray, float]]:
        """Factors (K, n, r), padded with zeros, and largest squared norm of the initial weights of these runs: those of `simulate`, many at once."""
        keys = [(self.problems[i].dims, shape.m, self.init_scale[i], self.seed[i]) for i in members]
        if len(self._starts) > KEPT_STARTS:
            self._starts = {}
        known = self._starts
        missing = [key for key in dict.fromkeys(keys) if key not in known]
        for dims in {key[0] for key in missing}:
            same = [key for key in missing if key[0] == dims]
            factors = np.zeros((len(same), shape.K, shape.n, shape.r))
            if math.isinf(self.width):
                for k, d in enumerate(dims):
                    n = 2 * shape.m + d
                    factors[:, k, :n, :n] = np.array([scale for *_, scale, _ in same])[
                        :, None, None
                    ] * np.eye(n)
                norms = [3 * scale**2 for *_, scale, _ in same]
            else:
                weights = [
                    random_blocks(dims, shape.m, int(self.width), scale, seed)
                    for _, _, scale, seed in same
                ]
                for k in range(shape.K):
                    Z = compact(
                        np.stack(
                            [np.vstack([v, u, w.T]) for v, u, w in (each[k] for each in weights)]
                        )
                    )
                    factors[:, k, : Z.shape[1], : Z.shape[2]] = Z
                norms = [
                    _norm_squared(each, scale) if self.default_steps else 0.0
                    for each, (*_, scale, _) in zip(weights, same, strict=True)
                ]
            known |= dict(zip(same, zip(factors, norms, strict=True), strict=True))
        return [known[key] for key in keys]

    def tables(self, members: list[int], shape: Shape) -> tuple[FloatArray, FloatArray]:
        """State and constants of these runs at step 0."""
        problems, methods = [self.problems[i] for i in members], [self.methods[i] for i in members]
        starts = self._start(members, shape)
        eta = np.array(
            [
                self.step_size[i] or self._default_step(i, norm)
                for i, (_, norm) in zip(members, starts, strict=True)
            ]
        )
        decay = 1 - eta * np.array([self.weight_decay[i] for i in members])
        heads = np.array([method.heads for method in methods])
        place = {
            id(problem): n
            for n, problem in enumerate({id(problem): problem for problem in problems}.values())
        }
        own = [place[id(problem)] for problem in problems]
        empty = np.zeros((shape.K, shape.n, shape.r))
        packed = [
            Packed(problem, Vanilla(), list(empty))
            for problem in {id(problem): problem for problem in problems}.values()
        ]
        state = np.zeros((shape.state["bad"].stop, len(members)))
        state[shape.state["Z"]] = np.stack([factors.ravel() for factors, _ in starts], axis=1)
        optima = [problem.unimodal_optima for problem in problems]
        state[shape.state["base"]] = np.stack(
            [
                initial_f_star(method, best) - best
                for method, best in zip(methods, optima, strict=True)
            ],
            axis=1,
        )
        state[shape.state["sigma"]] = np.nan  # the first step has no change before it
        values = {
            **{
                name: np.stack([getattr(each, name).ravel() for each in packed], axis=1)[:, own]
                for name in ("S", "joint", "uni")
            },
            "lam": [method.lam for method in methods],
            "rate": [1 / method.mu for method in methods],
            "gradient": heads == "gradient",
            "plain": np.where(heads == "plain", eta, 0.0),
            "hold": [0.0 if method.f_star == "running_minimum" else math.inf for method in methods],
            "keep": decay,
            "keep_head": np.where(heads == "frozen", 1.0, decay),
            "eta": eta,
            "ceiling": [limit(problem) for problem in problems],
        }
        constants = np.empty((shape.constants["ceiling"].stop, len(members)))
        for name, rows in shape.constants.items():
            constants[rows] = values[name]
        return state, constants

    def _default_step(self, i: int, norm_squared: float) -> float:
        return theory.default_step_size(
            self.problems[i], self.methods[i], init_norm_squared=norm_squared
        )


def _squared(peak: FloatArray) -> FloatArray:
    """Squared norms as :func:`mimo_sim.half_times` has them, from stored norms."""
    return np.sqrt(peak) ** 2


class _Group:
    """Runs of one shape, trained together: legs of equal length, the state at the start of each kept, and replays from there."""

    def __init__(
        self, shape: Shape, state: FloatArray, constants: FloatArray, advance: Advance, steps: int
    ) -> None:
        self.shape, self.state, self.constants, self._advance, self.steps = (
            shape,
            state,
            constants,
            advance,
            steps,
        )
        self.peak, self.bad, self.memory = (
            shape.state["peak"],
            shape.state["bad"],
            slice(0, shape.state["peak"].start),
        )
        self.every = -(-steps // LEGS)
        runs, self.legs = state.shape[1], -(-steps // self.every)
        self.starts = np.zeros((self.legs, self.memory.stop, runs))
        self.peaks = np.zeros((self.legs, shape.K, runs))
        self.status, self.final_step = np.full(runs, BUDGET, dtype=np.int8), np.full(runs, steps)

    def advanced(self, state: FloatArray, constants: FloatArray, steps: int) -> FloatArray:
        """These runs so many steps on, with `peak` and `bad` of these steps alone."""
        state = state.copy()
        state[self.peak], state[self.bad] = 0.0, 0.0
        self._advance(state, constants, steps)
        return state

    def seek(
        self,
        legs: IntArray,
        runs: IntArray,
        span: int,
        passed: Callable[[FloatArray, IntArray], Any],
    ) -> tuple[FloatArray, IntArray]:
        """Replay runs from the starts of these legs to the last step before `passed`, at most `span` - 1 steps away; their states and the steps taken.

        `passed` (state after a stretch, steps taken by then) says for each run whether the stretch went over the point looked for. By bisection: as
        many steps in all as the leg has.
        """
        state = np.zeros((self.state.shape[0], len(runs)))
        state[self.memory] = self.starts[legs, :, runs].T
        constants, taken = self.constants.take(runs, axis=1), np.zeros(len(runs), dtype=np.int64)
        for exponent in reversed(range((span - 1).bit_length())):
            trial = self.advanced(state, constants, 1 << exponent)
            further = ~passed(trial, taken + (1 << exponent))
            state[:, further] = trial[:, further]
            taken[further] += 1 << exponent
        return state, taken

    def train(
        self,
        tolerance: float | None,
        recorded: Sequence[int],
        record: Callable[[int, IntArray, View], None],
        tick: Callable[[int], None],
    ) -> None:
        """All legs of all runs. `record` (row, runs, view) is called at the recorded steps, `tick` after every leg."""
        live, state, constants = np.arange(self.state.shape[1]), self.state, self.constants
        small = np.minimum(
            NEGLIGIBLE, 1e-30 * np.max(np.abs(state[self.shape.state["Z"]]), axis=0) ** 2
        )
        still = (tolerance or 0.0) ** 2 * view(self.shape, self._zero_network(), constants)[
            "speed"
        ][0]
        rows = dict(zip(recorded, itertools.count(), strict=False))
        for leg in range(self.legs):
            start, stop = leg * self.every, min((leg + 1) * self.every, self.steps)
            Z = state[self.shape.state["Z"]]
            Z[np.abs(Z) < small[live]] = 0.0
            if start in rows and len(live):
                record(rows[start], live, view(self.shape, state, constants))
            if tolerance is not None and leg > 0:
                done = view(self.shape, state, constants)["speed"][0] <= still[live]
                live, state, constants = self._without(
                    done, live, state, constants, CONVERGED, state.compress(done, axis=1), start
                )
            self.starts[leg][:, live] = state[self.memory]
            stretches = [
                start,
                *(t for t in recorded[bisect_right(recorded, start) : bisect_left(recorded, stop)]),
                stop,
            ]
            bad = np.zeros(len(live), dtype=bool)
            for t, until in itertools.pairwise(stretches) if len(live) else ():
                if t > start:
                    record(rows[t], live, view(self.shape, state, constants))
                state = self.advanced(state, constants, until - t)
                self.peaks[leg][:, live] = np.maximum(self.peaks[leg][:, live], state[self.peak])
                bad |= state[self.bad][0] > 0
            if bad.any():
                last, taken = self.seek(
                    np.full(bad.sum(), leg),
                    live[bad],
                    stop - start,
                    lambda trial, _: trial[self.bad][0] > 0,
                )
                live, state, constants = self._without(
                    bad, live, state, constants, DIVERGED, last, start + taken
                )
            tick(self.state.shape[1] * (stop - start))
        if self.steps in rows and len(live):
            record(rows[self.steps], live, view(self.shape, state, constants))
        self.state[:, live] = state
        self.last = self.advanced(
            self.state, self.constants, 1
        )  # what is seen at the final step itself
        self.status[(self.status == BUDGET) & (self.last[self.bad][0] > 0)] = DIVERGED

    def _zero_network(self) -> FloatArray:
        state = np.zeros_like(self.state)
        state[self.shape.state["base"]] = self.state[self.shape.state["base"]]
        return state

    def _without(
        self,
        out: BoolArray,
        live: IntArray,
        state: FloatArray,
        constants: FloatArray,
        status: int,
        last: FloatArray,
        step: Any,
    ) -> tuple[IntArray, FloatArray, FloatArray]:
        """Retire the live runs marked `out`, in their `last` states; returns what stays."""
        if not out.any():
            return live, state, constants
        self.state[:, live[out]], self.status[live[out]], self.final_step[live[out]] = (
            last,
            status,
            step,
        )
        return (
            live[~out],
            state.compress(~out, axis=1),
            constants.compress(~out, axis=1),
        )  # row by row in memory, as all tables: each layout compiles anew

    def half_times(self) -> FloatArray:
        """(K, runs) first step at which |W_k|^2 reaches half of its final value."""
        final = _squared(self.last[self.peak])
        beginning = self.starts[0]
        initial = _squared(
            self.advanced(
                np.vstack([beginning, np.zeros((self.shape.K + 1, beginning.shape[1]))]),
                self.constants,
                1,
            )[self.peak]
        )
        learned = (final >= 2 * initial) & (final > 0) & (self.status != DIVERGED)
        reached = _squared(self.peaks) >= final / 2
        times = np.where(learned, self.final_step.astype(float), np.nan)
        k, runs = np.nonzero(learned & reached.any(axis=0))
        legs, half, every = (
            reached.argmax(axis=0)[k, runs],
            final[k, runs] / 2,
            np.arange(len(runs)),
        )
        _, taken = self.seek(
            legs, runs, self.every, lambda trial, _: _squared(trial[self.peak][k, every]) >= half
        )
        times[k, runs] = legs * self.every + taken
        return times

    def plateau(self, times: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The step midway between the two earliest half-times (NaN where fewer than two modalities are learned), and the joint map there, (m K d, runs)."""
        early = np.sort(times, axis=0)[:2]
        middle = np.floor(
            (early[0] + early[-1]) / 2 if len(early) > 1 else np.full_like(early[0], np.nan)
        )
        maps = np.full((self.shape.m * self.shape.K * self.shape.d, times.shape[1]), np.nan)
        runs = np.flatnonzero(~np.isnan(middle))
        step = middle[runs].astype(np.int64)
        legs = np.minimum(step, self.final_step[runs] - 1) // self.every
        there, _ = self.seek(
            legs, runs, self.every + 1, lambda _, taken: taken > step - legs * self.every
        )
        maps[:, runs] = view(self.shape, there, self.constants.take(runs, axis=1))["joint_map"]
        return middle, maps

    def drift(self) -> FloatArray:
        """(runs,) largest relative change of an encoder's squared norm over the last tenth of a run, seen at the starts of legs."""
        shape, final = self.shape, self.last[self.peak]
        Z = self.starts[:, shape.state["Z"]].reshape(self.legs, shape.K, shape.n, shape.r, -1)
        squared = sum(
            (Z[:, :, i, j] ** 2 for i in range(2 * shape.m, shape.n) for j in range(shape.r)),
            np.zeros((1, 1, 1)),
        )
        leg = np.arange(self.legs)[:, None]
        late = (leg >= (9 * self.final_step // 10) // self.every) & (
            leg * self.every < self.final_step
        )
        squared = np.where(late[:, None], squared, final)
        change = np.maximum(squared.max(axis=0), final) - np.minimum(squared.min(axis=0), final)
        return np.asarray(np.max(change / np.maximum(final, np.finfo(float).tiny), axis=0))


class _Results:
    """The (run, ...) arrays of all groups, and their labels."""

    def __init__(self, runs: _Runs, recorded: list[int]) -> None:
        self.runs, self.recorded = runs, recorded
        N, self.K = runs.count, max(problem.num_modalities for problem in runs.problems)
        self.m, self.d = (
            max(problem.output_dim for problem in runs.problems),
            max(max(problem.dims) for problem in runs.problems),
        )
        self.per_run = {
            name: np.full(N, np.nan)
            for name in (
                "loss_mm",
                "excess_mm",
                "objective",
                "worst_gap",
                "drift",
                "plateau_step",
                "step_size",
            )
        }
        self.counts = {
            name: np.zeros(N, dtype=np.int64) for name in ("final_step", "diverged_at", "flips")
        }
        self.status = np.zeros(N, dtype=np.int8)
        self.per_modality = {name: np.full((N, self.K), np.nan) for name in ("half_time", *ENDS)}
        self.plateau_map = np.full((N, self.m, self.K, self.d), np.nan)
        self.paths = (
            {name: np.full((N, len(recorded), self.K), np.nan) for name in ENDS} if recorded else {}
        )
        self.path_mm = (
            {
                name: np.full((N, len(recorded)), np.nan)
                for name in ("loss_mm", "excess_mm", "objective")
            }
            if recorded
            else {}
        )

    def _losses(
        self, members: IntArray, seen: View
    ) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
        """Per run (runs,), and per modality (runs, K)."""
        problems = [self.runs.problems[i] for i in members]
        joint = np.array([[isinstance(self.runs.methods[i], Vanilla)] for i in members])
        loss_mm = seen["excess_mm"][0] + np.array([problem.joint_optimum for problem in problems])
        per_modality = {
            "loss_uni": seen["excess"].T
            + np.array([problem.unimodal_optima for problem in problems]),
            "excess_uni": seen["excess"].T,
            "gap": seen["gap"].T,
            "sigma": np.where(joint, np.nan, seen["weight"].T),
            "head_norm": seen["head"].T,
            "uni_head_norm": seen["uni_head"].T,
            "encoder_norm": seen["encoder"].T,
        }
        return {
            "loss_mm": loss_mm,
            "excess_mm": seen["excess_mm"][0],
            "objective": loss_mm + seen["penalty"][0],
        }, per_modality

    def record(self, row: int, members: IntArray, shape: Shape, seen: View) -> None:
        """One recorded step of some runs."""
        per_run, per_modality = self._losses(members, seen)
        for name, values in per_run.items():
            self.path_mm[name][members, row] = values
        for name, values in per_modality.items():
            self.paths[name][members, row, : shape.K] = values

    def store(self, members: IntArray, group: _Group) -> None:
        """Everything that is known once a group has been trained."""
        shape = group.shape
        seen = view(shape, group.state, group.constants)
        per_run, per_modality = self._losses(members, seen)
        times = group.half_times()
        middle, maps = group.plateau(times)
        worst, eta = seen["gap"].max(axis=0), group.constants[shape.constants["eta"]][0]
        per_run |= {
            "worst_gap": worst,
            "drift": group.drift(),
            "plateau_step": middle,
            "step_size": eta,
        }
        per_modality["half_time"] = times.T
        for name, values in per_run.items():
            self.per_run[name][members] = values
        for name, values in per_modality.items():
            self.per_modality[name][members, : shape.K] = values
        self.plateau_map[members, : shape.m, : shape.K, : shape.d] = maps.reshape(
            shape.m, shape.K, shape.d, -1
        ).transpose(3, 0, 1, 2)
        self.status[members], self.counts["final_step"][members] = group.status, group.final_step
        self.counts["diverged_at"][members] = np.where(
            group.status == DIVERGED, group.final_step, -1
        )
        self.counts["flips"][members] = group.last[shape.state["flips"]][0]
        for i in members[group.status == DIVERGED] if self.recorded else ():
            after = bisect_left(self.recorded, self.counts["diverged_at"][i])
            for path in (self.path_mm | self.paths).values():
                path[i, after:] = np.nan

    def dataset(self, settings: dict[str, Any]) -> xr.Dataset:
        """The labelled result."""
        from mimo_sim import __version__

        runs = self.runs
        names = {problem.names for problem in runs.problems}
        modality = list(names.pop()) if len(names) == 1 else [f"m{k + 1}" for k in range(self.K)]
        data: dict[str, Any] = {
            name: (("run",), values) for name, values in (self.per_run | self.counts).items()
        }
        data["status"] = (
            ("run",),
            self.status,
            {
                "flag_values": [BUDGET, CONVERGED, DIVERGED],
                "flag_meanings": "budget converged diverged",
            },
        )
        data |= {name: (("run", "modality"), values) for name, values in self.per_modality.items()}
        data["plateau_map"] = (("run", "output", "modality", "component"), self.plateau_map)
        data |= {f"path_{name}": (("run", "step"), values) for name, values in self.path_mm.items()}
        data |= {
            f"path_{name}": (("run", "step", "modality"), values)
            for name, values in self.paths.items()
        }
        coords: dict[str, Any] = {"run": np.arange(runs.count), "modality": modality}
        coords |= {
            name: ("run", getattr(runs, name)) for name in ("init_scale", "seed", "weight_decay")
        }
        if self.recorded:
            coords["step"] = self.recorded
        result = xr.Dataset(data, coords, attrs={**settings, "mimo_sim_version": __version__})
        for name, variable in result.data_vars.items():
            variable.attrs["long_name"] = (LONG_NAMES | MORE_NAMES)[str(name).removeprefix("path_")]
        return result.set_coords("step_size")


def simulate_ensemble(
    problems: LateFusionProblem | Sequence[LateFusionProblem],
    methods: Solver | Sequence[Solver],
    *,
    step_size: npt.ArrayLike | None = None,
    steps: int = 2000,
    width: float = 100,
    init_scale: npt.ArrayLike = 1e-3,
    seed: npt.ArrayLike = 0,
    weight_decay: npt.ArrayLike = 0.0,
    tolerance: float | None = None,
    record_every: int | None = None,
    engine: str = "batch",
    threads: int | None = None,
    progress: bool = False,
) -> xr.Dataset:
    r"""Train many two-layer late-fusion networks by gradient descent: :func:`mimo_sim.simulate` for N runs at once.

    `problems`, `methods`, `step_size`, `init_scale`, `seed` and `weight_decay` are each one for all runs, or one per run.

    Parameters
    ----------
    problems : LateFusionProblem or N of them
        They may differ in sizes.
    methods : Vanilla or MIMO, or N of them
        What is minimised.
    step_size : float or N floats, optional
        eta > 0; by default every run's own :func:`mimo_sim.theory.default_step_size`.
    steps : int
        Number of gradient steps, >= 1.
    width : int or inf
        Hidden width h of every encoder, as in `simulate`.
    init_scale, seed, weight_decay : number or N numbers
        As in `simulate`. Same seed, same initial weights as there.
    tolerance : float, optional
        Stop a run once its largest growth rate, over modalities :math:`(|R_k|_F^2 + (\lambda\sigma_k|Q_k|_F)^2)^{1/2}` with the residual correlations R_k of
        f_mm and Q_k of f_k, has fallen to `tolerance` times what it is for a network that computes zero; looked at every ``ceil(steps / 64)`` steps. Excess
        losses are then of relative order ``tolerance**2``, and norms, hence half-times, final to relative order `tolerance`. A saddle (one modality
        learned, the other not yet) does not count, as the rate of the other is not small. Runs with weight decay do not get there. By default all
        steps are taken.
    record_every : int, optional
        Also return trajectories: step 0, every so many steps, and the last; rows after a run has stopped are NaN.
    engine : {"batch", "cuda"}
        ``"batch"``: vectorised over runs, on all cores. ``"cuda"``: one GPU thread per run; needs the extra ``mimo_sim[cuda]`` and a device.
    threads : int, optional
        Threads of engine "batch"; by default as many as numba uses.
    progress : bool
        Show a progress bar, in run-steps, on stderr.

    Returns
    -------
    xarray.Dataset
        Dims ``run`` and ``modality``; modalities that a problem does not have are NaN.

        At the end of each run, named as in `simulate`: ``loss_mm``, ``excess_mm``, ``objective``, ``worst_gap`` (run), ``loss_uni``, ``excess_uni``, ``gap``,
        ``sigma``, ``encoder_norm``, ``head_norm``, ``uni_head_norm`` (run, modality).

        Over each run: ``half_time`` (run, modality), what :func:`mimo_sim.half_times` says of it recorded at every step; ``drift`` (run), the largest
        relative change of a :math:`|W_k|_F^2` over its last tenth, seen every ``ceil(steps / 64)`` steps (above 5% half-times refer to values that are not
        final); ``plateau_step`` (run), the step midway between the two earliest half-times, and ``plateau_map`` (run, output, modality, component), the
        maps V_k W_k there: what each modality was credited with while one was learned alone; ``flips`` (run) of sigma, as for ChatteringWarning.

        ``status`` (run; meanings in its attributes), ``final_step`` and ``diverged_at`` (run), -1 if it did not. A diverged run stops at the first step whose
        losses exceed 1e8 times those of the zero network; its last values may be infinite or NaN, and it has no half-times.

        With `record_every` also trajectories ``path_*`` (run, step[, modality]) of losses, sigma and norms.

    Raises
    ------
    ValueError, TypeError
        For input outside the ranges above.
    ModuleNotFoundError, RuntimeError
        With engine "cuda" where numba-cuda or a device is missing.

    Notes
    -----
    A run's numbers do not depend on the other runs, its place among them, or `threads`, bit by bit. They agree with `simulate` to round-off.

    Examples
    --------
    >>> from mimo_sim.generators import scalar_pair
    >>> runs = simulate_ensemble([scalar_pair(2.0, rho) for rho in (0.0, 0.5)], Vanilla(), step_size=0.01, steps=4000, init_scale=1e-6)
    >>> ratio = runs.half_time.max("modality") / runs.half_time.min("modality")
    >>> bool(ratio[1] > ratio[0] > 3)
    True
    """
    steps = check_count("steps", steps, 1)
    if not (isinstance(width, float) and width == math.inf):
        width = check_count("width", width, 1)
    if engine not in ENGINES:
        raise ValueError(f"`engine` must be one of {tuple(ENGINES)}. Got engine={engine!r}.")
    if tolerance is not None:
        check_positive("tolerance", tolerance)
    recorded = (
        []
        if record_every is None
        else [*range(0, steps, check_count("record_every", record_every, 1)), steps]
    )
    workers = get_num_threads() if threads is None else check_count("threads", threads, 1)
    workers = 1 if engine == "cuda" else workers
    compiled = importlib.import_module(ENGINES[engine])
    runs = _Runs(problems, methods, step_size, init_scale, seed, weight_decay, width)
    shapes: dict[Shape, list[int]] = {}
    for i in range(runs.count):
        shapes.setdefault(runs.shape(i), []).append(i)
    groups = []
    for shape, members in shapes.items():
        loop = compiled.advance(shape)
        fits = MEMORY[engine] // (8 * LEGS * shape.state["bad"].stop)
        size = max(
            1, min(fits // LANES * LANES or fits, LANES * math.ceil(len(members) / workers / LANES))
        )
        groups += [
            (shape, loop, members[first : first + size]) for first in range(0, len(members), size)
        ]

    results, stop, lock = _Results(runs, recorded), Event(), Lock()
    with (
        progress_bar(runs.count * steps, progress) as advance_bar,
        ThreadPoolExecutor(workers) as pool,
    ):

        def tick(run_steps: int) -> None:
            with lock:
                if stop.is_set():
                    raise InterruptedError
                try:
                    advance_bar(run_steps)
                except (
                    BaseException
                ):  # no other thread may begin another leg before the main one hears of it
                    stop.set()
                    raise

        def work(shape: Shape, loop: Advance, members: list[int]) -> None:
            indices = np.asarray(members)
            with (
                np.errstate(all="ignore"),
                suppress(InterruptedError),
            ):  # diverged runs; a stop, which the thread that caused it reports
                group = _Group(shape, *runs.tables(members, shape), loop, steps)
                group.train(
                    tolerance,
                    recorded,
                    lambda row, live, seen: results.record(row, indices[live], shape, seen),
                    tick,
                )
                results.store(indices, group)

        futures = [pool.submit(work, *group) for group in groups]
        try:
            for future in futures:
                future.result()
        except BaseException:  # the keyboard too: let the threads stop at the end of their legs
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    settings = {
        "steps": steps,
        "width": float(width),
        "engine": engine,
        "tolerance": math.nan if tolerance is None else float(tolerance),
    }
    return results.dataset(settings)
