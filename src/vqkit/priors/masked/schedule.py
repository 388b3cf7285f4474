"""Unmasking schedule: how many positions each step reveals, and in which order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from vqkit.deprecation import moved

__getattr__ = moved(__name__, {"revealed": f"{__name__}:unmasked_count"})


def unmasked_count(count: Tensor, step: int, steps: int) -> Tensor:
    """Return how many of ``count`` positions are unmasked after ``step`` of ``steps`` steps: int64, as ``count``.

    The cosine schedule of MaskGIT (Chang et al. 2022, arXiv 2202.04200, section 3.3): floor(count cos(pi / 2 * step /
    steps)) stay hidden. Few positions are revealed in the first steps, when little is known, and many in the last. At
    least one is revealed in each step, so with fewer positions than steps the last steps have nothing to do.
    """
    if step >= steps:
        return count.clone()
    left = (count * math.cos(math.pi / 2 * step / steps)).floor().long()
    return torch.maximum(count - left, count.clamp_max(step))


def boundaries(count: int, steps: int) -> list[int]:
    """Return the numbers of known positions before each step that reveals some, and after the last: 0 .. count."""
    every = [int(unmasked_count(torch.tensor(count, device="cpu"), step, steps)) for step in range(steps + 1)]
    return sorted(set(every))


def spread_order(grid: Sequence[int]) -> Tensor:
    """The positions of a grid in an order of which every beginning is spread evenly over the grid, int64 ``[n]``.

    Position x has the value frac(sum of x_i / phi^i), where phi is the root above 1 of phi^(axes + 1) = phi + 1, the
    golden ratio for one axis: the sequence of low discrepancy of Roberts (2018), read as a threshold mask. The
    positions are sorted by it. It depends on the grid alone: the same on every machine, today and later.
    """
    axes = len(grid)
    phi = 2.0
    for _ in range(64):
        phi = (1.0 + phi) ** (1.0 / (axes + 1))
    values = torch.zeros(math.prod(grid), dtype=torch.float64)
    stride = values.numel()
    every = torch.arange(values.numel())
    for axis, length in enumerate(grid):
        stride //= length
        values += (every // stride % length).double() * phi ** -(axis + 1)
    return torch.argsort(values - values.floor(), stable=True)
