"""`bench timing`: what is measured, not how fast it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mimo_sim import methods
from mimo_sim.benchmark import timing
from mimo_sim.training import Settings
from tests.commands.tool import run_here


@pytest.fixture(scope="module")
def timings() -> list[timing.Timing]:
    chosen = [methods.create(name) for name in ("mimo", "mmpareto", "mla", "smv")]
    found, device = timing.time_methods(
        chosen, rounds=3, warm_up=1, batch_size=8, accelerator="cpu"
    )
    assert device.type == "cpu"
    return found


def test_vanilla_is_added_and_every_round_is_counted(timings: list[timing.Timing]) -> None:
    assert [one.method for one in timings] == ["vanilla", "mimo", "mmpareto", "mla", "smv"]
    for one in timings:
        has_parts = one.method != "mla"  # mla takes a step of its own
        assert len(one.seconds["step"]) == 3
        assert len(one.seconds["gradient"]) == (3 if has_parts else 0)
        assert min(one.seconds["step"]) > 0


def test_parts_add_up_to_the_step(timings: list[timing.Timing]) -> None:
    for one in timings:
        if one.method != "mla":
            parts = [one.seconds[part] for part in ("forward", "gradient", "optimizer")]
            assert np.sum(parts, axis=0) == pytest.approx(one.seconds["step"], rel=1e-9)


def test_ratios_are_formed_within_rounds() -> None:
    base, slow = timing.Timing("vanilla", {}), timing.Timing("mimo", {})
    base.seconds["step"], slow.seconds["step"] = [1.0, 10.0, 100.0], [2.0, 20.0, 200.0]
    assert slow.quartiles("step", base) == (2, 2, 2)
    assert slow.quartiles("step") == (11, 20, 110)
    assert slow.quartiles("gradient", base) is None


def test_a_method_is_timed_in_a_network_that_it_suits() -> None:
    chosen = [methods.create(name) for name in ("ogm", "rollingq")]
    found, _ = timing.time_methods(chosen, rounds=1, warm_up=0, batch_size=4, accelerator="cpu")
    expected = [("vanilla", "late"), ("vanilla", "attention"), ("ogm", "late")]
    assert [(one.method, one.fusion) for one in found] == [*expected, ("rollingq", "attention")]
    found[1].seconds["step"], found[3].seconds["step"] = [2.0], [5.0]
    name, step, ratio, *_ = timing.timing_rows(found)[3]
    assert (name, step) == ("rollingq (attention)", "5000.00")
    assert ratio.startswith("2.500 ")


def test_a_timed_step_is_the_methods_step() -> None:
    settings = Settings(epochs=1, batch_size=8, encoder="lenet")
    data = timing.random_data("lenet", 8)
    watch, other = (
        timing._Stopwatch(methods.create("mmpareto"), data, settings, "wall") for _ in range(2)
    )
    del other.run.method.forward_pass  # without the marks
    for _ in range(2):
        watch.step(counts=True)
        other.run.method.step(other.run, other.batch)
    weights = zip(watch.run.model.parameters(), other.run.model.parameters(), strict=True)
    assert all(torch.equal(one, two) for one, two in weights)


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("`network`", {"network": "vgg"}),
        ("`clock`", {"clock": "sun"}),
        ("`rounds` must be >= 1", {"rounds": 0}),
    ],
)
def test_bad_input_is_refused(words: str, given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=words):
        timing.time_methods([], **given)  # type: ignore[arg-type]


def test_the_command_writes_table_and_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (
        "bench timing --method mimo --rounds 2 --warm-up 0 --batch-size 8 --accelerator cpu "
        "--clock processor --out"
    )
    assert run_here(monkeypatch, *command.split(), str(tmp_path)) == 0
    numbers = json.loads((tmp_path / "timing-lenet.json").read_text())
    assert [row["method"] for row in numbers["methods"]] == ["vanilla", "mimo"]
    assert numbers["methods"][0]["ratio"]["step"] == [1, 1, 1]
    assert numbers["shapes"] == {"image": [8, 1, 28, 28], "audio": [8, 1, 112, 112]}
    assert numbers["measured"] == "processor time"
    low, middle, high = numbers["methods"][1]["ratio"]["step"]
    assert 0 < low <= middle <= high
    table = (tmp_path / "timing-lenet.md").read_text()
    assert f"{middle:.3f} ({low:.3f}-{high:.3f})" in table
    assert "| mimo |" in table
    assert "mimo" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"timing-lenet.json", "timing-lenet.md"}


def test_the_command_refuses_bad_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(monkeypatch, "bench", "timing", "--threads", "0") == 2
    assert "`--threads` must be >= 1. Got 0." in capsys.readouterr().err


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_events_time_the_large_network() -> None:
    chosen = [methods.create("mimo"), methods.create("mmpareto")]
    found, device = timing.time_methods(chosen, "resnet18", rounds=2, warm_up=1, batch_size=4)
    assert device.type == "cuda"
    assert all(min(one.seconds["gradient"]) > 0 for one in found)
