"""Sound files that are written piece by piece: WAV of 16 bits, without an extra, and FLAC.

A WAV file is a RIFF with vqkit's mark in the chunk that names the software; the sizes in its header are filled in at
the end. A stream of it cannot be sought in: its header (``wav_header``) says sizes that stand for "not known".
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vqkit.errors import DataError
from vqkit.optional import require
from vqkit.storage import atomic

Samples = npt.NDArray[Any]

_LARGEST = 0xFFFFFFFF - 1024
_UNKNOWN = 0xFFFFFFFF


def sixteen_bits(samples: Samples) -> npt.NDArray[np.int16]:
    """Return floats of [-1, 1], ``[channels, n]``, as ``[n, channels]`` of ``round(32767 x)``, little-endian."""
    whole = np.rint(np.asarray(samples, dtype=np.float64).clip(-1, 1) * 32767).astype("<i2")
    return np.ascontiguousarray(whole.T)


def wav_header(channels: int, rate: int, length: int | None, made: str | None = None) -> bytes:
    """Return what stands before ``length`` bytes of 16-bit samples; None: of a stream, whose length is not known."""
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16)
    chunks = _chunk(b"fmt ", form) + ([] if made is None else _chunk(b"LIST", b"INFO" + b"".join(_software(made))))
    head = b"".join([*chunks, b"data", struct.pack("<I", _UNKNOWN if length is None else length)])
    whole = _UNKNOWN if length is None else 4 + len(head) + length
    return b"RIFF" + struct.pack("<I", whole) + b"WAVE" + head


def write_wav(path: Path, samples: Samples, rate: int, *, durable: bool = True, made: str | None = None) -> None:
    """Write a sound ``[channels, n]`` in one piece; see ``write_wav_pieces``."""
    write_wav_pieces(path, [samples], rate, durable=durable, made=made)


def write_wav_pieces(
    path: Path, pieces: Iterable[Samples], rate: int, *, durable: bool = True, made: str | None = None
) -> None:
    """Write floats of [-1, 1] as 16-bit samples: ``round(32767 x)``.

    Args:
        path: of the file; it appears whole or not at all.
        pieces: of the sound, ``[channels, n]`` each, one at least; what lies beyond the range is taken for the bound.
        rate: samples a second.
        durable: as of ``atomic.write_file``.
        made: what result of vqkit's it is ("sample"), or None.

    Raises:
        DataError: more than 4 GB, which WAV cannot hold.
    """

    def write(file: Path) -> None:
        with file.open("wb") as opened:
            total, channels = 0, 0
            for piece in pieces:
                if not channels:
                    channels = len(piece)
                    opened.write(wav_header(channels, rate, 0, made))
                samples = sixteen_bits(piece)
                total += samples.nbytes
                if total > _LARGEST:
                    raise DataError(f"{path}: a WAV file holds 4 GB at most, and this sound has more: cut it")
                opened.write(samples.data)
            opened.seek(0)
            opened.write(wav_header(channels, rate, total, made))

    atomic.write_file(path, write, durable=durable)


def write_flac_pieces(
    path: Path, pieces: Iterable[Samples], rate: int, *, durable: bool = True, made: str | None = None
) -> None:
    """Write a FLAC file with the samples of ``write_wav_pieces``.

    Raises:
        MissingExtraError: soundfile is not installed.
        DataError: a sample rate or channels that FLAC does not have.
    """
    soundfile = require("soundfile", "FLAC files")

    def write(file: Path) -> None:
        first, rest = _first(pieces)
        try:
            with soundfile.SoundFile(file, "w", rate, len(first), "PCM_16", format="FLAC") as opened:
                if made is not None:
                    opened.software = f"vqkit {made}"
                for piece in rest:
                    opened.write(sixteen_bits(piece))
        except soundfile.SoundFileError as error:
            raise DataError(f"{path}: not writable as FLAC ({error}); write .wav") from error

    atomic.write_file(path, write, durable=durable)


def _first(pieces: Iterable[Samples]) -> tuple[Samples, Iterator[Samples]]:
    """Return the first piece, and all of them."""
    following = iter(pieces)
    first = next(following)

    def every() -> Iterator[Samples]:
        yield first
        yield from following

    return first, every()


WRITERS: dict[str, Callable[..., None]] = {".wav": write_wav_pieces, ".flac": write_flac_pieces}
"""What writes a sound, by the extension of the file."""


def _software(made: str) -> list[bytes]:
    return _chunk(b"ISFT", f"vqkit {made}".encode() + b"\0")


def _chunk(name: bytes, data: bytes) -> list[bytes]:
    return [name, struct.pack("<I", len(data)), data, b"\0" * (len(data) % 2)]
