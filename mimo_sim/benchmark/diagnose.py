"""What linear theory says about a data set before any training, and how that compares with what training did.

The second moments of the (features of the) inputs and of the centred one-hot classes make a :class:`mimo_sim.LateFusionProblem`, whose closed forms say
which modality a linear late-fusion network learns first, whether that preference is superficial, and which penalty lam* of MIMO reverses it. Two limits
must be kept in mind. First, a growth rate :math:`|C_k|` is in units of the inputs, so the answer depends on how they are scaled, while the exact optima do
not: hence :data:`UNITS`, and a prediction for each. Second, encoders of real networks are not linear: they may find what a linear map cannot.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from mimo_sim import theory
from mimo_sim._checks import FloatArray
from mimo_sim.datasets._data import Dataset, Split
from mimo_sim.problem import LateFusionProblem

Features: TypeAlias = Literal["pca", "raw"]
Units: TypeAlias = Literal["modality", "network", "feature"]
UNITS: dict[Units, str] = {
    "modality": "each modality divided by the root of its total variance: free of units, as for an encoder that starts by normalising",
    "network": "inputs as the network receives them: for encoders without normalisation",
    "feature": "every feature scaled to unit variance",
}
MOST_RAW = 4_000  # dimensions in all: their moments are a matrix of that size
NEGLIGIBLE = 1e-9  # share of a modality's variance below which a direction is round-off


@dataclass(frozen=True)
class LinearView:
    """A split as a linear network sees it: centred features (n, d_k) per modality in network units, centred targets (n, m), and where they came from."""

    names: tuple[str, ...]
    train: tuple[FloatArray, ...]
    validation: tuple[FloatArray, ...]
    target: FloatArray
    validation_target: FloatArray
    kept_variance: tuple[float, ...]  # share of each modality's variance that the features keep

    def problem(self, units: Units = "modality") -> LateFusionProblem:
        """The second moments of the train features in these units."""
        if units not in UNITS:
            raise ValueError(f"`units` must be one of {tuple(UNITS)}. Got units={units!r}.")
        return LateFusionProblem.from_samples(
            [x / self._scale(x, units) for x in self.train], self.target, names=self.names
        )

    @staticmethod
    def _scale(x: FloatArray, units: Units) -> Any:
        if units == "feature":
            return np.sqrt(np.mean(x**2, axis=0))
        return math.sqrt(np.mean(np.sum(x**2, axis=1))) if units == "modality" else 1.0


def linear_view(
    dataset: Dataset, *, features: Features = "pca", components: int = 50, samples: int = 5_000
) -> LinearView:
    """Features and targets of a data set, ready for second moments.

    Parameters
    ----------
    dataset : Dataset
        Classes become one-hot targets. Everything is centred by train means, because networks have biases.
    features : {"pca", "raw"}
        The leading principal components of each modality's network input (its scale is kept), or the input itself, flattened.
    components : int
        At most so many components per modality, >= 1.
    samples : int
        Use the first so many samples of the train split, >= 2.

    Raises
    ------
    ValueError
        For values outside these ranges, raw inputs of more than 4,000 dimensions in all, or a modality that never varies.
    """
    if features not in get_args(Features):
        raise ValueError(
            f"`features` must be one of {get_args(Features)}. Got features={features!r}."
        )
    for name, value, least in (("components", components, 1), ("samples", samples, 2)):
        if value < least:
            raise ValueError(f"`{name}` must be >= {least}. Got {name}={value}.")
    sizes = [math.prod(m.shape) for m in dataset.modalities]
    if features == "raw" and sum(sizes) > MOST_RAW:
        raise ValueError(
            f"`features='raw'` is for inputs of at most {MOST_RAW} dimensions in all; use 'pca'. {dataset.name!r} has {sum(sizes)}."
        )
    train, validation, kept = [], [], []
    for k, modality in enumerate(dataset.modalities):
        x, x_validation = (
            _network_input(dataset, split, k, samples)
            for split in (dataset.train, dataset.validation)
        )
        mean = x.mean(0)
        x, x_validation = x - mean, x_validation - mean
        total = float(np.mean(np.sum(x**2, axis=1, dtype=np.float64)))
        if total == 0:
            raise ValueError(
                f"modality {modality.name!r} of {dataset.name!r} is the same in all train samples: there is nothing to learn from it."
            )
        if features == "pca":
            basis = _leading(x, components)
            x, x_validation = x @ basis, x_validation @ basis
        x, x_validation = x.astype(np.float64), x_validation.astype(np.float64)
        variance = np.mean(x**2, axis=0)
        train.append(x[:, variance > NEGLIGIBLE * total])
        validation.append(x_validation[:, variance > NEGLIGIBLE * total])
        kept.append(float(variance.sum() / total))
    target, target_validation = (
        _target(dataset, split, samples) for split in (dataset.train, dataset.validation)
    )
    names, mean = tuple(m.name for m in dataset.modalities), target.mean(0)
    return LinearView(
        names, tuple(train), tuple(validation), target - mean, target_validation - mean, tuple(kept)
    )


def _network_input(dataset: Dataset, split: Split, k: int, samples: int) -> Any:
    return dataset.prepare([x[:samples] for x in split.inputs])[k].flatten(1).numpy()


def _leading(x: Any, components: int) -> Any:
    """(d, <= components) leading principal directions of centred samples (n, d)."""
    from sklearn.utils.extmath import randomized_svd

    if x.shape[1] <= 1_000:
        return np.linalg.eigh(x.T.astype(np.float64) @ x)[1][:, ::-1][:, :components]
    return randomized_svd(x, min(components, *x.shape), random_state=0)[2].T


def _target(dataset: Dataset, split: Split, samples: int) -> FloatArray:
    target = split.target[:samples].numpy()
    return (
        np.eye(dataset.num_outputs)[target]
        if dataset.task == "classification"
        else target.astype(np.float64)
    )


# ------------------------------------------------------------------------------------------ prediction


def predict(problem: LateFusionProblem) -> dict[str, Any]:
    r"""What linear theory says about a problem with any number of outputs, as plain values.

    Returns
    -------
    dict
        ``correlation`` :math:`|C_k|` (largest singular value: growth rate of encoder k), ``first_learned``, ``explained`` (share of :math:`E|y|^2` that each
        modality explains alone, linearly), ``joint_explained``, ``unimodal_optima``, ``most_explaining``, ``superficial``, ``order_threshold`` (lam*), and
        ``time_ratio``: when the second modality emerges over when the first does, in the limit of tiny initialisation, by two readings (None where there
        is nothing to emerge). ``without_interaction``: ratio of the rates. ``after_first``: the first is learned completely before the second emerges, which
        is [ZLS]'s formula, exact for m = 1 (:func:`mimo_sim.theory.time_ratio`); for m > 1 it is taken with largest singular values, though modes of the
        modalities then alternate and each modality goes on learning after its first mode, so neither reading is exact.
    """
    report = theory.superficial_preference(problem)
    names, second = problem.names, problem.y_second_moment
    by_name = {
        "correlation": report.correlation,
        "explained": report.explained / second,
        "unimodal_optima": problem.unimodal_optima,
    }
    return {
        "first_learned": names[report.first_learned],
        "most_explaining": names[report.most_explaining],
        "superficial": report.holds,
        "order_threshold": theory.order_threshold(problem),
        **{key: dict(zip(names, values.tolist(), strict=True)) for key, values in by_name.items()},
        "joint_explained": 1 - 2 * problem.joint_optimum / second,
        "time_ratio": _time_ratios(problem, report) if problem.num_modalities > 1 else None,
    }


def _time_ratios(
    problem: LateFusionProblem, report: theory.PreferenceReport
) -> dict[str, float | None]:
    first, rates = report.first_learned, report.correlation
    others = [k for k in range(problem.num_modalities) if k != first]
    plain = min((float(rates[first] / rates[k]) for k in others if rates[k] > 0), default=None)
    if problem.output_dim == 1:
        exact = theory.time_ratio(problem)
        return {
            "without_interaction": plain,
            "after_first": exact if math.isfinite(exact) else None,
        }
    return {
        "without_interaction": plain,
        "after_first": min(
            (r for k in others if (r := _after(problem, first, k)) is not None), default=None
        ),
    }


def _after(problem: LateFusionProblem, first: int, k: int) -> float | None:
    r"""1 + (|C_first| - |C_k|) / |D_k| with D_k what is left of C_k once `first` is learned; |.| largest singular values."""
    left = problem.sigma_yx[k] - problem.unimodal_maps[first] @ problem.sigma[first][k]
    rates = [
        float(np.linalg.norm(matrix, 2))
        for matrix in (problem.sigma_yx[first], problem.sigma_yx[k], left)
    ]
    return 1 + (rates[0] - rates[1]) / rates[2] if rates[2] > 1e-12 * rates[0] else None


def linear_accuracies(view: LinearView) -> dict[str, float]:
    """Validation accuracy of the least-squares classifier of each modality's features, and of all ("joint"): what a linear network can reach."""
    found = {}
    for name, chosen in [
        *((name, [k]) for k, name in enumerate(view.names)),
        ("joint", list(range(len(view.names)))),
    ]:
        x, x_validation = (
            np.hstack([side[k] for k in chosen]) for side in (view.train, view.validation)
        )
        fitted = np.linalg.lstsq(x, view.target, rcond=None)[0]
        found[name] = float(
            np.mean((x_validation @ fitted).argmax(1) == view.validation_target.argmax(1))
        )
    return found


# ------------------------------------------------------------------------------------------ measurement


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
    from mimo_sim.benchmark.grid import read
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
