"""The language of each page, for fonts, hyphenation and screen readers: that of its folder, such as ``docs/zh``.

The other pages have that of the site.
"""

from __future__ import annotations

import re
from typing import Any

_FOLDER = re.compile(r"docs/([a-z]{2})/")


def language_of(page: str) -> str | None:
    """Return the language that the folder of a page names, or None.

    Args:
        page: as Sphinx names it: its path without ``.md``.
    """
    found = _FOLDER.match(page)
    return found[1] if found else None


def _say(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    context["language"] = language_of(page) or context.get("language")


def setup(app: Any) -> dict[str, Any]:
    """Register the language of each page."""
    app.connect("html-page-context", _say)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
