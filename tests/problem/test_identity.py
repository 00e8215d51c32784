"""Problems survive files, compare by value, and cannot be changed."""

from __future__ import annotations

import copy
import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim.testing import problems
from tests.problem.shared import FIGURE_1


@given(problems(num_modalities=st.integers(1, 4), output_dim=st.integers(1, 3)))
def test_json_round_trip_is_exact(problem: ms.LateFusionProblem) -> None:
    back = ms.LateFusionProblem.from_json(problem.to_json())
    assert back == problem
    assert hash(back) == hash(problem)
    assert back.joint_map.tobytes() == problem.joint_map.tobytes()
    assert back.unimodal_optima.tobytes() == problem.unimodal_optima.tobytes()
    assert back.to_json() == problem.to_json()


def test_file_round_trip(tmp_path: Path) -> None:
    problem = ms.generators.random_problem(dims=(2, 3), seed=1)
    problem.save(tmp_path / "deep" / "problem.json")
    assert ms.LateFusionProblem.load(tmp_path / "deep" / "problem.json") == problem
    assert [path.name for path in (tmp_path / "deep").iterdir()] == [
        "problem.json"
    ]  # no temporary file is left


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "null",
        "{}",
        json.dumps({"dims": [1, 1]}),
        json.dumps(json.loads(FIGURE_1.to_json()) | {"input_moment": "x"}),
        json.dumps(json.loads(FIGURE_1.to_json()) | {"cross_moment": [1.0]}),
    ],
)
def test_from_json_refuses_what_to_json_never_wrote(text: str) -> None:
    with pytest.raises(ValueError, match=r"`text` must be a problem as written by `to_json`"):
        ms.LateFusionProblem.from_json(text)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"dims": [1]}, "`names`"),
        ({"dims": [2, 1]}, "`sigma_yx"),
        ({"input_moment": [[9, 0], [0, math.nan]]}, "finite"),
        ({"y_second_moment": 0.1}, "too small"),
    ],
)
def test_from_json_checks_like_the_constructor(change: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        ms.LateFusionProblem.from_json(json.dumps(json.loads(FIGURE_1.to_json()) | change))


def arrays_of(problem: ms.LateFusionProblem) -> list[np.ndarray]:
    return [
        problem.input_moment,
        problem.cross_moment,
        problem.joint_map,
        problem.unimodal_optima,
        *problem.unimodal_maps,
        *problem.sigma_yx,
        problem.sigma[0][1],
    ]


@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda problem: pickle.loads(pickle.dumps(problem))],
    ids=["copy", "deepcopy", "pickle"],
)
@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
def test_a_copy_is_equal_and_cannot_be_written_to(copied: Any, used: bool, many: bool) -> None:
    problem = ms.LateFusionProblem.from_json(FIGURE_1.to_json())
    if many:
        ones, noise = np.ones((1, 1, 1)), np.zeros(1)
        problem = ms.LateFusionProblem.many_from_linear_model(
            [ones, ones], [[9 * ones, 2 * ones], [2 * ones, ones]], noise
        )[0]
    if used:
        arrays_of(problem)  # computes what is computed on demand
    again = copied(problem)
    assert again == problem
    assert again.joint_optimum == problem.joint_optimum
    for array, original in zip(arrays_of(again), arrays_of(problem), strict=True):
        assert array.tobytes() == original.tobytes()
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 7


def test_nothing_can_be_written_to() -> None:
    sigma, cross = np.eye(2).reshape(2, 2, 1, 1), np.ones(2)
    problem = ms.LateFusionProblem(sigma, cross, 3.0)  # type: ignore[arg-type]
    before = hash(problem)
    sigma[:], cross[:] = 7, 7  # the caller's arrays are copied
    assert hash(problem) == before
    for array in arrays_of(problem):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 7
    for name in (
        "dims",
        "names",
        "input_moment",
        "cross_moment",
        "y_second_moment",
        "num_modalities",
        "output_dim",
        "something_new",
    ):
        with pytest.raises((AttributeError, TypeError)):
            setattr(problem, name, 7)
    assert hash(problem) == before


def test_equality() -> None:
    def make(
        cross: float = 1.0, second: float = 3.0, names: tuple[str, str] = ("a", "b")
    ) -> ms.LateFusionProblem:
        return ms.LateFusionProblem([[2, 0], [0, 1]], [cross, 1.0], second, names=names)

    assert make() == make()
    assert len({make(), make()}) == 1
    others = [make(cross=1.1), make(second=4.0), make(names=("a", "c")), "a problem", None]
    assert all(make() != other for other in others)


def test_repr_shows_sizes_and_optima() -> None:
    assert repr(FIGURE_1) == (
        "LateFusionProblem(dims=(1, 1), output_dim=1, "
        "unimodal_optima=[0.64, 0.36], joint_optimum=0)"
    )
