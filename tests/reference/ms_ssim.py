"""MS-SSIM as its authors' MATLAB has it, in NumPy and SciPy: full 2-D filters, and every second pixel of a 2x2 mean."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage, signal

_WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
Plane = npt.NDArray[np.float64]


def ms_ssim(x: Plane, y: Plane, scales: int = 5) -> float:
    """Of two planes in [0, 1]; with fewer than five scales the weights are renormalised."""
    rows, columns = np.mgrid[-5:6, -5:6]
    window = np.exp(-(rows**2 + columns**2) / (2 * 1.5**2))
    window /= window.sum()
    weights = _WEIGHTS if scales == 5 else _WEIGHTS[:scales] / _WEIGHTS[:scales].sum()
    logarithm = 0.0
    for scale in range(scales):
        luminance, structure = _maps(x, y, window)
        value = np.mean(luminance * structure) if scale == scales - 1 else np.mean(structure)
        logarithm += weights[scale] * np.log(max(value, 1e-300))
        x, y = (_half(plane) for plane in (x, y))
    return float(np.exp(logarithm))


def _maps(x: Plane, y: Plane, window: Plane) -> tuple[Plane, Plane]:
    def blurred(plane: Plane) -> Plane:
        return np.asarray(signal.fftconvolve(plane, window, mode="valid"))

    mean_x, mean_y = blurred(x), blurred(y)
    var_x, var_y = blurred(x**2) - mean_x**2, blurred(y**2) - mean_y**2
    covariance = blurred(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + 1e-4) / (mean_x**2 + mean_y**2 + 1e-4)
    return luminance, (2 * covariance + 9e-4) / (var_x + var_y + 9e-4)


def _half(plane: Plane) -> Plane:
    """``imfilter(plane, ones(2) / 4, 'symmetric')``, then every second row and column."""
    filtered = ndimage.correlate(plane, np.full((2, 2), 0.25), mode="reflect", origin=-1)
    return np.asarray(filtered[::2, ::2])
