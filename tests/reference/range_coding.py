"""Frequencies and range coding with Python's unbounded integers, as docs/bitstream.md states them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

TOTAL = 2**24


def frequencies(weights: Sequence[int]) -> list[int]:
    """One row, by repeated addition of the definition."""
    if not any(weights):
        weights = [1] * len(weights)
    found = [1 + weight * (TOTAL - len(weights)) // sum(weights) for weight in weights]
    largest = max(range(len(weights)), key=lambda code: (weights[code], -code))
    while sum(found) < TOTAL:
        found[largest] += TOTAL - sum(found)
    return found


def encode(symbols: Iterable[int], tables: Iterable[Sequence[int]]) -> bytes:
    """The shortest binary fraction of whole bytes in the interval of the symbols; of those, the smallest."""
    low, width, bits = 0, 2**64 - 1, 64
    for symbol, table in zip(symbols, tables, strict=True):
        if len(table) == 1:
            continue
        scale = width >> 24
        low, width = low + scale * sum(table[:symbol]), scale * table[symbol]
        if width < 2**32:
            low, width, bits = low << 32, width << 32, bits + 32
    length = 0
    while True:
        unit = max(1, bits - 8 * length)
        point = -(-low >> unit)
        if point << unit < low + width:
            return point.to_bytes(length, "big")
        length += 1


def decode(data: bytes, tables: Iterable[Sequence[int]]) -> list[int] | None:
    """The symbols, or None if the bytes lie in no symbol's interval."""
    low, width, bits = 0, 2**64 - 1, 64
    found = []
    for table in tables:
        if len(table) == 1:
            found.append(0)
            continue
        missing = bits - 8 * len(data)
        point = int.from_bytes(data, "big")
        point = point << missing if missing >= 0 else point >> -missing
        scale = width >> 24
        quantile = (point - low) // scale
        if quantile >= TOTAL:
            return None
        symbol = 0
        while sum(table[: symbol + 1]) <= quantile:
            symbol += 1
        found.append(symbol)
        low, width = low + scale * sum(table[:symbol]), scale * table[symbol]
        if width < 2**32:
            low, width, bits = low << 32, width << 32, bits + 32
    return found
