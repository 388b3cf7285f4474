"""The sphere on which cosine codes lie."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional

from vqkit.ops.reproducible import reproducible_sum

LEAST = 1e-3


def on_sphere(vectors: Tensor, dim: int = 1, *, reproducible: bool = False) -> Tensor:
    """Vectors scaled to length ``sqrt(D)``, so that their numbers have a mean square of 1.

    On this sphere the nearest code by Euclidean distance is the nearest by cosine (Yu et al. 2022, arXiv 2110.04627,
    normalise to length 1; the other radius keeps the units of a loss that is a mean over channels). Vectors whose
    numbers have a root mean square below ``LEAST`` stay inside the sphere, scaled by ``1 / LEAST``: their direction is
    mostly noise, and the gradient, which grows with one over the length, stays bounded.

    Args:
        vectors: floating.
        dim: the axis along which a vector lies; D is its length.
        reproducible: whether to sum in a fixed order, so that a vector becomes the same alone and among others.

    Example:
        >>> import torch
        >>> from vqkit.ops import on_sphere
        >>> on_sphere(torch.tensor([[3.0, 4.0]])).square().mean()
        tensor(1.)
    """
    radius = math.sqrt(vectors.shape[dim])
    if reproducible:
        length = reproducible_sum(vectors.square(), dim).sqrt().clamp_min(LEAST * radius)
        return vectors / length.unsqueeze(dim) * radius
    return functional.normalize(vectors, dim=dim, eps=LEAST * radius) * radius
