"""Digits and synthetic data: splits, views, seeds, moments."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from mimo_sim import datasets
from mimo_sim.datasets._stratified import split_rows
from mimo_sim.datasets.digits import _pixels_and_labels
from mimo_sim.generators import scalar_pair
from mimo_sim.problem import LateFusionProblem
from tests.datasets._files import same


def test_digits_are_split_by_class_without_overlap_and_the_views_are_unequal() -> None:
    from sklearn.linear_model import LogisticRegression

    data = datasets.load("digits", noise=0.3)
    parts = (data.train, data.validation, data.test)
    assert [len(part) for part in parts] == [1077, 360, 360]
    shares = torch.stack([torch.bincount(part.target, minlength=10) / len(part) for part in parts])
    assert (shares - shares.mean(0)).abs().max() < 0.005  # stratified
    clean = datasets.load("digits", noise=0.0)
    clean_parts = (clean.train, clean.validation, clean.test)
    rows = torch.cat([torch.cat(part.inputs, 1) for part in clean_parts])
    # every digit once: scikit-learn's set has no two equal ones
    assert len(torch.unique(rows, dim=0)) == 1797
    top, bottom = clean.train.inputs
    assert torch.equal(top[:, 24:], bottom[:, :16])  # the shared rows
    for k, x in enumerate(data.prepare(data.train.inputs)):
        assert abs(x.mean()) < 1e-5, k
        assert abs(x.std() - 1) < 1e-3, k
    scores = []
    for x, unseen in zip(data.train.inputs, data.validation.inputs, strict=True):
        fitted = LogisticRegression(max_iter=500).fit(x.numpy(), data.train.target)
        scores.append(fitted.score(unseen.numpy(), data.validation.target))
    assert scores[0] > scores[1] + 0.1 > 0.6


@pytest.mark.parametrize("name", ["digits", "synthetic"])
def test_seeds(name: str) -> None:
    assert same(datasets.load(name, seed=3), datasets.load(name, seed=3))
    assert not same(datasets.load(name, seed=3), datasets.load(name, seed=4))


def test_synthetic_samples_have_the_moments_of_their_problem() -> None:
    problem = scalar_pair(sigma_ratio=2.0, rho=0.5, noise_variance=0.1)
    data = datasets.load(
        "synthetic", problem=problem, train_size=40_000, validation_size=7, test_size=9
    )
    assert data.task == "regression"
    assert [len(data.train), len(data.validation), len(data.test)] == [40_000, 7, 9]
    found = LateFusionProblem.from_samples(
        [x.double().numpy() for x in data.train.inputs], data.train.target.double().numpy()
    )
    scale = np.sqrt(np.diag(problem.input_moment))
    sampling = 5 / np.sqrt(40_000)  # five standard errors of a correlation
    inputs_error = (found.input_moment - problem.input_moment) / np.outer(scale, scale)
    assert np.abs(inputs_error).max() < np.sqrt(2) * sampling
    cross_error = (found.cross_moment - problem.cross_moment) / scale
    assert np.abs(cross_error).max() < np.sqrt(2 * problem.y_second_moment) * sampling
    assert LateFusionProblem.from_json(data.about["problem"]) == problem
    with pytest.raises(FileNotFoundError, match="nowhere"):
        datasets.load("synthetic", problem="nowhere.json")


@pytest.mark.parametrize("seed", range(8))
def test_splits_are_those_of_scikit_learn(seed: int) -> None:
    from sklearn.model_selection import train_test_split

    rng = np.random.default_rng(seed)
    labels = rng.choice(["a", "b", "c"], size=50 + 7 * seed, p=[0.5, 0.3, 0.2])
    for share in (1 / 5, 1 / 4, 0.37):
        expected = train_test_split(
            np.arange(len(labels)), test_size=share, stratify=labels, random_state=seed
        )
        for rows, same_rows in zip(split_rows(labels, share, seed), expected, strict=True):
            assert np.array_equal(rows, same_rows)


def test_digits_are_those_of_scikit_learn_which_is_not_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    for module in ("sklearn.datasets", "sklearn.model_selection"):
        monkeypatch.setitem(sys.modules, module, None)  # an import raises
    found, digits = _pixels_and_labels()
    assert np.array_equal(found, pixels)
    assert np.array_equal(digits, labels)
    # made with scikit-learn's functions
    assert datasets.load("digits", seed=0).checksum() == "c6d9869c"
    assert datasets.load("digits", seed=5).checksum() == "72ae643d"
