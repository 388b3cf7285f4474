"""``.npy`` and ``.npz`` files, their headers checked before anything of the size that they state is made.

Nothing is ever unpickled. What a file states beyond its own bytes, or beyond what deflate can hold in them, is refused.
"""

from __future__ import annotations

import ast
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import numpy as np

from vqkit.data.source import Array, byte_words
from vqkit.errors import DataError

_MAGIC = b"\x93NUMPY"
_MOST_HEADER = 1 << 16
_MOST_AXES = 32
_DEFLATE_RATIO = 1032
"""A byte of a deflate stream holds at most so many."""
_BLOCK = 1 << 24
_REPAIR = "save a plain numeric array, e.g. np.save(file, np.stack(items))"


@dataclass(frozen=True)
class Header:
    """The parsed header of a ``.npy`` file."""

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    order: str
    offset: int

    @property
    def nbytes(self) -> int:
        """Bytes of the numbers."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_npy(path: Path, *, limit: int | None = None) -> Array:
    """The array of a ``.npy`` file: in memory, or memory-mapped where it takes more than ``limit`` bytes.

    Raises DataError for anything that is no whole ``.npy`` file of plain values.
    """
    with _damage(path, "a .npy array"), path.open("rb") as file:
        header = read_header(file, path.stat().st_size)
        if limit is not None and header.nbytes > limit:
            return np.memmap(path, header.dtype, "r", header.offset, header.shape, _order(header))
        flat = np.fromfile(file, header.dtype, math.prod(header.shape))
        return flat.reshape(header.shape, order=_order(header))


def read_header(file: IO[bytes], size: int) -> Header:
    """Read the header of a ``.npy`` stream of ``size`` bytes. Raises ValueError with the reason."""
    start = file.read(8)
    if start[:6] != _MAGIC:
        raise ValueError("it does not begin as one")
    if len(start) < 8 or start[6] not in (1, 2, 3):
        raise ValueError("its header is cut short, or of an unknown version")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(file.read(width), "little")
    if length > _MOST_HEADER:
        raise ValueError(f"its header states {length:,} bytes, and {_MOST_HEADER:,} are the most")
    text = file.read(length)
    if len(text) < length:
        raise ValueError("its header is cut short")
    header = Header(*_parsed(text.decode("utf-8" if start[6] == 3 else "latin-1")), 8 + width + length)
    if header.nbytes > size - header.offset:
        raise ValueError(
            f"its header states {byte_words(header.nbytes)} of numbers (shape {list(header.shape)} of {header.dtype}), "
            f"and {byte_words(max(0, size - header.offset))} are there: it is cut short or damaged"
        )
    return header


def _parsed(text: str) -> tuple[np.dtype[np.generic], tuple[int, ...], str]:
    try:
        values = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError("its header is no description of an array") from error
    if not isinstance(values, dict) or set(values) != {"descr", "fortran_order", "shape"}:
        raise ValueError("its header is no description of an array")
    shape, descr, fortran = values["shape"], values["descr"], values["fortran_order"]
    whole = isinstance(shape, tuple) and all(type(each) is int and 0 <= each < 1 << 63 for each in shape)
    if not whole or len(shape) > _MOST_AXES or not isinstance(fortran, bool):
        raise ValueError(f"its header states the shape {str(shape)[:80]}, which no array has")
    if isinstance(descr, list):
        names = [str(each[0]) for each in descr if isinstance(each, tuple) and each][:8]
        raise ValueError(f"it holds records with the fields {', '.join(names)}; save one of them: array[field]")
    try:
        dtype: np.dtype[np.generic] = np.dtype(descr) if isinstance(descr, str) else np.dtype(object)
    except (TypeError, ValueError, SyntaxError) as error:
        raise ValueError(f"its header states the type {str(descr)[:80]!r}, which is none") from error
    if dtype.hasobject or dtype.names is not None or dtype.subdtype is not None:
        raise ValueError("it holds Python objects, which are never unpickled")
    return dtype, shape, "F" if fortran else "C"


class Archive:
    """The arrays of a ``.npz`` file.

    Attributes:
        names: of the arrays.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path = path
        self._archive = archive
        self._members = {
            info.filename.removesuffix(".npy"): info for info in archive.infolist() if info.filename.endswith(".npy")
        }
        self.names = list(self._members)

    def nbytes(self, name: str) -> int:
        """The size that the directory of the archive states; no more is ever read."""
        return self._members[name].file_size

    def read(self, name: str) -> Array:
        """Read one array. Raises ValueError with the reason where it is none."""
        info = self._members[name]
        packed = min(info.compress_size, self._path.stat().st_size)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"array {name!r} is compressed in a way that NumPy does not write")
        most = packed if info.compress_type == zipfile.ZIP_STORED else packed * _DEFLATE_RATIO + _DEFLATE_RATIO
        if info.file_size > most:
            raise ValueError(
                f"array {name!r} is said to take {byte_words(info.file_size)}, which {byte_words(packed)} cannot hold"
            )
        with self._archive.open(info) as stream:
            header = read_header(stream, info.file_size)
            buffer = bytearray()
            while len(buffer) < header.nbytes:
                part = stream.read(min(_BLOCK, header.nbytes - len(buffer)))
                if not part:
                    raise ValueError(f"array {name!r} is cut short")
                buffer += part
        flat = np.frombuffer(buffer, header.dtype, math.prod(header.shape))
        return flat.reshape(header.shape, order=_order(header))


@contextmanager
def open_npz(path: Path) -> Iterator[Archive]:
    """Open a ``.npz`` file. What is read within raises DataError for damage."""
    with _damage(path, "an .npz archive"), zipfile.ZipFile(path) as archive:
        yield Archive(path, archive)


def _order(header: Header) -> Literal["C", "F"]:
    return "F" if header.order == "F" else "C"


@contextmanager
def _damage(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.") from error
    except (
        OSError, ValueError, EOFError, LookupError, RuntimeError, OverflowError, MemoryError, AttributeError,
        NotImplementedError, zipfile.BadZipFile, zlib.error, struct.error,
    ) as error:  # fmt: skip
        reason = (error.strerror if isinstance(error, OSError) else None) or " ".join(str(error).split())[:300]
        raise DataError(f"{path} cannot be read as {what}: {reason or type(error).__name__}; {_REPAIR}.") from error
