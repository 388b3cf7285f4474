"""Sources whose items are arrays already: one array for all, or one flat buffer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, final

import numpy as np

from vqkit.data.arrays.mapped import MappedPart
from vqkit.data.identity import VALUES, encoded_way
from vqkit.data.images.reading import to_channels
from vqkit.data.skipped import Skipped
from vqkit.data.source import Array, Source, byte_words
from vqkit.errors import ConfigError, DataError
from vqkit.signals import Signal, signal_kind
from vqkit.signals.audio_file import mix, mixing_words

_BLOCK_BYTES = 16 << 20


@final
class ArraySource(Source):
    """Items of one common size: an array [N, C, *size], in memory or memory-mapped, of uint8 or float32.

    Args:
        array: [N, C, *size]; any strides (channels-last data comes as a transposed view).
        rows: int64 [M], the rows of ``array`` that are the items, in this order; None: all.
        convert: applied to what is gathered, [B, C, *size] -> [B, C', *size]. It must work position by
            position in space (a scale, a channel mix), so that it may be applied to crops. It lets a
            memory-mapped uint16 or float64 array stay on disk as it is.
        vectors: float32 [M, D], numbers that go with each item (see ``Source``).
        origins: uint8 [M, 32], the digest of the encoded image that each item was decoded from (see
            ``vqkit.data.identity``); the array must then never be changed.

    Raises DataError for fewer than two axes, no items, another dtype, or labels or vectors of another length.

    Example:
        >>> import numpy as np
        >>> from vqkit.data import ArraySource
        >>> source = ArraySource(np.zeros((10, 3, 32, 32), dtype=np.uint8), labels=np.arange(10))
        >>> len(source), source.axes, source.size
        (10, 2, (32, 32))
    """

    def __init__(
        self,
        array: Array,
        *,
        name: str = "array",
        labels: Array | None = None,
        class_names: Sequence[str] | None = None,
        skipped: Iterable[Skipped] = (),
        notes: Iterable[str] = (),
        position_bits: Sequence[int] | Array | int | None = None,
        rows: Array | None = None,
        convert: Callable[[Array], Array] | None = None,
        vectors: Array | None = None,
        origins: Array | None = None,
        item_names: Sequence[str | None] | None = None,
        kind: Signal | str | None = None,
    ) -> None:
        if array.ndim < 2 or len(array) == 0 or (rows is not None and len(rows) == 0):
            raise DataError(f"{name} has shape {list(array.shape)}; a source is [N, C, *size] with at least one item.")
        first = array[:1] if convert is None else convert(array[:1])
        super().__init__(
            name=name,
            channels=first.shape[1],
            axes=array.ndim - 2,
            dtype=first.dtype,
            count=len(array) if rows is None else len(rows),
            labels=labels,
            class_names=class_names,
            skipped=skipped,
            notes=notes,
            item_names=item_names,
            position_bits=position_bits,
            kind=kind,
        )
        if vectors is not None and (vectors.ndim != 2 or len(vectors) != len(self) or not np.isfinite(vectors).all()):
            raise DataError(
                f"{name} has {len(self):,} items and vectors of shape {list(vectors.shape)}; vectors are finite "
                f"numbers of shape [{len(self)}, D]."
            )
        self.vectors = None if vectors is None else np.asarray(vectors, dtype=np.float32)
        self._array = array
        self._rows = rows
        self._convert = convert
        self._origins = origins

    reads_parts = True

    @property
    def in_memory(self) -> bool:
        """False where the array is memory-mapped from a file."""
        return not isinstance(self._array, np.memmap)

    @property
    def size(self) -> tuple[int, ...]:
        """The spatial size of every item."""
        return self._array.shape[2:]

    def content(self) -> tuple[str, Iterable[Array]]:
        """See ``Source.content``."""
        if self._origins is not None:
            return encoded_way(self.channels), [self._origins]
        if self._rows is None and self._convert is None and self._array.flags.c_contiguous:
            return VALUES, [self._array]
        each = max(1, _BLOCK_BYTES // max(1, self._array[0].nbytes))
        starts = range(0, len(self), each)
        return VALUES, (self.gather(range(start, min(start + each, len(self)))) for start in starts)

    def item_sizes(self) -> Array:
        """Return int64 [N, axes]; every row is the same."""
        return np.broadcast_to(np.array(self.size, dtype=np.int64), (len(self), self.axes))

    def read(self, index: int) -> Array:
        """Return item ``index`` as a new array [C, *size]."""
        item: Array = self.gather([self.position(index)])[0]
        return item

    def gather(self, indices: Sequence[int] | Array) -> Array:
        """Return a new array [B, C, *size]: one fancy index."""
        return self._converted(self._array[self._array_rows(indices)])

    def gather_crops(self, indices: Sequence[int] | Array, starts: Array, size: tuple[int, ...]) -> Array:
        """Return [B, C, *size]: item b's crop that begins at starts[b], int64 [B, axes]; copies no whole items."""
        windows = np.lib.stride_tricks.sliding_window_view(self._array, size, axis=tuple(range(2, self._array.ndim)))
        rows = self._array_rows(indices)
        # images: [N, C, H', W', height, width] with indices on axes 0, 2, 3 -> [B, C, height, width]
        return self._converted(windows[(rows, slice(None), *starts.T)])

    def part(self, index: int, starts: Sequence[int], size: Sequence[int]) -> Array:
        """Return a part of item ``index`` as a new array; see ``Source.part``."""
        item: Array = self.gather_crops([index], np.array([starts], dtype=np.int64), tuple(size))[0]
        return item

    def subset(self, indices: Sequence[int] | Array) -> ArraySource:
        """Return a source of these items over the same array."""
        chosen = self.positions(indices)
        found = ArraySource(
            self._array,
            name=self.name,
            labels=None if self.labels is None else self.labels[chosen],
            class_names=self.class_names,
            skipped=self.skipped,
            notes=self.notes,
            item_names=self._names_of(chosen),
            position_bits=self.bits_of(chosen),
            kind=self._kind,
            rows=chosen if self._rows is None else self._rows[chosen],
            convert=self._convert,
            vectors=None if self.vectors is None else self.vectors[chosen],
            origins=None if self._origins is None else self._origins[chosen],
        )
        found.channel_labels = self.channel_labels
        return found

    def with_channels(self, channels: int) -> ArraySource:
        """Return the same images in grey or RGB, sounds in mono or stereo, converted when they are gathered."""
        if channels == self.channels:
            return self
        convert, notes = _conversion(self, channels)
        before = self._convert
        return ArraySource(
            self._array,
            name=self.name,
            labels=self.labels,
            class_names=self.class_names,
            skipped=self.skipped,
            notes=notes,
            item_names=self._item_names,
            position_bits=self.bits_of(None),
            kind=self._kind,
            rows=self._rows,
            convert=convert if before is None else partial(_one_after_another, before, convert),
            vectors=self.vectors,
            origins=self._origins,
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle: for a memory-mapped array its place in the file, not its values."""
        state = self.__dict__.copy()
        state["_array"] = MappedPart.of(self._array) or self._array
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        array = state["_array"]
        self.__dict__.update(state, _array=array.open() if isinstance(array, MappedPart) else array)

    def storage(self) -> str:
        """Say where the array lies and how large the chosen rows are."""
        nbytes = self._array.dtype.itemsize * int(np.prod(self._array.shape[1:])) * len(self)
        return f"{'in memory' if self.in_memory else 'memory-mapped'} ({byte_words(nbytes)})"

    def _array_rows(self, indices: Sequence[int] | Array) -> Array:
        chosen = self.positions(indices)
        return chosen if self._rows is None else self._rows[chosen]

    def _converted(self, block: Array) -> Array:
        plain = np.ascontiguousarray(block)  # no longer a memmap, whatever the strides were
        return plain if self._convert is None else self._convert(plain)


def _one_after_another(first: Callable[[Array], Array], second: Callable[[Array], Array], block: Array) -> Array:
    return second(first(block))


def _conversion(source: Source, channels: int) -> tuple[Callable[[Array], Array], list[str]]:
    """What brings items, or parts of them, into other channels, and the source's notes with what a person is told.

    Raises:
        ConfigError: neither images nor sounds.
    """
    if source.kind.converts:
        return partial(to_channels, channels=channels), source.notes
    if not source.kind.converts_channels(source.channels, channels):
        raise ConfigError(f"channels={channels} was asked for, but {source.describe()} are no images.")
    told = [f"{len(source):,} of {len(source):,} {source.kind.noun[1]}: {mixing_words(source.channels, channels)}"]
    return partial(mix, channels=channels), [*source.notes, *(told if channels < source.channels else [])]


@final
class RaggedSource(Source):
    """Images (or other signals) of different sizes in memory, one after the other in one flat buffer.

    Args:
        buffer: uint8 or float32 [total values].
        offsets: int64 [N], where each item begins in the buffer.
        sizes: int64 [N, axes], the size of each item (images: height, width); item n is channels times their product
            values.
        origins: as of ``ArraySource``.

    Example:
        >>> import numpy as np
        >>> from vqkit.data import RaggedSource
        >>> sizes = np.array([[2, 3], [4, 1]])  # height, width
        >>> source = RaggedSource(np.arange(10, dtype=np.uint8), np.array([0, 6]), sizes, channels=1)
        >>> source.read(1).shape
        (1, 4, 1)
    """

    def __init__(
        self,
        buffer: Array,
        offsets: Array,
        sizes: Array,
        *,
        channels: int,
        name: str = "images",
        labels: Array | None = None,
        class_names: Sequence[str] | None = None,
        skipped: Iterable[Skipped] = (),
        notes: Iterable[str] = (),
        origins: Array | None = None,
        item_names: Sequence[str | None] | None = None,
        position_bits: Sequence[int] | Array | int | None = None,
        kind: Signal | str = "image",
    ) -> None:
        super().__init__(
            name=name,
            channels=channels,
            axes=signal_kind(kind).axes,
            dtype=buffer.dtype,
            count=len(offsets),
            labels=labels,
            class_names=class_names,
            skipped=skipped,
            notes=notes,
            item_names=item_names,
            position_bits=position_bits,
            kind=kind,
        )
        self._buffer = buffer
        self._origins = origins
        self._offsets = np.asarray(offsets, dtype=np.int64)
        self._sizes = np.asarray(sizes, dtype=np.int64)
        ends = self._offsets + channels * self._sizes.prod(axis=1)
        if self._sizes.shape != (len(self), self.axes) or int(self._offsets.min()) < 0 or int(ends.max()) > len(buffer):
            raise DataError(
                f"{name}: offsets and sizes reach value {int(ends.max()):,} of a buffer of {len(buffer):,}."
            )

    def content(self) -> tuple[str, Iterable[Array]]:
        """See ``Source.content``."""
        if self._origins is not None:
            return encoded_way(self.channels), [self._origins]
        return super().content()

    def item_sizes(self) -> Array:
        """Return the size of every item (images: height, width), int64 [N, axes]."""
        return self._sizes

    def read(self, index: int) -> Array:
        """Return item ``index`` as a new array [C, *size]."""
        return self.peek(index).copy()

    def peek(self, index: int) -> Array:
        """Return item ``index`` as a view [C, *size] of the buffer."""
        at = self.position(index)
        size = tuple(int(side) for side in self._sizes[at])
        begin = int(self._offsets[at])
        return self._buffer[begin : begin + self.channels * math.prod(size)].reshape(self.channels, *size)

    def subset(self, indices: Sequence[int] | Array) -> RaggedSource:
        """Return a source of these items over the same buffer."""
        chosen = self.positions(indices)
        return RaggedSource(
            self._buffer,
            self._offsets[chosen],
            self._sizes[chosen],
            channels=self.channels,
            name=self.name,
            labels=None if self.labels is None else self.labels[chosen],
            class_names=self.class_names,
            skipped=self.skipped,
            notes=self.notes,
            origins=None if self._origins is None else self._origins[chosen],
            item_names=self._names_of(chosen),
            position_bits=self.bits_of(chosen),
            kind=self.kind,
        )

    def with_channels(self, channels: int) -> RaggedSource:
        """Return the same images in grey or RGB, sounds in mono or stereo, in a new buffer."""
        if channels == self.channels:
            return self
        convert, notes = _conversion(self, channels)
        areas = self._sizes.prod(axis=1)
        offsets = np.concatenate([[0], np.cumsum(channels * areas)])
        buffer = np.empty(int(offsets[-1]), dtype=self.dtype)
        for at in range(len(self)):
            buffer[offsets[at] : offsets[at + 1]] = convert(self.read(at)).ravel()
        return RaggedSource(
            buffer,
            offsets[:-1],
            self._sizes,
            channels=channels,
            name=self.name,
            labels=self.labels,
            class_names=self.class_names,
            skipped=self.skipped,
            notes=notes,
            origins=self._origins,
            item_names=self._item_names,
            position_bits=self.bits_of(None),
            kind=self.kind,
        )

    def storage(self) -> str:
        """Say how many bytes the items take in memory."""
        return f"in memory ({byte_words(int(self.dtype.itemsize * self.channels * self._sizes.prod(axis=1).sum()))})"
