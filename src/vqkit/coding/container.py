"""``.vqk`` files: written and read as a stream, a section at a time. The layout is in docs/bitstream.md."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import BinaryIO, final

import numpy as np
from numpy.typing import NDArray

from vqkit.coding.archive.commits import Commit
from vqkit.coding.archive.pages import NAMES, PLACES
from vqkit.coding.fields import Fields, varint
from vqkit.coding.header_bytes import file_body, group_body, read_file_body, read_group_body
from vqkit.coding.headers import FileHeader, GroupHeader, Place
from vqkit.coding.sections import GROWING, MAX_BODY, SectionReader, SectionWriter
from vqkit.errors import BitstreamError, ConfigError, LimitError, WrongModelError

MAX_VALUES = 1 << 29
"""Numbers of a group's decoded signals that a reader allows by default: 178,956,970 RGB pixels."""

_FILE, GROUP, _INDICES, _RESIDUAL, _END, COMMIT = 1, 2, 3, 4, 5, 8
"""Types of sections; those of an index are in ``vqkit.coding.archive.pages``."""
_TYPES = {"indices": _INDICES, "residual": _RESIDUAL}
_MOST = (1 << 35) - 1


@final
@dataclass(frozen=True, kw_only=True)
class Block:
    """One tile of all signals of a group, coded.

    Args:
        place: which one (``GroupHeader.places``).
        crc: ``integers_crc`` of the integers that were coded.
        data: what ``Encoder.bytes`` gave.
    """

    place: Place
    crc: int
    data: bytes = field(repr=False)

    def check(self, integers: NDArray[np.integer]) -> None:
        """Raise unless these are the integers that were coded.

        The section's own checksum held, so that the bytes are right: what differs is the model's prediction.

        Raises:
            WrongModelError: they are others.
        """
        found = integers_crc(integers)
        if found != self.crc:
            raise WrongModelError(
                f"the {self.place.kind} of tile {self.place.number} decode to integers with checksum {found:08x}, but "
                f"{self.crc:08x} was written: the model computes otherwise here than where the file was made; "
                "decode it with the same versions and files of the models"
            )


def integers_crc(integers: NDArray[np.integer]) -> int:
    """CRC-32 of integers as 32-bit two's complement, big-endian, in C order."""
    return zlib.crc32(np.ascontiguousarray(integers, dtype=">i4").tobytes())


def check_model(what: str, needed: bytes, given: bytes) -> None:
    """Raise unless two ``digest`` are the same.

    Raises:
        WrongModelError: they are not.
    """
    if needed != given:
        raise WrongModelError(
            f"the file was made with the {what} {needed.hex() or '(none)'}, but {given.hex() or '(none)'} was given: "
            "only the same one decodes it; name the folder of that one"
        )


@dataclass
class Totals:
    """Numbers of groups, signals and blocks that a file's END section repeats."""

    groups: int = 0
    signals: int = 0
    blocks: int = 0

    def body(self) -> bytes:
        """As varints."""
        return varint(self.groups) + varint(self.signals) + varint(self.blocks)


@final
class Writer:
    """Writes a ``.vqk`` file to a binary file object, which need not be seekable.

    ``begin`` a group, give each ``block`` of ``group.places(header)`` in that order, and ``finish`` after the last
    group. As a context manager it finishes by itself unless an exception ends the block.

    Args:
        file: binary.
        header: of the file.
        going_on: in a file that has its header and so many groups (``vqkit.coding.archive``).
    """

    def __init__(
        self, file: BinaryIO, header: FileHeader, *, going_on: tuple[SectionWriter, Totals] | None = None
    ) -> None:
        self.header = header
        self._sections, self.totals = going_on or (SectionWriter(file), Totals())
        self._places: Iterator[Place] = iter(())
        self._next: Place | None = None
        self._before: GroupHeader | None = None
        self._finished = False
        if going_on is None:
            self._sections.write(_FILE, file_body(header))

    def begin(self, group: GroupHeader) -> None:
        """Write a group's header.

        Raises:
            ConfigError: blocks of the group before are missing, or the group does not fit the file.
        """
        self._complete("begin a group")
        group.check(self.header)
        going_on = self._before is not None and self._before.goes_on
        if self._before is not None:
            group.check_after(self._before)
        self._sections.write(GROUP, group_body(group, self.header))
        self._before = group
        self.totals.groups += 1
        self.totals.signals += 0 if going_on else group.signals
        self._places = group.places(self.header)
        self._next = next(self._places)

    def block(self, block: Block) -> None:
        """Write the next block.

        Raises:
            ConfigError: another one is next, or it is too long.
        """
        if block.place != self._next:
            raise ConfigError(f"a block at {block.place}, where {self._next or 'no block'} is next: keep the order")
        self._sections.write(_TYPES[block.place.kind], block.crc.to_bytes(4, "big") + block.data)
        self.totals.blocks += 1
        self._next = next(self._places, None)

    def finish(self) -> None:
        """Write the END section; nothing may follow. The file object stays open.

        Raises:
            ConfigError: blocks are missing.
        """
        self.check_whole("finish")
        self._sections.write(_END, self.totals.body())
        self._finished = True

    def check_whole(self, what: str) -> None:
        """Raise ``ConfigError`` unless every group and every signal that was begun is whole."""
        self._complete(what)
        if self._before is not None and self._before.goes_on:
            raise ConfigError(f"cannot {what} in the middle of a signal: its last group goes on; write what follows")

    def _complete(self, what: str) -> None:
        if self._finished:
            raise ConfigError(f"cannot {what}: the file is finished; write another")
        if self._next is not None:
            raise ConfigError(f"cannot {what} while the block at {self._next} is missing: write it first")

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None and not self._finished:
            self.finish()


@final
class GroupReader:
    """A group of a file: its ``header``, its ``number`` from 0, and, iterated once, its blocks.

    ``continues`` says whether it goes on with the signal of the group before.
    """

    def __init__(
        self,
        header: GroupHeader,
        number: int,
        places: Iterator[Place],
        sections: SectionReader,
        *,
        continues: bool = False,
    ) -> None:
        self.header, self.number, self.continues = header, number, continues
        self.blocks_read = 0
        self._places, self._sections = places, sections
        self._next = next(places, None)

    @property
    def next_place(self) -> Place | None:
        """Where the next block belongs, before it is read; None after the last one."""
        return self._next

    def __iter__(self) -> Iterator[Block]:
        return self

    def __next__(self) -> Block:
        place = self._next
        if place is None:
            raise StopIteration
        kind, body = self._sections.read()
        if kind != _TYPES[place.kind]:
            raise BitstreamError(
                f"damaged file: a section of type {kind} where the {place.kind} of tile {place.number} of group "
                f"{self.number} belong; get the file anew"
            )
        fields = Fields(body, "block")
        self._next = next(self._places, None)
        self.blocks_read += 1
        return Block(place=place, crc=int.from_bytes(fields.take(4), "big"), data=fields.rest())


@final
class Reader:
    """Reads a ``.vqk`` file from a binary file object, which need not be seekable, and verifies it on the way.

    Iterate it for its groups, once; iterate a group for its blocks. Blocks that are not asked for are read over, but
    verified. When the iteration ends by itself the whole file is known to be as it was written, up to its end:
    ``complete`` is then True. Nobody who stops earlier knows that.

    Args:
        file: the file object.
        max_values: most numbers (signals x channels x pixels) of a group that are allowed.
        max_section_bytes: longest section that is allowed, and so the memory that the reader needs for the file.

    Raises:
        BitstreamError: from ``__init__`` and while iterating; a subclass of it says what is wrong.
    """

    def __init__(self, file: BinaryIO, *, max_values: int = MAX_VALUES, max_section_bytes: int = MAX_BODY) -> None:
        self._sections = SectionReader(file, max_section_bytes)
        self._max_values = max_values
        kind, body = self._sections.read()
        if kind != _FILE:
            raise BitstreamError(f"damaged file: its first section is of type {kind}, not {_FILE}; get it anew")
        self.header = read_file_body(body)
        self.complete = False
        self._groups = self._read()

    def __iter__(self) -> Iterator[GroupReader]:
        return self._groups

    @property
    def growing(self) -> bool:
        """Whether the file is an archive, to which signals are added."""
        return self._sections.version == GROWING

    @property
    def bytes_read(self) -> int:
        """Number of bytes read so far."""
        return self._sections.place

    def finish(self) -> None:
        """Read over what is left, so that all of the file is verified."""
        for _ in self._groups:
            pass
        if not self.complete:
            raise BitstreamError("damaged file: reading it has failed before; get it anew")

    def _read(self) -> Iterator[GroupReader]:
        totals, before = Totals(), None
        growing = self.growing
        while True:
            kind, body = self._sections.read()
            if kind == _END and not growing:
                break
            if growing and kind in (PLACES, NAMES):
                continue
            if growing and kind == COMMIT and not (before is not None and before.goes_on):
                if self._committed(body, totals):
                    return
                continue
            if kind != GROUP:
                raise BitstreamError(
                    f"damaged file: a section of type {kind} where a group or the end belongs; get the file anew"
                )
            header = read_group_body(body, self.header)
            self._limit(header)
            continues = _continues(header, before)
            places = header.places(self.header)
            group = GroupReader(header, totals.groups, places, self._sections, continues=continues)
            yield group
            for _ in group:
                pass
            before = header
            totals.groups += 1
            totals.signals += 0 if continues else header.signals
            totals.blocks += group.blocks_read
        if before is not None and before.goes_on:
            raise BitstreamError("damaged file: it ends in the middle of a signal, which goes on; get the file anew")
        self._end(body, totals)

    def _limit(self, group: GroupHeader) -> None:
        values = group.values(self.header)
        if values > self._max_values:
            more = " and others" if group.sizes else ""
            raise LimitError(
                f"a group of {group.signals} signals of size {group.size}{more} with {self.header.channels} channels "
                f"has {values} values: at most {self._max_values} are allowed here, so that a small file cannot fill "
                "the memory; raise max_values if you trust the file"
            )

    def _committed(self, body: bytes, totals: Totals) -> bool:
        """Check what ends an addition to an archive; returns whether the archive ends with it."""
        commit = Commit.read(body)
        said = Totals(commit.groups, commit.signals, commit.blocks)
        if said != totals:
            raise BitstreamError(f"damaged file: its COMMIT section says {said}, but {totals} were read; get it anew")
        self.complete = self._sections.place == self._sections.stop
        return self.complete

    def _end(self, body: bytes, totals: Totals) -> None:
        fields = Fields(body, "END")
        said = Totals(*(fields.varint(name, 0, _MOST) for name in ("groups", "signals", "blocks")))
        fields.end()
        if said != totals:
            raise BitstreamError(f"damaged file: its END section says {said}, but {totals} were read; get it anew")
        self._sections.end()
        self.complete = True


def _continues(header: GroupHeader, before: GroupHeader | None) -> bool:
    """Whether a group goes on with the signal of the one before; raises where it cannot."""
    if before is None or not before.goes_on:
        return False
    try:
        header.check_after(before)
    except ConfigError as error:
        raise BitstreamError(f"damaged file: {error}") from error
    return True
