"""Ids as a folder: arrays and JSON that any program reads, and the files that recommender code bases expect.

| file | what it holds |
|---|---|
| ``ids.json`` | what the ids are: levels, model, data, how they were made, collisions |
| ``ids.npy`` | the digits, ``[items, levels]`` of the smallest unsigned integers |
| ``names.json`` | the names of the items, a list in the order of the rows; not there where they have none |
| ``index.json`` | ``{"item": ["<a_12>", "<b_3>", "<d_0>"], ...}`` in one line, as LC-Rec and MiniOneRec read it |
| ``ids.parquet`` | ``item`` (number), ``name``, ``id`` (list), ``tokens`` (one string); on request |
| ``collisions.json`` | without a last digit: ``[{"id": [...], "items": [...]}]`` of the ids that several items have |
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqkit._version import __version__
from vqkit.checking import reason
from vqkit.coding import index_dtype
from vqkit.data.arrays.npy import read_npy
from vqkit.errors import DataError
from vqkit.ids.semantic import SemanticIds
from vqkit.ids.words import tokens_of
from vqkit.optional import require
from vqkit.spelling import spelled
from vqkit.storage import atomic, outputs
from vqkit.storage.lock import folder_lock
from vqkit.storage.reading import read_json

if TYPE_CHECKING:
    from io import TextIOWrapper

MANIFEST, DIGITS, NAMES, INDEX, COLLISIONS = "ids.json", "ids.npy", "names.json", "index.json", "collisions.json"
PARQUET = "ids.parquet"
_VERSION = 1
_ROWS = 1 << 15
_NAME_BYTES = 1 << 15
_PURPOSE = "ids in Parquet"


def check_folder(path: Path, *, parquet: bool = False) -> None:
    """Raise ``ConfigError`` unless the folder is new or empty, ``MissingExtraError`` unless Parquet can be written."""
    outputs.check_contents(path, "ids")
    if parquet:
        require("pyarrow.parquet", _PURPOSE)


def save_ids(
    ids: SemanticIds, out: str | Path, *, parquet: bool = False, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write ids into a new or empty folder; all files are whole before the first has its name.

    Raises:
        ConfigError: a folder with other things in it.
        MissingExtraError: Parquet is asked for, and its package is not installed.
    """
    folder = Path(out)
    check_folder(folder, parquet=parquet)
    digits = ids.digits.astype(index_dtype(max(ids.sizes)))
    collisions = [] if ids.last_digit else ids.collisions()
    about = {
        "vqkit": __version__,
        "ids_format": _VERSION,
        "items": len(ids),
        "codebook_size": ids.codebook_size,
        "num_codebooks": ids.codebooks,
        "last_digit": ids.sizes[-1] if ids.last_digit else None,
        "names": ids.names is not None,
        "colliding_items": sum(len(items) for _, items in collisions),
    }
    about |= {name: value for name, value in ids.about.items() if name not in about}
    writers: dict[Path, Callable[[Path], object]] = {
        folder / DIGITS: lambda path: atomic.save_npy(path, digits),
        folder / INDEX: lambda path: _write_index(ids, path, progress),
    }
    if ids.names is not None:
        writers[folder / NAMES] = lambda path: _write_names(ids, path)
    if parquet:
        writers[folder / PARQUET] = lambda path: _write_parquet(ids, path)
    if not ids.last_digit:
        found = [{"id": list(digits), "items": items} for digits, items in collisions]
        writers[folder / COLLISIONS] = lambda path: path.write_text(json.dumps(found) + "\n", encoding="utf-8")
    text = json.dumps(about, indent=2, allow_nan=False) + "\n"
    writers[folder / MANIFEST] = lambda path: path.write_text(text, encoding="utf-8")
    with folder_lock(folder, "writing ids"):
        check_folder(folder)
        for entry in folder.iterdir():
            if _is_left_over(entry):
                entry.unlink()
        atomic.write_files(writers)


def _is_left_over(entry: Path) -> bool:
    """Return True for a file that a killed process has left half written; none has its name before all are whole."""
    found = re.fullmatch(r"\.(.+)\.[0-9a-f]{8}\.part", entry.name)
    return found is not None and found[1] in (MANIFEST, DIGITS, NAMES, INDEX, COLLISIONS, PARQUET)


def load_ids(path: str | Path) -> SemanticIds:
    """Read the ids of a folder that ``save_ids`` (``vqkit ids``) wrote.

    Raises:
        DataError: nothing there, or it is damaged.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from vqkit.ids import SemanticIds, load_ids, save_ids
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_ids(SemanticIds(np.array([[3, 0], [3, 1]]), 8, last_digit=True), f"{folder}/ids")
        ...     load_ids(f"{folder}/ids").items_of((3, 1))
        ['1']
    """
    folder = Path(path)
    if not (folder / MANIFEST).is_file():
        making = spelled(python="vqkit.ids.make_ids(model, data)", command="vqkit ids MODEL DATA")
        raise DataError(f"{folder}: no ids here (a folder with an {MANIFEST}); make them with: {making}")
    try:
        about = read_json(folder / MANIFEST)
        if not isinstance(about, dict) or about.get("ids_format") != _VERSION:
            raise ValueError(f"ids_format is not {_VERSION}")
        count, size, codebooks = (_whole(about, name) for name in ("items", "codebook_size", "num_codebooks"))
        last = about.get("last_digit") is not None
        digits = read_npy(folder / DIGITS)
        if digits.shape != (count, codebooks + int(last)):
            raise ValueError(f"{DIGITS} is of shape {list(digits.shape)}, and {MANIFEST} says another")
        names = None
        if about.get("names"):
            names = read_json(folder / NAMES, most_bytes=_NAME_BYTES * (count + 1), most_values=count + 1)
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise ValueError(f"{NAMES} is no list of names")
        return SemanticIds(digits, size, last_digit=last, names=names, about=about)
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: not readable as ids ({reason(error)}); make them again") from error


def _whole(about: dict[str, Any], name: str) -> int:
    value = about.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} is {value!r}")
    return value


def _write_index(ids: SemanticIds, path: Path, progress: Callable[[int, int], None] | None) -> None:
    """The bytes of ``json.dump({item: tokens, ...})``, without making that dictionary."""
    with path.open("w", encoding="ascii", newline="\n") as file:
        _in_pieces(ids, file, progress)


def _in_pieces(ids: SemanticIds, file: TextIOWrapper, progress: Callable[[int, int], None] | None) -> None:
    file.write("{")
    for start in range(0, len(ids), _ROWS):
        rows = ids.digits[start : start + _ROWS].tolist()
        lines = (f"{json.dumps(ids.name(row))}: {json.dumps(tokens_of(own))}" for row, own in enumerate(rows, start))
        file.write((", " if start else "") + ", ".join(lines))
        if progress is not None:
            progress(min(start + _ROWS, len(ids)), len(ids))
    file.write("}")


def _write_names(ids: SemanticIds, path: Path) -> None:
    path.write_text(json.dumps(ids.names) + "\n", encoding="utf-8")


def _write_parquet(ids: SemanticIds, path: Path) -> None:
    arrow, parquet = require("pyarrow", _PURPOSE), require("pyarrow.parquet", _PURPOSE)
    kinds = {"item": arrow.int64(), "name": arrow.string(), "id": arrow.list_(arrow.int32()), "tokens": arrow.string()}
    schema = arrow.schema(list(kinds.items()))
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, len(ids), _ROWS):
            rows = ids.digits[start : start + _ROWS].tolist()
            numbers = list(range(start, start + len(rows)))
            names = [ids.name(row).encode("utf-8", "backslashreplace").decode() for row in numbers]
            columns = [numbers, names, rows, ["".join(tokens_of(row)) for row in rows]]
            arrays = [arrow.array(column, kind) for column, kind in zip(columns, kinds.values(), strict=True)]
            writer.write_table(arrow.table(arrays, schema=schema))
