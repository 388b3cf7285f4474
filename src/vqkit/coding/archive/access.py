"""Access to any signal of a ``.vqk`` file: where it is, by its number or its name, without reading the others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, final

from vqkit.coding.archive.commits import Commit
from vqkit.coding.archive.pages import Pages, name_hash
from vqkit.coding.archive.slots import SLOTS_BYTES, Slot, newest_slot, read_slots
from vqkit.coding.container import COMMIT, GROUP, GroupReader
from vqkit.coding.header_bytes import read_file_body, read_group_body
from vqkit.coding.headers import FileHeader, GroupHeader
from vqkit.coding.sections import FIRST_SECTION, GROWING, SectionReader
from vqkit.errors import BitstreamError, TruncatedFileError

_FILE, _END = 1, 5


@dataclass(frozen=True)
class State:
    """What an archive says of itself."""

    header: FileHeader
    slot: Slot
    spare: int
    """Which slot, 0 or 1, is to be written first: the damaged or the older one."""
    commit: Commit
    sections: SectionReader


def open_growing(file: BinaryIO) -> State:
    """Read the state of an archive: its beginning, and its last section.

    Raises:
        BitstreamError: it is damaged, or no archive.
    """
    file.seek(0)
    sections = SectionReader(file)
    if sections.version != GROWING:
        raise BitstreamError("the file is no archive, but one that was written at once; convert it first")
    file.seek(FIRST_SECTION[GROWING] - SLOTS_BYTES)
    data = file.read(SLOTS_BYTES)
    slot, spare = newest_slot(data), int(read_slots(data)[0] == newest_slot(data))
    size = file.seek(0, 2)
    if size < slot.length:
        raise TruncatedFileError(
            f"the file has {size:,} bytes, and the archive in it {slot.length:,}: it was cut short; get it anew"
        )
    header = _header(sections)
    sections.go_to(slot.length - slot.commit)
    kind, body = sections.read()
    if kind != COMMIT or sections.place != slot.length:
        raise BitstreamError(f"damaged file: a section of type {kind} where its COMMIT belongs; get it anew")
    return State(header, slot, spare, Commit.read(body), sections)


class Access(ABC):
    """Signals of a file, found by seeking.

    Attributes:
        header: of the file.
        signals: how many there are.
    """

    header: FileHeader
    signals: int

    def __init__(self, sections: SectionReader) -> None:
        self._sections = sections

    @abstractmethod
    def place(self, number: int) -> tuple[int, int]:
        """The place in the file of a signal's group, and of the signal in its group."""

    @abstractmethod
    def candidates(self, name: str) -> Iterator[int]:
        """Numbers of the signals that may have this name, ascending."""

    def numbers(self, name: str) -> Iterator[int]:
        """Numbers of the signals of this name, ascending: most often one, or none."""
        for number in self.candidates(name):
            place, own = self.place(number)
            names = self.group_header(place).names
            if names and names[own] == name:
                yield number

    def group_header(self, place: int, *, verify: bool = True) -> GroupHeader:
        """The header of the group at a place, verified.

        Raises:
            BitstreamError: it is damaged.
        """
        self._sections.go_to(place)
        kind, body = self._sections.read(verify=verify)
        if kind != GROUP:
            raise BitstreamError(f"damaged file: a section of type {kind} at byte {place}, where a group belongs")
        return read_group_body(body, self.header)

    def groups(self, place: int) -> Iterator[GroupReader]:
        """The group at a place, and those that go on with its signal; each is read before the next is asked for."""
        continues = False
        while True:
            about = self.group_header(place) if not continues else self._next_header()
            group = GroupReader(about, 0, about.places(self.header), self._sections, continues=continues)
            yield group
            for _ in group:
                pass
            if not about.goes_on:
                return
            continues = True

    def _next_header(self) -> GroupHeader:
        kind, body = self._sections.read()
        if kind != GROUP:
            raise BitstreamError(f"damaged file: a section of type {kind} where a signal goes on; get the file anew")
        return read_group_body(body, self.header)


@final
class IndexedAccess(Access):
    """Access to an archive, by the index in it: in time that does not depend on how much is in it."""

    def __init__(self, state: State) -> None:
        super().__init__(state.sections)
        self.header, self.signals, self.state = state.header, state.commit.signals, state
        self._parts: list[Pages] = []
        first = 0
        for part in state.commit.parts:
            self._parts.append(Pages(state.sections, part, first))
            first += part.signals

    def place(self, number: int) -> tuple[int, int]:
        """See ``Access.place``."""
        part = next(each for each in self._parts if number < each.first + each.part.signals)
        return part.place(number)

    def candidates(self, name: str) -> Iterator[int]:
        """See ``Access.candidates``."""
        wanted = name_hash(name)
        for part in self._parts:
            yield from part.numbers(wanted)


@final
class ScannedAccess(Access):
    """Access to a file that was written at once, without an index: its headers are read, the rest is sought over."""

    def __init__(self, sections: SectionReader, *, tolerant: bool = False) -> None:
        super().__init__(sections)
        self.header = _header(sections)
        self._places: list[tuple[int, int]] = []
        self._names: dict[str, list[int]] = {}
        try:
            self._scan(verify=not tolerant)
        except BitstreamError:
            if not tolerant:
                raise
        self.signals = len(self._places)

    def _scan(self, *, verify: bool) -> None:
        sections, going_on = self._sections, False
        while True:
            place = sections.place
            kind, _, _ = sections.skip()
            if kind == _END:
                break
            if kind != GROUP:
                continue
            sections.go_to(place)
            about = read_group_body(sections.read(verify=verify)[1], self.header)
            if not going_on:
                for own in range(about.signals):
                    for name in about.names[own : own + 1]:
                        self._names.setdefault(name, []).append(len(self._places))
                    self._places.append((place, own))
            going_on = about.goes_on

    def place(self, number: int) -> tuple[int, int]:
        """See ``Access.place``."""
        return self._places[number]

    def candidates(self, name: str) -> Iterator[int]:
        """See ``Access.candidates``."""
        yield from self._names.get(name, ())


def open_access(file: BinaryIO, *, tolerant: bool = False) -> IndexedAccess | ScannedAccess:
    """Access to the signals of a file that can seek: an archive, or a file that was written at once.

    Args:
        file: the file object.
        tolerant: of a file that was written at once and is damaged, those signals that are found are all.

    Raises:
        BitstreamError: it is damaged, or no ``.vqk`` file.
    """
    file.seek(0)
    sections = SectionReader(file)
    return (
        IndexedAccess(open_growing(file)) if sections.version == GROWING else ScannedAccess(sections, tolerant=tolerant)
    )


def _header(sections: SectionReader) -> FileHeader:
    sections.go_to(FIRST_SECTION[sections.version])
    kind, body = sections.read()
    if kind != _FILE:
        raise BitstreamError(f"damaged file: its first section is of type {kind}, not {_FILE}; get it anew")
    return read_file_body(body)
