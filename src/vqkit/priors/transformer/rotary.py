"""Rotary positions (Su et al. 2021, arXiv 2104.09864) on grids of any number of axes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def grid_positions(grid: Sequence[int]) -> Tensor:
    """The coordinates of every position in reading order, float64 ``[n, axes]`` on the CPU."""
    axes = [torch.arange(length, dtype=torch.float64, device="cpu") for length in grid]
    if not axes:
        return torch.zeros(1, 0, dtype=torch.float64, device="cpu")
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, -2)


def rotations(positions: Tensor, head_dim: int, longest: int) -> tuple[Tensor, Tensor]:
    """``(cos, sin)`` float32 ``[n, head_dim]`` for ``rotate``, of coordinates ``[n, axes]``.

    The ``head_dim / 2`` pairs of numbers are dealt to the axes in turn; those of an axis turn by its coordinate times
    frequencies from 1 to 1 / ``longest`` radians a position, evenly spaced in their logarithm: the fastest tells
    neighbours apart and the slowest goes once from one end of the longest axis to the other. The scalar product of two
    rotated vectors then depends on the differences of their coordinates only. Without axes nothing turns.
    """
    axes = positions.shape[1]
    angles = torch.zeros(len(positions), head_dim // 2, dtype=torch.float64, device=positions.device)
    for axis in range(axes):
        pairs = len(range(axis, head_dim // 2, axes))
        exponents = torch.linspace(0, 1, pairs, dtype=torch.float64, device=positions.device)
        angles[:, axis::axes] = positions[:, axis, None] * float(longest) ** -exponents
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([cos, cos], dim=1).float(), torch.cat([-sin, sin], dim=1).float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """``x`` ``[..., head_dim]`` with the pair (i, i + head_dim / 2) turned by angle i; ``cos``, ``sin`` broadcast."""
    half = x.shape[-1] // 2
    swapped = x.unflatten(-1, (2, half)).flip(-2).flatten(-2)
    return torch.addcmul(x * cos, swapped, sin)
