"""`sweep`: validate once, compute what is missing, return a labelled dataset."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from mimo_sim._checks import check_count
from mimo_sim._progress import progress_bar
from mimo_sim.dynamics import trajectory
from mimo_sim.generators import FAMILIES
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO, Solver, Vanilla
from mimo_sim.sweeps import store
from mimo_sim.sweeps.backends import BACKENDS, Backend
from mimo_sim.sweeps.design import CHUNK_RUNS, Design, chunk_size, law, lay_out
from mimo_sim.sweeps.recipe import METHODS, OF_METHOD, Part, Recipe

OF_RUN = ("step_size", "init_scale", "width", "weight_decay")
TAKEN = {*OF_METHOD, *OF_RUN, "method", "seed", "sample", "run", "modality"}


def sweep(
    problem: str | LateFusionProblem | Callable[..., LateFusionProblem],
    axes: Mapping[str, Any],
    *,
    method: str | Solver = "mimo",
    seeds: int | Sequence[int] = 1,
    samples: int | None = None,
    design_seed: int = 0,
    steps: int = 2000,
    step_size: float | None = None,
    init_scale: float = 1e-3,
    width: float = 100,
    weight_decay: float = 0.0,
    tolerance: float | None = None,
    on_error: str = "raise",
    out: str | Path | None = None,
    overwrite: bool = False,
    backend: str = "threads",
    workers: int | None = None,
    cluster: Any = None,
    chunk: int | None = None,
    engine: str = "batch",
    progress: bool = False,
) -> xr.Dataset:
    """Train at every point of a design and measure each run: a grid, random points, or both, times seeds.

    With `out`, every finished chunk of runs is kept beside it in ``<out>.chunks``. The same call after an interruption of any kind computes only what is
    missing, and ends with the same bytes; the folder goes when `out` is written.

    Parameters
    ----------
    problem : {"superficial", "scalar-pair", "random"}, callable, or LateFusionProblem
        A family of :mod:`mimo_sim.generators`, any function of its parameters that returns a problem, or one problem.
    axes : mapping
        From a parameter to its values: a sequence makes a dimension of the result, a single value is set for all runs. A parameter is one of the
        method's (``lam``, ``mu``, ``f_star``, ``heads``), one of the run (``step_size``, ``init_scale``, ``width``, ``weight_decay``), ``method``
        itself ("vanilla", "mimo", or such objects), or one of the problem's. A problem parameter with a name that is used already is called
        ``problem_<name>``: ``problem_seed`` for the family "random". With `samples`, a tuple is a distribution: ``(low, high)`` uniform,
        ``("log", low, high)`` uniform in the logarithm, ``("int", low, high)`` whole numbers, both ends included.
    method : {"vanilla", "mimo"} or Solver
        What is minimised, where `axes` does not say otherwise.
    seeds : int or sequence of int
        Initial weights: this many seeds from 0, or these.
    samples : int, optional
        Number of draws of all distributions in `axes`: dimension ``sample``.
    design_seed : int
        Of the draws.
    steps, step_size, init_scale, width, weight_decay, tolerance, engine
        As in :func:`mimo_sim.simulate_ensemble`. Compare runs at one explicit step size.
    on_error : {"raise", "nan"}
        Where the family refuses a point, such as ``rho=1``: raise, or leave the run out (NaN, and -1 in whole numbers such as ``status``).
    out : path, optional
        A file ending in .nc to write, and to resume.
    overwrite : bool
        Allow another sweep, or any other file, at `out` to be replaced; a finished one is computed again.
    backend : {"threads", "processes", "dask"}
        This process, `workers` processes of one thread, or a dask cluster with one thread per chunk.
    workers : int, optional
        Number of threads or processes; all cores by default.
    cluster : str or cluster object, optional
        For "dask": an address ("tcp://..."), "local" or "local:2" (started and closed here), or an object that ``distributed.Client`` takes. Scripts
        that start a local one need the usual ``if __name__ == "__main__"``.
    chunk : int, optional
        Runs per chunk, a few seconds' work by default. It does not change the results.
    progress : bool
        Show a progress bar with rate and remaining time on stderr.

    Returns
    -------
    xarray.Dataset
        The variables of :func:`mimo_sim.simulate_ensemble`, with one dimension per axis in the order of `axes` (``sample`` for distributions, whose
        draws are coordinates), then ``seed``, then their own. The attributes say everything that is needed to compute it again.

    Raises
    ------
    ValueError, TypeError
        For a parameter that nothing has, values outside their range, a design with errors: before any work starts, as far as one step at up to
        1000 values of every axis shows. Also where `out` holds something else.

    Examples
    --------
    >>> data = sweep("scalar-pair", {"sigma_ratio": [2.0, 3.0], "rho": [0.0, 0.5]}, method="vanilla", seeds=2, steps=20_000, step_size=1e-3)
    >>> dict(data.half_time.sizes)
    {'sigma_ratio': 2, 'rho': 2, 'seed': 2, 'modality': 2}
    """
    from mimo_sim import __version__

    for name, value, allowed in (
        ("on_error", on_error, ("raise", "nan")),
        ("backend", backend, tuple(BACKENDS)),
        ("engine", engine, tuple(CHUNK_RUNS)),
    ):
        if value not in allowed:
            raise ValueError(f"`{name}` must be one of {allowed}. Got {name}={value!r}.")
    if (cluster is None) == (backend == "dask"):
        raise ValueError(
            f"`cluster` and backend='dask' go together. Got cluster={cluster!r}, backend={backend!r}."
        )
    if isinstance(cluster, str) and not re.fullmatch(r"local(:[1-9]\d*)?|\w+://\S+", cluster):
        raise ValueError(
            f"`cluster` must be an address such as tcp://127.0.0.1:8786, or local, or local:2. Got cluster={cluster!r}."
        )
    for name, number, least in (
        ("steps", steps, 1),
        ("samples", samples, 1),
        ("design_seed", design_seed, 0),
        ("workers", workers, 1),
        ("chunk", chunk, 1),
    ):
        if number is not None:
            check_count(name, number, least)
    if out is not None and Path(out).suffix != ".nc":
        raise ValueError(f"`out` must end in .nc (netCDF 4). Got {str(out)!r}.")

    if not isinstance(axes, Mapping):
        raise TypeError(
            f"`axes` must be a mapping from parameters to values, such as {{'rho': [0.0, 0.5]}}. Got {axes!r:.80}."
        )
    make, parameters = _family(problem, axes)
    method = METHODS.get(method, method) if isinstance(method, str) else method
    methods = METHODS | ({method.name: method} if isinstance(method, Vanilla | MIMO) else {})
    own = {
        "method": method,
        "step_size": step_size,
        "init_scale": init_scale,
        "width": width,
        "weight_decay": weight_decay,
    }
    design = lay_out(axes, own, set(parameters), seeds, samples, design_seed)
    _check_names(axes, design, parameters)
    design = replace(design, chunk=chunk_size(design, steps, engine, chunk))
    options = {"steps": steps, "tolerance": tolerance, "engine": engine}
    recipe = Recipe(
        make,
        methods,
        {name: parameters[name] for name in axes if name in parameters},
        options,
        on_error == "nan",
        __version__,
        {},
    )
    recipe, blank, fingerprint = _tried(recipe, design)
    arguments = {
        "problem": problem,
        "axes": {
            name: {"draw": law(values)} if design.dim(name) == "sample" else values
            for name, values in axes.items()
        },
        **own,
        "seeds": design.axes["seed"][1],
        "samples": samples,
        "design_seed": design_seed,
        **options,
        "on_error": on_error,
        "fingerprint": fingerprint,
        "mimo_sim_version": __version__,
    }
    record = {
        name: value
        if isinstance(value, str | int | float)
        else json.dumps(value, default=_described)
        for name, value in arguments.items()
    }

    folder = None
    if out is not None:
        out = Path(out)
        folder = out.with_name(f"{out.name}.chunks")
        if not overwrite and (done := store.finished(out, record)) is not None:
            shutil.rmtree(folder, ignore_errors=True)  # killed between its last two acts
            return done
        store.open_folder(folder, record | {"chunk": design.chunk}, overwrite)
    data = _assembled(
        design,
        _all_parts(recipe, design, folder, BACKENDS[backend], workers, cluster, progress),
        blank,
        record,
    )
    if out is not None and folder is not None:
        trajectory.save(data, folder / out.name)
        os.replace(folder / out.name, out)
        shutil.rmtree(folder)
    return data


def _family(
    problem: Any, axes: Mapping[str, Any]
) -> tuple[Callable[..., LateFusionProblem], dict[str, str]]:
    """The function that makes problems, and the names under which its parameters are known."""
    if isinstance(problem, LateFusionProblem):
        return partial(_same, problem), {}
    make = FAMILIES.get(problem) if isinstance(problem, str) else problem
    if not callable(make):
        raise ValueError(
            f"`problem` must be one of {tuple(FAMILIES)}, a function that returns a LateFusionProblem, or one. Got problem={problem!r}."
        )
    kinds = {name: parameter.kind for name, parameter in inspect.signature(make).parameters.items()}
    named = [
        name
        for name, kind in kinds.items()
        if kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    ]
    if inspect.Parameter.VAR_KEYWORD in kinds.values():
        named += [name for name in axes if name not in TAKEN and name not in named]
    return make, {f"problem_{name}" if name in TAKEN else name: name for name in named}


def _same(problem: LateFusionProblem) -> LateFusionProblem:
    return problem


def _check_names(axes: Mapping[str, Any], design: Design, parameters: Mapping[str, str]) -> None:
    """Raise if an axis is no parameter of anything."""
    swept = design.axes["method"][1] if "method" in design.axes else [design.fixed["method"]]
    for method in swept:
        if not isinstance(method, Vanilla | MIMO) and not (
            isinstance(method, str) and method in METHODS
        ):
            raise ValueError(
                f"`method` must be one of {tuple(METHODS)}, Vanilla(...) or MIMO(...). Got {method!r}."
            )
    owned = {
        field.name
        for method in swept
        for field in fields(METHODS[method] if isinstance(method, str) else method)
    }
    known = [*parameters, *(name for name in OF_METHOD if name in owned), *OF_RUN, "method"]
    for name in axes:
        if name not in known:
            raise ValueError(
                f"Axis {name!r} is not a parameter of this problem, of {' or '.join(map(_label, swept))}, or of a run. Known here: {', '.join(known)}."
            )


def _tried(recipe: Recipe, design: Design) -> tuple[Recipe, xr.Dataset, str]:
    """One step at every value of every axis: what is wrong shows before the work; what a run yields, and a digest of the problems."""
    columns = design.columns(design.trial())
    problems = recipe.problems(columns)
    there = [problem for problem in problems if problem is not None]
    if not there:
        raise ValueError(
            f"None of the {len(problems)} problems tried exists: every point is refused. Look at one of them with on_error='raise'."
        )
    recipe = replace(recipe, names=there[0].names)
    recipe.check_names(there)
    digest = hashlib.sha256("".join(problem.to_json() for problem in dict.fromkeys(there)).encode())
    tried = [data.isel(run=0, drop=True) for _, data in recipe.runs(problems, columns, 1, steps=1)]
    blank = max(tried, key=lambda data: data.sizes["component"] * data.sizes["output"])
    template = {
        str(name): (variable.shape, variable.dtype.str)
        for name, variable in blank.data_vars.items()
    }
    return replace(recipe, template=template), blank, digest.hexdigest()


def _described(value: Any) -> Any:
    """What JSON has no word for, in words that are the same in every process."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, xr.DataArray):
        return value.values.tolist()
    if isinstance(value, range):
        return list(value)
    if isinstance(value, LateFusionProblem):
        return json.loads(value.to_json())
    if isinstance(value, partial):
        return [_described(value.func), list(value.args), value.keywords]
    return (
        f"{value.__module__}.{value.__qualname__}"
        if hasattr(value, "__qualname__")
        else repr(value)
    )


def _label(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def _all_parts(
    recipe: Recipe,
    design: Design,
    folder: Path | None,
    backend: Backend,
    workers: int | None,
    cluster: Any,
    progress: bool,
) -> Part:
    """The results of all runs: chunks found in `folder`, and the others computed and kept there."""
    parts = {
        name: np.empty((design.runs, *shape), kind)
        for name, (shape, kind) in recipe.template.items()
    }
    missing = set(range(design.chunks))

    def place(index: int, part: Part) -> None:
        rows = design.rows(index)
        for name, values in part.items():
            parts[name][rows.start : rows.stop] = values
        missing.remove(index)

    if folder is not None:
        for index in range(design.chunks):
            if (found := store.read(folder / f"{index}.chunk")) is not None:
                place(index, found)
    todo = sorted(missing)
    kept = design.runs - sum(len(design.rows(index)) for index in todo)
    steps = recipe.options["steps"]
    chunks = ((index, design.columns(np.array(design.rows(index)))) for index in todo)
    try:
        with (
            progress_bar(
                design.runs, progress, "sweep", done=kept, unit="runs", rate=(steps, "run-steps/s")
            ) as advance,
            closing(backend(recipe, chunks, workers, cluster)) as results,
        ):
            for index, part in results:
                if folder is not None:
                    store.write(folder / f"{index}.chunk", part)
                place(index, part)
                advance(len(design.rows(index)))
    except BaseException as error:
        if folder is not None:
            error.add_note(
                f"{design.chunks - len(missing)} of {design.chunks} chunks are kept in {folder}; the same call continues from there."
            )
        raise
    return parts


def _assembled(
    design: Design, parts: Part, blank: xr.Dataset, record: Mapping[str, Any]
) -> xr.Dataset:
    """The results with a dimension for every axis."""
    sizes = design.sizes
    data = {
        name: (
            (*sizes, *blank[name].dims),
            values.reshape(*sizes.values(), *values.shape[1:]),
            blank[name].attrs,
        )
        for name, values in parts.items()
    }
    numbers = {
        name: all(
            isinstance(value, int | float) and not isinstance(value, bool) for value in values
        )
        for name, (_, values) in design.axes.items()
    }
    coords = {
        name: (dim, values if numbers[name] else [_label(value) for value in values])
        for name, (dim, values) in design.axes.items()
    }
    order = dict.fromkeys(dim for dim, _ in design.axes.values())
    return xr.Dataset(data, {"modality": blank.modality} | coords, record).transpose(*order, ...)
