"""Sections: how a ``.vqk`` file is cut up, and how damage to it is noticed.

A section is a type, a length, a body and a CRC-32. The CRC is a running one: over every byte of the file before it but
the other CRCs. So it says more than that its own section is whole: no section before it was removed, repeated,
changed, exchanged with another, or taken from another file.
"""

from __future__ import annotations

import zlib
from typing import BinaryIO, final

from vqkit.coding.archive.slots import SLOTS_BYTES, newest_slot
from vqkit.coding.fields import varint
from vqkit.errors import (
    BitstreamError,
    ChecksumError,
    ConfigError,
    LimitError,
    NotAVqkFileError,
    TruncatedFileError,
    UnsupportedVersionError,
)

MAGIC = b"\x8fVQK\r\n\x1a\n"
"""The top bit shows 7-bit transfer, the line ends show text mode, 0x1a stops a listing: PNG's idea."""
VERSION = 1
GROWING = 2
"""Version of an archive, to which signals are added (docs/bitstream.md, *Archives*)."""
MAX_BODY = 1 << 26
"""Longest body in bytes: a reader never needs more than this at once for the file itself."""

FIRST_SECTION = {VERSION: len(MAGIC) + 2, GROWING: len(MAGIC) + 2 + SLOTS_BYTES}
"""Where the FILE section begins."""

_PIECE = 1 << 20  # bytes that are asked for at once, so that a false length allocates nothing


@final
class SectionWriter:
    """Writes the magic, the version and sections to a binary file, which need not be seekable.

    Args:
        file: binary.
        at: go on in a file, whose magic is there: the place of the next section, and the CRC before it.
    """

    def __init__(self, file: BinaryIO, at: tuple[int, int] | None = None) -> None:
        self._file, (self.place, self.crc) = file, at or (0, 0)
        if at is None:
            self._put(MAGIC + VERSION.to_bytes(2, "big"))

    def write(self, kind: int, body: bytes) -> int:
        """One section; its length in the file.

        Raises:
            ConfigError: a body that is too long.
        """
        if len(body) > MAX_BODY:
            raise ConfigError(
                f"a section of {len(body)} bytes: at most {MAX_BODY} are allowed, so that readers know how much memory "
                "they need; use smaller tiles or fewer signals in a group"
            )
        head = bytes([kind]) + varint(len(body))
        self._put(head)
        self._put(body)
        self._file.write(self.crc.to_bytes(4, "big"))
        self.place += 4
        return len(head) + len(body) + 4

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self.place += len(data)
        self.crc = zlib.crc32(data, self.crc)


@final
class SectionReader:
    """Reads sections and verifies each before it is given out. The file need not be seekable."""

    def __init__(self, file: BinaryIO, max_body: int = MAX_BODY) -> None:
        """Read the magic and the version.

        Raises:
            NotAVqkFileError, UnsupportedVersionError, TruncatedFileError: the file begins otherwise.
        """
        self._file, self._max_body = file, min(max_body, MAX_BODY)
        self.place = 0
        self.stop: int | None = None
        magic = self._some(len(MAGIC))
        if magic != MAGIC:
            raise _not_ours(magic)
        self.version = int.from_bytes(self._take(2, "version"), "big")
        if self.version not in (VERSION, GROWING):
            raise UnsupportedVersionError(
                f"a .vqk file of version {self.version}: this vqkit reads versions {VERSION} and {GROWING}; a newer "
                "vqkit may read it"
            )
        self._crc = first_crc(self.version)
        if self.version == GROWING:
            self.stop = newest_slot(self._take(SLOTS_BYTES, "slot")).length

    def read(self, *, verify: bool = True) -> tuple[int, bytes]:
        """The next section: its type and its body; without ``verify`` also where its checksum does not hold.

        Raises:
            TruncatedFileError: the file ends.
            ChecksumError: the section is not what was written here.
            LimitError: it is longer than allowed.
            BitstreamError: its length is written wrongly.
        """
        start = self.place
        head, _, length = self._head()
        body = self._take(length, "section")
        stored = int.from_bytes(self._take(4, "section"), "big")
        self._crc = zlib.crc32(body, zlib.crc32(head, self._crc))
        if stored != self._crc and verify:
            raise ChecksumError(
                f"damaged file: the checksum of the section at byte {start} is {stored:08x}, but {self._crc:08x} "
                "belongs to what is there and before; get the file anew"
            )
        return head[0], body

    def _head(self) -> tuple[bytes, int, int]:
        """The next section's first bytes, and what they say: its type, the length of its body."""
        start = self.place
        head = self._take(2, "section")
        while head[-1] >= 0x80:
            if len(head) == 5:
                raise BitstreamError(f"damaged file: no length of a section at byte {start}; get the file anew")
            head += self._take(1, "section")
        length = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(head[1:]))
        if head != head[:1] + varint(length):
            raise BitstreamError(f"damaged file: a long-winded length at byte {start}; get the file anew")
        if length > self._max_body:
            raise LimitError(
                f"a section of {length} bytes at byte {start}: at most {self._max_body} are allowed here "
                f"({MAX_BODY} by the format); the file is damaged, or raise max_section_bytes"
            )
        return head, head[0], length

    def go_to(self, place: int) -> None:
        """Go to a section of a file that can seek; the CRC before it is the one that is stored there.

        Raises:
            TruncatedFileError: the file ends before it.
        """
        first = FIRST_SECTION[self.version]
        self._file.seek(place if place == first else place - 4)
        self.place = place if place == first else place - 4
        self._crc = first_crc(self.version) if place == first else int.from_bytes(self._take(4, "section"), "big")

    def skip(self) -> tuple[int, int, bool]:
        """Go over the next section of a file that can seek: its type, the length of its body, whether it is all there.

        Nothing is verified.
        """
        kind, length = self._head()[1:]
        self.place += length + 4
        self._file.seek(length, 1)
        crc = self._file.read(4)
        self._crc = int.from_bytes(crc, "big")
        return kind, length, len(crc) == 4 and (self.stop is None or self.place <= self.stop)

    def end(self) -> None:
        """Check that nothing follows; after an archive the rest of an add that was interrupted may.

        Raises:
            BitstreamError: something does.
        """
        if self.stop is None and self._some(1):
            raise BitstreamError(f"damaged file: bytes after its END section at byte {self.place - 1}; get it anew")

    def _take(self, length: int, what: str) -> bytes:
        if self.stop is not None and self.place + length > self.stop:
            raise BitstreamError(
                f"damaged file: a {what} at byte {self.place} goes beyond the archive's {self.stop} bytes; get it anew"
            )
        found = self._some(length)
        if len(found) < length:
            raise TruncatedFileError(
                f"the file ends at byte {self.place}, inside or before a {what}, and has no END section: it was cut "
                "short; get it anew"
            )
        return found

    def _some(self, length: int) -> bytes:
        """Up to ``length`` bytes, fewer only at the end of the file; pipes give less than they are asked for."""
        pieces, missing = [], length
        while missing:
            piece = self._file.read(min(missing, _PIECE))
            if not piece:
                break
            pieces.append(piece)
            missing -= len(piece)
        self.place += length - missing
        return b"".join(pieces)


def first_crc(version: int) -> int:
    """The running CRC before the first section."""
    return zlib.crc32(MAGIC + version.to_bytes(2, "big"))


def _not_ours(magic: bytes) -> BitstreamError:
    """Explain why the first eight bytes are not those of a ``.vqk`` file."""
    if MAGIC.startswith(magic) and magic:
        return TruncatedFileError(f"the file has {len(magic)} bytes and no END section: it was cut short; get it anew")
    if magic[:1] == b"\x0f" or magic[1:4] == b"VQK":
        return NotAVqkFileError(
            f"the file begins with {magic!r}, not {MAGIC!r}: a transfer in text or 7-bit mode has changed it; "
            "get it anew in binary mode"
        )
    return NotAVqkFileError(f"the file begins with {magic!r}, not {MAGIC!r}: it is no .vqk file; name another")
