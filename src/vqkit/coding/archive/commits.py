"""The COMMIT section, which ends each addition to an archive: what is there now, and where its index is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from vqkit.coding.fields import Fields, varint
from vqkit.errors import BitstreamError

_MOST = (1 << 35) - 1
OFFSET_BYTES = 6
MOST_BYTES = 1 << 8 * OFFSET_BYTES
"""Longest archive."""
TIER = 4
"""Parts of the index of about one size that are made one (``merged``)."""


@final
@dataclass(frozen=True)
class Part:
    """A part of the index: of signals that follow each other.

    Args:
        signals: how many.
        named: how many of them have a name.
        place: of its first page in the file, a PLACES; its NAMES follow.
    """

    signals: int
    named: int
    place: int


@final
@dataclass(frozen=True)
class Commit:
    """What an archive holds: numbers of groups, signals and blocks, and the parts of its index in order."""

    groups: int = 0
    signals: int = 0
    blocks: int = 0
    parts: tuple[Part, ...] = ()

    @property
    def body(self) -> bytes:
        """The body of the section."""
        found = b"".join(map(varint, (self.groups, self.signals, self.blocks, len(self.parts))))
        for part in self.parts:
            found += varint(part.signals) + varint(part.named) + part.place.to_bytes(OFFSET_BYTES, "big")
        return found

    @classmethod
    def read(cls, body: bytes) -> Commit:
        """The same of the body.

        Raises:
            BitstreamError: it is damaged.
        """
        fields = Fields(body, "COMMIT")
        groups, signals, blocks = (fields.varint(name, 0, _MOST) for name in ("groups", "signals", "blocks"))
        parts = []
        for _ in range(fields.varint("parts", 0, len(body))):
            count = fields.varint("signals of a part", 1, signals)
            named = fields.varint("names of a part", 0, count)
            parts.append(Part(count, named, int.from_bytes(fields.take(OFFSET_BYTES), "big")))
        fields.end()
        if sum(part.signals for part in parts) != signals:
            raise BitstreamError(
                f"damaged file: the parts of its index have {sum(part.signals for part in parts)} signals, and it has "
                f"{signals}; get it anew"
            )
        return cls(groups, signals, blocks, tuple(parts))


def merged(sizes: list[int]) -> int:
    """How many of the last parts of an index are made one; 1: none.

    Parts of about one size (within a factor of ``TIER``) are, once there are as many. So an archive of n signals has
    some ``3 log4 n`` parts, however they came, and each entry is written ``log4 n`` times at most: what adding costs
    does not grow with what is there, nor does looking something up.

    Args:
        sizes: signals of the parts, the new one last.

    Example:
        >>> merged([100, 100, 100]), merged([100, 100, 100, 100]), merged([10_000, 100])
        (1, 4, 1)
    """
    taken, total = 1, sizes[-1]
    while True:
        below = TIER
        while below <= total:
            below *= TIER
        run = taken
        while run < len(sizes) and sizes[-1 - run] < below:
            run += 1
        if run - taken < TIER - 1:
            return taken
        taken, total = run, sum(sizes[len(sizes) - run :])
