"""What linear theory says about a data set before any training, and whether training did that.

The second moments of the inputs (or of their features) and of the centred one-hot classes make a
:class:`mimo_sim.LateFusionProblem`. Its closed forms say which modality a linear late-fusion
network learns first, whether that preference is superficial, and which penalty lam* of MIMO
reverses it. The answer has two limits.

- A growth rate :math:`|C_k|` is in units of the inputs, so the answer depends on how the inputs are
  scaled. (The optima do not.) So there is a prediction for each of
  :data:`mimo_sim.benchmark.linear.UNITS`.
- Encoders of real networks are not linear. They may find what a linear map cannot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mimo_sim.benchmark.linear import UNITS, Features, Units, linear_accuracies, linear_view
from mimo_sim.benchmark.prediction import predict
from mimo_sim.benchmark.records import FinishedRun, read
from mimo_sim.datasets._data import Dataset
from mimo_sim.training.records import plain

READINGS = ("sliced_accuracy", "encoder_norm")  # two ways to see in a run who learned first
IN_SHORT = ("first_learned", "superficial", "order_threshold", "correlation")
NOT_IDENTITY = ("name", "modalities", "sizes", "seed")  # what runs on the same data may differ in


def diagnose(
    dataset: Dataset,
    *,
    features: Features = "pca",
    components: int = 50,
    samples: int = 5_000,
    units: Units = "modality",
    records: str | Path | None = None,
) -> dict[str, Any]:
    """What linear theory predicts for a data set, and what training did if there are records.

    Parameters
    ----------
    dataset, features, components, samples
        As in :func:`mimo_sim.benchmark.linear.linear_view`.
    units : {"modality", "network", "feature"}
        How inputs are scaled for the main prediction.
    records : path, optional
        A folder of ``mimo-sim bench run``: compare with the ``vanilla`` runs in it.

    Returns
    -------
    dict
        Plain values. ``prediction`` is that of :func:`mimo_sim.benchmark.prediction.predict`,
        ``other_units`` its short form in the other units, ``linear_accuracy`` what a linear
        classifier reaches (None for regression). With records, ``training`` holds the ``runs``
        of :func:`observed_runs` and the ``agreement``: in how many of them the predicted
        modality was first.
    """
    view = linear_view(dataset, features=features, components=components, samples=samples)
    prediction = predict(view.problem(units))
    others = {name: predict(view.problem(name)) for name in UNITS if name != units}
    classify = dataset.task == "classification"
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
        "prediction": prediction,
        "linear_accuracy": linear_accuracies(view) if classify else None,
        "other_units": {
            name: {key: found[key] for key in IN_SHORT} for name, found in others.items()
        },
    }
    if records is not None:
        runs = observed_runs(records, dataset)
        predictions = {units: prediction, **others}
        report["training"] = {
            "runs": runs,
            "agreement": {
                name: _agreement(runs, found["first_learned"])
                for name, found in predictions.items()
            },
        }
    return report


def observed_runs(
    records: str | Path, dataset: Dataset, method: str = "vanilla"
) -> list[dict[str, Any]]:
    """What the finished runs of a method on a data set showed, one dict per run.

    Parameters
    ----------
    records : path
        A folder of ``mimo-sim bench run``.
    dataset : Dataset
        Runs on the same data set with the same settings are taken, whatever their seeds and the
        sizes of their splits.
    method : str
        Registry name. Predictions are about joint training, ``"vanilla"``.

    Returns
    -------
    list of dict
        ``seed``. ``learning_times``: one reading from the accuracy of the split joint head, which
        starts at chance, and one from the norms of the encoders. ``first_learned`` by reading.
        ``final`` validation accuracy of the linear ``probe`` and of the ``sliced`` joint head by
        modality, and the ``gap`` of each.

    Raises
    ------
    ValueError
        If there is no such run.
    """
    wanted = _identity(plain(dict(dataset.about)))
    found = []
    for run in read(records):
        data = run.result["data"]
        same_data = data["name"] == dataset.name and _identity(data) == wanted
        if same_data and run.result["config"]["method"] == method:
            found.append(_observed(run, dataset))
    if not found:
        raise ValueError(
            f"`records` must hold finished {method!r} runs on {dataset.name!r} with {wanted}. "
            f"Found none below {str(records)!r}."
        )
    return found


def learning_times(
    table: Mapping[str, Sequence[float]],
    names: Sequence[str],
    column: str,
    start: float | None = None,
) -> dict[str, float] | None:
    r"""Mean learning time of each modality, in epochs.

    It is :math:`\tau = \sum_t (1 - p_t)` over the ends of epochs. Here :math:`p_t` says how far the
    curve has come from `start` (0) to its largest value (1); it is clipped to [0, 1]. What happens
    within the first epoch cannot be seen. A modality that rises by less than a tenth of the largest
    rise is not learned; its tau is the number of epochs.

    Parameters
    ----------
    table : mapping
        Columns of a run's ``epochs.csv``.
    names : sequence of str
        Modalities.
    column : str
        Columns ``<column>_<modality>`` are read.
    start : float, optional
        Value before training; by default the first entry of each column.

    Returns
    -------
    dict or None
        None if a column is missing, has fewer than two entries or is not finite, or none rises.
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
    way = np.where(learned, rise, np.inf)
    shares = np.clip((curves - low[:, None]) / way[:, None], 0, 1)
    return dict(zip(names, np.sum(1 - shares, axis=1).tolist(), strict=True))


def _observed(run: FinishedRun, dataset: Dataset) -> dict[str, Any]:
    """What one run on this data set showed."""
    names = [modality.name for modality in dataset.modalities]
    chance = 1 / max(len(dataset.classes), 1)
    table = run.table()
    times = {
        "sliced_accuracy": learning_times(table, names, "validation_sliced_accuracy", chance),
        "encoder_norm": learning_times(table, names, "encoder_norm"),
    }
    final = run.result["metrics"]["validation"]
    return {
        "seed": run.seed,
        "learning_times": times,
        "first_learned": {reading: _first(found) for reading, found in times.items()},
        "final": {key: final["unimodal"].get(key) for key in ("probe", "sliced")},
        "gap": {key: final["gap"].get(key) for key in ("probe", "sliced")},
    }


def _first(times: Mapping[str, float] | None) -> str | None:
    """The modality with the smallest learning time."""
    return min(times, key=times.__getitem__) if times else None


def _identity(about: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a data set that runs on the same data share."""
    return {key: value for key, value in about.items() if key not in NOT_IDENTITY}


def _agreement(runs: Sequence[dict[str, Any]], predicted: str) -> dict[str, str]:
    """By reading: in how many runs the predicted modality was first."""
    found = {}
    for reading in READINGS:
        first = [run["first_learned"][reading] for run in runs]
        seen = [name for name in first if name is not None]
        found[reading] = f"{seen.count(predicted)} of {len(seen)}"
    return found
