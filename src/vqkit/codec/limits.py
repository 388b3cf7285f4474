"""Bounds on the parts of a file: whatever ``Compressor`` writes is within what ``Decompressor`` reads."""

from __future__ import annotations

import math

from vqkit.coding import grid_of
from vqkit.models import VQVAE

MAX_BLOCK_INDICES = 1 << 18
"""Indices of one block: memory grows with it."""

MAX_BLOCK_PIXELS = 1 << 20
"""Pixels of one block of exact pixels, counted in whole positions."""

MAX_TOTAL_VALUES = 1 << 32
"""Values of all signals of a file together, or ..."""

MAX_VALUES_PER_BYTE = 1 << 12
"""... so many for each byte of it: a small file does not fill a disk, a large one may."""

_GROUP_SIGNALS, _GROUP_VALUES = 64, 1 << 20
_TILE_PIXELS = {0: 1, 1: 1 << 18, 2: 512, 3: 128}
_TILE_POSITIONS = {0: 1, 1: 1 << 14, 2: 128, 3: 32}
"""On each axis, by the number of axes."""


def tile_side(model: VQVAE) -> int:
    """Positions of a tile on each axis: 512 pixels and 128 positions of an image at most, one at least."""
    axes = model.axes
    side = min(_TILE_POSITIONS[axes], _TILE_PIXELS[axes] // model.downsampling)
    while side > 1 and side**axes * model.num_codebooks > MAX_BLOCK_INDICES:
        side -= 1
    return max(1, side)


def needed_max_values(total: int, bytes_read: int) -> int:
    """The ``max_values`` with which a ``Decompressor`` reads on after so many values and bytes of a file; 1: any."""
    beyond = total - MAX_VALUES_PER_BYTE * bytes_read
    return beyond if beyond > MAX_TOTAL_VALUES else 1


def padded_pixels(model: VQVAE, size: tuple[int, ...]) -> int:
    """Pixels of a signal whose sides are rounded up to whole positions: what the networks compute."""
    return math.prod(grid_of(size, model.downsampling)) * model.downsampling ** len(size)


def signals_at_once(model: VQVAE, size: tuple[int, ...]) -> int:
    """Return the largest number of signals of a size in one group."""
    indices = model.num_codebooks * math.prod(min(tile_side(model), length) for length in model.grid(size))
    most = min(MAX_BLOCK_INDICES // indices, _GROUP_VALUES // (padded_pixels(model, size) * model.channels))
    return max(1, min(_GROUP_SIGNALS, most))
