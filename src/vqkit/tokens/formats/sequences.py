"""Bases of formats whose items are sequences of ids, and of those that hold the sequences one after another."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, overload

import numpy as np
import numpy.typing as npt

from vqkit.coding import index_dtype
from vqkit.storage import atomic
from vqkit.tokens.beside import Write, name_writer, npy_writer, read_size_file, size_writer
from vqkit.tokens.formats.base import TokenFormat
from vqkit.tokens.layout import Ids, Vocabulary
from vqkit.tokens.shards import Expected, Indices, Shard

_BLOCK_IDS = 1 << 18
Shape = tuple[int, ...]


class SequenceFormat(TokenFormat):
    """Base of formats whose items are sequences of ids, in a ``Layout``."""

    sequences = True
    several_sizes = True

    def id_dtype(self, vocabulary: Vocabulary) -> np.dtype[Any] | None:
        """Return uint16 up to 65,536 ids, else uint32, little-endian."""
        return np.dtype("<u2" if vocabulary.size <= 1 << 16 else "<u4")

    def more_writers(self, path: Path, shard: Shard) -> dict[Path, Write]:
        """Return what fills the files beside a shard: names, labels, and grids and sizes where they differ."""
        files: dict[Path, Write] = {}
        if shard.names is not None:
            files[self.beside(path, "names", ".json")] = name_writer(shard.names)
        if shard.labels is not None:
            files[self.beside(path, "labels", ".npy")] = npy_writer(shard.labels)
        if not shard.common:
            files[self.beside(path, "sizes", ".npy")] = size_writer(shard)
        return files


class FlatFormat(SequenceFormat):
    """Base of formats that hold the ids of a shard as one array without a header, with other files beside it."""

    index_suffixes: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def index(self, lengths: npt.NDArray[np.int64], dtype: np.dtype[Any], vocabulary: Vocabulary) -> list[bytes]:
        """Return the contents of the files with ``index_suffixes``, which say where each sequence lies.

        Args:
            lengths: of the sequences, in order.
            dtype: of the ids.
            vocabulary: of the sequences.
        """

    def index_path(self, path: Path, suffix: str) -> Path:
        """Return the path of a file of the index."""
        return path.with_suffix(suffix)

    def write(self, path: Path, shard: Shard) -> list[Path]:
        """Write the ids, the index, and what else belongs to the items."""
        vocabulary = vocabulary_of(shard.vocabulary)
        dtype = self.id_dtype(vocabulary)

        def write_ids(temporary: Path) -> None:
            with temporary.open("wb") as file:
                for _, ids in blocks(shard):
                    file.write(ids.astype(dtype).tobytes())

        lengths = np.array([vocabulary.length(item.shape) for item in shard.indices], np.int64)
        made = zip(self.index_suffixes, self.index(lengths, np.dtype(dtype), vocabulary), strict=True)
        files: dict[Path, Write] = {path: write_ids}
        for suffix, data in made:
            files[self.index_path(path, suffix)] = lambda temporary, data=data: temporary.write_bytes(data)  # type: ignore[misc]
        files.update(self.more_writers(path, shard))
        atomic.write_files(files)
        return list(files)

    def _read(self, path: Path, expected: Expected, count: int, *, ranges: bool) -> Sequence[Indices]:
        vocabulary = vocabulary_of(expected.vocabulary)
        dtype = np.dtype(self.id_dtype(vocabulary))
        found = path.stat().st_size
        shapes = Shapes.of(self, path, expected, count, most=found // dtype.itemsize)
        lengths = shapes.lengths(vocabulary)
        wanted = int(lengths.sum()) * dtype.itemsize
        if found != wanted:
            raise ValueError(
                f"it has {found:,} bytes, and {count:,} sequences of {dtype} take {wanted:,}: it is cut short"
            )
        for suffix, data in zip(self.index_suffixes, self.index(lengths, dtype, vocabulary), strict=True):
            place = self.index_path(path, suffix)
            if place.stat().st_size != len(data) or place.read_bytes() != data:
                raise ValueError(f"{place.name} is not the index of these {count:,} sequences")
        ids = np.memmap(path, dtype, "r")
        items = FlatItems(ids, lengths, shapes, vocabulary, expected.codebook_size)
        if ranges:
            items.check()
        return items


class Shapes:
    """Shapes of the items of a shard: one for all, or one each."""

    def __init__(self, count: int, common: Shape | None, each: list[Shape] | None) -> None:
        self.count, self.common, self._each = count, common, each

    @classmethod
    def of(cls, fmt: TokenFormat, path: Path, expected: Expected, count: int, most: int) -> Shapes:
        """Read the shapes, from the description or from the file beside the shard.

        Raises:
            ValueError: such as no item of the set has, or more items than the most ids.
        """
        if count > most:
            raise ValueError(f"it holds {most:,} ids at most, too few for {count:,} items: it is cut short")
        if expected.shape is not None:
            return cls(count, expected.shape, None)
        grids = read_size_file(fmt.beside(path, "sizes", ".npy"), count)[:, 0]
        more = (expected.num_codebooks,) if expected.num_codebooks > 1 else ()
        shapes = [(*map(int, grid), *more) for grid in grids]
        for shape in shapes:
            expected.check_shape(shape)
        return cls(count, None, shapes)

    def __getitem__(self, index: int) -> Shape:
        return self.common if self.common is not None else (self._each or [])[index]

    def lengths(self, vocabulary: Vocabulary) -> npt.NDArray[np.int64]:
        """Return the lengths of the sequences."""
        if self.common is not None:
            return np.full(self.count, vocabulary.length(self.common), np.int64)
        return np.array([vocabulary.length(self[index]) for index in range(self.count)], np.int64)


class FlatItems(Sequence[Indices]):
    """Items of a shard that is one array of ids, made when they are asked for."""

    def __init__(
        self, ids: npt.NDArray[Any], lengths: npt.NDArray[np.int64], shapes: Shapes, vocabulary: Vocabulary, codes: int
    ) -> None:
        self._ids, self._shapes, self._vocabulary = ids, shapes, vocabulary
        self._ends = np.cumsum(lengths)
        self._dtype = index_dtype(codes)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> Indices: ...

    @overload
    def __getitem__(self, index: slice) -> list[Indices]: ...

    def __getitem__(self, index: int | slice) -> Indices | list[Indices]:
        if isinstance(index, slice):
            return [self[each] for each in range(len(self))[index]]
        end = int(self._ends[index])
        shape = self._shapes[index]
        ids = self._ids[end - self._vocabulary.length(shape) : end]
        return self._vocabulary.indices(ids[None], shape)[0].astype(self._dtype)

    def check(self) -> None:
        """Raise ``ValueError`` where an id does not belong where it stands."""
        if self._shapes.common is None:
            for index in range(len(self)):
                self[index]
            return
        rows = self._ids.reshape(len(self), -1)
        step = max(1, _BLOCK_IDS // rows.shape[1])
        for start in range(0, len(rows), step):
            self._vocabulary.indices(rows[start : start + step], self._shapes.common)


def vocabulary_of(found: Vocabulary | None) -> Vocabulary:
    """Return the vocabulary of a format of sequences, which has one."""
    if found is None:
        raise ValueError("its description has no layout of sequences")
    return found


def blocks(shard: Shard) -> Iterator[tuple[int, Ids]]:
    """Yield runs of items of one shape: the place of the first, and their sequences ``[items, length]``."""
    vocabulary = vocabulary_of(shard.vocabulary)
    start = 0
    while start < len(shard.indices):
        shape = shard.indices[start].shape
        most = max(1, _BLOCK_IDS // vocabulary.length(shape))
        stop = start + 1
        while stop < min(start + most, len(shard.indices)) and shard.indices[stop].shape == shape:
            stop += 1
        labels = None if shard.labels is None else shard.labels[start:stop]
        yield start, vocabulary.ids(np.stack(shard.indices[start:stop]), labels)
        start = stop
