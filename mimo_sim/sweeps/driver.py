"""`sweep`: validate once, compute what is missing, return a labelled dataset."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from mimo_sim._checks import check_flag
from mimo_sim.dynamics import trajectory
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import AnySolver, default_solvers
from mimo_sim.sweeps import _arguments
from mimo_sim.sweeps import _store as store
from mimo_sim.sweeps._backends import BACKENDS
from mimo_sim.sweeps._design import Design, chunk_size, law, lay_out
from mimo_sim.sweeps._identity import Identity, fingerprint, identity
from mimo_sim.sweeps._loop import all_parts
from mimo_sim.sweeps._recipe import Part, Recipe

AT_A_TIME = 1000  # problems that are tried together


def sweep(
    problem: str | LateFusionProblem | Callable[..., LateFusionProblem],
    axes: Mapping[str, Any],
    *,
    method: str | AnySolver = "mimo",
    seeds: int | Sequence[int] = 1,
    samples: int | None = None,
    design_seed: int = 0,
    steps: int = 2000,
    step_size: float | None = None,
    init_scale: float = 1e-3,
    width: float = 100,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
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
    """Train at every point of a design and measure each run.

    A design is a grid, random points, or both, times seeds. With `out`, every finished chunk of
    runs is kept beside it in ``<out>.chunks``. After an interruption of any kind, the same call
    computes only what is missing and ends with the same bytes. The folder is deleted once `out` is
    written.

    Parameters
    ----------
    problem : {"superficial", "scalar-pair", "random"}, callable, or LateFusionProblem
        A family of :mod:`mimo_sim.generators`, or a function that takes parameters and returns a
        problem, or one problem.
    axes : mapping
        From a parameter to its values. A sequence makes a dimension of the result. A single value
        is set for all runs.

        A parameter belongs to the method (``lam``, ``mu``, ``f_star``, ``heads``, or that of a
        rule, such as ``gamma``), to the run (``step_size``, ``init_scale``, ``width``,
        ``weight_decay``, ``momentum``), to the data (see Notes) or to the problem, or it is
        ``method`` itself ("vanilla", "mimo", "mgda", ..., or such objects). A parameter of the
        problem whose name is taken already is called ``problem_<name>``: ``problem_seed`` for the
        family "random".

        With `samples`, a tuple is a distribution: ``(low, high)`` uniform, ``("log", low, high)``
        uniform in the logarithm, ``("int", low, high)`` whole numbers, both ends included.
    method : {"vanilla", "mimo"}, a name of `mimo_sim.rules.available`, or a solver
        What is minimised, where `axes` does not say otherwise.
    seeds : int or sequence of int
        Initial weights: this many seeds from 0, or these.
    samples : int, optional
        Number of draws of all distributions in `axes`. They have the dimension ``sample``.
    design_seed : int
        Seed of the draws.
    steps, step_size, init_scale, width, weight_decay, momentum, tolerance, engine
        As in :func:`mimo_sim.simulate_ensemble`. Compare runs at one explicit step size.
    on_error : {"raise", "nan"}
        What to do where the family refuses a point, such as ``rho=1``: raise, or leave the run out.
        Its results are then NaN, and -1 in whole numbers such as ``status``.
    out : path, optional
        A file ending in .nc, to write and to resume.
    overwrite : bool
        Allow another sweep, or any other file, at `out` to be replaced. A finished sweep is
        computed again.
    backend : {"threads", "processes", "dask"}
        Where runs are computed: in threads of this process, in `workers` processes of one thread
        each, or on a dask cluster with one thread per chunk.
    workers : int, optional
        Number of threads or processes; all cores by default.
    cluster : str or cluster object, optional
        For "dask": an address ("tcp://..."), "local" or "local:2" (started and closed here), or an
        object that ``distributed.Client`` takes. Scripts that start a local cluster need the usual
        ``if __name__ == "__main__"``.
    chunk : int, optional
        Runs per chunk; some seconds' work by default. It does not change the results.
    progress : bool
        Show a progress bar with rate and remaining time on stderr.

    Returns
    -------
    xarray.Dataset
        The variables of :func:`mimo_sim.simulate_ensemble`. Their dimensions are the axes in the
        order of `axes`, then ``seed``, then their own. Distributions share the dimension
        ``sample``; their draws are coordinates. The attributes say everything that is needed to
        compute the dataset again.

    Raises
    ------
    ValueError, TypeError
        For an axis that names no parameter, for values out of range, for a faulty design, and for
        an `out` that holds something else. Before the work, one step is tried at up to 1000 values
        of every axis, so most errors show at once.

    Notes
    -----
    *Finite data.* With ``train_size`` every run is trained on that many Gaussian samples of its
    problem instead of its moments. With ``batch_size`` each step sees a mini-batch of them
    (:class:`mimo_sim.Batches`). ``batch_seed`` (0) is that of the samples and of their order,
    ``replace`` (False) draws each batch from all samples, and ``decay`` (0.0) is the smoothing of
    MIMO's losses, as in :func:`mimo_sim.simulate`. Batches need an explicit step size.

    Examples
    --------
    >>> axes = {"sigma_ratio": [2.0, 3.0], "rho": [0.0, 0.5]}
    >>> data = sweep("scalar-pair", axes, method="vanilla", seeds=2, steps=20_000, step_size=1e-3)
    >>> dict(data.half_time.sizes)
    {'sigma_ratio': 2, 'rho': 2, 'seed': 2, 'modality': 2}
    """
    from mimo_sim import __version__

    _arguments.check_choices(on_error, backend, engine, cluster)
    _arguments.check_counts(steps, samples, design_seed, workers, chunk)
    check_flag("overwrite", overwrite)
    check_flag("progress", progress)
    _arguments.check_file_and_axes(out, axes)
    make, parameters = _arguments.family(problem, axes, method)
    solvers = default_solvers()
    method = solvers.get(method, method) if isinstance(method, str) else method
    if isinstance(method, AnySolver):
        solvers[method.name] = method
    defaults = {
        "method": method,
        "step_size": step_size,
        "init_scale": init_scale,
        "width": width,
        "weight_decay": weight_decay,
        "momentum": momentum,
    }
    defaults |= _arguments.of_data(axes)
    design = lay_out(axes, defaults, set(parameters), seeds, samples, design_seed)
    _arguments.check_names(axes, design, parameters)
    design = replace(design, chunk=chunk_size(design, steps, engine, chunk))
    options = {"steps": steps, "tolerance": tolerance, "engine": engine}
    recipe = Recipe(
        make=make,
        solvers=solvers,
        renamed={name: parameters[name] for name in axes if name in parameters},
        options=options,
        skip=on_error == "nan",
        version=__version__,
        template={},
    )
    recipe, example, digest = _tried(recipe, design)
    drawn = [name for name in axes if design.dim(name) == "sample"]
    own = identity(
        {
            "problem": problem,
            "axes": {
                name: {"draw": law(values)} if name in drawn else values
                for name, values in axes.items()
            },
            **defaults,
            "seeds": design.axes["seed"][1],
            "samples": samples,
            "design_seed": design_seed,
            **options,
            "on_error": on_error,
            "fingerprint": digest,
            "mimo_sim_version": __version__,
        }
    )

    compute = partial(
        all_parts,
        recipe,
        design,
        backend=BACKENDS[backend],
        workers=workers,
        cluster=cluster,
        progress=progress,
    )
    if out is None:
        return _assembled(design, compute(folder=None), example, own)
    out = Path(out)
    folder = out.with_name(f"{out.name}.chunks")
    done = None if overwrite else store.finished(out, own)
    if done is not None:
        shutil.rmtree(folder, ignore_errors=True)  # left by a kill after `out` was written
        return done
    store.open_folder(folder, own | {"chunk": design.chunk}, overwrite)
    data = _assembled(design, compute(folder=folder), example, own)
    trajectory.save(data, folder / out.name)
    os.replace(folder / out.name, out)
    store.remove_folder(folder)
    return data


def _tried(recipe: Recipe, design: Design) -> tuple[Recipe, xr.Dataset, str]:
    """Run one step at every value of every axis, so that errors show before the work.

    Returns the recipe with the template of its results, one such result, and the fingerprint of
    the problems.
    """
    columns = design.columns(design.trial())
    problems = recipe.problems(columns)
    if all(problem is None for problem in problems):
        columns = design.columns(np.array([_first_that_exists(recipe, design)]))
        problems = recipe.problems(columns)
    there = [problem for problem in problems if problem is not None]
    recipe = replace(recipe, names=there[0].names)
    recipe.check_names(there)
    tried = [data.isel(run=0, drop=True) for _, data in recipe.runs(problems, columns, 1, steps=1)]
    largest = max(tried, key=lambda data: data.sizes["component"] * data.sizes["output"])
    template = {
        str(name): (variable.shape, variable.dtype.str)
        for name, variable in largest.data_vars.items()
    }
    return replace(recipe, template=template), largest, fingerprint(there)


def _first_that_exists(recipe: Recipe, design: Design) -> int:
    """The number of the first run whose problem is not refused."""
    for start in range(0, design.runs, AT_A_TIME):
        runs = np.arange(start, min(start + AT_A_TIME, design.runs))
        for run, problem in zip(runs, recipe.problems(design.columns(runs)), strict=True):
            if problem is not None:
                return int(run)
    raise ValueError(
        f"None of the {design.runs:,} problems exists: every point is refused."
        " Look at one of them with on_error='raise'."
    )


def _assembled(design: Design, parts: Part, one: xr.Dataset, attrs: Identity) -> xr.Dataset:
    """The results with a dimension for every axis; `one` is the result of one run."""
    lengths = design.sizes.values()
    data = {
        name: (
            (*design.sizes, *one[name].dims),
            values.reshape(*lengths, *values.shape[1:]),
            one[name].attrs,
        )
        for name, values in parts.items()
    }
    coords: dict[str, Any] = {"modality": one.modality}
    for name, (dim, values) in design.axes.items():
        coords[name] = (
            dim,
            values if all(map(_is_number, values)) else list(map(_arguments.label, values)),
        )
    order = dict.fromkeys(dim for dim, _ in design.axes.values())
    return xr.Dataset(data, coords, attrs).transpose(*order, ...)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
