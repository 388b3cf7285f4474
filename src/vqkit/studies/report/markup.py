"""Text as markup: what is not ``Html`` is escaped, so that a name from outside can never become markup."""

from __future__ import annotations

import html
import re


class Html(str):
    """Markup that is escaped and balanced already."""

    __slots__ = ()


def text(value: object) -> Html:
    """Anything as escaped text; ``Html`` stays as it is. What no HTML file can hold becomes a question mark."""
    if isinstance(value, Html):
        return value
    clean = str(value).encode("utf-8", "replace").decode("utf-8")
    return Html(html.escape(re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "?", clean), quote=True))


def join(*parts: str) -> Html:
    """Parts one after the other, each escaped unless it is ``Html``."""
    return Html("".join(text(part) for part in parts))
