"""Content fingerprint of a source: nothing computed once is taken for a result of other data.

Two ways to say it, each with a name of its own, so that strings of different ways are never equal:

- **values**: SHA-256 over every item's numbers, in order. Arrays in memory or memory-mapped, whatever their strides.
- **encoded**: SHA-256 over the SHA-256 of each image's file (or row of a table), in order. The same whether the pixels
  lie in memory or are decoded on demand, without decoding anything.

What is cut out of another source (``RandomCrops``, ``CenterCrops``) is told by that source and the cut.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

VALUES = "values"
ENCODED = "encoded"
DIGEST_BYTES = 32
READING = 1
"""Raised when the same encoded bytes become other pixels than before (how images are read has changed)."""

_PIECE = 1 << 20
_VERSION = 1


class HasContent(Protocol):
    """Protocol of a source that ``content_fingerprint`` can read."""

    channels: int
    axes: int
    dtype: np.dtype[Any]
    labels: npt.NDArray[Any] | None
    class_names: list[str] | None
    vectors: npt.NDArray[Any] | None

    def __len__(self) -> int: ...

    def item_sizes(self) -> npt.NDArray[Any]:
        """See ``Source.item_sizes``."""
        ...

    def content(self) -> tuple[str, Iterable[npt.NDArray[Any]]]:
        """See ``Source.content``."""
        ...


def content_fingerprint(source: HasContent) -> str:
    """Return 64 hexadecimal digits that are equal for equal signals only: values, order, sizes, kind, labels, vectors.

    Names, notes and what was skipped do not count; names of classes do. Costs about what SHA-256 over the bytes costs;
    arrays are read anew each time, as they may have been changed in place, files only where their time or size changed.

    Raises:
        DataError: a file that cannot be read any more.
    """
    way, blocks = source.content()
    digest = hashlib.sha256()
    for part in (_about(source, way), source.item_sizes(), source.labels, source.vectors):
        update(digest, part)
    for block in blocks:
        update_bytes(digest, block)
    return digest.hexdigest()


def _about(source: HasContent, way: str) -> npt.NDArray[np.uint8]:
    said: list[Any] = [_VERSION, way, len(source), source.channels, source.axes, source.dtype.name, source.class_names]
    return np.frombuffer(json.dumps(said).encode(), dtype=np.uint8)


def update(digest: Any, array: npt.NDArray[Any] | None) -> None:
    """Take an array into a digest with its dtype and shape, so that nothing can move from one array into the next."""
    said = "none" if array is None else f"{array.dtype.name} {array.shape}"
    digest.update(f"[{said}]".encode())
    if array is not None:
        update_bytes(digest, array)


def update_bytes(digest: Any, array: npt.NDArray[Any]) -> None:
    """Take an array's numbers into a digest: C order, little-endian, without a copy where they lie so."""
    plain = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    if plain.size:
        digest.update(plain.reshape(-1).view(np.uint8).data)


def joined_digests(digests: Iterable[bytes]) -> npt.NDArray[np.uint8]:
    """Digests of items as rows: uint8 ``[N, 32]``."""
    return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, DIGEST_BYTES)


def encoded_digest(encoded: Path | bytes) -> bytes:
    """SHA-256 of an encoded image: its bytes, or those of its file, a piece at a time.

    Raises:
        OSError: the file cannot be read.
    """
    if not isinstance(encoded, Path):
        return hashlib.sha256(encoded).digest()
    digest = hashlib.sha256()
    with encoded.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.digest()


def tree_stamp(path: Path) -> list[Any]:
    """Return what differs once a file, or any file of a folder and of the folders in it, is written to or replaced.

    Raises:
        OSError: it is not there.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from vqkit.data.identity import tree_stamp
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     before = tree_stamp(Path(folder))
        ...     _ = (Path(folder) / "a").write_text("1")
        ...     before == tree_stamp(Path(folder))
        False
    """
    if not path.is_dir():
        return list(file_stamp(path))
    digest, files = hashlib.sha256(), 0
    for each in sorted(path.rglob("*")):
        if each.is_file():
            files += 1
            digest.update(json.dumps([each.relative_to(path).as_posix(), *file_stamp(each)]).encode())
    return [files, digest.hexdigest()]


def file_stamp(path: Path) -> list[int]:
    """Return [size, mtime_ns, ctime_ns, inode, device]: they differ once a file is written to or replaced.

    Raises:
        OSError: it is not there.
    """
    state = path.stat()
    return [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino, state.st_dev]


class FileDigests:
    """Digests of files, kept for as long as a file's size, time and place on the disk stay the same."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[list[int], bytes]] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle: all but the lock."""
        with self._lock:
            return {"_known": dict(self._known)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def of(self, path: Path) -> bytes:
        """The digest of a file.

        Raises:
            OSError: it cannot be read.
        """
        stamp = file_stamp(path)
        with self._lock:
            found = self._known.get(path)
        if found is not None and found[0] == stamp:
            return found[1]
        digest = encoded_digest(path)
        with self._lock:
            self._known[path] = (stamp, digest)
        return digest


def encoded_way(channels: int) -> str:
    """The way ``encoded``, with what decides which pixels come of the bytes."""
    return f"{ENCODED} {READING} {channels}"
