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
        found, values = Moments(), float64(values)
        rows = values.reshape(len(values), -1) if values.ndim > 1 else values.reshape(1, -1)
        found.count = values.numel()
        found._origin = float(rows.sum(dim=1).sum()) / found.count
        apart = rows - found._origin
        parts = (rows, rows.square(), apart, apart.square())  # by rows: the same bits with any number of threads
        *sums, largest = torch.stack([*(part.sum(dim=1).sum() for part in parts), values.abs().max()]).tolist()
        found._sums, found._largest = sums, largest
        self.merge(found)

    def merge(self, other: Moments) -> None:
        """Take in the sums over other numbers, from another origin."""
        if not self.count:
            self._origin = other._origin
        step, (first, second, apart, squares) = other._origin - self._origin, other._sums
        moved = [first, second, apart + other.count * step, squares + 2 * step * apart + other.count * step * step]
        self.count += other.count
        self._sums = [before + more for before, more in zip(self._sums, moved, strict=True)]
        self._largest = max(self._largest, other._largest)

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
