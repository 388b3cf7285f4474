"""Symbols to bytes and back by range coding with integer frequencies: constriction's coder, its tables made exact.

constriction takes floating-point probabilities p, and gives symbol s the interval that begins at
``floor((p[0] + .. + p[s-1]) * scale) + s`` with ``scale = (2**24 - K) / (p[0] + .. + p[K-1])`` ("fast", or
``perfect=False``). We hand it ``p = frequency - 1``: integers that sum to ``2**24 - K``, so that ``scale`` is exactly
1.0, every partial sum is an integer below 2**24, exact in float32, and the interval begins exactly at the sum of the
frequencies before s. Nothing is ever rounded: the table is exact whatever the machine and the order of summation.

A block's bytes are the shortest binary fraction inside the final interval (see docs/bitstream.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from vqkit.coding.frequencies import TOTAL, check_alphabet
from vqkit.errors import BitstreamError, ConfigError

_ELEMENTS = 1 << 15  # of tables that are converted at once, so that they stay in the processor's cache
_STATE_BITS = 64


@final
class Encoder:
    """Collects symbols; ``bytes()`` gives what a ``Decoder`` reads in the same order with the same tables."""

    def __init__(self) -> None:
        from constriction import stream

        self._coder: Any = stream.queue.RangeEncoder()

    def encode(self, symbols: NDArray[np.integer], frequencies: NDArray[np.int64]) -> None:
        """Append symbols.

        Args:
            symbols: ``[N]`` integers in ``[0, K)``.
            frequencies: ``[K]`` for all of them, or ``[N, K]``; at least 1 each, every row's sum 2**24.

        Raises:
            ConfigError: symbols or frequencies that are not such.
        """
        symbols, frequencies = np.asarray(symbols), np.asarray(frequencies)
        count = _count(frequencies, None if frequencies.ndim == 2 else symbols.size)
        if symbols.shape != (count,) or (count and symbols.dtype.kind not in "iu"):
            raise ConfigError(
                f"symbols of dtype {symbols.dtype} and shape {symbols.shape} with frequencies of shape "
                f"{frequencies.shape}: [N] integers and [K] or [N, K] frequencies belong together"
            )
        codes = frequencies.shape[-1]
        if count and not 0 <= int(symbols.min()) <= int(symbols.max()) < codes:
            raise ConfigError(
                f"symbols from {symbols.min()} to {symbols.max()}: allowed are 0 to {codes - 1}, the columns of their "
                "frequencies"
            )
        symbols = np.ascontiguousarray(symbols, dtype=np.int32)
        for part, arguments in _models(frequencies, count):
            self._coder.encode(symbols[part], *arguments)

    def bytes(self) -> bytes:
        """The shortest bytes from which all symbols follow; more symbols may be appended afterwards."""
        if self._coder.is_empty():
            return b""
        words = self._coder.get_compressed()
        place, (lower, width) = self._coder.pos()
        head = words[:place].astype(">u4").tobytes()
        carried = lower + (1 << 32) - 1 >= 1 << _STATE_BITS  # what get_compressed did to the words it held back
        for length in range(9):
            unit = 1 << (_STATE_BITS - 8 * length)
            point = -(-lower // unit) * unit
            if point < lower + width:
                break
        if point >> _STATE_BITS and not carried:
            head = (int.from_bytes(head, "big") + 1).to_bytes(len(head), "big")
        tail = (point % (1 << _STATE_BITS)).to_bytes(8, "big")[:length]
        return (head + tail).rstrip(b"\0")


@final
class Decoder:
    """Gives back the symbols of ``Encoder.bytes()``, asked for in the same order with the same frequencies.

    Range coding has no end of its own: from damaged or missing bytes it gives other symbols. ``finish`` finds out
    whether the bytes were exactly those that the encoder writes for the symbols decoded; checksums do the rest.
    """

    def __init__(self, data: bytes) -> None:
        from constriction import stream

        self._data = bytes(data)
        padded = self._data + b"\0" * (-len(self._data) % 4)
        self._coder: Any = stream.queue.RangeDecoder(np.frombuffer(padded, dtype=">u4").astype(np.uint32))
        self._again = Encoder()

    def decode(self, frequencies: NDArray[np.int64], count: int | None = None) -> NDArray[np.int32]:
        """The next symbols.

        Args:
            frequencies: ``[K]`` for all ``count`` symbols, or ``[N, K]`` for N of them, as they were encoded.
            count: how many, for frequencies ``[K]``.

        Returns:
            ``[N]`` int32 in ``[0, K)``.

        Raises:
            ConfigError: frequencies that are none, or no count for ``[K]``.
            BitstreamError: the bytes lie outside every symbol's interval, so no encoder wrote them.
        """
        frequencies = np.asarray(frequencies)
        found = np.zeros(_count(frequencies, count), dtype=np.int32)
        try:
            for part, arguments in _models(frequencies, len(found)):
                amount = (part.stop - part.start,) if frequencies.ndim == 1 else ()
                found[part] = self._coder.decode(arguments[0], *amount, *arguments[1:])
                self._again._coder.encode(found[part], *arguments)
        except AssertionError as error:  # constriction's word for it
            raise BitstreamError(
                f"damaged data: a coded block of {len(self._data)} bytes lies outside all intervals of its "
                "frequencies, so no encoder wrote it; get the file anew"
            ) from error
        return found

    def finish(self) -> None:
        """Check that the bytes are exactly what the encoder writes for the symbols decoded.

        Raises:
            BitstreamError: bytes are left over, missing, or changed, or the frequencies are not those of the encoder.
        """
        written = self._again.bytes()
        if written != self._data:
            raise BitstreamError(
                f"damaged data: a coded block has {len(self._data)} bytes, but its symbols are written in "
                f"{len(written)} bytes, or in other ones; get the file anew, or use the models it was made with"
            )


def _count(frequencies: NDArray[np.int64], count: int | None) -> int:
    """N, of well-shaped frequencies."""
    if frequencies.ndim not in (1, 2) or frequencies.dtype.kind not in "iu":
        raise ConfigError(
            f"frequencies of dtype {frequencies.dtype} and shape {frequencies.shape}: [K] or [N, K] integers are "
            "needed; vqkit.coding.frequencies makes them"
        )
    check_alphabet(frequencies.shape[-1])
    if frequencies.ndim == 2 and count not in (None, len(frequencies)):
        raise ConfigError(f"count={count} with frequencies of {len(frequencies)} symbols: leave count out")
    if frequencies.ndim == 1 and (count is None or count < 0):
        raise ConfigError(f"count={count}: frequencies [K] for all symbols need the number of symbols, 0 or more")
    return len(frequencies) if frequencies.ndim == 2 else int(count or 0)


def _models(frequencies: NDArray[np.int64], count: int) -> Iterator[tuple[slice, tuple[Any, ...]]]:
    """Yield constriction's models for symbols ``[part]``, a few rows of ``[N, K]`` at once; nothing for K = 1.

    ``perfect=False`` is always said: it is the rule of the docstring above, and the library's default differs by
    version. ``lazy`` changes the speed only.
    """
    from constriction import stream

    codes = frequencies.shape[-1]
    rows = np.atleast_2d(frequencies)
    step = max(1, _ELEMENTS // codes)
    buffer = np.empty((min(step, len(rows)), codes), dtype=np.float32)
    family = stream.model.Categorical(perfect=False)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        _check(part)
        if codes == 1:
            continue
        weights = buffer[: len(part)]
        np.subtract(part, 1, out=weights, casting="unsafe")
        if frequencies.ndim == 2:
            yield slice(start, start + len(part)), (family, weights)
        elif count:
            yield slice(0, count), (stream.model.Categorical(weights[0], perfect=False),)


def _check(rows: NDArray[np.int64]) -> None:
    """Refuse rows whose sum is not 2**24 or that hold less than 1."""
    sums = rows.sum(axis=1)
    if len(rows) and (int(rows.min()) < 1 or bool((sums != TOTAL).any()) or int(rows.max()) > TOTAL):
        raise ConfigError(
            f"frequencies of at least {rows.min()} with sums from {sums.min()} to {sums.max()}: each is at least 1 "
            f"and their sum is 2**24 = {TOTAL} exactly; vqkit.coding.frequencies makes such from any weights"
        )
