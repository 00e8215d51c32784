"""The examples of CONTRIBUTING.md: each is one new file, and nothing else is edited."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import mimo_sim as ms
import paper_checks.claims
from mimo_sim import datasets, methods, networks, rules
from mimo_sim.networks import _registry as fusions
from mimo_sim.networks import encoders
from paper_checks.claim import Verdict
from paper_checks.runner import run_claims

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
EXAMPLES = dict(re.findall(r"```python\n# (\S+)\n(.*?)```", TEXT, flags=re.DOTALL))
ROOMS = {
    "mimo_sim/methods": methods,
    "mimo_sim/datasets": datasets,
    "mimo_sim/networks": networks,
    "mimo_sim/networks/encoders": encoders,
    "mimo_sim/rules": rules,
    "paper_checks/claims": paper_checks.claims,
}


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every example as a file of its room, kept outside the source tree."""
    modules = []
    for name, code in EXAMPLES.items():
        room, _, file = name.rpartition("/")
        folder = tmp_path / room
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(code)
        modules.append(name.removesuffix(".py").replace("/", "."))
    for name, package in ROOMS.items():
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / name)])
    clear()
    yield
    for module in modules:
        sys.modules.pop(module, None)
    clear()


def clear() -> None:
    for package in (methods, datasets, encoders, fusions):
        package._registry.cache_clear()
    rules.registry.cache_clear()


def test_there_is_one_example_of_each_kind_that_is_found_by_itself() -> None:
    assert {name.rpartition("/")[0] for name in EXAMPLES} == set(ROOMS)
    assert not any((ROOT / name).exists() for name in EXAMPLES)


@pytest.mark.usefixtures("added")
def test_method_data_set_encoder_and_network_train_together() -> None:
    data = ms.datasets.load("coins", noise=0.3)
    settings: dict[str, Any] = {"encoder": "scaled", "width": 4, "lr": 0.1, "accelerator": "cpu"}
    settings["fusion"] = "product"
    result = ms.training.train("half_sum", data, epochs=10, **settings)
    assert result.metrics["test"]["accuracy"] > 0.8
    assert any(isinstance(part, torch.nn.Tanh) for part in result.model.encoders.modules())


@pytest.mark.usefixtures("added")
def test_the_rule_trains_the_toy_exactly() -> None:
    problem = ms.generators.superficial_preference()
    rule = rules.create("equal_lengths")
    exact, reference = (
        ms.simulate(problem, rule, steps=50, step_size=0.01, init_scale=0.3, engine=engine)
        for engine in ("gram", "autograd")
    )
    assert exact.loss_mm[-1] < 0.7 * exact.loss_mm[0]
    assert abs(exact.loss_mm - reference.loss_mm).max() < 1e-12


@pytest.mark.usefixtures("added")
def test_the_claim_is_checked() -> None:
    (row,) = run_claims(["weights-sum-to-one"])
    assert row.evidence.verdict is Verdict.HOLDS
    assert row.as_recorded
