"""TIFF files where Pillow needs help: 0 for white, planes of 16 bits, 12 bits in either byte order, missing parts.

Help is another directory: the same strips or tiles are named again as single-channel pictures that Pillow reads,
whatever their compression (TIFF 6.0, sections 2, 3 and 8).
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

from vqkit.errors import DataError

WHITE_IS_ZERO = "white is zero"
"""Key in ``image.info`` of a picture that was rewritten from one with 0 for white."""

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, ORIENTATION = 256, 257, 258, 259, 262, 266, 274
SAMPLES, ROWS_PER_STRIP, PLANAR, PREDICTOR, EXTRA_SAMPLES, SAMPLE_FORMAT = 277, 278, 284, 317, 338, 339
_STRIPS, _TILES = (273, 279), (324, 325)
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_COPIED = (WIDTH, HEIGHT, COMPRESSION, FILL_ORDER, ORIENTATION, ROWS_PER_STRIP, PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT)
_MAX_PARTS = 1 << 24


@dataclass(frozen=True)
class Rewritten:
    """A TIFF that Pillow reads, and whether 0 was white in the file that it was made of."""

    data: bytes
    white_is_zero: bool


def is_tiff(data: bytes) -> bool:
    """Tell whether bytes begin as a TIFF or a BigTIFF does."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def readable_tiff(data: bytes) -> Rewritten | None:
    """A single-channel TIFF in the form that Pillow reads; None where another form would not help."""
    tags = _directory(data)
    bits, forms = _numbers(tags, BITS) or (1,), _numbers(tags, SAMPLE_FORMAT) or (1,)
    known = (bits[0], forms[0]) in ((8, 1), (12, 1), (16, 1), (32, 3))
    if len(bits) != 1 or not known or _one(tags, SAMPLES, 1) != 1 or _one(tags, PHOTOMETRIC, 1) not in (0, 1):
        return None
    return Rewritten(_plane(data, tags, 0, 1), _one(tags, PHOTOMETRIC, 1) == 0)


def planes_of(data: bytes) -> list[bytes]:
    """One TIFF for every channel of a file that keeps its channels apart, however many."""
    tags = _directory(data)
    samples = _one(tags, SAMPLES, 1)
    return [_plane(data, tags, number, samples) for number in range(samples)]


def tag(image: Image.Image, number: int, default: int) -> int:
    """The first number of a tag of an opened TIFF."""
    return _one(image.tag_v2, number, default) if isinstance(image, TiffImagePlugin.TiffImageFile) else default


def largest(image: Image.Image, number: int, default: int) -> int:
    """The largest number of a tag of an opened TIFF."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return default
    return max(_numbers(image.tag_v2, number) or (default,))


@lru_cache(maxsize=1)
def silence_libtiff() -> None:
    """Stop libtiff from writing to the terminal what Pillow raises as well, where the system tells which libtiff it is.

    (Linux does. Elsewhere lines such as "tempfile.tif: Using code not yet in table." may remain.)
    """
    with contextlib.suppress(OSError, AttributeError):
        loaded = re.search(r"\S+/libtiff[^/\s]*\.so\S*", Path("/proc/self/maps").read_text(encoding="utf-8"))
        if loaded is not None:
            handler = ctypes.CDLL(loaded[0]).TIFFSetErrorHandler
            handler.argtypes, handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            handler(None)


def check_parts(image: Image.Image) -> None:
    """Raise DataError unless an opened TIFF names as many strips or tiles as its size needs, and enough bytes."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return
    tags = image.tag_v2
    tiled = _TILES[0] in tags
    offsets, counts = (_numbers(tags, each) for each in (_TILES if tiled else _STRIPS))
    width, height, samples = _one(tags, WIDTH, 0), _one(tags, HEIGHT, 0), _one(tags, SAMPLES, 1)
    if tiled:
        across, down = _one(tags, _TILE_WIDTH, 0), _one(tags, _TILE_HEIGHT, 0)
        if across < 1 or down < 1:
            raise DataError("damaged: a TIFF of tiles without a size")
        needed = -(-width // across) * -(-height // down)
    else:
        across, down = width, min(height, _one(tags, ROWS_PER_STRIP, height) or height)
        needed = -(-height // max(1, down))
    apart = samples if _one(tags, PLANAR, 1) == 2 else 1
    what = "tiles" if tiled else "strips"
    if len(offsets) < needed * apart:
        raise DataError(f"damaged: {len(offsets):,} of {needed * apart:,} {what} are in the file")
    if _one(tags, COMPRESSION, 1) == 1 and counts and all(counts) and _one(tags, PHOTOMETRIC, 1) != 6:
        bits = sum(_numbers(tags, BITS) or (1,)) if apart == 1 else largest(image, BITS, 1)
        least = width * bits // 8 * height * apart if not tiled else -(-across * bits // 8) * down * needed * apart
        if sum(counts) < least:
            raise DataError(f"damaged: its {what} have {sum(counts):,} bytes, and its pixels need {least:,}")


def _directory(data: bytes) -> Any:
    """The tags of the first picture. Raises what Pillow raises on damage."""
    big = data[2:4] in (b"+\0", b"\0+")
    directory = TiffImagePlugin.ImageFileDirectory_v2(data[: 16 if big else 8])
    file = io.BytesIO(data)
    file.seek(directory.next)
    directory.load(file)
    return directory


def _numbers(tags: Any, number: int) -> tuple[int, ...]:
    try:
        found = tags.get(number)
    except (KeyError, ValueError, struct.error):
        return ()
    told = found if isinstance(found, tuple) else (found,)
    return tuple(int(each) for each in told if isinstance(each, int | float | np.integer))


def _one(tags: Any, number: int, default: int) -> int:
    found = _numbers(tags, number)
    return found[0] if found else default


def _plane(data: bytes, tags: Any, number: int, samples: int) -> bytes:
    """The file with a directory behind it that names the parts of one channel only."""
    where, how_long = _TILES if _TILES[0] in tags else _STRIPS
    offsets, counts = _numbers(tags, where), _numbers(tags, how_long)
    each = len(offsets) // samples
    own = slice(number * each, (number + 1) * each)
    values: dict[int, tuple[int, ...]] = {key: (_one(tags, key, 0),) for key in _COPIED if key in tags}
    values |= {BITS: (largest_of(tags),), PHOTOMETRIC: (1,), SAMPLES: (1,), where: offsets[own], how_long: counts[own]}
    values[SAMPLE_FORMAT] = (_one(tags, SAMPLE_FORMAT, 1),)
    packed = largest_of(tags) == 12  # the bits are in one order, whatever the numbers' bytes are in
    order = "<" if packed or data[:2] == b"II" else ">"
    if packed and _one(tags, PREDICTOR, 1) != 1:
        raise DataError("a 12-bit TIFF with a predictor, which Pillow cannot read")
    body = bytearray(data)
    body += b"\0" * (len(body) % 2)
    entries = []
    for key in sorted(values):
        numbers = values[key]
        if len(numbers) > _MAX_PARTS:
            raise DataError(f"damaged: {len(numbers):,} parts")
        field = struct.pack(f"{order}{len(numbers)}I", *numbers)
        if len(numbers) > 1:
            body += field
            field = struct.pack(f"{order}I", len(body) - len(field))
        entries.append(struct.pack(f"{order}HHI", key, 4, len(numbers)) + field)
    start = len(body)
    body += struct.pack(f"{order}H", len(entries)) + b"".join(entries) + bytes(4)
    body[:8] = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start)
    return bytes(body)


def largest_of(tags: Any) -> int:
    """Bits of a value, the largest where they differ."""
    return max(_numbers(tags, BITS) or (1,))
