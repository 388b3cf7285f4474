"""Collisions of ids made of several indices, and of each prefix, beside those of random ids (the birthday bound)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class PathLevel:
    """Statistics of the first m indices of a set of ids.

    Attributes:
        codebooks: m.
        distinct: different prefixes of m indices in the set.
        collision_rate: 1 - distinct / items: the share of items whose prefix an earlier one has.
        birthday_rate: the same, expected of prefixes drawn uniformly from all K^m.
        entropy_bits: of the m-th index alone; log2 K at most.
        prefix_entropy_bits: of the whole prefix; log2 of the items at most.
    """

    codebooks: int
    distinct: int
    collision_rate: float
    birthday_rate: float
    entropy_bits: float
    prefix_entropy_bits: float


def path_levels(indices: npt.NDArray[np.integer], codebook_size: int) -> list[PathLevel]:
    """Return the statistics of each prefix of ids.

    Args:
        indices: integers ``[N, M]`` in ``[0, codebook_size)``, N >= 1.
        codebook_size: K.

    Example:
        >>> import numpy as np
        >>> from vqkit.evaluation.vectors.paths import path_levels
        >>> levels = path_levels(np.array([[0, 1], [0, 1], [0, 0], [1, 1]]), 2)
        >>> [(level.distinct, level.collision_rate) for level in levels]
        [(2, 0.5), (3, 0.25)]
    """
    items, found = len(indices), []
    prefix = np.zeros(items, dtype=np.int64)
    for level in range(indices.shape[1]):
        own = indices[:, level].astype(np.int64)
        _, prefix, counts = np.unique(prefix * codebook_size + own, return_inverse=True, return_counts=True)
        found.append(
            PathLevel(
                codebooks=level + 1,
                distinct=len(counts),
                collision_rate=1 - len(counts) / items,
                birthday_rate=birthday_rate(items, codebook_size, level + 1),
                entropy_bits=_entropy_bits(np.bincount(own)),
                prefix_entropy_bits=_entropy_bits(counts),
            )
        )
    return found


def birthday_rate(items: int, codebook_size: int, codebooks: int) -> float:
    """Return the collision rate that is expected of so many ids drawn uniformly from ``codebook_size ** codebooks``.

    Of S ids ``S (1 - (1 - 1/S)^N)`` are expected to occur.

    Example:
        >>> from vqkit.evaluation.vectors.paths import birthday_rate
        >>> birthday_rate(2, 2, 1)  # the second of two draws meets the first in half of all cases
        0.25
    """
    logs = codebooks * math.log(codebook_size)
    if logs > 300:
        return 0.0
    size = math.exp(logs) if codebook_size**codebooks > 2**53 else float(codebook_size**codebooks)
    if size <= 1:
        return 1 - 1 / items
    expected = -size * math.expm1(items * math.log1p(-1 / size))
    return max(0.0, 1 - expected / items)


def _entropy_bits(counts: npt.NDArray[np.integer]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return max(0.0, float(-(shares * np.log2(shares)).sum()))
