"""Raw files for tests of data sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from mimo_sim.datasets import _files as files
from tests.datasets._files import know, put, raw_files, sums


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tiny raw files, known to the package by their sums, and an empty cache."""
    monkeypatch.setenv("MIMO_SIM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MIMO_SIM_DATA", raising=False)
    contents = raw_files()
    put(tmp_path / "raw", contents)
    know(monkeypatch, files.Download("http://127.0.0.1:9/nothing.tar.gz", sums(contents), 1))
    return tmp_path / "raw"
