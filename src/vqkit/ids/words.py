"""Ids as tokens of a language model: ``<a_12><b_3><c_200><d_0>``, as LC-Rec, MiniOneRec and their kin write them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vqkit.errors import DataError

_TOKEN = re.compile(r"<([a-z]+)_(\d{1,18})>")


def letters(level: int) -> str:
    """Return the letters of a level, as columns of a table have them: a to z, then aa, ab.

    Example:
        >>> from vqkit.ids.words import letters
        >>> letters(0), letters(25), letters(26), letters(28)
        ('a', 'z', 'aa', 'ac')
    """
    found, level = "", level + 1
    while level:
        level, last = divmod(level - 1, 26)
        found = chr(ord("a") + last) + found
    return found


def token(level: int, digit: int) -> str:
    """Return the token of a digit: ``<a_12>``."""
    return f"<{letters(level)}_{digit}>"


def tokens_of(digits: Sequence[int]) -> list[str]:
    """Return the tokens of an id.

    Example:
        >>> from vqkit.ids.words import parse_tokens, tokens_of
        >>> tokens_of([12, 3]), parse_tokens("<a_12><b_3>")
        (['<a_12>', '<b_3>'], (12, 3))
    """
    return [token(level, int(digit)) for level, digit in enumerate(digits)]


def parse_tokens(tokens: str | Sequence[str]) -> tuple[int, ...]:
    """Return the digits of tokens, joined or in a list.

    Raises:
        DataError: something else, or levels in another order.
    """
    text = tokens if isinstance(tokens, str) else "".join(tokens)
    found = _TOKEN.findall(text)
    digits = tuple(int(digit) for _, digit in found)
    if "".join(tokens_of(digits)) != text:
        raise DataError(f"{text!r} is no id in tokens; it reads like {''.join(tokens_of((12, 3, 200)))}")
    return digits
