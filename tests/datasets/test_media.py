"""Decoding and spectrograms: right numbers from whole clips, a named reason for broken ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mimo_sim.datasets import _clips as clips
from mimo_sim.datasets import _media as media
from tests.datasets._clips import encode, picture, tone

SHARED = Path(os.environ.get("MIMO_SIM_DATA", "nowhere"))
RATE = 16_000


def loudest(spectrum: np.ndarray, hertz_per_bin: float) -> float:
    return float(np.argmax(spectrum.mean(1)) * hertz_per_bin)


def test_shapes_and_pitch_of_the_published_spectrograms() -> None:
    for spectrum in (clips.OGM_CREMAD, clips.OGM_VGGSOUND, clips.OGM_AVE, clips.MEL):
        for seconds in (0.4, 3.0, 12.0):
            wave = tone(2, seconds, spectrum.rate, 0).astype(np.float32)
            made = spectrum.make(wave)
            assert (1, *made.shape) == spectrum.shape, spectrum.name
            assert made.dtype == np.float32
    wave = tone(2, 3.0, 22_050, 0).astype(np.float32)  # 900 Hz
    assert loudest(clips.OGM_CREMAD.make(wave), 22_050 / 512) == pytest.approx(900, abs=43)
    assert loudest(clips.OGM_AVE.make(wave), 22_050 / 512) == pytest.approx(900, abs=43)
    wave = tone(2, 3.0, RATE, 0).astype(np.float32)
    assert loudest(clips.OGM_VGGSOUND.make(wave), RATE / 256) == pytest.approx(900, abs=62)


def test_log_magnitudes_by_their_definition() -> None:
    wave = np.random.default_rng(0).standard_normal(2000).astype(np.float32)
    found = media.log_magnitudes(wave, 64, 20)
    mirrored = np.concatenate([wave[1:33][::-1], wave, wave[-33:-1][::-1]])
    piece = mirrored[5 * 20 : 5 * 20 + 64] * np.sin(np.pi * np.arange(64) / 64) ** 2
    waves = np.exp(-2j * np.pi * np.outer(np.arange(33), np.arange(64)) / 64)
    np.testing.assert_allclose(found[:, 5], np.log(np.abs(waves @ piece) + 1e-7), atol=1e-4)
    assert found.shape == (33, 1 + 2000 // 20)


@pytest.mark.filterwarnings("ignore:At least one mel filter:UserWarning")
def test_mel_energies_are_those_of_transformers() -> None:
    audio: Any = pytest.importorskip("transformers.audio_utils")
    wave = tone(3, 1.3, RATE, 1).astype(np.float32)
    filters = audio.mel_filter_bank(
        257, 128, 20, RATE / 2, RATE, mel_scale="kaldi", triangularize_in_mel_space=True
    )
    expected = audio.spectrogram(
        wave - wave.mean(),
        audio.window_function(400, "hann", periodic=False),
        *(400, 160, 512),
        power=2.0,
        center=False,
        preemphasis=0.97,
        mel_filters=filters,
        log_mel="log",
        mel_floor=media.MEL_FLOOR,
        remove_dc_offset=True,
    ).T
    found = media.mel_energies(wave, RATE)
    steps = len(expected)
    assert steps == 1 + (len(wave) - 400) // 160
    np.testing.assert_allclose(found[:steps], (expected + 4.503877) / 10.282552, atol=1e-5)
    np.testing.assert_allclose(found[steps:], 4.503877 / 10.282552, atol=1e-6)


@pytest.mark.parametrize("rate", [1, 7.5, 29.97, 60])
@pytest.mark.parametrize("suffix", [".mp4", ".flv"])
def test_any_frame_rate_gives_the_pictures_and_the_pitch(
    rate: float, suffix: str, tmp_path: Path
) -> None:
    path = encode(tmp_path / f"clip{suffix}", 3, 5, rate=rate, seconds=2)
    shown = media.pictures(path, 3, 64)
    assert shown.shape == (3, 3, 64, 64)
    for frame in shown.transpose(1, 2, 3, 0):
        assert np.abs(frame.astype(float) - picture(3, 5)).mean() < 12  # compression loses some
    wave = media.sound(path, RATE)
    assert len(wave) == pytest.approx(2 * RATE, rel=0.06)  # coders pad to whole packets
    spectrum = np.abs(np.fft.rfft(wave))
    assert np.argmax(spectrum) * RATE / len(wave) == pytest.approx(1200, abs=5)


def test_pictures_are_from_the_middle_of_equal_parts(tmp_path: Path) -> None:
    import av

    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for number in range(20):
            grey = np.full((32, 32, 3), 10 * number + 20, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
    shown = media.pictures(path, 4, 16).mean((0, 2, 3))  # at 0.25, 0.75, 1.25, 1.75 s
    np.testing.assert_allclose(shown, [40, 90, 140, 190], atol=6)


def test_broken_clips_have_a_named_reason(tmp_path: Path) -> None:
    silent = encode(tmp_path / "silent.mp4", 1, 1, heard=False)
    blind = encode(tmp_path / "blind.flv", 1, 1, seen=False)
    with pytest.raises(media.MediaError, match=r"silent\.mp4 has no audio stream"):
        media.sound(silent, RATE)
    with pytest.raises(media.MediaError, match=r"blind\.flv has no video stream"):
        media.pictures(blind, 1, 32)
    text = tmp_path / "pointer.mp4"
    text.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(media.MediaError, match=r"pointer\.mp4 cannot be decoded"):
        media.sound(text, RATE)
    with pytest.raises(media.MediaError, match="shorter than a window of 25 ms: 100 samples"):
        media.mel_energies(np.ones(100, np.float32), RATE)


@pytest.mark.parametrize("suffix", [".mp4", ".flv"])
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_a_truncated_clip_is_refused(suffix: str, share: float, tmp_path: Path) -> None:
    whole = encode(tmp_path / f"whole{suffix}", 2, 2, seconds=3).read_bytes()
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(media.MediaError, match=r"cut\.\w+ (is truncated|cannot be decoded|has)"):
        media.sound(cut, RATE)
    with pytest.raises(media.MediaError, match=r"cut\.\w+ (is truncated|cannot be decoded|has)"):
        media.pictures(cut, 2, 32)


CREMAD = SHARED / "fixtures/cremad"


@pytest.mark.skipif(
    not CREMAD.exists(), reason="needs original clips: set MIMO_SIM_DATA to their folder"
)
def test_original_clips_of_cremad() -> None:
    for path in sorted(CREMAD.glob("*.flv"))[:2]:
        heard = media.sound(path, RATE)
        beside = media.sound(CREMAD / "resampled" / f"{path.stem}.wav", RATE)
        length = min(len(heard), len(beside))
        assert abs(len(heard) - len(beside)) < 0.05 * RATE
        spectra = [np.abs(np.fft.rfft(wave[:length])) for wave in (heard, beside)]
        assert np.corrcoef(np.stack(spectra))[0, 1] > 0.9
        shown = media.pictures(path, 3, 64).astype(float)
        assert 20 < shown.std() < 120
        assert np.abs(shown[:, 0] - shown[:, 2]).mean() < 40  # the same face
