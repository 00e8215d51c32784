"""The recipe of AV-MNIST: weak images, pairs by digit, noise, spectrograms."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
Bytes = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]

VERSION = 1  # raise it when the tensors change, so that no old cache is taken for a new one
RATE = 8000  # samples per second; a clip has one second at most
WINDOW = 224  # samples in a window of the spectrogram: 28 ms
BINS = 112  # frequencies kept
STEPS = 112  # windows of a clip
FLOOR = 80.0  # dB below the clip's maximum; what is lower counts as 0
NOISES = ("white", "pink", "brown", "babble")
CHUNK = 128  # clips at a time: bounds the memory, does not change the result


def draw_pairs(
    rng: np.random.Generator, digits: Bytes, spoken: Indices, size: int
) -> tuple[Indices, Indices]:
    """Draw images without replacement, and for each a clip of the same digit.

    Parameters
    ----------
    rng : numpy Generator
    digits : array (n,)
        Labels of the images.
    spoken : array (m,)
        Labels of the clips; every digit occurs.
    size : int
        Pairs to draw, at most n.

    Returns
    -------
    images, clips : arrays (size,)
        Positions in `digits` and in `spoken`.
    """
    images = rng.permutation(len(digits))[:size]
    target = digits[images].astype(np.int64)
    clips_of = [np.flatnonzero(spoken == digit) for digit in range(10)]
    counts = np.array([len(clips) for clips in clips_of])
    draws = rng.integers(counts[target])
    clips = [clips_of[digit][draw] for digit, draw in zip(target, draws, strict=True)]
    return images, np.array(clips)


def principal_components(images: Bytes) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Centred principal component analysis of images (n, 28, 28), scaled to [0, 1].

    Returns
    -------
    mean : array (784,)
    variances : array (784,)
        Falling.
    components : array (784, 784)
        In columns, in the same order.
    """
    from scipy.linalg.blas import dsyrk

    pixels = images.reshape(len(images), -1)
    mean = pixels.mean(0)
    gram = dsyrk(1.0, np.asfortranarray(pixels.T, dtype=np.float64), lower=1)
    values, vectors = np.linalg.eigh(gram / len(pixels) - np.outer(mean, mean), UPLO="L")
    return mean / 255, np.maximum(values[::-1], 0) / 255**2, vectors[:, ::-1]


def reduce_energy(images: Bytes, mean: FloatArray, components: FloatArray) -> FloatArray:
    """Images (n, 28, 28) with only these components (784, k) left.

    The result is float32, in units where the pixels of `images` lie in [0, 1].
    """
    mean = mean.astype(np.float32)
    basis = components.astype(np.float32)
    centred = images.reshape(len(images), -1) / np.float32(255) - mean
    return np.asarray(centred @ basis @ basis.T + mean).reshape(images.shape)


@cache
def _noise_amplitudes() -> FloatArray:
    """Amplitude of white, pink and brown noise at 0, 1, ... RATE/2 Hz: (3, RATE/2 + 1).

    Flat below 20 Hz.
    """
    frequency = np.maximum(np.fft.rfftfreq(RATE, 1 / RATE), 20.0) / 20.0
    return np.stack([frequency**-power for power in (0.0, 0.5, 1.0)]).astype(np.float32)


def spectrogram(waves: FloatArray, lengths: Indices) -> Bytes:
    """Log power spectrograms of clips, stretched so that every clip fills the picture.

    A picture has 112 Hann windows of 224 samples, whose starts are evenly spaced over the clip,
    and the frequencies 1 to 112 of each. Its values are dB below the clip's maximum, cut at -80 dB,
    as 0 to 255. One step is 0.31 dB, so rounding moves a value by at most 0.16 dB.

    Parameters
    ----------
    waves : array (n, RATE)
    lengths : array (n,)
        Samples of each clip, >= 224.

    Returns
    -------
    array (n, 112 frequencies, 112 times) of uint8
    """
    from scipy import fft, signal

    hann = signal.get_window("hann", WINDOW).astype(np.float32)
    starts = np.rint(np.linspace(0, lengths - WINDOW, STEPS, axis=1)).astype(int)
    all_windows = np.lib.stride_tricks.sliding_window_view(waves, WINDOW, axis=1)
    windows = all_windows[np.arange(len(waves))[:, None], starts]
    amplitude = np.abs(fft.rfft(windows * hann, axis=2)[:, :, 1 : BINS + 1])
    decibel = 20 * np.log10(np.maximum(amplitude, np.finfo(np.float32).tiny))
    above_floor = np.maximum(decibel - decibel.max(axis=(1, 2), keepdims=True) + FLOOR, 0)
    levels: Bytes = np.rint(above_floor * (255 / FLOOR)).astype(np.uint8)
    return levels.transpose(0, 2, 1)


def noisy_waves(
    clips: list[FloatArray],
    chosen: Indices,
    kinds: Indices,
    babble: Indices,
    snr: float,
    rng: np.random.Generator,
) -> FloatArray:
    """Clips in noise, repeated until they fill one second.

    Parameters
    ----------
    clips : list of arrays (length,)
    chosen : array (n,)
        Positions in `clips`.
    kinds : array (n,)
        Positions in :data:`NOISES`.
    babble : array (n, 3)
        The three clips whose sum is the babble, where that is the noise.
    snr : float
        Signal-to-noise ratio in dB: 20 log10 of the root mean square of speech over that of noise,
        both over the clip's length.
    rng : numpy Generator
        Draws the coloured noise.

    Returns
    -------
    array (n, RATE)
    """
    from scipy import fft

    speech = np.stack([np.resize(clips[i], RATE) for i in chosen])
    noise = np.empty_like(speech)
    amplitudes = _noise_amplitudes()
    coloured = kinds < len(amplitudes)
    white = rng.standard_normal((int(coloured.sum()), RATE), dtype=np.float32)
    noise[coloured] = fft.irfft(fft.rfft(white) * amplitudes[kinds[coloured]], RATE)
    for row in np.flatnonzero(~coloured):
        noise[row] = sum(np.resize(clips[clip], RATE) for clip in babble[row])
    gain = np.empty((len(chosen), 1), np.float32)
    for place, length in enumerate(len(clips[i]) for i in chosen):
        said, heard = speech[place, :length], noise[place, :length]
        gain[place] = np.sqrt((said @ said) / (heard @ heard))
    return np.asarray(speech + noise * (gain * 10 ** (-snr / 20)).astype(np.float32))


def noisy_spectrograms(
    clips: list[FloatArray],
    chosen: Indices,
    snr: float,
    rng: np.random.Generator,
    on_chunk: Callable[[int], None] = lambda _: None,
) -> Bytes:
    """Spectrograms (n, 112, 112) of the clips at `chosen` (n,), each in a noise of its own.

    Every kind of noise has the same chance. Babble is made of any of `clips`. ``on_chunk`` is
    called with the number of clips just done.
    """
    kinds = rng.integers(len(NOISES), size=len(chosen))
    babble = rng.integers(len(clips), size=(len(chosen), 3))
    lengths = np.array([len(clip) for clip in clips])
    out = np.empty((len(chosen), BINS, STEPS), np.uint8)
    for start in range(0, len(chosen), CHUNK):
        part = slice(start, start + CHUNK)
        waves = noisy_waves(clips, chosen[part], kinds[part], babble[part], snr, rng)
        out[part] = spectrogram(waves, lengths[chosen[part]])
        on_chunk(len(waves))
    return out
