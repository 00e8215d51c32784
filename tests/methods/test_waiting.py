"""No step of a method waits for the device, unless the method says so."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mimo_sim import methods
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Batch, Forward
from tests.methods.helpers import fresh_run, noisy_means
from tests.methods.test_all_methods import RESUMED
from tests.methods.waiting import listening

WAITING = {"amss", "amss_plus", "aug", "data_remixing", "g2d"}
ACTIVE = {name: hyper for name, hyper in RESUMED if name in WAITING}  # so that they act early
OTHERS = [(name, ACTIVE.get(name, {})) for name in methods.available()]
VARIANTS = [(name, hyper) for name, hyper in RESUMED if hyper and (name, hyper) not in OTHERS]


def heard(name: str, hyper: dict[str, Any]) -> set[str]:
    """What waited in the steps of a short training; setup and epochs' ends do not count."""
    run = fresh_run(
        methods.create(name, **hyper), noisy_means(methods.get(name).max_modalities or 3)
    )
    found: set[str] = set()
    step = run.method.step

    def listened(run: Run, batch: Batch) -> Forward:
        with listening() as names:
            out = step(run, batch)
        found.update(names)
        return out

    run.method.step = listened  # type: ignore[method-assign]
    run.fit()
    return found


@pytest.mark.parametrize(("name", "hyper"), OTHERS, ids=[name for name, _ in OTHERS])
def test_a_method_waits_if_it_says_so(name: str, hyper: dict[str, Any]) -> None:
    assert bool(heard(name, hyper)) == bool(methods.get(name).waits)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "hyper"), VARIANTS)
def test_a_variant_waits_only_if_the_method_says_so(name: str, hyper: dict[str, Any]) -> None:
    assert methods.get(name).waits or not heard(name, hyper)


def test_the_known_ones_say_so() -> None:
    assert {name for name in methods.available() if methods.get(name).waits} == WAITING


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: float(x[0]),
        lambda x: int(x[0]),
        lambda x: bool((x > 0).any()),
        lambda x: x.tolist(),
        lambda x: x.detach().numpy(),
        lambda x: x.cpu(),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: torch.equal(x, x),
        lambda x: torch.linalg.inv(torch.outer(x, x) + torch.eye(len(x))),
        lambda x: torch.multinomial(x.abs(), 1),
        lambda x: torch.unique(x),
    ],
)
def test_what_waits_is_heard(wait: Any) -> None:
    with listening() as names:
        wait(torch.arange(1.0, 4.0))
    assert names


def test_what_does_not_wait_is_not_heard() -> None:
    x = torch.randn(4, 3, requires_grad=True)
    with listening() as names:
        y = torch.where(x > 0, x, 0.0).sum(1).softmax(0)
        y[0].backward()  # type: ignore[no-untyped-call]
        x.detach()[:, torch.tensor([0, 2])].cumsum(1)
    assert not names
