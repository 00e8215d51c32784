"""What linear theory says about a data set before any training, and how that compares with what training did.

The second moments of the (features of the) inputs and of the centred one-hot classes make a :class:`mimo_sim.LateFusionProblem`, whose closed forms say
which modality a linear late-fusion network learns first, whether that preference is superficial, and which penalty lam* of MIMO reverses it. Two limits
must be kept in mind. First, a growth rate :math:`|C_k|` is in units of the inputs, so the answer depends on how they are scaled, while the exact optima do
not: hence :data:`UNITS`, and a prediction for each. Second, encoders of real networks are not linear: they may find what a linear map cannot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mimo_sim.benchmark.linear import UNITS, Features, Units, linear_view
from mimo_sim.benchmark.prediction import linear_accuracies, predict
from mimo_sim.datasets._data import Dataset


def learning_times(
    table: Mapping[str, Sequence[float]],
    names: Sequence[str],
    column: str,
    start: float | None = None,
) -> dict[str, float] | None:
    r"""Mean learning time of each modality in epochs, read from ``<column>_<modality>`` of an epoch table.

    :math:`\tau = \sum_t (1 - p_t)` over the epochs' ends, with :math:`p_t` the share, clipped to [0, 1], of the way from `start` (None: the first entry) to
    the largest value. What happens within the first epoch is not resolved. A modality that rises by less than a tenth of the one that rises most is not
    learned and has tau = the number of epochs. None when a column is missing or none rises.
    """
    if any(f"{column}_{name}" not in table for name in names):
        return None
    curves = np.array([table[f"{column}_{name}"] for name in names], dtype=float)
    if curves.shape[1] < 2 or not np.isfinite(curves).all():
        return None
    low = curves[:, 0] if start is None else np.full(len(names), start)
    rise = curves.max(1) - low
    if rise.max() <= 0:
        return None
    learned = rise >= rise.max() / 10
    shares = np.clip((curves - low[:, None]) / np.where(learned, rise, np.inf)[:, None], 0, 1)
    return dict(zip(names, np.sum(1 - shares, axis=1).tolist(), strict=True))


def measure(records: str | Path, dataset: Dataset, method: str = "vanilla") -> list[dict[str, Any]]:
    """What the finished runs of a method on this data set showed, one dict per run.

    Parameters
    ----------
    records : path
        A folder of ``mimo-sim bench run``.
    dataset : Dataset
        Runs on the same data set with the same settings are taken, whatever their sizes and seeds.
    method : str
        Registry name. Predictions are about joint training, ``vanilla``.

    Returns
    -------
    list of dict
        ``seed``; ``learning_times`` by reading: ``sliced_accuracy`` (:func:`learning_times` from chance), ``encoder_norm``; ``first_learned`` by reading;
        final validation accuracy of the linear ``probe`` and of the ``sliced`` joint head by modality, and ``gap`` of each.

    Raises
    ------
    ValueError
        If there is no such run.
    """
    from mimo_sim.benchmark.records import read
    from mimo_sim.training.records import plain

    names = [m.name for m in dataset.modalities]
    wanted = _identity(plain(dict(dataset.about)))
    found = []
    for run in read(records):
        data = run.result["data"]
        if (
            data["name"] != dataset.name
            or run.result["config"]["method"] != method
            or _identity(data) != wanted
        ):
            continue
        table = run.table()
        times = {
            "sliced_accuracy": learning_times(
                table, names, "validation_sliced_accuracy", 1 / max(len(dataset.classes), 1)
            ),
            "encoder_norm": learning_times(table, names, "encoder_norm"),
        }
        final = run.result["metrics"]["validation"]
        found.append(
            {
                "seed": run.seed,
                "learning_times": times,
                "first_learned": {
                    key: min(value, key=value.__getitem__) if value else None
                    for key, value in times.items()
                },
                "final": {key: final["unimodal"].get(key) for key in ("probe", "sliced")},
                "gap": {key: final["gap"].get(key) for key in ("probe", "sliced")},
            }
        )
    if not found:
        raise ValueError(
            f"`records` must hold finished {method!r} runs on {dataset.name!r} with {wanted}. Found none below {str(records)!r}."
        )
    return found


def _identity(about: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in about.items()
        if key not in ("name", "modalities", "sizes", "seed")
    }


# ------------------------------------------------------------------------------------------ both


def diagnose(
    dataset: Dataset,
    *,
    features: Features = "pca",
    components: int = 50,
    samples: int = 5_000,
    units: Units = "modality",
    records: str | Path | None = None,
) -> dict[str, Any]:
    """The whole diagnostic as plain values.

    Parameters
    ----------
    dataset, features, components, samples
        As in :func:`linear_view`.
    units : {"modality", "network", "feature"}
        Of the inputs (:data:`UNITS`); ``other_units`` of the answer holds the short prediction for the rest.
    records : path, optional
        Compare with the finished ``vanilla`` runs below it (:func:`measure`).
    """
    view = linear_view(dataset, features=features, components=components, samples=samples)
    chosen = predict(view.problem(units))
    short = ("first_learned", "superficial", "order_threshold", "correlation")
    others = {name: predict(view.problem(name)) for name in UNITS if name != units}
    report: dict[str, Any] = {
        "dataset": dataset.name,
        "about": dict(dataset.about),
        "features": {
            "kind": features,
            "dims": [x.shape[1] for x in view.train],
            "kept_variance": dict(zip(view.names, view.kept_variance, strict=True)),
        },
        "samples": len(view.target),
        "units": units,
        "prediction": chosen,
        "linear_accuracy": linear_accuracies(view) if dataset.task == "classification" else None,
        "other_units": {name: {key: found[key] for key in short} for name, found in others.items()},
    }
    if records is not None:
        runs = measure(records, dataset)
        report["training"] = {
            "runs": runs,
            "agreement": _agreement(runs, {units: chosen, **others}),
        }
    return report


def _agreement(
    runs: Sequence[dict[str, Any]], predictions: Mapping[Units, dict[str, Any]]
) -> dict[str, dict[str, str]]:
    """By units and reading: in how many runs the modality predicted to be first was first."""
    return {
        name: {
            reading: f"{sum(one == found['first_learned'] for one in seen)} of {len(seen)}"
            for reading in ("sliced_accuracy", "encoder_norm")
            for seen in [
                [run["first_learned"][reading] for run in runs if run["first_learned"][reading]]
            ]
        }
        for name, found in predictions.items()
    }
