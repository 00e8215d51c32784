"""The labelled result of a run: built, measured, saved and loaded.

Measures are functions of the dataset, so a stored run can be measured again.
"""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mimo_sim import rules
from mimo_sim._checks import FloatArray, check_run
from mimo_sim._files import replacing
from mimo_sim.dynamics.batches import Batches
from mimo_sim.errors import UnconvergedWarning
from mimo_sim.objective import mimo_objective
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO, AnySolver, Vanilla

if TYPE_CHECKING:
    import xarray as xr

    from mimo_sim.dynamics.records import Records

LONG_NAMES = {
    "loss_mm": "multi-modal loss f_mm",
    "loss_uni": "uni-modal loss f_k",
    "encoder_norm": "Frobenius norm of the encoder W_k",
    "head_norm": "Frobenius norm of the multi-modal head block V_k",
    "uni_head_norm": "Frobenius norm of the uni-modal head U_k",
    "sigma": "weight sigma_k of the smoothed maximum",
    "weight_mm": "weight of f_mm in the update of encoder k",
    "weight_uni": "weight of f_k in the update of encoder k",
    "objective": "objective F",
    "gap": "f_k minus the estimate of f_k* in use",
    "excess_mm": "f_mm minus its minimum",
    "excess_uni": "f_k minus its minimum f_k*",
    "grad_norm_sq": "squared norm of the gradient of F",
    "joint_map": "map of the multi-modal head, V_k W_k",
    "uni_map": "map of the uni-modal heads, U_k W_k",
    "batch_loss_mm": "f_mm on the batch of this step",
    "batch_loss_uni": "f_k on the batch of this step",
    "sample_input": "inputs of all modalities side by side",
    "sample_target": "targets",
}


def build(
    problem: LateFusionProblem,
    method: AnySolver,
    settings: dict[str, Any],
    steps: np.ndarray,
    records: Records,
    batches: Batches | None = None,
) -> xr.Dataset:
    """Label what an engine recorded. A diverged run keeps the steps before the divergence."""
    import xarray as xr  # loads pandas, half a second

    kept = len(steps)
    if records.diverged_at is not None:
        kept = int(np.searchsorted(steps, records.diverged_at))
    per_step, per_modality = ("step",), ("step", "modality")
    excess_mm, excess_uni = records.excess_mm[:kept], records.excess_uni[:kept]
    gap = excess_uni - records.f_star_excess[:kept]
    loss_mm = problem.joint_optimum + excess_mm
    seen_mm = loss_mm  # what the step descends
    data: dict[str, Any] = {}
    if records.batch_excess is not None and records.gap is not None:
        on_batch = records.batch_excess[:kept]
        seen_mm, gap = problem.joint_optimum + on_batch[:, 0], records.gap[:kept]
        data["batch_loss_mm"] = (per_step, seen_mm)
        data["batch_loss_uni"] = (per_modality, problem.unimodal_optima + on_batch[:, 1:])
    objective, sigma = seen_mm, np.full_like(gap, np.nan)
    weight_mm, weight_uni = np.ones_like(gap), np.zeros_like(gap)
    if isinstance(method, MIMO):
        objective = mimo_objective(seen_mm, gap, method.lam, method.mu)
        sigma = records.sigma[:kept]
        weight_uni = method.lam * sigma
    elif isinstance(method, rules.Rule):
        objective = np.full_like(seen_mm, np.nan)
        weight_mm, weight_uni = records.weights[:kept].transpose(1, 0, 2)
    data |= {
        "loss_mm": (per_step, loss_mm),
        "loss_uni": (per_modality, problem.unimodal_optima + excess_uni),
        "encoder_norm": (per_modality, records.norms[:kept, :, 2]),
        "sigma": (per_modality, sigma),
        "weight_mm": (per_modality, weight_mm),
        "weight_uni": (per_modality, weight_uni),
        "objective": (per_step, objective),
        "gap": (per_modality, gap),
        "excess_mm": (per_step, excess_mm),
        "excess_uni": (per_modality, excess_uni),
        "head_norm": (per_modality, records.norms[:kept, :, 0]),
        "uni_head_norm": (per_modality, records.norms[:kept, :, 1]),
        "grad_norm_sq": (per_step, records.grad_norm_sq[:kept]),
    }
    coords: dict[str, Any] = {
        "step": ("step", steps[:kept], {"long_name": "gradient-descent step"}),
        "time": (
            "step",
            steps[:kept] * settings["step_size"],
            {"long_name": "flow time, step size times step"},
        ),
        "modality": ("modality", list(problem.names)),
    }
    if records.joint_map is not None:
        assert records.uni_map is not None
        data["joint_map"] = (("step", "output", "feature"), records.joint_map[:kept])
        data["uni_map"] = (("step", "output", "feature"), records.uni_map[:kept])
        coords["feature_modality"] = ("feature", np.repeat(problem.names, problem.dims).tolist())
    if batches is not None:
        data["sample_input"] = (("sample", "feature"), batches.inputs)
        data["sample_target"] = (("sample", "output"), batches.target)
        settings = settings | {
            "batch_size": batches.size,
            "batch_seed": batches.seed,
            "batch_replace": int(batches.replace),
        }
    labelled = {name: (*entry, {"long_name": LONG_NAMES[name]}) for name, entry in data.items()}
    return xr.Dataset(labelled, coords, attrs=_attributes(problem, method, settings))


def _attributes(
    problem: LateFusionProblem, method: AnySolver, settings: dict[str, Any]
) -> dict[str, Any]:
    """Everything that :func:`arguments` needs, as netCDF can store it."""
    from mimo_sim import __version__

    fields: dict[str, Any] = {"method": method.name, "heads": method.heads}
    if isinstance(method, MIMO):
        fields["lam"], fields["mu"] = float(method.lam), float(method.mu)
        fields["f_star"] = method.f_star
        if not isinstance(method.f_star, str):
            fields["f_star"] = np.array(method.f_star, dtype=float)
    if isinstance(method, rules.Rule):
        fields["hyper"] = json.dumps(method.hyper(), default=float)
    return {**fields, **settings, "problem": problem.to_json(), "mimo_sim_version": __version__}


def arguments(run: xr.Dataset) -> dict[str, Any]:
    """The arguments of :func:`mimo_sim.simulate` that made `run`, `problem` and `method` too."""
    attrs = getattr(run, "attrs", {})
    if not {"problem", "method", "engine", "steps"} <= set(attrs):
        raise TypeError(f"`run` must be what `simulate` returned. Got {type(run).__name__}.")
    method: AnySolver
    if attrs["method"] == "vanilla":
        method = Vanilla(heads=attrs["heads"])
    elif attrs["method"] != "mimo":
        method = rules.create(attrs["method"], **_tuples(json.loads(attrs["hyper"])))
    else:
        f_star = attrs["f_star"]
        if not isinstance(f_star, str):
            f_star = np.asarray(f_star, dtype=float).tolist()
        method = MIMO(
            lam=float(attrs["lam"]), mu=float(attrs["mu"]), f_star=f_star, heads=attrs["heads"]
        )
    width = float(attrs["width"])
    problem = LateFusionProblem.from_json(attrs["problem"])
    return {
        "problem": problem,
        "method": method,
        "width": width if math.isinf(width) else int(width),
        "initial": json.loads(attrs["initial"]) if "initial" in attrs else None,
        "engine": str(attrs["engine"]),
        "record_maps": bool(attrs["record_maps"]),
        "momentum": float(attrs.get("momentum", 0.0)),
        "decay": float(attrs.get("decay", 0.0)),
        "batches": _batches(run, problem) if "batch_size" in attrs else None,
        **{name: float(attrs[name]) for name in ("step_size", "init_scale", "weight_decay")},
        **{name: int(attrs[name]) for name in ("steps", "seed", "record_every")},
    }


def _batches(run: xr.Dataset, problem: LateFusionProblem) -> Batches:
    """The mini-batches of a run, from its samples and attributes."""
    inputs = run.sample_input.values
    return Batches(
        [inputs[:, problem.features(k)] for k in range(problem.num_modalities)],
        run.sample_target.values,
        size=int(run.attrs["batch_size"]),
        seed=int(run.attrs["batch_seed"]),
        replace=bool(run.attrs["batch_replace"]),
        names=problem.names,
    )


def _tuples(hyper: dict[str, Any]) -> dict[str, Any]:
    """Hyper-parameters as they were before JSON made lists of their tuples."""
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in hyper.items()
    }


def half_times(run: xr.Dataset) -> xr.DataArray:
    r"""First recorded step at which :math:`|W_k|_F^2` reaches half of its final value.

    Parameters
    ----------
    run : Dataset
        From :func:`mimo_sim.simulate`. Its ``record_every`` is the resolution.

    Returns
    -------
    DataArray (modality,)
        In steps; NaN for an encoder that was never learned: it ends at zero, or below twice its
        initial squared norm.

    Warns
    -----
    UnconvergedWarning
        If an encoder's squared norm still changed by more than 5% over the last tenth of the run,
        or fewer than three steps were recorded. Then its final value is not known, and neither is
        half of it.
    """
    import xarray as xr  # loads pandas, half a second

    check_run(run, "encoder_norm")
    steps, squared = run.step.values, run.encoder_norm.transpose("step", "modality").values ** 2
    final = squared[-1]
    before_last_tenth = np.searchsorted(steps, 0.9 * steps[-1], side="right") - 1
    late = squared[before_last_tenth:]
    drift = float(np.max(np.ptp(late, axis=0) / np.maximum(final, np.finfo(float).tiny)))
    if len(steps) < 3 or not drift <= 0.05:
        warnings.warn(
            "The run was still moving when it stopped (an encoder's squared norm changed by "
            f"{drift:.0%} over the last tenth of {steps[-1]} steps); half-times refer to values "
            "that are not final. Raise `steps`.",
            UnconvergedWarning,
            stacklevel=2,
        )
    times = first_halves(steps, squared)
    attrs = {"long_name": "half-time of the encoder norm", "units": "steps"}
    return xr.DataArray(
        times, {"modality": run.modality}, ("modality",), name="half_time", attrs=attrs
    )


def first_halves(steps: np.ndarray, squared: FloatArray) -> FloatArray:
    """(K,) first of these steps (n,) at which a square (n, K) reaches half of its last value.

    NaN where the last value is zero, or below twice the first.
    """
    final = squared[-1]
    reached = steps[(squared >= final / 2).argmax(axis=0)]
    return np.where((final >= 2 * squared[0]) & (final > 0), reached, np.nan)


def half_time_ratio(run: xr.Dataset) -> float:
    """The latest half-time over the earliest; NaN if a modality was never learned.

    1 means that all encoders are learned together.
    """
    times = half_times(run).values
    return float(times.max() / times.min()) if times.min() > 0 else math.nan


def save(run: xr.Dataset, path: str | Path) -> None:
    """Write a trajectory (or a set of them) as netCDF 4, atomically."""
    with replacing(path) as temporary:
        run.to_netcdf(temporary, engine="h5netcdf")


def load(path: str | Path) -> xr.Dataset:
    """Read a file written by :func:`save` into memory."""
    import xarray as xr  # loads pandas, half a second

    if not Path(path).is_file():
        raise FileNotFoundError(
            f"`path` must be a trajectory file written by mimo_sim. No file {str(path)!r}."
        )
    try:
        return xr.load_dataset(path, engine="h5netcdf")
    except OSError as error:
        raise ValueError(
            "`path` must be a netCDF 4 file written by mimo_sim. "
            f"{str(path)!r} is not one ({error})."
        ) from None
