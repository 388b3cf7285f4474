"""Distortion of waveforms, aligned for delay: signal-to-noise and scale-invariant signal-to-distortion ratios."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from vqkit.ops import float64

_SAME = 1e-12
"""Squared correlations that differ by less are one: the shortest delay of a periodic sound is taken."""
_SILENT = 1e-10
"""Share of a signal's energy up to which the samples that both have are none of it."""


def delay_samples(x: Tensor, y: Tensor, most: int) -> Tensor:
    """Find the delay of each reconstruction, that at which its scale-invariant signal-to-distortion ratio is highest.

    ``y[t + delay]`` then belongs to ``x[t]``; it is that of the highest squared correlation coefficient (without
    removal of the mean) over the samples that both have, of all channels together.

    Args:
        x: the signals ``[batch, channels, time]``.
        y: reconstructions, the same shape.
        most: samples of delay, either way, at most; a quarter of the signal at most whatever it is.

    Returns:
        ``[batch]`` int64.

    Raises:
        ValueError: tensors of other shapes.

    Example:
        >>> import torch
        >>> from vqkit.evaluation.sound import delay_samples
        >>> x = torch.randn(1, 1, 100)
        >>> delay_samples(x, x.roll(3, dims=2), most=8)
        tensor([3])
    """
    x, y = _checked(x, y)
    time = x.shape[2]
    most = min(most, time // 4)
    if most < 1:
        return torch.zeros(len(x), dtype=torch.int64)
    size = time + most
    spectra = torch.fft.rfft(x, size), torch.fft.rfft(y, size)
    products = torch.fft.irfft((spectra[0].conj() * spectra[1]).sum(dim=1), size)
    lags = torch.tensor(sorted(range(-most, most + 1), key=abs), device=x.device)
    energies = [functional.pad(numbers.square().sum(dim=1).cumsum(dim=1), (1, 0)) for numbers in (x, y)]
    late, early = lags.clamp_min(0), (-lags).clamp_min(0)
    of_x = energies[0][:, time - late] - energies[0][:, early]
    of_y = energies[1][:, time - early] - energies[1][:, late]
    tiny = torch.finfo(torch.float64).tiny
    silent = (of_x <= _SILENT * of_x[:, :1]) | (of_y <= _SILENT * of_y[:, :1])  # sums and products are but rounding
    correlations = (products[:, lags % size].square() / (of_x * of_y).clamp_min(tiny)).masked_fill(silent, 0.0)
    best = correlations.max(dim=1, keepdim=True).values * (1 - _SAME)
    return lags[(correlations >= best).int().argmax(dim=1)].cpu()


def snr_db(x: Tensor, y: Tensor, max_delay: int = 0) -> Tensor:
    """Signal-to-noise ratio of each item in dB, ``10 log10(|x|^2 / |x - y|^2)``, all channels together.

    Args:
        x: the signals ``[batch, channels, time]``.
        y: reconstructions, the same shape.
        max_delay: samples; the delay (see ``delay_samples``) is taken out before.

    Returns:
        ``[batch]`` float64: infinite without an error, minus infinite for an error of silence.

    Raises:
        ValueError: tensors of other shapes.

    Example:
        >>> import torch
        >>> from vqkit.evaluation.sound import snr_db
        >>> x = torch.ones(1, 1, 8)
        >>> round(snr_db(x, 0.9 * x).item(), 3)
        20.0
    """
    return _ratios(x, y, max_delay, scaled=False)


def si_sdr_db(x: Tensor, y: Tensor, max_delay: int = 0) -> Tensor:
    """Scale-invariant signal-to-distortion ratio of each item in dB (Le Roux et al. 2019, arXiv 1811.02508).

    ``10 log10(|a x|^2 / |a x - y|^2)`` with ``a = <x, y> / |x|^2``, all channels together, means left in.

    Args:
        x: the signals ``[batch, channels, time]``.
        y: reconstructions, the same shape.
        max_delay: samples; the delay (see ``delay_samples``) is taken out before.

    Returns:
        ``[batch]`` float64: infinite for a multiple of the signal, minus infinite where nothing of it is left.

    Raises:
        ValueError: tensors of other shapes.

    Example:
        >>> import torch
        >>> from vqkit.evaluation.sound import si_sdr_db
        >>> x = torch.tensor([[[1.0, 0.0, -1.0, 0.0]]])
        >>> si_sdr_db(x, 3 * x), si_sdr_db(x, x + x.roll(1, dims=2))
        (tensor([inf], dtype=torch.float64), tensor([0.], dtype=torch.float64))
    """
    return _ratios(x, y, max_delay, scaled=True)


def _ratios(x: Tensor, y: Tensor, max_delay: int, *, scaled: bool) -> Tensor:
    x, y = _checked(x, y)
    delays = delay_samples(x, y, max_delay).tolist() if max_delay > 0 else [0] * len(x)
    return torch.tensor([_ratio(*_overlap(*pair), scaled=scaled) for pair in zip(x, y, delays, strict=True)]).double()


def _overlap(x: Tensor, y: Tensor, delay: int) -> tuple[Tensor, Tensor]:
    """The samples of a signal and of its reconstruction ``[channels, time]`` that belong together."""
    time = x.shape[1]
    return x[:, max(0, -delay) : time - max(0, delay)], y[:, max(0, delay) : time - max(0, -delay)]


def _ratio(x: Tensor, y: Tensor, *, scaled: bool) -> float:
    if scaled:
        x = x * ((x * y).sum() / x.square().sum().clamp_min(torch.finfo(torch.float64).tiny))
    signal, noise = float(x.square().sum()), float((x - y).square().sum())
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def _checked(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Two tensors in float64.

    Raises:
        ValueError: tensors of other shapes.
    """
    if x.shape != y.shape or x.ndim != 3:
        raise ValueError(f"expected two tensors [batch, channels, time], got {tuple(x.shape)}, {tuple(y.shape)}")
    return float64(x), float64(y)
