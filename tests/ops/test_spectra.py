"""Short-time Fourier transforms and mel filter banks against SciPy, sums by definition, and librosa's numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import signal

from tests.reference.sound import filters, magnitudes
from vqkit.ops import mel_filters, mel_magnitude, stft_magnitude


@pytest.mark.parametrize(("window", "hop", "time"), [(32, 8, 100), (512, 128, 4000), (64, 16, 64), (6, 1, 5)])
def test_magnitudes_are_those_of_scipy(window: int, hop: int, time: int) -> None:
    waves = np.random.default_rng(0).normal(size=(2, 3, time))
    hann = signal.windows.hann(window, sym=False)
    transform = signal.ShortTimeFFT(hann, hop, fs=1.0)
    frames = (time - 1) // hop + 1
    expected = np.abs(transform.stft(waves, p0=0, p1=frames))
    np.testing.assert_allclose(stft_magnitude(torch.tensor(waves), window, hop).numpy(), expected, atol=1e-11)


@pytest.mark.parametrize("time", [1, 2, 31, 200])
def test_magnitudes_of_any_length_are_sums_by_definition(time: int) -> None:
    wave = np.random.default_rng(time).normal(size=time)
    found = stft_magnitude(torch.tensor(wave)[None, None], 32, 8)[0, 0]
    np.testing.assert_allclose(found.numpy(), magnitudes(wave, 32, 8), atol=1e-12)


def test_silence_has_a_gradient_of_zero() -> None:
    silence = torch.zeros(1, 1, 64, requires_grad=True)
    mel_magnitude(silence, 8000, 32, 8, 5).sum().backward()
    assert silence.grad is not None
    assert not silence.grad.any()


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize(("rate", "window", "bands"), [(16000, 2048, 320), (16000, 32, 5), (44100, 512, 80)])
def test_filters_by_definition(rate: int, window: int, bands: int, scale: str) -> None:
    expected = filters(rate, window, bands, scale)
    found = mel_filters(rate, window, bands, scale).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-3 * expected.max())


@pytest.mark.parametrize("scale", ["slaney", "htk"])
def test_filters_are_those_of_librosa_where_it_is_installed(scale: str) -> None:
    librosa = pytest.importorskip("librosa")
    expected = librosa.filters.mel(sr=48000, n_fft=2048, n_mels=150, htk=scale == "htk", dtype=np.float64)
    np.testing.assert_allclose(mel_filters(48000, 2048, 150, scale).numpy(), expected, atol=1e-12)


def test_filters_are_those_that_librosa_made() -> None:
    """The second and third filter of ``librosa.filters.mel(sr=16000, n_fft=64, n_mels=4)`` of librosa 0.11."""
    second = [0, 0, 0, 2.7191e-4, 7.3521e-4, 1.1613e-3, 8.8615e-4, 6.1100e-4, 3.3586e-4]
    third = [0, 0, 0, 0, 0, 7.7217e-6, 1.6090e-4, 3.1408e-4, 4.6726e-4]
    bank = mel_filters(16000, 64, 4)
    np.testing.assert_allclose(bank[1:3, :9].numpy(), [second, third], rtol=5e-5)


@pytest.mark.parametrize("scale", ["slaney", "htk"])
def test_filters_have_area_one_and_lie_within_their_edges(scale: str) -> None:
    bank = mel_filters(16000, 1 << 14, 20, scale, low=100.0, high=4000.0)
    hertz = torch.arange(bank.shape[1]) * (16000 / (1 << 14))
    assert torch.allclose(bank.sum(dim=1) * (16000 / (1 << 14)), torch.ones(20).double(), rtol=1e-3)
    assert not bank[:, (hertz < 100) | (hertz > 4000)].any()
    assert (bank.argmax(dim=1).diff() > 0).all()


def test_filters_that_inference_made_serve_a_training() -> None:
    with torch.inference_mode():
        mel_magnitude(torch.ones(1, 1, 64), 7000, 32, 8, 3)
    wave = torch.ones(1, 1, 64, requires_grad=True)
    mel_magnitude(wave, 7000, 32, 8, 3).sum().backward()
    assert wave.grad is not None
