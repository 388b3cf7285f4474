"""Parquet files of encoded images: one file, a folder of them, or a glob pattern."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vqkit.data.identity import file_stamp
from vqkit.data.limits import resolve_memory_limit
from vqkit.data.source import Source
from vqkit.data.tables import ImageTable, choose_columns, describe_columns, load_table
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
    files = find_parquet(spec)
    opened = [_open(file) for file in files]
    schema = opened[0].schema_arrow
    columns = choose_columns(str(spec), schema)
    wanted = [columns.image, *([columns.label] if columns.label else [])]
    for file, other in zip(files, opened, strict=True):
        for column in wanted:
            if column not in other.schema_arrow.names:
                raise DataError(
                    f"{file} has no column {column!r}, which {files[0].name} has; it holds "
                    f"{describe_columns(other.schema_arrow)}. Load files of one data set together only."
                )
    columns.notes.extend(_split_notes(files))
    return ImageTable(
        name=str(spec),
        rows=sum(each.metadata.num_rows for each in opened),
        columns=columns,
        found=describe_columns(schema),
        batches=lambda: _stream(files, wanted),
        identity=[_identity(file) for file in files],
    )


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


def _stream(files: Sequence[Path], columns: list[str]) -> Iterator[tuple[str, int, Any]]:
    for file in files:
        row = 0
        try:
            with pq.ParquetFile(file) as parquet:
                for batch in parquet.iter_batches(batch_size=BATCH_ROWS, columns=columns):
                    yield file.name, row, batch
                    row += batch.num_rows
        except (OSError, pa.ArrowException) as error:
            detail = " ".join(str(error).split())[:200]
            raise DataError(f"{file} is damaged after row {row}: {detail}; fetch it again.") from error


def _identity(file: Path) -> list[Any]:
    return [str(file.resolve()), *file_stamp(file)]


def _split_notes(files: Sequence[Path]) -> list[str]:
    names = [match.group(1).lower() for file in files if (match := _SPLIT.match(file.name))]
    splits = sorted(set(names))
    if len(splits) < 2:
        return []
    return [f"files of the splits {' and '.join(splits)} were read together; for one of them use {splits[0]}*.parquet"]
