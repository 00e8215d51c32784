"""The race as an animation: what its frames show, and what is stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from PIL import Image, ImageSequence

from mimo_sim import generators, plots, studies
from tests.commands.tool import run_here

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def data() -> xr.Dataset:
    problem = generators.superficial_preference(names=("A", "B"))
    return studies.figure1.compute(problem, seeds=1)


@pytest.fixture(scope="module")
def frames(data: xr.Dataset) -> np.ndarray:
    return plots.draw_race_frames(data, 5)


def count(path: Path) -> int:
    """Pictures in a file: the still one and the frames."""
    with Image.open(path) as image:
        return int(getattr(image, "n_frames", 1))


def inked(frame: np.ndarray) -> int:
    return int((frame.min(axis=-1) < 200).sum())


def test_curves_grow_from_frame_to_frame(frames: np.ndarray) -> None:
    assert frames.shape == (5, 420, 720, 3)
    ink = [inked(frame) for frame in frames]
    assert ink == sorted(ink)
    assert ink[-1] > 1.2 * ink[0]


def test_colours_are_those_of_the_modalities(frames: np.ndarray) -> None:
    for color in plots.MODALITY_COLORS[:2]:
        wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
        assert (np.abs(frames[-1].astype(int) - wanted).max(axis=-1) <= 2).sum() > 50


def test_a_file_plays_and_rests_on_its_last_frame(frames: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "race.png"
    plots.write_animation(frames, path, seconds=1.0, pause=2.0, loops=3)
    with Image.open(path) as image:
        assert image.info["loop"] == 3
        shown = [each.convert("RGB") for each in ImageSequence.Iterator(image)]
        durations = []
        for k in range(1, count(path)):
            image.seek(k)
            durations.append(image.info["duration"])
    assert durations == [200, 200, 200, 200, 2200]
    # the still picture comes first: what a viewer shows that cannot animate
    assert len(shown) == 6
    for picture, frame in zip(shown, [frames[-1], *frames], strict=True):
        far = np.abs(np.asarray(picture).astype(int) - frame).max(axis=-1)
        assert (far > 40).mean() < 0.01  # reduced to few colours, and still the same picture


def test_the_stored_animation_is_small_and_has_its_pause() -> None:
    path = ROOT / "figures" / "race.png"
    assert path.stat().st_size < 1_500_000
    assert count(path) == 61
    with Image.open(path) as image:
        image.seek(60)
        assert image.info["duration"] >= 3000


def test_bad_input_is_named(frames: np.ndarray, data: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frames"):
        plots.draw_race_frames(data, 1)
    with pytest.raises(ValueError, match=r"`path` must end in \.png\. Got"):
        plots.write_animation(frames, tmp_path / "race.gif")
    with pytest.raises(ValueError, match=r"`frames` must be an array \(n, height, width, 3\)"):
        plots.write_animation(frames[0], tmp_path / "race.png")
    with pytest.raises(ValueError, match="seconds"):
        plots.write_animation(frames, tmp_path / "race.png", seconds=0)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "made" / "race.png"
    command = ["animate", "--frames", "2", "--out", str(path)]
    assert run_here(monkeypatch, *command) == 0
    assert capsys.readouterr().out == f"wrote {path}\n"
    assert count(path) == 3
    assert run_here(monkeypatch, "animate", "--out", str(tmp_path / "race.gif")) == 2
    assert "`--out` must end in .png. Got" in capsys.readouterr().err
