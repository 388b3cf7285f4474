"""Principal components by other formulas than the code's: the SVD of the centred data, and D x D matrices."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

Array = npt.NDArray[np.float64]


def principal(x: Array) -> tuple[Array, Array, Array]:
    """Mean, all D variances (ddof 1, zeros at the end) and the right singular vectors, of data in memory."""
    mean = x.mean(0, dtype=np.longdouble).astype(np.float64)
    _, singular, rows = np.linalg.svd(x - mean, full_matrices=True)
    variances = np.zeros(x.shape[1])
    variances[: len(singular)] = singular**2 / (len(x) - 1)
    return mean, variances, rows


def covariance(x: Array, ddof: int = 1) -> Array:
    """A mean of products of pairwise differences: no mean is subtracted. O(N^2 D^2)."""
    differences = x[:, None, :] - x[None, :, :]
    return np.einsum("ijk,ijl->kl", differences, differences) / (2 * len(x) * (len(x) - ddof))


def projector(rows: Array) -> Array:
    """``[D, D]`` onto the span of some rows, orthonormal or not."""
    return np.asarray(np.linalg.pinv(rows) @ rows)


def subspace_gap(a: Array, b: Array) -> float:
    """Sine of the largest angle between the spans of two sets of k rows: the norm of the projectors' difference."""
    return float(np.linalg.norm(projector(a) - projector(b), 2))


def loading(components: Array, variances: Array, noise: float) -> Array:
    """W ``[D, k]`` of probabilistic PCA (Tipping and Bishop 1999, equation 7)."""
    return components.T * np.sqrt(np.maximum(variances - noise, 0))


def log_density(x: Array, mean: Array, w: Array, noise: float) -> Array:
    """Nats of each row under ``N(mean, W W^T + noise I)``, by the D x D matrix."""
    full = torch.tensor(w @ w.T + noise * np.eye(len(mean)))
    return torch.distributions.MultivariateNormal(torch.tensor(mean), full).log_prob(torch.tensor(x)).numpy()


def posterior(x: Array, mean: Array, w: Array, noise: float) -> tuple[Array, Array]:
    """Mean ``[B, k]`` and covariance ``[k, k]`` of z given x, by conditioning the joint Gaussian of z and x."""
    gain = w.T @ np.linalg.inv(w @ w.T + noise * np.eye(len(mean)))
    return (x - mean) @ gain.T, np.eye(w.shape[1]) - gain @ w
