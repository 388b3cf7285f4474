"""Docstrings as Sphinx reads them: stars and bars of shapes and norms are themselves, not markup.

The docstrings of vqkit say ``[batch, *grid]`` and ``|z - e|`` in prose, for people who read them with ``help()``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_LITERAL = re.compile(r"(``.+?``|`[^`]+`)")
_LETTER = re.compile(r"^(\s*(?:\w+: )?)([A-Za-z]\.)(?=\s|$)")
_STAR = re.compile(r"(?<![\w*\\])\*(?![*\s])(?![^*]*[^*\s]\*(?!\w))")


def escaped(line: str) -> str:
    """Return a line of prose with its stars and bars escaped, but for those in backticks and of **bold** words.

    So is a letter with a full stop that begins it, which would begin a list: ``code_dim: d.``
    """
    parts = _LITERAL.split(_LETTER.sub(r"\1\\\2", line))
    return "".join(
        part if number % 2 else _STAR.sub(r"\\*", part).replace("|", r"\|") for number, part in enumerate(parts)
    )


def prose_escaped(lines: list[str]) -> Iterator[str]:
    """Escape the lines of a docstring that are prose: neither an example nor a block after ``::``."""
    literal, example = None, False
    for line in lines:
        indent = len(line) - len(line.lstrip())
        example = bool(line.strip()) and (example or line.lstrip().startswith(">>>"))
        if literal is not None and line.strip() and indent <= literal:
            literal = None
        plain = literal is None and not example and not re.match(r"\s*\*+\w+:", line)
        yield escaped(line) if plain else line
        if literal is None and line.rstrip().endswith("::"):
            literal = indent


def _process(app: Any, what: str, name: str, part: Any, options: Any, lines: list[str]) -> None:
    lines[:] = list(prose_escaped(lines))


def setup(app: Any) -> dict[str, Any]:
    """Register the processing, before that of Google's sections."""
    app.connect("autodoc-process-docstring", _process, priority=100)
    return {"version": "1", "parallel_read_safe": True}
