"""What audio-visual data sets do with clips and lists that are not as they should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from mimo_sim import datasets
from mimo_sim.cli import app
from mimo_sim.datasets import _clips as clips
from mimo_sim.datasets import ave, cremad, kinetics_sounds, vggsound
from tests.datasets._clips import encode, make_ave, make_cremad, make_kinetics_sounds, make_vggsound

SMALL = ("--option", "size=16", "--option", "frames=1")


def prepare(name: str, root: Path, *more: str) -> Any:
    return CliRunner().invoke(app, ["data", "prepare", name, "--root", str(root), *SMALL, *more])


def load(name: str, root: Path, **settings: Any) -> datasets.Dataset:
    return datasets.load(name, root, size=16, frames=1, **settings)


def test_broken_clips_are_errors_or_left_out_by_name(tmp_path: Path) -> None:
    names = make_cremad(tmp_path, 20)
    folder = tmp_path / cremad.FOLDER
    (folder / "AudioWAV" / f"{names[1]}.wav").unlink()
    done = prepare("cremad", tmp_path)
    assert f"1 of 20 samples of cremad are missing below {tmp_path}" in str(done.exception)
    assert f"{names[1]}: missing: CREMA-D/AudioWAV/{names[1]}.wav" in str(done.exception)
    assert "15 kept / 16 listed in train, 4 kept / 4 listed in test" in str(done.exception)
    video = folder / "VideoFlash" / f"{names[2]}.flv"
    content = video.read_bytes()
    video.write_bytes(content[: len(content) * 2 // 5])
    encode(folder / "VideoFlash" / f"{names[3]}.flv", 3, 3, heard=False)  # the sound is beside it
    done = prepare("cremad", tmp_path, "--allow-missing")
    assert done.exit_code == 0, done.output
    assert "kept / listed: 14 / 16 train, 4 / 4 test" in done.stdout
    assert f"{names[2]}: CREMA-D/VideoFlash/{names[2]}.flv is truncated" in done.stdout
    data = load("cremad", tmp_path)
    assert f"sha256 of the kept ids: {data.about['kept']}" in done.stdout
    assert (data.about["left_out"], len(data.test)) == (2, 4)
    assert data.about["lists"]["CREMA-D/train.csv"].endswith("(other than published)")


def test_no_actor_is_in_two_splits_where_that_is_asked_for(tmp_path: Path) -> None:
    make_cremad(tmp_path, 40)  # five actors
    assert prepare("cremad", tmp_path, "--quiet").exit_code == 0
    data = load("cremad", tmp_path, setting="actors")
    sizes = [len(part) for part in (data.train, data.validation, data.test)]
    assert sizes == [24, 8, 8]
    published = load("cremad", tmp_path)
    assert [len(part) for part in (published.train, published.test)] == [28, 8]
    assert published.num_outputs == 6


def test_the_lists_of_cremad_are_said_and_where_they_were_looked_for(tmp_path: Path) -> None:
    make_cremad(tmp_path, 4)
    done = prepare("cremad", tmp_path)
    assert f"list {tmp_path / 'CREMA-D/train.csv'}: sha256:" in done.stdout
    assert "(other than published)" in done.stdout
    (tmp_path / "CREMA-D/test.csv").unlink()
    told = str(prepare("cremad", tmp_path).exception)
    assert "the test list of CREMA-D is missing" in told
    for place in ("CREMA-D/test.csv", "cremad_ratings/splits/test.csv"):
        assert str(tmp_path / place) in told


def test_videos_of_two_splits_are_dropped_from_train(tmp_path: Path) -> None:
    make_ave(tmp_path, 10)
    done = prepare("ave", tmp_path)
    assert "kept / listed: 6 / 6 train, 2 / 2 validation, 2 / 2 test" in done.stdout
    assert "1 dropped: c-000000000#10: the video is also in test" in done.stdout
    with h5py.File(tmp_path / "ave/train_order.h5", "w") as file:
        file["order"] = np.array([0, 11])
    assert "must have row numbers of 0 to 10. Got 0 to 11" in str(
        prepare("ave", tmp_path).exception
    )
    (tmp_path / "ave/train_order.h5").unlink()
    assert "train_order.h5 is missing. It comes from YapengTian" in str(
        prepare("ave", tmp_path).exception
    )


def test_a_clip_without_sound_and_names_beyond_ascii(tmp_path: Path) -> None:
    names = make_vggsound(tmp_path, 10)
    encode(tmp_path / "vggsound/video" / f"{names[3]}.mp4", 3, 3, heard=False)
    done = prepare("vggsound", tmp_path)
    assert f"{names[3]}: vggsound/video/{names[3]}.mp4 has no audio stream" in str(done.exception)
    done = prepare("vggsound", tmp_path, "--allow-missing")
    assert "kept / listed: 7 / 8 train, 2 / 2 test" in done.stdout
    assert "größe_日本語_000001" in names
    assert clips.normal("gro\u0308ße") == "größe"


@pytest.mark.parametrize(
    ("module", "make", "file", "line", "words"),
    [
        (cremad, make_cremad, "train.csv", "1001_DFA_ODD_XX,ODD", "must be one of ('NEU', 'HAP'"),
        (cremad, make_cremad, "train.csv", "1001_DFA_ANG_XX", "must be `clip,LABEL`"),
        (
            kinetics_sounds,
            make_kinetics_sounds,
            "my_train.txt",
            "abc_000001_000011,10,31",
            "a number of 0 to 30. Got 'abc_000001_000011,10,31'",
        ),
        (
            vggsound,
            make_vggsound,
            "vggsound.csv",
            "abc,3,people snoring loudly,train",
            "must be one of the 309 classes. Got 'people snoring loudly'.",
        ),
        (vggsound, make_vggsound, "vggsound.csv", "abc,3,train horning", "with split train or"),
        (ave, make_ave, "Annotations.txt", "Bell&abc&good&0&10", "Got 'Bell'."),
    ],
)
def test_a_line_that_does_not_fit_is_named(
    module: Any, make: Any, file: str, line: str, words: str, tmp_path: Path
) -> None:
    make(tmp_path, 2)
    path = tmp_path / module.FOLDER / file
    path.write_text(f"{line}\n{path.read_text('utf-8')}", encoding="utf-8")
    with pytest.raises(ValueError, match="line 1: ") as refusal:
        module.listing(tmp_path)
    assert words in str(refusal.value)


def test_what_is_not_prepared_is_said_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileNotFoundError, match=r"mimo-sim data prepare ave --root .* size=64"):
        datasets.load("ave", tmp_path, size=64)
    done = CliRunner().invoke(app, ["data", "verify", "ave", "--root", str(tmp_path)])
    assert "mimo-sim data prepare ave" in str(done.exception)
    done = prepare("vggsound", tmp_path)
    assert "vggsound.csv is missing. It comes from https://www.robots" in str(done.exception)
    assert f"The data folder is {tmp_path}; choose another one" in str(done.exception)
    nowhere = tmp_path / "nowhere"
    monkeypatch.setenv("MIMO_SIM_DATA", str(nowhere))
    for name in ("ave", "mfeat"):
        with pytest.raises(FileNotFoundError) as caught:
            datasets.load(name)
        words = f"The data folder is {nowhere}, which is not there; choose another one with `root`"
        assert words in str(caught.value)
        assert "$MIMO_SIM_DATA" in str(caught.value)
    done = CliRunner().invoke(app, ["data", "prepare", "ave"])
    assert f"The data folder is {nowhere}, which is not there" in str(done.exception)
    with pytest.raises(ValueError, match="`size` must be >= 8"):
        datasets.load("ave", tmp_path, size=4)
    with pytest.raises(ValueError, match="`setting` must be one of"):
        datasets.load("cremad", tmp_path, setting="speakers")


def test_published_names_of_kinetics_sounds_are_found() -> None:
    assert kinetics_sounds.file_name("-a_b_000123_000133") == "-a_b_000123_000133"
    assert kinetics_sounds.file_name("-a_b_7") == "-a_b_000007_000017"
    assert len(set(kinetics_sounds.CLASSES)) == 31
    assert list(kinetics_sounds.CLASSES) == sorted(kinetics_sounds.CLASSES)
    assert len(vggsound.CLASSES) == 309
    assert len(ave.CLASSES) == 28
