"""Pages of an archive's index: where each signal is, by its number, and its number, by the hash of its name.

All pages of a kind but the last one have the same length, so that a reader finds the one it needs by seeking, and each
is a section with a checksum of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import final

import numpy as np
from numpy.typing import NDArray

from vqkit.coding.archive.commits import OFFSET_BYTES, Part
from vqkit.coding.sections import SectionReader, SectionWriter
from vqkit.errors import BitstreamError

PLACES, NAMES = 6, 7
"""Types of their sections."""
PAGE_BYTES = 4095
"""Body of a full page: 455 places, or 315 names."""
_PLACE_BYTES, _NAME_BYTES = OFFSET_BYTES + 3, 8 + 5
PAGE_PLACES, PAGE_NAMES = PAGE_BYTES // _PLACE_BYTES, PAGE_BYTES // _NAME_BYTES
_KEPT = 64
"""Pages of a part that are kept, some 5 KB each."""
_SECTION_BYTES = 1 + 2 + PAGE_BYTES + 4

Numbers = NDArray[np.uint64]


def name_hash(name: str) -> int:
    """Eight bytes of the SHA-256 of a name's UTF-8, as an integer."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:8], "big")


@final
class Table:
    """Entries of a part of an index.

    Args:
        places: uint64 ``[n, 2]``: of each signal the place of its group in the file, and its own in the group.
        names: uint64 ``[m, 2]``: the hash of a name and the number of its signal in the archive, ascending.
    """

    def __init__(self, places: Numbers, names: Numbers) -> None:
        self.places, self.names = places, names

    @classmethod
    def of(cls, places: list[tuple[int, int]], names: list[tuple[int, int]]) -> Table:
        """The table of these entries, names in any order."""
        known = np.array(places, dtype=np.uint64).reshape(-1, 2)
        return cls(known, _sorted(np.array(names, dtype=np.uint64).reshape(-1, 2)))

    @classmethod
    def joined(cls, tables: list[Table]) -> Table:
        """One table of several that follow each other."""
        names = np.concatenate([each.names for each in tables])
        return cls(np.concatenate([each.places for each in tables]), _sorted(names))

    def write(self, sections: SectionWriter) -> Part:
        """Write the pages."""
        part = Part(len(self.places), len(self.names), sections.place)
        places = _bytes(self.places, (OFFSET_BYTES, 3))
        for start in range(0, len(places), PAGE_PLACES):
            sections.write(PLACES, places[start : start + PAGE_PLACES].tobytes())
        names = _bytes(self.names, (8, 5))
        for start in range(0, len(names), PAGE_NAMES):
            sections.write(NAMES, names[start : start + PAGE_NAMES].tobytes())
        return part


@final
class Pages:
    """Reads a part of an index, a page at a time.

    Args:
        sections: of the file, which can seek.
        part: which part.
        first: the number of its first signal.
    """

    def __init__(self, sections: SectionReader, part: Part, first: int) -> None:
        self._sections, self.part, self.first = sections, part, first
        self._names = part.place + _bytes_of(part.signals, PAGE_PLACES, _PLACE_BYTES)
        self._kept: dict[tuple[int, int], Numbers] = {}

    def place(self, number: int) -> tuple[int, int]:
        """The place of a signal's group in the file, and the signal's in its group."""
        page, entry = divmod(number - self.first, PAGE_PLACES)
        found = self._places(page)[entry]
        return int(found[0]), int(found[1])

    def numbers(self, wanted: int) -> Iterator[int]:
        """Numbers of the signals whose names have a hash, ascending."""
        low, high = 0, -(-self.part.named // PAGE_NAMES)
        while low < high:  # the first page whose last hash is not below
            middle = (low + high) // 2
            if int(self._hashes(middle)[-1, 0]) < wanted:
                low = middle + 1
            else:
                high = middle
        for page in range(low, -(-self.part.named // PAGE_NAMES)):
            entries = self._hashes(page)
            yield from map(int, entries[entries[:, 0] == np.uint64(wanted), 1])
            if int(entries[-1, 0]) > wanted:
                return

    def table(self) -> Table:
        """All entries."""
        places = [self._places(page) for page in range(-(-self.part.signals // PAGE_PLACES))]
        names = [self._hashes(page) for page in range(-(-self.part.named // PAGE_NAMES))]
        none = np.zeros((0, 2), np.uint64)
        return Table(np.concatenate([none, *places]), np.concatenate([none, *names]))

    def _places(self, page: int) -> Numbers:
        return self._page(PLACES, self.part.place, page, self.part.signals, PAGE_PLACES, (OFFSET_BYTES, 3))

    def _hashes(self, page: int) -> Numbers:
        return self._page(NAMES, self._names, page, self.part.named, PAGE_NAMES, (8, 5))

    def _page(self, kind: int, start: int, page: int, count: int, full: int, widths: tuple[int, int]) -> Numbers:
        """A page, of which the last so many are kept: an index that is written never changes."""
        if (kind, page) in self._kept:
            return self._kept[kind, page]
        self._sections.go_to(start + page * _SECTION_BYTES)
        found, body = self._sections.read()
        entries = min(full, count - page * full)
        if found != kind or len(body) != entries * sum(widths):
            raise BitstreamError(
                f"damaged file: no page of {entries} entries of the index at byte {start + page * _SECTION_BYTES}; "
                "get it anew"
            )
        if len(self._kept) == _KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[kind, page] = _numbers(body, widths)
        return self._kept[kind, page]


def _bytes_of(count: int, full: int, width: int) -> int:
    """Bytes of the pages of so many entries."""
    pages, left = divmod(count, full)
    length = left * width
    return pages * _SECTION_BYTES + (1 + (1 if length < 1 << 7 else 2) + length + 4 if left else 0)


def _sorted(names: Numbers) -> Numbers:
    return names[np.lexsort((names[:, 1], names[:, 0]))]


def _bytes(table: Numbers, widths: tuple[int, int]) -> NDArray[np.uint8]:
    """uint8 ``[n, sum of widths]``: two columns as big-endian integers of so many bytes."""
    columns = []
    for column, width in enumerate(widths):
        whole = np.ascontiguousarray(table[:, column], dtype=">u8").view(np.uint8).reshape(-1, 8)
        columns.append(whole[:, 8 - width :])
    return np.concatenate(columns, axis=1)


def _numbers(body: bytes, widths: tuple[int, int]) -> Numbers:
    rows = np.frombuffer(body, dtype=np.uint8).reshape(-1, sum(widths))
    found, start = np.zeros((len(rows), 2), dtype=np.uint64), 0
    for column, width in enumerate(widths):
        whole = np.zeros((len(rows), 8), dtype=np.uint8)
        whole[:, 8 - width :] = rows[:, start : start + width]
        found[:, column] = whole.view(">u8")[:, 0]
        start += width
    return found
