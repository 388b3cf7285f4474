"""The sphere on which cosine codes lie."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional


def on_sphere(vectors: Tensor, dim: int = 1) -> Tensor:
    """Vectors scaled to length ``sqrt(D)``, so that their numbers have a mean square of 1.

    On this sphere the nearest code by Euclidean distance is the nearest by cosine (Yu et al. 2022, arXiv 2110.04627,
    normalise to length 1; the other radius keeps the units of a loss that is a mean over channels). A zero vector
    stays zero.

    Args:
        vectors: floating.
        dim: the axis along which a vector lies; D is its length.
    """
    return functional.normalize(vectors, dim=dim, eps=1e-12) * math.sqrt(vectors.shape[dim])
