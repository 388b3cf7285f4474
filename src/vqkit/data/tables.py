"""Tables of encoded images in the Hugging Face convention: which columns to read, and how to make a source.

An image column is a struct<bytes, path>, or plain binary that holds the bytes of image files. Labels are an
integer column. A table that does not fit in memory is copied once, still encoded, into one Arrow file in the
cache folder, which is then memory-mapped.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from vqkit.data.gathering import Gathered, Item, estimate, gather_images
from vqkit.data.identity import READING, file_stamp
from vqkit.data.source import Skipped, Source, check_enough_readable
from vqkit.data.table_cache import open_cached
from vqkit.errors import DataError

PREFERRED_IMAGES = ("image", "img")
LABELS = ("label", "labels")


@dataclass(frozen=True)
class Columns:
    """The columns to read, the class names where they are known, and notes on the choice."""

    image: str
    label: str | None
    class_names: list[str] | None
    notes: list[str]


@dataclass(frozen=True)
class ImageTable:
    """A stream of record batches that can be started again.

    Attributes:
        name: for messages.
        rows: the number of rows in the stream.
        columns: which to read.
        found: "img struct<...>, label int64", for the error that nothing can be decoded.
        batches: starts the stream: (origin, first row within the origin, table or batch).
        identity: anything JSON that changes when the content does; keys the cache.
        follow_paths: whether an image without bytes may be read from its path.
    """

    name: str
    rows: int
    columns: Columns
    found: str
    batches: Callable[[], Iterator[tuple[str, int, Any]]]
    identity: Any
    follow_paths: bool = False

    def items(self) -> Iterator[Item]:
        """Yield every row as an item."""
        for origin, first, batch in self.batches():
            images = batch.column(self.columns.image).to_pylist()
            labels = batch.column(self.columns.label).to_pylist() if self.columns.label else [-1] * len(images)
            for offset, (value, label) in enumerate(zip(images, labels, strict=True)):
                yield self._item(f"{origin} row {first + offset}", value, -1 if label is None else int(label))

    def _item(self, name: str, value: Any, label: int) -> Item:
        if not isinstance(value, dict):
            return Item(name, value, label)
        encoded, path = value.get("bytes"), value.get("path")
        if path:
            name = f"{name} ({Path(path).name})"
        if encoded is None and path and self.follow_paths:
            encoded = Path(path)
        return Item(name, encoded, label)


def load_table(table: ImageTable, *, limit: int, channels: int | None) -> Source:
    """Decode a table into memory where it fits in ``limit`` bytes, else open it through the cache.

    A bad row is skipped and named. Raises DataError if nothing or less than half can be used.
    """
    if table.rows == 0:
        raise DataError(f"{table.name} has no rows; a source needs at least one image. Columns: {table.found}.")
    guess = estimate(list(islice(table.items(), 64)))
    gathered: Gathered | None = None
    if guess.mean_bytes * table.rows <= limit:
        gathered = gather_images(table.items(), limit=limit, chunk=guess.chunk)
    if gathered is None:
        depends_on = [table.identity, table.columns.image, table.columns.label, READING, _followed(table)]
        key = hashlib.sha256(json.dumps(depends_on).encode())
        return open_cached(
            table.items(),
            key=key.hexdigest()[:32],
            name=table.name,
            channels=channels,
            class_names=table.columns.class_names,
            notes=table.columns.notes,
            check=lambda kept, skipped: check_rows(table, kept, skipped),
        )
    check_rows(table, len(gathered.shapes), gathered.skipped)
    return gathered.source(
        name=table.name, class_names=table.columns.class_names, channels=channels, notes=table.columns.notes
    )


def _followed(table: ImageTable) -> str | None:
    """What tells that files whose paths alone are in a table have changed; None where there are none."""
    digest = hashlib.sha256()
    paths = [item.encoded for item in table.items() if isinstance(item.encoded, Path)] if table.follow_paths else []
    for path in paths:
        try:
            stamp = file_stamp(path)
        except OSError:
            stamp = []
        digest.update(json.dumps([os.fsdecode(path), stamp]).encode())
    return digest.hexdigest() if paths else None


def check_rows(table: ImageTable, kept: int, skipped: list[Skipped]) -> None:
    """Raise DataError if nothing can be decoded (listing the columns), or less than half."""
    if kept == 0:
        reason = f"{skipped[0].name}: {skipped[0].reason}" if skipped else "no rows"
        raise DataError(
            f"{table.name}: nothing in column {table.columns.image!r} can be decoded as an image "
            f"({reason}). It holds "
            f"the columns {table.found}; an image column is struct<bytes, path> or binary with the bytes "
            "of image files."
        )
    check_enough_readable(table.name, kept, skipped, "rows")


def choose_columns(name: str, schema: Any) -> Columns:
    """Choose the image and label columns of an Arrow schema.

    Images: what the ``huggingface`` metadata calls an Image, else struct<bytes, ...> or binary columns; of
    several, image and img are preferred, else the first. Labels: a ClassLabel, else an integer column
    called label or labels. Raises DataError if there is no image column, listing the columns found.
    """
    features = _features(schema)
    declared = [field.name for field in schema if _kind(features, field.name) == "Image"]
    possible = [
        field.name
        for field in schema
        if _kind(features, field.name) in (None, "Image", "Value") and _may_hold_images(field.type)
    ]
    candidates = [each for each in declared if each in possible] or possible
    if not candidates:
        raise DataError(
            f"{name} has no image column; it holds the columns {describe_columns(schema)}. An image column "
            "is "
            "struct<bytes, path> or binary with the bytes of image files (the Hugging Face convention)."
        )
    image = next((each for each in PREFERRED_IMAGES if each in candidates), candidates[0])
    notes = []
    if len(candidates) > 1:
        notes.append(f"image column {image!r} was read, of {', '.join(candidates)}")
    integers = [field.name for field in schema if pa.types.is_integer(field.type)]
    classes = [each for each in integers if _kind(features, each) == "ClassLabel"]
    named = [each for each in LABELS if each in integers]
    label = next((each for each in named if each in classes), None) or next(iter(classes + named), None)
    return Columns(image, label, _class_names(features, label), notes)


def describe_columns(schema: Any) -> str:
    """Return "img struct<bytes: binary, path: string>, label int64"."""
    return ", ".join(f"{field.name} ({field.type})" for field in schema) or "(none)"


def _may_hold_images(kind: Any) -> bool:
    if pa.types.is_struct(kind):
        at = kind.get_field_index("bytes")
        return at >= 0 and _is_binary(kind.field(at).type)
    return _is_binary(kind)


def _is_binary(kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _features(schema: Any) -> dict[str, Any]:
    """Return the features of the ``huggingface`` metadata, {} where there are none or they are damaged."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return features if isinstance(features, dict) else {}


def _kind(features: dict[str, Any], column: str) -> str | None:
    feature = features.get(column)
    return feature.get("_type") if isinstance(feature, dict) else None


def _class_names(features: dict[str, Any], label: str | None) -> list[str] | None:
    feature = features.get(label) if label else None
    names = feature.get("names") if isinstance(feature, dict) else None
    if not isinstance(names, Iterable) or isinstance(names, str):
        return None
    return [str(each) for each in (names.values() if isinstance(names, dict) else names)]
