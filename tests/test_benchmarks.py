"""The loops that are timed beside each other do the same work."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmarks import media
from mimo_sim.datasets._on_disk import of_store
from mimo_sim.datasets._store import opened
from tests.datasets.test_media import CREMAD


def test_the_plain_loops_prepare_what_ours_does(tmp_path: Path) -> None:
    paths = sorted(CREMAD.glob("*.flv"))[:2]
    if not paths:
        pytest.skip("no clips")
    media.ours(paths, tmp_path / "ours")
    (folder,) = (tmp_path / "ours" / "stores").iterdir()
    manifest = opened(folder, "")
    sound, shown = (
        of_store(folder, manifest, name, np.arange(2)).read(np.arange(2))
        for name in ("audio", "video")
    )
    loops = {"pyav": media.by_pyav}
    if find_spec("cv2") and find_spec("imageio_ffmpeg"):
        loops["opencv"] = media.by_opencv
    for name, loop in loops.items():
        (tmp_path / name).mkdir()
        loop(paths, tmp_path / name)
        for k, path in enumerate(paths):
            heard = np.load(tmp_path / name / f"{path.stem}-audio.npy")
            seen = np.load(tmp_path / name / f"{path.stem}-video.npy").transpose(2, 0, 1)
            assert np.corrcoef(heard.ravel(), sound[k, 0].ravel())[0, 1] > 0.99
            assert np.abs(seen - shown[k, :, 0].astype(float)).mean() < 8  # of 255; a near picture
