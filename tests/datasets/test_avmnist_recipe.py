"""The recipe of AV-MNIST against independent arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from mimo_sim.datasets import _avmnist_recipe as recipe


def test_principal_components_are_those_of_scikit_learn() -> None:
    from sklearn.decomposition import PCA

    images = np.random.default_rng(1).integers(0, 256, (900, 28, 28)).astype(np.uint8)
    mean, variance, components = recipe.principal_components(images)
    reference = PCA(5, svd_solver="full").fit(images.reshape(900, -1) / 255)
    np.testing.assert_allclose(variance[:5] * 900 / 899, reference.explained_variance_, rtol=1e-9)
    reduced = recipe.reduce_energy(images, mean, components[:, :5]).reshape(900, -1)
    pixels = images.reshape(900, -1) / 255
    expected = reference.inverse_transform(reference.transform(pixels))
    np.testing.assert_allclose(reduced, expected, atol=1e-5)  # float32
    whole = recipe.reduce_energy(images, mean, components)
    np.testing.assert_allclose(whole, images / 255, atol=1e-5)
    energy = np.sum((reduced - mean) ** 2) / np.sum((pixels - mean) ** 2)
    assert energy == pytest.approx(variance[:5].sum() / variance.sum(), rel=1e-4)


def spectrogram_by_hand(wave: np.ndarray) -> np.ndarray:
    columns = []
    for i in range(112):
        start = round(i * (len(wave) - 224) / 111)
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(224) / 224)
        columns.append(np.abs(np.fft.fft(wave[start : start + 224] * window)[1:113]) ** 2)
    decibel = 10 * np.log10(np.array(columns).T)
    return np.asarray((np.maximum(decibel - decibel.max(), -80) + 80) / 80)


@pytest.mark.parametrize("length", [224, 1152, 8000])
def test_spectrogram_against_the_formula_and_within_half_a_step(length: int) -> None:
    wave = np.random.default_rng(length).standard_normal(length)
    (found,) = recipe.spectrogram(
        np.resize(wave, 8000)[None].astype(np.float32), np.array([length])
    )
    assert np.abs(found / 255 - spectrogram_by_hand(wave)).max() <= 0.5 / 255 + 1e-5  # float32
    assert found.max() == 255


def test_a_tone_lights_its_frequency_at_all_times() -> None:
    # 20 periods in a window are bin 20, which is row 19 because bin 0 is dropped
    wave = np.sin(2 * np.pi * 20 * np.arange(8000) / 224)
    (found,) = recipe.spectrogram(wave[None].astype(np.float32), np.array([5000]))
    assert (found.argmax(0) == 19).all()


@pytest.mark.parametrize("snr", [-14.0, 0.0, 6.0])
@pytest.mark.parametrize("kind", range(4))
def test_the_noise_has_the_level_and_the_colour_it_should_have(snr: float, kind: int) -> None:
    rng = np.random.default_rng(2)
    clips = [rng.standard_normal(n).astype(np.float32) for n in (3000, 8000, 1152, 4000)]
    chosen, babble = np.array([0, 1, 2]), np.array([[1, 3, 0]] * 3)
    mixed = recipe.noisy_waves(clips, chosen, np.full(3, kind), babble, snr, rng)
    for i, wave in zip(chosen, mixed, strict=True):
        clip = clips[i]
        noise = wave[: len(clip)] - clip
        ratio = np.std(clip) / np.sqrt(np.mean(noise**2))
        assert 20 * np.log10(ratio) == pytest.approx(snr, abs=0.3)  # std for RMS of the clip
        energies = np.sum(clip**2) / np.sum(noise**2)
        assert 10 * np.log10(energies) == pytest.approx(snr, abs=1e-3)
    noise = mixed[1] - clips[1]
    if kind < 3:
        power = np.abs(np.fft.rfft(noise)) ** 2
        low, high = np.arange(50, 200), np.arange(800, 3200)  # Hz; four octaves apart on average
        fall = np.log(power[low].mean() / power[high].mean())
        slope = fall / np.log(np.mean(1 / low) / np.mean(1 / high))
        assert slope == pytest.approx(kind, abs=0.35)
    else:
        expected = sum(np.resize(clips[j], 8000) for j in (1, 3, 0))
        assert np.corrcoef(noise, expected)[0, 1] > 0.999
