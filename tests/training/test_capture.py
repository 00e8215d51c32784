"""Steps as CUDA graphs: which runs, which batches, and that nothing else changes.

Without a device a stand-in replays: it takes the step again on the memory of the first one and puts
what comes out into the memory of what came out then, as a graph does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from mimo_sim import methods
from mimo_sim.benchmark import timing
from mimo_sim.datasets._data import Dataset
from mimo_sim.methods._base import Method
from mimo_sim.methods._step import Forward
from mimo_sim.training import Settings, TrainingRun, _capture, train
from tests.networks import SETTINGS, tiny


class Replays:
    """Stands in for CUDA graphs; counts captures and replays."""

    def __init__(self) -> None:
        self.captures = self.replays = 0

    def __call__(self, step: Callable[[], Forward]) -> tuple[Forward, Callable[[], None]]:
        self.captures += 1
        first: list[Forward] = []

        def replay() -> None:
            self.replays += 1
            new = step()
            if not first:  # a capture takes no step: the first replay is the first step
                first.append(new)
                vars(self.out).update(vars(new))
                return
            with torch.no_grad():
                for name, value in vars(new).items():
                    if isinstance(value, torch.Tensor):
                        vars(self.out)[name] = vars(self.out)[name].detach().copy_(value.detach())

        self.out = Forward.__new__(Forward)
        return self.out, replay


def run_with(method: str, replays: Replays | None, data: Dataset, **hyper: Any) -> TrainingRun:
    settings = Settings(3, **SETTINGS, probes=False)
    run = TrainingRun(methods.create(method, **hyper), data, settings)
    if replays is not None:
        run.steps = _capture.Steps(run, replays)
        run.steps.why_not = ""  # as on a device
    run.fit()
    return run


@pytest.mark.parametrize(
    ("method", "hyper"),
    [
        ("vanilla", {}),
        ("unimodal", {}),
        ("linear_scalarization", {}),
        ("mimo", {}),
        ("mimo", {"heads": "plain", "gap": "relative"}),
        ("mimo", {"f_star": "extrapolation", "normalise": True}),
    ],
)
def test_replayed_steps_are_the_steps(method: str, hyper: dict[str, Any]) -> None:
    data, replays = tiny(), Replays()  # 72 samples: 4 whole batches of 16 and one of 8
    captured = run_with(method, replays, data, **hyper)
    plain = run_with(method, None, data, **hyper)
    assert replays.captures == 3  # once in every epoch
    assert replays.replays == 3 * 4 - _capture.WARM_UP
    assert captured.steps.why_not == ""
    for name, value in plain.model.state_dict().items():
        assert torch.equal(captured.model.state_dict()[name], value), name
    for name, value in plain.method.state_dict().items():
        assert torch.equal(captured.method.state_dict()[name], value), name
    for one, other in zip(captured.table, plain.table, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_what_cannot_be_captured_takes_ordinary_steps_and_says_why() -> None:
    data = tiny()

    def fails(step: Callable[[], Forward]) -> tuple[Forward, Callable[[], None]]:
        for buffers in [owner._buffers for owner in run.method.modules()]:
            for name, value in buffers.items():  # what a broken capture leaves
                buffers[name] = None if value is None else value + torch.nan
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    run = TrainingRun(methods.create("mimo"), data, Settings(3, **SETTINGS, probes=False))
    run.steps = _capture.Steps(run, fails)
    run.steps.why_not = ""
    run.fit()
    assert run.steps.why_not == ("capture failed: operation not permitted when stream is capturing")
    plain = run_with("mimo", None, data)
    for name, value in plain.model.state_dict().items():
        assert torch.equal(run.model.state_dict()[name], value), name
    assert run.method.report() == plain.method.report()


def test_a_buffer_that_changes_its_shape_ends_the_capture() -> None:
    old = torch.zeros(2)
    buffers: dict[str, Any] = {"value": torch.ones(2)}
    _capture._write_back(buffers, "value", old)
    assert buffers["value"] is old
    assert torch.equal(old, torch.ones(2))
    for new in (torch.ones(3), torch.ones(2).double(), None):
        buffers["value"] = new
        with pytest.raises(RuntimeError, match="the buffer 'value' changes its shape"):
            _capture._write_back(buffers, "value", old)


@pytest.mark.parametrize(
    ("method", "settings", "words"),
    [
        ("vanilla", {}, ""),
        ("mimo", {}, ""),
        ("mmpareto", {}, "method 'mmpareto' decides on numbers in Python"),
        ("vanilla", {"optimizer": "adam"}, "optimizer 'adam' counts its steps"),
        ("vanilla", {"precision": "bf16-mixed"}, "precision bf16-mixed caches casts"),
    ],
)
def test_which_runs_are_captured_on_cuda(method: str, settings: dict[str, Any], words: str) -> None:
    run = TrainingRun(methods.create(method), tiny(), Settings(1, **SETTINGS | settings))
    assert run.steps.why_not == "the device is cpu"
    run.device = torch.device("cuda")
    found = _capture.refusal(run)
    assert found.startswith(words)
    assert bool(found) == bool(words)


def test_methods_that_are_captured_take_the_common_step() -> None:
    for name in methods.available():
        method = methods.get(name)
        if method.capturable:
            assert method.step is Method.step, name


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("method", ["vanilla", "unimodal", "linear_scalarization", "mimo"])
def test_graphs_on_a_device(method: str) -> None:
    data = tiny(shapes=((1, 28, 28), (1, 28, 28)))
    options: dict[str, Any] = {"epochs": 3, **SETTINGS, "accelerator": "cuda", "probes": False}
    captured = train(method, data, **options)
    assert captured.about["steps"] == "captured"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_capture, "refusal", lambda run: "for this test")
        plain = train(method, data, **options)
    assert plain.about["steps"] == "eager: for this test"
    for one, other in zip(captured.table, plain.table, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-4)
    eager, graphs = (
        timing.time_methods([methods.create(method)], rounds=50, captured=captured)[0]
        for captured in (False, True)
    )
    medians = [found[-1].quartiles("step") for found in (eager, graphs)]
    assert medians[0] is not None
    assert medians[1] is not None
    assert medians[1][1] < medians[0][1]  # LeNet's step is launch-bound without them
