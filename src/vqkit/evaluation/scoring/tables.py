"""Tables of scores, a row an item, as CSV, JSON or Parquet: written as they come, so of any length."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vqkit.data import Source
from vqkit.errors import ConfigError
from vqkit.models import Scores
from vqkit.optional import require
from vqkit.spelling import option
from vqkit.storage import atomic
from vqkit.storage.outputs import MARK, FileKind

COMMAND = "vqkit score"
_ROWS = 1 << 14
"""Of a row group of Parquet."""
_TEXTS = ("name", "label")

Block = dict[str, list[Any]]
"""Some rows: of each column a value for each; None: not known."""


def blocks_of(source: Source, parts: Iterable[tuple[Any, Scores]]) -> Iterator[Block]:
    """Yield rows of items: ``item`` (its number), ``name`` and ``label`` where the data have some, and all scores.

    Args:
        source: of the items.
        parts: numbers of items and their scores, in order.
    """
    for numbers, scores in parts:
        block: Block = {"item": [int(number) for number in numbers]}
        if scores.names is not None:
            block["name"] = [None if name is None else _plain(name) for name in scores.names]
        if source.labels is not None:
            block["label"] = [_label(source, int(number)) for number in numbers]
        for name, values in scores.columns().items():
            block[name] = [float(value) if np.isfinite(value) else None for value in values]
        yield block


def _label(source: Source, number: int) -> str | None:
    assert source.labels is not None
    label = int(source.labels[number])
    if label < 0:
        return None
    names = source.class_names
    return _plain(names[label]) if names is not None and label < len(names) else str(label)


def _plain(name: str) -> str:
    """A name in UTF-8: bytes of file names that are no text are escaped."""
    return name.encode("utf-8", "backslashreplace").decode()


def write_csv(path: Path, blocks: Iterable[Block], about: Mapping[str, Any]) -> None:
    """Write rows below a line of names; what is not known is empty. What they are about has no place in CSV."""
    del about
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for number, block in enumerate(blocks):
            if number == 0:
                writer.writerow(block)
            writer.writerows(zip(*block.values(), strict=True))


def write_rows_json(path: Path, blocks: Iterable[Block], about: Mapping[str, Any]) -> None:
    """Write a document whose ``rows`` are objects, one a line; what is not known is null."""
    head = json.dumps({MARK: COMMAND, **about}, indent=2, allow_nan=False, ensure_ascii=False)
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(head.removesuffix("\n}") + ',\n  "rows": [')
        separator = "\n    "
        for block in blocks:
            for row in zip(*block.values(), strict=True):
                text = json.dumps(dict(zip(block, row, strict=True)), allow_nan=False, ensure_ascii=False)
                file.write(separator + text)
                separator = ",\n    "
        file.write("\n  ]\n}\n")


def write_parquet(path: Path, blocks: Iterable[Block], about: Mapping[str, Any]) -> None:
    """Write a table of float64 columns; what it is about stands in the metadata of its schema, under ``vqkit``."""
    arrow, parquet = require("pyarrow", "Parquet files"), require("pyarrow.parquet", "Parquet files")
    told = json.dumps({MARK: COMMAND, **about}, ensure_ascii=False).encode("utf-8", "backslashreplace")
    writer = None
    try:
        for block in _grouped(blocks):
            types = {"item": arrow.int64(), **dict.fromkeys(_TEXTS, arrow.string())}
            fields = [(name, types.get(name, arrow.float64())) for name in block]
            schema = arrow.schema(fields, metadata={b"vqkit": told})
            writer = writer or parquet.ParquetWriter(path, schema, compression="zstd")
            writer.write_table(arrow.table(block, schema=schema))
    finally:
        if writer is not None:
            writer.close()


def _grouped(blocks: Iterable[Block]) -> Iterator[Block]:
    """Yield the same rows in blocks of about ``_ROWS``."""
    held: Block = {}
    for block in blocks:
        held = {name: [*held.get(name, ()), *values] for name, values in block.items()} if held else block
        if len(held["item"]) >= _ROWS:
            yield held
            held = {}
    if held:
        yield held


TABLES: dict[str, Callable[[Path, Iterable[Block], Mapping[str, Any]], None]] = {
    ".csv": write_csv,
    ".json": write_rows_json,
    ".parquet": write_parquet,
}
"""Writers of tables by the ending of the file's name."""


def check_table(path: Path) -> None:
    """Raise unless a table can be written under this name.

    Raises:
        ConfigError: an ending that is none of a table.
        MissingExtraError: Parquet without pyarrow.
    """
    if path.suffix.lower() not in TABLES:
        raise ConfigError(f"{option('out', path)}: scores are a table: end its name in {', '.join(TABLES)}")
    if path.suffix.lower() == ".parquet":
        require("pyarrow.parquet", "Parquet files")


def write_table(path: Path, blocks: Iterable[Block], about: Mapping[str, Any]) -> None:
    """Write rows as the ending of the name says; the file is there when all are written, or not at all.

    Args:
        path: the file.
        blocks: the rows, in order, some at a time.
        about: what the scores are of, as JSON values; kept in JSON and Parquet.

    Raises:
        ConfigError: an ending that is none of a table.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from vqkit.evaluation.scoring.tables import write_table
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "scores.csv")
        ...     write_table(file, [{"item": [0, 1], "mse": [0.5, None]}], {})
        ...     file.read_text()
        'item,mse\\n0,0.5\\n1,\\n'
    """
    check_table(path)
    write = TABLES[path.suffix.lower()]
    atomic.write_file(path, lambda temporary: write(temporary, blocks, about))


def _owns(found: bytes) -> bool:
    mark = f'"{MARK}": {json.dumps(COMMAND)}'.encode()
    if found.startswith(b"PAR1"):
        return mark in found
    return found.startswith(b"{\n  " + mark) or (found.startswith(b"item,") and b"mse" in found.partition(b"\n")[0])


SCORES = FileKind("table of scores that vqkit wrote", _owns, both_ends=True)
