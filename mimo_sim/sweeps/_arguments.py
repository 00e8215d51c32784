"""What `sweep` refuses before any work, and the function behind the name of a family."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from mimo_sim._checks import (
    check_choice,
    check_count,
    check_path,
    check_width,
    did_you_mean,
    is_sequence,
)
from mimo_sim.generators import FAMILIES
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import AnySolver, default_solvers
from mimo_sim.sweeps._backends import BACKENDS
from mimo_sim.sweeps._design import CHUNK_RUNS, Design
from mimo_sim.sweeps._recipe import of_solvers

OF_RUN = ("step_size", "init_scale", "width", "weight_decay", "momentum")
OF_DATA = {"train_size": None, "batch_size": None, "batch_seed": 0, "replace": False, "decay": 0.0}
OF_DESIGN = ("method", "seed", "sample", "run", "modality")
TAKEN = {"lam", "mu", "f_star", "heads", *OF_RUN, *OF_DATA, *OF_DESIGN}
CLUSTER = re.compile(r"local(:[1-9]\d*)?|\w+://\S+")


def check_choices(on_error: str, backend: str, engine: str, cluster: Any) -> None:
    """Raise ``ValueError`` for a word that is not allowed, or a cluster without its backend."""
    check_choice("on_error", on_error, ("raise", "nan"))
    check_choice("backend", backend, BACKENDS)
    check_choice("engine", engine, CHUNK_RUNS)
    if (cluster is None) == (backend == "dask"):
        raise ValueError(
            "`cluster` and backend='dask' go together."
            f" Got cluster={cluster!r}, backend={backend!r}."
        )
    check_cluster(cluster)


def check_cluster(cluster: Any) -> None:
    """Raise ``ValueError`` for a text that is no address and no ``local``."""
    if isinstance(cluster, str) and not CLUSTER.fullmatch(cluster):
        raise ValueError(
            "`cluster` must be an address such as tcp://127.0.0.1:8786, or local, or local:2."
            f" Got cluster={cluster!r}."
        )


def check_counts(
    steps: int, samples: int | None, design_seed: int, workers: int | None, chunk: int | None
) -> None:
    """Raise unless every count that is given is a whole number in its range."""
    check_count("steps", steps)
    check_count("design_seed", design_seed, 0)
    for name, number in (("samples", samples), ("workers", workers), ("chunk", chunk)):
        if number is not None:
            check_count(name, number)


def check_file_and_axes(out: str | Path | None, axes: Any) -> None:
    """Raise unless `out` is the name of a netCDF file and `axes` a mapping."""
    check_path("out", out)
    if out is not None and Path(out).suffix != ".nc":
        raise ValueError(f"`out` must end in .nc (netCDF 4). Got {str(out)!r}.")
    if not isinstance(axes, Mapping):
        raise TypeError(
            "`axes` must be a mapping from parameters to values, such as {'rho': [0.0, 0.5]}."
            f" Got {axes!r:.80}."
        )


def family(
    problem: Any, axes: Mapping[str, Any], method: Any
) -> tuple[Callable[..., LateFusionProblem], dict[str, str]]:
    """The function that makes problems, and its parameters by the names that axes have.

    An axis is called ``problem_<name>`` where a sweep uses the name of the parameter already, as
    one of its `method` for example.
    """
    swept = axes.get("method", method)
    taken = TAKEN | _owned(swept if isinstance(swept, list | tuple) else [swept])
    if isinstance(problem, LateFusionProblem):
        return partial(_itself, problem), {}
    make = FAMILIES.get(problem) if isinstance(problem, str) else problem
    if not callable(make):
        raise ValueError(
            f"`problem` must be one of {tuple(FAMILIES)}, a function that returns"
            f" a LateFusionProblem, or one. Got problem={problem!r}."
            f"{did_you_mean(problem, FAMILIES)}"
        )
    kinds = {name: parameter.kind for name, parameter in inspect.signature(make).parameters.items()}
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    names = [name for name, kind in kinds.items() if kind in by_name]
    if inspect.Parameter.VAR_KEYWORD in kinds.values():
        names += [name for name in axes if name not in taken and name not in names]
    return make, {f"problem_{name}" if name in taken else name: name for name in names}


def _itself(problem: LateFusionProblem) -> LateFusionProblem:
    return problem


def _owned(methods: Iterable[Any]) -> set[str]:
    """The hyper-parameters of these solvers, given by name or as they are."""
    solvers = default_solvers()
    given = [solvers.get(one) if isinstance(one, str) else one for one in methods]
    return {each.name for one in given if isinstance(one, AnySolver) for each in fields(one)}


def check_names(axes: Mapping[str, Any], design: Design, parameters: Mapping[str, str]) -> None:
    """Raise for a method that does not exist, and for an axis that names no parameter."""
    swept = design.axes["method"][1] if "method" in design.axes else [design.fixed["method"]]
    for width in design.axes["width"][1] if "width" in design.axes else [design.fixed["width"]]:
        check_width("width", width)
    solvers, owned = default_solvers(), _owned(swept)
    for method in swept:
        solver = solvers.get(method) if isinstance(method, str) else method
        if not isinstance(solver, AnySolver):
            raise ValueError(
                f"`method` must be one of {tuple(solvers)}, Vanilla(...), MIMO(...) or a rule."
                f" Got {method!r}.{did_you_mean(method, solvers)}"
            )
    known = [*parameters, *(name for name in of_solvers() if name in owned), *OF_RUN]
    known += [*OF_DATA, "method"]
    for name in axes:
        if name not in known:
            methods = " or ".join(map(label, swept))
            raise ValueError(
                f"Axis {name!r} is not a parameter of this problem, of {methods}, of a run,"
                " or of finite data."
                f" Known here: {', '.join(known)}.{did_you_mean(name, known)}"
            )


def of_data(axes: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults of the parameters of finite data, where `axes` has one of them.

    Raises ``ValueError`` where the number of samples is missing, or the size of batches, or where a
    size is None.
    """
    given = [name for name in OF_DATA if name in axes]
    for name in given:
        needed = "batch_size" if name in ("replace", "decay") else "train_size"
        if needed not in axes:
            raise ValueError(f"Axis {name!r} needs {needed!r} too. Got axes {list(axes)}.")
    sizes = axes.get("batch_size", 1)
    if sizes is None or (not isinstance(sizes, str) and is_sequence(sizes) and None in [*sizes]):
        raise ValueError(
            "`batch_size` must be whole numbers >= 1. For all samples at once leave it out, or give"
            f" the number of samples. Got batch_size={sizes!r}."
        )
    return dict(OF_DATA) if given else {}


def label(value: Any) -> str:
    """A word as it is, and anything else as Python writes it."""
    return value if isinstance(value, str) else repr(value)
