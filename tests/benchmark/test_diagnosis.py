"""The diagnosis: invariances, agreement with the theory, and comparison with real runs."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from mimo_sim import benchmark, datasets, theory
from mimo_sim.benchmark.diagnosis import learning_times
from mimo_sim.benchmark.linear import UNITS, LinearView, linear_accuracies, linear_view
from mimo_sim.benchmark.prediction import predict
from mimo_sim.cli import app
from mimo_sim.generators import random_problem, superficial_preference
from mimo_sim.problem import LateFusionProblem


def view_of(x: list[np.ndarray], y: np.ndarray) -> LinearView:
    x, y = [one - one.mean(0) for one in x], y - y.mean(0)
    return LinearView(tuple("abc"[: len(x)]), tuple(x), tuple(x), y, y, (1.0,) * len(x))


@given(
    seed=st.integers(0, 1000),
    outputs=st.integers(1, 4),
    scales=st.tuples(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3)),
)
def test_which_answers_depend_on_the_units_of_the_inputs(
    seed: int, outputs: int, scales: tuple[float, float]
) -> None:
    problem = random_problem(dims=(3, 4), seed=seed, output_dim=outputs, noise_variance=0.1)
    inputs, y = problem.sample(200, seed)
    plain = view_of(inputs, y)
    scaled = view_of([x * scale for x, scale in zip(inputs, scales, strict=True)], y)
    for units in UNITS:
        before, after = plain.problem(units), scaled.problem(units)
        np.testing.assert_allclose(before.unimodal_optima, after.unimodal_optima, rtol=1e-8)
        expected = np.array(list(predict(before)["correlation"].values()))
        if units == "network":
            expected *= scales
        found = np.array(list(predict(after)["correlation"].values()))
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_linear_classifier_knows_which_class_is_frequent() -> None:
    """From features without information the best guess is the frequent class."""
    rng = np.random.default_rng(0)
    y = np.eye(2)[(rng.random(400) < 0.1).astype(int)]
    view = replace(view_of([rng.normal(size=(400, 3))], y), mean=y.mean(0))
    assert linear_accuracies(view) == {name: y[:, 0].mean() for name in ("a", "joint")}
    assert linear_accuracies(replace(view, mean=0.0))["a"] < 0.8


@given(seed=st.integers(0, 1000), outputs=st.integers(1, 3))
def test_the_prediction_is_the_theory_of_its_problem(seed: int, outputs: int) -> None:
    problem = random_problem(dims=(2, 3), seed=seed, output_dim=outputs, noise_variance=0.1)
    said, report = predict(problem), theory.superficial_preference(problem)
    assert said["first_learned"] == problem.names[report.first_learned]
    assert said["superficial"] == report.holds
    assert said["order_threshold"] == theory.order_threshold(problem)
    assert said["joint_explained"] >= max(said["explained"].values()) - 1e-12
    if outputs == 1 and math.isfinite(theory.time_ratio(problem)):
        assert said["time_ratio"]["after_first"] == theory.time_ratio(problem)
    assert min(said["time_ratio"].values()) >= 1
    json.dumps(said, allow_nan=False)


def test_several_uncorrelated_outputs_are_read_through_the_largest_singular_value() -> None:
    one = superficial_preference()
    # the same problem twice, the second time with half the target
    sigma = [[np.kron(np.eye(2), block) for block in row] for row in one.sigma]
    cross = [np.kron(np.diag([1.0, 0.5]), block) for block in one.sigma_yx]
    twice = LateFusionProblem(sigma, cross, one.y_second_moment * 1.25)
    said, expected = predict(twice), predict(one)
    after_first = expected["time_ratio"]["after_first"]
    assert said["time_ratio"]["after_first"] == pytest.approx(after_first, rel=1e-9)
    assert said["order_threshold"] == pytest.approx(expected["order_threshold"], rel=1e-9)


def test_principal_components_keep_what_they_say_and_all_of_them_keep_everything() -> None:
    data = datasets.load("digits")
    raw = linear_view(data, features="raw")
    whole, few = linear_view(data, components=40), linear_view(data, components=5)
    optima = whole.problem().unimodal_optima
    np.testing.assert_allclose(raw.problem().unimodal_optima, optima, rtol=1e-6)  # float32 inputs
    for units in ("modality", "network"):
        expected, found = (predict(view.problem(units))["correlation"] for view in (raw, whole))
        assert found == pytest.approx(expected, rel=1e-5)  # rotations change no singular value
    assert raw.kept_variance == pytest.approx((1.0, 1.0), abs=1e-6)
    assert all(0.3 < kept < 0.95 for kept in few.kept_variance)
    assert [x.shape for x in few.train] == [(1077, 5), (1077, 5)]
    assert (few.problem().unimodal_optima > optima).all()
    assert abs(whole.target.mean(0)).max() < 1e-12
    assert len(linear_view(data, samples=100).target) == 100


def test_synthetic_data_give_back_the_preference_of_their_problem() -> None:
    report = benchmark.diagnose(
        datasets.load("synthetic", train_size=20_000), units="network", samples=20_000
    )
    said = report["prediction"]
    assert said["superficial"]
    assert said["first_learned"] == "m1"
    assert said["order_threshold"] == pytest.approx(
        theory.order_threshold(superficial_preference()), rel=0.1
    )  # sampling: 1/sqrt(n) is 0.007
    assert not report["other_units"]["modality"]["superficial"]
    assert report["linear_accuracy"] is None


def test_learning_times_of_a_table_by_hand() -> None:
    table = {
        "v_a": [0.1, 0.6, 1.1, 1.1],
        "v_b": [0.1, 0.1, 0.1, 1.1],
        "flat_a": [1.0, 1.0],
        "flat_b": [0.0, 1.0],
    }
    assert learning_times(table, ["a", "b"], "v") == pytest.approx({"a": 1.5, "b": 3.0})
    assert learning_times(table, ["a", "b"], "v", start=-0.9) == pytest.approx(
        {"a": 0.75, "b": 1.5}
    )
    assert learning_times(table, ["a", "b"], "flat") == {"a": 2.0, "b": 1.0}  # a is never learned
    assert learning_times({"w_a": [0.5, 0.5], "w_b": [0.9, 0.3]}, ["a", "b"], "w") is None
    assert learning_times(table, ["a", "b"], "absent") is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"features": "fourier"},
            r"`features` must be one of \('pca', 'raw'\). Got features='fourier'",
        ),
        ({"components": 0}, "`components` must be >= 1. Got components=0"),
        ({"samples": 1}, "`samples` must be >= 2. Got samples=1"),
        ({"units": "metres"}, r"`units` must be one of .* Got units='metres'"),
    ],
)
def test_refusals(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        benchmark.diagnose(datasets.load("digits"), **arguments)  # type: ignore[arg-type]


def test_the_command_compares_with_real_runs(tmp_path: Path) -> None:
    run, records, problem = CliRunner().invoke, tmp_path / "runs", tmp_path / "problem.json"
    training = "bench run --dataset digits --method vanilla --seeds 2 --epochs 8 --jobs 1 -q --out"
    trained = run(app, [*training.split(), str(records)])
    assert trained.exit_code == 0, trained.output
    arguments = ["diagnose", "--dataset", "digits", "--records", str(records)]
    done = run(app, [*arguments, "--json", "--problem-out", str(problem)])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)

    runs = found["training"]["runs"]
    assert [one["seed"] for one in runs] == [0, 1]
    for one in runs:
        probe = one["final"]["probe"]
        assert probe["top"] > probe["bottom"] + 0.05
        assert one["gap"]["probe"] == pytest.approx(probe["top"] - probe["bottom"])
    first = [one["first_learned"]["sliced_accuracy"] for one in runs]
    assert set(first) <= {"top", "bottom"}
    agreement = found["training"]["agreement"]["modality"]["sliced_accuracy"]
    assert agreement == f"{first.count('top')} of 2"
    said, accuracy = found["prediction"], found["linear_accuracy"]
    assert said["first_learned"] == said["most_explaining"] == "top"
    assert accuracy["top"] > accuracy["bottom"] + 0.05
    again = predict(LateFusionProblem.load(problem))
    assert again["correlation"] == pytest.approx(said["correlation"])

    shown = run(app, arguments)
    assert shown.exit_code == 0
    assert "learned first: top" in shown.stdout
    assert "was first in" in shown.stdout


def test_records_of_other_data_are_refused(tmp_path: Path) -> None:
    training = "bench run --dataset digits --method vanilla --epochs 1 --jobs 1 -q --out"
    trained = CliRunner().invoke(app, [*training.split(), str(tmp_path)])
    assert trained.exit_code == 0, trained.output
    words = "`records` must hold finished 'vanilla' runs on 'digits'"
    with pytest.raises(ValueError, match=words):
        benchmark.diagnose(datasets.load("digits", noise=0.9), records=tmp_path)
