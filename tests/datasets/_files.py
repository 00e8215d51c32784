"""Tiny raw files in the true formats of MNIST and of the spoken digits."""

from __future__ import annotations

import gzip
import hashlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from mimo_sim import datasets
from mimo_sim.datasets import _files as files
from mimo_sim.datasets import avmnist

TINY = {"train_size": 40, "validation_size": 5, "test_size": 12}


def idx(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim])
    shape = b"".join(int(n).to_bytes(4, "big") for n in values.shape)
    return gzip.compress(header + shape + values.astype(np.uint8).tobytes())


def wav(samples: np.ndarray, rate: int = 8000) -> bytes:
    buffer = io.BytesIO()
    wavfile.write(buffer, rate, samples)
    return buffer.getvalue()


def raw_files() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    made = {}
    for part, count in (("train", 60), ("t10k", 20)):
        labels = np.arange(count) % 10
        made[f"mnist/{part}-images-idx3-ubyte.gz"] = idx(
            np.minimum(rng.integers(0, 40, (count, 28, 28)) + 20 * labels[:, None, None], 255)
        )
        made[f"mnist/{part}-labels-idx1-ubyte.gz"] = idx(labels)
    for digit in range(10):
        for take in (0, 3, 5, 10, 11):
            length = int(rng.integers(900, 9000))  # some are longer than a second
            tone = 1000 * np.sin(np.arange(length) * 0.2 * (digit + 1)) + rng.normal(0, 100, length)
            made[f"fsdd/recordings/{digit}_anna_{take}.wav"] = wav(tone.astype(np.int16))
    return made


def put(root: Path, contents: dict[str, bytes]) -> None:
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def sums(contents: dict[str, bytes]) -> dict[str, str]:
    found = {}
    for name, content in contents.items():
        if name.endswith(".gz"):
            found[name] = "md5:" + hashlib.md5(gzip.decompress(content)).hexdigest()
        else:
            found[name] = "sha256:" + hashlib.sha256(content).hexdigest()
    return found


def know(monkeypatch: pytest.MonkeyPatch, *downloads: files.Download) -> None:
    """Let these be the raw files of avmnist."""
    record = replace(avmnist.RECORD, downloads=downloads)
    monkeypatch.setattr(avmnist, "RECORD", record)
    monkeypatch.setitem(datasets._registry(), "avmnist", record)


def same(a: Any, b: Any) -> bool:
    """Whether two data sets have the same tensors."""
    for part in ("train", "validation", "test"):
        one, other = getattr(a, part), getattr(b, part)
        ours, theirs = (*one.inputs, one.target), (*other.inputs, other.target)
        if not all(torch.equal(x, y) for x, y in zip(ours, theirs, strict=True)):
            return False
    return True
