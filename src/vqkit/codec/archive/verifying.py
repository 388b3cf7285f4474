"""Verification of a ``.vqk`` file: what is damaged, by name, and that all else decodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import BinaryIO, final

from vqkit.codec.bounded.promise import Promise
from vqkit.codec.decompressor import Decompressor
from vqkit.coding import GroupHeader, Reader
from vqkit.coding.archive.access import IndexedAccess, ScannedAccess, open_access
from vqkit.coding.archive.slots import SLOTS_BYTES, read_slots
from vqkit.coding.sections import FIRST_SECTION, GROWING
from vqkit.errors import BitstreamError

_ANY = 1 << 62


@final
@dataclass(frozen=True)
class Damage:
    """A signal that is damaged: its number, its name if it has one that can be read, and what is wrong."""

    number: int
    name: str | None
    reason: str


@final
@dataclass
class Verification:
    """What was found.

    Attributes:
        signals: how many there are.
        damaged: those that do not decode.
        notes: what else is wrong, or worth a word.
        whole: whether nothing is wrong.
        promise: what the signals that are whole promise of their values.
    """

    signals: int = 0
    damaged: list[Damage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    whole: bool = True
    promise: Promise = field(default_factory=Promise)


def verify_file(
    file: BinaryIO, decoder: Decompressor | None = None, *, progress: Callable[[int, int], None] | None = None
) -> Verification:
    """Verify every checksum of a file, and that every signal decodes to the integers that were written.

    Args:
        file: that can seek.
        decoder: with the models of the file; None: checksums only.
        progress: called with the number of signals done, and of all.

    Raises:
        BitstreamError: nothing in it can be found: its beginning is damaged, or an archive's last section.
        WrongModelError: the file was made with other models.
    """
    found = Verification()
    access = open_access(file, tolerant=True)
    found.signals = access.signals
    if decoder is not None:
        decoder.check(access.header)
    _check_sections(file, found)
    for place, first, count in _groups(access, found):
        try:
            found.promise.add(_check_group(access, place, first, decoder))
        except BitstreamError as error:
            names = _names(access, place)
            for own in range(count):
                name = names[own] if own < len(names) else None
                found.damaged.append(Damage(first + own, name, str(error)))
        if progress is not None:
            progress(first + count, access.signals)
    found.whole = found.whole and not found.damaged
    if found.promise.within and found.promise.without:
        found.notes.append(found.promise.line)
    return found


def _check_sections(file: BinaryIO, found: Verification) -> None:
    """Verify the chain of all sections, and what lies around it."""
    file.seek(0)
    try:
        reader = Reader(file, max_values=_ANY)
        reader.finish()
    except BitstreamError as error:
        found.whole = False
        found.notes.append(str(error))
        return
    if not reader.growing:
        return
    end, size = reader.bytes_read, file.seek(0, 2)
    if size > end:
        found.notes.append(
            f"{size - end:,} bytes after the archive's {end:,} are of an addition that was interrupted, and count for "
            "nothing; vqkit add takes them away"
        )
    file.seek(FIRST_SECTION[GROWING] - SLOTS_BYTES)
    if len(set(read_slots(file.read(SLOTS_BYTES)))) > 1:
        found.notes.append(
            "one of the two slots at its beginning is damaged or older; the other one holds, and vqkit add mends it"
        )


def _groups(access: IndexedAccess | ScannedAccess, found: Verification) -> Iterator[tuple[int, int, int]]:
    """Yield the place of each group that begins a signal, its first signal and how many it has."""
    before: tuple[int, int, int] | None = None
    for number in range(access.signals):
        try:
            place, _ = access.place(number)
        except BitstreamError as error:
            found.whole = False
            found.damaged.append(Damage(number, None, f"the index does not say where it is: {error}"))
            continue
        if before is not None and before[0] == place:
            before = place, before[1], before[2] + 1
            continue
        if before is not None:
            yield before
        before = place, number, 1
    if before is not None:
        yield before


def _check_group(
    access: IndexedAccess | ScannedAccess, place: int, first: int, decoder: Decompressor | None
) -> GroupHeader:
    """Verify a group, and those that go on with its signal; returns its header."""
    about = access.group_header(place)
    for own, name in enumerate(about.names):
        if first + own not in access.numbers(name):
            raise BitstreamError(f"the index does not find the name {name}; vqkit decompress finds the signal")
    for group in access.groups(place):
        if decoder is not None:
            decoder.check_blocks(access.header, group)
        for _ in group:
            pass
    return about


def _names(access: IndexedAccess | ScannedAccess, place: int) -> tuple[str, ...]:
    """Names in a group that may be damaged, as far as they can be read."""
    with suppress(BitstreamError):
        about: GroupHeader = access.group_header(place, verify=False)
        return about.names
    return ()
