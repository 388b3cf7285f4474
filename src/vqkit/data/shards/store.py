"""Store of shards as flat files on this machine: fetched when they are needed, the oldest deleted beyond a limit."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, final

from vqkit.data.shards.samples import Sample, tar_samples, unpack_parquet
from vqkit.errors import DataError
from vqkit.resources import shard_cache_bytes
from vqkit.storage import atomic
from vqkit.storage.mirror import Mirror

_TRIES = 3
"""Another process that has the same copies may delete one between its being found and its being opened."""


@final
class ShardStore:
    """The shards of a data set.

    Args:
        where: the folder, or the mirror of the address, that the shards lie below.
        names: of the shards, in order.

    Attributes:
        names: of the shards.
        stamps: what tells that a shard has changed.
    """

    def __init__(self, where: Path | Mirror, names: Sequence[str]) -> None:
        self._where = where
        self.names = list(names)
        if isinstance(where, Mirror):
            self.stamps = [[where.files[name].size, where.files[name].stamp] for name in names]
        else:
            stats = [(where / name).stat() for name in names]
            self.stamps = [[state.st_size, state.st_mtime_ns] for state in stats]
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle: all but the lock."""
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    @property
    def is_remote(self) -> bool:
        """Whether shards are fetched."""
        return isinstance(self._where, Mirror)

    def flat(self, shard: int) -> Path:
        """Return the flat file of a shard: the tar file itself, or the images of a Parquet file one after another.

        Raises:
            DataError: it cannot be fetched, or has changed since the data were opened.
        """
        if not isinstance(self._where, Mirror):
            return self._where / self.names[shard]
        flat = self._place(shard)
        if self._is_packed(shard):
            if not self._is_unpacked(shard):
                self._unpacked(shard)
        else:
            there = flat.is_file()
            self._where.path(self.names[shard])
            if not there:
                self._make_room(flat)
        with suppress(OSError):
            os.utime(flat)
        return flat

    def opened(self, shard: int) -> tuple[Path, list[Sample]]:
        """Return the flat file of a shard, and what is in it.

        Raises:
            DataError: it cannot be fetched or read.
        """
        if self._is_packed(shard):
            samples = self._unpacked(shard)
            return self._place(shard), samples
        flat = self.flat(shard)
        return flat, list(tar_samples(flat, self.names[shard]))

    def read(self, shard: int, offset: int, length: int) -> bytes:
        """Return some bytes of the flat file of a shard.

        Raises:
            DataError: they cannot be had.
        """
        for attempt in range(_TRIES):
            try:
                with self._lock:
                    file = self.flat(shard).open("rb")
                with file:
                    file.seek(offset)
                    data = file.read(length)
                break
            except FileNotFoundError as error:
                if attempt + 1 == _TRIES:
                    raise DataError(
                        f"{self.names[shard]}: this shard is not there any more; open the data again"
                    ) from error
        if len(data) != length:
            raise DataError(f"{self.names[shard]}: this shard is shorter than when it was opened; open the data again")
        return data

    def _is_packed(self, shard: int) -> bool:
        name = self.names[shard] or (self._where.remote.url if isinstance(self._where, Mirror) else "")
        return name.lower().endswith(".parquet")

    def _place(self, shard: int) -> Path:
        """Where the flat file of a fetched shard is."""
        assert isinstance(self._where, Mirror)
        copy = self._where.place(self.names[shard])
        return copy.with_name(f"{copy.name}.flat") if self._is_packed(shard) else copy

    def _is_unpacked(self, shard: int) -> bool:
        flat = self._place(shard)
        try:
            return flat.is_file() and _mark(flat).read_text() == str(self.stamps[shard])
        except OSError:
            return False

    def _unpacked(self, shard: int) -> list[Sample]:
        """Fetch a Parquet file, write its images one after another, and delete it; returns what there is."""
        assert isinstance(self._where, Mirror)
        name, flat, found = self.names[shard], self._place(shard), list[Sample]()
        file = self._where.path(name)
        atomic.write_file(
            flat, lambda temporary: found.extend(unpack_parquet(file, temporary, name or file.name)), durable=False
        )
        atomic.write_file(_mark(flat), lambda temporary: temporary.write_text(str(self.stamps[shard])), durable=False)
        self._where.forget(name)
        self._make_room(flat)
        return found

    def _make_room(self, but: Path) -> None:
        """Delete the copies that were used longest ago, until all are within the limit."""
        limit, found = shard_cache_bytes(), []
        for shard in range(len(self.names)):
            file = self._place(shard)
            with suppress(OSError):
                state = file.stat()
                found.append((state.st_mtime_ns, state.st_size, file))
        total = sum(size for _, size, _ in found)
        for _, size, file in sorted(found):
            if total <= limit:
                return
            if file != but:
                file.unlink(missing_ok=True)
                total -= size


def _mark(flat: Path) -> Path:
    return flat.with_name(f".{flat.name}.of")
