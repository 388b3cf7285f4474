"""Tiles: parts of a grid that are coded by themselves, so that a large signal needs memory for one of them only."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from vqkit.checking import counted
from vqkit.errors import ConfigError


def per_axis(downsampling: int | Sequence[int], axes: int) -> tuple[int, ...]:
    """Return the downsampling factor of each axis, of one for all or of one for each.

    Raises:
        ConfigError: another number of factors than axes.
    """
    if isinstance(downsampling, int):
        return (downsampling,) * axes
    if len(downsampling) != axes:
        raise ConfigError(f"downsampling={list(downsampling)}: give one number, or {axes}, one for each axis")
    return tuple(downsampling)


def factor_words(downsampling: int | Sequence[int], noun: str) -> str:
    """Downsampling in words: "4 pixels on each axis", "2x3 pixels"."""
    if isinstance(downsampling, int):
        return f"{counted(downsampling, noun)} on each axis"
    return f"{'x'.join(map(str, downsampling))} {noun}s"


def grid_of(size: Sequence[int], downsampling: int | Sequence[int]) -> tuple[int, ...]:
    """Positions on each axis: the size divided by ``downsampling``, rounded up. ``()`` for vectors."""
    return tuple(-(-length // step) for length, step in zip(size, per_axis(downsampling, len(size)), strict=True))


def tiles(grid: tuple[int, ...], tile: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """The parts of a grid, row-major (the last axis fastest); those at the far edges may be smaller.

    Args:
        grid: positions on each axis; ``()`` has one tile, ``()``.
        tile: positions of a tile on each axis, at least 1.

    Yields:
        A slice for each axis, with ``start`` and ``stop``: ``indices[(..., *part)]`` is the tile.
    """
    if len(grid) != len(tile) or any(length < 1 for length in (*grid, *tile)):
        raise ConfigError(f"a grid {grid} in tiles {tile}: both need a length of 1 or more for each axis")
    counts = [-(-length // step) for length, step in zip(grid, tile, strict=True)]
    for number in range(math.prod(counts)):  # not itertools.product, which would keep every start of every axis
        part: list[slice] = []
        left = number
        for length, step, count in zip(reversed(grid), reversed(tile), reversed(counts), strict=True):
            left, place = divmod(left, count)
            part.insert(0, slice(place * step, min((place + 1) * step, length)))
        yield tuple(part)


def positions(part: tuple[slice, ...]) -> int:
    """Positions of one tile."""
    return math.prod(axis.stop - axis.start for axis in part)


def pixels(part: tuple[slice, ...], size: tuple[int, ...], downsampling: int | Sequence[int]) -> tuple[slice, ...]:
    """The pixels (samples, frames) of a signal of this size that a tile's positions stand for, as slices."""
    return tuple(
        slice(axis.start * step, min(axis.stop * step, length))
        for axis, length, step in zip(part, size, per_axis(downsampling, len(size)), strict=True)
    )
