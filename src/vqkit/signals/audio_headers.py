"""Lengths that sound files declare, beside the bytes that are there: libsndfile reads a cut file without a word.

RIFF (WAV) and AIFF chunks: *Multimedia Programming Interface and Data Specifications 1.0* (1991), *AIFF 1.3* (1989);
Ogg pages: RFC 3533.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

from vqkit.errors import DataError

STREAMED = 0x7FFFF000
"""Sizes from here on stand for "not known" (written to a pipe), and so does 0."""
_OGG_TAIL = 1 << 17


def check_complete(encoded: Path | bytes) -> None:
    """Raise ``DataError`` if a WAV, AIFF or Ogg file ends before the bytes that it declares; others pass.

    Raises:
        DataError: the file ends early, or cannot be read.
    """
    try:
        with io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            start = file.read(12)
            if start[:4] in (b"RIFF", b"FORM") and start[8:] in (b"WAVE", b"AIFF", b"AIFC"):
                _check_chunks(file, size, "little" if start[:4] == b"RIFF" else "big")
            elif start[:4] == b"OggS":
                _check_last_page(file, size)
    except OSError as error:
        raise DataError(error.strerror or type(error).__name__) from error


def _check_chunks(file: BinaryIO, size: int, order: str) -> None:
    place = 12
    while place + 8 <= size:
        file.seek(place)
        head = file.read(8)
        length = int.from_bytes(head[4:], "little" if order == "little" else "big")
        if head[:4] in (b"data", b"SSND"):
            if 0 < length < STREAMED and place + 8 + length > size:
                raise DataError(
                    f"ends early: its header says {length:,} bytes of samples, and {size - place - 8:,} are there"
                )
            return
        place += 8 + length + length % 2
    raise DataError("ends early: no samples follow its header")


def _check_last_page(file: BinaryIO, size: int) -> None:
    file.seek(max(0, size - _OGG_TAIL))
    tail = file.read()
    page = tail.rfind(b"OggS")
    if page < 0:
        raise DataError("ends early, or in other bytes than those of an Ogg file")
    segments = tail[page + 26] if page + 26 < len(tail) else 256
    sizes = tail[page + 27 : page + 27 + segments]
    if len(sizes) < segments or page + 27 + segments + sum(sizes) > len(tail):
        raise DataError("ends early: in the middle of an Ogg page")
