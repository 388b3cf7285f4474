"""Bounds on the parts of a file: whatever ``Compressor`` writes is within what ``Decompressor`` reads."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from vqkit.coding import grid_of, per_axis, tiles
from vqkit.coding.headers import MAX_LENGTH
from vqkit.errors import ConfigError
from vqkit.models import IndexModel

MAX_BLOCK_INDICES = 1 << 18
"""Indices of one block: memory grows with it."""

MAX_BLOCK_PIXELS = 1 << 20
"""Pixels of one block of exact pixels, counted in whole positions."""

MAX_TOTAL_VALUES = 1 << 32
"""Values of all signals of a file together, or ..."""

MAX_VALUES_PER_BYTE = 1 << 12
"""... so many for each byte of it: a small file does not fill a disk, a large one may."""

MIXED_SIGNALS, MIXED_VALUES = 64, 1 << 22
"""Of a group of several sizes, which are encoded one size at a time."""

_GROUP_SIGNALS, _GROUP_VALUES = 64, 1 << 20
_TILE_PIXELS = {0: 1, 1: 1 << 18, 2: 512, 3: 128}
_TILE_POSITIONS = {0: 1, 1: 1 << 14, 2: 128, 3: 32}
"""On each axis, by the number of axes."""


def tile_shape(model: IndexModel, grid: Sequence[int]) -> tuple[int, ...]:
    """Positions of a tile on each axis: 512 pixels and 128 positions of an image at most, one at least.

    Of networks that may see the whole signal (``model.halo`` is None) the one tile is the grid.

    Raises:
        ConfigError: such a grid has more indices than a block of a file holds.
    """
    axes = model.axes
    if model.halo is None:
        if math.prod(grid) * model.num_codebooks > MAX_BLOCK_INDICES:
            raise ConfigError(
                f"a grid of {'x'.join(map(str, grid))} positions needs tiles, and the networks do not say what a tile "
                "sees: give the encoder and the decoder a halo (positions on each side), or smaller signals"
            )
        return tuple(grid)
    factors = per_axis(model.downsampling, axes)
    shape = [max(1, min(_TILE_POSITIONS[axes], _TILE_PIXELS[axes] // factor)) for factor in factors]
    while max(shape, default=1) > 1 and math.prod(shape) * model.num_codebooks > MAX_BLOCK_INDICES:
        longest = max(shape)
        shape = [min(length, longest - 1) for length in shape]
    return tuple(shape)


def part_positions(model: IndexModel) -> int:
    """Most positions of one group of a long signal of one axis: whole tiles, in as many samples as an axis may have."""
    factor = per_axis(model.downsampling, 1)[0]
    most = max(1, MAX_LENGTH // factor)
    if model.halo is None:
        return most
    tile = tile_shape(model, (most,))[0]
    return max(1, most // tile) * min(tile, most)


def needed_max_values(total: int, bytes_read: int) -> int:
    """The ``max_values`` with which a ``Decompressor`` reads on after so many values and bytes of a file; 1: any."""
    beyond = total - MAX_VALUES_PER_BYTE * bytes_read
    return beyond if beyond > MAX_TOTAL_VALUES else 1


def padded_pixels(model: IndexModel, size: tuple[int, ...]) -> int:
    """Pixels of a signal whose sides are rounded up to whole positions: what the networks compute."""
    return math.prod(grid_of(size, model.downsampling)) * math.prod(per_axis(model.downsampling, len(size)))


def signals_at_once(model: IndexModel, size: tuple[int, ...]) -> int:
    """Return the largest number of signals of a size in one group."""
    grid = model.grid(size)
    indices = model.num_codebooks * math.prod(map(min, tile_shape(model, grid), grid))
    most = min(MAX_BLOCK_INDICES // indices, _GROUP_VALUES // (padded_pixels(model, size) * model.channels))
    return max(1, min(_GROUP_SIGNALS, most))


def every_tile(model: IndexModel, size: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Yield the tiles, as slices of the grid, that a signal of this size is coded in."""
    grid = model.grid(size)
    return tiles(grid, tuple(map(min, tile_shape(model, grid), grid)))
