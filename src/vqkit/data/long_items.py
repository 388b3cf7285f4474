"""Items that are too long to be held at once: read, and computed, a part at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

import numpy as np

from vqkit.data.source import Array, Source

LONG = 1 << 20
"""Positions of an item of one axis (samples of sound) beyond which it is read in parts."""
_PIECE = 1 << 18


@final
class LongItem:
    """An item ``[C, length]`` of a source of one axis (sound); what is read of it is what is asked for.

    Attributes:
        shape: (channels, length).
        dtype: of its numbers.

    Example:
        >>> import numpy as np, vqkit
        >>> from vqkit.data.long_items import LongItem
        >>> sounds = vqkit.load_source(np.zeros((2, 1, 1000), np.float32), kind="sound")
        >>> LongItem(sounds, 0).part(100, 300).shape
        (1, 200)
    """

    def __init__(self, source: Source, index: int) -> None:
        self._source, self._index = source, index
        self.shape = (source.channels, *source.item_size(index))
        self.ndim = len(self.shape)
        self.dtype = np.dtype(source.dtype)

    def part(self, start: int, stop: int) -> Array:
        """Return the numbers from ``start`` up to ``stop``: ``[C, stop - start]``."""
        return np.asarray(self._source.part(self._index, (start,), (stop - start,)))

    def pieces(self, length: int = _PIECE) -> Iterator[Array]:
        """Yield all of it in consecutive parts, ``[C, length]`` each but the last one."""
        for start in range(0, self.shape[1], length):
            yield self.part(start, min(start + length, self.shape[1]))


def is_long(source: Source, index: int) -> bool:
    """Return whether an item is to be read in parts: one axis, and more than ``LONG`` positions."""
    return source.axes == 1 and source.dtype != np.int32 and source.item_size(index)[0] > LONG


def long_items(source: Source) -> list[int]:
    """Return the numbers of the items that are long."""
    if source.axes != 1 or source.dtype == np.int32:
        return []
    found: list[int] = np.flatnonzero(source.item_sizes()[:, 0] > LONG).tolist()
    return found


def part_of_item(source: Source, index: int) -> Array | LongItem:
    """Return an item as a new array, or, if it is long, as what is read in parts."""
    return LongItem(source, index) if is_long(source, index) else source.read(index)
