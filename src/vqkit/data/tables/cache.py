"""Encoded images copied once into an Arrow file in the cache folder, and memory-mapped from there.

The file is written under a temporary name and renamed when it is complete, so a reader never sees half
of one and two processes that write the same file at once do no harm.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vqkit.data.images.decoding import Item, each_in_order, judge, note_lines, usable_labels
from vqkit.data.images.lazy import ArrowSource, map_batches
from vqkit.data.skipped import Skipped
from vqkit.errors import DataError, shown
from vqkit.resources import cache_folder

VERSION = 2  # 1 knew headers only
BATCH_ROWS = 1024
BATCH_BYTES = 32 * 2**20

# One row per image found; where bytes is null the row was skipped, and note is the reason.
SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("bytes", pa.large_binary()),
        ("label", pa.int64()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("channels", pa.int8()),
        ("note", pa.string()),
        ("bits", pa.int32()),
    ]
)


def open_cached(
    items: Iterable[Item],
    *,
    key: str,
    name: str,
    channels: int | None,
    class_names: Sequence[str] | None,
    notes: Sequence[str],
    check: Callable[[int, list[Skipped]], None],
) -> ArrowSource:
    """Open the cached copy ``key``, made from ``items`` where there is none yet or it is damaged.

    ``check`` gets the number of readable rows and the skipped ones, and raises if they are too few.
    Raises DataError if the cache folder cannot be written.
    """
    folder = cache_folder() / "tables"
    file = folder / f"{key}-v{VERSION}.arrow"
    batches = _open(file)
    if batches is None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write(items, file)
        except OSError as error:
            raise DataError(
                f"{name} does not fit in memory, and its copy cannot be written to {folder}: "
                f"{error.strerror or error}; "
                "free some space there, set VQKIT_CACHE to another folder, or raise memory_limit."
            ) from error
        batches = _open(file)
    if batches is None:
        raise DataError(f"{name}: its cached copy {file} cannot be read back; remove that file and try again.")
    return _source(batches, file, name=name, channels=channels, class_names=class_names, notes=notes, check=check)


def _open(file: Path) -> list[Any] | None:
    try:
        batches = map_batches(file)
    except (OSError, pa.ArrowException):
        return None
    return batches if all(batch.schema.equals(SCHEMA) for batch in batches) else None


def _write(items: Iterable[Item], file: Path) -> None:
    handle, temporary = tempfile.mkstemp(prefix=file.stem, suffix=".partial", dir=file.parent)
    os.close(handle)
    try:
        with pa.OSFile(os.fsencode(temporary), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
            rows: list[dict[str, Any]] = []
            waiting = 0
            with closing(each_in_order(_row, items)) as found:
                for row in found:
                    rows.append(row)
                    waiting += len(row["bytes"] or b"")
                    if len(rows) >= BATCH_ROWS or waiting >= BATCH_BYTES:
                        writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=SCHEMA))
                        rows, waiting = [], 0
            if rows:
                writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=SCHEMA))
        Path(temporary).replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def _row(item: Item) -> dict[str, Any]:
    _, verdict = judge(item)
    if verdict.reason is not None:
        return {"name": shown(item.name), "bytes": None, "label": item.label, "note": shown(verdict.reason)}
    encoded = item.encoded.read_bytes() if isinstance(item.encoded, Path) else item.encoded
    return {
        "name": shown(item.name),
        "bytes": encoded,
        "label": item.label,
        "height": verdict.size[0],
        "width": verdict.size[1],
        "channels": verdict.channels,
        "note": "\n".join(verdict.notes),
        "bits": verdict.bits,
    }


def _source(
    batches: list[Any],
    file: Path,
    *,
    name: str,
    channels: int | None,
    class_names: Sequence[str] | None,
    notes: Sequence[str],
    check: Callable[[int, list[Skipped]], None],
) -> ArrowSource:
    small = pa.Table.from_batches(batches, schema=SCHEMA).select(
        ["label", "height", "width", "channels", "note", "bits"]
    )
    columns = {field: small.column(field).to_pylist() for field in small.column_names}
    used = np.array([height is not None for height in columns["height"]], dtype=bool)
    names = pa.Table.from_batches(batches, schema=SCHEMA).column("name")
    skipped = [Skipped(names[int(row)].as_py(), str(columns["note"][row])) for row in np.flatnonzero(~used)]
    rows = np.flatnonzero(used)
    check(len(rows), skipped)
    sizes = np.array([(columns["height"][row], columns["width"][row]) for row in rows], dtype=np.int64)
    found = Counter(note for row in rows for note in (columns["note"][row] or "").split("\n") if note)
    return ArrowSource(
        batches,
        rows,
        sizes,
        channels=channels or max(columns["channels"][row] for row in rows),
        file=file,
        name=name,
        labels=usable_labels([columns["label"][row] for row in rows]),
        class_names=class_names,
        skipped=skipped,
        notes=[*notes, *note_lines(found)],
        position_bits=[columns["bits"][row] for row in rows],
    )
