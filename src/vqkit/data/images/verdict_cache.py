"""Cache of the outcome of decoding the files of a folder: each is decoded once, not at every start.

A file is known again by its path, size, and the times of its last change (content and status); one that changed in the
two seconds before it was looked at is looked at again, since a change within the same tick of the clock has no trace.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import PIL
import pyarrow as pa

from vqkit.data.images.decoding import Checked, Item, Verdict, each_in_order, judge
from vqkit.resources import cache_folder
from vqkit.storage.atomic import write_file

VERSION = 1
"""Of the check: raise it when other files would pass."""
_PAYS_SECONDS = 1.0
_TICK_NS = 2_000_000_000

_SCHEMA = pa.schema(
    [
        ("path", pa.binary()),
        ("bytes", pa.int64()),
        ("modified", pa.int64()),
        ("changed", pa.int64()),
        ("reason", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("channels", pa.int8()),
        ("bits", pa.int32()),
        ("notes", pa.string()),
    ]
)
_Row = tuple[int, int, int, Verdict]


def check_files(items: Sequence[Item], root: Path) -> Checked:
    """Decode every item that is not known from an earlier time, and return which can be used.

    What was decoded is kept for the next time where that took more than a second and the cache folder can be written.
    """
    file = _cache_file(root)
    known = _read(file)
    found, rows, new = Checked(), dict[bytes, _Row](), 0
    start = time.monotonic()
    with closing(each_in_order(lambda item: _look(item, known), items)) as results:
        for item, path, row, is_new in results:
            found.add(item, row[3])
            rows[path] = row
            new += is_new
    if new and time.monotonic() - start > _PAYS_SECONDS:
        with contextlib.suppress(OSError, pa.ArrowException):
            write_file(file, lambda temporary: _write(temporary, rows), durable=False)
    return found


def _look(item: Item, known: dict[bytes, _Row]) -> tuple[Item, bytes, _Row, bool]:
    assert isinstance(item.encoded, Path)
    path = os.fsencode(item.encoded)
    try:
        status = item.encoded.stat()
        size, modified, changed = status.st_size, status.st_mtime_ns, status.st_ctime_ns
    except OSError:
        size = modified = changed = -1
    row = known.get(path)
    if row is not None and row[:3] == (size, modified, changed):
        return item, path, row, False
    _, verdict = judge(item)
    fresh = time.time_ns() - max(modified, changed) < _TICK_NS
    return item, path, (-1 if fresh else size, modified, changed, verdict), True


def _cache_file(root: Path) -> Path:
    about = f"{VERSION} {PIL.__version__} ".encode() + os.fsencode(root.resolve())
    return cache_folder() / "checked" / f"{hashlib.sha256(about).hexdigest()[:32]}.arrow"


def _read(file: Path) -> dict[bytes, _Row]:
    try:
        with pa.OSFile(os.fsencode(file), "rb") as source:
            table = pa.ipc.open_file(source).read_all()
        if not table.schema.equals(_SCHEMA):
            return {}
        return dict(_rows(table.to_pydict()))
    except (OSError, pa.ArrowException, ValueError):
        return {}


def _rows(columns: dict[str, list[Any]]) -> Iterable[tuple[bytes, _Row]]:
    for path, size, modified, changed, reason, *rest in zip(*columns.values(), strict=True):
        height, width, channels, bits, notes = rest
        verdict = Verdict(reason, (height, width), channels, bits, tuple(notes.split("\n")) if notes else ())
        yield path, (size, modified, changed, verdict)


def _write(file: Path, rows: dict[bytes, _Row]) -> None:
    def columns() -> Iterator[tuple[Any, ...]]:
        for path, (size, modified, changed, told) in rows.items():
            verdict = (told.reason, *told.size, told.channels, told.bits, "\n".join(told.notes))
            yield path, size, modified, changed, *verdict

    arrays = [pa.array(each, kind.type) for each, kind in zip(zip(*columns(), strict=True), _SCHEMA, strict=True)]
    with pa.OSFile(os.fsencode(file), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
        writer.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA))
