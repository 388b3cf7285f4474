"""Gaps of a field as bytes: one bit a value, packed and compressed by deflate; exact, and checked when it is read."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vqkit.errors import BitstreamError

Mask = npt.NDArray[np.bool_]


def pack_gaps(gaps: npt.ArrayLike) -> bytes:
    """Return a mask of any shape, True where a value is missing, as bytes; none at all where nothing is.

    Example:
        >>> import numpy as np
        >>> from vqkit.coding.gaps import pack_gaps, unpack_gaps
        >>> gaps = np.arange(6).reshape(2, 3) == 4
        >>> unpack_gaps(pack_gaps(gaps), (2, 3)).tolist()
        [[False, False, False], [False, True, False]]
    """
    mask = np.asarray(gaps, dtype=bool)
    return zlib.compress(np.packbits(mask, axis=None).tobytes(), 9) if mask.any() else b""


def unpack_gaps(data: bytes, shape: Sequence[int]) -> Mask | None:
    """Return the mask of this shape that ``pack_gaps`` made bytes of; None where nothing is missing.

    Raises:
        BitstreamError: other bytes, or a mask of another shape.
    """
    if not data:
        return None
    count = math.prod(shape)
    packed = -(-count // 8)
    reader = zlib.decompressobj()
    try:
        found = reader.decompress(data, packed + 1)
    except zlib.error as error:
        raise BitstreamError(f"the gaps of a field are damaged ({error})") from error
    if len(found) != packed or not reader.eof or reader.unused_data:
        raise BitstreamError(f"the gaps of a field are damaged: they are not those of {list(shape)} values")
    bits = np.unpackbits(np.frombuffer(found, np.uint8))
    if bits[count:].any():
        raise BitstreamError("the gaps of a field are damaged: bits beyond the last value")
    return bits[:count].astype(bool).reshape(shape)


def join_gaps(items: Sequence[bytes]) -> npt.NDArray[np.uint8]:
    """Return the packed gaps of several items one after the other, each behind its length in 8 bytes."""
    return np.frombuffer(b"".join(len(item).to_bytes(8, "little") + item for item in items), np.uint8)


def split_gaps(data: bytes, count: int) -> list[bytes]:
    """Return the packed gaps of so many items that ``join_gaps`` joined.

    Raises:
        BitstreamError: other bytes.
    """
    found, at = [], 0
    for _ in range(count):
        length = int.from_bytes(data[at : at + 8], "little")
        at += 8
        if at > len(data) or length > len(data) - at:
            raise BitstreamError("the gaps of fields are damaged: they are cut short")
        found.append(data[at : at + length])
        at += length
    if at != len(data):
        raise BitstreamError(f"the gaps of fields are damaged: {len(data) - at:,} bytes too many")
    return found
