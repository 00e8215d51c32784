"""A chunk of a sweep as a pure function of its parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

import numpy as np
import xarray as xr

from mimo_sim.errors import GenerationError
from mimo_sim.generators import scalar_pair, scalar_pairs
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO, Solver, Vanilla
from mimo_sim.sweeps._design import Columns

Part: TypeAlias = dict[str, np.ndarray]  # the results of n runs: variable -> (n, ...)

METHODS: dict[str, Solver] = {"vanilla": Vanilla(), "mimo": MIMO()}
OF_METHOD = ("lam", "mu", "f_star", "heads")
REFUSED = -1  # in whole-number variables of a run that has no problem; the others are NaN


@dataclass(frozen=True)
class Recipe:
    """What all chunks share; it travels to the workers."""

    make: Callable[..., LateFusionProblem]
    methods: dict[str, Solver]  # by name
    renamed: dict[str, str]  # axis -> parameter of `make`
    options: dict[str, Any]  # of simulate_ensemble
    skip: bool  # leave a run out where its problem is refused
    version: str
    template: dict[str, tuple[tuple[int, ...], str]]  # variable -> shape and type for one run
    names: tuple[str, ...] = ()  # of the modalities

    def problem(self, point: Mapping[str, Any]) -> LateFusionProblem | None:
        """The problem at a point of the design; None where it is refused and may be."""
        arguments = {parameter: point[axis] for axis, parameter in self.renamed.items()}
        try:
            problem = self.make(**arguments)
        except (ValueError, GenerationError) as error:
            if self.skip:
                return None
            where = ", ".join(f"{axis}={point[axis]!r}" for axis in self.renamed)
            raise type(error)(
                f"There is no problem at {where or 'these parameters'}. {error}"
            ) from None
        if not isinstance(problem, LateFusionProblem):
            raise TypeError(
                f"`problem` must return a LateFusionProblem. Got {type(problem).__name__} at {arguments}."
            )
        return problem

    def check_names(self, problems: Iterable[LateFusionProblem | None]) -> None:
        """Raise unless the problems have the same modalities."""
        for problem in problems:
            if problem is not None and problem.names != self.names:
                raise ValueError(
                    f"All problems of a sweep must have the same modalities. Got {self.names} and {problem.names}."
                )

    def method(self, point: Mapping[str, Any]) -> Solver:
        """The method at a point of the design, with those of the method parameters that it has."""
        base = (
            self.methods[point["method"]] if isinstance(point["method"], str) else point["method"]
        )
        own = {field.name for field in fields(base)} & point.keys()
        return replace(base, **{name: point[name] for name in OF_METHOD if name in own})

    def problems(self, columns: Columns) -> list[LateFusionProblem | None]:
        """The problems of these runs; equal parameters share one."""
        return _each(self._made, columns, self.renamed)

    def _made(self, points: list[dict[str, Any]]) -> list[LateFusionProblem | None]:
        if self.make is not scalar_pair:
            return [self.problem(point) for point in points]
        many = scalar_pairs(
            [{self.renamed[axis]: value for axis, value in point.items()} for point in points]
        )
        return [problem or self.problem(point) for point, problem in zip(points, many, strict=True)]

    def runs(
        self,
        problems: list[LateFusionProblem | None],
        columns: Columns,
        threads: int | None,
        **changes: Any,
    ) -> Iterator[tuple[list[int], xr.Dataset]]:
        """Simulate runs, those of one width together: which ones, and their results. Runs without a problem are left out."""
        from mimo_sim.dynamics.ensemble.driver import simulate_ensemble

        methods = _each(
            lambda points: [self.method(point) for point in points], columns, ("method", *OF_METHOD)
        )
        for width in dict.fromkeys(columns["width"]):
            there = {
                i: problem
                for i, problem in enumerate(problems)
                if problem is not None and columns["width"][i] == width
            }
            if rows := list(there):
                per_run: dict[str, Any] = {
                    name: [columns[name][i] for i in rows]
                    for name in ("step_size", "init_scale", "seed", "weight_decay")
                }
                default = all(value is None for value in per_run["step_size"])
                options = (
                    self.options
                    | per_run
                    | {"width": width, "threads": threads}
                    | ({"step_size": None} if default else {})
                    | changes
                )
                data = simulate_ensemble(
                    list(there.values()), [methods[i] for i in rows], **options
                )
                yield rows, data.reset_coords("step_size") if default else data


def _each(
    function: Callable[[list[dict[str, Any]]], list[Any]], columns: Columns, names: Iterable[str]
) -> list[Any]:
    """What `function` makes of the parameters `names` of every run; it gets every combination of values once."""
    used = [name for name in names if name in columns]
    points = (
        list(zip(*(columns[name] for name in used), strict=True))
        if used
        else [()] * len(columns["seed"])
    )
    keys = list(map(repr, points))
    distinct = {
        key: dict(zip(used, point, strict=True)) for key, point in zip(keys, points, strict=True)
    }
    known = dict(zip(distinct, function(list(distinct.values())), strict=True))
    return [known[key] for key in keys]


def compute(
    recipe: Recipe, index: int, columns: Columns, threads: int | None = 1
) -> tuple[int, Part]:
    """The results of one chunk, and its number."""
    from mimo_sim import __version__

    if recipe.version != __version__:
        raise RuntimeError(
            f"A worker has mimo_sim {__version__}, the sweep was started with {recipe.version}; results could differ."
        )
    count = len(columns["seed"])
    part = {
        name: np.full((count, *shape), missing(kind), kind)
        for name, (shape, kind) in recipe.template.items()
    }
    problems = recipe.problems(columns)
    recipe.check_names(problems)
    for rows, data in recipe.runs(problems, columns, threads):
        for name, values in part.items():
            found = data[name].transpose("run", ...).values
            if any(
                size > room for size, room in zip(found.shape[1:], values.shape[1:], strict=True)
            ):
                raise ValueError(
                    f"A problem is larger than those tried before the start: `{name}` has shape {found.shape[1:]}, not {values.shape[1:]}."
                )
            values[(rows, *map(slice, found.shape[1:]))] = found  # type: ignore[index]
    return index, part


def missing(kind: str) -> float:
    """What stands in a variable of this type for a run without a problem."""
    return math.nan if np.dtype(kind).kind == "f" else REFUSED
