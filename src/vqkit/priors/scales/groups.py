"""Groups of indices that are drawn together: the first level by doubling, each further level at once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.priors.masked.schedule import spread_order
from vqkit.priors.transformer.rotary import grid_positions
from vqkit.spelling import setting


def levels_of(num_codebooks: int, axes: int) -> tuple[int, ...]:
    """Return the indices of each level in a cell, for scales 1, 2, 4 ... of which there are so many indices.

    Those of ``multiscale`` and ``hierarchical`` quantizers, or of ``wavelet`` ones; for other numbers each codebook is
    a level of its own, as the stages of a residual quantizer are.

    Example:
        >>> from vqkit.priors.scales.groups import levels_of
        >>> levels_of(21, 2), levels_of(16, 2), levels_of(3, 2)
        ((1, 4, 16), (1, 3, 12), (1, 1, 1))
    """
    grids, bands = [1], [1]
    while axes and num_codebooks > 1 and sum(grids) < num_codebooks:
        grids.append(grids[-1] * 2**axes)
        bands.append((2**axes - 1) * 2 ** (axes * (len(bands) - 1)))
    for each in (grids, bands):
        if sum(each) == num_codebooks and len(each) < num_codebooks:
            return tuple(each)
    return (1,) * num_codebooks


def check_levels(levels: Sequence[int] | None, num_codebooks: int, axes: int) -> tuple[int, ...]:
    """Return the levels: those given, or ``levels_of``.

    Raises:
        ConfigError: they are not so many indices together.
    """
    if levels is None:
        return levels_of(num_codebooks, axes)
    if not levels or min(levels) < 1 or sum(levels) != num_codebooks:
        raise ConfigError(
            f"{setting('levels', list(levels))}: {sum(levels)} indices of all levels, and a position has "
            f"{num_codebooks}; give the indices of each level in a cell, coarse to fine, e.g. 1 4 16"
        )
    return tuple(levels)


def token_groups(grid: Sequence[int], levels: Sequence[int], parts: int) -> list[Tensor]:
    """Return the groups of a grid's indices in the order in which they are drawn, each int64 ``[size]``.

    An index is ``position * C + codebook``. The first level's positions come in an order that is spread over the grid
    (``spread_order``), 1, 1, 2, 4 and so on; the indices of each further level in ``parts`` groups that are spread
    over their cells and positions.

    Example:
        >>> from vqkit.priors.scales.groups import token_groups
        >>> [len(group) for group in token_groups((2, 2), (1, 4), 1)]
        [1, 1, 2, 16]
    """
    positions, codebooks = math.prod(grid), sum(levels)
    order, found, first = spread_order(grid), list[Tensor](), 0
    for level, size in enumerate(levels):
        own = order[:, None] * codebooks + torch.arange(first, first + size)
        if level == 0:
            ends = [0, *itertools.takewhile(lambda end: end < positions, (2**power for power in range(64))), positions]
            found += [own[start:end].flatten() for start, end in itertools.pairwise(ends)]
        else:
            within = spread_order((positions, size)) if parts > 1 else torch.arange(positions * size)
            found += [part for part in own.flatten()[within].chunk(parts) if len(part)]
        first += size
    return found


def token_places(grid: Sequence[int], levels: Sequence[int]) -> tuple[Tensor, int]:
    """Coordinates float64 ``[n * C, axes]`` of every index, in units of the finest scale, and the longest axis in them.

    Within a cell an index lies in the middle of what it stands for, where its level is a grid, or the bands of one;
    else in the middle of the cell.
    """
    axes = len(grid)
    sides = [_side(size, axes) for size in levels]
    finest = max(sides, default=1)
    cells = grid_positions(grid)[:, None] * finest
    inner = torch.cat([_centers(size, side, axes) for size, side in zip(levels, sides, strict=True)]) * finest
    places = (cells + inner).flatten(0, 1)
    return places, max(grid, default=1) * finest


def _side(size: int, axes: int) -> int:
    """Positions on an axis of a level with so many indices; 1 where that is no grid."""
    for bands in (1, 2**axes - 1):
        side = round((size / bands) ** (1 / axes)) if axes else 1
        if bands and side > 1 and bands * side**axes == size:
            return side
    return 1


def _centers(size: int, side: int, axes: int) -> Tensor:
    middle = (grid_positions([side] * axes) + 0.5) / side
    return middle.repeat(-(-size // len(middle)), 1)[:size]
