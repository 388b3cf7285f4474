"""Tables of encoded images or sounds in the Hugging Face convention: which columns to read, and how to make a source.

An image column is a struct<bytes, path>, or holds the bytes of image files as binary, fixed-size binary or lists of
numbers. Labels: see ``vqkit.data.tables.labels``. A table that does not fit in memory is copied once, still encoded,
into one Arrow file in the cache folder, which is then memory-mapped.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from vqkit.data.identity import READING, file_stamp
from vqkit.data.images.decoding import Gathered, estimate, gather_images
from vqkit.data.sounds.loading import SoundItem, sounds_of
from vqkit.data.source import Source, byte_words
from vqkit.data.tables.arrays import is_list, load_arrays
from vqkit.data.tables.cache import open_cached
from vqkit.data.tables.labels import LABELS, label_kind
from vqkit.data.tables.table import Columns, ImageTable
from vqkit.errors import DataError
from vqkit.signals import Signal, Sound

PREFERRED_IMAGES = ("image", "img")
PREFERRED_SOUNDS = ("audio", "sound", "speech")


def load_table(table: ImageTable, *, limit: int, channels: int | None, kind: Signal | None = None) -> Source:
    """Load a table (see ``_loaded``), and remember whether older versions read its labels."""
    source = _loaded(table, limit, channels, kind)
    source.labels_are_new = source.labels is not None and not table.columns.read_before
    return source


def _loaded(table: ImageTable, limit: int, channels: int | None, kind: Signal | None) -> Source:
    """Decode a table into memory where it fits in ``limit`` bytes, else open it through the cache; arrays: as they are.

    A bad row is skipped and named. Raises DataError if nothing or less than half can be used.
    """
    if table.rows == 0:
        raise DataError(f"{table.name} has no rows; a source needs at least one image. Columns: {table.found}.")
    if table.columns.sounds:
        return _sounds(table, limit, channels, kind if isinstance(kind, Sound) else Sound())
    if table.arrays:
        arrays = load_arrays(table, limit=limit, kind=kind)
        return arrays if channels is None else arrays.with_channels(channels)
    guess = estimate(list(islice(table.items(), 64)))
    gathered: Gathered | None = None
    if guess.mean_bytes * table.rows <= limit:
        gathered = gather_images(table.items(), limit=limit, chunk=guess.chunk)
    if gathered is None:
        depends_on = [table.identity, table.columns.image, table.columns.label, table.class_names, READING]
        key = hashlib.sha256(json.dumps([*depends_on, _followed(table)]).encode())
        return open_cached(
            table.items(),
            key=key.hexdigest()[:32],
            name=table.name,
            channels=channels,
            class_names=table.class_names,
            notes=table.notes,
            check=table.check_rows,
        )
    table.check_rows(len(gathered.shapes), gathered.skipped)
    return gathered.source(name=table.name, class_names=table.class_names, channels=channels, notes=table.notes)


def _sounds(table: ImageTable, limit: int, channels: int | None, kind: Sound) -> Source:
    """The sound files of a table: their bytes stay in memory, their samples where these fit too."""
    items: list[SoundItem] = []
    taken = 0
    for item in table.items():
        taken += len(item.encoded) if isinstance(item.encoded, bytes) else 0
        if taken > limit:
            raise DataError(
                f"{table.name}: its sound files take more than {byte_words(limit)} in memory, the memory_limit; give "
                "more memory, or write them as files into a folder"
            )
        items.append(SoundItem(item.name, item.encoded, item.label))
    notes, names = table.notes, table.class_names
    return sounds_of(
        items, kind, name=table.name, limit=limit - taken, channels=channels, class_names=names, notes=notes
    )


def _followed(table: ImageTable) -> str | None:
    """Return a digest of the stamps of the files that a table names by path; None if it names none."""
    digest = hashlib.sha256()
    paths = [item.encoded for item in table.items() if isinstance(item.encoded, Path)] if table.follow_paths else []
    for path in paths:
        try:
            stamp = file_stamp(path)
        except OSError:
            stamp = []
        digest.update(json.dumps([os.fsdecode(path), stamp]).encode())
    return digest.hexdigest() if paths else None


def choose_columns(name: str, schema: Any, label: str | None = None, *, sounds: bool = False) -> Columns:
    """Choose the image and label columns of an Arrow schema; ``label`` is the one that somebody named.

    Where there are no images, or ``sounds`` asks for them: what the metadata calls Audio, else (where asked for) the
    same types as of images.

    Images: what the ``huggingface`` metadata calls an Image, else struct<bytes, ...> or binary columns; of
    several, image and img are preferred, else the first. Labels: a ClassLabel, else a column called label or labels.
    Raises DataError if there is no image column, listing the columns found, or two of one name.
    """
    features = _features(schema)
    declared = [field.name for field in schema if _kind(features, field.name) == "Image"]
    possible = [
        field.name
        for field in schema
        if _kind(features, field.name) in (None, "Image", "Value") and may_hold_images(field.type)
    ]
    candidates = [each for each in declared if each in possible] or possible
    audio = [each.name for each in schema if _kind(features, each.name) == "Audio" and may_hold_images(each.type)]
    if sounds or not candidates:
        sounds, candidates = True, audio or candidates
    word = "sound" if sounds else "image"
    if not candidates:
        raise DataError(
            f"{name} has no image or sound column; it holds the columns {describe_columns(schema)}. Such a column is "
            "struct<bytes, path>, or binary or a list with the bytes of files (the Hugging Face convention)."
        )
    preferred = PREFERRED_SOUNDS if sounds else PREFERRED_IMAGES
    image = next((each for each in preferred if each in candidates), candidates[0])
    notes = []
    if len(candidates) > 1:
        notes.append(f"{word} column {image!r} was read, of {', '.join(candidates)}")
    if _is_list_of_images(schema.field(schema.names.index(image)).type):
        notes.append(f"column {image!r} holds lists of images: the first of each row was read")
    return replace(with_label(name, schema, image, notes, label), sounds=sounds)


def with_label(name: str, schema: Any, column: str, notes: list[str], label: str | None = None) -> Columns:
    """The columns to read, where that of the signals is known; ``label`` is the one that somebody named.

    Raises DataError for two columns of one name, or a column named that holds no labels.
    """
    features = _features(schema)
    chosen = _choose_label(name, schema, features, label, notes)
    for each in (column, chosen):
        if each is not None and schema.names.count(each) > 1:
            raise DataError(
                f"{name} has {schema.names.count(each)} columns called {each!r}, so which is meant is not known; "
                "rename all but one."
            )
    whole = chosen is None or pa.types.is_integer(schema.field(schema.names.index(chosen)).type)
    names = _class_names(features, chosen)
    return Columns(column, chosen, names, notes, asked_for=label is not None, read_before=whole)


def _choose_label(name: str, schema: Any, features: dict[str, Any], label: str | None, notes: list[str]) -> str | None:
    """The label column, which ``label`` may name; adds to the notes what is not read."""
    if label is not None:
        if label not in schema.names:
            raise DataError(f"{name} has no column {label!r}; it holds the columns {describe_columns(schema)}.")
        if label_kind(schema.types[schema.names.index(label)]) is None:
            raise DataError(
                f"{name}: column {label!r} holds no labels ({schema.types[schema.names.index(label)]}); labels are "
                "whole numbers, names, or true and false."
            )
        return label
    fields = {field.name: field.type for field in schema if _kind(features, field.name) not in ("Image", "Audio")}
    classes = [each for each in fields if _kind(features, each) == "ClassLabel" and label_kind(fields[each])]
    named = [each for each in LABELS if each in fields and label_kind(fields[each])]
    named.sort(key=lambda each: not pa.types.is_integer(fields[each]))
    foreign = [each for each in LABELS if each in fields and label_kind(fields[each]) is None]
    notes += [
        f"column {each!r} is not read ({fields[each]}): labels are whole numbers, names, or true and false"
        for each in foreign
        if not may_hold_images(fields[each])
    ]
    possible = list(dict.fromkeys([*(each for each in named if each in classes), *classes, *named]))
    if len(possible) > 1:
        others = ", ".join(possible)
        notes.append(f"label column {possible[0]!r} was read, of {others} (another one: FILE.parquet:{possible[1]})")
    return possible[0] if possible else None


def describe_columns(schema: Any) -> str:
    """Return "img struct<bytes: binary, path: string>, label int64"."""
    return ", ".join(f"{field.name} ({field.type})" for field in schema) or "(none)"


def may_hold_images(kind: Any) -> bool:
    """Return True if values of an Arrow type can be the bytes of image files."""
    if pa.types.is_dictionary(kind):
        return may_hold_images(kind.value_type)
    if pa.types.is_struct(kind):
        at = kind.get_field_index("bytes")
        return at >= 0 and _is_binary(kind.field(at).type)
    return _is_binary(kind) or _is_list_of_images(kind)


def _is_binary(kind: Any) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
        or (is_list(kind) and (pa.types.is_uint8(kind.value_type) or pa.types.is_int8(kind.value_type)))
    )


def _is_list_of_images(kind: Any) -> bool:
    """Return True if each value holds several images, of which the first is read."""
    return is_list(kind) and not is_list(kind.value_type) and may_hold_images(kind.value_type)


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
