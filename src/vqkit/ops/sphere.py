"""The sphere on which cosine codes lie."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional

LEAST = 1e-3


def on_sphere(vectors: Tensor, dim: int = 1) -> Tensor:
    """Vectors scaled to length ``sqrt(D)``, so that their numbers have a mean square of 1.

    On this sphere the nearest code by Euclidean distance is the nearest by cosine (Yu et al. 2022, arXiv 2110.04627,
    normalise to length 1; the other radius keeps the units of a loss that is a mean over channels). Vectors whose
    numbers have a root mean square below ``LEAST`` stay inside the sphere, scaled by ``1 / LEAST``: their direction is
    mostly noise, and the gradient, which grows with one over the length, stays bounded.

    Args:
        vectors: floating.
        dim: the axis along which a vector lies; D is its length.

    Example:
        >>> import torch
        >>> from vqkit.ops import on_sphere
        >>> on_sphere(torch.tensor([[3.0, 4.0]])).square().mean()
        tensor(1.)
    """
    radius = math.sqrt(vectors.shape[dim])
    return functional.normalize(vectors, dim=dim, eps=LEAST * radius) * radius
