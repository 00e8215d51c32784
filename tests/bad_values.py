"""Bad values for every kind of argument, and good ones to call the toy's functions with.

The kind of an argument is its annotation. An annotation that is not in :data:`KINDS`, and an
argument without a good value, is an error of the table: a new public function cannot be forgotten.
"""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import mimo_sim as ms
from mimo_sim import dynamics, generators, objective, solvers, theory

BEYOND = 10**400  # an integer that no float can hold
NO_NUMBERS: list[Any] = [
    1j,
    {"a": 1},
    "one",
    b"1",
    object(),
    np.array([object()]),
    np.array([1j]),
    [[1.0], [1, 2]],
]
NOT_FINITE = [math.nan, math.inf, -math.inf, BEYOND, -BEYOND]
NO_NUMBER = [*NO_NUMBERS, *NOT_FINITE, True, [], np.array([]), np.array([0.5, 0.5])]
NO_COUNT = [*NO_NUMBER, 0.5, -1, -(2**70), "3"]
NO_NUMBERS_EACH = [*NO_NUMBERS, *NOT_FINITE, [], [BEYOND], [math.nan], [None], [["x"]]]
NO_BLOCKS = [*NO_NUMBERS_EACH, None, True, [[[[1.0]]]], [[0.0, 1.0, 2.0]], range(3)]
NO_WORD = [*NO_NUMBERS, BEYOND, math.nan, True, [], np.array(["a", "b"])]
NO_OBJECT = [*NO_NUMBERS, *NOT_FINITE, True, [], [None]]
NO_FLAG = [*NO_NUMBERS, BEYOND, None, 3, math.nan, []]
NO_PATH = [1j, {"a": 1}, object(), 3, math.nan, [], range(3), True]
NO_NAMES = [3, "one", [1, 2], ["a"], ["a", "a"], [], {"a": 1}, object(), True, [["a"], ["b"]]]

KINDS: dict[str, list[Any]] = {
    "float": [*NO_NUMBER, None],
    "float | None": NO_NUMBER,
    "int": [*NO_COUNT, None],
    "int | None": NO_COUNT,
    "npt.ArrayLike": NO_NUMBERS_EACH,
    "npt.ArrayLike | None": NO_NUMBERS_EACH,
    "FStarRule | float | Sequence[float]": [*NO_NUMBERS_EACH, None],
    "str": [*NO_WORD, None],
    "bool": NO_FLAG,
    "str | Path": [*NO_PATH, None],
    "str | Path | None": NO_PATH,
    "Array": [*NO_NUMBERS_EACH, None],
    "float | tuple[float, ...]": [*NO_NUMBERS_EACH, None, True, -1.0, [-1.0]],
    "tuple[float, ...] | None": [*NO_NUMBERS_EACH, True, 1.0, [-1.0]],
    "Sequence[str] | None": NO_NAMES,
    "tuple[str, str] | None": NO_NAMES,
    "Sequence[int]": [*NO_OBJECT, None, [0], [1.5], [BEYOND], [math.nan], ["1"], [None], [-1]],
    "tuple[int, int]": [*NO_OBJECT, None, [1, 0], [1, 1.5], [1], [1, BEYOND], ["1", "1"], [1, -1]],
    "tuple[float, float]": [*NO_OBJECT, None, [1.0], [1.0, math.nan], [1.0, BEYOND], ["1", 2]],
    "int | Sequence[int]": [*NO_OBJECT, None, 0, -1, [-1], [0.5], ["a"], [BEYOND]],
    "Sequence[Mapping[str, float]]": [1j, "one", object(), 3, None, [3], ["one"], {"rho": 0.1}],
    "list[list[FloatArray]]": [],  # Network holds what the functions make
    "list[FloatArray]": [],
}
KINDS |= dict.fromkeys(["Sequence[npt.ArrayLike]", "Blocks"], NO_BLOCKS)
KINDS |= dict.fromkeys(
    ["HeadUpdate", "VanillaHeads", "FStarRule", "Activation", "Readout", "Start", "Requirement"],
    KINDS["str"],
)
KINDS |= dict.fromkeys(["Rescale", "Scope"], KINDS["str"])
OBJECTS = (
    "xr.Dataset",
    "LateFusionProblem",
    "Solver",
    "Architecture",
    "LateFusionProblem | Sequence[LateFusionProblem]",
    "Solver | Sequence[Solver]",
    "AnySolver",
    "AnySolver | Sequence[AnySolver]",
    "str | AnySolver",
    "Rule",
    "str | LateFusionProblem | Callable[..., LateFusionProblem]",
    "str | Solver",
)
NESTED = (
    "Sequence[Sequence[npt.ArrayLike]] | None",
    "Sequence[object] | None",
    "Sequence[Network] | None",
    "Mapping[str, Any]",
    "Sequence[npt.ArrayLike] | Mapping[str, npt.ArrayLike]",
)
NO_NESTED = [*(bad for bad in NO_OBJECT if not isinstance(bad, dict)), [[1.0]], [[1.0, 2.0, 3.0]]]
KINDS |= {kind: [*NO_OBJECT, None] for kind in OBJECTS} | dict.fromkeys(NESTED, NO_NESTED)
KINDS |= dict.fromkeys(["Batches | None", "Batches | Sequence[Batches] | None"], NO_OBJECT)
KINDS["Sequence[float]"] = [*NO_NUMBERS_EACH, None, [2.0]]
EXTREMES = [1e308, -1e308, 1e200, 5e-324, 1e-300]  # refused or not, what comes out is finite


# ---------------------------------------------------------------- good values

FIGURE_1 = generators.superficial_preference()
GOOD: dict[str, Any] = {
    "problem": FIGURE_1,
    "problems": FIGURE_1,
    "method": ms.MIMO(lam=1.0, mu=0.1),
    "methods": ms.MIMO(lam=1.0, mu=0.1),
    "rule": ms.CAGrad(),
    "sigma": [[9, 0], [0, 1]],
    "sigma_yx": [1.5, 1.0],
    "y_second_moment": 2.0,
    "inputs": [np.arange(4.0), np.array([1.0, -1.0, 2.0, 0.5])],
    "y": np.arange(4.0),
    "weights": [[1.0], [1.0]],
    "lam": 1.0,
    "mu": 0.1,
    "depth": 3,
    "decay": 0.0,
    "noise": [0.1, 0.2],
    "difference": 0.1,
    "epochs": 5,
    "fusion_layer": 2,
    "weight_decay": 0.01,
    "init_scale": 0.1,
    "weight": 1.0,
    "architecture": dynamics.Architecture(),
    "width": 2,
    "size": 2,
    "seed": 0,
    "step_size": 0.01,
    "steps": 3,
    "gaps": [0.1, 0.2],
    "loss_mm": 0.5,
    "losses_uni": [0.5, 0.5],
    "previous": [0.5, 0.5],
    "axes": {"rho": [0.0, 0.5]},
    "name": "random",
    "points": [{"rho": 0.5}],
}
# ---------------------------------------------------------------- the calls

ROOMS = (ms, dynamics, theory, generators, objective, solvers)
WAYS_IN = ("from_samples", "from_linear_model")  # of LateFusionProblem, beside the constructor
LEFT_OUT = {
    "rerun": "its arguments are those of simulate",
    "load": "raises FileNotFoundError for a file that is not there",
    "save": "writes what it is given",
    "MIMOLoss": "a method for networks; tests/methods/test_mimo_loss.py",
    "EmergenceChain": "a result, which the package makes",
    "OrderChange": "a result, which the package makes",
    "PreferenceReport": "a result, which the package makes",
    "Network": "weights, which the package makes",
    "initial_f_star": "a helper of the engines",
    "as_array": "keeps whatever is an array",
    "check_solver": "a check itself",
}


def functions() -> dict[str, Callable[..., Any]]:
    """Every public callable of the toy by name; a room without a stub shows what it defines."""
    found: dict[str, Callable[..., Any]] = {}
    for room in ROOMS:
        for name in getattr(room, "__all__", vars(room)):
            thing = getattr(room, name)
            here = hasattr(room, "__all__") or getattr(thing, "__module__", "") == room.__name__
            is_error = isinstance(thing, type) and issubclass(thing, Exception)
            public = not name.startswith("_") and name not in LEFT_OUT and here and not is_error
            if public and isinstance(thing, type | types.FunctionType):
                found[f"{thing.__module__}.{name}".removeprefix("mimo_sim.")] = thing
    for name in WAYS_IN:
        found[f"LateFusionProblem.{name}"] = getattr(ms.LateFusionProblem, name)
    return found


def good(function: Callable[..., Any]) -> dict[str, Any]:
    """Arguments with which `function` works."""
    names = inspect.signature(function).parameters
    arguments = {name: GOOD[name] for name in names if name in GOOD}
    if function is ms.sweep:
        arguments["problem"] = "scalar-pair"
    return arguments


def bad(function: Callable[..., Any]) -> Iterator[tuple[str, str, Any]]:
    """Each argument of `function` with its kind and a bad value."""
    for name, parameter in inspect.signature(function).parameters.items():
        if name == "cluster":  # dask's own object, or an address
            continue
        kind = str(parameter.annotation)
        for value in KINDS[kind]:
            yield name, kind, value
