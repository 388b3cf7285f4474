"""One shard of tokens as a file: NumPy, Parquet or safetensors. Every file appears whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vqkit import host
from vqkit.coding import index_dtype
from vqkit.data.arrays.npy import read_header, read_npy
from vqkit.errors import ConfigError, DataError, MissingExtraError
from vqkit.optional import require
from vqkit.resources import physical_bytes
from vqkit.storage import atomic
from vqkit.storage.reading import read_json, read_tensor_header

FORMATS = ("npy", "parquet", "safetensors")
_PARQUET = "Parquet shards of tokens"
_NAME_BYTES = 1 << 15
"""Of the longest name, every letter of it escaped."""
_TENSOR_TYPES = {"U8": "uint8", "U16": "uint16", "U32": "uint32", "I64": "int64", "F32": "float32"}
Indices = npt.NDArray[np.unsignedinteger]


@dataclass
class Shard:
    """Consecutive items of a token set.

    Attributes:
        indices: one array ``[*grid]`` per item, in the smallest unsigned dtype.
        sizes: the size of each item's signal, to crop to when decoding.
        labels: int64, one per item (-1: none), or None.
        names: of the items where they came from, or None.
        first: number of the first item in the whole set.
    """

    indices: Sequence[Indices]
    sizes: list[tuple[int, ...]]
    labels: npt.NDArray[np.int64] | None
    first: int
    names: list[str | None] | None = None


def check_format(kind: str) -> None:
    """Raise ``ConfigError`` unless shards have such a format, ``MissingExtraError`` unless it can be written here."""
    if kind not in FORMATS:
        raise ConfigError(f"format {kind!r} is unknown; choose one of {', '.join(FORMATS)}")
    if kind == "parquet":
        require("pyarrow.parquet", _PARQUET)


def write_shard(path: Path, kind: str, shard: Shard) -> list[Path]:
    """Write one shard in a format of ``FORMATS``; return its files, the indices first.

    ``npy``: an array ``[n, *grid]``, labels beside it in ``labels-...npy``. ``safetensors``: ``indices``, ``labels``.
    ``parquet``: a row per item with ``item``, ``indices`` (flat, row-major), ``grid``, ``size``, ``label`` and
    ``name``; the only format whose items may have different grids. Names of items lie in ``names-...json`` beside the
    other formats, a list of strings.
    """
    if kind == "parquet":
        _write_parquet(path, shard)
        return [path]
    files = [path]
    if shard.names is not None:
        files.append(names_path(path))
        text = json.dumps(shard.names) + "\n"
        atomic.write_file(files[-1], lambda temporary: temporary.write_text(text, encoding="utf-8"))
    stacked = np.stack(list(shard.indices))
    if kind == "safetensors":
        from safetensors.numpy import save_file

        tensors: dict[str, npt.NDArray[np.generic]] = {"indices": stacked}
        if shard.labels is not None:
            tensors["labels"] = shard.labels
        atomic.write_file(path, lambda temporary: save_file(tensors, temporary))
        return files
    _write_npy(path, stacked)
    if shard.labels is not None:
        files.append(labels_path(path))
        _write_npy(files[-1], shard.labels)
    return files


@dataclass(frozen=True)
class Expected:
    """Shards that a description promises.

    Attributes:
        codebook_size: K; indices are below.
        shape: of every item, the codebooks last where there are several; None where items differ.
        axes: of the signals, if it is known.
        num_codebooks: indices per position.
    """

    codebook_size: int
    shape: tuple[int, ...] | None
    axes: int | None
    num_codebooks: int

    def check_shape(self, shape: Sequence[int]) -> None:
        """Raise ``ValueError`` unless an item may have this shape."""
        shape = tuple(shape)
        more = int(self.num_codebooks > 1)
        if self.shape is None:
            wrong = min(shape, default=1) < 1 or (self.axes is not None and len(shape) != self.axes + more)
            wrong = wrong or bool(more and shape[-1:] != (self.num_codebooks,))
        else:
            wrong = shape != self.shape
        if wrong:
            wanted = f"{self.axes} axes" if self.shape is None else str(list(self.shape))
            raise ValueError(f"it has an item of shape {list(shape)}, the set's description says {wanted}")

    def check_dtype(self, dtype: str) -> None:
        """Raise ``ValueError`` unless indices have this type."""
        wanted = index_dtype(self.codebook_size).name
        if dtype != wanted:
            raise ValueError(f"it holds {dtype}, and indices of {self.codebook_size:,} codes are {wanted}")

    def check_array(self, dtype: str, shape: Sequence[int], count: int) -> None:
        """Raise ``ValueError`` unless an array of all items has this type and shape."""
        self.check_dtype(dtype)
        _check_count(shape[0] if shape else 0, count)
        self.check_shape(shape[1:])

    def check_range(self, indices: Indices) -> None:
        """Raise ``ValueError`` where an index is beyond the codebook."""
        if indices.size and self.codebook_size <= np.iinfo(indices.dtype).max:
            highest = int(np.max(indices))
            if highest >= self.codebook_size:
                raise ValueError(f"it holds the index {highest}, and the set says {self.codebook_size} codes")


def read_shard(
    path: Path, kind: str, expected: Expected, count: int, *, ranges: bool = True
) -> Indices | list[Indices]:
    """The arrays of one shard, one per item; NumPy shards are memory-mapped.

    Args:
        path: the file.
        kind: its format.
        expected: what it holds; its header is compared before anything of the size that it states is made.
        count: how many items.
        ranges: look at the indices too.

    Raises:
        DataError: the file is damaged, not of that format, or holds something else.
    """
    with _damage(path, kind):
        if kind == "parquet":
            return _read_parquet(path, expected, count, ranges=ranges)
        found: Indices
        if kind == "npy":
            with path.open("rb") as opened:
                header = read_header(opened, path.stat().st_size)
            expected.check_array(header.dtype.name, header.shape, count)
            found = read_npy(path, limit=0)
        else:
            _check_tensor(path, "indices", lambda dtype, shape: expected.check_array(dtype, shape, count))
            found = _tensor(path, "indices")
        if ranges:
            expected.check_range(found)
    return found


def read_labels(path: Path, kind: str, count: int) -> npt.NDArray[np.int64]:
    """The labels of one shard that has them.

    Raises:
        DataError: there are none, or others than so many whole numbers from -1.
    """

    def check(dtype: str, shape: Sequence[int]) -> None:
        if dtype != "int64" or tuple(shape) != (count,):
            raise ValueError(f"its labels are {dtype} {list(shape)}, and should be int64 [{count}]")

    labels: npt.NDArray[np.int64]
    if kind == "npy":
        path = labels_path(path)
    with _damage(path, kind):
        if kind == "npy":
            with path.open("rb") as opened:
                header = read_header(opened, path.stat().st_size)
            check(header.dtype.name, header.shape)
            labels = read_npy(path)
        elif kind == "safetensors":
            _check_tensor(path, "labels", check)
            labels = _tensor(path, "labels")
        else:
            column = _columns(path, ["label"], count)["label"]
            if column.null_count or str(column.type) != "int64":
                raise ValueError(f"its labels are {column.type}, {column.null_count} of them null")
            labels = column.to_numpy()
        if labels.size and labels.min() < -1:
            raise ValueError(f"it holds the label {labels.min()}; the lowest is -1, for none")
    return labels


def read_names(path: Path, kind: str, count: int) -> list[str | None]:
    """The names of the items of one shard that has them.

    Raises:
        DataError: there are none, they are damaged, or they are not so many.
    """
    with _damage(path, kind):
        if kind == "parquet":
            found = _columns(path, ["name"], count)["name"].to_pylist()
        else:
            most = {"most_bytes": _NAME_BYTES * (count + 1), "most_values": count + 1}
            found = read_json(names_path(path), **most)
        if not isinstance(found, list) or not all(name is None or isinstance(name, str) for name in found):
            raise TypeError("its names are no list of strings")
        if len(found) != count:
            raise ValueError(f"{len(found)} names for {count} items")
    return found


def _check_count(found: int, count: int) -> None:
    if found != count:
        raise ValueError(f"it has {found} items, the set's description says {count}")


def _check_tensor(path: Path, name: str, check: Callable[[str, tuple[int, ...]], None]) -> None:
    spec = read_tensor_header(path).tensors[name]
    check(_TENSOR_TYPES.get(spec.dtype, spec.dtype), spec.shape)


def _tensor(path: Path, name: str) -> npt.NDArray[Any]:
    from safetensors import safe_open

    with host.utf8_path(path) as file, safe_open(file, "numpy") as opened:
        found: npt.NDArray[Any] = opened.get_tensor(name)
    return found


def _columns(path: Path, names: list[str], count: int) -> Any:
    """A table of some columns of a Parquet shard, which has so many rows and says that they fit into the memory."""
    parquet = require("pyarrow.parquet", _PARQUET)
    with host.utf8_path(path) as place, parquet.ParquetFile(place) as file:
        _check_count(file.metadata.num_rows, count)
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        stated = sum(group.column(i).total_uncompressed_size for group in groups for i in range(group.num_columns))
        if not 0 <= stated <= physical_bytes():
            raise ValueError(f"it states {stated:,} bytes of values, more than the memory of this machine")
        return file.read(columns=names)


def names_path(path: Path) -> Path:
    """Return the path of the item names of a NumPy or safetensors shard."""
    return path.with_name(path.name.replace("indices-", "names-")).with_suffix(".json")


def labels_path(path: Path) -> Path:
    """Return the path of the labels of a NumPy shard."""
    return path.with_name(path.name.replace("indices-", "labels-"))


def _write_npy(path: Path, array: npt.NDArray[np.generic]) -> None:
    atomic.write_file(path, lambda file: atomic.save_npy(file, array))


def _write_parquet(path: Path, shard: Shard) -> None:
    arrow, parquet = require("pyarrow", _PARQUET), require("pyarrow.parquet", _PARQUET)
    flat = [array.reshape(-1) for array in shard.indices]
    offsets = np.concatenate([[0], np.cumsum([len(array) for array in flat])]).astype(np.int32)
    columns = {
        "item": arrow.array(np.arange(shard.first, shard.first + len(flat))),
        "indices": arrow.ListArray.from_arrays(arrow.array(offsets), arrow.array(np.concatenate(flat))),
        "grid": arrow.array([list(array.shape) for array in shard.indices], arrow.list_(arrow.int32())),
        "size": arrow.array([list(size) for size in shard.sizes], arrow.list_(arrow.int32())),
    }
    if shard.labels is not None:
        columns["label"] = arrow.array(shard.labels)
    if shard.names is not None:  # Arrow's strings are UTF-8; file names need not be
        plain = [name and name.encode("utf-8", "backslashreplace").decode() for name in shard.names]
        columns["name"] = arrow.array(plain, arrow.string())
    table = arrow.table(columns)
    atomic.write_file(path, lambda temporary: parquet.write_table(table, temporary, compression="zstd"))


def _read_parquet(path: Path, expected: Expected, count: int, *, ranges: bool) -> list[Indices]:
    table = _columns(path, ["indices", "grid"], count)
    indices, grids = table["indices"].combine_chunks(), table["grid"].to_pylist()
    values, offsets = indices.values.to_numpy(), indices.offsets.to_numpy()
    if indices.null_count:
        raise ValueError(f"{indices.null_count} of its rows hold no indices")
    expected.check_dtype(values.dtype.name)
    for grid in grids:
        expected.check_shape(grid)
    if ranges:
        expected.check_range(values)
    return [values[offsets[i] : offsets[i + 1]].reshape(grid) for i, grid in enumerate(grids)]


def read_sizes(path: Path, count: int, axes: int | None) -> list[tuple[int, ...]]:
    """The signal size of every item of a Parquet shard.

    Raises:
        DataError: there are none, or no sizes of signals of so many axes.
    """
    with _damage(path, "parquet"):
        sizes = [tuple(size) for size in _columns(path, ["size"], count)["size"].to_pylist()]
        wrong = next((size for size in sizes if min(size, default=1) < 1 or len(size) != (axes or len(size))), None)
        if wrong is not None:
            raise ValueError(f"it states the size {list(wrong)} of a signal of {axes} axes")
    return sizes


@contextmanager
def _damage(path: Path, kind: str) -> Iterator[None]:
    """Errors of reading as ``DataError``: each reader has its own kinds of error for a damaged file."""
    try:
        yield
    except MissingExtraError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{path}: not readable as a {kind} shard of tokens ({reason}); encode the data again"
        ) from error
