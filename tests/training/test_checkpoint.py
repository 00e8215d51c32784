"""Interrupted and killed runs continue to the same bytes; what cannot be continued is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mimo_sim import methods
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Batch, Forward
from mimo_sim.training import train
from tests.networks import SETTINGS, same, state, tiny, without_seconds

# resumed in every test run: methods with a state that no test of their own resumes
RESUMED = ("agm", "g_blending", "mimo", "ogm_ge")


@pytest.mark.parametrize(
    "name",
    [
        name if name in RESUMED else pytest.param(name, marks=pytest.mark.slow)
        for name in methods.available()
    ],
)
def test_an_interrupted_run_continues_to_the_same_bytes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls, steps = methods.get(name), []
    data, settings = tiny(), SETTINGS | {"fusion": cls.default_fusion()}
    whole = train(name, data, epochs=3, **settings)
    real = cls.step

    def fragile(self: Any, run: Run, batch: Batch) -> Forward:
        steps.append(run.epoch)
        if run.epoch == 2 and steps.count(2) == 3:
            raise KeyboardInterrupt
        return real(self, run, batch)

    monkeypatch.setattr(cls, "step", fragile)
    with pytest.raises(KeyboardInterrupt):
        train(name, data, epochs=3, folder=tmp_path / "run", **settings)
    assert (tmp_path / "run" / "checkpoint.pt").is_file()
    resumed = train(name, data, epochs=3, folder=tmp_path / "run", **settings)
    assert same(state(whole), state(resumed))
    assert repr(without_seconds(whole.table)) == repr(without_seconds(resumed.table))
    assert whole.metrics == resumed.metrics


def test_a_killed_process_leaves_a_run_that_continues_to_the_same_bytes(tmp_path: Path) -> None:
    script = """
import os, signal, sys, torch
torch.set_num_threads(1)
from mimo_sim.methods.mimo import MIMO
from mimo_sim.training import train
from tests.networks import SETTINGS, tiny
real, steps = MIMO.step, []
def step(self, run, batch):
    steps.append(1)
    if len(steps) == 13:  # five steps are an epoch
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, run, batch)
MIMO.step = step
train("mimo", tiny(), epochs=4, folder=sys.argv[1], **SETTINGS)
"""
    folder = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], cwd=Path(__file__).parents[2], check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert len(torch.load(folder / "checkpoint.pt", weights_only=True)["table"]) == 2
    (folder / f".checkpoint.{os.getpid()}.part.pt").write_bytes(
        b"half a file, as a kill during writing leaves it"
    )
    resumed = train("mimo", tiny(), epochs=4, folder=folder, **SETTINGS)
    whole = train("mimo", tiny(), epochs=4, **SETTINGS)
    assert same(state(whole), state(resumed))
    assert without_seconds(whole.table) == without_seconds(resumed.table)
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "epochs.csv",
        "result.json",
    ]


@pytest.mark.parametrize("content", [b"", b"half", None])
def test_a_damaged_checkpoint_is_named(content: bytes | None, tmp_path: Path) -> None:
    def stop(count: int) -> None:
        if count:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("vanilla", tiny(), epochs=3, folder=tmp_path, on_epoch=stop, **SETTINGS)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if content is None else content)
    with pytest.raises(ValueError, match=r"checkpoint\.pt is damaged .* Delete it"):
        train("vanilla", tiny(), epochs=3, folder=tmp_path, **SETTINGS)
    path.unlink()
    assert len(train("vanilla", tiny(), epochs=3, folder=tmp_path, **SETTINGS).table) == 3


def test_a_checkpoint_is_not_continued_on_other_data(tmp_path: Path) -> None:
    def stop(count: int) -> None:
        if count:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("vanilla", tiny(seed=0), epochs=3, folder=tmp_path, on_epoch=stop, **SETTINGS)
    with pytest.raises(ValueError, match=r"another configuration: data\.checksum is"):
        # the same name, sizes and settings
        train("vanilla", tiny(seed=1), epochs=3, folder=tmp_path, **SETTINGS)
