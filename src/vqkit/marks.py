"""The mark of a folder that vqkit wrote: its pictures are results, and no data to learn from."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

MARK = ".vqkit"
_DOCUMENTS = ("run.json", "tokens.json", "settings.json", "compare.json", "codebooks.json")
"""What runs, token sets and studies of versions before the mark are recognised by."""
_START = 256


def mark(folder: Path, what: str) -> None:
    """Mark a folder as written by vqkit.

    Args:
        folder: it exists.
        what: it holds, for people: "samples".
    """
    file = folder / MARK
    if not file.exists():
        file.write_text(
            f"This folder holds {what} that vqkit made. Readers of data leave it out when they read the "
            "folders around it; delete this file to have it read.\n",
            encoding="utf-8",
        )


def is_made(folder: Path, names: Iterable[str]) -> bool:
    """Whether vqkit wrote a folder with entries of these names."""
    there = set(names)
    return MARK in there or any(name in there and _is_document(folder / name) for name in _DOCUMENTS)


def _is_document(file: Path) -> bool:
    """Whether a JSON document begins as those of vqkit do."""
    with suppress(OSError), file.open("rb") as opened:
        start = b"".join(opened.read(_START).split())
        return start.startswith((b'{"vqkit":', b'{"settings":{'))
    return False
