"""What an ensemble needs, refuses and labels; and its exponential."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numba import njit

import mimo_sim as ms
from mimo_sim.dynamics.ensemble import driver
from mimo_sim.dynamics.ensemble._exp import exp
from mimo_sim.dynamics.ensemble.driver import simulate_ensemble
from tests.dynamics.ensembles import FIGURE_1, METHODS, assert_same_bytes

pytestmark = pytest.mark.usefixtures("dynamic_sizes")  # of the single-run engine


# ------------------------ resources and input


@pytest.mark.usefixtures("one_by_one")
def test_memory_does_not_grow_with_steps() -> None:
    def peak(steps: int) -> int:
        tracemalloc.start()
        simulate_ensemble(
            FIGURE_1, ms.Vanilla(), step_size=0.01, steps=steps, seed=range(64), threads=1
        )
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(64)
    assert peak(64 * 40) < 1.1 * peak(64)


def test_the_keyboard_stops_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import contextmanager

    calls = []

    @contextmanager
    def bar(total: int, visible: bool) -> Iterator[Any]:
        def interrupt(n: int) -> None:
            calls.append(n)
            raise KeyboardInterrupt

        yield interrupt

    monkeypatch.setattr(driver, "progress_bar", bar)
    with pytest.raises(KeyboardInterrupt):
        simulate_ensemble(
            FIGURE_1, ms.Vanilla(), step_size=0.01, steps=640, seed=range(4096), threads=2
        )
    assert len(calls) == 1  # nothing after it, whatever the other thread was at


def test_progress_goes_to_stderr_and_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    settings: dict[str, Any] = {"step_size": 0.01, "steps": 20, "seed": [0, 1]}
    assert_same_bytes(
        simulate_ensemble(FIGURE_1, ms.Vanilla(), **settings),
        simulate_ensemble(FIGURE_1, ms.Vanilla(), progress=True, **settings),
    )
    assert capsys.readouterr().out == ""


def test_labels() -> None:
    named = ms.LateFusionProblem(
        FIGURE_1.sigma, FIGURE_1.sigma_yx, FIGURE_1.y_second_moment, names=("audio", "video")
    )
    runs = simulate_ensemble(named, [ms.Vanilla(), METHODS[2]], steps=3, step_size=0.1, seed=[4, 5])
    assert runs.modality.values.tolist() == ["audio", "video"]
    assert runs.sizes == {"run": 2, "modality": 2, "output": 1, "component": 1}
    assert runs.seed.values.tolist() == [4, 5]
    assert runs.sigma.isnull().all("modality").values.tolist() == [True, False]
    assert all(runs[name].attrs["long_name"] for name in runs.data_vars)
    assert runs.attrs["steps"] == 3
    assert simulate_ensemble(
        [named, FIGURE_1], METHODS[2], steps=1, step_size=0.1
    ).modality.values.tolist() == ["m1", "m2"]


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"problems": 3}, TypeError, "`problems` must be a LateFusionProblem"),
    ({"problems": []}, TypeError, "`problems`"),
    ({"methods": "mimo"}, TypeError, "`methods` must be mimo_sim.Vanilla"),
    ({"methods": [ms.Vanilla(), "mimo"]}, TypeError, "`methods`.*Got 'mimo'"),
    (
        {"methods": ms.MIMO(f_star=(0.1, 0.2, 0.3))},
        ValueError,
        "`f_star` must hold one number per modality",
    ),
    ({"step_size": [0.1, -0.1]}, ValueError, "`step_size` must be finite and > 0"),
    ({"step_size": "fast"}, TypeError, "`step_size`"),
    ({"step_size": []}, ValueError, "`step_size`"),
    ({"steps": 0}, ValueError, "`steps` must be >= 1"),
    ({"width": 0}, ValueError, "`width`"),
    ({"width": math.nan}, TypeError, "`width`"),
    ({"init_scale": 0.0}, ValueError, "`init_scale`"),
    ({"seed": [0, -1]}, ValueError, "`seed` must be >= 0"),
    ({"seed": 1.5}, TypeError, "`seed` must be an integer"),
    ({"weight_decay": -1.0}, ValueError, "`weight_decay`"),
    (
        {"seed": [0, 1], "init_scale": [0.1, 0.2, 0.3]},
        ValueError,
        r"`seed` must hold one entry, or one per run \(3\)",
    ),
    ({"tolerance": 0.0}, ValueError, "`tolerance`"),
    ({"record_every": 0}, ValueError, "`record_every`"),
    ({"engine": "gpu"}, ValueError, "`engine` must be one of"),
    ({"threads": 0}, ValueError, "`threads`"),
]


@pytest.mark.parametrize(
    ("change", "error", "message"), BAD, ids=[str(change) for change, *_ in BAD]
)
def test_bad_input_is_named(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments: dict[str, Any] = {"problems": FIGURE_1, "methods": ms.Vanilla(), "steps": 1} | change
    with pytest.raises(error, match=message):
        simulate_ensemble(**arguments)


# ------------------------ the exponential


def test_exponential() -> None:
    @njit
    def table(x: Any) -> Any:
        y = np.empty_like(x)
        for i in range(len(x)):
            y[i] = exp(x[i])
        return y

    rng = np.random.default_rng(0)
    x = np.concatenate(
        [
            -rng.uniform(0, 708.39, 100_000),
            -(10.0 ** rng.uniform(-20, 2.8, 100_000)),
            -math.log(2) * np.arange(0.5, 1021),
        ]
    )
    expected = np.array([math.exp(value) for value in x])
    for y in (table(x), np.array([exp.py_func(value) for value in x[::50]])):
        against = expected if len(y) == len(x) else expected[::50]
        assert np.max(np.abs(y - against) / np.spacing(against)) <= 1
    special = table(np.array([0.0, -0.0, -5e-324, -708.3965, -745.0, -1e300, -math.inf, math.nan]))
    np.testing.assert_array_equal(special, [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, math.nan])
