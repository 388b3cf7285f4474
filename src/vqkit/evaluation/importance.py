"""The importance-weighted bound of a VAE over a whole set."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch

from vqkit.errors import DataError
from vqkit.models import VAE


@torch.no_grad()
def importance_bits_per_dim(model: VAE, batches: Iterable[tuple[Any, ...]], samples: int) -> float:
    """The importance-weighted bound of a VAE over a set, in bits per value (see ``VAE.importance_bound``).

    Batches are ``(numbers, signals)``, with the conditions of the signals as a third part where the decoder has some.

    Raises:
        DataError: no batches, or signals without levels.

    Example:
        >>> import torch
        >>> import vqkit
        >>> from vqkit.evaluation import importance_bits_per_dim
        >>> model = vqkit.VAE(4, size=(8, 8), channels=1, hidden_channels=8, likelihood="logistic").eval()
        >>> batches = [(range(2), torch.zeros(2, 1, 8, 8, dtype=torch.uint8))]
        >>> importance_bits_per_dim(model, batches, samples=2) > 0
        True
    """
    if model.levels is None:
        raise DataError("bits per dimension are counted for images and video, whose values have 256 levels")
    generator = torch.Generator(model.device).manual_seed(0)
    nats, values = 0.0, 0
    for _, batch, *condition in batches:
        with model.conditioned_on(*condition):
            nats -= float(model.importance_bound(batch.to(model.device), samples, generator).sum())
        values += batch.numel()
    if not values:
        raise DataError("nothing to evaluate: the set has no items; give at least one")
    return nats / values / math.log(2)
