"""Distortion of a reconstruction: squared error, PSNR, SSIM."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vqkit.ops import float64

_BLOCK = 1 << 19
"""Values blurred at a time, 4 MiB in float64: the passes of a strip stay in cache, and memory stays small."""


def squared_error(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared error of each item: ``[batch]`` float64, from two tensors ``[batch, channels, *size]``."""
    return (float64(x) - float64(y)).square().flatten(1).mean(dim=1)


def psnr_db(mse: float, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB, ``10 log10(peak^2 / mse)``; infinite for an error of zero."""
    return math.inf if mse == 0 else 10 * math.log10(peak * peak / mse)


def ssim(x: Tensor, y: Tensor, peak: float = 1.0) -> Tensor:
    """Structural similarity of each image (Wang, Bovik, Sheikh and Simoncelli 2004).

    Gaussian window of 11 pixels with sigma 1.5 (smaller, odd, for images under 11 pixels), K1 = 0.01, K2 = 0.03,
    population covariances; the mean over all places where the whole window fits, then over channels. Equal to
    scikit-image's ``structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)``.

    Args:
        x: ``[batch, channels, height, width]``.
        y: the same shape.
        peak: the range of the values.

    Returns:
        ``[batch]`` float64, 1 for identical images.
    """
    similarity, _ = ssim_parts(x, y, peak)
    return similarity.mean(dim=1)


def ssim_parts(x: Tensor, y: Tensor, peak: float = 1.0) -> tuple[Tensor, Tensor]:
    """SSIM of each channel, and the part of it that is contrast and structure only (no luminance).

    Args:
        x: ``[batch, channels, height, width]``.
        y: the same shape.
        peak: the range of the values.

    Returns:
        Two ``[batch, channels]`` float64: means over the places where the whole window fits (see ``ssim``).

    Raises:
        ValueError: tensors of other shapes, or without pixels.
    """
    if x.shape != y.shape or x.ndim != 4:
        raise ValueError(
            f"expected two tensors [batch, channels, height, width], got {tuple(x.shape)}, {tuple(y.shape)}"
        )
    if 0 in x.shape[1:]:
        raise ValueError(f"images of shape {tuple(x.shape[1:])} have no pixels to compare; every axis needs at least 1")
    batch, channels, height, width = x.shape
    window = min(11, (min(height, width) - 1) // 2 * 2 + 1)
    raw = [math.exp(-((k - window // 2) ** 2) / (2 * 1.5**2)) for k in range(window)]
    weights = [weight / sum(raw) for weight in raw]
    rows = max(1, _BLOCK // max(1, batch * channels * width))
    x, y = (image.cpu() if image.device.type == "mps" else image for image in (x, y))  # MPS has no float64
    total = torch.zeros(2, batch, channels, dtype=torch.float64, device=x.device)
    for top in range(0, height - window + 1, rows):
        strip = slice(top, top + rows + window - 1)
        luminance, structure = _similarity(x[:, :, strip].double(), y[:, :, strip].double(), weights, peak)
        total += torch.stack([(luminance * structure).sum(dim=(2, 3)), structure.sum(dim=(2, 3))])
    similarity, structure = total / ((height - window + 1) * (width - window + 1))
    return similarity, structure


def _similarity(x: Tensor, y: Tensor, weights: list[float], peak: float) -> tuple[Tensor, Tensor]:
    """Luminance, and contrast with structure, wherever the window fits: ``[batch, channels, H - w + 1, W - w + 1]``."""
    mean_x, mean_y = _blur(x, weights), _blur(y, weights)
    variance_x = _blur(x * x, weights) - mean_x * mean_x
    variance_y = _blur(y * y, weights) - mean_y * mean_y
    covariance = _blur(x * y, weights) - mean_x * mean_y
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return luminance, structure


def _blur(image: Tensor, weights: list[float]) -> Tensor:
    """The weighted mean over a square window: sums of shifted views, far faster than a float64 convolution on CPUs."""
    for axis in (2, 3):
        length = image.shape[axis] - len(weights) + 1
        blurred = image.narrow(axis, 0, length) * weights[0]
        for shift, weight in enumerate(weights[1:], start=1):
            blurred.add_(image.narrow(axis, shift, length), alpha=weight)
        image = blurred
    return image
