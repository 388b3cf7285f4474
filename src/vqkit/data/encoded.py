"""Sources that decode images when they are read: files in a folder, or bytes in a memory-mapped Arrow file.

Only headers were checked when such a source was made, so an image can still turn out to be damaged.
It is then named in ``skipped`` and replaced by the next readable item: training goes on, and two runs
see the same pictures in the same order.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, final

import numpy as np
import pyarrow as pa

from vqkit.data.gathering import each_in_order
from vqkit.data.identity import FileDigests, encoded_digest, encoded_way, joined_digests
from vqkit.data.image_files import Encoded
from vqkit.data.images import decode_image, to_channels
from vqkit.data.source import Array, Skipped, Source, skip_lines
from vqkit.errors import ConfigError, DataError


class EncodedSource(Source):
    """Abstract: uint8 images, decoded on demand, with sizes known from their headers."""

    def __init__(
        self,
        sizes: Array,
        *,
        channels: int,
        name: str,
        labels: Array | None = None,
        class_names: Sequence[str] | None = None,
        skipped: Iterable[Skipped] = (),
        notes: Iterable[str] = (),
    ) -> None:
        if channels not in (1, 3):
            raise ConfigError(f"channels is {channels}; images have 1 (grey) or 3 (RGB).")
        super().__init__(
            name=name,
            channels=channels,
            axes=2,
            dtype=np.uint8,
            count=len(sizes),
            labels=labels,
            class_names=class_names,
            skipped=skipped,
            notes=notes,
        )
        self._sizes = np.asarray(sizes, dtype=np.int64)
        self._size = super().size
        self._damaged: list[Skipped] = []
        self._damaged_at: set[int] = set()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """What another process is given: all but the lock."""
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    @abstractmethod
    def encoded(self, index: int) -> Encoded:
        """Return the path or the bytes of item ``index`` (0 <= index < N)."""

    @abstractmethod
    def item_name(self, index: int) -> str:
        """Return the name of item ``index``. Raises IndexError."""

    @abstractmethod
    def digest(self, index: int) -> bytes:
        """Return the SHA-256 of the encoded bytes of item ``index``. Raises OSError where they cannot be read."""

    def content(self) -> tuple[str, Iterable[Array]]:
        """See ``Source.content``: of the encoded bytes, so that nothing is decoded."""
        with closing(each_in_order(self._digest, range(len(self)))) as found:
            return encoded_way(self.channels), [joined_digests(found)]

    def _digest(self, index: int) -> bytes:
        try:
            return self.digest(index)
        except OSError as error:
            reason = error.strerror or str(error)
            raise DataError(f"{self.item_name(index)} of {self.name} cannot be read any more: {reason}.") from error

    @property
    def size(self) -> tuple[int, ...] | None:
        """The (height, width) that all headers state, or None where they differ."""
        return self._size

    def item_sizes(self) -> Array:
        """Return height and width of every item as its header states them, int64 [N, 2]."""
        return self._sizes

    def read(self, index: int) -> Array:
        """Decode item ``index`` to uint8 [C, H, W]; a damaged one is replaced by the next readable item.

        The replacement keeps the label of the item it stands for. Raises DataError when more than half
        of the items turned out to be damaged.
        """
        start = self.position(index)
        for shift in range(len(self)):
            at = (start + shift) % len(self)
            if at in self._damaged_at:
                continue
            try:
                return self._decoded(at)
            except DataError as error:
                self._remember(at, str(error))
        raise DataError(f"{self.name}: none of {len(self):,} images can be decoded.")

    def _decoded(self, at: int) -> Array:
        pixels, _ = decode_image(self.encoded(at))
        if self._size is not None and pixels.shape[1:] != self._size:
            raise DataError("its pixels have another size than its header states")
        return to_channels(pixels, self.channels)

    def _remember(self, at: int, reason: str) -> None:
        with self._lock:
            if at not in self._damaged_at:
                entry = Skipped(self.item_name(at), f"{reason}; the next readable image stands in for it")
                self._damaged_at.add(at)
                self._damaged.append(entry)
                self.skipped.append(entry)
            if 2 * len(self._damaged_at) > len(self):
                raise DataError(
                    f"{self.name}: {len(self._damaged_at):,} of {len(self):,} images proved damaged, more "
                    f"than half. Repair or remove them: {'; '.join(skip_lines(self._damaged, 5))}."
                )


@final
class FileSource(EncodedSource):
    """Image files on disk. ``sizes`` is int64 [N, 2] (height, width); names are relative to ``root``."""

    def __init__(
        self,
        paths: Sequence[Path],
        sizes: Array,
        *,
        root: Path,
        channels: int,
        digests: FileDigests | None = None,
        **about: Any,
    ) -> None:
        super().__init__(sizes, channels=channels, **about)
        self._paths = list(paths)
        self._root = root
        self._digests = digests or FileDigests()

    def encoded(self, index: int) -> Path:
        """Return the path of the file."""
        return self._paths[index]

    def digest(self, index: int) -> bytes:
        """Return the SHA-256 of the file."""
        return self._digests.of(self._paths[index])

    def item_name(self, index: int) -> str:
        """Return the path relative to the root."""
        path = self._paths[self.position(index)]
        return path.relative_to(self._root).as_posix() if path.is_relative_to(self._root) else str(path)

    def subset(self, indices: Sequence[int] | Array) -> FileSource:
        """Return a source of these files."""
        rows = self.positions(indices)
        paths = [self._paths[row] for row in rows]
        return FileSource(
            paths,
            self._sizes[rows],
            root=self._root,
            channels=self.channels,
            digests=self._digests,
            **_about(self, rows),
        )

    def with_channels(self, channels: int) -> FileSource:
        """Return the same files decoded to grey or RGB."""
        return FileSource(
            self._paths,
            self._sizes,
            root=self._root,
            channels=channels,
            digests=self._digests,
            **_about(self, None),
        )

    def storage(self) -> str:
        """Say that files are decoded when read."""
        return "decoded from files on demand"


@final
class ArrowSource(EncodedSource):
    """Encoded images in the columns of memory-mapped Arrow record batches.

    Args:
        batches: record batches with the columns ``bytes`` (binary) and ``name`` (string).
        rows: int64 [N], the row of each item, counted through all batches.
        file: that the batches are mapped from, which another process can map too; None: they are handed over.
    """

    def __init__(
        self,
        batches: Sequence[Any],
        rows: Array,
        sizes: Array,
        *,
        channels: int,
        file: Path | None = None,
        **about: Any,
    ) -> None:
        super().__init__(sizes, channels=channels, **about)
        self._file = file
        self._batches = list(batches)
        self._starts = np.cumsum([0] + [batch.num_rows for batch in self._batches])
        self._rows = np.asarray(rows, dtype=np.int64)

    def __getstate__(self) -> dict[str, Any]:
        """What another process is given: the place of the file, not its bytes."""
        state = super().__getstate__()
        return state if self._file is None else {**state, "_batches": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self._file is not None:
            self._batches = map_batches(self._file)

    def encoded(self, index: int) -> bytes:
        """Return the encoded bytes, copied out of the memory map."""
        value: bytes = self._cell(index, "bytes")
        return value

    def digest(self, index: int) -> bytes:
        """Return the SHA-256 of the bytes."""
        return encoded_digest(self.encoded(index))

    def item_name(self, index: int) -> str:
        """Return the name that the row was given when it was copied."""
        return str(self._cell(self.position(index), "name"))

    def subset(self, indices: Sequence[int] | Array) -> ArrowSource:
        """Return a source of these rows over the same memory map."""
        at = self.positions(indices)
        return self._part(self._rows[at], self._sizes[at], self.channels, at)

    def with_channels(self, channels: int) -> ArrowSource:
        """Return the same rows decoded to grey or RGB."""
        return self._part(self._rows, self._sizes, channels, None)

    def storage(self) -> str:
        """Say that bytes are decoded when read."""
        return "decoded from memory-mapped bytes on demand"

    def _part(self, rows: Array, sizes: Array, channels: int, at: Array | None) -> ArrowSource:
        return ArrowSource(self._batches, rows, sizes, channels=channels, file=self._file, **_about(self, at))

    def _cell(self, index: int, column: str) -> Any:
        row = int(self._rows[index])
        batch = int(np.searchsorted(self._starts, row, side="right")) - 1
        return self._batches[batch].column(column)[row - int(self._starts[batch])].as_py()


def map_batches(file: Path) -> list[Any]:
    """The record batches of an Arrow file, memory-mapped. Raises OSError, or ArrowException for a damaged one."""
    reader = pa.ipc.open_file(pa.memory_map(str(file)))
    return [reader.get_batch(number) for number in range(reader.num_record_batches)]


def _about(source: Source, rows: Array | None) -> dict[str, Any]:
    """Return the keywords that a source made from this one takes over."""
    labels = source.labels if source.labels is None or rows is None else source.labels[rows]
    return {
        "name": source.name,
        "labels": labels,
        "class_names": source.class_names,
        "skipped": source.skipped,
        "notes": source.notes,
    }
