"""Lengths that sound files declare, beside the bytes that are there: libsndfile reads a cut file without a word.

RIFF (WAV) and AIFF chunks: *Multimedia Programming Interface and Data Specifications 1.0* (1991), *AIFF 1.3* (1989);
RF64: EBU Tech 3306; Wave64: *Sony Pictures Digital Wave 64*; Ogg pages: RFC 3533.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO, Literal

from vqkit.errors import DataError

STREAMED = 0x7FFFF000
"""Sizes from here on stand for "not known" (written to a pipe), and so does 0."""
_OGG_TAIL = 1 << 17
_ORDERS: dict[bytes, Literal["little", "big"]] = {b"RIFF": "little", b"RF64": "little", b"RIFX": "big"}
"""Bytes of numbers in WAV files, by how they begin."""


def check_complete(encoded: Path | bytes) -> None:
    """Raise ``DataError`` if a WAV, AIFF, AU, Wave64 or Ogg file ends before the bytes that it declares; others pass.

    Raises:
        DataError: the file ends early, says no length although samples follow, or cannot be read.
    """
    try:
        with io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            start = file.read(24)
            if start[:4] in (*_ORDERS, b"FORM") and start[8:12] in (b"WAVE", b"AIFF", b"AIFC"):
                _check_chunks(file, size, _ORDERS.get(start[:4], "big"))
            elif start[:4] == b".snd":
                first, length = (int.from_bytes(start[at : at + 4], "big") for at in (4, 8))
                _check_length(length if length < STREAMED else 0, size - first)
            elif start[:4] == b"riff" and len(start) == 24:
                _check_length(int.from_bytes(start[16:], "little"), size, "bytes")
            elif start[:4] == b"OggS":
                _check_last_page(file, size)
    except OSError as error:
        raise DataError(error.strerror or type(error).__name__) from error


def _check_chunks(file: BinaryIO, size: int, order: Literal["little", "big"]) -> None:
    place, large = 12, 0
    while place + 8 <= size:
        file.seek(place)
        head = file.read(24)
        length = int.from_bytes(head[4:8], order)
        if head[:4] in (b"data", b"SSND"):
            if length == 0xFFFFFFFF and large:
                length = large
            known = length < STREAMED or length > 0xFFFFFFFF
            _check_length(length if known else 0, size - place - 8)
            if not length and any(not 32 <= byte < 127 for byte in head[8:12]):
                raise DataError(
                    f"its header says no samples, and {size - place - 8:,} bytes follow: a recording that was not "
                    "finished? ffmpeg -ignore_length 1 -i IN OUT.wav writes the header anew"
                )
            return
        if head[:4] == b"ds64":
            large = int.from_bytes(head[16:24], "little")
        place += 8 + length + length % 2
    raise DataError("ends early: no samples follow its header")


def _check_length(said: int, there: int, what: str = "bytes of samples") -> None:
    """Raise ``DataError`` where fewer bytes are there than the header says (0: not known)."""
    if said > there:
        raise DataError(f"ends early: its header says {said:,} {what}, and {there:,} are there")


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
