"""Advice of the diagnostics that depends on who trains: a study of quantizers needs none to take another one.

One state for the process, as in ``vqkit.spelling``: what a study begins in other threads is a part of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_studies = 0


@contextmanager
def quantizers_are_given() -> Iterator[None]:
    """Advise no other quantizer until the block ends: it is what the trainings are there to compare.

    Example:
        >>> from vqkit.training.diagnostics.advice import another_quantizer, quantizers_are_given
        >>> another_quantizer("quantizer='ema', ")
        "quantizer='ema', "
        >>> with quantizers_are_given():
        ...     another_quantizer("quantizer='ema', ")
        ''
    """
    global _studies
    _studies += 1
    try:
        yield
    finally:
        _studies -= 1


def another_quantizer(words: str) -> str:
    """Return the words that advise another quantizer, or nothing where it is given."""
    return "" if _studies else words
