"""Integer frequencies: what the entropy coder is told of a symbol, exact on every machine.

A table of K frequencies holds integers of at least 1 that sum to ``2**TOTAL_BITS`` exactly. It is made from integer
weights by integer arithmetic alone, so encoder and decoder have the same table whatever their machine, batch or number
of threads, as long as they have the same weights.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vqkit.errors import ConfigError

TOTAL_BITS = 24
"""Every table sums to ``2**TOTAL_BITS``: fixed by the format, in every version 1 file.

24 is what constriction's range coder works with (its "default preset"), and the most whose integers are exact in
float32 too. A symbol costs at most 24 bits, and ones never seen take at most K / 2**24 of the whole.
"""
TOTAL = 1 << TOTAL_BITS
MAX_ALPHABET = 1 << 20
"""Largest K: at this size the 1 that every symbol gets takes a sixteenth of the whole, 0.09 bits a symbol."""
MAX_WEIGHT = 1 << 39
"""Largest weight: weight * 2**24 stays below 2**63, and so does the sum of 2**20 of them."""

_ELEMENTS = 1 << 15  # that are worked on at once, so that they stay in the processor's cache


def frequencies(weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Integer frequencies that follow integer weights: ``1 + w * (2**24 - K) // sum(w)``, the rest to the largest.

    What the divisions leave over (less than K) goes to the first of the largest weights. A row of zeros is uniform.

    Args:
        weights: ``[..., K]`` integers in ``[0, 2**39]``; K in ``[1, 2**20]``. Any integer dtype.

    Returns:
        ``[..., K]`` int64, each at least 1, every row's sum 2**24.

    Raises:
        ConfigError: not integers, a weight out of range, or K out of range.
    """
    weights = np.asarray(weights)
    if weights.ndim == 0 or weights.dtype.kind not in "iu":
        raise ConfigError(
            f"weights of dtype {weights.dtype} and shape {weights.shape}: integers [..., K] are needed, because files "
            "must not depend on how a machine rounds; round them to integers first"
        )
    codes = check_alphabet(weights.shape[-1])
    rows = weights.reshape(-1, codes)
    found = np.empty(rows.shape, dtype=np.int64)
    step = max(1, _ELEMENTS // codes)
    for start in range(0, len(rows), step):
        _fill(rows[start : start + step], found[start : start + step])
    return found.reshape(weights.shape)


def _fill(weights: NDArray[np.int64], found: NDArray[np.int64]) -> None:
    """``frequencies`` of a few rows, written to ``found``."""
    codes = weights.shape[1]
    low, high = int(weights.min()), int(weights.max())
    if low < 0 or high > MAX_WEIGHT:
        raise ConfigError(
            f"weights from {low} to {high}: allowed are 0 to 2**39, so that their products with 2**24 fit 64 bits; "
            "scale them down"
        )
    weights = weights.astype(np.int64, copy=False)
    sums = weights.sum(axis=1, keepdims=True)
    if not sums.all():
        weights = np.where(sums == 0, 1, weights)
        sums = np.where(sums == 0, codes, sums)
    np.multiply(weights, TOTAL - codes, out=found)
    found //= sums
    found += 1
    found[np.arange(len(found)), weights.argmax(axis=1)] += TOTAL - found.sum(axis=1)


def uniform_frequencies(codebook_size: int) -> NDArray[np.int64]:
    """``[K]`` frequencies that are as equal as 2**24 allows; the first has what is left over."""
    return frequencies(np.ones(codebook_size, dtype=np.int64))


def check_alphabet(codes: int) -> int:
    """``codes`` if a table may have that many.

    Raises:
        ConfigError: it may not.
    """
    if not 1 <= codes <= MAX_ALPHABET:
        raise ConfigError(
            f"a table of {codes} symbols: allowed are 1 to 2**20, because every symbol takes at least 1 of 2**24; "
            "use several codebooks"
        )
    return int(codes)


def ideal_bits(symbols: NDArray[np.integer], table: NDArray[np.int64]) -> float:
    """Bits that an ideal coder needs: the sum of ``24 - log2(frequency of the symbol)``. A measure, not for files.

    Args:
        symbols: ``[N]`` integers in ``[0, K)``.
        table: frequencies, ``[K]`` for all symbols or ``[N, K]``.
    """
    symbols = np.asarray(symbols)
    chosen = table[symbols] if table.ndim == 1 else np.take_along_axis(table, symbols[:, None], axis=1)
    return float((TOTAL_BITS - np.log2(chosen)).sum())
