"""Signals that a table holds as lists of numbers: vectors, and images as rows of rows of values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from vqkit.data.arrays.loading import from_array
from vqkit.data.source import Array
from vqkit.data.tables.rows import gathered_rows
from vqkit.errors import DataError
from vqkit.signals import Signal

if TYPE_CHECKING:
    from vqkit.data.arrays.memory import ArraySource
    from vqkit.data.tables.table import ImageTable


def is_list(kind: Any) -> bool:
    """Return True for an Arrow list type, of variable or fixed length."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def is_array(kind: Any) -> bool:
    """Return True for an Arrow type of lists of numbers, however nested."""
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if not is_list(kind):
        return False
    inner = kind.value_type
    number = pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_boolean(inner)
    return bool(number) or is_array(inner)


def load_arrays(table: ImageTable, *, limit: int, kind: Signal | None = None) -> ArraySource:
    """Read all lists as one array, in the layouts and ranges of ``vqkit.data.arrays.loading``.

    More than ``limit`` bytes are memory-mapped from the cache folder. Raises DataError for null, or lists of different
    lengths.
    """
    column, label = table.columns.image, table.columns.label
    labels = table.labels if table.labels is not None and table.labels.used else None
    wanted = [column] if labels is None or label is None else [column, label]
    numbers: list[int] = []

    def blocks() -> Iterator[Array]:
        shape = None
        for origin, first, batch in table.batches(wanted):
            block = dense(batch.column(column), f"{origin} row {first} and on")
            shape = block.shape[1:] if shape is None else shape
            if block.shape[1:] != shape:
                raise DataError(_uneven(f"{origin} row {first} and on", [shape, block.shape[1:]]))
            if labels is not None:
                numbers.extend(labels.numbers(batch.column(label).to_pylist()))
            yield block

    array = gathered_rows(blocks(), limit=limit, identity=[table.identity, column], name=table.name)
    if array is None:
        raise DataError(f"{table.name} has no rows; a source needs at least one item. Columns: {table.found}.")
    known = np.array(numbers, dtype=np.int64) if labels is not None and max(numbers) >= 0 else None
    source = from_array(array, name=table.name, labels=known, kind=kind)
    source.class_names = None if known is None else table.class_names
    source.notes = [*table.notes, *source.notes]
    return source


def dense(column: Any, where: str) -> Array:
    """The lists of an Arrow column as one array [rows, ...]; raises DataError for null or lists of several lengths."""
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    shape = [len(values)]
    while True:
        if isinstance(values, pa.ExtensionArray):
            values = values.storage
        if values.null_count:
            at = values.is_null().index(True).as_py() // math.prod(shape[1:])
            raise DataError(f"{where}: a value is missing (null), the first {at:,} rows on; drop or fill such rows.")
        if not is_list(values.type):
            break
        lengths = np.unique(_lengths(values))
        if len(lengths) > 1:
            raise DataError(_uneven(where, lengths.tolist()))
        values = values.flatten()
        shape.append(int(lengths[0]) if len(lengths) else 0)
    array: Array = values.to_numpy(zero_copy_only=False)
    return array.reshape(shape)


def _lengths(values: Any) -> Array:
    if pa.types.is_fixed_size_list(values.type):
        return np.full(min(len(values), 1), values.type.list_size)
    found: Array = values.value_lengths().to_numpy(zero_copy_only=False)
    return found


def _uneven(where: str, lengths: list[Any]) -> str:
    return (
        f"{where}: lists of different lengths ({lengths[0]} to {lengths[-1]}) make no array; images of several sizes "
        "are stored as the bytes of image files."
    )
