"""A data set as a linear network sees it: centred features, centred targets, and their second moments."""

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
