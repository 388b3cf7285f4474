"""Several sources one after the other, as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import final

import numpy as np

from vqkit.data.classes import all_names
from vqkit.data.identity import VALUES, content_fingerprint
from vqkit.data.source import Array, Source
from vqkit.errors import DataError


@final
class ConcatSource(Source):
    """The items of several sources of one kind, in order.

    Args:
        parts: sources of the same channels, axes and dtype (uint8 and float32 images join as float32). Classes are
            numbered by their names, as in the first one that has labels.
        name: for messages; None: the first one's.
        rows: int64 [N], which items of all of them, in this order; None: all.

    Raises DataError for sources that differ, or none.

    Example:
        >>> import vqkit
        >>> from vqkit.data import ConcatSource
        >>> digits = vqkit.load_source("builtin:digits")
        >>> len(ConcatSource([digits, digits.subset(range(3))]))
        1800
    """

    def __init__(self, parts: Sequence[Source], *, name: str | None = None, rows: Array | None = None) -> None:
        kinds = {(*part.form, str(part.dtype)) for part in parts}
        mixed = {dtype for *_, dtype in kinds} == {"uint8", "float32"} and len({kind[:3] for kind in kinds}) == 1
        if len(kinds) != 1 and not mixed:
            said = "; ".join(part.describe() for part in parts)
            raise DataError(f"sources of one kind are joined, these are {len(kinds)}: {said or 'none'}.")
        ends = np.cumsum([len(part) for part in parts])
        numbers = np.arange(int(ends[-1]), dtype=np.int64) if rows is None else rows
        parts, class_names = _one_numbering(parts)
        labeled = all(part.labels is not None for part in parts)
        labels = np.concatenate([part.labels for part in parts if part.labels is not None]) if labeled else None
        super().__init__(
            name=parts[0].name if name is None else name,
            channels=parts[0].channels,
            axes=parts[0].axes,
            dtype=np.float32 if mixed else parts[0].dtype,
            count=len(numbers),
            labels=None if labels is None else labels[numbers],
            class_names=class_names,
            skipped=[each for part in parts for each in part.skipped],
            notes=dict.fromkeys(note for part in parts for note in part.notes),
            position_bits=_joined_bits(parts, numbers),
            kind=parts[0]._kind,
        )
        self._parts = list(parts)
        self.reads_parts = all(part.reads_parts for part in parts)
        self._ends = ends
        self._rows = numbers

    def content(self) -> tuple[str, Iterable[Array]]:
        """See ``Source.content``: the parts' own bytes where all of them are told by values, else the parts."""
        ways = [part.content()[0] for part in self._parts]
        if set(ways) == {VALUES}:
            return super().content()
        parts = "".join(content_fingerprint(part) for part in self._parts)
        return "joined", [np.frombuffer(parts.encode(), dtype=np.uint8), self._rows]

    def item_sizes(self) -> Array:
        """Return the spatial size of every item: int64 [N, axes]."""
        found: Array = np.concatenate([part.item_sizes() for part in self._parts])[self._rows]
        return found

    def read(self, index: int) -> Array:
        """Return item ``index`` as [C, *size]."""
        part, at = self._place(index)
        return self._in_common(self._parts[part].read(at))

    def peek(self, index: int) -> Array:
        """Return item ``index`` like ``read``, but perhaps sharing memory."""
        part, at = self._place(index)
        return self._in_common(self._parts[part].peek(at))

    def part(self, index: int, starts: Sequence[int], size: Sequence[int]) -> Array:
        """Return a part of item ``index``; see ``Source.part``."""
        part, at = self._place(index)
        return self._in_common(self._parts[part].part(at, starts, size))

    def item_name(self, index: int) -> str | None:
        """Return the item's name in its part."""
        part, at = self._place(index)
        return self._parts[part].item_name(at)

    def subset(self, indices: Sequence[int] | Array) -> ConcatSource:
        """Return a source of these items over the same parts."""
        return ConcatSource(self._parts, name=self.name, rows=self._rows[self.positions(indices)])

    def with_classes(self, names: Sequence[str]) -> ConcatSource:
        """Return the same items with their classes numbered as in ``names``."""
        return ConcatSource([part.with_classes(names) for part in self._parts], name=self.name, rows=self._rows)

    def with_channels(self, channels: int) -> ConcatSource:
        """Return the same images in grey or RGB."""
        return ConcatSource([part.with_channels(channels) for part in self._parts], name=self.name, rows=self._rows)

    def storage(self) -> str:
        """Say where the first part lies."""
        return self._parts[0].storage()

    def _in_common(self, item: Array) -> Array:
        if item.dtype == self.dtype:
            return item
        scaled: Array = item.astype(np.float32) / np.float32(255)
        return scaled

    def _place(self, index: int) -> tuple[int, int]:
        row = int(self._rows[self.position(index)])
        part = int(np.searchsorted(self._ends, row, side="right"))
        return part, row - (int(self._ends[part - 1]) if part else 0)


def _one_numbering(parts: Sequence[Source]) -> tuple[Sequence[Source], list[str] | None]:
    """The parts with one numbering of classes for all, and the names of the classes; None where no part has names."""
    if all(part.labels is None or part.class_names is None for part in parts):
        return parts, None
    names: list[str] = []
    for part in parts:
        if part.labels is not None:
            names = part.with_classes(names).class_names or [] if names else all_names(part.labels, part.class_names)
    return [part.with_classes(names) for part in parts], names


def _joined_bits(parts: Sequence[Source], rows: Array) -> Array | None:
    if all(part.position_bits is None for part in parts):
        return None
    each = [
        part.dtype.itemsize * 8 * part.channels if part.position_bits is None else part.position_bits for part in parts
    ]
    return np.concatenate([np.broadcast_to(bits, len(part)) for bits, part in zip(each, parts, strict=True)])[rows]
