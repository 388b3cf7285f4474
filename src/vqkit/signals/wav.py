"""WAV files of 16 bits, written without an extra: RIFF with vqkit's mark in the chunk that names the software."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vqkit.errors import DataError
from vqkit.storage import atomic

_LARGEST = 0xFFFFFFFF - 1024


def write_wav(
    path: Path, samples: npt.NDArray[Any], rate: int, *, durable: bool = True, made: str | None = None
) -> None:
    """Write floats of [-1, 1], ``[channels, n]``, as 16-bit samples: ``round(32767 x)``.

    Args:
        path: of the file; it appears whole or not at all.
        samples: what lies beyond the range is taken for the bound.
        rate: samples a second.
        durable: as of ``atomic.write_file``.
        made: what result of vqkit's it is ("sample"), or None.

    Raises:
        DataError: more than 4 GB, which WAV cannot hold.
    """
    whole = np.rint(np.asarray(samples, dtype=np.float64).clip(-1, 1) * 32767).astype("<i2")
    if whole.nbytes > _LARGEST:
        raise DataError(f"{path}: a WAV file holds 4 GB at most, and this sound has {whole.nbytes:,} bytes: cut it")
    channels = len(whole)
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16)
    chunks = _chunk(b"fmt ", form) + ([] if made is None else _chunk(b"LIST", b"INFO" + b"".join(_software(made))))
    head = b"".join([*chunks, b"data", struct.pack("<I", whole.nbytes)])

    def write(file: Path) -> None:
        with file.open("wb") as opened:
            opened.write(b"RIFF" + struct.pack("<I", 4 + len(head) + whole.nbytes) + b"WAVE" + head)
            opened.write(np.ascontiguousarray(whole.T).data)

    atomic.write_file(path, write, durable=durable)


def _software(made: str) -> list[bytes]:
    return _chunk(b"ISFT", f"vqkit {made}".encode() + b"\0")


def _chunk(name: bytes, data: bytes) -> list[bytes]:
    return [name, struct.pack("<I", len(data)), data, b"\0" * (len(data) % 2)]
