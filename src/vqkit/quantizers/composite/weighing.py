"""Several codebooks that weigh bits otherwise for a while: at another rate than they are set to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from vqkit.quantizers.codebook.base import CodebookQuantizer


@contextmanager
def weighing_bits(codebooks: Sequence[CodebookQuantizer], rate_weight: float | None) -> Iterator[None]:
    """Let codebooks weigh bits with ``rate_weight`` within the block; None: as they are set.

    Example:
        >>> from vqkit.quantizers import EMAVectorQuantizer
        >>> from vqkit.quantizers.composite.weighing import weighing_bits
        >>> codebook = EMAVectorQuantizer(16, 4)
        >>> with weighing_bits([codebook], 0.5):
        ...     codebook.rate_weight
        0.5
        >>> codebook.rate_weight
        0.0
    """
    if rate_weight is None:
        yield
        return
    before = [each.rate_weight for each in codebooks]
    for each in codebooks:
        each.rate_weight = float(rate_weight)
    try:
        yield
    finally:
        for each, value in zip(codebooks, before, strict=True):
            each.rate_weight = value
