"""Codebook and rate measures of a whole set by other formulas than the code's, in plain Python and float64."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import numpy.typing as npt


def codebook_measures(indices: npt.NDArray[np.int64], codebook_size: int) -> dict[str, float]:
    """Usage, perplexity and the sizes of all indices of a set.

    The entropy is ``log2 n - sum(c log2 c) / n`` over counts c, and the perplexity the product of ``p^-p``.
    """
    counts = Counter(indices.ravel().tolist())
    n = indices.size
    entropy = math.log2(n) - sum(count * math.log2(count) for count in counts.values()) / n
    perplexity = math.prod((count / n) ** -(count / n) for count in counts.values())
    return {
        "usage": len(counts) / codebook_size,
        "perplexity": perplexity,
        "nominal_bits": n * math.log(codebook_size) / math.log(2),
        "entropy_bits": n * entropy,
    }


def distortion(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> dict[str, float]:
    """MSE, its ratio to the variance, and PSNR of a whole set, by NumPy over all values at once."""
    mse = float(np.mean((x - y) ** 2))
    return {"mse": mse, "nmse": mse / float(np.var(x)), "psnr_db": -20 * math.log10(math.sqrt(mse))}


def ssim(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], window: int) -> float:
    """SSIM of two planes in [0, 1] by a loop over places: weighted variances of centred values, not of raw moments."""
    offsets = np.arange(window) - window // 2
    weights = np.exp(-(offsets[:, None] ** 2 + offsets[None, :] ** 2) / 4.5)
    weights /= weights.sum()
    found = []
    for top in range(x.shape[0] - window + 1):
        for left in range(x.shape[1] - window + 1):
            a, b = (plane[top : top + window, left : left + window] for plane in (x, y))
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            var_a, var_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
            covariance = (weights * (a - mean_a) * (b - mean_b)).sum()
            luminance = (2 * mean_a * mean_b + 1e-4) / (mean_a**2 + mean_b**2 + 1e-4)
            found.append(luminance * (2 * covariance + 9e-4) / (var_a + var_b + 9e-4))
    return float(np.mean(found))
