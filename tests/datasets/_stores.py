"""A toy store of 50 samples, and a process that dies while it writes one."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mimo_sim.datasets import _store as store
from mimo_sim.datasets._media import MediaError

ARRAYS = {"wave": ("float32", (6,)), "face": ("uint8", (1, 4, 4))}
SHARD_SAMPLES = 4


def make(sample: store.Sample) -> Mapping[str, Any]:
    """Numbers that depend on the file's content; a file that says so is of no use."""
    text = sample.files[0].read_text()
    if text.startswith("bad"):
        raise MediaError(f"{sample.files[0]} is empty")
    rng = np.random.default_rng(int(text))
    label = int(sample.target)
    return {"wave": rng.normal(label, 1, 6), "face": rng.integers(0, 80, (1, 4, 4)) + 50 * label}


def plan(root: Path, samples: int = 50) -> store.Plan:
    """The plan of a store; files that are missing are written first."""
    (root / "raw").mkdir(exist_ok=True)
    entries = []
    for number in range(samples):
        path = root / "raw" / f"{number}.txt"
        if not path.exists():
            path.write_text(str(number))
        split = "test" if number % 5 == 0 else "train"
        entries.append(store.Sample(f"clip-{number}-ä", split, number % 3, (path,)))
    return store.Plan("toy", root, {"recipe": 1}, ARRAYS, entries, make)


def _slowly(sample: store.Sample) -> Mapping[str, Any]:
    time.sleep(0.002)
    return make(sample)


def killed_while_preparing(root: Path, seconds: float) -> None:
    """Prepare the store; the process is killed after so many seconds, or in the end."""
    store.SHARD_SAMPLES = SHARD_SAMPLES
    threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
    store.prepare(replace(plan(root), make=_slowly), 2)
    time.sleep(1)
