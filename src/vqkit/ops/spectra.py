"""Spectra of sound: magnitudes of the short-time Fourier transform, and mel filter banks."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

MEL_SCALES = ("slaney", "htk")
"""Slaney's Auditory Toolbox of 1998: linear below 1 kHz, then logarithmic; HTK: 2595 log10(1 + f / 700)."""
_LINEAR = 200 / 3
_KNEE = 1000.0
_STEP = math.log(6.4) / 27


def stft_magnitude(x: Tensor, window: int, hop: int) -> Tensor:
    """Compute the magnitudes of the short-time Fourier transform, of frames centered at 0, hop, 2 hop, ...

    A periodic Hann window, not normalized: ``torch.stft`` with zeros before and after the signal, whose frames that
    are centered past its last sample are left out. Zeros rather than a reflection, so that any length will do, and a
    signal followed by zeros has the frames that it has alone.

    Args:
        x: ``[batch, channels, time]``, float32 or wider.
        window: samples a frame.
        hop: samples from frame to frame.

    Returns:
        ``[batch, channels, window // 2 + 1, (time - 1) // hop + 1]``; its gradient is finite, and 0 where it is 0.

    Example:
        >>> import torch
        >>> from vqkit.ops import stft_magnitude
        >>> stft_magnitude(torch.ones(2, 1, 100), window=32, hop=8).shape
        torch.Size([2, 1, 17, 13])
    """
    magnitudes: Tensor = stft(x, window, hop).abs()
    return magnitudes


def stft(x: Tensor, window: int, hop: int) -> Tensor:
    """Compute the short-time Fourier transform of which ``stft_magnitude`` gives the magnitudes; complex.

    Example:
        >>> import torch
        >>> from vqkit.ops.spectra import stft
        >>> stft(torch.ones(2, 1, 100), window=32, hop=8).dtype
        torch.complex64
    """
    batch, channels, time = x.shape
    padded = functional.pad(x.flatten(0, 1), (window // 2, window))
    hann = torch.hann_window(window, dtype=x.dtype, device=x.device)
    spectra = torch.stft(padded, window, hop, window=hann, center=False, return_complex=True)
    return spectra[..., : (time - 1) // hop + 1].unflatten(0, (batch, channels))


@lru_cache(maxsize=64)
def mel_filters(
    rate: float, window: int, bands: int, scale: str = "slaney", low: float = 0.0, high: float | None = None
) -> Tensor:
    """Make a bank of triangular filters, evenly spaced on the mel scale, each of area 1 (2 / width in Hz at its peak).

    The same as ``librosa.filters.mel(htk=scale == "htk")``. Where filters are narrower than the ``rate / window`` Hz
    from frequency to frequency, some may be empty.

    Args:
        rate: samples a second.
        window: of the Fourier transform, in samples.
        bands: filters.
        scale: one of ``MEL_SCALES``.
        low: lower edge of the first filter, in Hz.
        high: upper edge of the last, in Hz; None: half the rate.

    Returns:
        ``[bands, window // 2 + 1]`` float64, on the CPU; the same tensor for the same arguments: do not change it.

    Example:
        >>> from vqkit.ops import mel_filters
        >>> mel_filters(16000, 512, 40).shape
        torch.Size([40, 257])
    """
    with torch.inference_mode(False):  # for later callers, who may need a gradient
        return _triangles(rate, window, bands, scale, low, rate / 2 if high is None else high)


def _triangles(rate: float, window: int, bands: int, scale: str, low: float, high: float) -> Tensor:
    frequencies = torch.arange(window // 2 + 1, dtype=torch.float64) * (rate / window)
    mels = torch.linspace(_to_mel(low, scale), _to_mel(high, scale), bands + 2, dtype=torch.float64)
    edges = torch.tensor([_to_hertz(float(mel), scale) for mel in mels], dtype=torch.float64).unsqueeze(1)
    widths = edges.diff(dim=0)
    rising = (frequencies - edges[:-2]) / widths[:-1]
    falling = (edges[2:] - frequencies) / widths[1:]
    triangles = torch.minimum(rising, falling).clamp_min(0)
    return triangles * (2 / (edges[2:] - edges[:-2]))


def mel_magnitude(x: Tensor, rate: float, window: int, hop: int, bands: int, scale: str = "slaney") -> Tensor:
    """Compute a mel spectrogram of magnitudes: ``mel_filters`` times ``stft_magnitude``.

    Args:
        x: ``[batch, channels, time]``, float32 or wider.
        rate: samples a second.
        window: samples a frame.
        hop: samples from frame to frame.
        bands: mel bands.
        scale: one of ``MEL_SCALES``.

    Returns:
        ``[batch, channels, bands, frames]``, frames as of ``stft_magnitude``.

    Example:
        >>> import torch
        >>> from vqkit.ops import mel_magnitude
        >>> mel_magnitude(torch.ones(2, 1, 100), 16000, window=32, hop=8, bands=5).shape
        torch.Size([2, 1, 5, 13])
    """
    return _filters_on(rate, window, bands, scale, x.dtype, x.device) @ stft_magnitude(x, window, hop)


@lru_cache(maxsize=64)
def _filters_on(rate: float, window: int, bands: int, scale: str, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The filters on a device, once: no step of a training waits for a copy."""
    with torch.inference_mode(False):  # such a tensor could not be used in a training
        return mel_filters(rate, window, bands, scale).to(dtype).to(device)


def _to_mel(hertz: float, scale: str) -> float:
    if scale == "htk":
        return 2595 * math.log10(1 + hertz / 700)
    return hertz / _LINEAR if hertz < _KNEE else _KNEE / _LINEAR + math.log(hertz / _KNEE) / _STEP


def _to_hertz(mel: float, scale: str) -> float:
    if scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    knee = _KNEE / _LINEAR
    return mel * _LINEAR if mel < knee else _KNEE * math.exp(_STEP * (mel - knee))
