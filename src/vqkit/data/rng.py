"""Chance that depends on a seed and a number, and on nothing else: permutations, and draws for one step.

Everything here is made of the raw 64-bit words of the Philox counter-based generator, keyed by
(seed, number). NumPy promises that the words of a bit generator never change, which it does not
promise for ``Generator.permutation``: a validation split made today is the same split in ten years.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SPLIT, EPOCH, STEP, CROPS = 1, 2, 3, 4  # separate streams for separate purposes


def words(count: int, *, seed: int, number: int, purpose: int) -> Array:
    """Return ``count`` random uint64 words of the stream (seed, number, purpose)."""
    key = np.array([seed, number], dtype=np.uint64)
    counter = np.array([0, 0, 0, purpose], dtype=np.uint64)
    raw: Array = np.random.Philox(key=key, counter=counter).random_raw(count)
    return raw


def permutation(length: int, *, seed: int, number: int, purpose: int) -> Array:
    """Return a permutation of range(length), int64, of the stream (seed, number, purpose)."""
    order: Array = np.argsort(words(length, seed=seed, number=number, purpose=purpose), kind="stable")
    return order.astype(np.int64, copy=False)


def permutation_of_blocks(blocks: Array, *, together: int, seed: int, number: int, purpose: int) -> Array:
    """Return a permutation of the items of blocks, int64, that goes from a few blocks to the next few.

    Blocks come in random order, so many of them at a time, and their items are mixed among one another.

    Args:
        blocks: the block of every item.
        together: how many blocks are mixed.
        seed, number, purpose: of the stream.
    """
    known, own = np.unique(blocks, return_inverse=True)
    draws = words(len(known) + len(blocks), seed=seed, number=number, purpose=purpose)
    turn = np.empty(len(known), np.int64)
    turn[np.argsort(draws[: len(known)], kind="stable")] = np.arange(len(known)) // together
    return np.lexsort((draws[len(known) :], turn[own])).astype(np.int64, copy=False)


def below(raw: Array, bounds: Array | int) -> Array:
    """Map random words to integers in [0, bounds), int64; bounds lie in 1..2**31 (bias under 2**-32 each)."""
    high = (raw >> np.uint64(32)).astype(np.uint64)
    return ((high * np.asarray(bounds, dtype=np.uint64)) >> np.uint64(32)).astype(np.int64)
