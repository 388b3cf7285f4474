"""The fields of a section's body: bytes, varints, text. Read with bounds, and refused when written otherwise."""

from __future__ import annotations

from typing import final

from vqkit.errors import BitstreamError

VARINT_BYTES = 5
"""Longest varint: 35 bits, enough for every number of the format (counts are below 2**32)."""


def varint(value: int) -> bytes:
    """An unsigned integer, 7 bits a byte from the lowest, the top bit set on all bytes but the last (LEB128)."""
    assert 0 <= value < 1 << 7 * VARINT_BYTES
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


@final
class Fields:
    """Takes fields one after another from a section's body, which ``end`` says must then be used up."""

    def __init__(self, body: bytes, section: str) -> None:
        self._body, self._place, self._section = body, 0, section

    def take(self, length: int) -> bytes:
        """The next ``length`` bytes."""
        if length > len(self._body) - self._place:
            raise self.damage(f"ends after {len(self._body)} bytes, where {length} more belong at {self._place}")
        found = self._body[self._place : self._place + length]
        self._place += length
        return found

    def byte(self) -> int:
        """The next byte as an integer."""
        return self.take(1)[0]

    def varint(self, name: str, low: int, high: int) -> int:
        """An integer in ``[low, high]``, in as few bytes as it needs."""
        value = 0
        for shift in range(0, 7 * VARINT_BYTES, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        else:
            raise self.damage(f"has a {name} of more than {VARINT_BYTES} bytes")
        if byte == 0 and shift:
            raise self.damage(f"has a {name} written in more bytes than it needs")
        if not low <= value <= high:
            raise self.damage(f"has {name} {value}, allowed are {low} to {high}")
        return value

    def text(self, name: str, longest: int) -> str:
        """UTF-8 text after its length in bytes."""
        raw = self.take(self.varint(f"length of a {name}", 1, longest))
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.damage(f"has a {name} that is not UTF-8") from error

    def rest(self) -> bytes:
        """All bytes that are left."""
        return self.take(len(self._body) - self._place)

    def end(self) -> None:
        """Refuse bytes that are left over."""
        if self._place != len(self._body):
            raise self.damage(f"has {len(self._body) - self._place} bytes too many")

    def damage(self, what: str) -> BitstreamError:
        """The error that says what is wrong with this section."""
        return BitstreamError(f"damaged file: the {self._section} section {what} (docs/bitstream.md); get it anew")
