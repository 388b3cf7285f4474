"""Base of every data source: a numbered set of signals, read one by one or in one piece."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vqkit.data.classes import renumbered
from vqkit.data.identity import VALUES
from vqkit.data.selection import selected
from vqkit.data.skipped import Skipped, skip_lines
from vqkit.deprecation import moved
from vqkit.errors import DataError
from vqkit.notebooks import SHOWN, paragraph, pictures
from vqkit.signals import Signal, default_kind, signal_kind

Array = npt.NDArray[Any]
BLOCK_VALUES = 1 << 24
"""Numbers that are looked through at a time."""


class Source(ABC):
    """Signals of one kind: ``len(source)`` items, each an array [C, *size].

    Attributes:
        name: where it came from, for messages.
        channels: C, the same for every item.
        axes: the number of spatial axes: 0 vectors (C numbers), 1 sound, 2 images, 3 video.
        kind: of signal (``vqkit.signals``): what says the range, the words and all else that depends on it.
        dtype: uint8 (0..255) or float32 (images in [0, 1]; vectors unbounded; float64 for fields that need it); int32
            for indices.
        labels: int64 [N], -1 where an item has none; or None.
        class_names: the name of each label, or None.
        vectors: float32 [N, D], numbers that a prior is conditioned on; or None.
        position_bits: int32 [N], or [] where it is one number for all: bits that a pixel of each item (all its
            channels) has where it came from, such as 64 in a file of RGB with transparency and 16 bits; or None: as
            ``dtype`` and ``channels`` say.
        channel_labels: what the channels are and their units, ``("u [m s-1]", "v [m s-1]")``, where a file says so; or
            None.
        skipped: what was found and not used, with the reason.
        notes: what a person should know ("3 animated files: first frame used").
        spec: the name that ``load_source`` reads the same data by, from any folder; None where there is none (arrays,
            parts of sources).
        reads_parts: whether ``part`` costs less than the whole item.
        overlaps: how many items after one share values with it (windows); they are not split at random.
        labels_are_new: whether earlier versions of vqkit read this data without its labels.

    Example:
        >>> import vqkit
        >>> source = vqkit.load_source("builtin:digits")
        >>> len(source), source.channels, source.axes, source.read(0).dtype
        (1797, 1, 2, dtype('uint8'))
    """

    def __init__(
        self,
        *,
        name: str,
        channels: int,
        axes: int,
        dtype: npt.DTypeLike,
        count: int,
        labels: Array | None = None,
        class_names: Sequence[str] | None = None,
        skipped: Iterable[Skipped] = (),
        notes: Iterable[str] = (),
        item_names: Sequence[str | None] | None = None,
        position_bits: Sequence[int] | Array | int | None = None,
        kind: Signal | str | None = None,
    ) -> None:
        self.name = name
        self.channels = int(channels)
        self.axes = int(axes)
        self.dtype = np.dtype(dtype)
        self.labels = None if labels is None else np.asarray(labels, dtype=np.int64)
        self.class_names = None if class_names is None else [str(each) for each in class_names]
        self.skipped = list(skipped)
        self.notes = list(notes)
        if count < 1:
            raise DataError(f"{name} holds no items; a source needs at least one.")
        wide = self.dtype == np.float64 and kind is not None and signal_kind(kind).gaps
        if self.dtype.name not in ("uint8", "float32", "int32") and not wide:
            raise DataError(
                f"{name} is of dtype {self.dtype}; a source is uint8 or float32 (int32 for indices, and of fields also "
                "float64): convert it first."
            )
        if self.labels is not None and self.labels.shape != (count,):
            raise DataError(
                f"{name} has {count:,} items and labels of shape {list(self.labels.shape)}; "
                f"labels are one whole number per item, shape [{count}]."
            )
        if item_names is not None and len(item_names) != count:
            raise DataError(f"{name} has {count:,} items and {len(item_names):,} names of items; each has one name.")
        self._item_names = item_names
        self.position_bits = None if position_bits is None else np.asarray(position_bits, dtype=np.int32)
        self._count = count
        self._kind = None if kind is None else _of_axes(signal_kind(kind), self.axes, name)

    vectors: Array | None = None
    channel_labels: tuple[str, ...] | None = None
    spec: str | None = None
    _values: tuple[float, float] | None = None
    labels_are_new: bool = False
    reads_parts: bool = False
    overlaps: int = 0

    def __len__(self) -> int:
        return self._count

    @property
    def kind(self) -> Signal:
        """The kind of signal; where nobody said one, that of the number of axes."""
        return default_kind(self.axes) if self._kind is None else self._kind

    @property
    def form(self) -> tuple[int, int, Signal | None]:
        """Channels, axes and kind (None: indices), which are equal for signals that one model reads."""
        return self.channels, self.axes, None if self.dtype == np.int32 else self.kind.common

    def with_kind(self, kind: Signal | str) -> Self:
        """Return the same items said to be of another kind; sound without a sample rate is as before where it has one.

        Raises:
            DataError: a kind of signals of other axes, or another sample rate than the signals have.
        """
        wanted = _of_axes(signal_kind(kind), self.axes, self.name)
        if type(wanted) is type(self.kind) and not wanted.reads(self.kind):
            raise DataError(
                f"{self.describe()} have another sample rate or other axes than kind={wanted.name!r}: resample them "
                "first, or load their files as that"
            )
        again = object.__new__(type(self))
        again.__dict__.update(self.__dict__)
        again._kind = self.kind if wanted.rate is None and wanted.reads(self.kind) else wanted
        return again

    def __getitem__(self, index: int | slice | Sequence[int] | Array) -> Array:
        """Return an item [C, *size], or a batch [B, C, *size] of a slice, a list of indices or a mask of all items.

        Raises IndexError, or DataError where the items of a batch differ in size.

        Example:
            >>> import vqkit
            >>> digits = vqkit.load_source("builtin:digits")
            >>> digits[0].shape, digits[:16].shape, digits[[3, 1]].shape
            ((1, 8, 8), (16, 1, 8, 8), (2, 1, 8, 8))
        """
        rows = selected(index, len(self), self.name)
        return self.read(operator.index(index)) if rows is None else self.gather(rows)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.describe()}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the description and the first pictures."""
        shown = range(min(SHOWN, len(self))) if self.dtype != np.int32 and self.kind.shows(self.channels) else ()
        return paragraph(self.describe()) + pictures((self.kind.show(self.peek(n)) for n in shown), self.name)

    @abstractmethod
    def item_sizes(self) -> Array:
        """Return the spatial size of every item: int64 [N, axes] (images: height, width)."""

    @abstractmethod
    def read(self, index: int) -> Array:
        """Return item ``index`` as [C, *size]; negative indices count from the end. Raises IndexError."""

    def peek(self, index: int) -> Array:
        """Return item ``index`` like ``read``, but perhaps sharing memory: look, do not write."""
        return self.read(index)

    @property
    def blocks(self) -> Array | None:
        """The block of every item ``[N]``, where items of one block lie together and are to be drawn together."""
        return None

    def part(self, index: int, starts: Sequence[int], size: Sequence[int]) -> Array:
        """Return the part ``[C, *size]`` of item ``index`` that begins at ``starts``, perhaps sharing memory.

        It lies within the item. Where ``reads_parts``, the item is not read for it.
        """
        places = (slice(int(start), int(start) + side) for start, side in zip(starts, size, strict=True))
        return self.peek(index)[(slice(None), *places)]

    def content(self) -> tuple[str, Iterable[Array]]:
        """Return what ``content_fingerprint`` reads: the way it is told, and the bytes (``vqkit.data.identity``)."""
        return VALUES, (self.peek(index) for index in range(len(self)))

    @abstractmethod
    def subset(self, indices: Sequence[int] | Array) -> Source:
        """Return a source of these items, in this order, sharing this one's data."""

    def with_classes(self, names: Sequence[str]) -> Self:
        """Return the same items with their classes numbered as in ``names``; classes not among these come after them.

        A class is identified by its name; labels without names go by their numbers. Without labels: this source.
        Raises DataError for a name that comes twice.
        """
        if self.labels is None or self.class_names == list(names):
            return self
        labels, class_names = renumbered(self.labels, self.class_names, names, what=self.name)
        found = object.__new__(type(self))
        found.__dict__.update(self.__dict__)
        found.labels, found.class_names = labels, class_names
        return found

    @abstractmethod
    def with_channels(self, channels: int) -> Source:
        """Return the same images with 1 (grey) or 3 (RGB) channels. Raises ConfigError for anything else."""

    @abstractmethod
    def storage(self) -> str:
        """Say where the data lies: "in memory (36 MB)"."""

    def item_name(self, index: int) -> str | None:
        """Return what item ``index`` is called where it came from: its path in the folder, its row in the table.

        None where items have no names (arrays). Raises IndexError.
        """
        at = self.position(index)
        return None if self._item_names is None else self._item_names[at]

    def _names_of(self, rows: Array) -> list[str | None] | None:
        """Return the names of these items (0..N-1), for a source of them; None where there are none."""
        return None if self._item_names is None else [self._item_names[int(row)] for row in rows]

    @property
    def size(self) -> tuple[int, ...] | None:
        """The spatial size that all items share, or None where they differ."""
        sizes = self.item_sizes()
        return tuple(int(side) for side in sizes[0]) if bool((sizes == sizes[0]).all()) else None

    def item_size(self, index: int) -> tuple[int, ...]:
        """Return the spatial size of one item (from its header, where it is not decoded yet)."""
        return tuple(int(side) for side in self.item_sizes()[self.position(index)])

    def bits_of(self, rows: Array | None = None) -> Array | None:
        """Return ``position_bits`` of these items (None: of all), for a source made from this one."""
        bits = self.position_bits
        return bits if rows is None or bits is None or bits.ndim == 0 else bits[rows]

    def original_bytes(self) -> int:
        """Return the bytes of all items as raw values of the depth and the channels that they came with."""
        positions = self.item_sizes().prod(axis=1, dtype=np.int64)
        bits = self.dtype.itemsize * 8 * self.channels if self.position_bits is None else self.position_bits
        return -(-int((positions * bits).sum()) // 8)

    def gather(self, indices: Sequence[int] | Array) -> Array:
        """Return the items as one array [B, C, *size]. Raises DataError unless they have one common size."""
        if len(indices) == 0:
            raise DataError("gather was given no indices; it needs at least one.")
        items = [self.read(int(index)) for index in indices]
        shapes = sorted({item.shape[1:] for item in items})
        if len(shapes) > 1:
            raise DataError(
                f"these items of {self.name} have {len(shapes)} sizes ({self._size_words(shapes[0])} to "
                f"{self._size_words(shapes[-1])}), which do not stack: read them one by one, or use "
                "Batches(crop=...)."
            )
        return np.stack(items)

    def position(self, index: int) -> int:
        """Return the index as 0..N-1. Raises IndexError."""
        position = operator.index(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f"item {position} of {self.name}, which has {len(self):,} items")
        return position % len(self)

    def positions(self, indices: Sequence[int] | Array) -> Array:
        """Return the indices as int64 in 0..N-1. Raises IndexError, or DataError where there are none."""
        rows = np.asarray(indices)
        if rows.ndim != 1 or len(rows) == 0 or rows.dtype.kind not in "iu":
            raise DataError(
                f"indices of {self.name} are a list of at least one whole number, not {rows.dtype} {list(rows.shape)}."
            )
        if int(rows.min()) < -len(self) or int(rows.max()) >= len(self):
            raise IndexError(f"items {rows.min()}..{rows.max()} of {self.name}, which has {len(self):,} items")
        return rows.astype(np.int64) % len(self)

    def value_range(self) -> tuple[float, float]:
        """Return the lowest and the highest value of all items; floats are read through once, block by block.

        Raises DataError for NaN or Inf, naming the item.
        """
        if self._values is None:
            self._values = (0.0, 255.0) if self.dtype == np.uint8 else self._looked_through()
        return self._values

    def _looked_through(self) -> tuple[float, float]:
        lowest, highest = np.inf, -np.inf
        for start, block in self._blocks():
            flat = block.reshape(len(block), -1)
            if self._kind is not None and self._kind.gaps:
                flat = np.nan_to_num(flat, nan=0.0, posinf=np.inf, neginf=-np.inf)
            low, high = flat.min(axis=1), flat.max(axis=1)
            bad = ~(np.isfinite(low) & np.isfinite(high))
            if bad.any():
                item = start + int(np.argmax(bad))
                raise DataError(
                    f"{self.name}: item {item} holds NaN or Inf; every value must be a finite number: drop or repair "
                    "that item."
                )
            lowest, highest = min(lowest, float(low.min())), max(highest, float(high.max()))
        return lowest, highest

    def _blocks(self) -> Iterator[tuple[int, Array]]:
        """Yield all values in blocks ``[n, C, ...]`` with the number of their first item; a long item in parts."""
        rows = 1 if self.size is None else max(1, BLOCK_VALUES // max(1, self.channels * int(np.prod(self.size))))
        for start in range(0, len(self), rows):
            length = self.item_size(start)[0] if self.axes == 1 else 0
            if rows == 1 and self.channels * length > BLOCK_VALUES:
                for at in range(0, length, BLOCK_VALUES):
                    yield start, self.part(start, (at,), (min(BLOCK_VALUES, length - at),))[None]
            else:
                yield start, self.gather(range(start, min(start + rows, len(self))))

    def check_signals(self, channels: int, kind: Signal) -> None:
        """Raise DataError unless these are signals of a kind, with so many channels, in its range."""
        if self.dtype == np.int32:
            raise DataError(f"{self.describe()} are indices, not signals: a prior learns them")
        if (self.channels, self.axes) != (channels, kind.axes):
            raise DataError(
                f"{self.describe()} have {self.channels} channels and {self.axes} axes; the model reads signals of "
                f"{channels} channels and {kind.axes} axes: make one with for_source(source)"
            )
        if self.dtype == np.uint8:
            return
        kind.check_range(*self.value_range(), self.name)

    def describe(self) -> str:
        """Say in one line what this is: "12,345 RGB images 32x32 in memory (38 MB), 10 classes".

        Image sizes are written width x height, as every image viewer does.
        """
        if self.dtype == np.int32:
            words = f"grid{'' if len(self) == 1 else 's'} of indices"
            sizes = " x ".join(str(length) for length in self.size or ())
        else:
            words, sizes = self.kind.describe(len(self), self.channels), self._sizes_words()
        text = " ".join(part for part in (f"{len(self):,}", words, sizes, self.storage()) if part)
        if self.labels is not None:
            classes = len(self.class_names) if self.class_names else len(np.unique(self.labels[self.labels >= 0]))
            text += f", {classes:,} class{'' if classes == 1 else 'es'}"
        if self.skipped:
            text += f", {len(self.skipped):,} skipped"
        return text

    def _size_words(self, size: Sequence[int]) -> str:
        return "x".join(map(str, size)) if self.dtype == np.int32 else self.kind.describe_size(size)

    def _sizes_words(self) -> str:
        sizes = self.item_sizes()
        if bool((sizes == sizes[0]).all()):
            return self._size_words(sizes[0])
        distinct = np.unique(sizes, axis=0)
        if len(distinct) <= 3:
            return f"of {len(distinct)} sizes ({', '.join(self._size_words(size) for size in distinct)})"
        order = np.argsort(distinct.prod(axis=1), kind="stable")
        smallest, largest = distinct[order[0]], distinct[order[-1]]
        return f"of {len(distinct):,} sizes ({self._size_words(smallest)} to {self._size_words(largest)})"

    def skip_report(self, limit: int = 10) -> list[str]:
        """Return lines that name what was skipped and why: ``limit`` of them, then a count of the rest."""
        return skip_lines(self.skipped, limit)


def byte_words(count: int) -> str:
    """Write a number of bytes for people, in powers of 1000: "36 MB"."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 999.5:
            return f"{amount:.0f} {unit}" if amount >= 10 or unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} TB"


def _of_axes(kind: Signal, axes: int, name: str) -> Signal:
    """The kind; raises ``DataError`` unless its signals have so many axes."""
    kind = kind.of_axes(axes)
    if kind.axes != axes:
        raise DataError(f"{name} holds signals of {axes} axes; {kind.noun[1]} (kind={kind.name!r}) have {kind.axes}")
    return kind


__getattr__ = moved(
    __name__,
    {
        "check_enough_readable": "vqkit.data.skipped:check_enough_readable",
        "split": "vqkit.data.views.split:split",
    },
)
