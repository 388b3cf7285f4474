"""The marks of what vqkit wrote: its pictures are results, and no data to learn from.

A run, a token set and a study have a document of settings in their folder, before any picture is there. Pictures that
are made up, redrawn or decoded, and sheets of them, bear the text "Software" that PNG has for it, so that their folders
hold nothing else than pictures. Sounds bear it in the chunk ``ISFT`` that WAV has for it, or the comment that FLAC has.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.PngImagePlugin import PngInfo

PNG_MARK = "vqkit"
"""How the text "Software" of a picture begins."""
_DOCUMENTS = (
    *("run.json", "seeds.json", "tokens.json", "_tokens.json", "settings.json", "compare.json", "codebooks.json"),
    *("beta.json", "latents.json"),
)
"""What runs, token sets and studies are recognised by: their first key is the version, of older studies "settings"."""
_SHEETS = ("sheet.png", "reconstructions.png")
_START = 256


def png_mark(what: str) -> PngInfo:
    """The text that marks a PNG as made by vqkit; ``what`` it shows, for people: "sheet"."""
    from PIL.PngImagePlugin import PngInfo

    found = PngInfo()
    found.add_text("Software", f"{PNG_MARK} {what}")
    return found


def is_made(folder: Path, names: Collection[str]) -> bool:
    """Return True if vqkit wrote a folder, by its documents or by its first and last picture or sound.

    A folder where a person keeps own files beside such ones is the person's.
    """
    if any(name in names and _is_document(folder / name) for name in _DOCUMENTS):
        return True
    shown = sorted(name for name in names if not name.startswith("."))
    if not shown or not all(name.endswith((".png", ".wav", ".flac")) for name in shown):
        return False
    return all(is_made_picture(folder / name) or _is_made_sound(folder / name) for name in (shown[0], shown[-1]))


def holds_tokens(folder: Path) -> bool:
    """Return True for a folder that holds a token set."""
    return any(_is_document(folder / name) for name in ("tokens.json", "_tokens.json"))


def made_sheets(folder: Path, names: Collection[str]) -> list[str]:
    """Return which of these files in a folder are sheets that vqkit drew, under the names that it gives them."""
    return [name for name in _SHEETS if name in names and is_made_picture(folder / name)]


def is_made_picture(file: Path) -> bool:
    """Return True if a file is a PNG with vqkit's mark in its ``Software`` text."""
    start = _start(file)
    return start.startswith(b"\x89PNG") and b"tEXtSoftware\0" + PNG_MARK.encode() in start


def _is_made_sound(file: Path) -> bool:
    """Return True if a file is a WAV or a FLAC with vqkit's mark as its software."""
    start = _start(file)
    if start.startswith(b"fLaC"):
        return b"software=" + PNG_MARK.encode() in start.lower()
    at = start.find(b"ISFT")
    return start.startswith(b"RIFF") and at > 0 and start[at + 8 :].startswith(PNG_MARK.encode())


def _is_document(file: Path) -> bool:
    """Return True if vqkit wrote a JSON document."""
    start = b"".join(_start(file).split())
    if not start.startswith(b'{"settings":{'):
        return start.startswith(b'{"vqkit":')
    with suppress(OSError, ValueError, RecursionError):
        document = json.loads(file.read_bytes())
        return set(document) == {"settings", "data"} and isinstance(document["data"], str)
    return False


def _start(file: Path) -> bytes:
    with suppress(OSError), file.open("rb") as opened:
        return opened.read(_START)
    return b""
