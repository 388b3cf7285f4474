"""Parquet files of encoded images: one file, a folder of them, or a glob pattern."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vqkit.data.identity import file_stamp
from vqkit.data.naming import in_table
from vqkit.data.source import Source
from vqkit.data.tables.arrays import is_array
from vqkit.data.tables.labels import label_kind
from vqkit.data.tables.loading import (
    PREFERRED_IMAGES,
    choose_columns,
    describe_columns,
    load_table,
    may_hold_images,
    with_label,
)
from vqkit.data.tables.table import Columns, ImageTable
from vqkit.errors import DataError
from vqkit.resources import resolve_memory_limit

BATCH_ROWS = 512
_SPLIT = re.compile(r"^(train|test|val|valid|validation|dev)\b", re.IGNORECASE)


def load_parquet(spec: str | Path, *, memory_limit: int | str | None = None, channels: int | None = None) -> Source:
    """Load the images of a ``.parquet`` file, of all in a folder, or of all that match a pattern.

    Files come in sorted order and must have the same columns; row groups are streamed. Decoded images stay in
    memory where they fit in ``memory_limit`` bytes; else the encoded bytes are copied once into the cache
    folder ($VQKIT_CACHE or ~/.cache/vqkit) and decoded on demand. Bad rows are skipped and named.

    Raises DataError for no files, damaged files, no image column, or nothing decodable.
    """
    limit = resolve_memory_limit(memory_limit)
    return load_table(parquet_table(spec), limit=limit, channels=channels)


def parquet_table(spec: str | Path, *, sounds: bool = False) -> ImageTable:
    """The rows of the files that ``load_parquet`` loads (or of sounds), not decoded yet. Raises DataError like it."""
    within = in_table(Path(spec))
    files, label = find_parquet(spec if within is None else within[0]), None if within is None else within[1]
    opened = [_open(file) for file in files]
    schema = opened[0].schema_arrow
    column = _array_column(schema)
    if column is None:
        chosen_columns = choose_columns(str(spec), schema, label, sounds=sounds)
        return _table(spec, files, opened, chosen_columns, may_hold_images)
    chosen, notes = column
    return _table(spec, files, opened, with_label(str(spec), schema, chosen, notes, label), is_array)


def _array_column(schema: Any) -> tuple[str, list[str]] | None:
    """The column whose lists of numbers are the signals, and notes; None where there are images, or no such lists."""
    possible = [field.name for field in schema if is_array(field.type)]
    if not possible or any(may_hold_images(kind) for kind in schema.types):
        return None
    chosen = next((each for each in PREFERRED_IMAGES if each in possible), possible[0])
    return chosen, [f"column {chosen!r} was read, of {', '.join(possible)}"] if len(possible) > 1 else []


def _table(
    spec: str | Path, files: list[Path], opened: list[Any], columns: Columns, fits: Callable[[Any], bool]
) -> ImageTable:
    schema = opened[0].schema_arrow
    numbering = _one_numbering(files, [each.schema_arrow for each in opened], columns, fits)
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
        arrays=fits is is_array,
    ).labeled()


@dataclass(frozen=True)
class _Numbering:
    """One numbering of classes for files that have several: all names, and each file's labels in it."""

    names: list[str]
    labels: list[list[int]]


def _one_numbering(
    files: Sequence[Path], schemas: Sequence[Any], columns: Columns, fits: Callable[[Any], bool]
) -> _Numbering | None:
    """Check that the files are of one data set; a numbering where they number the same classes differently."""
    first = {field.name: field.type for field in schemas[0]}
    named: list[list[str] | None] = []
    for file, schema in zip(files, schemas, strict=True):
        there = {field.name: field.type for field in schema}
        for column in (columns.image, columns.label):
            if column is not None and column not in there:
                raise DataError(
                    f"{file} has no column {column!r}, which {files[0].name} has; it holds "
                    f"{describe_columns(schema)}. Load files of one data set together only."
                )
        if not fits(there[columns.image]):
            raise DataError(
                f"{file}: column {columns.image!r} is {there[columns.image]}, and that of {files[0].name} "
                f"{first[columns.image]}. Load files of one data set together only."
            )
        other = with_label(str(file), schema, columns.image, [], columns.label if columns.asked_for else None)
        if columns.label is None and other.label is not None:
            raise DataError(
                f"{file} has labels in column {other.label!r}, and {files[0].name} has no such column; it holds "
                f"{describe_columns(schemas[0])}. Load files of one data set together only."
            )
        if columns.label is not None:
            kinds = [label_kind(each[columns.label]) for each in (there, first)]
            if kinds[0] != kinds[1]:
                raise DataError(
                    f"{file}: column {columns.label!r} holds {kinds[0] or there[columns.label]}, and that of "
                    f"{files[0].name} {kinds[1]}; a class must be written in one way: convert the column in one of "
                    "them."
                )
            named.append(with_label(str(file), schema, columns.image, [], columns.label).class_names)
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
        return pq.ParquetFile(parquet_source(file))
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file} cannot be read as Parquet: {' '.join(str(error).split())[:200]}") from error


def parquet_source(file: Path) -> Any:
    """The file for Arrow, whose paths are UTF-8: one that is not is opened here."""
    path = os.fsencode(file)
    try:
        path.decode("utf-8")
    except UnicodeDecodeError:
        return pa.OSFile(path, "rb")
    return file


def _stream(
    files: Sequence[Path], columns: list[str], label: str | None, numbering: _Numbering | None
) -> Iterator[tuple[str, int, Any]]:
    for number, file in enumerate(files):
        row = 0
        try:
            with pq.ParquetFile(parquet_source(file)) as parquet:
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
    return [str(file.resolve()), *file_stamp(file)]


def _split_notes(files: Sequence[Path]) -> list[str]:
    names = [match.group(1).lower() for file in files if (match := _SPLIT.match(file.name))]
    splits = sorted(set(names))
    if len(splits) < 2:
        return []
    return [f"files of the splits {' and '.join(splits)} were read together; for one of them use {splits[0]}*.parquet"]
