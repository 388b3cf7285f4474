"""How far a reconstruction is from its signal: squared error, PSNR, SSIM."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def squared_error(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared error of each item: ``[batch]`` float64, from two tensors ``[batch, channels, *size]``."""
    return (x.double() - y.double()).square().flatten(1).mean(dim=1)


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
    if x.shape != y.shape or x.ndim != 4:
        raise ValueError(
            f"expected two tensors [batch, channels, height, width], got {tuple(x.shape)}, {tuple(y.shape)}"
        )
    channels = x.shape[1]
    window = min(11, (min(x.shape[2:]) - 1) // 2 * 2 + 1)
    offsets = torch.arange(window, dtype=torch.float64, device=x.device) - window // 2
    weights = torch.exp(-offsets.square() / (2 * 1.5**2))
    weights = (weights / weights.sum()).to(torch.float64)

    def blur(image: Tensor) -> Tensor:
        rows = functional.conv2d(image, weights.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
        return functional.conv2d(rows, weights.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)

    x, y = x.double(), y.double()
    mean_x, mean_y = blur(x), blur(y)
    variance_x = blur(x * x) - mean_x * mean_x
    variance_y = blur(y * y) - mean_y * mean_y
    covariance = blur(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return (luminance * structure).flatten(1).mean(dim=1)
