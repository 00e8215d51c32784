"""GRID words: clips decoded, words cut, sentences split, noise of the stated level."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mimo_sim import datasets
from mimo_sim.cli import app
from mimo_sim.datasets import _files as files
from mimo_sim.datasets import _grid_raw as raw
from mimo_sim.datasets import grid
from tests.datasets._files import same

NAMES = [f"s{number:03d}" for number in range(40)]
SENTENCES = {"train": 25, "validation": 5, "test": 10}
SHARED = Path(os.environ.get("MIMO_SIM_DATA", "nowhere"))


def speaker() -> raw.Arrays:
    """Words of 120 ms each; a clip's pictures show its number, and its sound is a tone."""
    count = len(NAMES)
    lips = np.repeat(np.arange(count, dtype=np.uint8), 20)[:, None, None]
    time = np.arange(6400)
    tones = [1000 * np.sin(time * 0.02 * (clip + 1)) + 50 for clip in range(count)]
    places = np.tile(np.arange(6), count)
    return {
        "names": np.array(NAMES),
        "lips": np.broadcast_to(lips, (20 * count, 12, 35)),
        "lip_start": 20 * np.arange(count),
        "first_frame": np.full(count, 4),
        "audio": np.concatenate(tones).astype(np.int16),
        "audio_start": 6400 * np.arange(count),
        "first_sample": np.full(count, 1280),
        "words": np.array([grid.CLASSES[(7 * place) % 51] for place in range(6 * count)]),
        "clip": np.repeat(np.arange(count), 6),
        "begin": 5000 + 3000 * places,
        "end": 8000 + 3000 * places,
        "position": places,
    }


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a compact copy of the small speaker, and an empty cache."""
    content = io.BytesIO()
    np.savez(content, **speaker())  # type: ignore[arg-type]
    name = "grid_s1/grid_s1.npz"
    (tmp_path / "grid_s1").mkdir()
    (tmp_path / name).write_bytes(content.getvalue())
    copy = {name: "sha256:" + hashlib.sha256(content.getvalue()).hexdigest()}
    monkeypatch.setattr(raw, "COPY", copy)
    monkeypatch.setitem(datasets._registry(), "grid", replace(grid.RECORD, copy=copy))
    monkeypatch.setattr(grid, "SENTENCES", SENTENCES)
    monkeypatch.setenv("MIMO_SIM_CACHE", str(tmp_path / "cache"))
    return tmp_path


def load(root: Path, **settings: Any) -> datasets.Dataset:
    return datasets.load("grid", root, **{"train_sentences": 25, **settings})


def test_no_sentence_is_in_two_splits(root: Path) -> None:
    data = load(root)
    seen = [set(part.inputs[0].flatten().tolist()) for part in (data.train, data.validation)]
    seen.append(set(data.test.inputs[0].flatten().tolist()))
    assert [len(one) for one in seen] == [25, 5, 10]
    assert sorted(set.union(*seen)) == list(range(40))
    assert seen[2] == set(np.random.default_rng(0).permutation(40)[:10].tolist())
    fewer = load(root, train_sentences=7)
    assert torch.equal(fewer.test.target, data.test.target)
    assert set(fewer.train.inputs[0].flatten().tolist()) < seen[0]
    assert [m.shape for m in data.modalities] == [(1, 8, 12, 35), (1, 112, 112)]
    for modality, x in zip(data.modalities, data.train.inputs, strict=True):
        assert modality.mean == pytest.approx(float(x.float().mean()))


def test_the_seed_and_the_noise_decide_the_numbers(root: Path) -> None:
    noisy = load(root, setting="-5")
    assert same(noisy, load(root, setting=-5))
    assert not same(noisy, load(root, setting=-6))
    assert not same(noisy, load(root, setting=-5, seed=1))
    assert same(noisy, load(root.parent / "nowhere", setting=-5.0))  # from the cache


def test_a_word_has_its_frames_and_samples_and_a_margin() -> None:
    words = speaker() | {
        "lips": np.tile(np.arange(20, dtype=np.uint8), 40)[:, None, None] * np.ones((1, 12, 35)),
        "audio": np.tile(np.arange(6400), 40).astype(np.int16) + 1,
    }
    shown = grid.lips(words)[:, :, 0, 0]
    assert shown[0].tolist() == [0, 0, 1, 2, 2, 3, 4, 5]  # frames 4 to 9 of the clip
    assert shown[7].tolist() == [3, 3, 4, 5, 5, 6, 7, 8]
    assert shown[5].tolist() == [15, 15, 16, 17, 17, 18, 19, 19]  # the last one is repeated
    (first, second), last = grid.sounds(words)[:2], grid.sounds(words)[5]
    begin, end = 8000 * 5000 // 25000 - 320 - 1280, 8000 * 8000 // 25000 + 320 - 1280
    expected = np.arange(begin, end) + 1.0
    np.testing.assert_allclose(first, expected / np.sqrt(np.mean(expected**2)), rtol=1e-6)
    assert len(second) == len(first) == 960 + 640
    assert len(last) == len(first)


@pytest.mark.parametrize("snr", [-10.0, 5.0])
def test_the_noise_has_the_level_that_is_asked_for(snr: float) -> None:
    waves = [np.ones(8000, np.float32)] * 3
    heard: list[Any] = []

    def listen(waves: Any, lengths: Any) -> Any:
        heard.append(waves)
        return np.zeros((len(waves), 112, 112), np.uint8)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grid, "spectrogram", listen)
        grid.spectrograms(waves, snr, np.random.default_rng(0))
    noise = np.concatenate(heard) - 1
    # the level of 24,000 samples has a standard error of 0.04 dB
    assert -20 * np.log10(noise.std()) == pytest.approx(snr, abs=0.2)
    lag = np.mean(noise[:, 1:] * noise[:, :-1]) / noise.var()
    assert abs(lag) < 0.03  # white: neighbours are uncorrelated, up to 1 / sqrt(24000)


def test_commands_know_the_copy_and_the_originals(root: Path) -> None:
    run = CliRunner().invoke
    done = run(app, ["data", "verify", "grid", "--root", str(root)])
    assert (done.exit_code, "all 1 raw files" in done.stdout) == (0, True)
    (root / "grid_s1/grid_s1.npz").write_bytes(b"harmed")
    assert run(app, ["data", "verify", "grid", "--root", str(root)]).exit_code == 1
    prepare = ["data", "prepare", "grid", "--root", str(root), "--option", "train_sentences=25"]
    done = run(app, prepare)
    assert "Put the right file there, or delete it." in str(done.exception)
    with pytest.raises(ValueError, match=r"grid_s1\.npz is damaged.*the right file, or delete it"):
        load(root)
    (root / "grid_s1/grid_s1.npz").unlink()
    done = run(app, ["data", "verify", "grid", "--root", str(root)])
    assert "2000 of 2000 raw files of grid are missing or damaged" in done.stderr
    with pytest.raises(FileNotFoundError, match=r"is missing.*mimo-sim data prepare grid --root"):
        load(root)


# ---------------------------------------------------------------------------------- original clips

ALIGNMENT = b"0 5000 sil\r\n5000 8000 bin\r\n8000 11000 red\r\n11000 12000 at\r\n12000 15000 a\r\n"


def clip(levels: list[int]) -> bytes:
    """An MPEG-1 clip as in the corpus: pictures of one grey level each, and a stereo tone."""
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mpeg") as container:
        video = container.add_stream("mpeg1video", rate=25)
        video.width, video.height, video.pix_fmt = 360, 288, "yuv420p"
        sound = container.add_stream("mp2", rate=44_100)
        for level in levels:
            picture = np.full((288, 360), level, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="gray")))
        container.mux(video.encode())
        time = np.arange(44_100 * len(levels) // 25) / 44_100
        tone = (8000 * np.sin(2 * np.pi * 440 * time)).astype(np.int16)
        part = av.AudioFrame.from_ndarray(np.repeat(tone, 2)[None], format="s16", layout="stereo")
        part.rate = 44_100
        container.mux(sound.encode(part))
        container.mux(sound.encode())
    return buffer.getvalue()


def put_clip(root: Path, align: bytes, levels: list[int]) -> dict[str, str]:
    """One original clip below `root`, and its sums."""
    sums = {}
    for path, content in (
        ("grid/s1/bras1s.mpg", clip(levels)),
        ("grid/alignments/s1/bras1s.align", align),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
        sums[path] = "sha256:" + hashlib.sha256(content).hexdigest()
    return sums


def test_a_clip_is_decoded_and_cut_to_what_is_spoken(tmp_path: Path) -> None:
    levels = [40 + 5 * frame for frame in range(30)]
    align = ALIGNMENT + b"15000 18000 one\r\n18000 21500 now\r\n21500 30000 sil\r\n"
    found = raw.decode(tmp_path, put_clip(tmp_path, align, levels))
    assert set(found) == set(raw.ARRAYS)
    assert found["words"].tolist() == ["bin", "red", "at", "a", "one", "now"]
    assert (found["first_frame"].tolist(), found["lips"].shape) == ([4], (19, 12, 35))
    # MPEG stores grey in 219 steps instead of 255, and rounds when it compresses
    np.testing.assert_allclose(found["lips"].mean((1, 2)), levels[4:23], atol=3)
    assert found["lips"].std((1, 2)).max() < 2
    assert found["first_sample"].tolist() == [1280]
    assert len(found["audio"]) == round(21_500 * 0.32) + 320 - 1280
    spectrum = np.abs(np.fft.rfft(found["audio"].astype(float)))
    assert np.argmax(spectrum) * 8000 / len(found["audio"]) == pytest.approx(440, abs=2)


def test_decoded_clips_are_kept_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    align = ALIGNMENT + b"15000 18000 one\n18000 21500 now\n"
    sums = put_clip(tmp_path, align, [90] * 25)
    monkeypatch.setattr(raw, "DOWNLOADS", (files.Download("", sums, 1),))
    monkeypatch.setenv("MIMO_SIM_CACHE", str(tmp_path / "cache"))
    first = raw.read(tmp_path)
    again = raw.read(tmp_path / "nowhere")
    assert len(first["lips"]) == 19
    for key in raw.ARRAYS:
        np.testing.assert_array_equal(first[key], again[key])


@pytest.mark.parametrize(
    ("align", "words"),
    [(ALIGNMENT, "must have 6 words. Got 4"), (b"0 x sil\n", "must have lines 'begin end word'")],
)
def test_a_wrong_alignment_is_named(tmp_path: Path, align: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=rf"bras1s\.align {words}"):
        raw.decode(tmp_path, put_clip(tmp_path, align, [100]))


@pytest.mark.skipif(
    not (SHARED / "fixtures/grid").exists() or not (SHARED / "grid_s1").exists(),
    reason="needs GRID's clips and their compact copy: set MIMO_SIM_DATA to their folder",
)
def test_original_clips_and_the_compact_copy_are_the_same() -> None:
    whole = raw.read(SHARED)
    names = sorted(path.stem for path in (SHARED / "fixtures/grid/s1").glob("*.mpg"))[:5]
    sums = raw.DOWNLOADS[0].files
    found = raw.decode(
        SHARED / "fixtures", {path: sums[path] for path in sums if Path(path).stem in names}
    )
    assert found["names"].tolist() == names
    places = [whole["names"].tolist().index(name) for name in names]
    rows = np.isin(whole["clip"], places)
    for key in ("words", "begin", "end", "position"):
        np.testing.assert_array_equal(found[key], whole[key][rows], key)
    np.testing.assert_array_equal(grid.lips(found), grid.lips(whole)[rows])
    ours, theirs = grid.sounds(found), grid.sounds(whole)
    for one, row in zip(ours, np.flatnonzero(rows), strict=True):
        np.testing.assert_array_equal(one, theirs[row])
