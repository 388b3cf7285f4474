"""Slots at the beginning of an archive: how long it is now. Two of them, so that one is always whole.

An archive grows at its end. What was added counts from the moment at which a slot says so: a slot has a checksum of its
own, and while one is written the other one holds what was before.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Self, final

from vqkit.errors import ChecksumError

SLOT_BYTES = 20
SLOTS_BYTES = 2 * SLOT_BYTES


@final
@dataclass(frozen=True)
class Slot:
    """State of an archive.

    Args:
        generation: how often it was added to; the slot of the larger one holds.
        length: bytes of the archive; what lies beyond is no part of it.
        commit: bytes of its last section, which is a COMMIT.

    Example:
        >>> Slot.read(Slot(3, 4096, 60).data)
        Slot(generation=3, length=4096, commit=60)
    """

    generation: int
    length: int
    commit: int

    @property
    def data(self) -> bytes:
        """The bytes of the slot."""
        body = self.generation.to_bytes(4, "big") + self.length.to_bytes(8, "big") + self.commit.to_bytes(4, "big")
        return body + zlib.crc32(body).to_bytes(4, "big")

    @classmethod
    def read(cls, data: bytes) -> Self | None:
        """The slot of these bytes; None: they are none, or it was cut off while it was written."""
        body, crc = data[:16], int.from_bytes(data[16:], "big")
        if len(data) != SLOT_BYTES or crc != zlib.crc32(body) or not any(body):
            return None
        return cls(*(int.from_bytes(body[start:stop], "big") for start, stop in ((0, 4), (4, 12), (12, 16))))


def newest_slot(data: bytes) -> Slot:
    """The slot that holds, of the bytes of both.

    Raises:
        ChecksumError: both are damaged.
    """
    whole = [each for each in read_slots(data) if each is not None]
    if not whole:
        raise ChecksumError("damaged file: neither slot at its beginning says how long the archive is; get it anew")
    return max(whole, key=lambda slot: slot.generation)


def read_slots(data: bytes) -> tuple[Slot | None, Slot | None]:
    """Both slots; None for one that is damaged."""
    return Slot.read(data[:SLOT_BYTES]), Slot.read(data[SLOT_BYTES:SLOTS_BYTES])
