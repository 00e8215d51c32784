"""Nobody breaks the toy with bad input: a table of bad values against every public callable."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

import mimo_sim as ms
from mimo_sim.errors import DivergenceError, GenerationError
from tests import bad_values

FUNCTIONS = bad_values.functions()
SENTENCES = (ValueError, TypeError)  # of them only those that say something of an argument
# Bad for most arguments of their kind, but not for these.
LEGAL: dict[str, list[Any]] = {
    "width": [math.inf],
    "previous": [[math.nan]],
    "losses_uni": [[math.nan]],
}
ALSO_NAMED = {"sigma_yx": "sigma", "weights": "sigma", "seeds": "seed"}  # the one it must fit
# Where a problem, a rate, a bound or an order does not exist, these say inf, and so do their
# docstrings.
INFINITE = (
    "order_threshold",
    "chattering_threshold",
    "learning_times",
    "time_ratio",
    "summary",
    "worst_gap_bound",
)


@pytest.fixture(scope="module", autouse=True)
def run() -> Any:
    """A run for the functions that measure one."""
    bad_values.GOOD["run"] = ms.simulate(
        bad_values.FIGURE_1, ms.MIMO(lam=1.0, mu=0.1), step_size=0.02, steps=3000, width=9
    )
    yield
    del bad_values.GOOD["run"]


def numbers(result: Any) -> list[Any]:
    """All arrays of numbers in a result, those a run without an end leaves out excepted."""
    if isinstance(result, xr.Dataset):
        return [] if "status" in result or "diverged" in result else numbers(dict(result.data_vars))
    if isinstance(result, ms.LateFusionProblem):
        return [result.unimodal_optima, result.joint_optimum, result.joint_map]
    if isinstance(result, dict):
        return [array for value in result.values() for array in numbers(value)]
    if isinstance(result, list | tuple):
        return [array for value in result for array in numbers(value)]
    if dataclasses.is_dataclass(result):
        return numbers([getattr(result, each.name) for each in dataclasses.fields(result)])
    return [result] if np.asarray(result).dtype.kind == "f" else []


def finite(name: str, result: Any) -> bool:
    """Whether a result has no NaN, and inf only where it has a meaning."""
    allowed = np.isfinite if not name.endswith(INFINITE) else lambda a: ~np.isnan(a)
    return all(bool(np.all(allowed(np.asarray(array)))) for array in numbers(result))


def same(value: Any, other: Any) -> bool:
    return type(value) is type(other) and repr(value) == repr(other)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bad_values_are_named(name: str) -> None:
    function = FUNCTIONS[name]
    good = bad_values.good(function)
    assert finite(name, function(**good)), "the good values of the table are not good"
    wrong: list[str] = []
    for argument, _, value in bad_values.bad(function):
        if any(same(value, legal) for legal in LEGAL.get(argument, [])):
            continue
        try:
            function(**{**good, argument: value})
        except SENTENCES as error:
            named = [argument, ALSO_NAMED.get(argument, argument)]
            if not any(re.search(rf"`{each}\b", str(error)) for each in named):
                wrong.append(f"{argument}={value!r:.60} does not name it: {error}")
        except Exception as error:
            wrong.append(f"{argument}={value!r:.60} raised {type(error).__name__}: {error}")
        else:
            wrong.append(f"{argument}={value!r:.60} was accepted")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_extreme_numbers_are_refused_or_give_finite_results(name: str) -> None:
    function = FUNCTIONS[name]
    good = bad_values.good(function)
    if name.endswith("simulate_layered"):
        pytest.skip("a member that blows up is marked as diverged; one call takes a second")
    wrong: list[str] = []
    for argument, parameter in inspect.signature(function).parameters.items():
        if not any(word in str(parameter.annotation) for word in ("float", "Array", "Blocks")):
            continue
        for value in bad_values.EXTREMES:
            try:
                result = function(**{**good, argument: value})
            except (*SENTENCES, DivergenceError, GenerationError) as error:
                if "`" not in str(error) and not isinstance(error, DivergenceError):
                    wrong.append(f"{argument}={value!r} names nothing: {error}")
            else:
                if not finite(name, result):
                    wrong.append(f"{argument}={value!r} gives {result}")
    assert not wrong, "\n".join(wrong)


def test_the_table_has_every_kind_of_argument() -> None:
    for name, function in FUNCTIONS.items():
        for argument, parameter in inspect.signature(function).parameters.items():
            kind = str(parameter.annotation)
            assert kind in bad_values.KINDS or argument == "cluster", f"{name}: {argument}: {kind}"
    missing = {"simulate", "half_times", "sweep", "MIMO", "scalar_pair", "sigma_weights"} - {
        name.rpartition(".")[2] for name in FUNCTIONS
    }
    assert not missing


# ---------------------------------------------------------------- moments beyond floats


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: ms.LateFusionProblem([[1e308]], [1e154], 1.7e308), "sigma"),
        (lambda: ms.LateFusionProblem([[1.0]], [0.5], 1e308), "y_second_moment"),
        (lambda: ms.LateFusionProblem([[1.0]], [1e308], 1e308), "sigma_yx"),
        (lambda: ms.LateFusionProblem.from_samples([[1e200, 1.0]], [1.0, 2.0]), "inputs"),
        (lambda: ms.LateFusionProblem.from_samples([[1.0, 1.0]], [1e200, 2.0]), "y"),
        (
            lambda: ms.LateFusionProblem.from_samples([[1e200, 1.0]], [1.0, 2.0], standardize=True),
            "inputs",
        ),
        (lambda: ms.LateFusionProblem.from_linear_model([[1e200]], [[1.0]]), "weights"),
        (lambda: ms.LateFusionProblem.from_linear_model([[1.0]], [[1e300]]), "sigma"),
        (
            lambda: ms.LateFusionProblem.many_from_linear_model(
                [np.full((1, 1, 1), 1e200)], [[np.ones((1, 1, 1))]], [0.0]
            ),
            "weights",
        ),
    ],
)
def test_moments_whose_optima_would_overflow_are_refused(
    make: Callable[[], Any], argument: str
) -> None:
    with pytest.raises(ValueError, match=rf"`{argument}(\[\d\])*` must lie within"):
        make()


def test_large_and_small_moments_that_are_accepted_have_finite_optima() -> None:
    for scale in (1e-300, 1e-100, 1.0, 1e99):
        problem = ms.LateFusionProblem([[scale]], [0.5 * scale], scale)
        assert finite("", problem)
        assert problem.joint_optimum == pytest.approx(0.375 * scale, rel=1e-12)


# ---------------------------------------------------------------- data sets and training


load: Any = ms.datasets.load  # what is bad for the types, too
from_arrays: Any = ms.datasets.from_arrays


class Nothing:
    """No data set, no encoder."""


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: load("digits", root=range(3)), "root"),
        (lambda: load("digits", seed=10**400), "seed"),
        (lambda: load(["digits"]), "dataset"),
        (lambda: load("synthetic", train_size=10**400), "train_size"),
        (lambda: load("synthetic", problem=3), "problem"),
        (lambda: from_arrays({"a": [[1j], [2j]]}, [0, 1]), "inputs"),
        (lambda: from_arrays({"a": [[10**400], [1]]}, [0, 1]), "inputs"),
        (lambda: from_arrays({"a": [[1e300], [1]]}, [0.5, 1]), "inputs"),
        (lambda: from_arrays({"a": [[1], [1, 2]]}, [0, 1]), "inputs"),
        (lambda: from_arrays({"a": [[1], [2]]}, [[1], [1, 2]]), "target"),
        (lambda: from_arrays({"a": [[1], [2]]}, 3), "target"),
        (lambda: from_arrays({"a": [[1], [2]]}, [0, 1], test_share="a"), "test_share"),
        (lambda: from_arrays({"a": [[1], [2]]}, [0, 1], name=3), "name"),
        (lambda: from_arrays({3: [[1], [2]]}, [0, 1]), "inputs"),
        (lambda: train(folder=0), "folder"),
        (lambda: train(encoder=3), "encoder"),
        (lambda: train(encoder=Nothing()), "encoder"),
        (lambda: train(lr=10**400), "lr"),
        (lambda: train(devices=10**6, batch_size=10**6), "devices"),
        (lambda: train(accelerator="tpu"), "accelerator"),
        (lambda: train(progress=3), "progress"),
    ],
)
def test_data_sets_and_training_name_what_is_bad(call: Callable[[], Any], argument: str) -> None:
    with pytest.raises(SENTENCES, match=rf"`{argument}\b"):
        call()


def train(**settings: Any) -> Any:
    data = ms.datasets.from_arrays(
        {"a": np.ones((20, 2)), "b": np.ones((20, 3))}, np.arange(20) % 2
    )
    options: dict[str, Any] = {"epochs": 1, "accelerator": "cpu"} | settings
    return ms.training.train("vanilla", data, **options)
