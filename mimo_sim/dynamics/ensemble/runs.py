"""The arguments of an ensemble: checked, spread over its runs, and written into their tables."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from mimo_sim import theory
from mimo_sim._checks import (
    FloatArray,
    check_count,
    check_objects,
    check_positive,
    check_step_size,
    is_sequence,
)
from mimo_sim.dynamics.batches import Batches, check_batches, check_decay, check_use_of_decay
from mimo_sim.dynamics.engines.gram import Packed
from mimo_sim.dynamics.ensemble.step import Shape
from mimo_sim.dynamics.records import check_momentum, limit
from mimo_sim.dynamics.start import Weights, compact, norm_squared, random_blocks
from mimo_sim.problem import LateFusionProblem
from mimo_sim.rules import Rule
from mimo_sim.solvers import MIMO, SOLVERS, AnySolver, Solver, Vanilla, initial_f_star

KEPT_STARTS = 20_000  # initial weights that are remembered, as many runs share theirs

# What initial weights depend on: the dims of the problem, its outputs, init_scale and seed.
StartKey = tuple[tuple[int, ...], int, float, int]


class Runs:
    """The checked arguments of :func:`.driver.simulate_ensemble`, one entry for each run."""

    def __init__(
        self,
        problems: Any,
        methods: Any,
        step_size: Any,
        init_scale: Any,
        seed: Any,
        weight_decay: Any,
        width: float,
        momentum: Any = 0.0,
        batches: Any = None,
        decay: Any = 0.0,
    ) -> None:
        columns: dict[str, list[Any]] = {
            "problems": check_objects(
                "problems", problems, LateFusionProblem, "a LateFusionProblem"
            ),
            "methods": check_objects("methods", methods, (Vanilla, MIMO, Rule), SOLVERS),
            "step_size": [None],
            "init_scale": _numbers("init_scale", init_scale, check_positive),
            "seed": _numbers("seed", seed, lambda name, each: check_count(name, each, 0)),
            "weight_decay": _numbers(
                "weight_decay",
                weight_decay,
                lambda name, each: check_positive(name, each, allow_zero=True),
            ),
            "momentum": _numbers("momentum", momentum, lambda _, each: check_momentum(each)),
            "decay": _numbers("decay", decay, lambda _, each: check_decay(each)),
            "batches": [None],
        }
        if step_size is not None:
            columns["step_size"] = _numbers("step_size", step_size, check_step_size)
        if batches is not None:
            columns["batches"] = check_objects("batches", batches, Batches, "mimo_sim.Batches")
        self.count = max(map(len, columns.values()))
        for name, column in columns.items():
            if len(column) not in (1, self.count):
                raise ValueError(
                    f"`{name}` must hold one entry, or one per run ({self.count}). "
                    f"Got {len(column)}."
                )
            if len(column) == 1:
                columns[name] = column * self.count
        self.problems: list[LateFusionProblem] = columns["problems"]
        self.methods: list[AnySolver] = columns["methods"]
        self.step_size: list[float | None] = columns["step_size"]
        self.init_scale: list[float] = columns["init_scale"]
        self.seed: list[int] = columns["seed"]
        self.weight_decay: list[float] = columns["weight_decay"]
        self.momentum: list[float] = columns["momentum"]
        self.batches: list[Batches | None] = columns["batches"]
        self.decay: list[float] = columns["decay"]
        self.width = width
        self._default_steps = step_size is None
        self._starts: dict[StartKey, tuple[FloatArray, float]] = {}
        self._check_f_star()
        self._check_batches()

    def _check_f_star(self) -> None:
        """Refuse a method that does not have one number per modality."""
        pairs = zip(self.problems, self.methods, strict=True)
        different = {(id(problem), method): problem for problem, method in pairs}
        for (_, method), problem in different.items():
            if isinstance(method, Rule):
                method.check_modalities(problem.num_modalities)
            else:
                initial_f_star(method, problem.unimodal_optima)

    def _check_batches(self) -> None:
        """Refuse batches of other data than the run's problem, and `decay` where it has no use."""
        if self.batches[0] is None and not any(self.decay):
            return  # nothing to look at, in what may be a million runs
        for i, batches in enumerate(self.batches):
            check_batches(batches, self.problems[i], "gram", self.step_size[i])
            check_use_of_decay(self.decay[i], self.methods[i], batches)

    def shape(self, i: int) -> Shape:
        """The sizes of run i. Runs of one shape are trained by one compiled loop."""
        problem = self.problems[i]
        d = max(problem.dims)
        columns = int(min(self.width, 2 * problem.output_dim + d))
        decay = self.weight_decay[i] > 0
        method = self.methods[i]
        rule = method.structure() if isinstance(method, Rule) else None
        sizes = (problem.num_modalities, problem.output_dim, d, columns)
        return Shape(*sizes, decay, rule, momentum=self.momentum[i] > 0)

    def tables(self, members: list[int], shape: Shape) -> tuple[FloatArray, FloatArray]:
        """State and constants, each (rows, runs), of these runs at step 0."""
        problems = [self.problems[i] for i in members]
        # A rule has the same rows as joint training with trained heads, and a few more.
        methods: list[Solver] = [
            Vanilla(heads="plain") if isinstance(method, Rule) else method
            for method in (self.methods[i] for i in members)
        ]
        starts = self._initial(members, shape)
        eta = np.array(
            [self._step_size(i, norm) for i, (_, norm) in zip(members, starts, strict=True)]
        )
        rows = shape.state
        state = np.zeros((rows.height, len(members)))
        state[rows.Z] = np.stack([factors.ravel() for factors, _ in starts], axis=1)
        state[rows.base] = np.stack(
            [
                initial_f_star(method, problem.unimodal_optima) - problem.unimodal_optima
                for problem, method in zip(problems, methods, strict=True)
            ],
            axis=1,
        )
        state[rows.sigma] = np.nan  # the first step has no change before it

        decay = 1 - eta * np.array([self.weight_decay[i] for i in members])
        heads = np.array([method.heads for method in methods])
        running = np.array([method.f_star == "running_minimum" for method in methods])
        fixed = shape.constants
        constants = np.empty((fixed.height, len(members)))
        constants[fixed.S], constants[fixed.joint], constants[fixed.uni] = _maps(problems, shape)
        for column, i in enumerate(members):
            rule, problem = self.methods[i], self.problems[i]
            if isinstance(rule, Rule):
                constants[fixed.rule, column] = [
                    problem.joint_optimum,
                    problem.y_second_moment / 2,
                    *problem.unimodal_optima,
                    *rule.parameters(),
                ]
        constants[fixed.lam] = [method.lam for method in methods]
        constants[fixed.rate] = [1 / method.mu for method in methods]
        constants[fixed.gradient] = heads == "gradient"
        constants[fixed.plain] = np.where(heads == "plain", eta, 0.0)
        constants[fixed.hold] = np.where(running, 0.0, math.inf)
        constants[fixed.keep] = decay
        constants[fixed.keep_head] = np.where(heads == "frozen", 1.0, decay)
        constants[fixed.eta] = eta
        constants[fixed.momentum] = [self.momentum[i] for i in members]
        constants[fixed.ceiling] = [limit(problem) for problem in problems]
        return state, constants

    def _step_size(self, i: int, start_norm_squared: float) -> float:
        given = self.step_size[i]
        if given is not None:
            return given
        return theory.default_step_size(
            self.problems[i], self.methods[i], init_norm_squared=start_norm_squared
        )

    def _initial(self, members: list[int], shape: Shape) -> list[tuple[FloatArray, float]]:
        """The initial factors (K, n, r) of each run, and the squared norm of its initial weights.

        They are the factors that `simulate` starts from, padded with zeros, for many runs at once.
        For the norm see :func:`.start.norm_squared`; only a default step size needs it.
        """
        keys: list[StartKey] = [
            (self.problems[i].dims, shape.m, self.init_scale[i], self.seed[i]) for i in members
        ]
        if len(self._starts) > KEPT_STARTS:
            self._starts = {}
        known = self._starts
        missing = [key for key in dict.fromkeys(keys) if key not in known]
        for dims in {key[0] for key in missing}:
            same = [key for key in missing if key[0] == dims]
            known.update(zip(same, self._drawn(dims, same, shape), strict=True))
        return [known[key] for key in keys]

    def _drawn(
        self, dims: tuple[int, ...], keys: list[StartKey], shape: Shape
    ) -> list[tuple[FloatArray, float]]:
        """As :meth:`_initial`, for starts of problems with these dims."""
        factors = np.zeros((len(keys), shape.K, shape.n, shape.r))
        scales = [scale for _, _, scale, _ in keys]
        weights: list[list[Weights] | None]
        if math.isinf(self.width):
            weights = [None] * len(keys)
            for k, d in enumerate(dims):
                n = 2 * shape.m + d
                factors[:, k, :n, :n] = np.array(scales)[:, None, None] * np.eye(n)
        else:
            drawn = [
                random_blocks(dims, shape.m, int(self.width), scale, seed)
                for _, _, scale, seed in keys
            ]
            weights = list(drawn)
            for k in range(shape.K):
                stacks = [np.vstack([v, u, w.T]) for v, u, w in (each[k] for each in drawn)]
                Z = compact(np.stack(stacks))
                factors[:, k, : Z.shape[1], : Z.shape[2]] = Z
        norms = [0.0] * len(keys)
        if self._default_steps:
            norms = [norm_squared(each, scale) for each, scale in zip(weights, scales, strict=True)]
        return list(zip(factors, norms, strict=True))


def _maps(
    problems: list[LateFusionProblem], shape: Shape
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Moments and optimal maps of the problem of each run, as rows of the constants."""
    different = {id(problem): problem for problem in problems}
    empty = list(np.zeros((shape.K, shape.n, shape.r)))
    packed = [Packed(problem, Vanilla(), empty) for problem in different.values()]
    place = {key: i for i, key in enumerate(different)}
    own = [place[id(problem)] for problem in problems]

    def rows(name: str) -> FloatArray:
        return np.stack([getattr(each, name).ravel() for each in packed], axis=1)[:, own]

    return rows("S"), rows("joint"), rows("uni")


def _numbers(name: str, value: Any, check: Callable[[str, Any], object]) -> list[Any]:
    """`value` as a list of numbers that pass `check`, also where it is a single one."""
    values = list(value) if is_sequence(value) else [value]
    with suppress(ValueError):  # of unequal lengths: `check` refuses its entries
        values = np.asarray(values).tolist()
    if not values:
        raise ValueError(f"`{name}` must be a number, or one number per run. Got {value!r:.80}.")
    for each in values:
        check(name, each)
    return values
