"""Steps of a residual as symbols: adaptive counts in contexts of what is decoded, exact integers everywhere."""

from __future__ import annotations

from typing import final

import numpy as np
import numpy.typing as npt

from vqkit.coding import Decoder, Encoder, frequencies, uniform_frequencies
from vqkit.errors import BitstreamError

Integers = npt.NDArray[np.int64]
WINDOW = 12
"""Steps of -12 to 12 have a symbol each; the outermost begin an escape."""
ACTIVITIES, SPREADS = 8, 56
"""Contexts: how large the steps around were, and how far apart (log2, in quarters of a step) the values around lie."""
_SYMBOLS = 2 * WINDOW + 1
_CHUNK = 1024
_GAIN = 24
_LIMIT = 1 << 16
_LENGTHS = 64


def contexts(activity: Integers, spread: Integers, step: int) -> tuple[Integers, Integers]:
    """Numbers of contexts, and how many low bits of a step are coded as they are, from what lies around.

    Args:
        activity: sums of absolute steps around.
        spread: sums of the distances of four neighbors from the prediction.
        step: of the lattice.
    """
    quarters = spread // step
    level = np.minimum(_bit_length(quarters), SPREADS - 1)
    low = np.maximum(level - 6, 0)
    act = np.minimum(_bit_length(activity >> low), ACTIVITIES - 1)
    return level * ACTIVITIES + act, low


def _bit_length(values: Integers) -> Integers:
    """Bits of integers from 0 to 2^53; exact: the exponent of a float64."""
    return np.frexp(values.astype(np.float64))[1].astype(np.int64)


@final
class StepCoder:
    """Codes steps (to bytes, or from them) and learns their frequencies as it goes.

    Args:
        data: to decode; None: encode.
    """

    def __init__(self, data: bytes | None = None) -> None:
        shape = np.maximum(1, 16 >> np.abs(np.arange(_SYMBOLS) - WINDOW))
        self._counts = np.tile(shape.astype(np.int64), (SPREADS * ACTIVITIES, 1))
        self._lengths = np.ones(_LENGTHS, np.int64)
        self._encoder = Encoder() if data is None else None
        self._decoder = None if data is None else Decoder(data)

    def code(self, steps: Integers | None, context: Integers, low: Integers) -> Integers:
        """The steps ``[m]``, as they were given or are decoded."""
        found = np.zeros(len(context), np.int64)
        for start in range(0, len(context), _CHUNK):
            part = slice(start, start + _CHUNK)
            found[part] = self._chunk(None if steps is None else steps[part], context[part], low[part])
        return found

    def flag(self, value: int | None, size: int) -> int:
        """One integer below a size, all alike."""
        table = uniform_frequencies(size)
        return int(self._put(None if value is None else np.array([value]), np.atleast_2d(table))[0])

    def finish(self) -> bytes:
        """The bytes, or, decoded, the check that they are whole."""
        if self._encoder is not None:
            return self._encoder.bytes()
        assert self._decoder is not None
        self._decoder.finish()
        return b""

    def _put(self, symbols: Integers | None, table: Integers) -> Integers:
        if self._encoder is not None:
            assert symbols is not None
            self._encoder.encode(symbols, table)
            return symbols
        assert self._decoder is not None
        return self._decoder.decode(table).astype(np.int64)

    def _chunk(self, steps: Integers | None, context: Integers, low: Integers) -> Integers:
        high = None if steps is None else (steps + ((1 << low) >> 1)) >> low
        seen, which = np.unique(context, return_inverse=True)
        table = frequencies(self._counts[seen])[which]
        symbols = None if high is None else np.clip(high, -WINDOW, WINDOW) + WINDOW
        coded = self._put(symbols, table)
        np.add.at(self._counts, (context, coded), _GAIN)
        full = seen[self._counts[seen].sum(axis=1) > _LIMIT]
        self._counts[full] = (self._counts[full] + 1) >> 1
        value = coded - WINDOW
        outer = np.flatnonzero(np.abs(value) == WINDOW)
        if len(outer):
            excess = None if high is None else np.abs(high[outer]) - WINDOW
            value[outer] = np.sign(value[outer]) * (WINDOW + self._excess(excess, len(outer)))
        bits = np.flatnonzero(low)
        rest = np.zeros_like(value)
        if len(bits):
            own = None
            if steps is not None:
                own = (steps + ((1 << low) >> 1) - (value << low))[bits]
            rest[bits] = self.plain(own, low[bits])
        return (value << low) + rest - ((1 << low) >> 1)

    def _excess(self, excess: Integers | None, count: int) -> Integers:
        """Integers from 0 on: their lengths in bits, then the bits."""
        lengths = None if excess is None else _bit_length(excess + 1) - 1
        coded = self._put(lengths, np.repeat(frequencies(self._lengths[None]), count, axis=0))
        if int(coded.max()) > 52:
            raise BitstreamError("damaged data: a step of a residual beyond 2^52; get the file anew")
        np.add.at(self._lengths, coded, _GAIN)
        rest = None if excess is None else excess + 1 - (1 << coded)
        return (1 << coded) + self.plain(rest, coded) - 1

    def plain(self, values: Integers | None, bits: Integers) -> Integers:
        """Integers below ``2^bits`` each, eight bits at a time, all alike."""
        found = np.zeros(len(bits), np.int64)
        for start in range(0, int(bits.max(initial=0)), 8):
            some = np.clip(bits - start, 0, 8)
            for width in range(1, 9):
                rows = np.flatnonzero(some == width)
                if len(rows):
                    table = np.repeat(uniform_frequencies(1 << width)[None], len(rows), axis=0)
                    own = None if values is None else values[rows] >> start & (1 << width) - 1
                    found[rows] |= self._put(own, table) << start
        return found
