"""Parquet files of encoded images: one file, a folder of them, or a glob pattern."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vqkit.data.limits import resolve_memory_limit
from vqkit.data.source import Source
from vqkit.data.table_labels import label_kind
from vqkit.data.tables import Columns, ImageTable, choose_columns, describe_columns, load_table, may_hold_images
from vqkit.errors import DataError

BATCH_ROWS = 512
_SPLIT = re.compile(r"^(train|test|val|valid|validation|dev)\b", re.IGNORECASE)


def load_parquet(spec: str | Path, *, memory_limit: int | None = None, channels: int | None = None) -> Source:
    """Load the images of a ``.parquet`` file, of all in a folder, or of all that match a pattern.

    Files come in sorted order and must have the same columns; row groups are streamed. Decoded images stay in
    memory where they fit in ``memory_limit`` bytes; else the encoded bytes are copied once into the cache
    folder ($VQKIT_CACHE or ~/.cache/vqkit) and decoded on demand. Bad rows are skipped and named.

    Raises DataError for no files, damaged files, no image column, or nothing decodable.
    """
    limit = resolve_memory_limit(memory_limit)
    return load_table(parquet_table(spec), limit=limit, channels=channels)


def parquet_table(spec: str | Path) -> ImageTable:
    """The rows of the files that ``load_parquet`` loads, not decoded yet. Raises DataError like it."""
    files, label = _files_and_label(spec)
    opened = [_open(file) for file in files]
    schema = opened[0].schema_arrow
    columns = choose_columns(str(spec), schema, label)
    numbering = _one_numbering(files, [each.schema_arrow for each in opened], columns)
    if numbering:
        columns = replace(columns, class_names=numbering.names)
    columns.notes.extend(_split_notes(files))
    return ImageTable(
        name=str(spec),
        rows=sum(each.metadata.num_rows for each in opened),
        columns=columns,
        found=describe_columns(schema),
        batches=lambda wanted: _stream(files, wanted, columns.label, numbering),
        identity=[_identity(file) for file in files],
    ).labelled()


@dataclass(frozen=True)
class _Numbering:
    """One numbering of classes for files that have several: all names, and each file's labels in it."""

    names: list[str]
    labels: list[list[int]]


def _one_numbering(files: Sequence[Path], schemas: Sequence[Any], columns: Columns) -> _Numbering | None:
    """Check that the files are of one data set; a numbering where they number the same classes differently."""
    first = {field.name: field.type for field in schemas[0]}
    named: list[list[str] | None] = []
    for file, schema in zip(files, schemas, strict=True):
        other = choose_columns(str(file), schema, columns.label if columns.asked_for else None)
        there = {field.name: field.type for field in schema}
        for column in (columns.image, columns.label):
            if column is not None and column not in there:
                raise DataError(
                    f"{file} has no column {column!r}, which {files[0].name} has; it holds "
                    f"{describe_columns(schema)}. Load files of one data set together only."
                )
        if columns.label is None and other.label is not None:
            raise DataError(
                f"{file} has labels in column {other.label!r}, and {files[0].name} has no such column; it holds "
                f"{describe_columns(schemas[0])}. Load files of one data set together only."
            )
        if not may_hold_images(there[columns.image]):
            raise DataError(f"{file}: column {columns.image!r} is {there[columns.image]}, which holds no images.")
        if columns.label is not None:
            kinds = [label_kind(each[columns.label]) for each in (there, first)]
            if kinds[0] != kinds[1]:
                raise DataError(
                    f"{file}: column {columns.label!r} holds {kinds[0] or there[columns.label]}, and that of "
                    f"{files[0].name} {kinds[1]}; a class must be written in one way: convert the column in one of "
                    "them."
                )
            named.append(choose_columns(str(file), schema, columns.label).class_names)
    if columns.label is None or all(each == named[0] for each in named):
        return None
    names: list[str] = []
    for own in named:
        if own is None:
            raise DataError(
                f"some files have names for the labels in column {columns.label!r}, others have none; load files of "
                "one data set together only."
            )
        names += [name for name in own if name not in names]
    columns.notes.append("the files number their classes differently: read by name")
    return _Numbering(names, [[names.index(name) for name in own or []] for own in named])


def _files_and_label(spec: str | Path) -> tuple[list[Path], str | None]:
    """The files, and the label column of ``FILE.parquet:COLUMN``."""
    within = in_table(Path(spec))
    return (find_parquet(within[0]), within[1]) if within is not None else (find_parquet(spec), None)


def in_table(path: Path) -> tuple[str, str] | None:
    """The file or pattern and the label column of ``FILE.parquet:COLUMN``; None for anything else."""
    file, separator, column = str(path).rpartition(".parquet:")
    if not separator or not column or path.exists():
        return None
    file += ".parquet"
    return (file, column) if Path(file).is_file() or glob.has_magic(file) else None


def find_parquet(spec: str | Path) -> list[Path]:
    """Return the sorted Parquet files that a file, a folder or a pattern names. Raises DataError for none."""
    path = Path(spec)
    if path.is_file():
        return [path]
    if path.is_dir():
        files = [each for each in path.iterdir() if each.suffix.lower() == ".parquet" and each.name[0] != "."]
    else:
        files = [Path(each) for each in glob.glob(str(spec), recursive=True)]  # noqa: PTH207 (absolute patterns)
        files = [each for each in files if each.suffix.lower() == ".parquet" and each.is_file()]
    if not files:
        raise DataError(f"{spec} names no .parquet files; give a file, a folder that holds some, or a pattern.")
    return sorted(files)


def _open(file: Path) -> Any:
    try:
        return pq.ParquetFile(file)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file} cannot be read as Parquet: {' '.join(str(error).split())[:200]}") from error


def _stream(
    files: Sequence[Path], columns: list[str], label: str | None, numbering: _Numbering | None
) -> Iterator[tuple[str, int, Any]]:
    for number, file in enumerate(files):
        row = 0
        try:
            with pq.ParquetFile(file) as parquet:
                for batch in parquet.iter_batches(batch_size=BATCH_ROWS, columns=columns):
                    if numbering is not None and label in columns:
                        batch = _renumbered(batch, label, numbering.labels[number])
                    yield file.name, row, batch
                    row += batch.num_rows
        except (OSError, pa.ArrowException) as error:
            detail = " ".join(str(error).split())[:200]
            raise DataError(f"{file} is damaged after row {row}: {detail}; fetch it again.") from error


def _renumbered(batch: Any, label: str, labels: list[int]) -> Any:
    """The batch with its labels numbered anew; those without a name are none."""
    values = batch.column(label).to_pylist()
    new = [labels[value] if value is not None and 0 <= value < len(labels) else None for value in values]
    return batch.set_column(batch.schema.get_field_index(label), label, pa.array(new, pa.int64()))


def _identity(file: Path) -> list[Any]:
    status = file.stat()
    return [str(file.resolve()), status.st_size, status.st_mtime_ns]


def _split_notes(files: Sequence[Path]) -> list[str]:
    names = [match.group(1).lower() for file in files if (match := _SPLIT.match(file.name))]
    splits = sorted(set(names))
    if len(splits) < 2:
        return []
    return [f"files of the splits {' and '.join(splits)} were read together; for one of them use {splits[0]}*.parquet"]
