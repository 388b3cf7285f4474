"""Several sources one after the other, as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from vqkit.data.source import Array, Source
from vqkit.errors import DataError


@final
class Joined(Source):
    """The items of several sources of one kind, in order.

    Args:
        parts: sources of the same channels, axes and dtype.
        name: for messages; None: the first one's.
        rows: int64 [N], which items of all of them, in this order; None: all.

    Raises DataError for sources that differ, or none.
    """

    def __init__(self, parts: Sequence[Source], *, name: str | None = None, rows: Array | None = None) -> None:
        kinds = {(part.channels, part.axes, str(part.dtype)) for part in parts}
        if len(kinds) != 1:
            said = "; ".join(part.describe() for part in parts)
            raise DataError(f"sources of one kind are joined, these are {len(kinds)}: {said or 'none'}.")
        ends = np.cumsum([len(part) for part in parts])
        numbers = np.arange(int(ends[-1]), dtype=np.int64) if rows is None else rows
        labelled = all(part.labels is not None for part in parts)
        labels = np.concatenate([part.labels for part in parts if part.labels is not None]) if labelled else None
        super().__init__(
            name=parts[0].name if name is None else name,
            channels=parts[0].channels,
            axes=parts[0].axes,
            dtype=parts[0].dtype,
            count=len(numbers),
            labels=None if labels is None else labels[numbers],
            class_names=parts[0].class_names,
            skipped=[each for part in parts for each in part.skipped],
            notes=dict.fromkeys(note for part in parts for note in part.notes),
            position_bits=_joined_bits(parts, numbers),
        )
        self._parts = list(parts)
        self._ends = ends
        self._rows = numbers

    def item_sizes(self) -> Array:
        """Return the spatial size of every item: int64 [N, axes]."""
        found: Array = np.concatenate([part.item_sizes() for part in self._parts])[self._rows]
        return found

    def read(self, index: int) -> Array:
        """Return item ``index`` as [C, *size]."""
        part, at = self._place(index)
        return self._parts[part].read(at)

    def peek(self, index: int) -> Array:
        """Return item ``index`` like ``read``, but perhaps sharing memory."""
        part, at = self._place(index)
        return self._parts[part].peek(at)

    def subset(self, indices: Sequence[int] | Array) -> Joined:
        """Return a source of these items over the same parts."""
        return Joined(self._parts, name=self.name, rows=self._rows[self.positions(indices)])

    def with_channels(self, channels: int) -> Joined:
        """Return the same images in grey or RGB."""
        return Joined([part.with_channels(channels) for part in self._parts], name=self.name, rows=self._rows)

    def storage(self) -> str:
        """Say where the first part lies."""
        return self._parts[0].storage()

    def _place(self, index: int) -> tuple[int, int]:
        row = int(self._rows[self.position(index)])
        part = int(np.searchsorted(self._ends, row, side="right"))
        return part, row - (int(self._ends[part - 1]) if part else 0)


def _joined_bits(parts: Sequence[Source], rows: Array) -> Array | None:
    if all(part.position_bits is None for part in parts):
        return None
    plain = (np.full(len(part), part.dtype.itemsize * 8 * part.channels) for part in parts)
    both = [each if part.position_bits is None else part.position_bits for part, each in zip(parts, plain, strict=True)]
    return np.concatenate(both)[rows]
