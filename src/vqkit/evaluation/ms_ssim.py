"""Structural similarity over several scales: MS-SSIM, and the same in decibels."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional

from vqkit.evaluation.distortion import ssim_parts
from vqkit.ops import float64

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the scales, the finest first (Wang, Simoncelli and Bovik 2003); they sum to 1.0001, and are used as published."""
WINDOW = 11
_CLOSEST = 1e-10


def scales(height: int, width: int) -> int:
    """Return the number of scales, 1 to 5, at which the window of 11 pixels fits the image.

    Five from 161 pixels on the shorter side, as odd sides are rounded up when they are halved.
    """
    side, found = min(height, width), 1
    while found < len(WEIGHTS) and -(-side // 2) >= WINDOW:
        side, found = -(-side // 2), found + 1
    return found


def ms_ssim(x: Tensor, y: Tensor, peak: float = 1.0) -> Tensor:
    """Multi-scale structural similarity of each image (Wang, Simoncelli and Bovik 2003).

    The product over scales of contrast-structure (at the coarsest: all of SSIM), each a mean over the places where the
    window fits, to the power of its weight; of each channel, then the mean over channels. Between scales images are
    averaged over 2x2 pixels; an odd last row or column is repeated, as the authors' filter does. Means below 0 count
    as 0, since a power of them is no number.

    Images whose shorter side is below 161 pixels have fewer than five scales (``scales``): the weights of those that
    they have are then divided by their sum, so that values stay comparable in kind, though not in digits, to those of
    large images. Under 11 pixels the window shrinks as it does for ``ssim``.

    Args:
        x: ``[batch, channels, height, width]``.
        y: the same shape.
        peak: the range of the values.

    Returns:
        ``[batch]`` float64, 1 for identical images.

    Raises:
        ValueError: tensors of other shapes, or without pixels.
    """
    x, y = float64(x), float64(y)
    count = scales(*x.shape[-2:]) if x.ndim == 4 and 0 not in x.shape else 1
    weights = WEIGHTS if count == len(WEIGHTS) else [each / sum(WEIGHTS[:count]) for each in WEIGHTS[:count]]
    product: Tensor | None = None
    for scale, weight in enumerate(weights):
        if scale:
            x, y = _halved(x), _halved(y)
        similarity, structure = ssim_parts(x, y, peak)
        factor = (similarity if scale == count - 1 else structure).clamp(min=0) ** weight
        product = factor if product is None else product * factor
    assert product is not None
    return product.mean(dim=1)


def ms_ssim_db(value: float) -> float:
    """``-10 log10(1 - value)``: 10 dB is 0.9, 20 dB 0.99; 100 dB stands for identical images."""
    return -10 * math.log10(max(1 - value, _CLOSEST))


def _halved(image: Tensor) -> Tensor:
    """Means of 2x2 pixels; the last row or column of an odd side counts twice."""
    height, width = image.shape[-2:]
    if height % 2 or width % 2:
        image = functional.pad(image, (0, width % 2, 0, height % 2), mode="replicate")
    return functional.avg_pool2d(image, 2)
