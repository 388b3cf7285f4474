"""Sources that decode images when they are read: files in a folder, or bytes in a memory-mapped Arrow file.

Every image was decoded once before such a source was made, and those that cannot be were left out: a set has the same
items whether it fits in memory or not. One that cannot be decoded any more is an error, and nothing stands in for it.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, final

import numpy as np

from vqkit.data.identity import FileDigests, encoded_digest, encoded_way, joined_digests
from vqkit.data.images.decoding import each_in_order
from vqkit.data.images.files import Encoded
from vqkit.data.images.reading import read_picture, to_channels
from vqkit.data.skipped import Skipped
from vqkit.data.source import Array, Source
from vqkit.errors import ConfigError, DataError
from vqkit.optional import require


class EncodedSource(Source):
    """Abstract: uint8 images, decoded on demand, with sizes known before."""

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
        position_bits: Sequence[int] | Array | None = None,
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
            position_bits=position_bits,
        )
        self._sizes = np.asarray(sizes, dtype=np.int64)
        self._size = super().size

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
        """The (height, width) of all images, or None where they differ."""
        return self._size

    def item_sizes(self) -> Array:
        """Return height and width of every item, int64 [N, 2]."""
        return self._sizes

    def read(self, index: int) -> Array:
        """Decode item ``index`` to uint8 [C, H, W].

        Raises DataError where it was changed, damaged or removed since the source was made.
        """
        at = self.position(index)
        try:
            pixels = read_picture(self.encoded(at), known_good=True).pixels
            if not np.array_equal(pixels.shape[1:], self._sizes[at]):
                raise DataError(f"it has another size now ({self.kind.describe_size(pixels.shape[1:])})")
        except (DataError, OSError) as error:
            reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
            raise DataError(
                f"{self.name}: {self.item_name(at)} was readable when the data was opened and is not any more "
                f"({reason}); put it back, or open the data again without it."
            ) from error
        return to_channels(pixels, self.channels)


@final
class FileSource(EncodedSource):
    """Image files on disk. ``sizes`` is int64 [N, 2] (height, width); names are relative to ``root``.

    Example:
        >>> import numpy as np
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from vqkit.data import FileSource
        >>> Image.new("RGB", (6, 4)).save("a.png")
        >>> source = FileSource([Path("a.png")], np.array([[4, 6]]), root=Path(), channels=3, name="mine")
        >>> source.read(0).shape, source.item_name(0)
        ((3, 4, 6), 'a.png')
    """

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

    Example:
        >>> import io
        >>> import numpy as np
        >>> import pyarrow
        >>> from PIL import Image
        >>> from vqkit.data import ArrowSource
        >>> file = io.BytesIO()
        >>> Image.new("L", (6, 4)).save(file, "png")
        >>> batch = pyarrow.record_batch({"bytes": [file.getvalue()], "name": ["a"]})
        >>> source = ArrowSource([batch], np.array([0]), np.array([[4, 6]]), channels=1, name="mine")
        >>> source.read(0).shape, source.item_name(0)
        ((1, 4, 6), 'a')
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
        """Return the state to pickle: the path of the file, not its bytes."""
        state = self.__dict__.copy()
        return state if self._file is None else {**state, "_batches": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
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
    pa = require("pyarrow", f"Arrow files ({file})")
    reader = pa.ipc.open_file(pa.memory_map(os.fsencode(file)))
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
        "position_bits": source.bits_of(rows),
    }
