"""A data set as a linear network sees it: centred features and targets, and their moments."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from mimo_sim._checks import FloatArray
from mimo_sim.datasets._data import Dataset, Split
from mimo_sim.problem import LateFusionProblem

Features: TypeAlias = Literal["pca", "raw"]
Units: TypeAlias = Literal["modality", "network", "feature"]
UNITS: dict[Units, str] = {
    "modality": "each modality is divided by the root of its total variance. The answer does not "
    "depend on units; it is right for encoders that begin with a normalisation",
    "network": "inputs as the network receives them: for encoders without normalisation",
    "feature": "every feature is scaled to unit variance",
}
MOST_RAW = 4_000  # dimensions of all modalities together; the moments are a matrix of that size
NEGLIGIBLE = 1e-9  # below this share of a modality's variance a feature is only round-off
MOST_EXACT = 1_000  # dimensions up to which principal components are computed exactly


@dataclass(frozen=True)
class LinearView:
    """A data set as a linear network sees it.

    Features and targets are centred by their means over the train split. Features are in the
    units in which the network receives its inputs.

    Attributes
    ----------
    names : tuple of str
        Modalities.
    train, validation : tuple of array (n, d_k)
        Features of each modality.
    target, validation_target : array (n, m)
        Targets; classes are one-hot.
    kept_variance : tuple of float
        Share of each modality's train variance that its features keep.
    mean : array (m,)
        Of the train targets, which are centred by it.
    """

    names: tuple[str, ...]
    train: tuple[FloatArray, ...]
    validation: tuple[FloatArray, ...]
    target: FloatArray
    validation_target: FloatArray
    kept_variance: tuple[float, ...]
    mean: FloatArray | float = 0.0

    def problem(self, units: Units = "modality") -> LateFusionProblem:
        """The late-fusion problem with the second moments of the train features.

        Parameters
        ----------
        units : {"modality", "network", "feature"}
            How features are scaled first (:data:`UNITS`).
        """
        if units not in UNITS:
            raise ValueError(f"`units` must be one of {tuple(UNITS)}. Got units={units!r}.")
        scaled = [x / _unit(x, units) for x in self.train]
        return LateFusionProblem.from_samples(scaled, self.target, names=self.names)


def _unit(x: FloatArray, units: Units) -> Any:
    """What the features (n, d) of one modality are divided by: a number, or one per feature."""
    if units == "network":
        return 1.0
    if units == "feature":
        return np.sqrt(np.mean(x**2, axis=0))
    return math.sqrt(np.mean(np.sum(x**2, axis=1)))


def linear_view(
    dataset: Dataset, *, features: Features = "pca", components: int = 50, samples: int = 5_000
) -> LinearView:
    """Centred features and targets of a data set.

    Parameters
    ----------
    dataset : Dataset
    features : {"pca", "raw"}
        ``"pca"``: the leading principal components of each modality's network input, in the
        units of that input. ``"raw"``: the network input itself, flattened.
    components : int
        Largest number of principal components per modality, >= 1.
    samples : int
        Largest number of samples per split, >= 2; the first ones are taken.

    Raises
    ------
    ValueError
        For values outside these ranges, for raw inputs of more than 4,000 dimensions in all, or
        for a modality that never varies.
    """
    allowed = get_args(Features)
    if features not in allowed:
        raise ValueError(f"`features` must be one of {allowed}. Got features={features!r}.")
    for name, value, least in (("components", components, 1), ("samples", samples, 2)):
        if value < least:
            raise ValueError(f"`{name}` must be >= {least}. Got {name}={value}.")
    dimensions = sum(math.prod(modality.shape) for modality in dataset.modalities)
    if features == "raw" and dimensions > MOST_RAW:
        raise ValueError(
            f"`features='raw'` is for inputs of at most {MOST_RAW} dimensions in all; use 'pca'. "
            f"{dataset.name!r} has {dimensions}."
        )
    train, validation, kept = [], [], []
    for k in range(len(dataset.modalities)):
        x, x_validation = _centred_inputs(dataset, k, samples)
        total = float(np.mean(np.sum(x**2, axis=1, dtype=np.float64)))
        if total == 0:
            raise ValueError(
                f"modality {dataset.modalities[k].name!r} of {dataset.name!r} is the same in all "
                "train samples: there is nothing to learn from it."
            )
        if features == "pca":
            basis = _leading_directions(x, components)
            x, x_validation = x @ basis, x_validation @ basis
        x, x_validation = x.astype(np.float64), x_validation.astype(np.float64)
        variance = np.mean(x**2, axis=0)
        varies = variance > NEGLIGIBLE * total
        train.append(x[:, varies])
        validation.append(x_validation[:, varies])
        kept.append(float(variance.sum() / total))
    target = _target(dataset, dataset.train, samples)
    validation_target = _target(dataset, dataset.validation, samples)
    mean = target.mean(0)
    return LinearView(
        names=tuple(modality.name for modality in dataset.modalities),
        train=tuple(train),
        validation=tuple(validation),
        target=target - mean,
        validation_target=validation_target - mean,
        kept_variance=tuple(kept),
        mean=mean,
    )


def linear_accuracies(view: LinearView) -> dict[str, float]:
    """What a linear classifier reaches: validation accuracy by modality, and ``"joint"``.

    Each classifier is fitted by least squares to the train features of one modality, or of all.
    """
    everything = list(range(len(view.names)))
    inputs = {name: [k] for k, name in enumerate(view.names)} | {"joint": everything}
    true_class = view.validation_target.argmax(1)
    found = {}
    for name, chosen in inputs.items():
        x = np.hstack([view.train[k] for k in chosen])
        x_validation = np.hstack([view.validation[k] for k in chosen])
        fitted = np.linalg.lstsq(x, view.target, rcond=None)[0]
        scores = x_validation @ fitted + view.mean
        found[name] = float(np.mean(scores.argmax(1) == true_class))
    return found


def _centred_inputs(dataset: Dataset, k: int, samples: int) -> tuple[Any, Any]:
    """Network inputs (n, d) of modality k, train and validation, both minus the train mean."""
    x = _network_inputs(dataset, dataset.train, k, samples)
    x_validation = _network_inputs(dataset, dataset.validation, k, samples)
    mean = x.mean(0)
    return x - mean, x_validation - mean


def _network_inputs(dataset: Dataset, split: Split, k: int, samples: int) -> Any:
    return dataset.prepare([x[:samples] for x in split.inputs])[k].flatten(1).numpy()


def _leading_directions(x: Any, components: int) -> Any:
    """Leading principal directions, (d, at most `components`), of centred samples (n, d)."""
    if x.shape[1] <= MOST_EXACT:
        directions = np.linalg.eigh(x.T.astype(np.float64) @ x)[1]
        return directions[:, ::-1][:, :components]
    from sklearn.utils.extmath import randomized_svd

    return randomized_svd(x, min(components, *x.shape), random_state=0)[2].T


def _target(dataset: Dataset, split: Split, samples: int) -> FloatArray:
    """Targets (n, m) of the first samples; classes are one-hot."""
    target = split.target[:samples].numpy()
    if dataset.task == "classification":
        return np.asarray(np.eye(dataset.num_outputs)[target])
    return np.asarray(target, dtype=np.float64)
