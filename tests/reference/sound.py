"""Spectra of sound in NumPy float64: sums by their definitions, one frame and one filter at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def spectra(wave: Array, window: int, hop: int) -> Array:
    """Of frames centered at 0, hop, ... before the end of ``wave [time]``: complex ``[window // 2 + 1, frames]``."""
    places = np.arange(window)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * places / window)
    waves = np.exp(-2j * np.pi * np.arange(window // 2 + 1)[:, None] * places / window)
    columns = []
    for center in range(0, len(wave), hop):
        frame = np.zeros(window)
        for place in range(window):
            time = center - window // 2 + place
            if 0 <= time < len(wave):
                frame[place] = wave[time]
        columns.append(waves @ (hann * frame))
    return np.stack(columns, axis=1)


def magnitudes(wave: Array, window: int, hop: int) -> Array:
    """The absolute values of ``spectra``."""
    return np.abs(spectra(wave, window, hop))


def filters(rate: float, window: int, bands: int, scale: str) -> Array:
    """Triangles in hertz, each of area 1: ``[bands, window // 2 + 1]``."""
    grid = np.linspace(0, rate / 2, 200001)
    if scale == "htk":
        mels = 1127 * np.log1p(grid / 700)
    else:
        mels = np.where(grid < 1000, 3 * grid / 200, 15 + 27 * np.log(np.maximum(grid, 1) / 1000) / np.log(6.4))
    edges = np.interp(np.linspace(mels[0], mels[-1], bands + 2), mels, grid)
    frequencies = np.fft.rfftfreq(window, 1 / rate)
    return np.stack(
        [
            np.interp(frequencies, edges[band : band + 3], [0, 2 / (edges[band + 2] - edges[band]), 0])
            for band in range(bands)
        ]
    )
