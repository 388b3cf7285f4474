"""File that grows at its end and is changed in place at its beginning, with no buffer that outlives an error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, final

_PIECE = 1 << 20


@final
class GrowingFile:
    """Binary file to append to. Unlike a buffered one it writes nothing when it is closed after a failure.

    Args:
        path: of a file that is there.
        length: where to go on; what the file holds beyond is cut off.

    Raises:
        OSError: it cannot be opened; its ``filename`` is ``path``, as of all errors here.
    """

    def __init__(self, path: Path, length: int) -> None:
        self._path, self._pending, self._end = path, bytearray(), length
        self._file = path.open("r+b", buffering=0)
        self.cut(length)

    def write(self, data: bytes) -> int:
        """Append."""
        self._pending += data
        if len(self._pending) >= _PIECE:
            self.flush()
        return len(data)

    def flush(self) -> None:
        """Hand everything to the system."""
        if self._pending:
            self._put(self._end, bytes(self._pending))
            self._end += len(self._pending)
            self._pending.clear()

    def overwrite(self, place: int, data: bytes) -> None:
        """Write bytes over others, and wait until the disk has them and all that was appended before."""
        self.sync()
        self._put(place, data)
        self.sync()

    def sync(self) -> None:
        """Wait until the disk has everything."""
        self.flush()
        with self._named():
            os.fsync(self._file.fileno())

    def cut(self, length: int) -> None:
        """Forget what was appended beyond a length."""
        self._pending.clear()
        self._end = length
        with self._named():
            self._file.truncate(length)

    def read(self, size: int = -1) -> bytes:
        """Read up to so many bytes of what was flushed."""
        return self._file.read(size) or b""

    def seek(self, place: int, whence: int = 0) -> int:
        """Go to a place to read from; appending goes on at the end nevertheless."""
        return self._file.seek(place, whence)

    def close(self) -> None:
        """Close it; what was not flushed is dropped."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _put(self, place: int, data: bytes) -> None:
        rest = memoryview(data)
        with self._named():
            self._file.seek(place)
            while rest:
                rest = rest[self._file.write(rest) or 0 :]

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Errors of the system with the path."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error
