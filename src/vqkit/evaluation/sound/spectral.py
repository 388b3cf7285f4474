"""Distances of spectra of sound: of mel spectrograms, and of short-time Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vqkit.ops import float64, mel_magnitude, stft_magnitude

_BANDS = {2048: 150, 512: 80}
"""Window lengths in samples, and mel bands of each."""
_FLOOR = 1e-5
_BLOCK = 1 << 18
"""Samples transformed at a time, so that an hour takes no more memory than these."""


def mel_distance(x: Tensor, y: Tensor, rate: int) -> Tensor:
    """Distance of the mel spectrograms of each item, as of the Descript Audio Codec's and Codec-SUPERB's tables.

    The sum over windows of 2048 samples (150 bands) and 512 (80 bands) of ``mean |log10 M(x)^2 - log10 M(y)^2|``, of
    at least 1e-5, and ``mean |M(x) - M(y)|``: Kumar et al. 2023 (arXiv 2306.06546). Beyond their ends signals are zero
    (there they are reflected, which differs in the two outermost frames).

    Args:
        x: the signals ``[batch, channels, time]``, in [-1, 1].
        y: reconstructions, the same shape.
        rate: samples a second.

    Returns:
        ``[batch]`` float64, 0 for identical sounds.

    Raises:
        ValueError: tensors of other shapes.

    Example:
        >>> import torch
        >>> from vqkit.evaluation.sound import mel_distance
        >>> x = torch.randn(2, 1, 4000)
        >>> mel_distance(x, x, rate=8000)
        tensor([0., 0.], dtype=torch.float64)
    """
    return _distance(x, y, lambda z, window: mel_magnitude(z, rate, window, window // 4, _BANDS[window]))


def stft_distance(x: Tensor, y: Tensor) -> Tensor:
    """Multi-resolution distance of the magnitudes of short-time Fourier transforms of each item.

    As ``mel_distance``, of the magnitudes themselves: the "STFT distance" of the same tables.

    Args:
        x: the signals ``[batch, channels, time]``, in [-1, 1].
        y: reconstructions, the same shape.

    Returns:
        ``[batch]`` float64, 0 for identical sounds.

    Raises:
        ValueError: tensors of other shapes.

    Example:
        >>> import torch
        >>> from vqkit.evaluation.sound import stft_distance
        >>> x = torch.randn(2, 1, 4000)
        >>> stft_distance(x, x)
        tensor([0., 0.], dtype=torch.float64)
    """
    return _distance(x, y, lambda z, window: stft_magnitude(z, window, window // 4))


def _distance(x: Tensor, y: Tensor, spectrum: Callable[[Tensor, int], Tensor]) -> Tensor:
    if x.shape != y.shape or x.ndim != 3 or x.shape[2] < 1:
        raise ValueError(f"expected two tensors [batch, channels, time], got {tuple(x.shape)}, {tuple(y.shape)}")
    time = x.shape[2]
    total = torch.zeros(len(x), dtype=torch.float64)
    for window in _BANDS:
        hop, count = window // 4, 0
        found = torch.zeros(len(x), dtype=torch.float64)
        for start in range(0, time, _BLOCK):  # a multiple of every hop: frames begin where they would of the whole
            stop = min(time, start + _BLOCK)
            before = min(start, window // 2)
            pair = [float64(z[..., start - before : stop + window // 2]) for z in (x, y)]
            frames = slice(before // hop, before // hop + -(-(stop - start) // hop))
            first, second = (spectrum(z, window)[..., frames] for z in pair)
            logs = [z.clamp_min(_FLOOR).log10() * 2 for z in (first, second)]
            found += ((logs[0] - logs[1]).abs() + (first - second).abs()).flatten(1).sum(dim=1).cpu()
            count += first[0].numel()
        total += found / count
    return total
