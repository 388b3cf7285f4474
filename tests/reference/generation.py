"""Generation measures by other formulas than the code's: matrix square roots, closed forms, loops over pairs."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import scipy.linalg

Array = npt.NDArray[np.float64]


def frechet_by_square_root(a: Array, b: Array) -> float:
    """The definition: covariances, and SciPy's square root (Schur method) of their product."""
    cov_a, cov_b = np.atleast_2d(np.cov(a, rowvar=False)), np.atleast_2d(np.cov(b, rowvar=False))
    root = scipy.linalg.sqrtm(cov_a @ cov_b)
    means = a.mean(axis=0) - b.mean(axis=0)
    return float(means @ means + np.trace(cov_a + cov_b - 2 * root.real))


def frechet_commuting(mean_a: Array, variances_a: Array, mean_b: Array, variances_b: Array) -> float:
    """Gaussians whose covariances share their axes: ``|m_a - m_b|^2 + sum (s_a - s_b)^2``."""
    return float(((mean_a - mean_b) ** 2).sum() + ((np.sqrt(variances_a) - np.sqrt(variances_b)) ** 2).sum())


def with_moments(noise: Array, mean: Array, variances: Array, rotation: Array) -> Array:
    """Noise ``[N, D]`` moved to exactly this mean and exactly these variances along the rotation's columns."""
    centered = noise - noise.mean(axis=0)
    white = np.linalg.svd(centered, full_matrices=False)[0] * math.sqrt(len(noise) - 1)
    return mean + (white * np.sqrt(variances)) @ rotation.T


def radii(points: Array, neighbours: int) -> list[float]:
    """The distance of each point to its k-th nearest other point, by sorting all of them."""
    return [
        sorted(math.dist(p, q) for j, q in enumerate(points) if j != i)[neighbours - 1] for i, p in enumerate(points)
    ]


def on_manifold(points: Array, manifold: Array, neighbours: int) -> float:
    """Fraction of points inside at least one ball of the manifold: precision, or recall with the sets exchanged."""
    balls = list(zip(manifold, radii(manifold, neighbours), strict=True))
    return sum(any(math.dist(p, c) <= r for c, r in balls) for p in points) / len(points)


def density(real: Array, generated: Array, neighbours: int) -> float:
    """Balls of real items that hold a generated one, counted one by one, over ``neighbours M``."""
    balls = list(zip(real, radii(real, neighbours), strict=True))
    return sum(math.dist(p, c) <= r for p in generated for c, r in balls) / (neighbours * len(generated))


def coverage(real: Array, generated: Array, neighbours: int) -> float:
    """Fraction of real items whose nearest generated item is within their ball."""
    balls = zip(real, radii(real, neighbours), strict=True)
    return sum(min(math.dist(p, c) for p in generated) <= r for c, r in balls) / len(real)
