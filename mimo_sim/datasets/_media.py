"""Sound and pictures out of media files, and the log spectrograms that the field makes of sound.

PyAV decodes (extra ``media``). A clip that cannot be used raises :class:`MediaError`, which names
the file and the reason; whoever prepares a data set decides what becomes of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mimo_sim._extras import explained

Wave = npt.NDArray[np.float32]

COMPLETE = 0.8  # a clip that holds less than this share of its stated length is truncated
SMALL = 1e-7  # added before a logarithm
MEL_BINS = 128
MEL_STEPS = 1024
MEL_MEAN, MEL_HALF_RANGE = -4.503877, 5.141276  # of AudioSet, as OGM-GE's code has them
MEL_FLOOR = float(np.finfo(np.float32).eps)


class MediaError(ValueError):
    """A media file that cannot be used: unreadable, truncated, or without sound or pictures."""


# ------------------------------------------------------------------------------------- decoding


@contextmanager
def _opened(path: Path, kind: str) -> Iterator[tuple[Any, Any]]:
    """A container and its first stream of a kind, "audio" or "video"."""
    with explained():
        import av
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            streams = getattr(container.streams, kind)
            if not streams:
                raise MediaError(f"{path} has no {kind} stream")
            yield container, streams[0]
    except av.error.FFmpegError as error:
        raise MediaError(f"{path} cannot be decoded: {error.strerror}") from None


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Every frame that can be decoded; damaged packets are left out."""
    import av

    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            continue


def _refuse_truncated(path: Path, container: Any, seconds: float) -> None:
    """Raise :class:`MediaError` where a clip is much shorter than its header says."""
    stated = (container.duration or 0) / 1e6
    if seconds < COMPLETE * stated:
        raise MediaError(f"{path} is truncated: it holds {seconds:.2f} s of {stated:.2f} s")


def sound(path: Path, rate: int) -> Wave:
    """The sound (samples,) of a media file, mixed to one channel, cut to [-1, 1].

    Parameters
    ----------
    path : path
    rate : int
        Samples per second; other rates are resampled.

    Raises
    ------
    MediaError
        If there is no sound, it cannot be decoded, or it ends before 80 % of the stated length.
    """
    with _opened(path, "audio") as (container, stream):
        import av

        to_mono = av.AudioResampler(format="flt", layout="mono", rate=rate)
        pieces: list[Any] = []
        for frame in _decoded(container, stream):
            frame.pts = None  # gaps in the time stamps are not filled with silence
            pieces += to_mono.resample(frame)
        if pieces:
            pieces += to_mono.resample(None)
        waves = [piece.to_ndarray().ravel() for piece in pieces]
        if not sum(map(len, waves)):
            raise MediaError(f"{path} has an empty audio stream")
        wave: Wave = np.concatenate(waves)
        _refuse_truncated(path, container, len(wave) / rate)
    return np.clip(wave, -1, 1)


def pictures(path: Path, count: int, size: int) -> npt.NDArray[np.uint8]:
    """Pictures (3, count, size, size) of a clip: those in the middle of `count` equal parts of it.

    The time decides, not the number of the frame, so the frame rate does not matter. The aspect is
    not kept, as in the field's test transform.

    Raises
    ------
    MediaError
        If there are no pictures, they cannot be decoded, or end before 80 % of the stated length.
    """
    start, end = _span(path)
    wanted = [start + (k + 0.5) / count * (end - start) for k in range(count)]
    shown: list[npt.NDArray[np.uint8]] = []
    with _opened(path, "video") as (container, stream):
        last = None
        for frame in _decoded(container, stream):
            time = frame.time if frame.time is not None else start
            while len(shown) < count and time > wanted[len(shown)]:
                shown.append(_scaled(frame if last is None else last, size))
            if len(shown) == count:
                break
            last = frame
        if last is None and not shown:
            raise MediaError(f"{path} has an empty video stream")
        while len(shown) < count:
            shown.append(_scaled(last, size))
    return np.ascontiguousarray(np.stack(shown).transpose(3, 0, 1, 2))


def _span(path: Path) -> tuple[float, float]:
    """First and last second that a clip shows, by its packets."""
    with _opened(path, "video") as (container, stream):
        times = [
            float(packet.pts * packet.time_base)
            for packet in container.demux(stream)
            if packet.pts is not None
        ]
        if not times:
            return 0.0, 0.0
        start, last = min(times), max(times)
        end = last + (last - start) / max(1, len(times) - 1)  # the last picture stays as others do
        _refuse_truncated(path, container, end - min(start, 0.0))
    return start, end


def _scaled(frame: Any, size: int) -> npt.NDArray[np.uint8]:
    """A frame as (size, size, 3)."""
    scaled = frame.reformat(width=size, height=size, format="rgb24", interpolation="BILINEAR")
    return scaled.to_ndarray()  # type: ignore[no-any-return]


# ---------------------------------------------------------------------------------- spectrograms


def repeated(wave: Wave, samples: int) -> Wave:
    """The sound again and again, cut to a length."""
    return np.tile(wave, -(-samples // len(wave)))[:samples]


def log_magnitudes(wave: Wave, window: int, hop: int) -> Wave:
    """log(|STFT| + 1e-7), (window // 2 + 1, 1 + samples // hop): what OGM-GE makes with librosa.

    Periodic Hann windows, centred; the ends are mirrored.
    """
    padded = np.pad(wave, window // 2, mode="reflect")
    pieces = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    return np.log(np.abs(np.fft.rfft(pieces * hann)) + SMALL).T.astype(np.float32)


def standardised_log_power(wave: Wave) -> Wave:
    """Log of scipy's spectrogram, windows of 512 at hops of 159, standardised over the clip.

    So the authors of VGGSound did it, and OGM-GE for AVE. A clip of one constant value gives 0.
    """
    from scipy.signal import spectrogram

    _, _, power = spectrogram(wave, nperseg=512, noverlap=353)
    found: npt.NDArray[Any] = np.log(power + SMALL)
    scaled: Wave = ((found - found.mean()) / (found.std() + 1e-9)).astype(np.float32)
    return scaled


def mel_energies(wave: Wave, rate: int) -> Wave:
    """Log energies (1024, 128) of Kaldi's mel filters, steps of 10 ms; OGM-GE, BalanceBenchmark.

    Windows of 25 ms (Hann), mean removed from sound and window, pre-emphasis 0.97, no dither. Clips
    are cut to 1,024 steps or filled with zeros; then (x + 4.503877) / (2 * 5.141276).

    Raises
    ------
    MediaError
        If the sound is shorter than one window.
    """
    length, hop = rate * 25 // 1000, rate // 100
    if len(wave) < length:
        raise MediaError(f"the sound is shorter than a window of 25 ms: {len(wave)} samples")
    wave = wave - wave.mean()
    pieces = np.lib.stride_tricks.sliding_window_view(wave, length)[::hop][:MEL_STEPS]
    pieces = pieces.astype(np.float64)
    pieces -= pieces.mean(1, keepdims=True)
    before = np.concatenate([pieces[:, :1], pieces[:, :-1]], axis=1)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / (length - 1))
    points = 2 ** math.ceil(math.log2(length))
    power = np.abs(np.fft.rfft((pieces - 0.97 * before) * hann, points)) ** 2
    energies = np.log(np.maximum(power @ _mel_filters(points, rate), MEL_FLOOR))
    found = np.zeros((MEL_STEPS, MEL_BINS), np.float32)
    found[: len(energies)] = energies
    return (found - np.float32(MEL_MEAN)) / np.float32(2 * MEL_HALF_RANGE)


@cache
def _mel_filters(points: int, rate: int) -> npt.NDArray[np.float64]:
    """Triangles (points // 2 + 1, 128) on the mel scale from 20 Hz to half the rate."""

    def mel(hertz: Any) -> Any:
        return 1127 * np.log1p(np.asarray(hertz) / 700)

    corners = np.linspace(mel(20), mel(rate / 2), MEL_BINS + 2)
    heard = mel(np.arange(points // 2 + 1) * rate / points)[:, None]
    left, middle, right = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (heard - left) / (middle - left), (right - heard) / (right - middle)
    filters: npt.NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling))
    filters[-1] = 0  # Kaldi leaves out the highest frequency
    return filters
