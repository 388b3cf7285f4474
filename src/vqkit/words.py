"""Nouns that fit their numbers."""

from __future__ import annotations


def counted(number: int, noun: str, several: str | None = None) -> str:
    """A number and its noun: ``1 image``, ``2,000 images``.

    Args:
        number: how many.
        noun: of one.
        several: of more, where it is not the noun and an s.
    """
    return f"{number:,} {noun if number == 1 else several or noun + 's'}"
