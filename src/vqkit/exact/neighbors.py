"""Row numbers that a convolution reads, so that it is a gather on a grid of any shape."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=16)
def neighbors(grid: tuple[int, ...], kernel: int) -> Tensor:
    """Row numbers ``[n, kernel^axes]`` int64 of each position's neighbours, in the order of a kernel's taps.

    Positions are in reading order. n, the number of positions, stands for those outside. The table is shared: do not
    change it.

    Args:
        grid: positions on each axis.
        kernel: odd width on each axis.
    """
    n, reach = math.prod(grid), kernel // 2
    where = torch.arange(n).view(grid)
    padded = torch.full([length + 2 * reach for length in grid], n)
    padded[tuple(slice(reach, reach + length) for length in grid)] = where
    taps = [
        padded[tuple(slice(start, start + length) for start, length in zip(offset, grid, strict=True))].flatten()
        for offset in itertools.product(range(kernel), repeat=len(grid))
    ]
    return torch.stack(taps, dim=1)


def reached(grid: Sequence[int], kernel: int, rows: Tensor) -> Tensor:
    """The positions that a convolution reads for these rows: int64, ascending, without those outside."""
    found = neighbors(tuple(grid), kernel)[rows].unique()
    return found[found < math.prod(grid)]


def among(grid: Sequence[int], kernel: int, rows: Tensor, available: Tensor) -> Tensor:
    """``neighbors`` of some rows only, numbered as they lie in ``available`` (which holds ``reached``).

    Args:
        grid: positions on each axis.
        kernel: odd width.
        rows: int64 ``[m]``, positions to compute.
        available: int64, ascending: the positions whose rows are there.

    Returns:
        int64 ``[m, taps]``; the length of ``available`` stands for positions outside.
    """
    number = torch.full((math.prod(grid) + 1,), -1)
    number[available] = torch.arange(len(available))
    number[-1] = len(available)
    table = number[neighbors(tuple(grid), kernel)[rows]]
    assert bool((table >= 0).all()), "a row is needed that is not there"
    return table
