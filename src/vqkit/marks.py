"""The marks of what vqkit wrote: its pictures are results, and no data to learn from.

A run and a study bear a file (``.vqkit``) in their folder; pictures that are made up, redrawn or decoded, and sheets of
them, bear the text "Software" that PNG has for it, so that their folders hold nothing else than pictures.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.PngImagePlugin import PngInfo

MARK = ".vqkit"
PNG_MARK = "vqkit"
"""How the text "Software" of a picture begins."""
_DOCUMENTS = ("run.json", "tokens.json", "settings.json", "compare.json", "codebooks.json")
"""What runs, token sets and studies of versions before the mark are recognised by."""
_SHEETS = ("sheet.png", "reconstructions.png")
_START = 256


def mark(folder: Path, what: str) -> None:
    """Mark a folder as written by vqkit.

    Args:
        folder: it exists.
        what: it holds, for people: "a run".
    """
    file = folder / MARK
    if not file.exists():
        told = f"This folder holds {what} of vqkit's: readers of data leave it out when they read a folder around it.\n"
        file.write_text(told, encoding="utf-8")


def png_mark(what: str) -> PngInfo:
    """The text that marks a PNG as made by vqkit; ``what`` it shows, for people: "sheet"."""
    from PIL.PngImagePlugin import PngInfo

    found = PngInfo()
    found.add_text("Software", f"{PNG_MARK} {what}")
    return found


def is_made(folder: Path, names: Collection[str]) -> bool:
    """Whether vqkit wrote a folder with entries of these names: it looks at its documents, and at one picture."""
    if MARK in names or any(name in names and _is_document(folder / name) for name in _DOCUMENTS):
        return True
    first = min((name for name in names if name.endswith(".png") and name not in _SHEETS), default=None)
    return first is not None and is_made_picture(folder / first)


def made_sheets(folder: Path, names: Collection[str]) -> list[str]:
    """Which of the files of these names in a folder are sheets that vqkit drew, under the names that it gives them."""
    return [name for name in _SHEETS if name in names and is_made_picture(folder / name)]


def is_made_picture(file: Path) -> bool:
    """Whether a PNG bears the mark."""
    start = _start(file)
    return start.startswith(b"\x89PNG") and b"tEXtSoftware\0" + PNG_MARK.encode() in start


def _is_document(file: Path) -> bool:
    """Whether a JSON document begins as those of vqkit do."""
    return b"".join(_start(file).split()).startswith((b'{"vqkit":', b'{"settings":{'))


def _start(file: Path) -> bytes:
    with suppress(OSError), file.open("rb") as opened:
        return opened.read(_START)
    return b""
