"""Sums that an evaluation keeps from batch to batch."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

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
