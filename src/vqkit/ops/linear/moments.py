"""Mean and variance of numbers that come in parts, also where their offset is far above their spread."""

from __future__ import annotations

import torch
from torch import Tensor

from vqkit.ops.precision import float64

_SURE = 1e-6
"""Variance over squared mean from which on the difference of the two moments is good to 10 digits."""


class Moments:
    """Sums over parts in float64, as they are and from the first part's mean on.

    ``mean of squares - square of mean`` loses everything where the offset is 1e8 times the spread; there the sums from
    a nearby origin serve.
    """

    def __init__(self) -> None:
        self.count = 0
        self._origin = 0.0
        self._sums = [0.0, 0.0, 0.0, 0.0]
        self._largest = 0.0

    def add(self, values: Tensor) -> None:
        """Take in numbers of any shape."""
        if not values.numel():
            return
        values = float64(values)
        if not self.count:
            self._origin = float(values.mean())
        apart = values - self._origin
        parts = (values.sum(), values.square().sum(), apart.sum(), apart.square().sum(), values.abs().max())
        *sums, largest = torch.stack(parts).tolist()
        self.count += values.numel()
        self._sums = [before + more for before, more in zip(self._sums, sums, strict=True)]
        self._largest = max(self._largest, largest)

    @property
    def mean(self) -> float:
        """Of all numbers."""
        return self._sums[0] / self.count

    @property
    def variance(self) -> float:
        """Of all numbers, over their count; 0 where it lies below the rounding of float32."""
        plain = self._sums[1] / self.count - self.mean**2
        if plain > _SURE * self.mean**2:
            return plain
        found = self._sums[3] / self.count - (self._sums[2] / self.count) ** 2
        return found if found > (torch.finfo(torch.float32).eps * self._largest) ** 2 / 16 else 0.0
