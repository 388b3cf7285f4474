"""The Haar transform of cells: what stands at cell^axes positions, as averages and differences, coarse to fine."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_HALF_POWER = 1 / math.sqrt(2)


def haar_bands(values: Tensor, cell: int, axes: int) -> list[Tensor]:
    """Transform each cell of folded values (``fold_cells``) by the orthonormal Haar wavelet (Mallat 1989).

    Every axis of a cell is halved at once, ``log2(cell)`` times. Only sums, differences and one factor: the numbers of
    a cell do not depend on what else is in the batch.

    Args:
        values: ``[batch, D * cell^axes, *grid]``, whatever the axes of the grid.
        cell: a power of two.
        axes: of the cells.

    Returns:
        The average ``[batch, D, 1, *grid]``, then the differences of each scale, coarse to fine:
        ``[batch, D, (2^axes - 1) * side^axes, *grid]`` for sides 1, 2, 4 ...; direction by direction, and within one in
        reading order.

    Example:
        >>> import torch
        >>> from vqkit.ops.linear.haar import haar_bands
        >>> [band.flatten().tolist() for band in haar_bands(torch.tensor([[1.0, 1.0, 3.0, 3.0]]), 4, 1)]
        [[4.0], [-2.0], [0.0, 0.0]]
    """
    batch, channels, *grid = values.shape
    low = values.reshape(batch, channels // cell**axes, *[cell] * axes, *grid)
    bands: list[Tensor] = []
    while low.shape[2] > 1:
        parts = [low]
        for axis in range(2, 2 + axes):
            parts = [half for part in parts for half in _halves(part, axis)]
        low, *high = parts
        bands.append(torch.stack([part.flatten(2, 1 + axes) for part in high], dim=2).flatten(2, 3))
    return [low.flatten(2, 1 + axes), *bands[::-1]]


def from_haar_bands(bands: Sequence[Tensor], axes: int) -> Tensor:
    """Undo ``haar_bands``: ``[batch, D * cell^axes, *grid]``.

    Example:
        >>> import torch
        >>> from vqkit.ops.linear.haar import from_haar_bands, haar_bands
        >>> values = torch.randn(2, 3 * 16, 5)
        >>> torch.allclose(from_haar_bands(haar_bands(values, 4, 2), 2), values, atol=1e-6)
        True
    """
    low, side = bands[0].unflatten(2, [1] * axes), 1
    for band in bands[1:]:
        parts = [low, *band.unflatten(2, (2**axes - 1, *[side] * axes)).unbind(2)]
        for axis in range(1 + axes, 1, -1):
            pairs = zip(parts[::2], parts[1::2], strict=True)
            parts = [_joined(low_half, high_half, axis) for low_half, high_half in pairs]
        low, side = parts[0], 2 * side
    return low.flatten(1, 1 + axes)


def band_sizes(cell: int, axes: int) -> tuple[int, ...]:
    """Return how many positions of a cell each band has.

    Example:
        >>> from vqkit.ops.linear.haar import band_sizes
        >>> band_sizes(4, 2), band_sizes(8, 1)
        ((1, 3, 12), (1, 1, 2, 4))
    """
    sides = [2**number for number in range(cell.bit_length() - 1)]
    return (1, *((2**axes - 1) * side**axes for side in sides))


def _halves(values: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    even, odd = values.unflatten(axis, (-1, 2)).unbind(axis + 1)
    return (even + odd) * _HALF_POWER, (even - odd) * _HALF_POWER


def _joined(low: Tensor, high: Tensor, axis: int) -> Tensor:
    pair = torch.stack([(low + high) * _HALF_POWER, (low - high) * _HALF_POWER], dim=axis + 1)
    return pair.flatten(axis, axis + 1)
