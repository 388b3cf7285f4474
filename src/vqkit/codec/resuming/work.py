"""Finished work of a compression, kept beside the file that it writes: after a kill it is not computed again.

Each result that costs time (the indices of a tile, the coded bytes of a block, the settings of a rate) is kept under
the SHA-256 of everything that it depends on: the models' content, the numbers that went in, the settings. So what is
found again is what would be worked out again, whatever files have come, gone or been renamed since, and the bytes of
the file are those of a compression that nobody interrupted. Records are appended with a checksum; what a kill has cut
off is left out. Where there is no room for records none are kept: what is written needs the room more.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, final

import numpy as np
import numpy.typing as npt
from torch import Tensor

from vqkit.data.identity import update

_MAGIC = b"vqkit work 1\n"
_VERSION = 1
"""Raised when vqkit works out other results from the same numbers."""

Result = tuple[Any, bytes]
"""A value for JSON, and bytes."""


@final
class Memory:
    """Results on the disk, by what they depend on.

    Args:
        file: where they are kept; another's records, or damaged ones, are dropped.

    Attributes:
        found: how many results were there already.
        made: how many were not.
    """

    def __init__(self, file: Path) -> None:
        self.found = self.made = 0
        self._inside = self._full = False
        self._path = file
        self._places: dict[bytes, tuple[int, int]] = {}
        file.touch()
        self._file: BinaryIO = file.open("r+b")
        self._file.truncate(self._read())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def recall(self, what: str, about: Any, arrays: Iterable[npt.NDArray[Any]], make: Callable[[], Result]) -> Result:
        """A result: the one that is kept, or the one that ``make`` gives, which is then kept.

        Args:
            what: the kind of result.
            about: for JSON: what it depends on.
            arrays: numbers that it depends on.
            make: works it out.
        """
        if self._inside:  # a part of a result that is itself kept
            return make()
        key = self.key(what, about, arrays)
        kept = self.get(key)
        if kept is not None:
            return kept
        self._inside = True
        try:
            value, data = make()
        finally:
            self._inside = False
        self.put(key, value, data)
        return value, data

    def key(self, what: str, about: Any, arrays: Iterable[npt.NDArray[Any]]) -> bytes:
        """What a result is kept under (see ``recall``)."""
        digest = hashlib.sha256(json.dumps([_VERSION, what, about]).encode())
        for array in arrays:
            update(digest, array)
        return digest.digest()

    def get(self, key: bytes) -> Result | None:
        """The result that is kept; None: none is."""
        if key not in self._places:
            return None
        self.found += 1
        start, length = self._places[key]
        self._file.seek(start)
        said, _, data = self._file.read(length).partition(b"\n")
        return json.loads(said), data

    def put(self, key: bytes, value: Any, data: bytes) -> None:
        """Keep a result that was worked out."""
        self.made += 1
        self._keep(key, json.dumps(value).encode() + b"\n" + data)

    def _keep(self, key: bytes, body: bytes) -> None:
        if self._full:
            return
        head = key + len(body).to_bytes(8, "big")
        try:
            start = self._file.seek(0, 2)
            self._file.write(head + body + zlib.crc32(body, zlib.crc32(head)).to_bytes(4, "big"))
            self._file.flush()
        except OSError:
            self._give_up()
            return
        self._places[key] = (start + len(head), len(body))

    def _give_up(self) -> None:
        """Keep nothing any more, and give the room back."""
        self._full = True
        self._places.clear()
        with suppress(OSError):  # what could not be written is tried again
            self._file.close()
        with suppress(OSError):
            os.truncate(self._path, 0)

    def _read(self) -> int:
        """Find the records; returns where the last whole one ends."""
        if self._file.read(len(_MAGIC)) != _MAGIC:
            self._file.seek(0)
            self._file.write(_MAGIC)
            return len(_MAGIC)
        end = len(_MAGIC)
        size = self._file.seek(0, 2)
        self._file.seek(end)
        while True:
            head = self._file.read(40)
            length = int.from_bytes(head[32:], "big")
            if len(head) < 40 or end + 44 + length > size:
                return end
            body, crc = self._file.read(length), self._file.read(4)
            if int.from_bytes(crc, "big") != zlib.crc32(body, zlib.crc32(head)):
                return end
            self._places[head[:32]] = (end + 40, length)
            end += 44 + length


def recall_indices(memory: tuple[Memory, Any], about: list[Any], batch: Tensor, make: Callable[[], Any]) -> Any:
    """Indices int64 of a batch, kept in the fewest bytes; ``about`` says what else they depend on."""

    def made() -> Result:
        found = make()
        small = found.astype(np.min_scalar_type(int(found.max(initial=0))))
        return [list(found.shape), small.dtype.name], small.tobytes()

    said, data = memory[0].recall("indices", [memory[1], about], [batch.cpu().numpy()], made)
    shape, dtype = said
    return np.frombuffer(data, dtype=dtype).astype(np.int64).reshape(shape)
