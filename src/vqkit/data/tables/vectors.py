"""Vectors in tables: a column of lists, or a column for each number; CSV, Arrow and Parquet files, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from vqkit.data.arrays.loading import from_array
from vqkit.data.arrays.memory import ArraySource
from vqkit.data.identity import file_stamp
from vqkit.data.naming import COLUMN_FILES
from vqkit.data.source import Array
from vqkit.data.tables.arrays import dense, is_array
from vqkit.data.tables.labels import LABELS
from vqkit.data.tables.loading import describe_columns, may_hold_images
from vqkit.data.tables.parquet import find_parquet, parquet_source
from vqkit.data.tables.rows import gathered_rows
from vqkit.errors import DataError
from vqkit.signals import Signal

NAME_COLUMNS = ("name", "word", "id", "item_id", "item", "key", "title")
"""Columns whose values name the rows, in this order; a single column of texts does as well."""
_ROWS = 8192
_TEXTS = (".csv", ".tsv")


def load_vectors(
    spec: str, columns: Sequence[str] | None, *, limit: int, kind: Signal | None = None
) -> ArraySource | None:
    """Load vectors of a CSV, Arrow or Parquet file (several Parquet files: a folder, a pattern), as float32.

    Args:
        spec: the files.
        columns: the numbers of a vector in order, or one column of lists; None: the first column of lists, else all
            columns of floats (of text files all columns of numbers but names and labels, if one is of floats). Of a
            Parquet file of encoded signals, or of lists without names, None leaves it alone.
        limit: bytes that may stay in memory; more is memory-mapped from the cache folder.
        kind: of signal, for lists of another kind than vectors.

    Returns:
        None for Parquet files that hold something else (lists without names: see ``vqkit.data.tables.arrays``).

    Raises:
        DataError: a damaged file, no such columns, or a value that is missing or no number.
    """
    files = [Path(spec)] if Path(spec).suffix.lower() in COLUMN_FILES else find_parquet(spec)
    schema = _schema(files[0])
    lists = [field.name for field in schema if is_array(field.type)]
    if columns is None and files[0].suffix.lower() == ".parquet":
        floats = [field.name for field in schema if pa.types.is_floating(field.type)]
        named_lists = bool(lists) and not set(LABELS) & set(schema.names) and _name_column(schema, lists) is not None
        if (lists and not named_lists) or not (lists or floats) or any(may_hold_images(each) for each in schema.types):
            return None
    chosen = _columns(spec, schema, lists, columns)
    named = _name_column(schema, chosen)
    wanted = [*chosen, *([named] if named else [])]
    names: list[str | None] = []

    def blocks() -> Iterator[Array]:
        first = None
        for file in files:
            _check_same(file, schema, wanted, spec)
            row = 0
            for batch in _stream(file, wanted):
                where = f"{file} row {row:,} and on"
                block = _block(batch, chosen, where)
                first = block.shape[1:] if first is None else first
                if block.shape[1:] != first:
                    found = [" x ".join(map(str, shape)) for shape in (first, block.shape[1:])]
                    raise DataError(f"{where}: vectors of {found[1]} numbers, and those before have {found[0]}")
                yield block
                given = batch.column(named).to_pylist() if named else ()
                names.extend(None if value is None else str(value) for value in given)
                row += batch.num_rows

    identity = [[str(file.resolve()), *file_stamp(file), *chosen] for file in files]
    array = gathered_rows(blocks(), limit=limit, identity=identity, name=spec)
    if array is None:
        raise DataError(f"{spec} has no rows; a source needs at least one item. Columns: {describe_columns(schema)}.")
    source = from_array(array, name=spec, kind=kind)
    nameless = next((row for row, name in enumerate(names) if name is None), None)
    if nameless is not None:
        notes = [f"rows are not named: column {named!r} has no value in row {nameless:,}"]
        named = None
    else:
        notes = [] if named is None else [f"rows are named by column {named!r}"]
    if len(chosen) > 1 and columns is None:
        notes.append(f"{len(chosen)} columns were read as vectors, {chosen[0]!r} to {chosen[-1]!r}")
    source.notes = [*notes, *source.notes]
    if named is not None:
        source._item_names = [name for name in names if name is not None]
    return source


def _columns(spec: str, schema: Any, lists: list[str], asked: Sequence[str] | None) -> list[str]:
    numbers = [each.name for each in schema if pa.types.is_integer(each.type) or pa.types.is_floating(each.type)]
    if asked is not None:
        missing = [each for each in asked if each not in schema.names]
        if missing:
            raise DataError(f"{spec} has no column {missing[0]!r}; it holds {describe_columns(schema)}.")
        odd = [each for each in asked if each not in numbers and not (each in lists and len(asked) == 1)]
        if odd:
            raise DataError(
                f"{spec}: column {odd[0]!r} is {schema.field(odd[0]).type}; a vector is one column of lists, or "
                f"columns of numbers ({', '.join(numbers[:8]) or 'none here'})."
            )
        return list(asked)
    floats = [each for each in numbers if pa.types.is_floating(schema.field(each).type)]
    if floats and not lists and Path(spec).suffix.lower() in _TEXTS:  # types there are guesses: 0 is no whole number
        floats = [each for each in numbers if each not in (*NAME_COLUMNS, *LABELS)]
        empty = [each.name for each in schema if pa.types.is_null(each.type)]
        if empty:
            raise DataError(
                f"{spec}: column {empty[0]!r} has no number (missing, or NaN); drop it, or name the others."
            )
    if not lists and not floats:
        example = ",".join(numbers[:3]) or "x,y,z"
        raise DataError(
            f"{spec} has no column of lists or of floats; it holds {describe_columns(schema)}. Of other numbers name "
            f"the columns: {spec}:{example}"
        )
    return lists[:1] or floats


def _name_column(schema: Any, chosen: Sequence[str]) -> str | None:
    texts = [each.name for each in schema if pa.types.is_string(each.type) or pa.types.is_large_string(each.type)]
    whole = [each.name for each in schema if pa.types.is_integer(each.type)]
    for name in NAME_COLUMNS:
        if name in (*texts, *whole) and name not in chosen:
            return name
    return texts[0] if len(texts) == 1 else None


def _block(batch: Any, chosen: Sequence[str], where: str) -> Array:
    if len(chosen) == 1 and is_array(batch.column(chosen[0]).type):
        found = dense(batch.column(chosen[0]), where)
        return found.astype(np.float32, copy=False) if found.ndim == 2 else found
    rows = np.empty((batch.num_rows, len(chosen)), dtype=np.float32)
    for number, name in enumerate(chosen):
        column = batch.column(name)
        if column.null_count:
            at = column.is_null().index(True).as_py()
            raise DataError(
                f"{where}: column {name!r} has a missing value, the first {at:,} rows on; drop or fill such rows."
            )
        rows[:, number] = column.to_numpy(zero_copy_only=False)
    return rows


def _check_same(file: Path, schema: Any, wanted: Sequence[str], spec: str) -> None:
    """Raise ``DataError`` unless a file has the columns that are read, of the types of the first file's."""
    own = _schema(file)
    for name in wanted:
        if name not in own.names:
            raise DataError(
                f"{file} has no column {name!r}, and other files of {spec} have; it holds {describe_columns(own)}."
            )
        numbers = [is_array(each.field(name).type) for each in (own, schema)]
        if numbers[0] != numbers[1]:
            raise DataError(
                f"{file}: column {name!r} is {own.field(name).type}, and in the first file of {spec} "
                f"{schema.field(name).type}"
            )


def _schema(file: Path) -> Any:
    return _reading(file, lambda: _open(file)[0])


def _stream(file: Path, columns: list[str]) -> Iterator[Any]:
    batches = _reading(file, lambda: _open(file)[1](columns))
    while True:
        batch = _reading(file, lambda: next(batches, None))
        if batch is None:
            return
        yield batch


def _reading(file: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (OSError, pa.ArrowException) as error:
        detail = " ".join(str(error).split())[:200]
        form = {".csv": "CSV", ".tsv": "TSV"}.get(file.suffix.lower(), file.suffix[1:].capitalize())
        raise DataError(f"{file} cannot be read as {form}: {detail}") from error


def _open(file: Path) -> tuple[Any, Callable[[list[str]], Iterator[Any]]]:
    """The schema of a file, and what streams columns of it."""
    suffix = file.suffix.lower()
    if suffix in _TEXTS:
        parsing = pa.csv.ParseOptions(delimiter="\t" if suffix == ".tsv" else ",")
        schema = pa.csv.open_csv(file, parse_options=parsing).schema
        return schema, lambda columns: iter(
            pa.csv.open_csv(file, parse_options=parsing, convert_options=pa.csv.ConvertOptions(include_columns=columns))
        )
    if suffix == ".parquet":
        parquet = pq.ParquetFile(parquet_source(file))
        return parquet.schema_arrow, lambda columns: parquet.iter_batches(batch_size=_ROWS, columns=columns)
    mapped = pa.memory_map(str(file))
    try:
        reader = pa.ipc.open_file(mapped)
    except pa.ArrowInvalid:
        stream = pa.ipc.open_stream(pa.memory_map(str(file)))
        return stream.schema, lambda columns: (each.select(columns) for each in stream)
    return reader.schema, lambda columns: (
        reader.get_batch(number).select(columns) for number in range(reader.num_record_batches)
    )
