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


def signed_varint(value: int) -> bytes:
    """An integer of either sign: 0, -1, 1, -2, 2 .. are the varints 0, 1, 2, 3, 4 .. (zigzag)."""
    return varint(2 * value if value >= 0 else -2 * value - 1)


@final
class Fields:
    """Takes fields one after another from a section's body, which ``end`` says must then be used up."""

    def __init__(self, body: bytes, section: str) -> None:
        self._body, self._place, self._section = body, 0, section

    @property
    def place(self) -> int:
        """How many bytes were taken."""
        return self._place

    def since(self, place: int) -> bytes:
        """The bytes that were taken since so many had been."""
        return self._body[place : self._place]

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

    def signed_varint(self, name: str, most: int) -> int:
        """An integer in ``[-most, most]`` (see ``signed_varint``)."""
        value = self.varint(name, 0, 2 * most)
        return -(value + 1 >> 1) if value & 1 else value >> 1

    def text(self, name: str, longest: int) -> str:
        """UTF-8 text after its length in bytes."""
        return self.decoded(self.take(self.varint(f"length of a {name}", 1, longest)), name)

    def decoded(self, raw: bytes, name: str) -> str:
        """UTF-8 text of bytes that were taken."""
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
