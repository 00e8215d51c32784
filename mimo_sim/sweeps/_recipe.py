"""What all chunks of a sweep share, and a chunk as a pure function of its parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import xarray as xr

from mimo_sim.dynamics.batches import draw
from mimo_sim.errors import GenerationError
from mimo_sim.generators import scalar_pair, scalar_pairs
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO, AnySolver, default_solvers
from mimo_sim.sweeps._design import Columns

Part: TypeAlias = dict[str, np.ndarray]  # the results of n runs: variable -> (n, ...)

OF_EACH_RUN = ("step_size", "init_scale", "seed", "weight_decay", "momentum")
OF_SAMPLES = ("train_size", "batch_size", "batch_seed", "replace")
REFUSED = -1  # stands in whole-number variables of a run without a problem; NaN in the others


@cache
def of_solvers() -> tuple[str, ...]:
    """The hyper-parameters of all solvers by name."""
    known = [MIMO(), *default_solvers().values()]
    return tuple(dict.fromkeys(field.name for solver in known for field in fields(solver)))


@dataclass(frozen=True)
class Recipe:
    """What all chunks share; it travels to the workers."""

    make: Callable[..., LateFusionProblem]
    solvers: dict[str, AnySolver]  # what the words of `method` stand for
    renamed: dict[str, str]  # axis -> parameter of `make`
    options: dict[str, Any]  # of simulate_ensemble
    skip: bool  # leave a run out where its problem is refused
    version: str
    template: dict[str, tuple[tuple[int, ...], str]]  # variable -> shape and type for one run
    names: tuple[str, ...] = ()  # of the modalities

    def problem(self, point: Mapping[str, Any]) -> LateFusionProblem | None:
        """The problem at a point of the design; None where it is refused and may be left out."""
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
                "`problem` must return a LateFusionProblem."
                f" Got {type(problem).__name__} at {arguments}."
            )
        return problem

    def problems(self, columns: Columns) -> list[LateFusionProblem | None]:
        """The problems of these runs; equal parameters share one."""
        return _shared(self._problems_at, columns, self.renamed)

    def _problems_at(self, points: list[dict[str, Any]]) -> list[LateFusionProblem | None]:
        if self.make is not scalar_pair:
            return [self.problem(point) for point in points]
        arguments = [
            {self.renamed[axis]: value for axis, value in point.items()} for point in points
        ]
        found = scalar_pairs(arguments)
        for i, point in enumerate(points):
            if found[i] is None:  # it is refused, or needs more care
                found[i] = self.problem(point)
        return found

    def _drawn_at(self, points: list[dict[str, Any]]) -> list[Any]:
        """The samples of problems, and mini-batches of them; None where there is no problem."""
        of_problem = [{axis: point[axis] for axis in self.renamed} for point in points]
        found: list[Any] = [None] * len(points)
        for i, problem in enumerate(self._problems_at(of_problem)):
            if problem is not None:
                size, batch_size, seed, again = (points[i][name] for name in OF_SAMPLES)
                found[i] = draw(problem, size, batch_size, seed, replace=again)
        return found

    def check_names(self, problems: Iterable[LateFusionProblem | None]) -> None:
        """Raise unless the problems have the same modalities."""
        for problem in problems:
            if problem is not None and problem.names != self.names:
                raise ValueError(
                    "All problems of a sweep must have the same modalities."
                    f" Got {self.names} and {problem.names}."
                )

    def solver(self, point: Mapping[str, Any]) -> AnySolver:
        """The solver at a point of the design; it takes those swept parameters that it has."""
        method = point["method"]
        base = self.solvers[method] if isinstance(method, str) else method
        own = {field.name for field in fields(base)} & point.keys()
        return replace(base, **{name: point[name] for name in of_solvers() if name in own})

    def _solvers_at(self, points: list[dict[str, Any]]) -> list[AnySolver]:
        return [self.solver(point) for point in points]

    def runs(
        self,
        problems: list[LateFusionProblem | None],
        columns: Columns,
        threads: int | None,
        **changes: Any,
    ) -> Iterator[tuple[list[int], xr.Dataset]]:
        """Simulate runs, those of one width together; yields which ones, and their results.

        Runs without a problem are left out.
        """
        from mimo_sim.dynamics.ensemble.driver import simulate_ensemble

        solvers = _shared(self._solvers_at, columns, ("method", *of_solvers()))
        for width in dict.fromkeys(columns["width"]):
            there = {
                i: problem
                for i, problem in enumerate(problems)
                if problem is not None and columns["width"][i] == width
            }
            if not there:
                continue
            options = self.options | {"width": width, "threads": threads}
            for name in OF_EACH_RUN:
                options[name] = [columns[name][i] for i in there]
            default = all(value is None for value in options["step_size"])
            if default:
                options["step_size"] = None
            methods = [solvers[i] for i in there]
            if "train_size" in columns:
                drawn = _shared(self._drawn_at, columns, [*self.renamed, *OF_SAMPLES])
                there = {i: drawn[i][0] for i in there}
                if columns["batch_size"][0] is not None:
                    smoothed = zip(there, methods, strict=True)  # MIMO's losses only
                    options |= {
                        "batches": [drawn[i][1] for i in there],
                        "decay": [columns["decay"][i] * isinstance(m, MIMO) for i, m in smoothed],
                    }
            data = simulate_ensemble(list(there.values()), methods, **(options | changes))
            yield list(there), data.reset_coords("step_size") if default else data


def _shared(
    function: Callable[[list[dict[str, Any]]], list[Any]], columns: Columns, names: Iterable[str]
) -> list[Any]:
    """What `function` makes of the parameters `names` of every run.

    `function` gets a list of points; each combination of values is in it once.
    """
    used = [name for name in names if name in columns]
    if not used:
        return function([{}]) * len(columns["seed"])
    points = list(zip(*(columns[name] for name in used), strict=True))
    keys = list(map(repr, points))
    distinct = dict(zip(keys, points, strict=True))
    made = function([dict(zip(used, point, strict=True)) for point in distinct.values()])
    known = dict(zip(distinct, made, strict=True))
    return [known[key] for key in keys]


def compute(
    recipe: Recipe, index: int, columns: Columns, threads: int | None = 1
) -> tuple[int, Part]:
    """The results of one chunk, and its number."""
    from mimo_sim import __version__

    if recipe.version != __version__:
        raise RuntimeError(
            f"A worker has mimo_sim {__version__}, the sweep was started with {recipe.version};"
            " results could differ."
        )
    count = len(columns["seed"])
    part = {
        name: np.full((count, *shape), _missing(kind), kind)
        for name, (shape, kind) in recipe.template.items()
    }
    problems = recipe.problems(columns)
    recipe.check_names(problems)
    for rows, data in recipe.runs(problems, columns, threads):
        for name, values in part.items():
            found = data[name].transpose("run", ...).values
            size, room = found.shape[1:], values.shape[1:]
            if any(own > most for own, most in zip(size, room, strict=True)):
                raise ValueError(
                    "A problem is larger than those tried before the start:"
                    f" `{name}` has shape {size}, not {room}."
                )
            values[(rows, *map(slice, size))] = found  # type: ignore[index]
    return index, part


def _missing(kind: str) -> float:
    """What stands in a variable of this type for a run without a problem."""
    return math.nan if np.dtype(kind).kind == "f" else REFUSED
