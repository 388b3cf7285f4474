"""Sprites: many small pictures in one image, as an address that a page holds."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_MOST_EXACT = 120_000
"""Bytes of a PNG from which on a sprite is a JPEG instead."""
_QUALITY = 90

Tiles = NDArray[np.uint8]


def sprite(tiles: Tiles, columns: int) -> dict[str, Any]:
    """Pictures beside each other, row by row, without gaps.

    Args:
        tiles: ``[count, channels, height, width]``, 1 or 3 channels.
        columns: in a row.

    Returns:
        ``address`` (of the image, ``data:``), ``columns``, ``tile`` (height and width of each), ``count``, and whether
        its pixels are ``exact`` (else it is a JPEG, because a PNG would be large).

    Example:
        >>> import numpy as np
        >>> from vqkit.studies.play.sprites import sprite
        >>> made = sprite(np.zeros((6, 1, 4, 5), dtype=np.uint8), 3)
        >>> made["columns"], made["tile"], made["count"], made["exact"]
        (3, [4, 5], 6, True)
    """
    count, channels, height, width = tiles.shape
    rows = -(-count // columns)
    sheet = np.zeros((rows * columns, channels, height, width), dtype=np.uint8)
    sheet[:count] = tiles
    laid = sheet.reshape(rows, columns, channels, height, width).transpose(0, 3, 1, 4, 2)
    pixels = laid.reshape(rows * height, columns * width, channels)
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    kind, written = "png", _written(image, format="PNG", optimize=True)
    if len(written) > _MOST_EXACT:
        kind, written = "jpeg", _written(image, format="JPEG", quality=_QUALITY, subsampling=0)
    address = f"data:image/{kind};base64,{base64.b64encode(written).decode('ascii')}"
    return {
        "address": address,
        "columns": columns,
        "tile": [height, width],
        "count": count,
        "exact": kind == "png",
    }


def reduced(tiles: Tiles, most: int) -> Tiles:
    """Pictures of at most so many pixels a side: larger ones are averaged over blocks."""
    height, width = tiles.shape[2:]
    factor = -(-max(height, width) // most)
    if factor == 1:
        return tiles
    return np.stack([_shrunk(tile, factor) for tile in tiles])


def _shrunk(tile: Tiles, factor: int) -> Tiles:
    planes = [np.asarray(Image.fromarray(plane).reduce(factor)) for plane in tile]
    return np.stack(planes)


def _written(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()
