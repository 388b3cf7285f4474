"""Cache of the outcome of decoding the files of a folder: each is decoded once, not at every start.

A file is known again by its path, size, and the times of its last change (content and status); one that changed in the
two seconds before it was looked at is looked at again, since a change within the same tick of the clock has no trace.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import PIL

from vqkit.data.images.decoding import Checked, Item, Verdict, each_in_order, judge
from vqkit.resources import cache_folder
from vqkit.storage.atomic import write_file
from vqkit.storage.reading import read_json

VERSION = 1
"""Of the check: raise it when other files would pass."""
_PAYS_SECONDS = 1.0
_TICK_NS = 2_000_000_000
_MOST_BYTES = 1 << 30
"""Of a file of the cache: a few million images."""

_Row = tuple[int, int, int, Verdict]


def check_files(items: Sequence[Item], root: Path) -> Checked:
    """Decode every item that is not known from an earlier time, and return which can be used.

    What was decoded is kept for the next time where that took more than a second and the cache folder can be written.
    """
    file = _cache_file(root)
    known = _read(file)
    found, rows, new = Checked(), dict[str, _Row](), 0
    start = time.monotonic()
    with closing(each_in_order(lambda item: _look(item, known), items)) as results:
        for item, path, row, is_new in results:
            found.add(item, row[3])
            rows[path] = row
            new += is_new
    if new and time.monotonic() - start > _PAYS_SECONDS:
        with contextlib.suppress(OSError):
            write_file(file, lambda temporary: _write(temporary, rows), durable=False)
    return found


def _look(item: Item, known: dict[str, _Row]) -> tuple[Item, str, _Row, bool]:
    assert isinstance(item.encoded, Path)
    path = os.fspath(item.encoded)
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
    return cache_folder() / "checked" / f"{hashlib.sha256(about).hexdigest()[:32]}.json"


def _read(file: Path) -> dict[str, _Row]:
    """The rows in a file of the cache; none where there is no such file, or it is damaged."""
    try:
        paths, *stamps, reasons, heights, widths, channels, bits, notes = read_json(
            file, most_bytes=_MOST_BYTES, most_values=_MOST_BYTES
        )
        sizes = zip(heights, widths, strict=True)
        verdicts = map(Verdict, reasons, sizes, channels, bits, map(tuple, notes))
        return dict(zip(paths, zip(*stamps, verdicts, strict=True), strict=True))
    except (OSError, ValueError, TypeError):
        return {}


def _write(file: Path, rows: dict[str, _Row]) -> None:
    """Write the rows as columns. JSON escapes what is not ASCII, lone surrogates of names that are no UTF-8 as well."""
    found = (
        (path, *stamp, verdict.reason, *verdict.size, verdict.channels, verdict.bits, verdict.notes)
        for path, (*stamp, verdict) in rows.items()
    )
    file.write_text(json.dumps(list(zip(*found, strict=True)), separators=(",", ":")), encoding="ascii")
