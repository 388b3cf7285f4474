"""Spectral ends of networks for sound: torch's transform as oracle, exact logarithms, no value near a tie."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import vqkit
from vqkit.networks.sound.fixed_point import FRACTION_BITS, on_grid
from vqkit.networks.sound.passes import Pass
from vqkit.networks.sound.spectral import FLOOR, LogSpectrum, OverlapAdd, fourier_basis, log_power

EXACT = Pass(exact=True)


def sound(length: int, channels: int = 2) -> Tensor:
    return torch.randn(3, channels, length, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("stride", [5, 8])
def test_log_spectrum_is_that_of_torch_with_windows_where_they_belong(causal: bool, stride: int) -> None:
    layer, x, window = LogSpectrum(2, stride, causal=causal), sound(20 * stride), 4 * stride
    left = window - stride if causal else window - stride - (window - stride) // 2
    padded = torch.nn.functional.pad(x, (left, window - stride - left)).flatten(0, 1)
    hann = torch.hann_window(window)
    wanted = torch.stft(padded, window, stride, window=hann, center=False, return_complex=True).abs().square()
    wanted = (wanted / hann.square().sum() + FLOOR).log().unflatten(0, (3, 2)).flatten(1, 2) / 4 + 1
    assert layer(x, Pass()).shape == (3, layer.outputs, 20)
    assert torch.allclose(layer(x, Pass()), wanted, atol=1e-4)
    assert torch.allclose(layer(on_grid(x), EXACT).float(), wanted, atol=2e-2)  # at -13, where the grid is felt


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("stride", [5, 8])
def test_overlap_add_inverts_the_transform(causal: bool, stride: int, exact: bool) -> None:
    layer, x = OverlapAdd(1, stride, causal=causal), sound(40 * stride, 1)
    before = 0 if causal else (4 * stride - stride) // 2
    real, imaginary = fourier_basis(4 * stride)
    windows = torch.nn.functional.pad(x, (before, 4 * stride)).unfold(2, 4 * stride, stride)[:, 0, :40].double()
    spectra = torch.complex(windows @ real.T, windows @ imaginary.T).transpose(1, 2)
    parameters = torch.cat([(spectra.abs().log() + 2) / 4, spectra.angle()], dim=1)
    back = layer(on_grid(parameters) if exact else parameters.float(), Pass(exact))
    assert back.shape == x.shape
    inner = slice(4 * stride, -4 * stride)
    assert float((back - x)[..., inner].abs().max()) < (2e-3 if exact else 1e-4)


def test_logarithms_are_within_the_table_and_none_lies_near_a_tie() -> None:
    power = torch.cat([torch.zeros(1), torch.logspace(-9, 6, 5000)]).double()
    power = (power * 2.0**30).round() * 2.0**-30
    assert float((log_power(power) - (power + FLOOR).log()).abs().max()) < 1.3e-4 + 2.0**-15
    steps = torch.arange(1 << 12, dtype=torch.float64)
    _far_from_ties(((steps + 0.5) * 2.0**-13 + 0.5).log())


def test_no_value_of_a_magnitude_or_a_phase_lies_near_a_tie() -> None:
    phases = torch.arange(-31 << FRACTION_BITS, (31 << FRACTION_BITS) + 1, dtype=torch.float64) * 2.0**-FRACTION_BITS
    _far_from_ties(phases[phases != 0].cos())
    _far_from_ties(phases.sin())
    logs = torch.arange(-12 << FRACTION_BITS, int(6.5 * 2**FRACTION_BITS) + 1, dtype=torch.float64)
    _far_from_ties((logs[logs != 0] * 2.0**-FRACTION_BITS).exp())


def _far_from_ties(values: Tensor) -> None:
    scaled = values * 2.0**FRACTION_BITS
    assert float((scaled - scaled.floor() - 0.5).abs().min()) > 1e-8  # doubles below 2^25 err by 4e-9


def test_squares_of_a_coefficient_are_exact() -> None:
    """Multiples of 2^-30 below 2^21 have 51 bits."""
    largest = on_grid(torch.tensor([1e4], dtype=torch.float64))
    assert math.log2(float(2 * largest.square())) <= 21


def test_a_tokenizer_of_sound_trains_in_bfloat16() -> None:
    source = vqkit.load_source(sound(640, 1).numpy() / 8, kind="sound@8000")
    options = {"num_codebooks": 2, "stacking": "residual", "hidden_channels": 8, "downsampling": 40}
    model = vqkit.VQVAE.for_source(source, 16, seed=0, **options).train()
    x = model.read_signals(source.gather(range(3)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(x)
        output.loss.backward()
    assert torch.isfinite(output.loss)
    assert all(torch.isfinite(each.grad).all() for each in model.parameters() if each.grad is not None)


@pytest.mark.parametrize("causal", [True, False])
def test_spectra_of_narrow_numbers_are_computed_in_float32(causal: bool) -> None:
    narrow = sound(160).bfloat16()
    spectrum = LogSpectrum(2, 8, causal=causal)
    torch.testing.assert_close(spectrum(narrow, Pass()), spectrum(narrow.float(), Pass()), rtol=0, atol=0)
    layer = OverlapAdd(2, 8, causal=causal)
    frames = torch.randn(3, layer.inputs, 12, generator=torch.Generator().manual_seed(1)).bfloat16()
    torch.testing.assert_close(layer(frames, Pass()), layer(frames.float(), Pass()), rtol=0, atol=0)
