"""Groups added to an archive: they count, with an index of their own, from the moment at which they are committed."""

from __future__ import annotations

from typing import Protocol, final

from vqkit.coding.archive.access import open_growing
from vqkit.coding.archive.commits import Commit, merged
from vqkit.coding.archive.pages import Pages, Table, name_hash
from vqkit.coding.archive.slots import SLOT_BYTES, SLOTS_BYTES, Slot
from vqkit.coding.container import COMMIT, Block, Totals, Writer
from vqkit.coding.header_bytes import file_body
from vqkit.coding.headers import FileHeader, GroupHeader
from vqkit.coding.sections import FIRST_SECTION, GROWING, MAGIC, SectionReader, SectionWriter, first_crc

_FILE = 1


class Growing(Protocol):
    """Protocol of a file that is appended to and can seek (``vqkit.storage.growing``)."""

    def write(self, data: bytes) -> int:
        """Append."""
        ...

    def overwrite(self, place: int, data: bytes) -> None:
        """Write over what is there, on the disk after all that was appended."""
        ...

    def flush(self) -> None:
        """Make what was appended readable."""
        ...

    def read(self, size: int = -1) -> bytes:
        """Read."""
        ...

    def seek(self, place: int, whence: int = 0) -> int:
        """Go to a place to read from."""
        ...

    def cut(self, length: int) -> None:
        """Drop what lies beyond."""
        ...


@final
class ArchiveWriter:
    """Adds groups to an archive; takes what ``Writer`` takes. ``finish`` commits them, as often as there are some.

    Args:
        file: the archive; empty for a new one.
        header: of a new one; None: the archive is there.

    Raises:
        BitstreamError: it is no archive, or damaged.
    """

    def __init__(self, file: Growing, header: FileHeader | None = None) -> None:
        self._file = file
        if header is None:
            state = open_growing(file)  # type: ignore[arg-type]
            self.header, self._slot, self._commit = state.header, state.slot, state.commit
            self._spare = state.spare
            file.cut(self._slot.length)
        else:
            self.header, self._slot, self._commit = header, Slot(0, 0, 0), Commit()
            self._spare = 0
        self._begin()

    @property
    def signals(self) -> int:
        """Signals that were added and not yet committed."""
        return len(self._places)

    @property
    def place(self) -> int:
        """Where the next section goes: bytes of the archive so far."""
        return self._sections.place

    def begin(self, group: GroupHeader) -> None:
        """See ``Writer.begin``."""
        place, before = self._sections.place, self._writer.totals.signals
        self._writer.begin(group)
        for own in range(self._writer.totals.signals - before):
            if group.names:
                self._names.append((name_hash(group.names[own]), before + own))
            self._places.append((place, own))

    def block(self, block: Block) -> None:
        """See ``Writer.block``."""
        self._writer.block(block)

    def finish(self) -> None:
        """Make all that was added a part of the archive, at once.

        Raises:
            ConfigError: blocks are missing.
            OSError: the disk is full; the archive is then as it was before.
        """
        self._writer.check_whole("finish")
        parts = list(self._commit.parts)
        if self._places:
            table = Table.of(self._places, self._names)
            count = merged([*(part.signals for part in parts), len(self._places)]) - 1
            if count:
                table = Table.joined([*self._tables(count), table])
            parts[len(parts) - count :] = [table.write(self._sections)]
        totals = self._writer.totals
        self._commit = Commit(totals.groups, totals.signals, totals.blocks, tuple(parts))
        length = self._sections.write(COMMIT, self._commit.body)
        slot = Slot(self._slot.generation + 1, self._sections.place, length)
        first = FIRST_SECTION[GROWING] - SLOTS_BYTES
        for number in (self._spare, 1 - self._spare):
            self._file.overwrite(first + SLOT_BYTES * number, slot.data)
        self._slot = slot
        self._begin()

    def cancel(self) -> None:
        """Drop what was not committed."""
        self._file.cut(self._slot.length)
        self._begin()

    def _begin(self) -> None:
        """Be ready for what is added next."""
        self._places: list[tuple[int, int]] = []
        self._names: list[tuple[int, int]] = []
        if self._slot.generation:
            crc = self._crc_at_end()
            self._sections = SectionWriter(self._file, (self._slot.length, crc))  # type: ignore[arg-type]
        else:
            first = FIRST_SECTION[GROWING]
            self._file.write((MAGIC + GROWING.to_bytes(2, "big")).ljust(first, b"\0"))
            self._sections = SectionWriter(self._file, (first, first_crc(GROWING)))  # type: ignore[arg-type]
            self._sections.write(_FILE, file_body(self.header))
        known = Totals(self._commit.groups, self._commit.signals, self._commit.blocks)
        self._writer = Writer(self._file, self.header, going_on=(self._sections, known))  # type: ignore[arg-type]

    def _crc_at_end(self) -> int:
        self._file.flush()
        self._file.seek(self._slot.length - 4)
        return int.from_bytes(self._file.read(4), "big")

    def _tables(self, count: int) -> list[Table]:
        """The last so many parts of the index."""
        self._file.flush()
        self._file.seek(0)
        sections = SectionReader(self._file)  # type: ignore[arg-type]
        first = self._commit.signals
        found: list[Table] = []
        for part in reversed(self._commit.parts[len(self._commit.parts) - count :]):
            first -= part.signals
            found.insert(0, Pages(sections, part, first).table())
        return found
