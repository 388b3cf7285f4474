"""Sums that an evaluation keeps from batch to batch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor

from vqkit.coding import per_axis
from vqkit.models.rates.rate import Coded, Rate, model_rates
from vqkit.ops import entropy_bits
from vqkit.ops.linear.moments import Moments


@dataclass(frozen=True)
class Sums:
    """Sums over all batches so far; replaced in one piece, so that an interrupted batch leaves no trace."""

    batches: int = 0
    kept: int = 0
    items: int = 0
    total: float = 0.0
    moments: Moments = field(default_factory=Moments)
    values: int = 0
    batch_bytes: int = 0
    numbers: int = 0
    histogram: Tensor | None = None
    rate_nats: float = 0.0
    distortion_nats: float = 0.0
    how: str = ""

    def rates(self, model: Coded, channels: int) -> tuple[Rate, ...]:
        """The rates of a model as they were in this set, whose padding costs bits and is no pixel."""
        if self.histogram is None:
            return ()
        pixels, padding = self.values / channels, 1.0
        if pixels and not model.kind.gaps:
            cell = math.prod(per_axis(model.downsampling, model.axes))
            padding = int(self.histogram[0].sum()) * cell / pixels
        return tuple(model_rates(model, [entropy_bits(row) for row in self.histogram], padding=padding))
