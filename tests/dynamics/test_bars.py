"""The progress bar of every engine is full when the run is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import mimo_sim as ms
from mimo_sim.dynamics.engines import autograd, autograd_rules, early, flow, gram, layered, rules
from mimo_sim.dynamics.layered import Architecture

pytestmark = pytest.mark.usefixtures("plain_loops")
PROBLEM = ms.generators.superficial_preference()
SETTINGS: dict[str, Any] = {"steps": 20, "step_size": 0.01, "progress": True}


def deep(**settings: Any) -> Any:
    """Deep fusion of one batch."""
    return layered.simulate_layered(PROBLEM, ms.Vanilla(), Architecture(), **settings)


def late(method: Any, engine: str = "gram") -> Callable[..., Any]:
    return lambda **settings: ms.simulate(PROBLEM, method, engine=engine, **settings)


@pytest.mark.parametrize(
    ("module", "simulate"),
    [
        (gram, late(ms.MIMO(lam=1.0, mu=0.5))),
        (autograd, late(ms.Vanilla(), "autograd")),
        (flow, late(ms.Vanilla(), "flow")),
        (rules, late(ms.LinearScalarization())),
        (autograd_rules, late(ms.LinearScalarization(), "autograd")),
        (early, lambda **more: ms.dynamics.simulate_early(PROBLEM, ms.Vanilla(), **more)),
        (layered, deep),
    ],
    ids=lambda value: getattr(value, "__name__", "").rpartition(".")[2],
)
@pytest.mark.parametrize("every", [1, 7])
def test_the_bar_of_a_run_is_full_at_its_end(
    module: Any, simulate: Callable[..., Any], every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals: list[int] = []
    counts: list[int] = []

    @contextmanager
    def bar(total: int, visible: bool, *_: Any) -> Iterator[Callable[..., None]]:
        assert visible
        totals.append(total)
        yield lambda count=1: counts.append(count)

    monkeypatch.setattr(module, "progress_bar", bar)
    if module in (gram, rules):
        monkeypatch.setattr(module, "CHUNK", 1)  # a step at a time
    simulate(record_every=every, **SETTINGS)
    (total,) = totals
    assert total in (20, 21 if every == 1 else 4)
    assert sum(counts) - total in (0, 1)  # step 0 may count as one
    assert min(counts) >= (0 if module is early else 1)
