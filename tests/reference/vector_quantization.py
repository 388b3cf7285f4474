"""Vector quantisation in float64, one vector at a time, straight from the paper's equations."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def nearest(latents: Array, codebook: Array) -> npt.NDArray[np.int64]:
    """Equation 1, by the distances themselves: the first code at the smallest distance."""
    found = []
    for vector in latents:
        distances = [float(np.sum((vector - code) ** 2)) for code in codebook]
        found.append(distances.index(min(distances)))
    return np.array(found, dtype=np.int64)


def distance_gap(latents: Array, codebook: Array) -> Array:
    """How much farther the second nearest code is than the nearest, in squared distance, per latent."""
    squared = ((latents[:, None, :] - codebook[None, :, :]) ** 2).sum(-1)
    ordered = np.sort(squared, axis=1)
    return ordered[:, 1] - ordered[:, 0]


def ema_closed_form(
    batches: list[tuple[Array, npt.NDArray[np.int64]]], start: Array, decay: float, epsilon: float
) -> Array:
    """The codebook after batches with given assignments: weighted sums over all of the past, no recursion.

    ``start`` is the first codebook, held with a count of one per code.
    """
    codes = len(start)
    steps = len(batches)
    counts = np.full(codes, decay**steps)
    sums = start * decay**steps
    for number, (vectors, indices) in enumerate(batches):
        weight = (1 - decay) * decay ** (steps - 1 - number)
        for vector, index in zip(vectors, indices, strict=True):
            counts[index] += weight
            sums[index] += weight * vector
    total = counts.sum()
    smoothed = (counts + epsilon) / (total + codes * epsilon) * total
    return sums / smoothed[:, None]


def losses(latents: Array, codes: Array, beta: float) -> tuple[float, float]:
    """Codebook loss and weighted commitment loss as numbers (they differ only in what they move)."""
    error = float(np.mean((latents - codes) ** 2))
    return error, beta * error
