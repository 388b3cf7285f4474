"""Labels in a JSON or CSV file beside the signals: one for each item, found by the item's name.

- JSON: ``{"a.flac": "dog", ...}``; ``{"a.flac": {"intent": "order", "slots": {"size": "small"}}, ...}``, of which
  ``:intent`` or ``:slots.size`` names one; or a list of such records with the file's name in one of ``NAME_COLUMNS``;
  JSONL: one record a line.
- CSV and TSV (tabs) with a line of column names: the file's name in one of ``NAME_COLUMNS``, else in the first column.

A name is the path relative to the data, or the file's name alone, with or without its extension.
"""

from __future__ import annotations

import csv
import glob
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from vqkit.data.arrays.labels import LABEL_COLUMNS, read_labels
from vqkit.data.source import Source
from vqkit.errors import ConfigError, DataError
from vqkit.spelling import option

NAME_COLUMNS = ("file", "file_name", "filename", "path", "name", "audio", "image")
_SUFFIXES = ("json", "jsonl", "csv", "tsv")
_FILE = re.compile(rf"(?P<file>[^:]*\.(?:{'|'.join(_SUFFIXES)}))(?::(?P<key>[^:]+))?", re.IGNORECASE)
_assumed: ContextVar[str | None] = ContextVar("labels", default=None)


def assumed_labels() -> str | None:
    """Return the labels that ``labels_assumed`` says, or None."""
    return _assumed.get()


@contextmanager
def labels_assumed(labels: str | None) -> Iterator[None]:
    """Within the block, named data that does not say its labels has these (``load_source(labels=...)``).

    Example:
        >>> import json
        >>> from pathlib import Path
        >>> import vqkit
        >>> from PIL import Image
        >>> from vqkit.data import labels_assumed
        >>> Path("pictures").mkdir()
        >>> for number in range(2):
        ...     Image.new("L", (8, 8), number).save(f"pictures/{number}.png")
        >>> text = Path("pictures/labels.json").write_text(json.dumps({"0": "dark", "1": "darker"}))
        >>> with labels_assumed("labels.json"):
        ...     vqkit.load_source("pictures").class_names
        ['dark', 'darker']
    """
    token = _assumed.set(_assumed.get() if labels is None else labels)
    try:
        yield
    finally:
        _assumed.reset(token)


def label_file(text: str, data: Path) -> tuple[Path, str | None] | None:
    """The file and the key of ``labels.json`` or ``labels.csv:COLUMN``; None where a text names no such file.

    It lies in the data's folder, beside the data, or where the path leads.
    """
    found = _FILE.fullmatch(text)
    if found is None:
        return None
    file = Path(found["file"]).expanduser()
    places = [data / file, data.parent / file, file]
    return next((place for place in places if place.is_file()), file), found["key"]


def with_labels(source: Source, file: Path, key: str | None) -> Source:
    """Return the items with the labels of a file.

    Args:
        source: items with names.
        file: JSON, CSV or TSV.
        key: which entry of each record, or column; None: the only one, or one called label or labels.

    Raises:
        DataError: an unreadable file, no such key, values that are no classes, or no name of an item in it.
    """
    values, chosen = _read(file, key)
    names = [source.item_name(index) for index in range(len(source))]
    found = [_value(name, values) for name in _unique(names)]
    known = [value for value in found if value is not None]
    if not known:
        example = next((name for name in names if name is not None), None)
        items = "its items have no names" if example is None else f"its items are called {example!r} and the like"
        raise DataError(
            f"{file} names none of the items of {source.name}: {items}, in the file {next(iter(values), 'nothing')!r}; "
            "give paths relative to the data"
        )
    bad = next((value for value in known if not isinstance(value, str | int | float | bool)), None)
    if bad is not None:
        raise DataError(
            f"{file}: {chosen or 'its labels'} holds {type(bad).__name__}s; a label is one text or whole number"
            + (f": give one of {', '.join(map(str, bad))} after a colon, {file.name}:{next(iter(bad))}"
               if isinstance(bad, Mapping) and bad else "")
        )  # fmt: skip
    column = read_labels(
        Counter(value for value in found if value is not None).items(),
        column=chosen or file.name,
        class_names=None,
        asked_for=True,
    )
    if not column.used:
        raise DataError(f"{file}: {'; '.join(column.notes)}")
    labels = np.array(column.numbers(found), dtype=np.int64)
    without = found.count(None)
    notes = [f"{without:,} of {len(source):,} items have no label in {file.name}"] if without else []
    labeled = object.__new__(type(source))
    labeled.__dict__.update(source.__dict__)
    labeled.labels, labeled.class_names = labels, column.class_names
    labeled.notes = [note for note in source.notes if not note.endswith(": no classes")] + column.notes + notes
    return labeled


def _read(file: Path, key: str | None) -> tuple[dict[str, Any], str | None]:
    """The value of each name, and the key that was read."""
    suffix = file.suffix.lower()
    try:
        text = file.read_text(encoding="utf-8-sig")
        records = _rows(text, file) if suffix in (".csv", ".tsv") else _records(_document(text, suffix))
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"labels cannot be read from {file}: {reason}") from error
    if not records:
        raise DataError(f"{file} holds no labels")
    fields = {name: record for name, record in records.items() if isinstance(record, Mapping)}
    if not fields:
        if key is not None:
            raise DataError(f"{file} has one label for each name; leave out {key!r}")
        return records, None
    chosen = key if key is not None else _only_key(file, fields)
    values = {name: _at(record, chosen) for name, record in fields.items()}
    if all(value is None for value in values.values()):
        raise DataError(f"{file} has no {chosen!r}; it has {_listed(fields)}")
    return values, chosen


def _document(text: str, suffix: str) -> Any:
    return [json.loads(line) for line in text.splitlines() if line.strip()] if suffix == ".jsonl" else json.loads(text)


def _records(document: Any) -> dict[str, Any]:
    """What a JSON document says of each name."""
    if isinstance(document, list):
        found = {}
        for record in document:
            column = next((each for each in NAME_COLUMNS if isinstance(record, Mapping) and each in record), None)
            if column is None:
                raise ValueError(f"a list of records needs the name of a file in each ({', '.join(NAME_COLUMNS)})")
            found[str(record[column])] = {name: value for name, value in record.items() if name != column}
        return found
    if not isinstance(document, dict):
        raise ValueError("it is no object of names and labels, and no list of records")
    return document


def _rows(text: str, file: Path) -> dict[str, Any]:
    """What a table says of each name: a text, or a whole number."""
    reader = csv.DictReader(io.StringIO(text), delimiter="\t" if file.suffix.lower() == ".tsv" else ",")
    columns = reader.fieldnames or []
    if len(columns) < 2:
        raise ValueError("a table of labels has a line of column names, and at least two columns")
    of_names = next((each for each in NAME_COLUMNS if each in columns), columns[0])
    return {
        row[of_names]: {name: _cell(value) for name, value in row.items() if name not in (of_names, None)}
        for row in reader
        if row[of_names]
    }


def _cell(value: Any) -> Any:
    text = value.strip() if isinstance(value, str) else ""
    return int(text) if re.fullmatch(r"-?\d{1,18}", text) else text or None


def _only_key(file: Path, fields: Mapping[str, Mapping[str, Any]]) -> str:
    names = {name for record in fields.values() for name in record}
    chosen = next((each for each in LABEL_COLUMNS if each in names), next(iter(names)) if len(names) == 1 else None)
    if chosen is None:
        raise DataError(
            f"{file} has {_listed(fields)}: name one after a colon, {file.name}:{min(names, default='KEY')}"
        )
    return chosen


def _listed(fields: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(name for record in fields.values() for name in record))


def _at(record: Any, key: str) -> Any:
    """The value of a key, or of a path of keys with dots between them."""
    if isinstance(record, Mapping) and key not in record and "." in key:
        head, _, rest = key.partition(".")
        return _at(record.get(head), rest)
    return record.get(key) if isinstance(record, Mapping) else None


def _unique(names: list[str | None]) -> Iterator[list[str]]:
    """The names by which each item may be called: its path, and its last part where no other item has that."""
    ends = Counter(PurePosixPath(name).name for name in names if name is not None)
    stems = Counter(PurePosixPath(name).stem for name in names if name is not None)
    for name in names:
        if name is None:
            yield []
            continue
        path = PurePosixPath(name)
        found = [name, str(path.with_suffix(""))]
        found += [path.name] if ends[path.name] == 1 else []
        yield found + ([path.stem] if stems[path.stem] == 1 else [])


def _value(names: list[str], values: Mapping[str, Any]) -> Any:
    return next((values[name] for name in names if name in values), None)


def labeled_name(name: str, labels: str | None, *, asked_for: bool) -> str:
    """The name of data with its labels: ``FOLDER:labels.json``, ``FILE.parquet:COLUMN``.

    Raises:
        ConfigError: labels that such data cannot have, where somebody asked for them.
    """
    path = Path(name).expanduser()
    if labels is None or (not asked_for and not path.exists()):
        return name
    if path.exists() and label_file(labels, path) is not None:
        return f"{name}:{labels}"
    if path.is_dir() and any(entry.suffix.lower() == ".parquet" for entry in path.iterdir()):
        return f"{glob.escape(name)}/*.parquet:{labels}"
    if path.suffix.lower() == ".parquet":
        return f"{name}:{labels}"
    if not asked_for:
        return name
    raise ConfigError(
        f"{option('labels', labels)}: give a JSON or CSV file (labels.json, labels.csv:COLUMN), or of Parquet files a "
        "column"
    )
