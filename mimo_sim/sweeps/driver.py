"""`sweep`: validate once, compute what is missing, return a labelled dataset."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import xarray as xr

from mimo_sim.dynamics import trajectory
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO, Solver, Vanilla
from mimo_sim.sweeps import _arguments
from mimo_sim.sweeps import _store as store
from mimo_sim.sweeps._backends import BACKENDS
from mimo_sim.sweeps._design import Design, chunk_size, law, lay_out
from mimo_sim.sweeps._identity import Identity, fingerprint, identity
from mimo_sim.sweeps._loop import all_parts
from mimo_sim.sweeps._recipe import METHODS, Part, Recipe


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

    _arguments.check_choices(on_error, backend, engine, cluster)
    _arguments.check_counts(steps, samples, design_seed, workers, chunk)
    _arguments.check_file_and_axes(out, axes)
    make, parameters = _arguments.family(problem, axes)
    method = METHODS.get(method, method) if isinstance(method, str) else method
    methods = dict(METHODS)
    if isinstance(method, Vanilla | MIMO):
        methods[method.name] = method
    own = {
        "method": method,
        "step_size": step_size,
        "init_scale": init_scale,
        "width": width,
        "weight_decay": weight_decay,
    }
    design = lay_out(axes, own, set(parameters), seeds, samples, design_seed)
    _arguments.check_names(axes, design, parameters)
    design = replace(design, chunk=chunk_size(design, steps, engine, chunk))
    options = {"steps": steps, "tolerance": tolerance, "engine": engine}
    recipe = Recipe(
        make=make,
        methods=methods,
        renamed={name: parameters[name] for name in axes if name in parameters},
        options=options,
        skip=on_error == "nan",
        version=__version__,
        template={},
    )
    recipe, blank, digest = _tried(recipe, design)
    drawn = [name for name in axes if design.dim(name) == "sample"]
    record = identity(
        {
            "problem": problem,
            "axes": {
                name: {"draw": law(values)} if name in drawn else values
                for name, values in axes.items()
            },
            **own,
            "seeds": design.axes["seed"][1],
            "samples": samples,
            "design_seed": design_seed,
            **options,
            "on_error": on_error,
            "fingerprint": digest,
            "mimo_sim_version": __version__,
        }
    )

    if out is None:
        parts = all_parts(recipe, design, None, BACKENDS[backend], workers, cluster, progress)
        return _assembled(design, parts, blank, record)
    out = Path(out)
    folder = out.with_name(f"{out.name}.chunks")
    done = None if overwrite else store.finished(out, record)
    if done is not None:
        shutil.rmtree(folder, ignore_errors=True)  # killed between its last two acts
        return done
    store.open_folder(folder, record | {"chunk": design.chunk}, overwrite)
    parts = all_parts(recipe, design, folder, BACKENDS[backend], workers, cluster, progress)
    data = _assembled(design, parts, blank, record)
    trajectory.save(data, folder / out.name)
    os.replace(folder / out.name, out)
    shutil.rmtree(folder)
    return data


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
    tried = [data.isel(run=0, drop=True) for _, data in recipe.runs(problems, columns, 1, steps=1)]
    blank = max(tried, key=lambda data: data.sizes["component"] * data.sizes["output"])
    template = {
        str(name): (variable.shape, variable.dtype.str)
        for name, variable in blank.data_vars.items()
    }
    return replace(recipe, template=template), blank, fingerprint(there)


def _assembled(design: Design, parts: Part, blank: xr.Dataset, record: Identity) -> xr.Dataset:
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
        name: (dim, values if numbers[name] else [_arguments.label(value) for value in values])
        for name, (dim, values) in design.axes.items()
    }
    order = dict.fromkeys(dim for dim, _ in design.axes.values())
    return xr.Dataset(data, {"modality": blank.modality} | coords, record).transpose(*order, ...)
