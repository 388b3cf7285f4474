"""Vectors: rows of numbers without positions, in any unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from vqkit.signals.base import SIGNALS, Array, Signal


@SIGNALS.register("vector")
@final
class Vector(Signal):
    """Vectors ``[C]``: any finite numbers; each has one index a codebook.

    Example:
        >>> from vqkit.signals import Vector
        >>> Vector().describe(2, 5)
        'vectors of 5 numbers'
    """

    axes = 0
    noun = ("vector", "vectors")
    suggested = True
    downsampling = 1
    layouts = "[N, D]"
    measures = ("vectors",)

    def describe(self, count: int, channels: int) -> str:
        """Return how many numbers a vector has."""
        return f"{self.noun[count != 1]} of {channels} number{'' if channels == 1 else 's'}"

    def describe_size(self, size: Sequence[int]) -> str:
        """Return nothing: a vector has no positions."""
        return ""

    def example(self, count: int, generator: np.random.Generator) -> Array:
        """Return Gaussian vectors of 6 numbers."""
        return generator.normal(size=(count, 6)).astype(np.float32)
